"""Records: one JSON object a line, for evaluation and for fine-tuning on one's own data.

    {"id": "receipt/7", "images": ["images/7.png"], "question": "What is the total?", "answers": ["12.50"], "metric": "anls"}

For metric "iou" the question is the phrase to locate and answers hold {"label": ..., "box": [x0, y0, x1, y1]} in pixels;
no answers mean that it is not there. For "cer" and "wer" an empty question asks for a full reading.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vl2.files import write_whole
from vl2.processing.boxes import Box, Region

METRICS = ("anls", "relaxed_accuracy", "exact", "cer", "wer", "iou")
_KEYS = {"id", "images", "question", "answers", "metric", "task"}


class RecordError(ValueError):
    """A line that is no record; names file, line and field."""


@dataclass(frozen=True)
class Record:
    """A question about images.

    images: paths, absolute or relative to the working directory (read_records resolves them against the file).
    answers: strings, any of which is right; for metric "iou" the regions that must be found, all of them.
    task: what results are grouped by.
    """

    id: str
    images: tuple[str, ...]
    question: str
    answers: tuple[str | Region, ...]
    metric: str
    task: str


def read_records(path: Path) -> Iterator[Record]:
    """Records of a JSONL file; blank lines are skipped. Raises RecordError naming file, line and field."""
    seen: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _parse(json.loads(line), path.parent)
        except json.JSONDecodeError as error:
            raise RecordError(f"{path}:{number}: not JSON ({error})") from error
        except RecordError as error:
            raise RecordError(f"{path}:{number}: {error}") from None
        if record.id in seen:
            raise RecordError(f"{path}:{number}: id {record.id!r} already stands on line {seen[record.id]}")
        seen[record.id] = number
        yield record


def _parse(values: Any, base: Path) -> Record:
    if not isinstance(values, dict):
        raise RecordError(f"expected an object, got {type(values).__name__}")
    unknown, missing = values.keys() - _KEYS, _KEYS - {"task"} - values.keys()
    if unknown or missing:
        kind, names = ("unknown", unknown) if unknown else ("missing", missing)
        raise RecordError(f"{kind} field {', '.join(sorted(names))}; fields are {', '.join(sorted(_KEYS))}")
    for key in ("id", "question", "metric", "task"):
        if not isinstance(values.get(key, ""), str):
            raise RecordError(f"{key} = {values[key]!r}: expected a string")
    metric = values["metric"]
    if metric not in METRICS:
        raise RecordError(f"metric = {metric!r}: must be one of {', '.join(METRICS)}")
    images, answers = values["images"], values["answers"]
    if not isinstance(images, list) or not images or not all(isinstance(i, str) and i for i in images):
        raise RecordError(f"images = {images!r}: expected a list of at least one path")
    if not isinstance(answers, list) or (metric != "iou" and not answers):
        raise RecordError(f"answers = {answers!r}: expected a list of at least one answer")
    if metric == "iou" and not values["question"]:
        raise RecordError("question = '': metric iou needs the phrase to locate")
    parse = _region if metric == "iou" else _string
    return Record(
        id=values["id"],
        images=tuple(str(base / image) for image in images),
        question=values["question"],
        answers=tuple(parse(answer) for answer in answers),
        metric=metric,
        task=values.get("task") or values["id"].split("/")[0],
    )


def _string(answer: Any) -> str:
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise RecordError(f"answers: {answer!r} is not a string")
    return str(answer)


def _region(answer: Any) -> Region:
    box = answer.get("box") if isinstance(answer, dict) else None
    label = answer.get("label", "") if isinstance(answer, dict) else None
    numbers = isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) and math.isfinite(v) for v in box)
    if not isinstance(label, str) or not numbers:
        raise RecordError(f'answers: {answer!r}: expected {{"label": "...", "box": [x0, y0, x1, y1]}}')
    assert isinstance(box, list)
    if box[0] > box[2] or box[1] > box[3]:
        raise RecordError(f"answers: box {box}: expected x0 <= x1 and y0 <= y1")
    return Region(label, Box(*map(float, box)))


def write_records(records: Iterable[Record], path: Path) -> None:
    """Write records whole or not at all; image paths are stored as they are."""
    with write_whole(path) as staging, staging.open("w", encoding="utf-8") as file:
        for record in records:
            answers = [{"label": a.label, "box": list(a.box)} if isinstance(a, Region) else a for a in record.answers]
            row = {"id": record.id, "images": list(record.images), "question": record.question, "answers": answers}
            file.write(json.dumps({**row, "metric": record.metric, "task": record.task}, ensure_ascii=False) + "\n")
