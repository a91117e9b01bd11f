"""Documents that nobody trusts: pages drawn by workers as they are drawn here, or refused with a code."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vl2.config import PRESETS
from vl2.intake.decode import DecodeLimits, DecoderPool
from vl2.intake.errors import IntakeError
from vl2.intake.worker import COUNT, Status, decode
from vl2.processing.documents import open_document

CANVASES = PRESETS["nano"].candidate_resolutions
NOTICE = (Path(__file__).parent.parent.parent / "examples" / "notice.pdf").read_bytes()
LOCKED = (
    b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n2 0 obj << /Type /Pages /Kids [] /Count 0 >> endobj\n"
    b"3 0 obj << /Filter /Standard /V 1 /R 2 /O <" + b"00" * 32 + b"> /U <" + b"00" * 32 + b"> /P -4 >> endobj\n"
    b"trailer << /Root 1 0 R /Encrypt 3 0 R /ID [<00> <00>] >>\n%%EOF\n"
)


def tiff(*sizes: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    pages = [Image.new("L", size, 10 * number) for number, size in enumerate(sizes)]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    return out.getvalue()


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(workers=1, limits=DecodeLimits(max_pixels=1_000_000, max_bytes=2_000_000, seconds=60)) as pool:
        yield pool


def test_pages_are_those_that_are_drawn_here(pool: DecoderPool) -> None:
    for encoded in (NOTICE, tiff((30, 20), (40, 10))):
        there, here = pool.open_document(encoded), open_document(encoded)
        assert (there.num_pages, there.is_image) == (here.num_pages, here.is_image) == (2, False)
        for number in (2, 1):
            drawn = np.asarray(there.page(number, CANVASES))
            assert np.array_equal(drawn, np.asarray(here.page(number, CANVASES)))


def test_an_image_is_a_document_of_one_page(pool: DecoderPool) -> None:
    document = pool.open_document(tiff((30, 20)))
    assert (document.num_pages, document.is_image) == (1, True)
    assert document.page(1, CANVASES).size == (30, 20)


def code_of(pool: DecoderPool, encoded: bytes) -> str:
    with pytest.raises(IntakeError, match=r"^file: ") as caught:
        pool.open_document(encoded)
    return caught.value.code


def test_refusals(pool: DecoderPool) -> None:
    assert code_of(pool, b"%PDF-1.7\nnothing") == "not_an_image"
    assert code_of(pool, LOCKED) == "needs_password"
    assert code_of(pool, b"words") == "not_an_image"
    assert code_of(pool, b"P6 1 1 255 abc") == "not_an_image"  # a format that only trusted files may have
    assert code_of(pool, b"x" * 2_000_001) == "too_large"


def test_a_page_that_is_too_large(pool: DecoderPool) -> None:
    document = pool.open_document(tiff((30, 20), (1500, 1000), (9, 9)))
    with pytest.raises(IntakeError, match="pixels") as caught:
        document.page(2, CANVASES)
    assert caught.value.code == "too_many_pixels"
    assert document.page(3, CANVASES).size == (9, 9)


def test_what_a_worker_answers() -> None:
    assert decode(NOTICE, 10**6, COUNT)[:2] == (Status.COUNTED, (2, 0))
    assert decode(tiff((3, 2)), 10**6, COUNT)[:2] == (Status.COUNTED, (1, 1))
    assert decode(tiff((3, 2)), 10**6)[:2] == (Status.DECODED, (3, 2))
    assert decode(NOTICE, 10**6)[0] == Status.NOT_AN_IMAGE
