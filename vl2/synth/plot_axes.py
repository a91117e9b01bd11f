"""Draws charts of real numbers as plotting libraries do: axes that end anywhere, slanted names, legends inside.

    Chart + PlotStyle + Room --draw_plot--> the plot, marks, regions "value s c", "category c", "tick i",
        "x label", "y label"
    frame_of(...) --> Frame: where values and categories lie; scatter plots use it with two scales

The trap: what does not fit raises NoRoomError; then another chart is drawn on a fresh canvas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vl2.synth.canvas import Canvas, Colour, Rect, character_ids, glyph_metrics, text_width
from vl2.synth.chart_content import Chart, number_text
from vl2.synth.chart_parts import NoRoomError, Point, Room, contrast_ink, line_height, mix, smooth_line, upright_text
from vl2.synth.plot_styles import PlotStyle
from vl2.synth.sample import structure_id

Font = ImageFont.FreeTypeFont
BAR, AXIS, GRID, TICK = (structure_id(name) for name in ("bar", "axis", "grid line", "tick"))
POINT, SEGMENT, SWATCH = (structure_id(name) for name in ("line point", "line segment", "legend swatch"))
_LEAST = 110  # pixels of the plot along both axes
_SMOOTH = 2


@dataclass(frozen=True)
class Scale:
    """Numbers along a direction: `near` and `far` are the pixels of `low` and `high`."""

    low: float
    high: float
    near: float
    far: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        return self.near + (value - self.low) / (self.high - self.low) * (self.far - self.near)


def scale_of(low: float, step: float, count: int, top: float, *, loose: bool) -> tuple[float, tuple[float, ...]]:
    """(end of the axis, its ticks): at the last tick, or a little behind the largest value."""
    high = top + 0.05 * (top - low) if loose else low + step * count
    return high, tuple(low + step * i for i in range(count + 1) if low + step * i <= high * (1 + 1e-9))


def draw_plot(
    canvas: Canvas,
    chart: Chart,
    style: PlotStyle,
    font: Font,
    room: Room,
    head: float,
    boxes_C5: np.ndarray | None = None,
) -> None:
    """Axes, bars or lines, numbers; `head` is the share of the plot to leave free at the far end, for a legend.

    boxes_C5: least value, quartiles and largest value of each category, to be drawn instead as a box with whiskers.
    """
    lying = chart.kind == "barh"
    sums = np.array(chart.values).sum(0).max() if chart.stacked else np.array(chart.values).max()
    sums = sums if boxes_C5 is None else boxes_C5.max()
    high, ticks = scale_of(chart.low, chart.step, chart.ticks, float(sums), loose=style.loose)
    high = chart.low + (high - chart.low) / (1 - head) * (1.08 if chart.labelled and not chart.stacked else 1.0)
    texts = [number_text(tick).replace(",", chart.separator) + chart.suffix for tick in ticks]
    labels = (chart.value_label, chart.category_label) if lying else (chart.category_label, chart.value_label)
    tall = line_height(font)
    tick_wide = max(text_width(text, font) for text in texts)
    name_wide = max(text_width(name, font) for name in chart.categories)
    left = room.x0 + (tall + 3 if labels[1] else 0) + (name_wide if lying else tick_wide) + 8
    right = room.x1 - (0.5 * tick_wide if lying else 0)
    if lying and chart.labelled:
        right -= 0.6 * text_width(chart.text(float(sums)), font)
    slot = (right - left) / len(chart.categories)
    manner = "flat"
    if not lying and name_wide + 4 > slot:
        manner = "slanted" if name_wide < 90 and slot > 0.9 * tall else "upright"
    below = {"flat": tall + 5, "slanted": 0.72 * (name_wide + tall) + 4, "upright": name_wide + 8}[manner]
    bottom = room.y1 - (tall + 3 if labels[0] else 0) - (tall + 5 if lying else below)
    x0, y0, x1, y1 = round(left), round(room.y0 + 4), round(right), round(bottom)
    if lying and name_wide > 0.42 * room.width:
        raise NoRoomError("names too wide")
    if min(x1 - x0, y1 - y0) < _LEAST or (y1 - y0 if lying else x1 - x0) / len(chart.categories) < max(12, 0.75 * tall):
        raise NoRoomError("plot too small")
    values = Scale(chart.low, high, x0 if lying else y1, x1 if lying else y0, ticks)
    box = (x0, y0, x1, y1)
    draw_ground(canvas, style, box)
    middles = _middles(chart, box)
    if "category" in style.grid:
        _grid(canvas, style, box, middles, across=not lying)
    for number, ink in draw_ticks(canvas, style, font, box, values, texts, lying=lying).items():
        canvas.region(f"tick {number}", ink)
    _draw_names(canvas, chart, style, font, box, middles, manner)
    if boxes_C5 is not None:
        _draw_boxes(canvas, chart, style, values, middles, boxes_C5)
    elif chart.lines:
        _draw_lines(canvas, chart, style, font, values, middles, y1)
    else:
        _draw_bars(canvas, chart, style, font, values, middles, slot=(y1 - y0 if lying else x1 - x0) / len(middles))
    draw_frame(canvas, style, box)
    draw_labels(canvas, style, font, room, box, labels)


def _middles(chart: Chart, box: Rect) -> list[float]:
    """Pixels of the categories along their axis; lines may start at the edges."""
    x0, y0, x1, y1 = box
    low, long = (y0, y1 - y0) if chart.kind == "barh" else (x0, x1 - x0)
    count = len(chart.categories)
    return [low + (number + 0.5) * long / count for number in range(count)]


def draw_ground(canvas: Canvas, style: PlotStyle, box: Rect) -> None:
    if style.plot != style.paper:
        canvas.draw.rectangle(box, fill=style.plot)


def _grid(canvas: Canvas, style: PlotStyle, box: Rect, places: Sequence[float], *, across: bool) -> None:
    """Thin lines through the plot; `across`: from top to bottom."""
    x0, y0, x1, y1 = box
    for place in places:
        at = round(place)
        line = (at, y0, at, y1) if across else (x0, at, x1, at)
        canvas.draw.line(line, fill=style.faint)
        canvas.mark(GRID, (line[0] - 1, line[1] - 1, line[2] + 2, line[3] + 2))


def draw_ticks(
    canvas: Canvas, style: PlotStyle, font: Font, box: Rect, scale: Scale, texts: Sequence[str], *, lying: bool
) -> dict[int, Rect]:
    """Grid lines, ticks and numbers of a scale of values; returns the boxes of the numbers that found room."""
    x0, _, _, y1 = box
    tall = line_height(font)
    places = [scale.at(tick) for tick in scale.ticks]
    if "value" in style.grid:
        _grid(canvas, style, box, places, across=lying)
    gap = abs(scale.at(scale.ticks[-1]) - scale.at(scale.ticks[0])) / max(1, len(places) - 1)
    room = max(text_width(text, font) for text in texts) + 6 if lying else 0.9 * tall
    every = max(1, math.ceil(room / max(gap, 1e-6)))
    written: dict[int, Rect] = {}
    for number, (place, text) in enumerate(zip(places, texts, strict=True)):
        at = round(place)
        if style.ticks:
            line = (at, y1, at, y1 + 3) if lying else (x0 - 3, at, x0, at)
            canvas.draw.line(line, fill=style.ink)
            canvas.mark(TICK, (line[0] - 1, line[1] - 1, line[2] + 2, line[3] + 2))
        if number % every == 0:
            wide = text_width(text, font)
            spot = (round(place - wide / 2), y1 + 4) if lying else (round(x0 - 6 - wide), round(place - tall / 2))
            written[number] = canvas.text(spot, text, font, style.ink)
    return written


def draw_frame(canvas: Canvas, style: PlotStyle, box: Rect) -> None:
    """The lines of the axes."""
    x0, y0, x1, y1 = box
    lines = {"l": (x0, y0, x0, y1), "b": (x0, y1, x1, y1), "r": (x1, y0, x1, y1), "t": (x0, y0, x1, y0)}
    for side in style.frame:
        line = lines[side]
        canvas.draw.line(line, fill=style.ink)
        if side in "lb":
            canvas.mark(AXIS, (line[0] - 1, line[1] - 1, line[2] + 2, line[3] + 2))


def draw_labels(canvas: Canvas, style: PlotStyle, font: Font, room: Room, box: Rect, labels: tuple[str, str]) -> None:
    """What the axes are called."""
    tall = line_height(font)
    if labels[0]:
        wide = text_width(labels[0], font)
        if wide > room.width:
            raise NoRoomError("axis label too wide")
        x = min(max(room.x0, (box[0] + box[2] - wide) / 2), room.x1 - wide)
        canvas.region("x label", canvas.text((round(x), round(room.y1 - tall)), labels[0], font, style.ink))
    if labels[1]:
        long = text_width(labels[1], font) + 2
        if long > room.height:
            raise NoRoomError("axis label too tall")
        y = min(max(room.y0, (box[1] + box[3] - long) / 2), room.y1 - long)
        canvas.region("y label", upright_text(canvas, (room.x0, y), labels[1], font, style.ink))


def _draw_names(
    canvas: Canvas, chart: Chart, style: PlotStyle, font: Font, box: Rect, middles: list[float], manner: str
) -> None:
    """The categories along their axis."""
    x0, _, _, y1 = box
    tall = line_height(font)
    for c, (name, middle) in enumerate(zip(chart.categories, middles, strict=True)):
        wide = text_width(name, font)
        if style.ticks and chart.kind != "barh":
            canvas.draw.line((round(middle), y1, round(middle), y1 + 3), fill=style.ink)
        if chart.kind == "barh":
            ink = canvas.text((round(x0 - 7 - wide), round(middle - tall / 2)), name, font, style.ink)
        elif manner == "flat":
            ink = canvas.text((round(middle - wide / 2), y1 + 4), name, font, style.ink)
        elif manner == "upright":
            ink = upright_text(canvas, (middle - tall / 2, y1 + 5), name, font, style.ink)
        else:
            ink = slanted_text(canvas, (middle + 0.35 * tall, y1 + 4), name, font, style.ink)
        canvas.region(f"category {c}", ink)


def slanted_text(canvas: Canvas, end: Point, string: str, font: Font, fill: Colour) -> Rect:
    """A line that rises at 45 degrees and ends at `end`, its upper right; returns its box."""
    wide, tall = math.ceil(text_width(string, font)) + 2, math.ceil(line_height(font))
    mask = Image.new("L", (wide, tall))
    ImageDraw.Draw(mask).text((0, 0), string, font=font, fill=255)
    turned = mask.rotate(45, Image.Resampling.BILINEAR, expand=True)
    x, y = round(end[0] - turned.width + 0.3 * tall), round(end[1] - 0.2 * tall)
    canvas.image.paste(fill, (x, y), turned)
    canvas.smallest_text = min(canvas.smallest_text, font.size)
    metrics, turn = glyph_metrics(font), math.sqrt(0.5)
    advances = metrics.glyphs(string, font)[:, 0]
    along = np.cumsum(advances) - advances / 2 - wide / 2
    across = (metrics.cell_top + metrics.cell_bottom) / 2 - tall / 2
    middles = np.stack(
        [
            x + turned.width / 2 + (along + across) * turn,
            y + turned.height / 2 + (across - along) * turn,
        ],
        1,
    )
    half = np.maximum(advances, metrics.cell_bottom - metrics.cell_top)[:, None] * 0.45
    boxes = np.concatenate([middles - half, middles + half], 1).astype(np.float32)
    extent = (float(x), float(y), float(x + turned.width), float(y + turned.height))
    canvas.marks(character_ids(string), boxes, extent)
    return extent


def _draw_bars(
    canvas: Canvas, chart: Chart, style: PlotStyle, font: Font, values: Scale, middles: list[float], slot: float
) -> None:
    """Bars side by side or on one another, with their numbers."""
    lying, rows = chart.kind == "barh", 1 if chart.stacked else len(chart.values)
    thick = slot * style.bar_share / rows
    below = [chart.low] * len(middles)
    tall = line_height(font)
    for s, row in enumerate(chart.values):
        for c, value in enumerate(row):
            first = middles[c] + ((0 if chart.stacked else s) - rows / 2) * thick
            near, far = round(first), max(round(first) + 1, round(first + thick) - 1)
            base, end = round(values.at(below[c])), round(values.at(below[c] + value - chart.low))
            below[c] += value if chart.stacked else 0
            x0, y0, x1, y1 = (base, near, end, far) if lying else (near, end, far, base)
            colour = chart.colours[c if chart.by_category else s][1]
            if x1 >= x0 and y1 >= y0:
                canvas.draw.rectangle((x0, y0, x1, y1), fill=colour, outline=style.outline)
            canvas.mark(BAR, (x0, y0, x1 + 1, y1 + 1))
            canvas.region(f"value {s} {c}", (x0, y0, x1 + 1, y1 + 1))
            if not chart.labelled:
                continue
            text = chart.text(value)
            wide = text_width(text, font)
            if chart.stacked:
                if wide + 2 > x1 - x0 or tall > y1 - y0 + 3:
                    raise NoRoomError("parts of bars too small for their numbers")
                spot, fill = ((x0 + x1 - wide) / 2, (y0 + y1 - tall) / 2), contrast_ink(colour)
            elif lying:
                if 0.8 * tall > thick:
                    raise NoRoomError("bars too thin for their numbers")
                spot, fill = (x1 + 4, (y0 + y1 - tall) / 2), style.ink
            else:
                if wide > max(thick, slot / rows):
                    raise NoRoomError("bars too thin for their numbers")
                spot, fill = ((x0 + x1 - wide) / 2, y0 - tall - 1), style.ink
            canvas.text((round(spot[0]), round(spot[1])), text, font, fill)


def _draw_boxes(
    canvas: Canvas, chart: Chart, style: PlotStyle, values: Scale, middles: list[float], boxes_C5: np.ndarray
) -> None:
    """Boxes from quartile to quartile with a line at the median, and whiskers."""
    half = round(0.28 * style.bar_share * (middles[1] - middles[0]))
    for c, (middle, numbers) in enumerate(zip(middles, boxes_C5.tolist(), strict=True)):
        least, lower, median, upper, most = (round(values.at(number)) for number in numbers)
        x, colour = round(middle), chart.colours[c if chart.by_category else 0][1]
        canvas.draw.line((x, most, x, least), fill=style.ink)
        for end in (most, least):
            canvas.draw.line((x - half // 2, end, x + half // 2, end), fill=style.ink)
        canvas.draw.rectangle((x - half, upper, x + half, lower), fill=colour, outline=style.ink)
        canvas.draw.line((x - half, median, x + half, median), fill=contrast_ink(colour), width=2)
        canvas.mark(SEGMENT, (x - 3, most, x + 3, least))
        canvas.mark(BAR, (x - half, upper, x + half + 1, lower + 1))
        canvas.region(f"value 0 {c}", (x - half, upper, x + half + 1, lower + 1))


def _draw_lines(
    canvas: Canvas, chart: Chart, style: PlotStyle, font: Font, values: Scale, middles: list[float], floor: float
) -> None:
    """Lines, the area below a single one, points, numbers above them."""
    tall = line_height(font)
    for s, row in enumerate(chart.values):
        points: list[Point] = [(x, values.at(value)) for x, value in zip(middles, row, strict=True)]
        colour = chart.colours[s][1]
        if chart.kind == "area":
            corners = [*points, (points[-1][0], floor - 1), (points[0][0], floor - 1)]
            canvas.draw.polygon(corners, fill=mix(style.plot, colour, 0.45))
        smooth_line(canvas, points, colour, style.line_width, style.dots, _SMOOTH)
        for (xa, ya), (xb, yb) in pairwise(points):
            steps = max(1, math.ceil(max(abs(xb - xa), abs(yb - ya)) / 10))
            shares = (np.arange(steps, dtype=np.float32) + 0.5) / steps
            middle = np.stack([xa + (xb - xa) * shares, ya + (yb - ya) * shares], 1)
            boxes = np.concatenate([middle - 5, middle + 5], 1).astype(np.float32)
            extent = (min(xa, xb) - 2, min(ya, yb) - 2, max(xa, xb) + 2, max(ya, yb) + 2)
            canvas.marks(np.full(steps, SEGMENT, np.int16), boxes, extent)
        for c, (x, y) in enumerate(points):
            reach = max(style.dots + 1, 5)
            canvas.mark(POINT, (x - reach, y - reach, x + reach, y + reach))
            canvas.region(f"value {s} {c}", (x - reach, y - reach, x + reach, y + reach))
        if chart.labelled:
            if len(chart.values) > 1:
                raise NoRoomError("numbers at several lines")
            for (x, y), value in zip(points, row, strict=True):
                text = chart.text(value)
                wide = text_width(text, font)
                if wide > abs(middles[1] - middles[0]):
                    raise NoRoomError("points too near for their numbers")
                canvas.text((round(x - wide / 2), round(y - tall - style.dots - 2)), text, font, style.ink)
