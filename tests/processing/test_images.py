"""Every kind of image file becomes an upright RGB image, or one clear error."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vl2.processing.images import DEFAULT_MAX_PIXELS, ImageError, TooManyPixels, check_image, open_image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def two_halves(mode: str = "RGB") -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (20, 0, 40, 20))
    return image.convert(mode)


def close(image: Image.Image, at: tuple[int, int], colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    pixel = image.getpixel(at)
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


def png_of_size(width: int, height: int) -> bytes:
    """A tiny PNG file whose header claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [("PNG", "RGB", {}), ("PNG", "P", {}), ("JPEG", "RGB", {"quality": 95, "subsampling": 0}), ("WEBP", "RGB", {}),
     ("GIF", "P", {}), ("TIFF", "RGB", {}), ("TIFF", "CMYK", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}),
     ("JPEG", "CMYK", {"quality": 95}), ("BMP", "RGB", {})],
)  # fmt: skip
def test_formats(kind, mode, options, tmp_path):
    encoded = encode(two_halves(mode), kind, **options)
    path = tmp_path / "image.bin"
    path.write_bytes(encoded)
    for source in (encoded, path, str(path), Image.open(path)):
        image = open_image(source)
        assert image.mode == "RGB"
        assert image.size == (40, 20)
        assert close(image, (5, 10), RED)
        assert close(image, (35, 10), BLUE)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_first_frame_of_several(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    image = open_image(encode(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert close(image, (4, 4), RED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    original = Image.fromarray(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3)
    encoded = encode(original, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))).convert("RGB"))
    image = open_image(encoded)
    np.testing.assert_array_equal(np.asarray(image), wanted)
    np.testing.assert_array_equal(np.asarray(open_image(image)), wanted)  # not turned again
    assert image.size == ((6, 4) if orientation < 5 else (4, 6))


@pytest.mark.parametrize(
    "exif",
    [b"garbage, not EXIF", b"II*\0\xff\xff\xff\xff garbage", b"II*\0\x08\0\0\0\x05\0\x12\x01",
     b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0"],
)  # fmt: skip
def test_unreadable_metadata_does_not_hide_the_picture(exif):
    encoded = encode(two_halves(), "PNG", exif=b"Exif\0\0" + exif)
    image = open_image(encoded)
    assert image.size == (40, 20)
    assert close(image, (5, 10), RED)


def test_transparency_lies_over_white():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 128))
    for kind in ("PNG", "TIFF"):
        opened = open_image(encode(image, kind))
        assert [opened.getpixel(at) for at in [(0, 0), (1, 0), (3, 3)]] == [RED, (127, 127, 127), WHITE]
    grey = Image.new("LA", (4, 4), (0, 0))
    assert open_image(encode(grey, "PNG")).getpixel((1, 1)) == WHITE


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_colour_is_white(kind):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putpixel((1, 1), 1)
    opened = open_image(encode(image, kind, transparency=0))
    assert opened.getpixel((0, 0)) == WHITE
    assert opened.getpixel((1, 1)) == (200, 0, 0)


def test_transparent_colour_of_a_picture_without_alpha():
    image = Image.new("RGB", (4, 4), RED)
    image.putpixel((0, 0), BLUE)
    opened = open_image(encode(image, "PNG", transparency=RED))
    assert (opened.getpixel((0, 0)), opened.getpixel((1, 1))) == (BLUE, WHITE)


def test_grey_and_bilevel():
    assert open_image(encode(Image.new("L", (3, 3), 77), "PNG")).getpixel((1, 1)) == (77, 77, 77)
    assert open_image(encode(Image.new("1", (3, 3), 1), "PNG")).getpixel((1, 1)) == WHITE


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_brightness(kind):
    values = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    opened = open_image(encode(Image.fromarray(values), kind))
    assert np.asarray(opened)[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [(np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]), (np.array([[0, 100, 255]], np.float32), [0, 100, 255]),
     (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]), (np.array([[0, 7, 255]], np.int32), [0, 7, 255]),
     (np.array([[0, 2**20, 2**21]], np.int32), [0, 128, 255]), (np.array([[0, 0, 0]], np.float32), [0, 0, 0])],
)  # fmt: skip
def test_deep_greys(values, wanted):
    assert np.asarray(open_image(encode(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == wanted


def test_greys_that_are_not_numbers_are_refused():
    with pytest.raises(ImageError, match="finite"):
        open_image(Image.fromarray(np.array([[0, np.nan]], np.float32)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_truncated_files(kind, tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    path = tmp_path / "cut.bin"
    path.write_bytes(encode(noise, kind)[:-1500])
    with pytest.raises(ImageError, match=r"cut\.bin"):
        open_image(path)


def test_truncated_file_opened_by_the_caller():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with pytest.raises(ImageError, match="damaged"):
        open_image(Image.open(io.BytesIO(encode(noise, "PNG")[:-1500])))


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_not_an_image(content):
    with pytest.raises(ImageError, match=r"image: (not an|damaged) image"):
        open_image(content)


def test_formats_that_run_programs_are_not_opened():
    image = encode(two_halves(), "EPS")
    assert Image.open(io.BytesIO(image)).format == "EPS"
    with pytest.raises(ImageError, match="not an image in a format that is read here"):
        open_image(image)


def test_formats_can_be_chosen():
    bmp = encode(two_halves(), "BMP")
    assert open_image(bmp, formats=("PNG", "BMP")).size == (40, 20)
    with pytest.raises(ImageError, match="not an image in a format that is read here"):
        open_image(bmp, formats=("PNG",))


def test_unreadable_paths(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        open_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        open_image("a\0b")


def test_bombs_are_refused_before_decoding():
    for width, height in [(20_000, 20_000), (60_000, 60_000)]:  # under and over Pillow's own limit
        with pytest.raises(TooManyPixels, match=rf"{width * height}|{width} x {height} .* {DEFAULT_MAX_PIXELS}"):
            open_image(png_of_size(width, height))


def test_size_limit_can_be_moved_both_ways():
    small = encode(two_halves(), "PNG")
    with pytest.raises(ImageError, match="40 x 20 pixels exceed the limit of 799"):
        open_image(small, max_pixels=799)
    with pytest.raises(ImageError, match="exceed the limit of 799"):
        open_image(two_halves(), max_pixels=799)
    assert open_image(small, max_pixels=800).size == (40, 20)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match="damaged"):  # past the limit, and only then found to be short of data
        open_image(png_of_size(200_000, 1_000), max_pixels=10**9)
    assert before == Image.MAX_IMAGE_PIXELS


FUZZED = [
    encode(two_halves(), "PNG"), encode(two_halves(), "JPEG"), encode(two_halves(), "WEBP"),
    encode(two_halves("P"), "GIF"), encode(two_halves(), "TIFF"), encode(two_halves(), "TIFF", compression="tiff_lzw"),
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(FUZZED),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
    st.integers(0, 10**6),
)
def test_damaged_bytes_give_an_image_or_one_clear_error(encoded, changes, length):
    damaged = bytearray(encoded)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    try:
        image = open_image(bytes(damaged[: length or None]), max_pixels=10**6)
    except ImageError as refusal:
        message = str(refusal)
    else:
        assert image.mode == "RGB"
        return
    assert "\n" not in message


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_never_crash(content):
    with pytest.raises(ImageError):
        open_image(content)


def test_headers_are_checked_without_decoding(tmp_path):
    whole = encode(two_halves(), "PNG")
    check_image(whole)
    check_image(whole[:60])  # pixels are missing, which only decoding shows
    (tmp_path / "a.png").write_bytes(whole)
    check_image(tmp_path / "a.png")
    for source, message in (
        (tmp_path / "none.png", "no such file"),
        (tmp_path, "cannot be read"),
        (b"hello", "not an image"),
        (png_of_size(20_000, 20_000), "exceed"),
    ):
        with pytest.raises(ImageError, match=message):
            check_image(source)
    with pytest.raises(ImageError, match="exceed the limit of 99"):
        check_image(whole, max_pixels=99)
