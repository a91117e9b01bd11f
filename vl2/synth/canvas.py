"""Draws text and shapes while writing down a mark for each glyph, then damages the picture and moves the marks along.

    Canvas(width, height, background) --text, mark, region--> ink + marks + named boxes
           --finish(rng, damage)--> Finished(image, mark_ids, mark_boxes, mark_extents, regions), rotated and worn

A glyph's mark is its cell: its advance wide, from the top of the capitals to the bottom of the descenders, so that also
small letters cover patch centres. The trap: text positions are the top left of the line box (Pillow anchor "la"), while
the returned box is the ink.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vl2.synth.damage import Damage, apply_damage, move_boxes
from vl2.synth.han import FIRST_CODE, LAST_CODE, han_labels
from vl2.synth.sample import OTHER_CHARACTER

if TYPE_CHECKING:
    from vl2.synth.penmanship import Hand
    from vl2.synth.penmen import Penman

Rect = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels
Colour = tuple[int, int, int]
# who writes a font, where it is not to look as it is; vl2/synth/penmanship.py sets it
HANDS: ContextVar[Callable[[ImageFont.FreeTypeFont], "Hand | Penman | None"]] = ContextVar(
    "hands", default=lambda font: None
)


class Finished(NamedTuple):
    """A finished picture: RGB image, its marks as in Sample, named boxes moved along."""

    image: Image.Image
    mark_ids: np.ndarray
    mark_boxes: np.ndarray
    mark_extents: np.ndarray
    regions: dict[str, Rect]

    @property
    def marks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What Sample wants after its questions."""
        return self.mark_ids, self.mark_boxes, self.mark_extents


class GlyphMetrics:
    """Advances and ink boxes of one font at one size, measured once per character; the basic layout adds no kerning."""

    def __init__(self, font: ImageFont.FreeTypeFont):
        self.ascent, self.descent = font.getmetrics()
        top, bottom = font.getbbox("Ay")[1], font.getbbox("Ay")[3]
        self.cell_top, self.cell_bottom = float(top), float(max(bottom, top + 1))
        self._advances: dict[str, float] = {}
        # advance, top and bottom by code, the last row empty: what lies outside Latin-1 is rare and kept by character
        self._latin = np.zeros((257, 3), np.float32)
        self._others: dict[str, tuple[float, float, float]] = {}
        self._sides: dict[str, tuple[float, float]] = {}

    def width(self, string: str, font: ImageFont.FreeTypeFont) -> float:
        """The sum of the advances."""
        try:
            return sum(map(self._advances.__getitem__, string))
        except KeyError:
            self._measure(string, font)
            return sum(map(self._advances.__getitem__, string))

    def glyphs(self, string: str, font: ImageFont.FreeTypeFont) -> np.ndarray:
        """(len(string), 3): advance, top and bottom of the ink below the top of the line box (inf, -inf: no ink)."""
        codes = np.minimum(character_codes(string), 256)
        rows = self._latin[codes]
        if not rows[:, 0].all():
            self._measure(string, font)
            rows = self._latin[codes]
            for place in np.flatnonzero(codes == 256).tolist():
                rows[place] = self._others[string[place]]
        return rows

    def _measure(self, string: str, font: ImageFont.FreeTypeFont) -> None:
        """Measure the characters that are new."""
        for char in set(string) - self._advances.keys():
            _, top, _, bottom = font.getbbox(char)
            row = (font.getlength(char), top, bottom) if bottom > top else (font.getlength(char), np.inf, -np.inf)
            self._advances[char] = row[0]
            if ord(char) < 256:
                self._latin[ord(char)] = row
            else:
                self._others[char] = row

    def sides(self, char: str, font: ImageFont.FreeTypeFont) -> tuple[float, float]:
        """Left and right end of a character's ink relative to the pen; Pillow's own box goes on to the advance."""
        found = self._sides.get(char)
        if found is None:
            mask, offset = font.getmask2(char, "L")
            ink = mask.getbbox() or (0, 0, 0, 0)
            found = self._sides[char] = (ink[0] + offset[0], ink[2] + offset[0])
        return found

    def ink(self, xy: tuple[float, float], string: str, font: ImageFont.FreeTypeFont) -> Rect:
        """The ink box of one line whose line box has its top left at xy; without ink, a flat box along its top."""
        x, y = xy
        inked = string.strip()
        if not inked:
            return x, y, x + self.width(string, font), y
        _, tops, bottoms = self.glyphs(inked, font).T
        x += self.width(string[: string.index(inked[0])], font)
        before_last = x + self.width(inked[:-1], font)
        first, last = self.sides(inked[0], font), self.sides(inked[-1], font)
        return x + first[0], float(tops.min()) + y, before_last + last[1], float(bottoms.max()) + y


_METRICS: dict[tuple[object, float], GlyphMetrics] = {}


def glyph_metrics(font: ImageFont.FreeTypeFont) -> GlyphMetrics:
    """The metrics of a font of the pack, kept for the whole run (a few kilobytes per font and size)."""
    key = (font.path, font.size)
    metrics = _METRICS.get(key)
    if metrics is None:
        if len(_METRICS) > 8192:
            _METRICS.clear()
        metrics = _METRICS[key] = GlyphMetrics(font)
    return metrics


def text_width(string: str, font: ImageFont.FreeTypeFont) -> float:
    """Width in pixels of one line of text: the sum of its advances."""
    return glyph_metrics(font).width(string, font)


class Canvas:
    """A picture in the making; `background` is a colour or an image of the same size (used as is)."""

    def __init__(self, width: int, height: int, background: Colour | str | Image.Image = (255, 255, 255)):
        if isinstance(background, Image.Image):
            assert background.size == (width, height), (background.size, width, height)
            self.image = background
        else:
            self.image = Image.new("RGB", (width, height), background)
        self.width, self.height = width, height
        self.draw = ImageDraw.Draw(self.image)
        self.smallest_text = 1000.0  # font size in pixels of the smallest text drawn: damage must leave it readable
        self._ids: list[np.ndarray] = []
        self._boxes: list[np.ndarray] = []
        self._extents: list[np.ndarray] = []
        self._regions: dict[str, Rect] = {}

    def measure(self, string: str, font: ImageFont.FreeTypeFont) -> tuple[float, float, float]:
        """(width, height, ascent) of the line box of one line of text."""
        metrics = glyph_metrics(font)
        return text_width(string, font), float(metrics.ascent + metrics.descent), float(metrics.ascent)

    def text(
        self, xy: tuple[float, float], string: str, font: ImageFont.FreeTypeFont, fill: Colour | str = (0, 0, 0)
    ) -> Rect:
        """Draw one line with its line box's top left at xy; returns the ink box in pixels."""
        assert "\n" not in string, string
        if not string:
            return (*xy, *xy)
        self.smallest_text = min(self.smallest_text, font.size)
        metrics = glyph_metrics(font)
        advances = metrics.glyphs(string, font)[:, 0]
        boxes = np.empty((len(string), 4), np.float32)
        boxes[:, 2] = np.cumsum(advances) + np.float32(xy[0])
        boxes[:, 0] = boxes[:, 2] - advances
        boxes[:, 1], boxes[:, 3] = xy[1] + metrics.cell_top, xy[1] + metrics.cell_bottom
        ink = metrics.ink(xy, string, font)
        hand = HANDS.get()(font)
        if hand is None or ink[1] >= ink[3]:
            self.draw.text(xy, string, font=font, fill=fill)
        else:
            boxes, ink = hand.write(self.draw, xy, string, font, fill, boxes, ink)
        extents = np.empty((len(string), 4), np.float32)
        extents[:] = ink
        self._add_marks(character_ids(string), boxes, extents)
        return ink

    def mark(self, label_id: int, box: Sequence[float]) -> None:
        """Label everything inside box (x0, y0, x1, y1); covers the marks made before."""
        boxes = np.array([box], np.float32)
        self._add_marks(np.array([label_id], np.int16), boxes, boxes)

    def marks(self, ids: np.ndarray, boxes: np.ndarray, extent: Sequence[float]) -> None:
        """Label (M,) int16 ids in (M, 4) float32 boxes, all of one whole."""
        self._add_marks(ids, boxes, np.tile(np.array([extent], np.float32), (len(ids), 1)))

    def _add_marks(self, ids: np.ndarray, boxes: np.ndarray, extents: np.ndarray) -> None:
        self._ids.append(ids)
        self._boxes.append(boxes)
        self._extents.append(extents)

    def region(self, name: str, box: Sequence[float]) -> None:
        """Remember a box under a name; finish returns it as it lies on the finished picture."""
        x0, y0, x1, y1 = box
        self._regions[name] = (float(x0), float(y0), float(x1), float(y1))

    def copy(self) -> "Canvas":
        """Another canvas with the same picture and marks."""
        other = Canvas(self.width, self.height, self.image.copy())
        other.smallest_text = self.smallest_text
        other._ids, other._boxes, other._extents = [*self._ids], [*self._boxes], [*self._extents]
        other._regions = dict(self._regions)
        return other

    def crop(self, height: int) -> None:
        """Keep only the upper part, `height` pixels high; everything marked must lie in it."""
        self.height = min(self.height, height)
        self.image = self.image.crop((0, 0, self.width, self.height))
        self.draw = ImageDraw.Draw(self.image)

    def finish(self, rng: np.random.Generator, damage: float | Damage | None = 1.0) -> Finished:
        """Wear the picture and move all marks and regions along.

        damage: strength from 0 or None (untouched) to 1 (each effect at its usual chance), or an exact Damage.
        """
        plan = damage if isinstance(damage, Damage) else Damage.draw(rng, float(damage or 0.0), self.smallest_text)
        plan = self._keep_inside(plan)
        ids = np.concatenate(self._ids) if self._ids else np.zeros(0, np.int16)
        boxes = np.concatenate(self._boxes) if self._boxes else np.zeros((0, 4), np.float32)
        size = (self.width, self.height)
        boxes = move_boxes(boxes, size, plan.angle, grow=False)
        limit = np.array([self.width, self.height] * 2, np.float32)

        def outlines(found: list[np.ndarray]) -> np.ndarray:
            """Boxes around what was inside these boxes before the turn."""
            whole = np.concatenate(found) if found else np.zeros((0, 4), np.float32)
            return np.clip(move_boxes(whole, size, plan.angle, grow=True), 0, limit)

        named = outlines([np.array([box], np.float32) for box in self._regions.values()]).tolist()
        regions: dict[str, Rect] = {name: tuple(box) for name, box in zip(self._regions, named, strict=True)}
        return Finished(apply_damage(self.image, plan, rng), ids, boxes, outlines(self._extents), regions)

    def _keep_inside(self, plan: Damage) -> Damage:
        """The plan with an angle small enough that no mark that is inside the picture leaves it."""
        if not plan.angle or not self._boxes:
            return plan
        boxes = np.concatenate(self._boxes)
        size = (self.width, self.height)
        limit = np.array(size, np.float32)
        inside = boxes[(boxes[:, :2] >= 0).all(1) & (boxes[:, 2:] <= limit).all(1)]
        angle = plan.angle
        for _ in range(4):
            moved = move_boxes(inside, size, angle, grow=True)
            if (moved[:, :2] >= -1).all() and (moved[:, 2:] <= limit + 1).all():
                return replace(plan, angle=angle)
            angle /= 2
        return replace(plan, angle=0.0)


def character_codes(string: str) -> np.ndarray:
    """(len,) uint32 code points."""
    return np.frombuffer(string.encode("utf-32-le"), np.uint32)


# label ids of the codes below 256; the last one stands for all that follow
_LABELS = np.full(256, OTHER_CHARACTER, np.int16)
_LABELS[32:127] = np.arange(1, 96)


def character_ids(string: str) -> np.ndarray:
    """(len,) int16 label ids of a string: printable ASCII, Chinese of the pack, and OTHER_CHARACTER."""
    codes = character_codes(string)
    ids = _LABELS[np.minimum(codes, 255)]
    chinese = (codes >= FIRST_CODE) & (codes <= LAST_CODE)
    if chinese.any():
        ids[chinese] = han_labels(codes[chinese])
    return ids
