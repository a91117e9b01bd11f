"""Parts that all charts share: their look, the room that is left, title, legend, upright text and smooth lines.

    Room (all of the canvas) --draw_title, draw_legend--> a smaller Room for axes or pie; regions "title", "legend i"

Text is drawn at its final size; only lines are drawn larger and shrunk, which smooths their edges. The trap: a part
that does not fit raises NoRoomError, and the caller draws a smaller chart on a fresh canvas.
"""

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from vl2.synth.canvas import Canvas, Colour, Rect, character_ids, glyph_metrics, text_width
from vl2.synth.chart_content import Chart
from vl2.synth.sample import structure_id

Font = ImageFont.FreeTypeFont
Point = tuple[float, float]

_SWATCH = structure_id("legend swatch")
SMOOTH = 3


class NoRoomError(ValueError):
    """The chart does not fit into the picture; draw a smaller one."""


@dataclass(frozen=True)
class Look:
    """Fonts, colours and habits of one chart."""

    font: Font
    title_font: Font
    paper: Colour
    plot: Colour  # inside of the axes
    ink: Colour
    faint: Colour  # grid lines
    grid: bool
    frame: str  # "left", "box" or "none": which axis lines are drawn
    bar_share: float  # of a slot
    outline: Colour | None
    legend: str  # "top", "bottom" or "right"
    line_width: int
    dots: int  # radius of points, 0 for none
    pie_labels: str  # "inside", "outside" or "legend": where the numbers of slices stand
    start: float  # degrees of the first slice
    title_left: bool
    legend_box: bool  # a thin frame around the legend
    inside: bool  # numbers of bars inside of them, at their ends
    area: bool  # the space below a single line is filled


@dataclass
class Room:
    """The part of the canvas that is still free."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.y1 - self.y0


def line_height(font: Font) -> float:
    """Height of a line box."""
    metrics = glyph_metrics(font)
    return float(metrics.ascent + metrics.descent)


def upright_text(canvas: Canvas, xy: Point, string: str, font: Font, fill: Colour) -> Rect:
    """Draw one line turned by 90 degrees, reading upwards, its box's top left at xy; returns its box."""
    wide, high = math.ceil(text_width(string, font)), math.ceil(line_height(font))
    mask = Image.new("L", (wide + 2, high))
    ImageDraw.Draw(mask).text((0, 0), string, font=font, fill=255)
    mask = mask.transpose(Image.Transpose.ROTATE_90)
    x, y = round(xy[0]), round(xy[1])
    canvas.image.paste(fill, (x, y), mask)
    canvas.smallest_text = min(canvas.smallest_text, font.size)
    metrics = glyph_metrics(font)
    pen = y + wide + 2.0
    for label, advance in zip(character_ids(string).tolist(), metrics.glyphs(string, font)[:, 0].tolist(), strict=True):
        canvas.mark(label, (x + metrics.cell_top, pen - advance, x + metrics.cell_bottom, pen))
        pen -= advance
    return x, y, x + high, y + wide + 2.0


def smooth_line(
    canvas: Canvas, points: list[Point], colour: Colour, width: int, dots: int, smooth: int = SMOOTH
) -> None:
    """A line through the points with smooth edges, discs of radius `dots` on them.

    Args:
        smooth: how many times as large it is drawn before it is shrunk.
    """
    pad = width + dots + 2
    x0, y0 = (math.floor(min(p[i] for p in points)) - pad for i in (0, 1))
    x1, y1 = (math.ceil(max(p[i] for p in points)) + pad for i in (0, 1))
    mask = Image.new("L", ((x1 - x0) * smooth, (y1 - y0) * smooth))
    pen = ImageDraw.Draw(mask)
    moved = [((x - x0) * smooth, (y - y0) * smooth) for x, y in points]
    pen.line(moved, fill=255, width=width * smooth, joint="curve")
    for x, y in moved:
        r = dots * smooth
        pen.ellipse((x - r, y - r, x + r, y + r), fill=255)
    canvas.image.paste(colour, (x0, y0), mask.reduce(smooth))


def draw_title(canvas: Canvas, title: str, look: Look, room: Room) -> None:
    """The title at the top; takes its part of the room. NoRoomError: too wide."""
    wide = text_width(title, look.title_font)
    if wide > room.width:
        raise NoRoomError("title too wide")
    x = room.x0 if look.title_left else room.x0 + (room.width - wide) / 2
    canvas.region("title", canvas.text((round(x), round(room.y0)), title, look.title_font, look.ink))
    room.y0 += line_height(look.title_font) + 5


def legend_entries(chart: Chart, look: Look) -> list[tuple[str, Colour]]:
    """Texts and colours of the legend; empty when the chart needs none."""
    if chart.pie:
        if look.pie_labels == "outside":
            return []
        names = chart.categories
        if look.pie_labels == "legend":
            names = tuple(f"{n} {chart.text(v)}" for n, v in zip(names, chart.values[0], strict=True))
    else:
        names = chart.series
    colours = [colour for _, colour in chart.colours]
    return list(zip(names, colours, strict=bool(names))) if names else []


def draw_note(canvas: Canvas, note: str, look: Look, room: Room) -> None:
    """Small print at the bottom left; takes its part of the room. NoRoomError: too wide."""
    if text_width(note, look.font) > room.width:
        raise NoRoomError("note too wide")
    high = line_height(look.font)
    canvas.text((round(room.x0), round(room.y1 - high)), note, look.font, look.ink)
    room.y1 -= high + 3


def draw_legend(canvas: Canvas, entries: list[tuple[str, Colour]], look: Look, room: Room) -> None:
    """Swatches and names at the top, bottom or right; takes its part of the room. NoRoomError: too many or too wide."""
    high = line_height(look.font)
    side = round(look.font.size * 0.8)
    widths = [side + 5 + text_width(name, look.font) for name, _ in entries]
    places = _beside(widths, high, room) if look.legend == "right" else _in_rows(widths, high, look, room)
    boxes: list[Rect] = []
    for i, ((name, colour), (x, y)) in enumerate(zip(entries, places, strict=True)):
        x, y = round(x), round(y)
        top = round(y + (high - side) / 2)
        canvas.draw.rectangle((x, top, x + side, top + side), fill=colour)
        canvas.mark(_SWATCH, (x - 1, top - 1, x + side + 1, top + side + 1))
        box = canvas.text((x + side + 5, y), name, look.font, look.ink)
        boxes.append((x, min(top, box[1]), box[2], max(top + side, box[3])))
        canvas.region(f"legend {i}", boxes[-1])
    if look.legend_box:
        x0, y0, x1, y1 = (pick([box[i] for box in boxes]) for i, pick in enumerate((min, min, max, max)))
        canvas.draw.rectangle((x0 - 4, y0 - 3, x1 + 4, y1 + 3), outline=look.faint)


def _beside(widths: list[float], high: float, room: Room) -> list[Point]:
    """Places of legend entries one below the other at the right."""
    width = max(widths)
    if width > 0.45 * room.width or (high + 3) * len(widths) > room.height:
        raise NoRoomError("legend too wide")
    room.x1 -= width + 10
    y = room.y0 + max(0.0, (room.height - len(widths) * (high + 3)) / 2)
    return [(room.x1 + 8, y + i * (high + 3)) for i in range(len(widths))]


def _in_rows(widths: list[float], high: float, look: Look, room: Room) -> list[Point]:
    """Places of legend entries in centred rows at the top or bottom."""
    rows: list[list[int]] = [[]]
    used = 0.0
    for i, width in enumerate(widths):
        if used + width > room.width and rows[-1]:
            rows.append([])
            used = 0.0
        rows[-1].append(i)
        used += width + 14
    if max(widths) > room.width or len(rows) > 3:
        raise NoRoomError("legend too wide")
    tall = len(rows) * (high + 2) + 6
    top = room.y0 + 1 if look.legend == "top" else room.y1 - tall + 4
    places: list[Point] = []
    for number, row in enumerate(rows):
        x = room.x0 + (room.width - sum(widths[i] + 14 for i in row) + 14) / 2
        for i in row:
            places.append((x, top + number * (high + 2)))
            x += widths[i] + 14
    if look.legend == "top":
        room.y0 += tall
    else:
        room.y1 -= tall
    return places


def contrast_ink(colour: Colour) -> Colour:
    """Black or white, whichever reads better on the colour."""
    red, green, blue = colour
    return (0, 0, 0) if 0.3 * red + 0.59 * green + 0.11 * blue > 130 else (255, 255, 255)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from a to b."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue
