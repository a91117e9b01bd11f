"""Images that nobody trusts: decoded, or refused with a code, and no worker that dies takes others with it."""

import io
import os
import random
import signal
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vl2.intake import worker
from vl2.intake.decode import DecodeLimits, DecoderPool
from vl2.intake.errors import CODES, IntakeError
from vl2.processing.images import open_image

BAD_WORKER = (sys.executable, "-P", str(Path(__file__).with_name("bad_worker.py")))
PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def encode(kind: str, image: Image.Image | None = None, **options) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(stream, kind, **options)
    return stream.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A tiny file whose header claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


FILES = {
    "PNG": encode("PNG"), "JPEG": encode("JPEG"), "WEBP": encode("WEBP", lossless=True), "BMP": encode("BMP"),
    "GIF": encode("GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "red")]),
    "TIFF": encode("TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9), "red")], compression="tiff_lzw"),
}  # fmt: skip


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(workers=2, limits=DecodeLimits(max_pixels=1_000_000, max_bytes=2_000_000, seconds=60)) as pool:
        yield pool


@pytest.fixture
def bad_pool() -> Iterator[DecoderPool]:
    with DecoderPool(workers=1, limits=DecodeLimits(seconds=1.0, max_pixels=100), command=BAD_WORKER) as pool:
        yield pool


def refused(pool: DecoderPool, encoded: bytes) -> IntakeError:
    with pytest.raises(IntakeError) as caught:
        pool.decode(encoded, "images[0]")
    message = str(caught.value)
    assert caught.value.code in CODES
    assert message.startswith("images[0]: ")
    assert "\n" not in message
    assert "0x" not in message
    return caught.value


def pids(pool: DecoderPool) -> list[int]:
    return [each._process.pid for each in pool._live]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("kind", FILES)
def test_formats(pool, kind):
    image = pool.decode(FILES[kind])
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(open_image(FILES[kind])))


def test_upright(pool):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = pool.decode(encode("PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(image), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "JPEG2000", "EPS", "PDF", "AVIF"])
def test_other_formats_are_not_opened(pool, kind):
    if kind not in Image.SAVE:
        Image.init()
    if kind not in Image.SAVE:
        pytest.skip("this Pillow does not write it")
    error = refused(pool, encode(kind))
    assert error.code == "not_an_image"
    assert "PNG, JPEG, WebP, GIF, BMP or TIFF" in str(error)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a", b"\0" * 999]
)
def test_not_an_image(pool, content):
    assert refused(pool, content).code == "not_an_image"


@pytest.mark.parametrize(
    "bomb",
    [png_of_size(50_000, 50_000), png_of_size(1001, 1000), png_of_size(2**31 - 1, 2**31 - 1),
     FILES["GIF"][:6] + b"\xff\xff\xff\xff" + FILES["GIF"][10:],
     FILES["BMP"][:18] + struct.pack("<ii", 50_000, 50_000) + FILES["BMP"][26:]],
    ids=["png", "just too large", "largest png", "gif", "bmp"],
)  # fmt: skip
def test_bombs(pool, bomb):
    began = time.monotonic()
    error = refused(pool, bomb)
    assert error.code == "too_many_pixels"
    assert "1000000 pixels" in str(error)
    assert time.monotonic() - began < 5


def test_bytes(pool):
    error = refused(pool, b"\0" * 2_000_001)
    assert error.code == "too_large"
    assert "2000000 bytes" in str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux")
def test_memory():
    big = encode("PNG", Image.new("RGB", (8000, 5000)), compress_level=1)
    with DecoderPool(workers=1, limits=DecodeLimits(memory_mib=200)) as pool:
        error = refused(pool, big)
        assert error.code == "too_large"
        assert "200 MiB" in str(error)
        assert pool.decode(FILES["PNG"]).size == (40, 30)


@pytest.mark.parametrize("kind", FILES)
def test_truncated(pool, kind):
    for length in (1, 10, len(FILES[kind]) // 3, len(FILES[kind]) // 2):
        assert refused(pool, FILES[kind][:length]).code == "not_an_image"


@pytest.mark.parametrize("kind", FILES)
def test_mutations_give_an_image_or_one_clear_error(pool, kind):
    chance, codes = random.Random(kind), set()
    for _ in range(60):
        damaged = bytearray(FILES[kind])
        for _ in range(chance.randint(1, 8)):
            # Headers matter most, so half of the changes go there.
            at = chance.randrange(min(len(damaged), 64) if chance.random() < 0.5 else len(damaged))
            damaged[at] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        try:
            image = pool.decode(bytes(damaged))
        except IntakeError as error:
            codes.add(error.code)
        else:
            assert image.mode == "RGB"
            assert image.width * image.height <= 1_000_000
    assert codes <= {"not_an_image", "too_many_pixels", "too_large"}


def test_random_bytes(pool):
    chance = random.Random(0)
    for kind in FILES:
        assert refused(pool, FILES[kind][:16] + chance.randbytes(500)).code in ("not_an_image", "too_many_pixels")


def test_fifty_threads_and_two_workers(pool):
    kinds = [list(FILES)[at % len(FILES)] for at in range(50)]
    with ThreadPoolExecutor(50) as threads:
        images = list(threads.map(lambda kind: pool.decode(FILES[kind]), kinds))
    for kind, image in zip(kinds, images, strict=True):
        np.testing.assert_array_equal(np.asarray(image), np.asarray(open_image(FILES[kind])))
    assert len(pids(pool)) <= 2


def test_workers_stay(pool):
    pool.decode(FILES["PNG"])
    before = set(pids(pool))
    for content in (FILES["PNG"], b"hello", png_of_size(50_000, 50_000), FILES["GIF"][:50], FILES["JPEG"]):
        try:
            pool.decode(content)
        except IntakeError:
            continue
    assert set(pids(pool)) == before


# Workers that misbehave


@pytest.mark.parametrize(
    ("word", "code"),
    [("hang", "timeout"), ("half", "timeout"), ("die", "decoder_failed"), ("huge", "decoder_failed"),
     ("none", "decoder_failed"), ("odd", "decoder_failed")],
)  # fmt: skip
def test_a_worker_that_misbehaves_is_replaced(bad_pool, word, code):
    assert bad_pool.decode(b"fine").tobytes() == b"abc"
    (before,) = pids(bad_pool)
    began = time.monotonic()
    assert refused(bad_pool, word.encode()).code == code
    assert time.monotonic() - began < 5
    assert gone(before)
    assert bad_pool.decode(b"fine").tobytes() == b"abc"
    assert pids(bad_pool) != [before]


def test_cpu_time():
    with DecoderPool(workers=1, limits=DecodeLimits(seconds=30), command=BAD_WORKER) as pool:
        assert refused(pool, b"burn").code == "timeout"
        assert pool.decode(b"fine").size == (1, 1)


def test_killed_in_the_middle_hurts_no_other():
    with (
        DecoderPool(workers=2, limits=DecodeLimits(seconds=30), command=BAD_WORKER) as pool,
        ThreadPoolExecutor(1) as threads,
    ):
        hanging = threads.submit(pool.decode, b"hang")
        while not pids(pool):
            time.sleep(0.01)
        (victim,) = pids(pool)
        assert pool.decode(b"fine").size == (1, 1)
        time.sleep(0.3)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(IntakeError) as caught:
            hanging.result(10)
        assert caught.value.code == "decoder_failed"
        assert pool.decode(b"fine").size == (1, 1)


def test_killed_while_idle_is_not_noticed():
    with DecoderPool(workers=1) as pool:
        pool.decode(FILES["PNG"])
        (victim,) = pids(pool)
        os.kill(victim, signal.SIGKILL)
        time.sleep(0.3)
        assert pool.decode(FILES["PNG"]).size == (40, 30)


def test_queue(bad_pool):
    limits = DecodeLimits(seconds=20, queue_seconds=0.2)
    with (
        DecoderPool(workers=1, limits=limits, command=BAD_WORKER) as pool,
        ThreadPoolExecutor(1) as threads,
    ):
        hanging = threads.submit(pool.decode, b"hang")
        while not pids(pool):
            time.sleep(0.01)
        error = refused(pool, b"fine")
        assert error.code == "busy"
        assert "0.2 seconds" in str(error)
        pool.close()
        with pytest.raises(IntakeError) as caught:
            hanging.result(10)
        assert caught.value.code == "closed"


@pytest.mark.parametrize("command", [(*BAD_WORKER, "stranger"), (sys.executable, "-c", ""), ("/no/such/program",)])
def test_a_command_that_is_no_worker(command):
    with DecoderPool(workers=1, command=command) as pool:
        for _ in range(2):
            assert refused(pool, b"fine").code == "decoder_failed"


def test_keys_of_the_server_do_not_reach_workers(bad_pool, monkeypatch):
    monkeypatch.setenv("VL2_SECRET", "key")
    assert bad_pool.decode(b"environment").tobytes() == b"no."


def test_close_ends_everything():
    before = threading.active_count()
    pool = DecoderPool(workers=2)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(pool.decode, [FILES["PNG"]] * 8))
    workers = pids(pool)
    assert workers
    pool.close()
    pool.close()
    assert all(gone(pid) for pid in workers)
    assert refused(pool, FILES["PNG"]).code == "closed"
    assert pids(pool) == []
    assert threading.active_count() == before


def test_workers_count():
    with pytest.raises(ValueError, match="workers = 0"):
        DecoderPool(workers=0)


def test_statuses_of_the_worker():
    assert worker.decode(FILES["BMP"], 1200) == (worker.Status.DECODED, (40, 30), PIXELS.tobytes())
    assert worker.decode(FILES["BMP"], 1199)[0] == worker.Status.TOO_MANY_PIXELS
    assert worker.decode(b"", 1)[0] == worker.Status.NOT_AN_IMAGE
