"""Lines of Chinese written by pen, stroke by stroke, where a font would have drawn them.

    Penman.write(draw, xy, string, font, fill, cells, ink) --> cells as they were and ink as it came to lie

    strokes of the pack --moved, traced, rounded (vl2/synth/strokes.py)--> segments --cv2.polylines, two or four times
    as large, a call for each width--> mask --area--> mask of the line; Latin letters, digits and signs are the font's

A Penman has what vl2.synth.penmanship.Hand has for Canvas.text. The trap: letters keep to the cell and the height that
the font gives them, so whoever writes widely is pushed together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import cast

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vl2.synth.canvas import Colour, Rect, character_codes, glyph_metrics
from vl2.synth.strokes import Trace, has_strokes, runs, strokes_of
from vl2.synth.styles import Style

_MODELS, _TALL = "国事我永", 0.9  # letters that show the height of a font, and their height in ems of the strokes
_OTHERS = re.compile(r"\S+")
_BITS = 3  # of a pixel's parts in coordinates for OpenCV
_THINNEST = 0.95  # pixels, for the pen's usual line
_SHEARED = 30.0  # font size up to which letters of the font are as slanted, so that they stay near their cells
_EASY = 24.0  # pixels of an em from which somebody writes with ease
_INKED = 40  # grey from which a pixel counts as ink


@dataclass(frozen=True)
class Penman:
    """Somebody with a pen."""

    style: Style
    rng: np.random.Generator  # of what differs from letter to letter

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
        """Draw one line whose letters have these (N, 4) cells; returns them and the ink."""
        codes = character_codes(string)
        written = has_strokes(codes)
        beside, above = int(font.size / 4) + 4, int(font.size / 8) + 3
        left, top = floor(xy[0]) - beside, floor(xy[1]) - above
        width, height = ceil(cells[-1, 2]) + beside - left, ceil(xy[1]) + sum(font.getmetrics()) + above - top
        masks = []
        if written.any():
            middle, tall = _body(str(font.path))
            places = cells[written]
            middles = (places[:, :2] + places[:, 2:]) / 2 - np.float32(left)
            middles[:, 1] = xy[1] - top + font.getmetrics()[0] + middle * font.size
            advances = places[:, 2] - places[:, 0]
            masks.append(self._ink(codes[written], middles, advances, tall * font.size, (width, height)))
        if not written.all():
            starts = cells[:, 0] - np.float32(left)
            masks.append(self._others(string, font, starts, xy[1] - top, written, (width, height)))
        mask = cv2.max(*masks) if len(masks) > 1 else masks[0]
        draw.bitmap((left, top), Image.fromarray(mask), fill=fill)
        x, y, wide, high = cv2.boundingRect((mask > _INKED).view(np.uint8))
        if wide:
            ink = (float(left + x), float(top + y), float(left + x + wide), float(top + y + high))
        return cells, ink

    def _ink(
        self, codes: np.ndarray, middles: np.ndarray, advances: np.ndarray, size: float, sizes: tuple[int, int]
    ) -> np.ndarray:
        """The mask of the Chinese letters, whose em squares have this size and these middles."""
        style = self.style
        strokes = strokes_of(codes).hastened(style, self.rng).moved(style, self.rng)
        trace = strokes.traced(style, self.rng, min(1.0, size / _EASY))
        trace = trace.rounded(style.rounding, style.cut, 0.4 / size)
        if size > 32:
            trace = trace.rounded(1.0, 0.25, 0.25 / size)
        points = _placed(trace, middles, advances / size, size)
        more = 4 if size < 48 else 2
        usual = max(style.pen * size, _THINNEST) * more
        ends, widths = _segments(points * more, trace, usual, style.nib)
        mask = np.zeros((sizes[1] * more, sizes[0] * more), np.uint8)
        ends = ((ends.view(np.float32) - 0.5) * (1 << _BITS)).astype(np.int32).reshape(-1, 2, 2)
        for thick in np.bincount(widths).nonzero()[0].tolist():
            cv2.polylines(mask, cast(Sequence[np.ndarray], ends[widths == thick]), False, 255, thick, cv2.LINE_8, _BITS)
        while more > 1:  # halving twice is five times as fast as a quarter at once
            more //= 2
            mask = cv2.resize(mask, (sizes[0] * more, sizes[1] * more), interpolation=cv2.INTER_AREA)
        return mask

    def _others(
        self,
        string: str,
        font: ImageFont.FreeTypeFont,
        starts: np.ndarray,
        top: float,
        written: np.ndarray,
        sizes: tuple[int, int],
    ) -> np.ndarray:
        """The mask of what the font draws, as slanted as the rest."""
        sheet = Image.new("L", sizes)
        pen = ImageDraw.Draw(sheet)
        for part in _OTHERS.finditer("".join(char if own else " " for char, own in zip(string, ~written, strict=True))):
            pen.text((float(starts[part.start()]), top), part[0], font=font, fill=255)
        lean = self.style.slant * min(1.0, _SHEARED / font.size)
        if abs(lean) * font.size < 1:
            return np.asarray(sheet)
        metrics = glyph_metrics(font)
        middle = top + (metrics.cell_top + metrics.cell_bottom) / 2
        shear = np.array([[1, lean, -lean * middle], [0, 1, 0]], np.float32)
        return cv2.warpAffine(np.asarray(sheet), shear, sizes, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


@lru_cache
def _body(path: str) -> tuple[float, float]:
    """Where a font has the middle of its letters, below the baseline, and how long an em of the strokes is; in ems."""
    font = ImageFont.truetype(path, 100, layout_engine=ImageFont.Layout.BASIC)
    boxes = [font.getbbox(char, anchor="ls") for char in _MODELS]
    top, bottom = (sum(box[side] for box in boxes) / (100 * len(boxes)) for side in (1, 3))
    return (top + bottom) / 2, (bottom - top) / _TALL


def _placed(trace: Trace, middles: np.ndarray, room: np.ndarray, size: float) -> np.ndarray:
    """Points in pixels: each letter in the middle of its cell, smaller where it would leave it."""
    letter = trace.letter
    starts = np.searchsorted(letter, np.arange(len(room)))
    flat = trace.points.view(np.float32).reshape(-1, 2)
    low, high = np.minimum.reduceat(flat, starts), np.maximum.reduceat(flat, starts)
    space = np.full((len(room), 2), 0.98, np.float32)
    space[:, 0] = 0.96 * room
    extent, middle = high - low, (low + high) / 2
    shrink = np.minimum(1, space / (extent + 1e-6))
    spare = (space - shrink * extent) / 2
    centre = np.minimum(np.maximum(middle - 0.5, -spare), spare)
    scale = shrink * size
    offset = (middles + centre * size - scale * middle).astype(np.float32)
    scale = scale.astype(np.float32)
    return (flat * scale[letter] + offset[letter]).view(np.complex64)[:, 0]


def _segments(points: np.ndarray, trace: Trace, usual: float, nib: float) -> tuple[np.ndarray, np.ndarray]:
    """(S, 2) complex ends and (S,) thicknesses of the pieces of all paths; a piece is as wide all along.

    OpenCV draws odd widths only: 1 for a thickness of 1, 3 for 2, 5 for 3 and 4.
    """
    at = (~trace.lifted[:-1]).nonzero()[0]
    start, way = points[at], points[at + 1] - points[at]
    length = np.abs(way)
    factor = usual * (1 + nib * (np.abs(np.imag(way)) / (length + 1e-3) - 0.6))
    first, last = factor * trace.pressure[at], factor * trace.pressure[at + 1]
    pieces = np.minimum(np.abs(last - first) / 2, length / 4).astype(np.int32) + 1
    of = np.arange(len(at)).repeat(pieces)
    place = runs(np.zeros_like(pieces), pieces)
    way /= pieces
    grows = (last - first) / pieces
    ends = np.empty((len(of), 2), np.complex64)
    ends[:, 0] = start[of] + way[of] * place
    ends[:, 1] = ends[:, 0] + way[of]
    widths = first[of] + grows[of] * (place + 0.5)
    return ends, np.maximum(2 * (widths / 2).astype(np.int32), 1)
