"""Draws bars and lines between axes: ticks, grid, labels, values.

    Chart + Look + Room --draw_axes--> the plot, marks, regions "value s c", "category c", "tick i",
        "x label", "y label"

Everything is computed along two directions, "value" and "category", so that upright and lying bars share the code.
"""

import math
from itertools import pairwise

from vl2.synth.canvas import Canvas, Colour, Rect, text_width
from vl2.synth.chart_content import Chart
from vl2.synth.chart_parts import (
    Look,
    NoRoomError,
    Point,
    Room,
    contrast_ink,
    line_height,
    mix,
    smooth_line,
    upright_text,
)
from vl2.synth.sample import structure_id

_BAR, _AXIS, _GRID, _TICK = (structure_id(name) for name in ("bar", "axis", "grid line", "tick"))
_POINT, _SEGMENT = structure_id("line point"), structure_id("line segment")
_LEAST_PLOT = 100  # pixels, along values and along categories


class _Plot:
    """Where values and categories lie: the plot's box and its scales."""

    def __init__(self, chart: Chart, box: Rect, head: float):
        self.box, self.lying = box, chart.kind == "barh"
        self.x0, self.y0, self.x1, self.y1 = box
        self.low, self.span = chart.low, chart.top - chart.low
        self.long = (self.x1 - self.x0 if self.lying else self.y1 - self.y0) - head
        self.slot = (self.y1 - self.y0 if self.lying else self.x1 - self.x0) / len(chart.categories)

    def along(self, value: float) -> float:
        """x (lying) or y (upright) of a value."""
        share = (value - self.low) / self.span * self.long
        return self.x0 + share if self.lying else self.y1 - share

    def middle(self, category: int) -> float:
        """y (lying) or x (upright) of the middle of a category."""
        return (self.y0 if self.lying else self.x0) + (category + 0.5) * self.slot


def draw_axes(canvas: Canvas, chart: Chart, look: Look, room: Room) -> Chart:
    """Draw a bar or line chart into the room.

    Returns the chart as drawn: without value labels where they do not fit. NoRoomError: there is no room for the plot.
    """
    high = line_height(look.font)
    lying = chart.kind == "barh"
    x_label, y_label = (chart.value_label, chart.category_label) if lying else (chart.category_label, chart.value_label)
    ticks = [chart.text(chart.low + i * chart.step) for i in range(chart.ticks + 1)]
    tick_wide = max(text_width(t, look.font) for t in ticks)
    name_wide = max(text_width(name, look.font) for name in chart.categories)
    left = room.x0 + (high + 3 if y_label else 0) + (name_wide if lying else tick_wide) + 7
    right = room.x1 - (text_width(ticks[-1], look.font) / 2 if lying else 0)
    slot = (right - left) / len(chart.categories)
    upright = not lying and name_wide + 5 > slot
    bottom = room.y1 - (high + 3 if x_label else 0) - (name_wide + 6 if upright else high + 4)
    box = (round(left), round(room.y0), round(right), round(bottom))
    if lying and name_wide > 0.4 * room.width:
        raise NoRoomError("category names too wide")
    if upright and (name_wide > 0.35 * room.height or slot < high):
        raise NoRoomError("category names too long")
    chart, inside, head = _place_numbers(chart, look, box)
    plot = _Plot(chart, box, head)
    if min(box[2] - box[0], box[3] - box[1]) < _LEAST_PLOT or plot.slot < 12:
        raise NoRoomError("plot too small")
    _draw_scale(canvas, chart, look, plot, ticks)
    _draw_names(canvas, chart, look, plot, upright)
    _draw_labels(canvas, look, room, box, (x_label, y_label))
    if chart.kind == "line":
        _draw_lines(canvas, chart, look, plot)
    else:
        _draw_bars(canvas, chart, look, plot, inside)
    return chart


def _place_numbers(chart: Chart, look: Look, box: Rect) -> tuple[Chart, bool, float]:
    """Decide where the numbers of bars and points go.

    Returns the chart (without numbers where they do not fit), whether they stand inside of the bars, and the pixels
    that they need beyond the last tick.
    """
    high = line_height(look.font)
    lying = chart.kind == "barh"
    wide = max(text_width(chart.text(v), look.font) for row in chart.values for v in row)
    slot = (box[3] - box[1] if lying else box[2] - box[0]) / len(chart.categories)
    thick = slot * look.bar_share / (1 if chart.stacked else len(chart.values))
    across = high * 0.8 if lying else wide + 2  # what a number needs across its bar
    if chart.stacked:
        long = box[2] - box[0] if lying else box[3] - box[1]
        shortest = min(v for row in chart.values for v in row) / (chart.top - chart.low) * (long - high)
        if across > thick or shortest < (wide + 4 if lying else high):
            raise NoRoomError("parts of bars too small for their numbers")
        return chart, True, high / 2
    inside = look.inside and chart.kind != "line" and across <= thick
    room = thick if chart.grouped or inside else slot
    if chart.labelled and across > room:
        chart = chart.unlabelled()
    if not chart.labelled or inside:
        return chart, inside, 2.0 if lying else high / 2
    return chart, False, wide + 6 if lying else high + 3


def _draw_labels(canvas: Canvas, look: Look, room: Room, box: Rect, labels: tuple[str, str]) -> None:
    """What the axes are called: below the plot, and upright on its left."""
    x_label, y_label = labels
    high = line_height(look.font)
    if x_label:
        wide = text_width(x_label, look.font)
        if wide > room.width:
            raise NoRoomError("axis label too wide")
        x = min((box[0] + box[2] - wide) / 2, room.x1 - wide)
        canvas.region("x label", canvas.text((round(x), round(room.y1 - high)), x_label, look.font, look.ink))
    if y_label:
        tall = text_width(y_label, look.font) + 2
        if tall > room.height:
            raise NoRoomError("axis label too tall")
        y = min(max(room.y0, (box[1] + box[3] - tall) / 2), room.y1 - tall)
        canvas.region("y label", upright_text(canvas, (room.x0, y), y_label, look.font, look.ink))


def _draw_scale(canvas: Canvas, chart: Chart, look: Look, plot: _Plot, ticks: list[str]) -> None:
    """Plot area, grid lines, ticks with their numbers, axis lines."""
    pen, high = canvas.draw, line_height(look.font)
    x0, y0, x1, y1 = plot.box
    if look.plot != look.paper:
        pen.rectangle(plot.box, fill=look.plot)
    wide = max(text_width(t, look.font) for t in ticks)
    every = 1
    if plot.lying:
        every = max(1, math.ceil((wide + 6) * chart.ticks / plot.long))
    elif plot.long / chart.ticks < high * 0.9:
        every = 2
    for i, text in enumerate(ticks):
        at = round(plot.along(chart.low + i * chart.step))
        if plot.lying:
            line, tick = (at, y0, at, y1), (at, y1, at, y1 + 4)
            place = (round(at - text_width(text, look.font) / 2), y1 + 4)
        else:
            line, tick = (x0, at, x1, at), (x0 - 4, at, x0, at)
            place = (round(x0 - 6 - text_width(text, look.font)), round(at - high / 2))
        if look.grid:
            pen.line(line, fill=look.faint)
            canvas.mark(_GRID, (line[0] - 1, line[1] - 1, line[2] + 2, line[3] + 2))
        if look.frame != "none" or not look.grid:
            pen.line(tick, fill=look.ink)
            canvas.mark(_TICK, (tick[0] - 1, tick[1] - 1, tick[2] + 2, tick[3] + 2))
        if i % every == 0:
            canvas.region(f"tick {i}", canvas.text(place, text, look.font, look.ink))
    if look.frame == "box":
        pen.rectangle(plot.box, outline=look.ink)
    elif look.frame == "left":
        pen.line((x0, y0, x0, y1), fill=look.ink)
    if look.frame != "none":
        pen.line((x0, y1, x1, y1), fill=look.ink)
        canvas.mark(_AXIS, (x0 - 2, y0, x0 + 2, y1))
        canvas.mark(_AXIS, (x0, y1 - 2, x1, y1 + 2))


def _draw_names(canvas: Canvas, chart: Chart, look: Look, plot: _Plot, upright: bool) -> None:
    """The names of the categories along their axis."""
    high = line_height(look.font)
    for c, name in enumerate(chart.categories):
        middle, wide = plot.middle(c), text_width(name, look.font)
        if plot.lying:
            box = canvas.text((round(plot.x0 - 6 - wide), round(middle - high / 2)), name, look.font, look.ink)
        elif upright:
            box = upright_text(canvas, (middle - high / 2, plot.y1 + 4), name, look.font, look.ink)
        else:
            box = canvas.text((round(middle - wide / 2), round(plot.y1 + 3)), name, look.font, look.ink)
        canvas.region(f"category {c}", box)


def _draw_bars(canvas: Canvas, chart: Chart, look: Look, plot: _Plot, inside: bool) -> None:
    """Bars of all series side by side or on top of each other, with their numbers."""
    rows = 1 if chart.stacked else len(chart.values)
    thick = plot.slot * look.bar_share / rows
    below = [chart.low] * len(chart.categories)
    for s, row in enumerate(chart.values):
        for c, value in enumerate(row):
            first = plot.middle(c) + ((0 if chart.stacked else s) - rows / 2) * thick
            near, far = round(first), round(first + thick) - 1
            base, end = round(plot.along(below[c])), round(plot.along(below[c] + value - chart.low))
            if chart.stacked:
                below[c] += value
            x0, y0, x1, y1 = (base, near, end, far) if plot.lying else (near, end, far, base)
            colour = chart.colours[c if chart.by_category else s][1]
            canvas.draw.rectangle((x0, y0, x1, y1), fill=colour, outline=look.outline)
            canvas.mark(_BAR, (x0, y0, x1 + 1, y1 + 1))
            canvas.region(f"value {s} {c}", (x0, y0, x1 + 1, y1 + 1))
            if chart.labelled:
                _write_number(
                    canvas, chart, look, plot, (x0, y0, x1, y1), chart.text(value), colour if inside else None
                )


def _write_number(
    canvas: Canvas, chart: Chart, look: Look, plot: _Plot, bar: Rect, text: str, inside: Colour | None
) -> None:
    """The number of a bar (x0, y0, x1, y1): within it (on this colour) where it is long enough, else beyond its end."""
    wide, high = text_width(text, look.font), line_height(look.font)
    x0, y0, x1, y1 = bar
    if inside and (x1 - x0 if plot.lying else y1 - y0) >= (wide + 8 if plot.lying else high + 2):
        fill = contrast_ink(inside)
        place = (x1 - wide - 4, (y0 + y1 - high) / 2) if plot.lying else ((x0 + x1 - wide) / 2, y0 + 2)
        if chart.stacked:
            place = (x0 + x1 - wide) / 2, (y0 + y1 - high) / 2
    else:
        fill = look.ink
        place = (x1 + 4, (y0 + y1 - high) / 2) if plot.lying else ((x0 + x1 - wide) / 2, y0 - high - 1)
    canvas.text((round(place[0]), round(place[1])), text, look.font, fill)


def _draw_lines(canvas: Canvas, chart: Chart, look: Look, plot: _Plot) -> None:
    """One line for each series; numbers above the points."""
    high = line_height(look.font)
    for s, row in enumerate(chart.values):
        points: list[Point] = [(plot.middle(c), plot.along(value)) for c, value in enumerate(row)]
        colour = chart.colours[s][1]
        if look.area and not chart.grouped:
            corners = [*points, (points[-1][0], plot.y1 - 1), (points[0][0], plot.y1 - 1)]
            canvas.draw.polygon(corners, fill=mix(look.plot, colour, 0.3))
        smooth_line(canvas, points, colour, look.line_width, look.dots)
        for (xa, ya), (xb, yb) in pairwise(points):
            steps = max(1, math.ceil(max(abs(xb - xa), abs(yb - ya)) / 8))
            for i in range(steps):
                x, y = xa + (xb - xa) * (i + 0.5) / steps, ya + (yb - ya) * (i + 0.5) / steps
                canvas.mark(_SEGMENT, (x - 5, y - 5, x + 5, y + 5))
        for c, (x, y) in enumerate(points):
            reach = max(look.dots + 1, 5)
            canvas.mark(_POINT, (x - reach, y - reach, x + reach, y + reach))
            canvas.region(f"value {s} {c}", (x - reach, y - reach, x + reach, y + reach))
    if chart.labelled:
        row = chart.values[0]
        for c, value in enumerate(row):
            text = chart.text(value)
            x, y = plot.middle(c) - text_width(text, look.font) / 2, plot.along(value)
            # below a valley, where the line leaves room, unless the axis is too near
            valley = all(value < row[i] for i in (c - 1, c + 1) if 0 <= i < len(row))
            below = valley and y + look.dots + high + 3 < plot.y1
            canvas.text(
                (round(x), round(y + look.dots + 2 if below else y - high - look.dots - 1)), text, look.font, look.ink
            )
