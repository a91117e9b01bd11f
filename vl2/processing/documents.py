"""Opening documents: pages of a PDF or a TIFF, one after the other, as upright RGB images. An image is one page.

    path, bytes --open_document--> Document --page(number, canvases)--> rendered or decoded when asked for --> RGB

The trap: PDFium is not safe to use from several threads, so every call of it happens under one lock.
"""

import math
import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from vl2.processing.images import (
    DEFAULT_MAX_PIXELS,
    ImageError,
    damaged_image,
    open_image,
    opened_image,
    read_source,
    upright_rgb,
)

DEFAULT_MAX_PAGES = 500  # of one reading: hours on a CPU, so more has to be asked for
MAX_DPI = 150  # ordinary print of 10 points is then 20 pixels high
_POINTS_PER_INCH = 72
_WRONG_PASSWORD = 4  # FPDF_ERR_PASSWORD
_PDF_START = 1024  # bytes in which readers look for the header
_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:(-)\s*(\d{1,9})?\s*)?", re.ASCII)
_pdfium = threading.Lock()


class DocumentError(ValueError):
    """A document that cannot be opened, or pages that it does not have; says which."""


class NeedsPassword(DocumentError):
    """A PDF that cannot be opened without its password."""


class Pages(Protocol):
    """What a document consists of."""

    def __len__(self) -> int: ...
    def render(self, index: int, canvases: Sequence[tuple[int, int]]) -> Image.Image: ...
    def close(self) -> None: ...


class Document:
    """Pages that are rendered when they are asked for. Build with `open_document`; a context manager closes it.

    name: of the file, for messages.
    is_image: whether it is a plain image rather than a PDF or a file of several pages.
    """

    def __init__(self, name: str, pages: Pages, is_image: bool) -> None:
        self.name, self.is_image, self._pages = name, is_image, pages
        self.num_pages = len(pages)

    def page(self, number: int, canvases: Sequence[tuple[int, int]]) -> Image.Image:
        """A page, counted from 1, upright and in RGB. Raises DocumentError or ImageError.

        canvases: (width, height) of what the model's tiling can show, `VL2Config.candidate_resolutions`.
        """
        assert 1 <= number <= self.num_pages
        return self._pages.render(number - 1, canvases)

    def close(self) -> None:
        self._pages.close()

    def __enter__(self) -> "Document":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_document(source: Image.Image | Path | str | bytes, max_pixels: int | None = None) -> Document:
    """Open a PDF (needs `vl2[pdf]`), a TIFF of any number of pages, or an image.

    max_pixels: limit on a page, as for images, and on every image that a page of a PDF holds.

    Raises: DocumentError, ImageError.
    """
    max_pixels = DEFAULT_MAX_PIXELS if max_pixels is None else max_pixels
    if isinstance(source, Image.Image):
        return Document("image", _Picture(source, max_pixels), is_image=True)
    name = "document" if isinstance(source, bytes) else str(source)
    encoded = read_source(source)
    if is_pdf(encoded):
        return Document(name, _Pdf(encoded, name, max_pixels), is_image=False)
    if name.lower().endswith(".pdf"):
        what = "does not begin like a PDF" if encoded else "is empty"
        raise DocumentError(f"{name}: damaged PDF (the file {what})")
    frames = _Frames(encoded, name, max_pixels)
    return Document(name, frames, is_image=len(frames) == 1)


def is_pdf(encoded: bytes) -> bool:
    """Whether a file begins like a PDF."""
    return b"%PDF-" in encoded[:_PDF_START]


def choose_pages(
    document: Document, pages: str | Iterable[int] | None = None, max_pages: int | None = None
) -> list[int]:
    """Numbers of the pages to read, each once. Raises DocumentError.

    Args:
        pages: as "1-3,7", "5-" (to the end) or numbers from 1, in the order wanted; None is all.
        max_pages: limit on how many they are; None: DEFAULT_MAX_PAGES.
    """
    max_pages = DEFAULT_MAX_PAGES if max_pages is None else max_pages
    if pages is not None and not isinstance(pages, str):
        pages = list(pages)
    if max_pages < 1:
        raise DocumentError(f"max_pages = {max_pages}: must be positive")
    last = document.num_pages
    ranges = [(1, last)] if pages is None else _ranges(pages, last)
    chosen: dict[int, None] = {}
    for start, end in ranges:
        if not 1 <= start <= end <= last:
            raise DocumentError(f"pages = {pages!r}: {document.name} has pages 1 to {last}")
        chosen |= dict.fromkeys(range(start, end + 1))
    if not chosen:
        raise DocumentError(f"pages = {pages!r}: no page; write for example 1-3,7")
    if len(chosen) > max_pages:
        raise DocumentError(
            f"{document.name}: {len(chosen)} pages exceed the limit of {max_pages}; choose some with pages, "
            "or raise max_pages"
        )
    return list(chosen)


def page_scale(width: float, height: float, canvases: Sequence[tuple[int, int]]) -> float:
    """Pixels a point at which a page of (width, height) points is rendered.

    As many as the roomiest canvas for its shape can show: tiling shrinks anything finer to that, which blurs it, and
    cannot add what a coarser one lacks. Small pages stop at MAX_DPI, beyond which more tiles show nothing new.
    """
    fitting = max(min(canvas_w / width, canvas_h / height) for canvas_w, canvas_h in canvases)
    return min(fitting, MAX_DPI / _POINTS_PER_INCH)


def _ranges(pages: str | Iterable[int], last: int) -> list[tuple[int, int]]:
    if not isinstance(pages, str):
        return [(int(number), int(number)) for number in pages]
    found: list[tuple[int, int]] = []
    for part in pages.split(","):
        match = _RANGE.fullmatch(part)
        if not match:
            raise DocumentError(f"pages = {pages!r}: must be numbers and ranges, for example 1-3,7 or 5-")
        start, dash, end = match.groups()
        found.append((int(start), int(end) if end else last if dash else int(start)))
    return found


class _Picture:
    """One image that is already open."""

    def __init__(self, image: Image.Image, max_pixels: int) -> None:
        self._image, self._max_pixels = image, max_pixels

    def __len__(self) -> int:
        return 1

    def render(self, index: int, canvases: Sequence[tuple[int, int]]) -> Image.Image:
        return open_image(self._image, self._max_pixels)

    def close(self) -> None:
        pass


class _Frames:
    """Frames of a TIFF; of other images, animations among them, the first. Encoded bytes are all that is kept."""

    def __init__(self, encoded: bytes, name: str, max_pixels: int) -> None:
        self._encoded, self._name, self._max_pixels = encoded, name, max_pixels
        with opened_image(encoded, name, max_pixels) as image:
            try:
                self._count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            except Exception as error:  # decoders raise a dozen types on damaged data
                raise damaged_image(name, error) from error

    def __len__(self) -> int:
        return self._count

    def render(self, index: int, canvases: Sequence[tuple[int, int]]) -> Image.Image:
        with opened_image(self._encoded, self._name, self._max_pixels) as image:
            try:
                image.seek(index)
            except Exception as error:
                raise damaged_image(self._name, error) from error
            return upright_rgb(image, self._name, self._max_pixels)

    def close(self) -> None:
        pass


class _Pdf:
    """Pages of a PDF. PDFium turns them upright and draws what was filled into forms."""

    def __init__(self, encoded: bytes, name: str, max_pixels: int) -> None:
        try:
            import pypdfium2
        except ImportError:
            raise DocumentError(f"{name}: PDFs need pypdfium2: pip install 'pypdfium2>=5' (extra vl2[pdf])") from None
        self._library, self._name, self._max_pixels = pypdfium2, name, max_pixels
        with _pdfium:
            try:
                self._pdf = pypdfium2.PdfDocument(encoded)
                self._pdf.init_forms()
                self._count = len(self._pdf)
            except pypdfium2.PdfiumError as error:
                if error.err_code == _WRONG_PASSWORD:
                    advice = "save a copy without one, for example with qpdf --decrypt"
                    raise NeedsPassword(f"{name}: encrypted PDF, which needs a password; {advice}") from None
                raise DocumentError(f"{name}: damaged PDF ({error})") from error
        if not self._count:
            self.close()
            raise DocumentError(f"{name}: a PDF without pages, or a damaged one")

    def __len__(self) -> int:
        return self._count

    def render(self, index: int, canvases: Sequence[tuple[int, int]]) -> Image.Image:
        with _pdfium:
            try:
                page = self._pdf[index]
                try:
                    return self._draw(page, canvases)
                finally:
                    page.close()
            except self._library.PdfiumError as error:
                raise DocumentError(f"{self._name}: damaged page ({error})") from error

    def _draw(self, page: Any, canvases: Sequence[tuple[int, int]]) -> Image.Image:
        width, height = page.get_size()
        if not (width > 0 and height > 0 and math.isfinite(width + height)):
            raise DocumentError(f"{self._name}: a page of {width:g} x {height:g} points; it must have an area")
        # PDFium rounds sizes up; a pixel more than the canvas would be resized a second time.
        scale = page_scale(width, height, canvases) * (1 - 1e-6)
        self._check_pixels("a page", (math.ceil(width * scale), math.ceil(height * scale)))
        for image in page.get_objects(filter=[self._library.raw.FPDF_PAGEOBJ_IMAGE]):
            self._check_pixels("an image on the page", image.get_px_size())
        bitmap = page.render(scale=scale)
        try:
            return bitmap.to_pil().convert("RGB").copy()  # its pixels outlive the bitmap
        finally:
            bitmap.close()

    def _check_pixels(self, what: str, size: tuple[int, int]) -> None:
        if size[0] * size[1] > self._max_pixels:
            raise ImageError(
                f"{self._name}: {what} of {size[0]} x {size[1]} pixels exceeds the limit of {self._max_pixels}; "
                "scale it down, or raise max_pixels if you trust it"
            )

    def close(self) -> None:
        with _pdfium:
            self._pdf.close()
