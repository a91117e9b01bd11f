"""All tasks by name; a sample is a pure function of (task, seed, index, split).

    generate("receipt", seed=1, index=42, split="train") --> Sample

The trap: the random stream is seeded with the split as well, so no layout of the test split repeats one of training.
"""

import importlib
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np

from vl2.synth.han import by_hand
from vl2.synth.sample import SPLITS, Sample

# task -> (module, function); modules are imported when first asked for, so that one task costs no other's loading time
TASKS: dict[str, tuple[str, str]] = {
    "line": ("vl2.synth.ocr", "generate_line"),
    "paragraph": ("vl2.synth.ocr", "generate_paragraph"),
    "page": ("vl2.synth.pages", "generate"),
    "receipt": ("vl2.synth.documents", "generate_receipt"),
    "form": ("vl2.synth.documents", "generate_form"),
    "table": ("vl2.synth.tables", "generate"),
    "table-zh": ("vl2.synth.tables", "generate_zh"),
    "table-extremes": ("vl2.synth.tables", "generate_extremes"),
    "chart": ("vl2.synth.charts", "generate"),
    "real-chart": ("vl2.synth.plots", "generate"),
    "chart-zh": ("vl2.synth.plots", "generate_zh"),
    "ground": ("vl2.synth.scenes", "generate_ground"),
    "count": ("vl2.synth.scenes", "generate_count"),
    "count-many": ("vl2.synth.scenes", "generate_count_many"),
    "scene": ("vl2.synth.scenes", "generate_scene"),
    "caption": ("vl2.synth.scenes", "generate_caption"),
    "line-zh": ("vl2.synth.chinese_ocr", "generate_line"),
    "paragraph-zh": ("vl2.synth.chinese_ocr", "generate_paragraph"),
    "page-zh": ("vl2.synth.chinese_ocr", "generate_page"),
    "invoice": ("vl2.synth.invoices", "generate"),
    "invoice-zh": ("vl2.synth.invoices", "generate_zh"),
    "receipt-zh": ("vl2.synth.chinese_documents", "generate_receipt"),
    "form-zh": ("vl2.synth.chinese_documents", "generate_form"),
    "card": ("vl2.synth.cards", "generate"),
    "card-zh": ("vl2.synth.cards", "generate_zh"),
    "flow": ("vl2.synth.flows", "generate"),
    "flow-zh": ("vl2.synth.flows", "generate_zh"),
    "merged-table": ("vl2.synth.merged_tables", "generate"),
    "merged-table-zh": ("vl2.synth.merged_tables", "generate_zh"),
    "pages": ("vl2.synth.documents_of_pages", "generate"),
    "pages-zh": ("vl2.synth.documents_of_pages", "generate_zh"),
    "formula": ("vl2.synth.formulas", "generate"),
    "science": ("vl2.synth.science", "generate"),
    "science-zh": ("vl2.synth.science", "generate_zh"),
    "gui": ("vl2.synth.gui", "generate"),
    "gui-zh": ("vl2.synth.gui", "generate_zh"),
    "screen": ("vl2.synth.screens", "generate"),
    "screen-zh": ("vl2.synth.screens", "generate_zh"),
    "compare": ("vl2.synth.pairs", "generate_compare"),
    "in-context": ("vl2.synth.pairs", "generate_in_context"),
    "pointing": ("vl2.synth.pointing", "generate"),
    "pointing-zh": ("vl2.synth.pointing", "generate_zh"),
    "dialogue": ("vl2.synth.talks", "generate"),
    "unanswerable": ("vl2.synth.unanswerable", "generate"),
}
PHOTO = "-photo"  # task "receipt-photo" is task "receipt" as a camera or a scanner sees it
PHOTOGRAPHED = (
    "line", "paragraph", "page", "receipt", "form", "table", "chart", "line-zh", "paragraph-zh", "page-zh",
    "receipt-zh", "form-zh", "table-zh", "real-chart", "chart-zh", "invoice", "invoice-zh", "card", "card-zh",
    "formula", "flow", "flow-zh", "merged-table", "merged-table-zh",
    "science", "science-zh",
)  # fmt: skip
TURNED = "-turned"  # task "line-turned" is task "line", turned by several degrees
TURNING = ("line", "paragraph", "page", "line-zh", "page-zh", "receipt", "flow")
FIELDS = "-fields"  # task "receipt-fields" is task "receipt", asked about as `Model.extract` asks
FIELDED = ("receipt", "form", "invoice", "card", "receipt-zh", "form-zh", "invoice-zh", "card-zh")
HAND = "-hand"  # task "line-zh-hand" is task "line-zh" with fonts of handwriting alone
HANDWRITTEN = ("line-zh", "paragraph-zh", "page-zh", "form-zh", "flow-zh")
TASKS |= {task + PHOTO: TASKS[task] for task in PHOTOGRAPHED} | {task + TURNED: TASKS[task] for task in TURNING}
TASKS |= {task + FIELDS: TASKS[task] for task in FIELDED} | {task + HAND: TASKS[task] for task in HANDWRITTEN}
# tasks of the training split alone, and what the others have instead
TRAINING_ONLY = {"table-extremes": "table", "count-many": "count"} | {task + FIELDS: task for task in FIELDED}
TRAINING_ONLY |= {task + HAND: task for task in HANDWRITTEN}


class TaskError(ValueError):
    """No such task or split."""


def generator(task: str) -> Callable[[np.random.Generator, str], Sample]:
    """The function that draws samples of a task."""
    if task not in TASKS:
        raise TaskError(f"task {task!r} is not known; choose one of {', '.join(TASKS)}")
    module, function = TASKS[task]
    return getattr(importlib.import_module(module), function)


def generate(task: str, seed: int, index: int, split: str = "train", *, penmanship: bool = False) -> Sample:
    """Sample number `index` of a task; the same arguments give the same picture, questions and marks.

    penmanship: whether some of its text is drawn in other hands (vl2/synth/penmanship.py); never in the test split.
    """
    if split not in SPLITS:
        raise TaskError(f"split {split!r} is not known; choose one of {', '.join(SPLITS)}")
    if task in TRAINING_ONLY and split != "train":
        raise TaskError(f"task {task!r} is for training only; draw {TRAINING_ONLY[task]!r} for split {split!r}")
    if seed < 0 or index < 0:
        raise TaskError(f"seed {seed} and index {index} must not be negative")
    key = [zlib.crc32(f"{split}/{task}".encode()), seed, index]
    stream = np.random.default_rng(key)
    writers = _hands(key) if penmanship and split == "train" else nullcontext()
    with writers, by_hand() if task.endswith(HAND) else nullcontext():
        sample = generator(task)(stream, split)
    if task.endswith(HAND):
        return replace(sample, task=task)
    if task.endswith(FIELDS):
        from vl2.synth.fields import ask_fields

        return ask_fields(stream, sample, task)
    if not task.endswith((PHOTO, TURNED)):
        return sample
    try:
        from vl2.synth.camera import photograph
        from vl2.synth.turned import turn
    except ImportError as error:
        raise TaskError(f"task {task!r} needs OpenCV ({error}); pip install 'vl2[synth]'") from error
    return turn(stream, sample, task) if task.endswith(TURNED) else photograph(stream, sample, task, split)


def _hands(key: list[int]) -> AbstractContextManager[None]:
    """What is drawn inside is in part in other hands."""
    try:
        from vl2.synth.penmanship import written_by
    except ImportError as error:
        raise TaskError(f"penmanship needs OpenCV ({error}); pip install 'vl2[synth]'") from error
    return written_by(key)
