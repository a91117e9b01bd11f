"""Records: one JSON object a line, for evaluation and for fine-tuning on one's own data.

    {"id": "receipt/7", "images": ["7.png"], "question": "What is the total?", "answers": ["12.50"], "metric": "anls"}

For metric "iou" the question is the phrase to locate and answers hold {"label": ..., "box": [x0, y0, x1, y1]} in
pixels; no answers mean that it is not there. For "cer" and "wer" an empty question asks for a full reading. Without
"task" a record belongs to the part of its id before "/", or to "all" if there is none. What was asked and answered
before the question stands in "earlier": [["Is there a dog?", "yes"]].

The trap: only a line feed ends a line. A text may hold other separators of Unicode, at which str.splitlines breaks.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vl2.files import write_whole
from vl2.processing.boxes import Box, Region

METRICS = ("anls", "relaxed_accuracy", "exact", "cer", "wer", "iou")
_KEYS = {"id", "images", "question", "answers", "metric", "task", "earlier"}
_OPTIONAL = {"task", "earlier"}
_LONGEST_SHOWN = 80


class RecordError(ValueError):
    """A line that is no record; names file, line and field. `reason` is the kind of mistake, for counting."""

    def __init__(self, message: str, reason: str = "fields") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Record:
    """A question about images.

    images: paths, absolute or relative to the working directory (read_records resolves them against the file).
    answers: strings, any of which is right; for metric "iou" the regions that must be found, all of them.
    task: what results are grouped by.
    earlier: questions and answers that come before the question, after the images.
    """

    id: str
    images: tuple[str, ...]
    question: str
    answers: tuple[str | Region, ...]
    metric: str
    task: str
    earlier: tuple[tuple[str, str], ...] = ()


def read_records(path: Path) -> Iterator[Record]:
    """Records of a JSONL file; blank lines are skipped. Raises RecordError naming file, line and field."""
    seen: dict[str, int] = {}
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = parse_record(parse_json(line), path.parent)
        except RecordError as error:
            raise RecordError(f"{path}:{number}: {error}", error.reason) from None
        if record.id in seen:
            raise RecordError(f"{path}:{number}: id {record.id!r} already stands on line {seen[record.id]}")
        seen[record.id] = number
        yield record


def require_images(records: Iterable[Record]) -> None:
    """Raises RecordError for the first image that is not a file, so that a long run does not find out at its end."""
    for record in records:
        for number, image in enumerate(record.images):
            if not Path(image).is_file():
                raise RecordError(f"record {record.id!r}: images[{number}] = {image!r}: no such file")


def parse_json(line: bytes) -> Any:
    """The value of a line of JSON. Raises RecordError, which does not know the line's number."""
    try:
        return json.loads(line.decode("utf-8"), object_pairs_hook=_unique)
    except RecordError:
        raise
    except UnicodeDecodeError as error:
        raise RecordError(f"not UTF-8 at byte {error.start} of the line", "not JSON") from error
    except (ValueError, RecursionError) as error:  # no JSON, or a number with too many digits to convert
        raise RecordError(f"not JSON ({error})", "not JSON") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ; json itself would silently keep the last."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise RecordError(f"{key}: given twice in one object")
        values[key] = value
    return values


def parse_record(values: Any, base: Path) -> Record:
    """A record from parsed JSON, its images looked up in `base`. Raises RecordError naming the field."""
    if not isinstance(values, dict):
        raise RecordError(f"expected an object, got {type(values).__name__}")
    unknown, missing = values.keys() - _KEYS, _KEYS - _OPTIONAL - values.keys()
    if unknown or missing:
        kind, names = ("unknown", unknown) if unknown else ("missing", missing)
        raise RecordError(f"{kind} field {', '.join(sorted(names))}; fields are {', '.join(sorted(_KEYS))}")
    for key in ("id", "question", "metric", "task"):
        if not isinstance(values.get(key, ""), str):
            raise RecordError(f"{key} = {values[key]!r}: expected a string")
        check_characters(key, values.get(key, ""))
    if not values["id"].strip():
        raise RecordError(f"id = {values['id']!r}: empty; every record needs a name of its own")
    metric = values["metric"]
    if metric not in METRICS:
        raise RecordError(f"metric = {metric!r}: must be one of {', '.join(METRICS)}")
    images, answers = values["images"], values["answers"]
    if (
        not isinstance(images, list)
        or not images
        or not all(isinstance(i, str) and i and "\0" not in i for i in images)
    ):
        raise RecordError(f"images = {images!r}: expected a list of at least one path")
    if not isinstance(answers, list) or (metric != "iou" and not answers):
        raise RecordError(f"answers = {answers!r}: expected a list of at least one answer")
    if metric not in ("cer", "wer") and not values["question"].strip():
        asked = "the phrase to locate" if metric == "iou" else "a question (only cer and wer read without one)"
        raise RecordError(f"question = {values['question']!r}: metric {metric} needs {asked}")
    parse = _region if metric == "iou" else _string
    return Record(
        id=values["id"],
        images=tuple(str(base / image) for image in images),
        question=values["question"],
        answers=tuple(parse(answer, f"answers[{number}]") for number, answer in enumerate(answers)),
        metric=metric,
        task=values.get("task") or _task_of(values["id"]),
        earlier=_earlier(values.get("earlier", [])),
    )


def _task_of(record_id: str) -> str:
    task, slash, _ = record_id.partition("/")
    return task if slash and task else "all"


def _earlier(turns: Any) -> tuple[tuple[str, str], ...]:
    pairs = isinstance(turns, list) and all(isinstance(turn, list) and len(turn) == 2 for turn in turns)
    if not pairs or not all(isinstance(text, str) and text.strip() for turn in turns for text in turn):
        raise RecordError(f'earlier = {shown(turns)}: expected [["a question", "its answer"], ...]')
    for number, turn in enumerate(turns):
        check_characters(f"earlier[{number}]", "".join(turn))
    return tuple((question, answer) for question, answer in turns)


def shown(value: object) -> str:
    """A value for an error message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def check_characters(field: str, text: str) -> None:
    """Raises RecordError for text that no tokenizer could encode."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RecordError(f"{field} = {text!r}: half of a surrogate pair is no character")


def _string(answer: Any, field: str) -> str:
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise RecordError(f"{field} = {answer!r}: expected a string")
    check_characters(field, str(answer))
    return str(answer)


def _region(answer: Any, field: str) -> Region:
    box = answer.get("box") if isinstance(answer, dict) else None
    label = answer.get("label", "") if isinstance(answer, dict) else None
    # Comparing keeps integers beyond any float, and NaN, out of float().
    numbers = isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) and abs(v) < 1e9 for v in box)
    if not isinstance(label, str) or not numbers or set(answer) - {"label", "box"}:
        raise RecordError(f'{field} = {answer!r}: expected {{"label": "...", "box": [x0, y0, x1, y1]}} in pixels')
    assert isinstance(box, list)
    if box[0] >= box[2] or box[1] >= box[3]:
        raise RecordError(f"{field}.box = {box}: expected x0 < x1 and y0 < y1")
    check_characters(f"{field}.label", label)
    return Region(label, Box(*map(float, box)))


def write_records(records: Iterable[Record], path: Path) -> None:
    """Write records whole or not at all; image paths are stored as they are."""
    with write_whole(path) as staging, staging.open("w", encoding="utf-8") as file:
        for record in records:
            answers = [{"label": a.label, "box": list(a.box)} if isinstance(a, Region) else a for a in record.answers]
            row = {"id": record.id, "images": list(record.images), "question": record.question, "answers": answers}
            row |= {"metric": record.metric, "task": record.task}
            row |= {"earlier": record.earlier} if record.earlier else {}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
