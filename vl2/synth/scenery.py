"""Pictures of things: a background, drawings set on it without hiding one another, and what is known of each thing.

    rng, split, Plan --backdrop, choose, place--> Scenery(things with exact boxes) --finish--> worn image + marks

Boxes are the extents of the drawn ink (alpha above INK) after scaling, flipping and turning, in pixels of the image.
The trap: the whole picture is never rotated here, because the box around a turned box is not the box of the thing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageFont

from vl2.processing.boxes import Box
from vl2.synth.backdrops import backdrop
from vl2.synth.canvas import Canvas, Finished
from vl2.synth.damage import Damage
from vl2.synth.dressing import dress, own_generator, stands_out
from vl2.synth.icons import (
    PALETTE,
    Color,
    Concept,
    Drawing,
    average_color,
    concepts,
    drawings_of,
    pick_color,
)
from vl2.synth.ingredients import fonts, load_font, sample_words
from vl2.synth.sample import concept_id

INK = 32  # alpha above which a pixel belongs to the box
MIN_SIDE, MAX_SIDE = 28, 200
_UPRIGHT = {"square", "rectangle", "diamond", "cross", "hexagon", "octagon", "pentagon", "oval", "semicircle"}


@dataclass(frozen=True)
class Thing:
    """One drawn thing: what it is, its colour word ("" if people might differ), its box, its grid cell, its text."""

    concept: Concept
    drawing: Drawing
    color: str
    box: Box
    row: int = 0
    column: int = 0
    text: str = ""

    @property
    def center(self) -> tuple[float, float]:
        return (self.box.x0 + self.box.x1) / 2, (self.box.y0 + self.box.y1) / 2

    @property
    def area(self) -> float:
        return (self.box.x1 - self.box.x0) * (self.box.y1 - self.box.y0)


@dataclass
class Plan:
    """What to draw: how many of each kind; layout "free", "row", "column" or "grid"; texts: a word under each thing."""

    counts: list[int]
    layout: str = "free"
    texts: bool = False
    same_drawing: bool = True


@dataclass
class Scenery:
    """A picture with its things. layout as in Plan; rows, columns of a grid; background: its colour word or ""."""

    width: int
    height: int
    things: list[Thing]
    layout: str
    rows: int
    columns: int
    background: str
    canvas: Canvas
    split: str
    groups: dict[int, list[Thing]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for thing in self.things:
            self.groups.setdefault(thing.concept.index, []).append(thing)

    def finish(self, rng: np.random.Generator) -> Finished:
        """The worn picture; never rotated, so boxes stay exact."""
        wear = Damage.draw(rng, 0.6)
        return self.canvas.finish(rng, replace(wear, angle=0.0, shadow=0.0, blur=float(wear.blur)))


def draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height): three in four within 384 x 384, the others up to 768 on one side."""
    draw = rng.random(3)
    if draw[0] < 0.5:
        return int(256 + 129 * draw[1]), int(256 + 129 * draw[2])
    if draw[0] < 0.75:
        return int(160 + 225 * draw[1]), int(160 + 225 * draw[2])
    long, short = int(400 + 369 * draw[1]), int(200 + 185 * draw[2])
    return (long, short) if rng.random() < 0.6 else (short, long)


# --- choosing drawings ---------------------------------------------------------------------------------------------


def choose_look(rng: np.random.Generator) -> tuple[str, ...]:
    """Kinds of drawings in one picture."""
    draw = rng.random()
    if draw < 0.55:
        return ("emoji",)
    if draw < 0.72:
        return ("shape",)
    if draw < 0.82:
        return ("interface",)
    return ("emoji", "emoji", "emoji", "shape", "interface")


def choose_concepts(
    rng: np.random.Generator, split: str, look: tuple[str, ...], bases: list[np.ndarray], count: int
) -> list[tuple[int, list[Drawing]]]:
    """Up to `count` different concepts that are no rivals, each with its drawings that stand out."""
    chosen: list[tuple[int, list[Drawing]]] = []
    taken: set[int] = set()
    for _ in range(4 * count + 8):
        if len(chosen) == count:
            break
        pool = drawings_of(split, look[int(rng.integers(len(look)))])
        index = list(pool)[int(rng.integers(len(pool)))]
        if index in taken:
            continue
        fitting = [d for d in pool[index] if d.paintable or stands_out(average_color(d), bases, 48)]
        if fitting:
            chosen.append((index, fitting))
            taken |= {index} | concepts()[index].rivals
    return chosen


def choose_color(rng: np.random.Generator, bases: list[np.ndarray]) -> tuple[str, Color]:
    """A colour word and a colour it names that stands out from the background."""
    words = tuple(PALETTE)
    for _ in range(12):
        word = words[int(rng.integers(len(words)))]
        color = pick_color(rng, word)
        if stands_out(color, bases, 105):
            return word, color
    return ("black", (0, 0, 0)) if bases[0].mean() > 120 else ("white", (255, 255, 255))


# --- rendering and placing -----------------------------------------------------------------------------------------


def render_thing(
    rng: np.random.Generator, drawing: Drawing, color: Color | None, side: float
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """The drawing scaled to `side`, perhaps mirrored, turned and brightened, as RGBA, and the box of its ink."""
    # premultiplied by its opacity until the end: each step on RGBA would convert there and back
    picture = drawing.paint(color).convert("RGBa")
    draw = rng.random(6)
    stretch = 1.0 if draw[0] < 0.6 or drawing.source in ("circle", "square") else 0.9 + 0.2 * draw[1]
    stretch *= drawing.look.aspect if drawing.look else 1.0
    scale = side / max(picture.size)
    width, height = max(8, round(picture.width * scale * stretch)), max(8, round(picture.height * scale))
    picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)
    if draw[2] < 0.3 and drawing.kind != "interface":
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if draw[3] < 0.35 or drawing.source == "arrow":
        limit = (
            8 if drawing.source in _UPRIGHT or drawing.kind == "interface" else 180 if drawing.source == "arrow" else 16
        )
        picture = picture.rotate((2 * draw[4] - 1) * limit, Image.Resampling.BILINEAR, expand=True)
    picture = picture.convert("RGBA")
    if drawing.kind == "emoji" and draw[5] < 0.4:
        # in 128ths: 255 * 1.15 * 256 would not fit 16 bits
        gain = np.full(4, 128 * (0.85 + 0.75 * draw[5]))
        gain[3] = 128
        pixels = np.asarray(picture).reshape(picture.height, -1) * np.tile(gain.astype(np.uint16), picture.width)
        picture = Image.fromarray(np.minimum(pixels >> 7, 255).astype(np.uint8).reshape(picture.height, -1, 4))
    return picture, _ink_box(picture)


def _ink_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """The box of what is opaque enough to be seen."""
    inked = np.asarray(picture.getchannel("A")) >= INK
    rows, columns = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _free_spot(
    rng: np.random.Generator, size: tuple[int, int], bounds: tuple[int, int], placed: np.ndarray, overlap: float
) -> tuple[int, int] | None:
    """A place for a box of `size` that covers at most `overlap` of any placed box or of itself, if any."""
    width, height = size
    if width + 4 > bounds[0] or height + 4 > bounds[1]:
        return None
    spots = np.floor(rng.random((28, 2)) * (bounds[0] - width - 3, bounds[1] - height - 3)) + 2
    if len(placed) == 0:
        return int(spots[0, 0]), int(spots[0, 1])
    gap = 0 if overlap else 3
    high = np.minimum(spots[:, None] + size + gap, placed[None, :, 2:])
    low = np.maximum(spots[:, None] - gap, placed[None, :, :2])
    common = np.clip(high - low, 0, None).prod(2)
    smaller = np.minimum((placed[:, 2:] - placed[:, :2]).prod(1), width * height)
    fine = np.flatnonzero((common <= overlap * smaller).all(1))
    return (int(spots[fine[0], 0]), int(spots[fine[0], 1])) if len(fine) else None


@dataclass(frozen=True)
class _Order:
    """One thing still to be drawn."""

    concept: Concept
    drawing: Drawing
    word: str
    color: Color | None


def _orders(
    rng: np.random.Generator,
    plan: Plan,
    chosen: list[tuple[int, list[Drawing]]],
    bases: list[np.ndarray],
    looks: np.random.Generator | None,
) -> list[_Order]:
    """Drawing and colour of each thing; things of a kind share both, or each has its own. looks: None for none."""
    orders = []
    for (index, fitting), count in zip(chosen, plan.counts, strict=False):
        drawing = fitting[int(rng.integers(len(fitting)))]
        word, color = choose_color(rng, bases)
        same_color = rng.random() < 0.45
        dressed: dict[Drawing, Drawing] = {}  # equal drawings of a picture look alike
        for _ in range(count):
            if not plan.same_drawing:
                drawing = fitting[int(rng.integers(len(fitting)))]
            if not same_color:
                word, color = choose_color(rng, bases)
            painted = drawing.paintable
            if looks is not None and drawing not in dressed:
                dressed[drawing] = dress(looks, drawing, bases)
            orders.append(
                _Order(
                    concepts()[index],
                    dressed.get(drawing, drawing),
                    word if painted else drawing.color,
                    color if painted else None,
                )
            )
    return [orders[i] for i in rng.permutation(len(orders))]


def _put(
    canvas: Canvas, picture: Image.Image, ink: tuple[int, int, int, int], spot: tuple[int, int], order: _Order
) -> Box:
    """Paste so that the ink's corner is at spot; returns the box of the ink."""
    corner = spot[0] - ink[0], spot[1] - ink[1]
    canvas.image.paste(picture, corner, picture)
    box = Box(float(spot[0]), float(spot[1]), float(spot[0] + ink[2] - ink[0]), float(spot[1] + ink[3] - ink[1]))
    canvas.mark(concept_id(order.concept.index), box)
    return box


def _place_free(rng: np.random.Generator, canvas: Canvas, orders: list[_Order]) -> list[Thing]:
    """Things at random places; one that finds no place is left out."""
    things: list[Thing] = []
    fair = math.sqrt(canvas.width * canvas.height / len(orders))
    overlap = 0.08 if rng.random() < 0.2 else 0.0
    even = rng.random() < 0.3
    base = fair * rng.uniform(0.4, 0.75)
    for order in orders:
        side = base * (1.0 if even else rng.uniform(0.6, 1.45))
        for _ in range(4):
            side = min(max(side, MIN_SIDE + 2), MAX_SIDE)
            picture, ink = render_thing(rng, order.drawing, order.color, side)
            placed = np.array([thing.box for thing in things], np.float32).reshape(-1, 4)
            size = (ink[2] - ink[0], ink[3] - ink[1])
            spot = _free_spot(rng, size, (canvas.width, canvas.height), placed, overlap)
            if spot is not None:
                things.append(Thing(order.concept, order.drawing, order.word, _put(canvas, picture, ink, spot, order)))
                break
            side *= 0.75
    return things


def _grid_shape(layout: str, count: int, width: int, height: int) -> tuple[int, int]:
    """(rows, columns) with room for `count` things."""
    if layout == "row":
        return 1, count
    if layout == "column":
        return count, 1
    columns = max(2, min(count, round(math.sqrt(count * width / height))))
    return math.ceil(count / columns), columns


def _place_grid(
    rng: np.random.Generator, canvas: Canvas, orders: list[_Order], shape: tuple[int, int], texts: bool, split: str
) -> list[Thing]:
    """Things in the cells of a grid, with a word under each if texts."""
    rows, columns = shape
    cell_width, cell_height = canvas.width / columns, canvas.height / rows
    font_size = int(np.clip(cell_height * 0.13, 11, 22))
    paths = fonts(split, "sans") if texts else []
    room = font_size * 1.6 if texts else 0.0
    font = load_font(paths[int(rng.integers(len(paths)))], font_size) if texts else None
    side = min(cell_width, cell_height - room) * rng.uniform(0.55, 0.85)
    things = []
    for number, order in enumerate(orders):
        row, column = divmod(number, columns)
        scale = 1.0 if texts else rng.uniform(0.8, 1.1)
        picture, ink = render_thing(rng, order.drawing, order.color, min(max(side * scale, MIN_SIDE), MAX_SIDE))
        size = np.array([ink[2] - ink[0], ink[3] - ink[1]])
        slack = np.clip((np.array([cell_width, cell_height - room]) - size) / 2, 0, None)
        jitter = slack * rng.uniform(-0.2, 0.2, 2)
        spot = np.array([column * cell_width, row * cell_height]) + slack + jitter
        spot = np.clip(np.round(spot), 0, np.array([canvas.width, canvas.height]) - size)
        box = _put(canvas, picture, ink, (int(spot[0]), int(spot[1])), order)
        word = ""
        if font is not None:
            word = _write_under(canvas, box, sample_words(rng, split, 1)[0].capitalize(), font, cell_width - 4)
        things.append(Thing(order.concept, order.drawing, order.word, box, row, column, word))
    return things


def _write_under(canvas: Canvas, box: Box, word: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """Writes the word under the box in black or white, whichever is clearer there; returns "" if it is too wide."""
    width, height, _ = canvas.measure(word, font)
    if width > room:
        return ""
    x, y = float(np.clip((box.x0 + box.x1 - width) / 2, 1, canvas.width - width - 1)), box.y1 + 2
    below = canvas.image.crop((int(x), int(y), int(x + width) + 1, int(y + height) + 1)).resize(
        (1, 1), Image.Resampling.BOX
    )
    canvas.text((x, y), word, font, (20, 20, 20) if np.asarray(below).mean() > 115 else (245, 245, 245))
    return word


def build_scenery(rng: np.random.Generator, split: str, plan: Plan) -> Scenery:
    """Draw a picture after the plan; things that find no place are missing, so count `things`, not the plan."""
    width, height = draw_size(rng)
    count = sum(plan.counts)
    if plan.layout in ("row", "column"):
        long, short = min(768, max(max(width, height), 46 * count)), min(width, height)
        width, height = (long, short) if plan.layout == "row" else (short, long)
    image, bases, word = backdrop(rng, width, height)
    canvas = Canvas(width, height, image)
    chosen = choose_concepts(rng, split, choose_look(rng), bases, len(plan.counts))
    orders = _orders(rng, plan, chosen, bases, own_generator(rng) if split == "train" else None)
    rows, columns = 1, len(orders)
    if plan.layout == "free":
        things = _place_free(rng, canvas, orders)
    else:
        rows, columns = _grid_shape(plan.layout, len(orders), width, height)
        # a cell must hold the smallest thing and its word
        if width / columns < MIN_SIDE + 8 or height / rows < MIN_SIDE + 8 + (24 if plan.texts else 0):
            return build_scenery(rng, split, replace(plan, layout="free", texts=False))
        things = _place_grid(rng, canvas, orders, (rows, columns), plan.texts, split)
    return Scenery(width, height, things, plan.layout, rows, columns, word, canvas, split)
