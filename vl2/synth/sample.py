"""What a generator hands back: an image (or several), questions about it, a dense label for everything drawn on it.

    generator --> Sample(image, questions, mark_ids, mark_boxes, mark_extents)
    mark_ids:     what was drawn (a character, a bar, an icon concept)      mark_boxes: where, in pixels of the image
    mark_extents: the box of the whole it belongs to: of its line of text, or its own
    vl2.synth.patches turns marks into labels of patches for the tower's training-only head

The trap: marks are ordered, later ones cover earlier ones, as ink does.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from vl2.processing.boxes import Region

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")

# Label ids: 0 background, 1..95 printable ASCII (chr(31 + id)), 96 any other character, 97..127 structure, 128.. icons,
# 528.. Chinese characters, one each, then their punctuation; the last few are for more of them.
BACKGROUND = 0
OTHER_CHARACTER = 96
FIRST_STRUCTURE = 97
FIRST_CONCEPT = 128
FIRST_HAN = 528
NUM_LABELS = 4096
STRUCTURES: tuple[str, ...] = (
    "bar", "line point", "line segment", "pie slice", "legend swatch", "axis", "grid line", "tick", "rule",
    "dashed rule", "box border", "cell", "header cell", "checkbox", "checked box", "radio button", "selected radio",
    "input field", "underline", "barcode", "qr code", "logo", "stamp", "signature", "button", "bullet", "frame",
    "shape", "strike", "highlight", "separator",
)  # fmt: skip


def structure_id(name: str) -> int:
    """The label id of a structure mark; `name` must be one of STRUCTURES."""
    return FIRST_STRUCTURE + STRUCTURES.index(name)


def concept_id(index: int) -> int:
    """The label id of the icon concept with this index among the sorted concept names."""
    assert 0 <= index < FIRST_HAN - FIRST_CONCEPT, index
    return FIRST_CONCEPT + index


@dataclass(frozen=True)
class Question:
    """One thing to ask about an image, with the answer that is right.

    kind "ask": text is the question, answers[0] the training target, the others also count as right.
    kind "read": text is a wording of "read everything", answers[0] the full text (lines joined by newlines),
      metric "cer".
    kind "convert": like "ask", with an answer that holds the answers to other questions (Markdown, HTML, JSON).
    kind "ground": text is the phrase, regions its boxes in pixels (none: the phrase is absent), metric "iou".
    kind "describe": text is a wording of "describe", answers[0] the caption, regions (label, box) of phrases in the
      order of the caption.
    then: questions that only make sense right after this one ("And what colour is it?").
    """

    kind: Literal["ask", "read", "convert", "ground", "describe"]
    text: str
    answers: tuple[str, ...] = ()
    metric: str = "anls"
    regions: tuple[Region, ...] = ()
    then: tuple["Question", ...] = ()


@dataclass(frozen=True)
class Value:
    """Something that a document says, once.

    kind: what it is, as generators call it ("total"); literal: how JSON writes it, if as a number, true or false.
    about: words that make it one of several of its kind: of which item, in which box, what the document calls itself.
    texts: as printed, then other forms that count as right.
    """

    kind: str
    texts: tuple[str, ...]
    literal: str = ""
    about: str = ""


@dataclass(frozen=True)
class Sample:
    """One rendered image with its questions and dense labels.

    earlier: pictures that are shown before this one, without questions; boxes of questions lie in this one, the last.
    values: what a document says; absent: kinds of values that such documents may say, but this one does not.
    mark_ids: (M,) int16 label ids; mark_boxes, mark_extents: (M, 4) float32 x0, y0, x1, y1 in pixels of `image` (RGB).
    """

    task: str
    image: Image.Image
    questions: tuple[Question, ...]
    mark_ids: np.ndarray
    mark_boxes: np.ndarray
    mark_extents: np.ndarray
    earlier: tuple["Sample", ...] = ()
    values: tuple[Value, ...] = ()
    absent: tuple[str, ...] = ()
