"""Backgrounds and inks that stay readable on them.

    background(rng, width, height) --> Background(image, darkest and lightest luminance)
    ink(rng, background) --> a colour with enough contrast against all of it

The trap: contrast is measured as in the web's accessibility rules, (L1 + 0.05) / (L2 + 0.05) of linear luminance, not
as a difference of grey levels.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from vl2.synth.canvas import Colour

_FIELD_SIDE = 512
_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])
LEAST_CONTRAST = 4.0


class Background(NamedTuple):
    """An RGB picture to draw on; low, high: its darkest and lightest luminance (0..1)."""

    image: Image.Image
    low: float
    high: float


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance 0..1 of colours (..., 3) in 0..255."""
    return (np.clip(colours, 0, 255) / 255.0) ** 2.2 @ _WEIGHTS


@lru_cache(maxsize=1)
def _fields() -> tuple[np.ndarray, ...]:
    """Smooth random fields (side, side) int16 between about -128 and 127, coarse to fine, and paper grain."""
    rng = np.random.default_rng(31)
    fields = []
    for cells in (4, 8, 16, 48, 128):
        small = Image.fromarray(rng.integers(0, 256, (cells, cells)).astype(np.uint8))
        field = small.resize((_FIELD_SIDE, _FIELD_SIDE), Image.Resampling.BICUBIC)
        fields.append(np.asarray(field).astype(np.int16) - 128)
    grain = rng.normal(0, 40, (_FIELD_SIDE, _FIELD_SIDE)).astype(np.int16)
    fibres = np.cumsum(rng.normal(0, 12, (_FIELD_SIDE, _FIELD_SIDE)), 1)
    fibres -= np.linspace(0, 1, _FIELD_SIDE) * fibres[:, -1:]
    fields += [grain, np.clip(fibres - fibres.mean(1, keepdims=True), -128, 127).astype(np.int16)]
    return tuple(fields)


def _field(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A (height, width) cut of a random field, flipped or stretched at random."""
    fields = _fields()
    field = fields[int(rng.integers(len(fields)))]
    flips = rng.integers(0, 2, 3)
    if flips[2]:
        field = field.T
    field = field[:: 1 if flips[0] else -1, :: 1 if flips[1] else -1]
    if height > _FIELD_SIDE or width > _FIELD_SIDE:
        field = np.tile(field, (-(-height // _FIELD_SIDE), -(-width // _FIELD_SIDE)))
    y = int(rng.integers(field.shape[0] - height + 1))
    x = int(rng.integers(field.shape[1] - width + 1))
    return field[y : y + height, x : x + width]


def _base_colour(rng: np.random.Generator) -> np.ndarray:
    """A background colour (3,): white, light paper, dark, or anything clearly light or dark."""
    kind = rng.random()
    if kind < 0.4:
        return np.full(3, 255 - rng.integers(0, 14))
    if kind < 0.68:
        return np.array([235, 230, 222]) + rng.integers(-28, 20, 3)
    if kind < 0.8:
        return rng.integers(4, 60, 3)
    colour = rng.integers(0, 256, 3)
    # middle greys leave no contrast on either side
    return colour // 2 if luminance(colour) < 0.22 else 255 - (255 - colour) // 2


def _colour(values: np.ndarray) -> Colour:
    """Rounded and clipped to 0..255."""
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue


def background(rng: np.random.Generator, width: int, height: int, calm: float = 1.0) -> Background:
    """A plain, graded, textured or ruled picture of (width, height); `calm` below 1 weakens textures for small text."""
    base = _base_colour(rng)
    kind = rng.random()
    if kind < 0.5:
        image, spread = Image.new("RGB", (width, height), _colour(base)), 0
    elif kind < 0.65:
        image, spread = _gradient(rng, width, height, base)
    elif kind < 0.92:
        spread = int(rng.integers(3, 26) * calm) + 1
        shift = (_field(rng, width, height) * np.int16(spread)) >> 7
        tint = base.astype(np.int16) - (spread if base.mean() > 128 else -spread)
        image = _merge([shift + level for level in tint])
        spread *= 2
    else:
        image, spread = _ruled(rng, width, height, base, calm)
    low = luminance(np.clip(base - spread, 0, 255))
    return Background(image, float(low), float(luminance(np.clip(base + spread, 0, 255))))


def _gradient(rng: np.random.Generator, width: int, height: int, base: np.ndarray) -> tuple[Image.Image, int]:
    """From the base colour to a neighbouring one along a random direction."""
    spread = int(rng.integers(8, 45))
    direction = rng.uniform(0, 2 * math.pi)
    ramp_X = np.linspace(-0.5, 0.5, width) * math.cos(direction)
    ramp_Y = np.linspace(-0.5, 0.5, height)[:, None] * math.sin(direction)
    slopes = rng.uniform(-spread, spread, 3) * 1.4
    # in 64ths of a grey level, which fit 16 bits
    sums = [
        (64 * (ramp_Y * m + b)).astype(np.int16) + (64 * ramp_X * m).astype(np.int16)
        for m, b in zip(slopes, base, strict=True)
    ]
    return _merge([levels >> 6 for levels in sums]), spread


def _merge(levels: list[np.ndarray]) -> Image.Image:
    """An RGB picture of three (height, width) int16 arrays, clipped; much faster than an array whose last axis is 3."""
    return Image.merge("RGB", [Image.fromarray(np.clip(level, 0, 255).astype(np.uint8)) for level in levels])


def _ruled(rng: np.random.Generator, width: int, height: int, base: np.ndarray, calm: float) -> tuple[Image.Image, int]:
    """Faint lines or squares, as in a notebook."""
    spread = int(rng.integers(14, 40) * calm)
    image = Image.new("RGB", (width, height), _colour(base))
    pen = ImageDraw.Draw(image)
    line = _colour(base + (-spread if base.mean() > 128 else spread) * rng.uniform(0.3, 1, 3))
    step = int(rng.integers(12, 48))
    for y in range(int(rng.integers(step)), height, step):
        pen.line((0, y, width, y), line)
    if rng.random() < 0.5:
        for x in range(int(rng.integers(step)), width, step):
            pen.line((x, 0, x, height), line)
    return image, spread


def ink(rng: np.random.Generator, ground: Background, least: float = LEAST_CONTRAST) -> Colour:
    """A text colour whose contrast with both ends of the background is at least `least` where that is possible."""
    mean = (ground.low + ground.high) / 2
    dark_on_light = mean > 0.18
    if rng.random() < 0.5:
        candidates = np.abs(
            (0 if dark_on_light else 255) - rng.integers(0, 45, (1, 3)) // (1 if rng.random() < 0.5 else 3)
        )
    else:
        candidates = rng.integers(0, 256, (16, 3))
    light = luminance(candidates)
    against_low = (np.maximum(light, ground.low) + 0.05) / (np.minimum(light, ground.low) + 0.05)
    against_high = (np.maximum(light, ground.high) + 0.05) / (np.minimum(light, ground.high) + 0.05)
    good = np.flatnonzero(np.minimum(against_low, against_high) >= least)
    if len(good):
        return _colour(candidates[good[0]])
    return (0, 0, 0) if dark_on_light else (255, 255, 255)
