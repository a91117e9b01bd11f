"""What `vl2 ocr` prints of a document: pages in their order as soon as they are there, progress on stderr.

Model.read_document: pages as they are done --kept until those before them are printed--> stdout
"""

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from vl2.cli import REPEATED, answer_as_json, progress_console, warnings_in_one_line

if TYPE_CHECKING:
    from vl2.api import Model, PageAnswer
    from vl2.processing.documents import Document

_HEADINGS = {"text": "--- page {} ---\n", "markdown": "## Page {}\n\n"}


def check_format(format: str | None, as_json: bool) -> None:
    """Raises ValueError for a format that is not there, or two at once."""
    if format not in (None, *_HEADINGS, "json"):
        raise ValueError(f"--format {format}: must be text, markdown or json")
    if as_json and format not in (None, "json"):
        raise ValueError(f"--json contradicts --format {format}; give one of them")


def read_pages(model: "Model", document: "Document", numbers: list[int], format: str, sampling: dict[str, Any]) -> None:
    """Read these pages and print them as text, markdown or one JSON object.

    A page that fails is a line on stderr, and in its place in the output; exit code 2 after all others.
    """
    done: dict[int, PageAnswer] = {}
    num_printed = 0
    with warnings_in_one_line():
        for page in model.read_document(document, numbers, len(numbers), **sampling):
            done[page.number] = page
            _report(page, len(done), len(numbers))
            while format != "json" and num_printed < len(numbers) and numbers[num_printed] in done:
                separator = "\n" if num_printed else ""
                print(separator + _as_text(done[numbers[num_printed]], format), flush=True)
                num_printed += 1
    if format == "json":
        rows = [_as_row(done[number]) for number in numbers]
        print(json.dumps({"file": document.name, "num_pages": document.num_pages, "pages": rows}, ensure_ascii=False))
    if any(page.answer is None for page in done.values()):
        raise typer.Exit(2)


def _report(page: "PageAnswer", num_done: int, num_pages: int) -> None:
    answer = page.answer
    if answer is None:
        print(f"vl2: page {page.number}: {' '.join(str(page.error).split())}", file=sys.stderr)
        return
    what = f"page {page.number} ({num_done} of {num_pages}): {answer.completion_tokens} tokens"
    progress_console.print(f"{what}, finish: {answer.finish_reason}", style="dim", highlight=False, markup=False)
    if answer.finish_reason == "repetition":
        progress_console.print(f"page {page.number}: {REPEATED}", style="yellow", highlight=False, soft_wrap=True)


def _as_text(page: "PageAnswer", format: str) -> str:
    return _HEADINGS[format].format(page.number) + (page.answer.text if page.answer else "[could not be read]")


def _as_row(page: "PageAnswer") -> dict[str, Any]:
    return {"page": page.number, **(answer_as_json(page.answer) if page.answer else {"error": page.error})}
