"""Which look a drawing of the train split gets: what leaves its meaning, its colour word and its outline true.

    rng, drawing, colours of the background --draw_look--> the drawing with a look, or as it is

Looks are drawn with a generator of their own, so that `rng` goes on as if there were none. The trap: pictures of the
test split are what scores are measured on, so nothing of it is ever dressed.
"""

import math
from dataclasses import replace

import numpy as np

from vl2.synth.icons import Color, Drawing, average_color, concepts
from vl2.synth.looks import draw_look, recoloured

DRESSED = 0.45  # share of drawings with a look
_EDGES: tuple[Color, ...] = ((255, 255, 255), (24, 24, 28))
# Masks that mean something else, or nothing, in a mirror.
_HANDED = frozenset({
    "alarm clock", "bar chart", "Bluetooth icon", "calendar", "check mark", "code symbol", "cursor", "floppy disk",
    "line chart", "magnifying glass", "musical note", "newspaper", "pie chart", "question mark", "refresh icon",
    "speech bubble", "stop sign", "watch",
})  # fmt: skip
# What people make in any colour.
_ANY_COLOUR = frozenset({"clothing", "instrument", "object", "toy"})
_ANY_COLOUR_TOO = frozenset({
    "bicycle", "bus", "car", "helicopter", "kick scooter", "motorcycle", "pickup truck", "race car", "rocket",
    "sailboat", "scooter", "speedboat", "tent", "tractor", "train", "truck", "umbrella",
})  # fmt: skip
# Of those groups, what is known by its colour.
_OWN_COLOUR = frozenset({
    "bone", "brain", "Christmas tree", "fire extinguisher", "pumpkin", "skull", "stop sign", "tooth", "traffic light",
})  # fmt: skip


def own_generator(rng: np.random.Generator) -> np.random.Generator:
    """A generator that the state of `rng` fixes, far ahead of it in its sequence; `rng` stays where it is."""
    return np.random.Generator(rng.bit_generator.jumped())  # type: ignore[attr-defined]


def stands_out(color: tuple[float, ...], bases: list[np.ndarray], distance: float) -> bool:
    """Whether a colour is far from all colours of the background."""
    return all(math.dist(color, base) >= distance for base in bases)


def dress(rng: np.random.Generator, drawing: Drawing, bases: list[np.ndarray]) -> Drawing:
    """The drawing in a random look; as it is now and then, and where the look would be lost in the background."""
    if drawing.kind == "shape" or rng.random() >= DRESSED:
        return drawing
    concept = concepts()[drawing.concept]
    free = concept.name in _ANY_COLOUR_TOO or (concept.group in _ANY_COLOUR and concept.name not in _OWN_COLOUR)
    edges = [edge for edge in _EDGES if stands_out(edge, bases, 105)]
    look = draw_look(
        rng,
        mask=drawing.paintable,
        mirror=drawing.paintable and concept.name not in _HANDED,  # emoji are mirrored when they are scaled
        hue=150.0 if free else 14.0,
        told=bool(drawing.color),
        outline=edges[int(rng.integers(len(edges)))] if edges else None,
    )
    if not drawing.paintable and not stands_out(recoloured(average_color(drawing), look), bases, 48):
        return drawing
    return replace(drawing, look=look)
