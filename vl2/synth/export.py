"""Writes samples as files: pictures, records.jsonl for evaluation, and a contact sheet to look over.

    generate(task, seed, 0..count) --> DIR/images/*.png, records.jsonl (a record per question), contact_sheet.png

The folder appears whole: everything is written beside it first. An existing folder with records is an error.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from vl2.synth import chinese, han
from vl2.synth.ingredients import load_font
from vl2.synth.registry import generate
from vl2.synth.sample import Question, Sample

_THUMB = 300
_CAPTION_LINES, _QUESTION_LINES = 9, 3
_SHEET_COLUMNS = 5
_SHEET_LIMIT = 40  # thumbnails


class ExportError(ValueError):
    """Samples cannot be written as asked."""


def question_records(sample: Sample, image_paths: Sequence[str], record_id: str) -> list[dict[str, Any]]:
    """One evaluation record per question of a sample; boxes are rounded to a hundredth of a pixel."""
    return [
        _record(sample, question, image_paths, f"{record_id}-{number}")
        for number, question in enumerate(sample.questions)
    ]


def follow_up_records(sample: Sample, image_paths: Sequence[str], record_id: str) -> list[dict[str, Any]]:
    """One record per follow-up, right behind the question that it follows and the right answer to that."""
    return [
        _record(sample, question, image_paths, f"{record_id}-{number}-{place}")
        | {"earlier": [[first.text, first.answers[0]]]}
        for number, first in enumerate(sample.questions)
        for place, question in enumerate(first.then)
    ]


def _record(sample: Sample, question: Question, image_paths: Sequence[str], record_id: str) -> dict[str, Any]:
    answers: list[Any] = list(question.answers)
    if question.kind == "ground":
        answers = [
            {"label": region.label, "box": [round(float(v), 2) for v in region.box]} for region in question.regions
        ]
    return {
        "id": record_id,
        "images": list(image_paths),
        "question": "" if question.kind == "read" else question.text,
        "answers": answers,
        "metric": question.metric,
        "task": sample.task,
    }


def export(
    task: str,
    count: int,
    out: Path,
    *,
    seed: int = 0,
    split: str = "train",
    penmanship: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write `count` samples of a task to the folder `out`, with `penmanship` as `generate` knows it; returns it.

    Raises ExportError for a bad count or a folder in use, and TaskError for an unknown task or split.
    """
    if count < 1:
        raise ExportError(f"count {count} is below 1; ask for at least one sample")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} exists and is not an empty folder; choose a new one")
    # an unknown task or split is reported before anything is written
    generate(task, seed, 0, split, penmanship=penmanship)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        shown = _write_samples(task, count, building, seed, split, penmanship, progress)
        contact_sheet(shown).save(building / "contact_sheet.png")
        building.chmod(0o755)
        if out.exists():
            out.rmdir()
        os.replace(building, out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return out


def _write_samples(
    task: str,
    count: int,
    folder: Path,
    seed: int,
    split: str,
    penmanship: bool,
    progress: Callable[[int], None] | None,
) -> list[Sample]:
    """Write pictures and records; returns the samples that the contact sheet shows."""
    (folder / "images").mkdir()
    shown: list[Sample] = []
    with (folder / "records.jsonl").open("w", encoding="utf-8") as lines:
        for index in range(count):
            sample = generate(task, seed, index, split, penmanship=penmanship)
            name = f"images/{task}-{split}-{seed}-{index:06d}.png"
            sample.image.save(folder / name)
            names = [name.replace(".png", f"-{place}.png") for place in range(len(sample.earlier))]
            for picture, earlier in zip(sample.earlier, names, strict=True):
                picture.image.save(folder / earlier)
            for record in question_records(sample, [*names, name], f"{task}/{split}-{seed}-{index:06d}"):
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            if len(shown) < _SHEET_LIMIT:
                shown.append(sample)
            if progress is not None:
                progress(index + 1)
    return shown


def _caption(question: Question) -> str:
    """Question and answer in one line of text."""
    if question.kind == "ground":
        boxes = ", ".join(f"({', '.join(str(round(v)) for v in region.box)})" for region in question.regions)
        return f"[find] {question.text} -> {boxes or 'absent'}"
    answer = question.answers[0] if question.answers else ""
    if question.kind == "read":
        return f"[read] {answer}"
    return f"{question.text} -> {answer}"


def _side_by_side(sample: Sample) -> tuple[Image.Image, int]:
    """All pictures of a sample, the last on the right, and where it begins."""
    pictures = [picture.image for picture in (*sample.earlier, sample)]
    if len(pictures) == 1:
        return sample.image, 0
    gap = 8
    wide = sum(picture.width + gap for picture in pictures) - gap
    whole = Image.new("RGB", (wide, max(picture.height for picture in pictures)), (205, 210, 215))
    x = 0
    for picture in pictures:
        whole.paste(picture, (x, 0))
        x += picture.width + gap
    return whole, wide - sample.image.width


def _wrapped(text: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """At most so many lines, none wider than a thumbnail; the last one says if there is more."""
    lines = chinese.wrap(text, font, _THUMB)
    if len(lines) > _QUESTION_LINES:
        lines[_QUESTION_LINES - 1 :] = [chinese.fit(lines[_QUESTION_LINES - 1], font, _THUMB - 15) + " ..."]
    return lines


def contact_sheet(samples: list[Sample]) -> Image.Image:
    """Thumbnails in rows, boxes of regions drawn in red, questions and answers below each."""
    # a Chinese font has Latin letters, too
    font = load_font(han.fonts("train", "sans")[0], 12)
    columns = min(_SHEET_COLUMNS, max(1, len(samples)))
    rows = -(-len(samples) // columns)
    cell_w, cell_h = _THUMB + 10, _THUMB + 10 + 15 * _CAPTION_LINES
    sheet = Image.new("RGB", (columns * cell_w, max(1, rows) * cell_h), (205, 210, 215))
    draw = ImageDraw.Draw(sheet)
    for place, sample in enumerate(samples):
        left, top = place % columns * cell_w + 5, place // columns * cell_h + 5
        shown, aside = _side_by_side(sample)
        scale = min(1.0, _THUMB / shown.width, _THUMB / shown.height)
        size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
        sheet.paste(shown.resize(size, Image.Resampling.LANCZOS), (left, top))
        for question in sample.questions:
            for region in question.regions:
                x0, y0, x1, y1 = (
                    (v + shift) * scale for v, shift in zip(region.box, (aside, 0, aside, 0), strict=True)
                )
                draw.rectangle((left + x0, top + y0, left + x1, top + y1), outline=(230, 20, 20))
        lines: list[str] = []
        for question in (asked for first in sample.questions for asked in (first, *first.then)):
            lines += _wrapped(_caption(question).replace("\n", " / "), font)
        for number, line in enumerate(lines[:_CAPTION_LINES]):
            draw.text((left, top + size[1] + 3 + 15 * number), line, font=font, fill=(10, 10, 60))
    return sheet
