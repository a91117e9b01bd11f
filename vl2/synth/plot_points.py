"""Scatter plots: points of named groups over two axes of numbers.

    Points + PlotStyle + Room --draw_points_plot--> the plot, marks, regions "x label", "y label"

The trap: points lie over one another, so only few points that lie apart are counted.
"""

import math

from PIL import Image, ImageDraw

from vl2.synth.canvas import Canvas, text_width
from vl2.synth.chart_content import number_text
from vl2.synth.chart_parts import NoRoomError, Room, line_height
from vl2.synth.plot_axes import POINT, Font, Scale, draw_frame, draw_ground, draw_labels, draw_ticks
from vl2.synth.plot_content import Points, ticks
from vl2.synth.plot_styles import PlotStyle

_SMOOTH = 4


def draw_points_plot(canvas: Canvas, plot: Points, style: PlotStyle, font: Font, room: Room, radius: int) -> None:
    """Axes and points."""
    xs = [x for group in plot.points for x, _ in group]
    ys = [y for group in plot.points for _, y in group]
    tall = line_height(font)
    scales = []
    for numbers in (xs, ys):
        low, step, count = ticks(min(numbers), max(numbers), 5)
        found = tuple(low + step * i for i in range(count + 1))
        scales.append((low, low + step * count, found, [number_text(tick) for tick in found]))
    wide = max(text_width(text, font) for text in scales[1][3])
    box = (
        round(room.x0 + (tall + 3 if plot.y_label else 0) + wide + 8),
        round(room.y0 + 4),
        round(room.x1 - text_width(scales[0][3][-1], font) / 2),
        round(room.y1 - (tall + 3 if plot.x_label else 0) - tall - 5),
    )
    if min(box[2] - box[0], box[3] - box[1]) < 110:
        raise NoRoomError("plot too small")
    draw_ground(canvas, style, box)
    reach = radius + 2
    across = Scale(scales[0][0], scales[0][1], box[0] + reach, box[2] - reach, scales[0][2])
    upwards = Scale(scales[1][0], scales[1][1], box[3] - reach, box[1] + reach, scales[1][2])
    draw_ticks(canvas, style, font, box, across, scales[0][3], lying=True)
    draw_ticks(canvas, style, font, box, upwards, scales[1][3], lying=False)
    side = 2 * radius + 1
    disc = Image.new("L", (side * _SMOOTH, side * _SMOOTH))
    ImageDraw.Draw(disc).ellipse((0, 0, side * _SMOOTH - 1, side * _SMOOTH - 1), fill=225)
    disc = disc.reduce(_SMOOTH)
    for group, (_, colour) in zip(plot.points, plot.colours, strict=True):
        for x, y in group:
            left, top = math.floor(across.at(x)) - radius, math.floor(upwards.at(y)) - radius
            canvas.image.paste(colour, (left, top), disc)
            canvas.mark(POINT, (left, top, left + side, top + side))
    draw_frame(canvas, style, box)
    draw_labels(canvas, style, font, room, box, (plot.x_label, plot.y_label))
