"""Draws text and shapes while writing down a mark for each glyph, then damages the picture and moves the marks along.

    Canvas(width, height, background) --text, mark, region--> ink + marks + named boxes
           --finish(rng, damage)--> Finished(image, mark_ids, mark_boxes, regions), rotated and worn

A glyph's mark is its cell: its advance wide, from the top of the capitals to the bottom of the descenders, so that also
small letters cover patch centres. The trap: text positions are the top left of the line box (Pillow anchor "la"), while
the returned box is the ink.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vl2.synth.damage import Damage, apply_damage, move_boxes
from vl2.synth.sample import OTHER_CHARACTER

Rect = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels
Colour = tuple[int, int, int]


class Finished(NamedTuple):
    """A finished picture: RGB image, (M,) int16 label ids, (M, 4) float32 boxes, named boxes moved along."""

    image: Image.Image
    mark_ids: np.ndarray
    mark_boxes: np.ndarray
    regions: dict[str, Rect]


class GlyphMetrics:
    """Advances and ink boxes of one font at one size, measured once per character; the basic layout adds no kerning."""

    def __init__(self, font: ImageFont.FreeTypeFont):
        self.font = font
        self.ascent, self.descent = font.getmetrics()
        top, bottom = font.getbbox("Ay")[1], font.getbbox("Ay")[3]
        self.cell_top, self.cell_bottom = float(top), float(max(bottom, top + 1))
        self._glyphs: dict[str, tuple[float, float, float, float, float]] = {}

    def glyphs(self, string: str) -> np.ndarray:
        """(len(string), 5): advance, ink x0, y0, x1, y1 relative to the pen and the top of the line box."""
        known = self._glyphs
        rows = []
        for char in string:
            row = known.get(char)
            if row is None:
                row = known[char] = (self.font.getlength(char), *self.font.getbbox(char))
            rows.append(row)
        return np.array(rows, np.float32).reshape(-1, 5)


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
        self._regions: dict[str, Rect] = {}

    def measure(self, string: str, font: ImageFont.FreeTypeFont) -> tuple[float, float, float]:
        """(width, height, ascent) of the line box of one line of text."""
        metrics = glyph_metrics(font)
        width = float(metrics.glyphs(string)[:, 0].sum()) if string else 0.0
        return width, float(metrics.ascent + metrics.descent), float(metrics.ascent)

    def text(
        self, xy: tuple[float, float], string: str, font: ImageFont.FreeTypeFont, fill: Colour | str = (0, 0, 0)
    ) -> Rect:
        """Draw one line with its line box's top left at xy; returns the ink box in pixels."""
        assert "\n" not in string, string
        if not string:
            return (*xy, *xy)
        self.draw.text(xy, string, font=font, fill=fill)
        self.smallest_text = min(self.smallest_text, font.size)
        metrics = glyph_metrics(font)
        glyphs = metrics.glyphs(string)
        ends = np.cumsum(glyphs[:, 0]) + np.float32(xy[0])
        pens = ends - glyphs[:, 0]
        boxes = np.empty((len(string), 4), np.float32)
        boxes[:, 0], boxes[:, 2] = pens, ends
        boxes[:, 1], boxes[:, 3] = xy[1] + metrics.cell_top, xy[1] + metrics.cell_bottom
        self._ids.append(character_ids(string))
        self._boxes.append(boxes)
        inked = glyphs[:, 4] > glyphs[:, 2]
        if not inked.any():
            return (*xy, float(ends[-1]), xy[1])
        return (
            float((pens + glyphs[:, 1])[inked].min()),
            float(glyphs[inked, 2].min() + xy[1]),
            float((pens + glyphs[:, 3])[inked].max()),
            float(glyphs[inked, 4].max() + xy[1]),
        )

    def mark(self, label_id: int, box: Sequence[float]) -> None:
        """Label everything inside box (x0, y0, x1, y1); covers the marks made before."""
        self._ids.append(np.array([label_id], np.int16))
        self._boxes.append(np.array([box], np.float32))

    def region(self, name: str, box: Sequence[float]) -> None:
        """Remember a box under a name; finish returns it as it lies on the finished picture."""
        x0, y0, x1, y1 = box
        self._regions[name] = (float(x0), float(y0), float(x1), float(y1))

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
        ids = np.concatenate(self._ids) if self._ids else np.zeros(0, np.int16)
        boxes = np.concatenate(self._boxes) if self._boxes else np.zeros((0, 4), np.float32)
        size = (self.width, self.height)
        boxes = move_boxes(boxes, size, plan.angle, grow=False)
        named = np.array(list(self._regions.values()), np.float32).reshape(-1, 4)
        moved = move_boxes(named, size, plan.angle, grow=True)
        limit = np.array([self.width, self.height] * 2, np.float32)
        moved = np.clip(moved, 0, limit).tolist()
        regions: dict[str, Rect] = {name: tuple(box) for name, box in zip(self._regions, moved, strict=True)}
        return Finished(apply_damage(self.image, plan, rng), ids, boxes, regions)


def character_ids(string: str) -> np.ndarray:
    """(len,) int16 label ids of the characters of a string; anything outside printable ASCII is OTHER_CHARACTER."""
    codes = np.frombuffer(string.encode("utf-32-le"), np.uint32).astype(np.int64)
    return np.where((codes >= 32) & (codes < 127), codes - 31, OTHER_CHARACTER).astype(np.int16)
