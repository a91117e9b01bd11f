"""The icon pack: concepts with names, drawings of each split, geometric shapes; decoded lazily and kept.

    pack/icons.zip (index.json + WebP) --> concepts(), drawings(split)
    Drawing.paint(color) --> RGBA picture, cropped to its ink

Train and test have the same concepts in drawings by different artists; shapes are drawn by this file in both. A
concept's index among the sorted names is its dense label (see vl2.synth.sample.concept_id).

The trap: concepts that people may take for one another ("rivals": a taxi is a car) must not meet in one picture, or
questions about them have two right answers.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from vl2.synth.looks import Look, restyle

PACK = Path(__file__).parent / "pack" / "icons.zip"
SHAPE_SIDE = 128  # pixels of a painted shape
_SUPERSAMPLE = 3

# Colour words with ranges of red, green, blue that nobody would call otherwise.
PALETTE: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "red": ((200, 240), (10, 50), (10, 50)),
    "orange": ((240, 255), (125, 150), (0, 30)),
    "yellow": ((240, 255), (210, 235), (0, 60)),
    "green": ((10, 70), (130, 185), (30, 80)),
    "blue": ((10, 60), (70, 125), (195, 245)),
    "purple": ((115, 145), (30, 65), (165, 205)),
    "pink": ((245, 255), (120, 155), (175, 205)),
    "brown": ((110, 140), (65, 85), (25, 50)),
    "black": ((0, 30), (0, 30), (0, 30)),
    "white": ((245, 255), (245, 255), (245, 255)),
    "grey": ((115, 145), (115, 145), (115, 145)),
}
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Concept:
    """A kind of thing with what people call it.

    names: (singular, plural) pairs, the usual one first; the_names: names used only after "the" ("scissors");
    group: the section of the pack's list; rivals: indices of concepts that must not be in the same picture.
    """

    index: int
    name: str
    group: str
    names: tuple[tuple[str, str], ...]
    the_names: tuple[str, ...]
    rivals: frozenset[int]


@dataclass(frozen=True)
class Drawing:
    """One artist's picture of a concept.

    kind: "emoji" comes in its own colours (color is the word for it if it plainly has one, else ""), "interface" is a
    mask and "shape" a geometric figure, both to be painted. source: a number in the zip, or the shape's name. look: how
    the picture is changed, None for as it is.
    """

    concept: int
    kind: Literal["emoji", "interface", "shape"]
    style: str
    color: str
    source: str
    look: Look | None = None

    @property
    def paintable(self) -> bool:
        return self.kind != "emoji"

    def paint(self, color: Color | None = None) -> Image.Image:
        """The RGBA picture cropped to its ink, longer side 100 or 128 pixels; only an emoji needs no color."""
        if self.kind == "shape":
            drawn = _shape_mask(self.source)
        else:
            decode = _decode if self.kind == "emoji" else _decode_mask
            drawn = decode(self.source) if self.look is None else _restyled(decode, self.source, self.look)
        if self.kind == "emoji":
            return drawn
        assert color is not None, self
        picture = Image.new("RGBA", drawn.size, color)
        picture.putalpha(drawn)
        return picture


@lru_cache
def _pack() -> tuple[dict, dict[str, bytes]]:
    """index.json and the WebP bytes by number: 8 MB, read once, so that no file stays open across forks."""
    with zipfile.ZipFile(PACK) as pack:
        return json.loads(pack.read("index.json")), {
            name.removesuffix(".webp"): pack.read(name) for name in pack.namelist() if name.endswith(".webp")
        }


@lru_cache(maxsize=4096)
def _decode(source: str) -> Image.Image:
    """A drawing of the pack, RGBA."""
    # Pillow would otherwise try every format that it knows
    return Image.open(io.BytesIO(_pack()[1][source]), formats=("WEBP",)).convert("RGBA")


@lru_cache(maxsize=4096)
def _decode_mask(source: str) -> Image.Image:
    """Coverage of a one-colour drawing of the pack."""
    return Image.open(io.BytesIO(_pack()[1][source]), formats=("WEBP",)).convert("RGBA").getchannel("A")


@lru_cache(maxsize=64)  # the things of a few pictures; a look seldom comes again later
def _restyled(decode: Callable[[str], Image.Image], source: str, look: Look) -> Image.Image:
    """A drawing of the pack in a look."""
    return restyle(decode(source), look)


@lru_cache
def concepts() -> tuple[Concept, ...]:
    """All concepts, sorted by name; a concept's index is its place here."""
    index = _pack()[0]
    rivals: list[set[int]] = [set() for _ in index["concepts"]]
    for line in index["rivals"]:
        for member in line:
            rivals[member] |= set(line) - {member}
    return tuple(
        Concept(
            number,
            entry["name"],
            entry["group"],
            tuple((singular, plural) for singular, plural in entry["names"]),
            tuple(entry["the"]),
            frozenset(rivals[number]),
        )
        for number, entry in enumerate(index["concepts"])
    )


@lru_cache
def drawings(split: str) -> tuple[Drawing, ...]:
    """The drawings of a split ("train" or "test"), shapes last."""
    index = _pack()[0]
    result = []
    for number, entry in enumerate(index["drawings"]):
        drawn_split, kind = index["styles"][entry["style"]]
        if drawn_split == split:
            result.append(Drawing(entry["concept"], kind, entry["style"], entry["color"], str(number)))
    for number, entry in enumerate(index["concepts"]):
        if "shape" in entry:
            result.append(Drawing(number, "shape", "shape", "", entry["shape"]))
    return tuple(result)


@lru_cache
def drawings_of(split: str, kind: str) -> dict[int, tuple[Drawing, ...]]:
    """Drawings of one kind by concept index."""
    found: dict[int, list[Drawing]] = {}
    for drawing in drawings(split):
        if drawing.kind == kind:
            found.setdefault(drawing.concept, []).append(drawing)
    return {concept: tuple(members) for concept, members in found.items()}


def pick_color(rng: np.random.Generator, word: str) -> Color:
    """A random colour that the word names."""
    red, green, blue = PALETTE[word]
    draw = rng.random(3)
    if word in ("grey", "white"):
        draw[:] = draw[0]
    return tuple(int(low + (high - low) * d) for (low, high), d in zip((red, green, blue), draw, strict=True))  # type: ignore[return-value]


@cache
def average_color(drawing: Drawing) -> tuple[float, float, float]:
    """The mean colour of an emoji's opaque pixels, to keep it off backgrounds of the same colour."""
    small = np.asarray(drawing.paint().resize((12, 12), Image.Resampling.BOX), np.float32).reshape(-1, 4)
    weight = small[:, 3:] + 1e-3
    red, green, blue = (small[:, :3] * weight).sum(0) / weight.sum()
    return float(red), float(green), float(blue)


def _star(points: int, inner: float) -> list[tuple[float, float]]:
    return [
        (0.5 + r * math.sin(math.pi * k / points), 0.5 - r * math.cos(math.pi * k / points))
        for k in range(2 * points)
        for r in (0.5 if k % 2 == 0 else inner,)
    ]


def _polygon(sides: int, turn: float = 0.0) -> list[tuple[float, float]]:
    angles = [2 * math.pi * (k + turn) / sides for k in range(sides)]
    return [(0.5 + 0.5 * math.sin(a), 0.5 - 0.5 * math.cos(a)) for a in angles]


def _heart() -> list[tuple[float, float]]:
    steps = [2 * math.pi * k / 60 for k in range(60)]
    return [
        (
            0.5 + math.sin(t) ** 3 / 2,
            0.47 - (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 34,
        )
        for t in steps
    ]


_POLYGONS = {
    "square": [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
    "rectangle": [(0.0, 0.22), (1.0, 0.22), (1.0, 0.78), (0.0, 0.78)],
    "triangle": [(0.5, 0.05), (1.0, 0.92), (0.0, 0.92)],
    "diamond": [(0.5, 0.0), (0.9, 0.5), (0.5, 1.0), (0.1, 0.5)],
    "star": _star(5, 0.2),
    "pentagon": _polygon(5),
    "hexagon": _polygon(6, 0.5),
    "octagon": _polygon(8, 0.5),
    "heart": _heart(),
    "arrow": [(0.0, 0.36), (0.55, 0.36), (0.55, 0.1), (1.0, 0.5), (0.55, 0.9), (0.55, 0.64), (0.0, 0.64)],
    "cross": [
        (0.34, 0.0), (0.66, 0.0), (0.66, 0.34), (1.0, 0.34), (1.0, 0.66), (0.66, 0.66),
        (0.66, 1.0), (0.34, 1.0), (0.34, 0.66), (0.0, 0.66), (0.0, 0.34), (0.34, 0.34),
    ],
}  # fmt: skip


@lru_cache
def _shape_mask(name: str) -> Image.Image:
    """A geometric figure as an L mask cropped to its ink, drawn larger and averaged down."""
    side = SHAPE_SIDE * _SUPERSAMPLE
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    if name in _POLYGONS:
        draw.polygon([(x * (side - 1), y * (side - 1)) for x, y in _POLYGONS[name]], fill=255)
    elif name == "circle":
        draw.ellipse((0, 0, side - 1, side - 1), fill=255)
    elif name == "oval":
        draw.ellipse((0, side // 5, side - 1, side - side // 5), fill=255)
    else:
        assert name == "semicircle", name
        draw.pieslice((0, side // 4, side - 1, side // 4 + side - 1), 180, 360, fill=255)
    mask = mask.resize((SHAPE_SIDE, SHAPE_SIDE), Image.Resampling.BOX)
    return mask.crop(mask.getbbox())
