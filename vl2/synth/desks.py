"""What lies under a page that somebody photographs: wood, stone, cloth, plain boards, a photograph, other papers.

    rng, split --> desk(width, height) -> (height, width, 3) uint8

The trap: textures are cut from a bank made once, because drawing one takes longer than all the rest of a photograph.
"""

import math
from functools import lru_cache

import cv2
import numpy as np

from vl2.synth.ingredients import photographs

_SIDE = 640
# dark and light end of each texture's colours
_COLOURS: dict[str, tuple[tuple[tuple[int, int, int], tuple[int, int, int]], ...]] = {
    "wood": (
        ((70, 42, 22), (128, 84, 48)), ((120, 78, 40), (196, 142, 88)), ((170, 128, 84), (226, 190, 146)),
        ((40, 28, 22), (82, 58, 44)), ((196, 176, 150), (232, 218, 198)), ((92, 88, 84), (150, 144, 136)),
    ),
    "stone": (
        ((40, 42, 46), (96, 98, 104)), ((150, 148, 144), (214, 212, 206)), ((210, 208, 206), (246, 245, 243)),
        ((96, 92, 84), (168, 160, 148)), ((22, 24, 26), (58, 60, 64)),
    ),
    "cloth": (
        ((30, 44, 78), (72, 92, 136)), ((92, 30, 34), (150, 66, 66)), ((52, 60, 52), (104, 114, 100)),
        ((170, 164, 150), (222, 216, 204)), ((34, 34, 36), (76, 76, 80)), ((96, 112, 130), (150, 166, 182)),
    ),
    "board": (
        ((206, 208, 210), (244, 245, 246)), ((30, 31, 33), (66, 67, 70)), ((70, 110, 92), (104, 146, 124)),
        ((176, 160, 140), (206, 190, 170)), ((120, 126, 134), (168, 174, 182)), ((58, 74, 98), (90, 108, 136)),
    ),
}  # fmt: skip


@lru_cache(maxsize=1)
def _bank() -> dict[str, list[np.ndarray]]:
    """Grey textures (side, side) uint8 of each kind."""
    rng = np.random.default_rng(77)
    return {
        "wood": [_wood(rng) for _ in range(3)],
        "stone": [_stone(rng) for _ in range(3)],
        "cloth": [_cloth(rng, step) for step in (3, 4, 6)],
        "board": [_spread(_smooth(rng, 3) + 0.15 * _smooth(rng, 200)) for _ in range(2)],
    }


def _smooth(rng: np.random.Generator, cells: int, stretch: int = 1) -> np.ndarray:
    """A smooth random field with about `cells` bumps down and cells / stretch across, from -1 to 1."""
    small = rng.uniform(-1, 1, (cells, max(2, cells // stretch))).astype(np.float32)
    return cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)


def _spread(field: np.ndarray) -> np.ndarray:
    """Stretched to 0..255."""
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / (high - low) * 255, 0, 255).astype(np.uint8)


def _wood(rng: np.random.Generator) -> np.ndarray:
    """Planks with rings cut along the grain and fine fibres."""
    grain = 3.0 * _smooth(rng, 6, 3) + np.linspace(0, rng.uniform(4, 9), _SIDE, dtype=np.float32)[:, None]
    rings = np.sin(2 * math.pi * grain)
    field = 0.6 * rings + 0.5 * _smooth(rng, 320, 40) + 0.4 * _smooth(rng, 5)
    height = int(rng.integers(110, 240))
    for top in range(0, _SIDE, height):
        field[top : top + height] += rng.uniform(-0.7, 0.7)
        field[top : top + 3] -= 1.6
    return _spread(field)


def _stone(rng: np.random.Generator) -> np.ndarray:
    """Clouds with veins or specks."""
    field = _smooth(rng, 5) + 0.5 * _smooth(rng, 14) + 0.3 * _smooth(rng, 60)
    if rng.random() < 0.5:
        return _spread(field - 1.2 * np.exp(-np.abs(_smooth(rng, 6) + 0.3 * _smooth(rng, 30)) * 22))
    return _spread(field + 1.1 * _smooth(rng, 400))


def _cloth(rng: np.random.Generator, step: int) -> np.ndarray:
    """Threads over and under one another, and soft folds."""
    y, x = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)
    weave = np.abs(np.sin(math.pi * x / step)) * ((y // step + x // step) % 2)
    weave += np.abs(np.sin(math.pi * y / step)) * (1 - (y // step + x // step) % 2)
    return _spread(0.5 * weave + 0.8 * _smooth(rng, 4) + 0.3 * _smooth(rng, 150))


def _cut(rng: np.random.Generator, texture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A random part of a texture, perhaps turned, scaled to width x height."""
    if rng.random() < 0.5:
        texture = texture.swapaxes(0, 1)
    zoom = rng.uniform(0.5, 1.0)
    high, wide = texture.shape[:2]
    side = min(high / height, wide / width) * zoom
    cut_h, cut_w = max(8, int(height * side)), max(8, int(width * side))
    y, x = int(rng.integers(high - cut_h + 1)), int(rng.integers(wide - cut_w + 1))
    part = np.ascontiguousarray(texture[y : y + cut_h, x : x + cut_w])
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)


def desk(rng: np.random.Generator, width: int, height: int, split: str) -> np.ndarray:
    """(height, width, 3) uint8: a surface, sometimes with other sheets of paper on it."""
    kind = ("wood", "stone", "cloth", "board", "photo")[int(np.searchsorted((0.36, 0.52, 0.66, 0.84), rng.random()))]
    if kind == "photo":
        bank = photographs(split)
        picture = _cut(rng, bank[int(rng.integers(len(bank)))], width, height)
    else:
        textures = _bank()[kind]
        grey = _cut(rng, textures[int(rng.integers(len(textures)))], width, height)
        ends = _COLOURS[kind][int(rng.integers(len(_COLOURS[kind])))]
        dark, light = (np.array(end) + rng.integers(-12, 13, 3) for end in ends)
        table = np.clip(dark + np.arange(256)[:, None] / 255 * (light - dark), 0, 255).astype(np.uint8)
        picture = cv2.merge([cv2.LUT(grey, np.ascontiguousarray(table[:, channel])) for channel in range(3)])
    for _ in range(int(rng.integers(1, 3)) if rng.random() < 0.2 else 0):
        _lay_paper(rng, picture)
    return picture


def _lay_paper(rng: np.random.Generator, picture: np.ndarray) -> None:
    """A blank sheet that reaches into the picture from outside, with its shadow and a few grey lines."""
    height, width = picture.shape[:2]
    centre = np.array([width, height]) * (rng.random(2) + np.where(rng.random(2) < 0.5, -0.35, 0.35))
    half = np.array([width, height]) * rng.uniform(0.25, 0.5, 2)
    turn = rng.uniform(-0.6, 0.6)
    axes = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    corners = centre + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ axes
    shade = int(rng.integers(205, 250))
    shadow = tuple(int(v) for v in (picture.reshape(-1, 3)[::997].mean(0) * 0.45))
    cv2.fillPoly(picture, [np.round(corners + 4).astype(np.int32)], shadow, cv2.LINE_AA)
    cv2.fillPoly(
        picture, [np.round(corners).astype(np.int32)], (shade, shade, shade - int(rng.integers(0, 12))), cv2.LINE_AA
    )
    for place in np.arange(-0.8, 0.8, rng.uniform(0.08, 0.2)):
        ends = centre + (np.array([[-0.8, place], [rng.uniform(0.1, 0.8), place]]) * half) @ axes
        first, last = np.round(ends).astype(int).tolist()
        cv2.line(picture, tuple(first), tuple(last), (shade - 45,) * 3, 1 + int(rng.random() < 0.5), cv2.LINE_AA)
