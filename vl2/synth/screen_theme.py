"""The look of a drawn screenshot, and the parts that Pillow lacks: round corners, icons, discs with smooth edges.

    language, width --draw_theme--> Theme: colours, fonts, distances
    Brush(canvas) --box, disc, icon, picture--> pixels

The trap: colours and distances follow those of gui_theme, on whose pages a model that learned from these is measured.
"""

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from vl2.synth.canvas import Canvas, Colour
from vl2.synth.icons import concepts, drawings_of
from vl2.synth.ingredients import load_font
from vl2.synth.langs import Font, Language
from vl2.synth.values import chance, pick

_SMOOTH = 4


@dataclass(frozen=True)
class Theme:
    """Colours, fonts and distances of one screenshot; lengths in pixels."""

    accent: Colour
    page: Colour
    card: Colour
    text: Colour
    soft: Colour
    line: Colour
    bar: Colour
    on_bar: Colour
    link: Colour
    font: Font
    brand: Font
    title: Font
    subtitle: Font
    big: Font
    size: float
    radius: int
    shadow: bool
    columns: int
    row: int
    pad: int
    gap: int
    icon: int
    underlined: bool  # tabs with a line below the chosen one instead of a filled box
    labels_left: bool  # of fields, beside them

    @property
    def line_height(self) -> float:
        return 1.4 * self.size


def hsl(hue: float, saturation: float, light: float) -> Colour:
    """A colour of CSS: degrees, percent, percent."""
    red, green, blue = colorsys.hls_to_rgb(hue / 360, light / 100, saturation / 100)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_theme(lang: Language, width: int) -> Theme:
    """A light or dark look around one colour."""
    rng = lang.rng
    hue, dark = int(rng.integers(360)), chance(rng, 0.28)
    accent = hsl(hue, int(rng.integers(45, 90)), int(rng.integers(32, 52)))
    white: Colour = (255, 255, 255)
    if dark:
        tint = int(rng.integers(0, 14))
        page, card, line = hsl(hue, tint, 11), hsl(hue, tint, 16), hsl(hue, 8, 27)
        text, soft, link = (236, 239, 242), (154, 164, 174), (125, 183, 255)
    else:
        page, card = hsl(hue, int(rng.integers(0, 30)), int(rng.integers(95, 100))), white
        line, text, soft, link = (216, 221, 226), (29, 34, 40), (102, 112, 122), accent
        card = page if chance(rng, 0.2) else card
    bar = pick(rng, (accent, card, card if dark else text))
    plain, heavy = lang.font_file("sans"), lang.font_file("sans")
    size = rng.uniform(12.5, 16.5) + (1 if lang.zh else 0)
    return Theme(
        accent, page, card, text, soft, line, bar, text if bar == card else page if bar == text else white, link,
        font=load_font(plain, round(size)),
        brand=load_font(heavy, round(1.25 * size)),
        title=load_font(heavy, round(size * rng.uniform(1.3, 1.8))),
        subtitle=load_font(heavy, round(1.1 * size)),
        big=load_font(heavy, round(1.7 * size)),
        size=size,
        radius=pick(rng, (0, 3, 5, 8, 14, 20)),
        shadow=chance(rng, 0.4),
        columns=1 if width < 420 else int(rng.integers(2, 4)),
        row=int(rng.integers(3, 8)),
        pad=int(rng.integers(3, 8)),
        gap=int(rng.integers(3, 8)),
        icon=int(1.25 * size),
        underlined=chance(rng, 0.3),
        labels_left=width > 520 and chance(rng, 0.2),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _corner(radius: int) -> tuple[Image.Image, ...]:
    """Coverage of the four corners of a rounded box, clockwise from the upper left."""
    disc = _disc(2 * radius)
    r = radius
    return tuple(disc.crop(box) for box in ((0, 0, r, r), (r, 0, 2 * r, r), (r, r, 2 * r, 2 * r), (0, r, r, 2 * r)))


@lru_cache(maxsize=256)
def _disc(across: int) -> Image.Image:
    """Coverage of a disc."""
    mask = Image.new("L", (across * _SMOOTH, across * _SMOOTH))
    ImageDraw.Draw(mask).ellipse((0, 0, across * _SMOOTH - 1, across * _SMOOTH - 1), fill=255)
    return mask.reduce(_SMOOTH)


@lru_cache
def _concept_of(name: str) -> int:
    return next(concept.index for concept in concepts() if concept.name == name)


@lru_cache(maxsize=4096)
def _icon_mask(split: str, name: str, number: int, side: int) -> Image.Image:
    """Coverage of an icon that fits into a square."""
    pool = drawings_of(split, "interface")[_concept_of(name)]
    return _fitted(pool[number % len(pool)].paint((0, 0, 0)), side).getchannel("A")


@lru_cache(maxsize=4096)
def _emoji(split: str, concept: int, number: int, side: int) -> Image.Image:
    """A coloured drawing that fits into a square."""
    pool = drawings_of(split, "emoji")[concept]
    return _fitted(pool[number % len(pool)].paint(), side)


def _fitted(picture: Image.Image, side: int) -> Image.Image:
    """The picture as the whole square of a web page's icon: scaled to its longer side and centred."""
    scale = side / max(picture.size)
    small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    square = Image.new("RGBA", (side, side))
    square.paste(small, ((side - small.width) // 2, (side - small.height) // 2))
    return square


def _whole(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(value) for value in box)
    return x0, y0, x1, y1


class Brush:
    """Draws on a canvas what its own pen cannot."""

    def __init__(self, canvas: Canvas, split: str, rng: np.random.Generator):
        self.canvas, self.split, self.rng = canvas, split, rng

    def box(
        self, box: tuple[float, float, float, float], radius: int, fill: Colour, outline: Colour | None = None
    ) -> None:
        """A filled box with round corners and a border of one pixel."""
        if outline is not None:
            self._fill(_whole(box), radius, outline)
            x0, y0, x1, y1 = _whole(box)
            self._fill((x0 + 1, y0 + 1, x1 - 1, y1 - 1), max(0, radius - 1), fill)
        else:
            self._fill(_whole(box), radius, fill)

    def _fill(self, box: tuple[int, int, int, int], radius: int, fill: Colour) -> None:
        x0, y0, x1, y1 = box
        pen, r = self.canvas.draw, min(radius, (x1 - x0) // 2, (y1 - y0) // 2)
        if x1 <= x0 or y1 <= y0:
            return
        if r <= 0:
            pen.rectangle((x0, y0, x1 - 1, y1 - 1), fill=fill)
            return
        if x1 - x0 > 2 * r:
            pen.rectangle((x0 + r, y0, x1 - r - 1, y1 - 1), fill=fill)
        if y1 - y0 > 2 * r:
            pen.rectangle((x0, y0 + r, x0 + r - 1, y1 - r - 1), fill=fill)
            pen.rectangle((x1 - r, y0 + r, x1 - 1, y1 - r - 1), fill=fill)
        places = ((x0, y0), (x1 - r, y0), (x1 - r, y1 - r), (x0, y1 - r))
        for place, mask in zip(places, _corner(r), strict=True):
            self.canvas.image.paste(fill, place, mask)

    def shadow(self, box: tuple[float, float, float, float], radius: int, page: Colour) -> None:
        """What a raised card throws on the page."""
        x0, y0, x1, y1 = _whole(box)
        for reach, share in ((4, 0.97), (3, 0.95), (2, 0.93), (1, 0.91)):
            red, green, blue = (int(value * share) for value in page)
            self._fill((x0 - reach, y0 - reach + 2, x1 + reach, y1 + reach + 2), radius + reach, (red, green, blue))

    def disc(self, place: tuple[float, float], across: int, fill: Colour) -> None:
        """A disc with its box's upper left at place."""
        self.canvas.image.paste(fill, (round(place[0]), round(place[1])), _disc(across))

    def icon(self, place: tuple[float, float], name: str, side: int, fill: Colour) -> int:
        """An icon in one colour; returns the index of its concept."""
        mask = _icon_mask(self.split, name, int(self.rng.integers(8)), side)
        self.canvas.image.paste(fill, (round(place[0]), round(place[1])), mask)
        return _concept_of(name)

    def picture(self, place: tuple[float, float], concept: int, side: int) -> None:
        """A coloured drawing."""
        picture = _emoji(self.split, concept, int(self.rng.integers(9)), side)
        self.canvas.image.paste(picture, (round(place[0]), round(place[1])), picture)
