"""`vl2 extract`: what an image, or each page of a document, says, as JSON of a schema.

An image gives the JSON itself; a PDF or a TIFF of several pages gives a line {"page": 1, "value": ...} for each page.
The trap: JSON that meets a schema looks certain. Values that the model would have put otherwise are named on stderr.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from vl2.cli import (
    DeviceOption,
    DtypeOption,
    MaxPixels,
    MaxTokens,
    ModelOption,
    OfflineOption,
    QuantizeOption,
    app,
    load_model,
    progress_console,
    warnings_in_one_line,
)

if TYPE_CHECKING:
    from vl2.api import Model
    from vl2.extraction import Extraction
    from vl2.processing.documents import Document


@app.command()
def extract(
    file: Annotated[Path, typer.Argument(help="An image, a PDF (needs vl2[pdf]) or a TIFF of several pages.")],
    schema: Annotated[Path, typer.Option(help="A file with the JSON schema (needs vl2[json]).")],
    at_once: Annotated[bool, typer.Option("--at-once", help="One answer for all, not one for each field.")] = False,
    pages: Annotated[str | None, typer.Option(help="Pages, as 1-3,7 or 5-; all by default.")] = None,
    max_pages: Annotated[int | None, typer.Option(help="Refuse more pages than this (500).", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None,
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    offline: OfflineOption = False,
    max_tokens: MaxTokens = 512,
    max_pixels: MaxPixels = None,
) -> None:
    """Read an image or document into JSON that meets a schema, asking for field by field."""
    from vl2.files import write_whole
    from vl2.processing.documents import choose_pages, open_document

    text = schema.read_text(encoding="utf-8")
    with open_document(file, max_pixels) as document, ExitStack() as stack:  # a mistake shows before the work
        numbers = choose_pages(document, pages, max_pages)
        loaded = load_model(model, device, dtype, offline, max_pixels, quantize)
        loaded.grammar(text)
        target = stack.enter_context(stack.enter_context(write_whole(out)).open("w", encoding="utf-8")) if out else None
        rows = _rows(loaded, document, numbers, text, {"at_once": at_once, "max_tokens": max_tokens})
        num_failed = _write(rows, target or sys.stdout, document.is_image)
    if out:
        progress_console.print(f"wrote {out}", highlight=False)
    if num_failed:
        raise typer.Exit(2)


def _rows(
    model: "Model", document: "Document", numbers: list[int], schema: str, options: dict[str, Any]
) -> Iterator[tuple[int, "Extraction | ValueError"]]:
    for number in numbers:
        try:
            yield number, model.extract(document.page(number, model.config.candidate_resolutions), schema, **options)
        except ValueError as error:
            if document.is_image:
                raise
            yield number, error


def _write(rows: Iterator[tuple[int, "Extraction | ValueError"]], target: IO[str], is_image: bool) -> int:
    """Returns how many pages failed."""
    num_failed = 0
    with warnings_in_one_line():
        for number, row in rows:
            if isinstance(row, ValueError):
                num_failed += 1
                print(f"vl2: page {number}: {' '.join(str(row).split())}", file=sys.stderr)
                shown: Any = {"page": number, "error": str(row)}
            else:
                shown = row.value if is_image else {"page": number, "value": row.value}
                for name in row.forced:
                    what = f"page {number}: {name}: the answer in words did not fit the schema; this value may be wrong"
                    progress_console.print(what, style="yellow", highlight=False, markup=False, soft_wrap=True)
            print(json.dumps(shown, ensure_ascii=False), file=target, flush=True)
    return num_failed
