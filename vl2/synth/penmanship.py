"""Other writers' hands: text drawn with changed letter shapes, so that training sees more than the fonts of the pack.

    with written_by(key): ...           around the drawing of one sample, which has one writer for each font file
    Hand.write(draw, xy, string, font, fill, cells, ink) --> cells and ink as they came to lie; for Canvas.text

A writer is a Penman (vl2/synth/penmen.py), who writes Chinese stroke by stroke, or a Hand, who changes the letters of
the font. A hand slants, narrows or widens, thickens or thins, lets letters dance and bends their outlines; but for the
strokes all in one remap of the line's mask:

    source x = along(X) + lean(X) * (Y - middle) + bend        source y = raised(X) + high(X) * (Y - middle) + bend

where the functions of X are linear between two knots in every letter, so that nothing is cut and joined letters stay
joined. The trap: text stays in the box that its caller measured, so a wide hand is lower instead and a slanted one
narrower; small type changes less and below 14 pixels not at all.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vl2.synth import han, ingredients
from vl2.synth.canvas import HANDS, Colour, Rect
from vl2.synth.penmen import Penman
from vl2.synth.styles import Style

OVER = 2.0  # pixels that ink may lie outside the measured box
_STREAM = 0x70656E  # keeps the numbers drawn here apart from those of the sample
_NONE, _FULL = 11.0, 19.0  # font sizes between which effects grow
_SMALLEST = 14  # pixels of a font that a hand changes
_NARROWEST = 0.85  # what slant and bend may take of a line's width
_KNOT = 0.35  # knots lie so far from a letter's middle, as a share of its width
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_PENS = 0.03, 0.45  # how often Chinese is written by pen: in place of print and display faces, of handwriting
_INKED = 40  # grey from which a pixel counts as ink


class _Chances(NamedTuple):
    """Shares of the samples in which a font's Chinese is written by pen, or the font in another hand."""

    pen: float
    hand: float
    printed: bool


@lru_cache
def _chances() -> dict[str, _Chances]:
    """The chances of each font file of training; test fonts are not in it."""
    chances: dict[str, _Chances] = {}
    english, chinese = (ingredients.fonts, (0.0, 0.0), 0.05, 0.15), (han.listed_fonts, _PENS, 0.10, 0.30)
    for found, pens, printed, free in (english, chinese):
        chances |= dict.fromkeys(found("train", "any"), _Chances(pens[0], printed, True))
        chances |= dict.fromkeys(found("train", "display"), _Chances(pens[0], free, False))
        chances |= dict.fromkeys(found("train", "hand"), _Chances(pens[1], free * (1 - pens[1]), False))
    return chances


@dataclass(frozen=True)
class Hand:
    """How one writer changes a font.

    slant: shear; positive leans to the right. width: of a letter relative to its height.
    weight: pixels by which strokes grow at a font size of 30. dance: 1 moves letters by 4 % of the font's size, turns
    them by 3 degrees and changes their size by 8 %, all at most. bend: of the outline, as a share of a letter's height.
    """

    slant: float = 0.0
    width: float = 1.0
    weight: float = 0.0
    dance: float = 0.0
    bend: float = 0.0
    rng: np.random.Generator | None = None  # of what differs from letter to letter

    @classmethod
    def draw(cls, rng: np.random.Generator, *, printed: bool) -> "Hand":
        """Most hands have most effects; print dances and bends half as much."""
        some = rng.random(5) < 0.7
        most = 0.5 if printed else 1.0
        return cls(
            slant=float(some[0] * rng.uniform(-0.15, 0.3)),
            width=float(np.exp(some[1] * rng.uniform(np.log(0.8), np.log(1.2)))),
            weight=float(some[2] * rng.uniform(-0.6, 0.6)),
            dance=float(some[3] * most * rng.uniform(0.4, 1.0)),
            bend=float(some[4] * most * rng.uniform(0.025, 0.06)),
            rng=rng,
        )

    def write(
        self,
        draw: ImageDraw.ImageDraw,
        xy: tuple[float, float],
        string: str,
        font: ImageFont.FreeTypeFont,
        fill: Colour | str,
        cells: np.ndarray,
        ink: Rect,
    ) -> tuple[np.ndarray, Rect]:
        """Draw one line whose letters would have these (N, 4) cells and this ink; returns both as they are."""
        beside, above = int(font.size / 4) + 4, int(font.size / 8) + 3  # what the font itself draws out of its box
        left, top = floor(xy[0]) - beside, floor(xy[1]) - above
        width = ceil(cells[-1, 2]) + beside - left
        height = ceil(xy[1]) + sum(font.getmetrics()) + above - top
        sheet = Image.new("L", (width, height))
        ImageDraw.Draw(sheet).text((xy[0] - left, xy[1] - top), string, font=font, fill=255)
        corner = np.array([left, top, left, top], np.float32)
        old = (ink[0] - left, ink[1] - top, ink[2] - left, ink[3] - top)
        room = (
            min(beside, old[0]) - OVER,
            min(above, old[1]) - OVER,
            max(width - beside, old[2]) + OVER,
            max(height - above, old[3]) + OVER,
        )
        columns, rows, moved = self._maps((width, height), room, cells - corner, old, float(font.size))
        mask = self._weighed(np.asarray(sheet), float(font.size))
        mask = cv2.remap(mask, columns, rows, cv2.INTER_LINEAR)
        draw.bitmap((left, top), Image.fromarray(mask), fill=fill)
        x, y, wide, high = cv2.boundingRect((mask > _INKED).view(np.uint8))
        if wide:
            ink = (float(left + x), float(top + y), float(left + x + wide), float(top + y + high))
        return moved + corner, ink

    def _weighed(self, mask: np.ndarray, size: float) -> np.ndarray:
        """Strokes thicker or thinner by parts of a pixel: a mixture with the mask grown or shrunk by one all around.

        A hair line keeps a part of its ink, however thin the hand.
        """
        part = self.weight * _force(size) * size / 60
        changed = (cv2.dilate if part > 0 else cv2.erode)(mask, _CROSS)
        share = min(abs(part), 0.9 if part > 0 else 0.6)
        return cv2.addWeighted(changed, share, mask, 1 - share, 0)

    def _fit(self, room: Rect, middle: float, ink: Rect, size: float) -> tuple[float, float, float, float]:
        """Factors on height and width, where the ink starts, and the slant: so that the line stays in its room."""
        force, (x0, y0, x1, y1) = _force(size), ink
        stretch, bend, dance = self.width**force, 0.8 * self.bend * force * size, self.dance * force
        above, below = max(middle - y0, 1.0), max(y1 - middle, 1.0)
        high = max(above, below)
        reach = 0.6 * (bend + dance * (0.06 * size + 0.08 * high))  # hardly ever all at once
        tall = min(1 / stretch, 1.0, (middle - room[1] - reach) / above, (room[3] - middle - reach) / below)
        tall = max(tall, 0.7)

        across, side = room[2] - room[0], 0.6 * bend + 0.03 * dance * size
        spare = max(0.0, (across - _NARROWEST * (x1 - x0)) / 2 - side)
        slant = self.slant * force
        slant *= min(1.0, spare / max(abs(slant) * tall * high, 1e-6))
        side += abs(slant) * tall * high
        wide = max(min(stretch, 1.0, (across - 2 * side) / (x1 - x0)), 0.6)
        return tall, wide, min(max(x0, room[0] + side), room[2] - side - wide * (x1 - x0)), slant

    def _maps(
        self, sizes: tuple[int, int], room: Rect, cells: np.ndarray, ink: Rect, size: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where each pixel of the line comes from (columns, rows), and the cells moved along."""
        assert self.rng is not None
        (width, height), force, x0 = sizes, _force(size), ink[0]
        bend, dance = self.bend * force * 0.8 * size, self.dance * force
        middle = float(cells[0, 1] + cells[0, 3]) / 2
        tall, wide, start, slant = self._fit(room, middle, ink, size)
        knots = np.empty((5, 2 * len(cells)), np.float32)  # two a letter, left and right of its middle
        knots[:3] = np.repeat(self.rng.uniform(-dance, dance, (3, len(cells))), 2, axis=1)
        knots[3] = np.repeat(cells[:, 0] + cells[:, 2], 2) / 2
        knots[4] = np.repeat(cells[:, 2] - cells[:, 0], 2) * _KNOT
        knots[4, ::2] *= -1
        knots[4, 0] -= width  # the first and the last letter carry on to the ends of the mask
        knots[4, -1] += width
        (grow, lift, turn, centres, half), at = knots, np.arange(width)
        grow, lift, turn = 1 + 0.08 * grow, 0.04 * size * lift, 0.05 * turn
        target = start + wide * (centres + half - x0)
        along = np.interp(at, target, centres + half / grow)
        lean = np.interp(at, target, (turn + slant) / wide)
        high = np.interp(at, target, 1 / (tall * grow))
        raised = middle - np.interp(at, target, lift + wide * half * turn) * high

        down = (np.arange(height, dtype=np.float32) - np.float32(middle))[:, None]
        columns, rows = down * lean.astype(np.float32), down * high.astype(np.float32)
        columns += along.astype(np.float32)
        rows += raised.astype(np.float32)
        if bend > 0.1:
            step = 0.25 * size
            waves = self.rng.uniform(-bend, bend, (2, int(height / step) + 2, int(width / step) + 2)).astype(np.float32)
            columns += cv2.resize(waves[0], (width, height), interpolation=cv2.INTER_LINEAR)
            rows += cv2.resize(waves[1], (width, height), interpolation=cv2.INTER_LINEAR)
        moved = np.empty_like(cells)
        moved[:, ::2] = start + wide * (cells[:, ::2] - x0)
        moved[:, 1::2] = middle + tall * (cells[:, 1::2] - middle) + lift[::2, None]
        return columns, rows, moved


def _force(size: float) -> float:
    """How much of its effects a hand has at a font size."""
    return min(max((size - _NONE) / (_FULL - _NONE), 0.0), 1.0)


@contextmanager
def written_by(key: Sequence[int]) -> Iterator[None]:
    """What is drawn inside may be in other hands; the same key gives the same ones."""
    cv2.setNumThreads(1)  # workers are processes already
    rng = np.random.default_rng([_STREAM, *key])
    hands: dict[str, Hand | Penman | None] = {}

    def somebody(path: str) -> Hand | Penman | None:
        """Who writes a font in this sample, if somebody else does."""
        pen, other, printed = _chances().get(path, _Chances(0.0, 0.0, True))
        chance = rng.random()
        if chance < pen:
            return Penman(Style.draw(rng), rng)
        return Hand.draw(rng, printed=printed) if chance < pen + other else None

    def hand_of(font: ImageFont.FreeTypeFont) -> Hand | Penman | None:
        """The writer of this sample for a font, drawn when it is first used."""
        if font.size < _SMALLEST:
            return None
        path = str(font.path)
        if path not in hands:
            hands[path] = somebody(path)
        return hands[path]

    token = HANDS.set(hand_of)
    try:
        yield
    finally:
        HANDS.reset(token)
