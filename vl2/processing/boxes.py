"""Boxes in text and on images, both ways, without evaluating anything.

    Region(label, Box in pixels) <-format_regions, parse_regions-> <|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>

Text holds integers 0..999 of the original image: x = pixel / width * 999. An empty list means "looked for, not there".
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

LAST = 999  # the coordinate of the right and bottom edge

_NUMBER = r"\s*(\d{1,4})\s*"
_BOX = re.compile(rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]")
_LIST = re.compile(r"\s*\[\s*(?:\[[\d\s,]*\]\s*(?:,\s*\[[\d\s,]*\]\s*)*)?\]\s*")
_MARK = r"<\|/?(?:ref|det)\|>"
_SPAN = re.compile(
    rf"<\|ref\|>(?P<label>(?:(?!{_MARK}).)*)<\|/ref\|>(?:\s*<\|det\|>(?P<boxes>[^<]*)<\|/det\|>)?"
    rf"|<\|det\|>[^<]*(?:<\|/det\|>)?|{_MARK}|<\|grounding\|>",
    re.DOTALL,
)

_TAG_BEGUN = r"(?:<(?:\|[/a-z]*\|?)?)?"
_OPEN = re.compile(
    rf"<\|ref\|>(?:(?!{_MARK}).)*(?:<\|/ref\|>\s*(?:<\|det\|>[^<]*)?{_TAG_BEGUN})?\Z"
    rf"|<\|det\|>[^<]*{_TAG_BEGUN}\Z|<(?:\|[/a-z]*\|?)?\Z",
    re.DOTALL,
)


class Box(NamedTuple):
    """Left, top, right, bottom in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Region:
    """A named part of an image."""

    label: str
    box: Box


def to_thousandths(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels of an image of (width, height) to integers 0..999, clamped to the image."""
    width, height = size

    def scale(value: float, extent: int) -> int:
        return round(min(max(value / extent, 0.0), 1.0) * LAST)

    return scale(box[0], width), scale(box[1], height), scale(box[2], width), scale(box[3], height)


def to_pixels(box: Sequence[int], size: tuple[int, int]) -> Box:
    """Integers 0..999 to pixels of an image of (width, height)."""
    x_scale, y_scale = size[0] / LAST, size[1] / LAST
    return Box(box[0] * x_scale, box[1] * y_scale, box[2] * x_scale, box[3] * y_scale)


def format_box_list(boxes: Sequence[Sequence[int]]) -> str:
    """[[x1, y1, x2, y2], ...] as the published models write it."""
    return "[" + ", ".join(f"[{', '.join(str(int(v)) for v in box)}]" for box in boxes) + "]"


def format_regions(label: str, boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """One phrase and its boxes in tagged form; no boxes means that it was looked for and is not there.

    Raises: ValueError if the phrase holds a tag itself.
    """
    if _SPAN.search(label):
        raise ValueError(f"label = {label[:80]!r}: a phrase cannot hold ref or det tags")
    return f"<|ref|>{label}<|/ref|><|det|>{format_box_list([to_thousandths(box, size) for box in boxes])}<|/det|>"


def parse_box_list(text: str) -> list[tuple[int, int, int, int]] | None:
    """The boxes of "[[x1, y1, x2, y2], ...]", or None if the text is anything else."""
    if not _LIST.fullmatch(text):
        return None
    found = [(int(a), int(b), int(c), int(d)) for a, b, c, d in _BOX.findall(text)]
    if len(found) != text.count("[") - 1 or any(v > LAST for box in found for v in box):
        return None
    if any(x0 > x1 or y0 > y1 for x0, y0, x1, y1 in found):
        return None
    return found


def parse_regions(text: str, size: tuple[int, int]) -> tuple[list[Region], str]:
    """Regions of a model's answer in pixels of an image of (width, height), and the answer without tags.

    A phrase belongs to the boxes right behind it. Malformed boxes, boxes without a phrase and phrases without boxes
    give no region and a warning, never an exception; the words of a phrase stay in the text.
    """
    regions: list[Region] = []

    def take(span: re.Match[str]) -> str:
        label, inner = span["label"], span["boxes"]
        boxes = None if inner is None else parse_box_list(inner)
        if boxes is None:
            if span.group() != "<|grounding|>":
                warnings.warn(f"no region read from {span.group()[:80]!r}: malformed or unpaired", stacklevel=3)
        else:
            regions.extend(Region(label, to_pixels(box, size)) for box in boxes)
        return label or ""

    return regions, _SPAN.sub(take, text)


class PlainStream:
    """An answer without tags while it is being made; together the pieces are the text of `parse_regions`, stripped.

    What may yet turn out to be part of a tag or of boxes is held back, and so is white space that may end the answer.
    """

    def __init__(self) -> None:
        self._tail = ""  # with tags, not settled yet
        self._space = ""
        self._begun = False

    def push(self, piece: str) -> str:
        """Take more of the tagged text; returns more of the plain text."""
        self._tail += piece
        open_span = _OPEN.search(self._tail) if "<" in self._tail else None
        return self._settle(open_span.start() if open_span else len(self._tail))

    def finish(self) -> str:
        """What was held back, the answer being complete."""
        return self._settle(len(self._tail))

    def _settle(self, end: int) -> str:
        text = self._space + _SPAN.sub(lambda span: span["label"] or "", self._tail[:end])
        self._tail = self._tail[end:]
        text = text if self._begun else text.lstrip()
        shown = text.rstrip()
        self._space = text[len(shown) :]
        self._begun = self._begun or bool(shown)
        return shown
