"""Draws pies and donuts: slices with their numbers inside, around or in the legend.

    Chart + Look + Room --draw_pie--> slices, marks along the disc, regions "value 0 c"

Angles grow clockwise from three o'clock, as Pillow counts them.
"""

import math

from PIL import Image, ImageDraw

from vl2.synth.canvas import Canvas, Colour, Rect, text_width
from vl2.synth.chart_content import Chart
from vl2.synth.chart_parts import SMOOTH, Look, NoRoomError, Point, Room, contrast_ink, line_height
from vl2.synth.sample import structure_id

_SLICE = structure_id("pie slice")


def draw_pie(canvas: Canvas, chart: Chart, look: Look, room: Room) -> None:
    """Slices clockwise from the start angle, with their numbers inside or names and numbers around."""
    values = chart.values[0]
    gaps = [" " if len(name) < 9 else "\n" for name in chart.categories]
    names = [name + gap + chart.text(v) for name, gap, v in zip(chart.categories, gaps, values, strict=True)]
    high = line_height(look.font)
    outside = look.pie_labels == "outside"
    margin_x = (
        max(max(text_width(part, look.font) for part in name.split("\n")) for name in names) + 8 if outside else 4
    )
    margin_y = 2 * high + 4 if outside else 4
    across = int(min(room.width - 2 * margin_x, room.height - 2 * margin_y))
    if across < 90:
        raise NoRoomError("no room for the pie")
    cx, cy, radius = (room.x0 + room.x1) / 2, (room.y0 + room.y1) / 2, across / 2
    x0, y0 = round(cx - radius), round(cy - radius)
    large = Image.new("RGB", (across * SMOOTH, across * SMOOTH), look.paper)
    pen = ImageDraw.Draw(large)
    total, angle = sum(values), look.start
    middles: list[float] = []
    for i, value in enumerate(values):
        end = angle + 360 * value / total
        box = (0, 0, across * SMOOTH - 1, across * SMOOTH - 1)
        pen.pieslice(box, angle, end, fill=chart.colours[i][1], outline=look.outline, width=SMOOTH)
        canvas.region(f"value 0 {i}", _slice_box(cx, cy, radius, angle, end))
        middles.append(math.radians((angle + end) / 2))
        angle = end
    hole = 0.0
    if chart.kind == "donut":
        hole = 0.5 * radius
        inner = (radius - hole) * SMOOTH, (radius + hole) * SMOOTH
        pen.ellipse((inner[0], inner[0], inner[1], inner[1]), fill=look.paper)
    canvas.image.paste(large.reduce(SMOOTH), (x0, y0))
    _mark_disc(canvas, cx, cy, radius, hole)
    taken: list[Rect] = []
    for i, value in enumerate(values):
        if outside:
            taken += _around(canvas, names[i].split("\n"), (cx, cy), radius, middles[i], look, taken)
        elif look.pie_labels == "inside":
            _inside(
                canvas,
                chart.text(value),
                (cx, cy),
                (hole + radius) * (0.5 if hole else 0.64),
                middles[i],
                look,
                chart.colours[i][1],
            )


def _slice_box(cx: float, cy: float, radius: float, start: float, end: float) -> Rect:
    """Box of a slice between two angles in degrees."""
    angles = [start, end, *(90.0 * k for k in range(-8, 13) if start < 90 * k < end)]
    xs = [cx, *(cx + radius * math.cos(math.radians(a)) for a in angles)]
    ys = [cy, *(cy + radius * math.sin(math.radians(a)) for a in angles)]
    return min(xs), min(ys), max(xs), max(ys)


def _mark_disc(canvas: Canvas, cx: float, cy: float, radius: float, hole: float) -> None:
    """Strips that cover the disc without its hole."""
    strips = max(4, round(radius / 5))
    for i in range(strips):
        low, upper = -radius + 2 * radius * i / strips, -radius + 2 * radius * (i + 1) / strips
        middle = (low + upper) / 2
        half = math.sqrt(max(0.0, radius**2 - middle**2))
        gap = math.sqrt(max(0.0, hole**2 - middle**2))
        if gap:
            canvas.mark(_SLICE, (cx - half, cy + low, cx - gap, cy + upper))
            canvas.mark(_SLICE, (cx + gap, cy + low, cx + half, cy + upper))
        else:
            canvas.mark(_SLICE, (cx - half, cy + low, cx + half, cy + upper))


def _inside(
    canvas: Canvas, text: str, centre: Point, distance: float, angle: float, look: Look, colour: Colour
) -> None:
    wide, high = text_width(text, look.font), line_height(look.font)
    x, y = centre[0] + distance * math.cos(angle), centre[1] + distance * math.sin(angle)
    fill = contrast_ink(colour)
    canvas.text((round(x - wide / 2), round(y - high / 2)), text, look.font, fill)


def _around(
    canvas: Canvas, lines: list[str], centre: Point, radius: float, angle: float, look: Look, taken: list[Rect]
) -> list[Rect]:
    """Lines beside a slice, away from the centre; returns their boxes. NoRoomError: one of `taken` is in the way."""
    high = line_height(look.font)
    x = centre[0] + (radius + 6) * math.cos(angle)
    y = centre[1] + (radius + 4) * math.sin(angle) - high * len(lines) * (0.5 - 0.5 * math.sin(angle))
    boxes: list[Rect] = []
    for number, line in enumerate(lines):
        wide = text_width(line, look.font)
        left, top = x - wide * (0.5 - 0.5 * math.cos(angle)), y + number * high
        if any(left < b[2] + 2 and b[0] < left + wide + 2 and top < b[3] and b[1] < top + high for b in taken):
            raise NoRoomError("labels of slices meet")
        canvas.text((round(left), round(top)), line, look.font, look.ink)
        boxes.append((left, top, left + wide, top + high))
    return boxes
