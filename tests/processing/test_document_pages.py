"""Documents that are made here: PDFs by Pillow (scans), by PDFium (text) and by hand (damage), TIFFs by Pillow."""

import contextlib
import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pypdfium2 import raw

from vl2.config import PRESETS
from vl2.processing.documents import MAX_DPI, DocumentError, choose_pages, open_document, page_scale
from vl2.processing.images import ImageError
from vl2.processing.tiling import choose_canvas

CANVASES = PRESETS["nano"].candidate_resolutions
COLOURS = ("red", "lime", "blue")


def sheets(size: tuple[int, int] = (72, 36)) -> list[Image.Image]:
    """One colour a page, so that a page can be told by a pixel; the upper left corner is black."""
    pages = [Image.new("RGB", size, colour) for colour in COLOURS]
    for page in pages:
        page.paste("black", (0, 0, size[0] // 4, size[1] // 4))
    return pages


def save(path: Path, pages: Sequence[Image.Image], **options: Any) -> Path:
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)
    return path


def is_colour(image: Image.Image, colour: str) -> bool:
    """Its middle, as JPEG keeps it."""
    wanted = np.asarray(Image.new("RGB", (1, 1), colour)).astype(int)
    return bool(np.abs(np.asarray(image)[image.height // 2, image.width // 2] - wanted).max() < 12)


def pdf_of(body: str, trailer: str = "") -> bytes:
    """A PDF by hand; readers rebuild the table of objects that it does not have."""
    return f"%PDF-1.4\n{body}\ntrailer << /Root 1 0 R {trailer} >>\n%%EOF\n".encode()


def text_pdf(lines: Sequence[str], size: tuple[float, float] = (200, 100), rotation: int = 0) -> bytes:
    """One page of text that is text, not pixels."""
    pdf = pypdfium2.PdfDocument.new()
    page = pdf.new_page(*size)
    for row, line in enumerate(lines):
        item = raw.FPDFPageObj_NewTextObj(pdf, b"Helvetica", 12)
        encoded = (line + "\0").encode("utf-16-le")
        raw.FPDFText_SetText(item, (ctypes.c_ushort * (len(encoded) // 2)).from_buffer_copy(encoded))
        raw.FPDFPageObj_Transform(item, 1, 0, 0, 1, 10, size[1] - 20 - 16 * row)
        raw.FPDFPage_InsertObject(page, item)
    page.gen_content()
    page.set_rotation(rotation)
    out = Path("text.pdf")
    pdf.save(out)
    pdf.close()
    return out.read_bytes()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["a.pdf", "a.tiff"])
def test_pages_in_any_order(name: str) -> None:
    save(Path(name), sheets())
    for source in (Path(name), name, Path(name).read_bytes()):
        with open_document(source) as document:
            assert (document.num_pages, document.is_image) == (3, False)
            for number in (3, 1, 2, 2):
                page = document.page(number, CANVASES)
                assert page.mode == "RGB"
                assert is_colour(page, COLOURS[number - 1])
                assert max(page.getpixel((2, 2))) < 30  # type: ignore[arg-type, type-var]


def test_an_image_is_a_document_of_one_page() -> None:
    first, second, _ = sheets()
    first.save("a.png")
    save(Path("b.gif"), [first, second])  # an animation
    first.save("c.tif")
    for source in ("a.png", "b.gif", "c.tif", first):
        with open_document(source) as document:
            assert (document.num_pages, document.is_image) == (1, True)
            assert document.page(1, CANVASES).size == (72, 36)


def test_frames_are_turned_upright_each_for_itself() -> None:
    first, second, _ = sheets()
    turned = Image.Exif()
    turned[0x0112] = 6
    second.encoderinfo = {"exif": turned}
    save(Path("a.tiff"), [first, second])
    with open_document("a.tiff") as document:
        assert [document.page(number, CANVASES).size for number in (1, 2)] == [(72, 36), (36, 72)]


def test_text_is_rendered_sharp_and_rotated_pages_upright() -> None:
    with open_document(text_pdf(["Total 12.50"])) as document:
        page = document.page(1, CANVASES)
    assert page.size == (417, 209)  # 200 x 100 points at 150 dots an inch
    assert np.asarray(page).min() < 60
    with open_document(text_pdf(["Total 12.50"], rotation=90)) as document:
        turned = document.page(1, CANVASES)
    assert turned.size == (209, 417)


@given(st.floats(10, 5000), st.floats(10, 5000))
def test_pages_fill_the_canvas_that_tiling_chooses(width: float, height: float) -> None:
    """So that tiling does not resize them, but by the rounding of a pixel."""
    scale = page_scale(width, height, CANVASES)
    assert scale <= MAX_DPI / 72
    size = round(width * scale), round(height * scale)
    canvas = choose_canvas(max(1, size[0]), max(1, size[1]), CANVASES)
    assert size[0] <= canvas[0] + 1
    assert size[1] <= canvas[1] + 1


def test_huge_pages_are_small_pictures() -> None:
    page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 14400 14400] >>"
    body = f"1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj 2 0 obj << /Type /Pages /Kids [{page}] /Count 1 >> endobj"
    with open_document(pdf_of(body)) as document:
        assert document.page(1, CANVASES).size == (1152, 1152)


def test_limit_on_pixels() -> None:
    """Of pages, and of images on them."""
    save(Path("a.pdf"), sheets((900, 900)), resolution=600)
    with (
        open_document("a.pdf", max_pixels=300 * 300) as document,
        pytest.raises(ImageError, match=r"a\.pdf: an image on the page of 900 x 900 pixels exceeds the limit of 90000"),
    ):
        document.page(1, CANVASES)
    with (
        open_document("a.pdf", 100) as document,
        pytest.raises(ImageError, match=r"a page of 225 x 225 pixels exceeds"),
    ):
        document.page(1, CANVASES)
    save(Path("a.tiff"), sheets())
    with open_document("a.tiff", 100) as document, pytest.raises(ImageError, match="72 x 36 pixels exceed the limit"):
        document.page(2, CANVASES)


ENCRYPTED = "/Encrypt << /Filter /Standard /V 1 /R 2 /O <{0}> /U <{0}> /P -4 >> /ID [<{0}> <{0}>]".format("41" * 32)
EMPTY = "1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj 2 0 obj << /Type /Pages /Kids [] /Count 0 >> endobj"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pdf", pdf_of(EMPTY, ENCRYPTED), "encrypted PDF, which needs a password; save a copy without"),
        ("a.pdf", b"%PDF-1.7\nnothing", "damaged PDF"),
        ("a.pdf", b"", "the file is empty"),
        ("a.PDF", b"no PDF", "does not begin like a PDF"),
        ("a.tiff", b"II*\0" + b"\xff" * 40, "damaged image|not an image"),
        ("a.xyz", b"words", "not an image"),
    ],
)
def test_files_that_are_no_documents(name: str, content: bytes, words: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises((DocumentError, ImageError), match=f"{name}: .*({words})") as caught:
        open_document(name)
    assert "\n" not in str(caught.value)


def test_pdf_without_pages() -> None:
    pypdfium2.PdfDocument.new().save("a.pdf")
    with pytest.raises(DocumentError, match=r"a\.pdf: (a PDF without pages|damaged PDF)"):
        open_document("a.pdf")


def test_missing_files_and_folders(folder: Path) -> None:
    for path in (folder, folder / "absent.pdf"):
        with pytest.raises(ImageError, match=path.name):
            open_document(path)


def test_any_damage_is_a_clear_error(folder: Path) -> None:
    """Cut and overwritten in many places: pages, or an error of ours."""
    whole = [save(folder / name, sheets()).read_bytes() for name in ("a.pdf", "a.tiff")]
    rng = np.random.default_rng(0)
    for encoded in whole:
        for _ in range(60):
            damaged = bytearray(encoded[: rng.integers(len(encoded))] if rng.random() < 0.5 else encoded)
            for place in rng.integers(max(1, len(damaged)), size=20):
                damaged[place : place + 1] = rng.bytes(1)
            with (
                contextlib.suppress(DocumentError, ImageError),
                open_document(bytes(damaged)) as document,
            ):
                for number in range(1, min(document.num_pages, 5) + 1):
                    document.page(number, CANVASES)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    save(Path("a.pdf"), sheets())
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(DocumentError, match=r"a\.pdf: PDFs need pypdfium2: pip install 'pypdfium2>=5'"):
        open_document("a.pdf")


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [
        (None, [1, 2, 3]), ("2", [2]), ("1-2", [1, 2]), (" 3 , 1 - 2", [3, 1, 2]), ("2-", [2, 3]), ("2,1-3", [2, 1, 3]),
        ([3, 1, 3], [3, 1]), (range(2, 4), [2, 3]),
    ],
)  # fmt: skip
def test_choice_of_pages(pages: object, numbers: list[int]) -> None:
    with open_document(save(Path("a.tiff"), sheets())) as document:
        assert choose_pages(document, pages) == numbers  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "pages", ["", "0", "4", "1-4", "3-1", "-2", "a", "1,,2", "1-999999999", "9" * 30, [], [0], "²"]
)
def test_pages_that_are_not_there(pages: object) -> None:
    with (
        open_document(save(Path("a.tiff"), sheets())) as document,
        pytest.raises(DocumentError, match="pages = "),
    ):
        choose_pages(document, pages)  # type: ignore[arg-type]


def test_limit_on_pages() -> None:
    with open_document(save(Path("a.tiff"), sheets())) as document:
        assert choose_pages(document, "1-2", max_pages=2) == [1, 2]
        with pytest.raises(DocumentError, match=r"a\.tiff: 3 pages exceed the limit of 2; choose some with pages"):
            choose_pages(document, None, max_pages=2)
        with pytest.raises(DocumentError, match="max_pages = 0: must be positive"):
            choose_pages(document, None, max_pages=0)
