"""What Nano is measured on: rows of its table, and the pictures that other programs read, too.

    ROWS    --samples of the test split, at most two questions of a picture--> FOLDER/rows/ROW/records.jsonl, images/
    GROUPS  --lines and pages, each worn in one way only--> FOLDER/groups/GROUP/records.jsonl, images/

A row's records depend on the seed and the data engine alone: the first 100 of a larger set are those of a smaller one.

The trap: a row chooses its questions exactly as the first version's measurement did, or figures could not be held
against each other.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from vl2.data.records import read_records
from vl2.processing.images import open_image
from vl2.synth import ocr, pages
from vl2.synth.damage import Damage
from vl2.synth.export import follow_up_records, question_records
from vl2.synth.fields import ask_fields
from vl2.synth.ingredients import fonts
from vl2.synth.registry import FIELDS, TASKS, generate
from vl2.synth.sample import Question, Sample

PEERS_FILE = Path(__file__).resolve().parent.parent / "docs/nano/peers.json"
SEED = 1
PICTURES = 100  # of a group
# Pictures are carried to other machines. Without loss, two thirds of a PNG's size; photographs of rows, which no other
# program is shown, as cameras store them.
_AS_WEBP: dict[bool, dict[str, Any]] = {False: {"lossless": True, "quality": 30, "method": 2}, True: {"quality": 95}}
_OF_AN_IMAGE = 2  # questions; more of them would make the interval look narrower than it is
_MOST_SAMPLES = 6  # pictures drawn for a wanted record, before a row gives up


@dataclass(frozen=True)
class Row:
    """One row of the table.

    kinds: of questions that belong to it. begins: how their answers do.
    target: what the project wants of it, with "cer" at most, else at least.
    follows: it asks follow-ups, each behind its first question and the right answer to that.
    """

    name: str
    task: str
    metric: str
    target: float | None = None
    kinds: tuple[str, ...] = ("read", "ask", "ground", "convert")
    begins: str = ""
    follows: bool = False

    def asks(self, question: Question) -> bool:
        """Whether a question belongs to the row."""
        answer = question.answers[0] if question.answers else ""
        return question.metric == self.metric and question.kind in self.kinds and answer.startswith(self.begins)


_ASKED = ("ask",)
ROWS = (
    Row("line", "line", "cer", 0.01),
    Row("line-zh", "line-zh", "cer", 0.03),
    Row("page", "page", "cer", 0.04),
    Row("page-zh", "page-zh", "cer", 0.04),
    Row("flow", "flow", "cer", 0.04, ("read",)),
    Row("flow-zh", "flow-zh", "cer", 0.04, ("read",)),
    Row("receipt", "receipt", "anls", 0.92),
    Row("form", "form", "anls", 0.92),
    Row("invoice", "invoice", "anls", 0.92, _ASKED),
    Row("receipt-zh", "receipt-zh", "anls", 0.92, _ASKED),
    Row("form-zh", "form-zh", "anls", 0.92, _ASKED),
    Row("invoice-zh", "invoice-zh", "anls", 0.92, _ASKED),
    Row("table", "table", "exact", 0.90),
    Row("chart", "chart", "relaxed_accuracy", 0.84),
    Row("chart-zh", "chart-zh", "relaxed_accuracy", 0.84),
    Row("real-chart", "real-chart", "relaxed_accuracy", 0.84),
    Row("ground", "ground", "iou", 0.93),
    Row("gui", "gui", "iou", 0.85),
    Row("gui-zh", "gui-zh", "iou", 0.85),
    Row("count", "count", "exact", 0.92),
    Row("in-context", "in-context", "iou", 0.80),
    Row("screen", "screen", "iou"),
    Row("scene", "scene", "exact"),
    Row("paragraph", "paragraph", "cer"),
    Row("paragraph-zh", "paragraph-zh", "cer"),
    Row("flow, Markdown", "flow", "cer", None, ("convert",)),
    Row("flow-zh, Markdown", "flow-zh", "cer", None, ("convert",)),
    Row("table-zh", "table-zh", "exact", None, _ASKED),
    Row("merged-table", "merged-table", "anls", None, _ASKED),
    Row("merged-table, HTML or Markdown", "merged-table", "cer", None, ("convert",)),
    Row("merged-table-zh", "merged-table-zh", "anls", None, _ASKED),
    Row("invoice, JSON", "invoice", "anls", None, ("convert",)),
    Row("receipt, JSON", "receipt-fields", "anls", None, ("convert",), "{"),
    Row("form, JSON", "form-fields", "anls", None, ("convert",), "{"),
    Row("form-zh, ticks", "form-zh", "exact", None, _ASKED),
    Row("card", "card", "anls", None, _ASKED),
    Row("card-zh", "card-zh", "anls", None, _ASKED),
    Row("table, Markdown", "table", "cer", None, ("convert",), "|"),
    Row("chart, Markdown", "chart", "cer", None, ("convert",), "|"),
    Row("real-chart, Markdown", "real-chart", "cer", None, ("convert",), "|"),
    Row("formula", "formula", "cer", None, _ASKED),
    Row("pages", "pages", "anls", None, _ASKED),
    Row("pages-zh", "pages-zh", "anls", None, _ASKED),
    Row("pages, which page", "pages", "exact", None, _ASKED),
    Row("compare", "compare", "exact"),
    Row("compare, changes", "compare", "anls", None, _ASKED),
    Row("compare, boxes", "compare", "iou"),
    Row("pointing", "pointing", "anls", None, _ASKED),
    Row("pointing, boxes", "pointing", "iou"),
    Row("dialogue", "dialogue", "exact"),
    Row("dialogue, follow-ups", "dialogue", "exact", None, _ASKED, follows=True),
    Row("unanswerable", "unanswerable", "anls", None, _ASKED),
    Row("receipt-photo", "receipt-photo", "anls"),
    Row("page-photo", "page-photo", "cer"),
)


@dataclass(frozen=True)
class Group:
    """Pictures with text that every program reads: an engine's task, worn in one way."""

    name: str
    task: str
    wear: str

    @property
    def is_chinese(self) -> bool:
        return "-zh" in self.task

    @property
    def is_line(self) -> bool:
        return self.task.startswith("line")


GROUPS = tuple(
    Group(f"{name}, {unit}s", f"{unit}{suffix}", wear)
    for name, suffix, wear in (
        ("clean", "", "clean"),
        ("noisy", "", "noisy"),
        ("rotated", "", "rotated"),
        ("handwritten font", "", "handwritten"),
        ("photographed", "-photo", "as drawn"),
        ("Chinese", "-zh", "as drawn"),
        ("Chinese, photographed", "-zh-photo", "as drawn"),
    )
    for unit in ("line", "page")
)


def known_rows() -> list[Row]:
    """Those whose task this version of the data engine has."""
    return [row for row in ROWS if row.task in TASKS]


def wanted_of(row: Row, records: int) -> int:
    """Rows without a target are measured on two fifths of the records."""
    return records if row.target is not None else max(1, records * 2 // 5)


@contextmanager
def _worn(wear: str) -> Iterator[None]:
    """The data engine draws with one kind of wear, or with handwriting fonts and none."""

    def noisy(rng: np.random.Generator, *_: Any) -> Damage:
        noise, blur, contrast = rng.uniform((8, 0.3, 0.65), (16, 0.9, 0.9)).tolist()
        return Damage(noise=noise, blur=blur, contrast=contrast, coloured_noise=True, jpeg=int(rng.integers(35, 60)))

    def hand(rng: np.random.Generator, split: str) -> tuple[str, bool]:
        faces = fonts(split, "hand")
        return faces[int(rng.integers(len(faces)))], False

    with ExitStack() as stack:
        if wear != "as drawn":
            draw = noisy if wear == "noisy" else lambda *_: Damage()
            stack.enter_context(patch.object(Damage, "draw", staticmethod(draw)))
        if wear == "handwritten":
            stack.enter_context(patch.object(ocr, "choose_font", hand))
            stack.enter_context(patch.object(pages, "choose_font", hand))
        yield


def _turned(image: Image.Image, index: int) -> Image.Image:
    """By two to eight degrees, on a ground of the picture's own corner."""
    rng = np.random.default_rng([SEED, index])
    angle = float(rng.uniform(2, 8) * rng.choice([-1, 1]))
    corner = image.getpixel((0, 0))
    return image.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=corner)  # type: ignore[arg-type]


def path_of(folder: Path, part: Row | Group) -> Path:
    """Where the records of a row or group lie."""
    kind = "rows" if isinstance(part, Row) else "groups"
    return folder / kind / slug(part.name) / "records.jsonl"


def slug(name: str) -> str:
    """A name as part of a path."""
    return name.replace(", ", "-").replace(" ", "-")


def digest(path: Path, number: int) -> str:
    """Of what the first records of a file ask, and of every pixel; the same whatever the pictures are stored as."""
    found = sha256()
    for record in islice(read_records(path), number):
        found.update(json.dumps([record.id, record.question, *map(str, record.answers)]).encode())
        for image in record.images:
            picture = open_image(image)
            found.update(str(picture.size).encode() + picture.tobytes())
    return found.hexdigest()


def _write(path: Path, name: str, wanted: int, draw: Callable[[int], tuple[Sample, list[dict[str, Any]]]]) -> Path:
    """Samples until there are enough records; the folder appears whole."""
    if path.exists():
        if len(path.read_bytes().splitlines()) != wanted:
            raise ValueError(f"{path}: holds another number of records than {wanted}; delete its folder")
        return path
    folder = path.parent.parent
    folder.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    lines: list[str] = []
    try:
        (building / "images").mkdir()
        for index in range(_MOST_SAMPLES * wanted):
            if len(lines) == wanted:
                break
            sample, records = draw(index)
            for record in records[: wanted - len(lines)]:
                record["task"] = name
                lines.append(json.dumps(record, ensure_ascii=False))
            for place, picture in enumerate((*sample.earlier, sample) if records else ()):
                picture.image.save(building / _image_name(index, place), **_AS_WEBP[name.endswith("-photo")])
        if len(lines) < wanted:
            raise ValueError(f"{name}: {len(lines)} of {wanted} records in {_MOST_SAMPLES * wanted} samples")
        (building / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        building.chmod(0o755)
        os.replace(building, path.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return path


def _image_name(index: int, place: int) -> str:
    return f"images/{index:06d}-{place}.webp"


def _records(
    sample: Sample, task: str, index: int, fits: Callable[[Question], bool], follows: bool = False
) -> list[dict[str, Any]]:
    """The first questions, or follow-ups, of a sample that belong to a row."""
    names = [_image_name(index, place) for place in range(len(sample.earlier) + 1)]
    make = follow_up_records if follows else question_records
    records = make(sample, names, f"{task}/test-{SEED}-{index:06d}")
    asked = [after for first in sample.questions for after in first.then] if follows else sample.questions
    chosen = [record for record, question in zip(records, asked, strict=True) if fits(question)]
    return chosen[:_OF_AN_IMAGE]


def _sample(task: str, index: int) -> Sample:
    """Of the test split. "-fields" is for training only: here the questions of extraction about its task's sample."""
    if task.endswith(FIELDS):
        whole = generate(task.removesuffix(FIELDS), SEED, index, "test")
        return ask_fields(np.random.default_rng([SEED, index]), whole, task)
    return generate(task, SEED, index, "test")


def make_row(folder: Path, row: Row, wanted: int) -> Path:
    """The first `wanted` records of a row, unless they are there already."""

    def draw(index: int) -> tuple[Sample, list[dict[str, Any]]]:
        sample = _sample(row.task, index)
        found = _records(sample, row.task, index, row.asks, row.follows)
        for record in found:  # several rows may ask about one task
            record["id"] = f"{row.name}: {record['id']}"
        return sample, found

    return _write(path_of(folder, row), row.name, wanted, draw)


def make_group(folder: Path, group: Group) -> Path:
    """The pictures of a group, one reading each, unless they are there already."""

    def draw(index: int) -> tuple[Sample, list[dict[str, Any]]]:
        with _worn(group.wear):
            sample = generate(group.task, SEED + 1, index, "test")
        if group.wear == "rotated":
            object.__setattr__(sample, "image", _turned(sample.image, index))
        found = _records(sample, group.task, index, lambda q: q.kind == "read")[:1]
        for record in found:
            record["id"] = f"{group.name}: {record['id']}"
        return sample, found

    return _write(path_of(folder, group), group.name, PICTURES, draw)
