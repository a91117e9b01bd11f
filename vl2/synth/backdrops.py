"""Backgrounds of scenes: plain, gradient, blobs, texture, pattern or a horizon, with the colours to stay away from.

    rng --> backdrop() -> image, colours of its large areas, the word for its colour

The trap: a thing must differ from every large area, since it may be placed on any of them.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vl2.synth.icons import Color, pick_color


def _base_color(rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """A background colour and its word ("" if it has none)."""
    draw = rng.random()
    if draw < 0.34:
        return np.full(3, 255 - int(rng.integers(0, 9)), np.float32), "white"
    tint = rng.random(3).astype(np.float32)
    if draw < 0.64:
        return 205 + 48 * tint, ""
    if draw < 0.72:
        return np.full(3, float(rng.integers(2, 28)), np.float32), "black"
    if draw < 0.84:
        return 15 + 60 * tint, ""
    words = ("blue", "green", "yellow", "pink", "orange", "purple", "grey")
    word = words[int(rng.integers(len(words)))]
    return np.array(pick_color(rng, word), np.float32), word


def _rgb(values: np.ndarray) -> Color:
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue


def _pattern(rng: np.random.Generator, image: Image.Image, base: np.ndarray) -> None:
    """Low-contrast stripes, squares or dots."""
    width, height = image.size
    pen = ImageDraw.Draw(image)
    shade = _rgb(
        base + np.float32(rng.choice([-16.0, 16.0]) if 20 < base.mean() < 235 else (-14 if base.mean() > 127 else 16))
    )
    step = int(rng.integers(14, 48))
    kind = int(rng.integers(4))
    if kind == 0:
        lean = int(rng.integers(-height, height))
        for x in range(-height, width + height, step):
            pen.line((x, 0, x + lean, height), shade, max(1, step // 3))
    elif kind == 1:
        for y in range(0, height, step):
            pen.line((0, y, width, y), shade, 1 + step // 12)
        for x in range(0, width, step):
            pen.line((x, 0, x, height), shade, 1 + step // 12)
    elif kind == 2:
        for row, y in enumerate(range(0, height, step)):
            for x in range((row % 2) * step, width, 2 * step):
                pen.rectangle((x, y, x + step - 1, y + step - 1), shade)
    else:
        for y in range(step // 2, height, step):
            for x in range(step // 2, width, step):
                pen.ellipse((x - 2, y - 2, x + 2, y + 2), shade)


def backdrop(rng: np.random.Generator, width: int, height: int) -> tuple[Image.Image, list[np.ndarray], str]:
    """A background image, the colours that things on it must differ from, and its colour word ("" if it has none)."""
    base, word = _base_color(rng)
    draw = rng.random()
    if draw < 0.4:
        return Image.new("RGB", (width, height), _rgb(base)), [base], word
    if draw < 0.72:  # gradient, soft blobs, rough texture: a small random picture stretched
        rows, columns, spread = ((2, 2, 26), (6, 6, 18), (40, 40, 9))[0 if draw < 0.54 else 1 if draw < 0.64 else 2]
        small = base + rng.uniform(-spread, spread, (rows, columns, 3)).astype(np.float32)
        image = Image.fromarray(np.clip(small, 0, 255).astype(np.uint8))
        return image.resize((width, height), Image.Resampling.BILINEAR), [base], word if spread < 10 else ""
    image = Image.new("RGB", (width, height), _rgb(base))
    if draw < 0.88:
        _pattern(rng, image, base)
        return image, [base], ""
    sky = np.array([rng.uniform(150, 210), rng.uniform(205, 235), rng.uniform(240, 255)], np.float32)
    lands = ((120, 170, 80), (225, 200, 150), (150, 110, 80), (70, 120, 160), (235, 240, 245))
    ground = np.array(lands[int(rng.integers(len(lands)))], np.float32) + rng.uniform(-20, 20, 3).astype(np.float32)
    image.paste(_rgb(sky), (0, 0, width, height))
    image.paste(_rgb(ground), (0, int(height * rng.uniform(0.45, 0.8)), width, height))
    return image, [sky, ground], ""
