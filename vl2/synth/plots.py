"""Tasks "real-chart" and "chart-zh": charts of real tables in the looks of plotting libraries.

    language --a style, a part of a table--> Chart or Points --title, legend, axes or pie--> Canvas --> Sample

The trap: tables, like fonts, belong to one split; invented titles and names are made of the words of the split.
"""

import numpy as np

from vl2.synth import plot_questions
from vl2.synth.canvas import Canvas, Colour, Rect, text_width
from vl2.synth.chart_content import Chart
from vl2.synth.chart_parts import Look, NoRoomError, Room, draw_legend, legend_entries, line_height
from vl2.synth.chart_pie import draw_pie
from vl2.synth.chart_tables import whole_questions
from vl2.synth.charts import draw_size
from vl2.synth.ingredients import load_font
from vl2.synth.langs import Language, language
from vl2.synth.plot_axes import SWATCH, Font, draw_plot
from vl2.synth.plot_content import Boxes, Points, draw_boxes, draw_content, draw_points, readable
from vl2.synth.plot_points import draw_points_plot
from vl2.synth.plot_styles import PlotStyle, draw_style
from vl2.synth.sample import Sample
from vl2.synth.values import chance, pick


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "real-chart")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "chart-zh")


def _draw(lang: Language, task: str) -> Sample:
    rng = lang.rng
    size = draw_size(rng)
    while True:
        style = draw_style(rng)
        makers = (draw_content,) * 17 + (draw_points,) * 2 + (draw_boxes,)
        content = pick(rng, makers)(lang, style)
        canvas = Canvas(*size, style.paper)
        try:
            _compose(canvas, lang, content, style)
        except NoRoomError:
            if not isinstance(content, Chart) or not content.labelled or content.pie or content.stacked:
                continue
            content, canvas = readable(content), Canvas(*size, style.paper)
            try:
                _compose(canvas, lang, content, style)
            except NoRoomError:
                continue
        break
    finished = canvas.finish(rng)
    if isinstance(content, Points):
        questions = plot_questions.about_points(lang, content, finished.regions)
    elif isinstance(content, Boxes):
        questions = plot_questions.about_boxes(lang, content, finished.regions)
        questions += whole_questions(rng.spawn(1)[0], content.chart, finished.regions)
    else:
        questions = plot_questions.about_chart(lang, content, finished.regions)
        once = all(question.kind != "convert" for question in questions)
        questions += whole_questions(rng.spawn(1)[0], content, finished.regions, table=once)
    return Sample(task, finished.image, tuple(questions), *finished.marks)


def _compose(canvas: Canvas, lang: Language, content: Chart | Points | Boxes, style: PlotStyle) -> None:
    """Title, legend, then the plot or the pie."""
    if isinstance(content, Boxes):
        content, numbers = content.chart, content.numbers_C5
    else:
        numbers = None
    rng = lang.rng
    small = int(rng.integers(12, 16)) + (1 if lang.zh or max(canvas.width, canvas.height) > 450 else 0)
    path = lang.font_file(pick(rng, ("sans", "sans", "sans", "sans", "serif")))
    font = load_font(path, small)
    room = Room(7, 6, canvas.width - 8, canvas.height - 6)
    if content.title:
        large = load_font(path if chance(rng, 0.6) else lang.font_file("sans"), round(small * style.title_scale))
        wide = text_width(content.title, large)
        if wide > room.width:
            raise NoRoomError("title too wide")
        x = room.x0 if style.title_left else room.x0 + (room.width - wide) / 2
        canvas.region("title", canvas.text((round(x), round(room.y0)), content.title, large, style.ink))
        room.y0 += line_height(large) + 5
    look = _look(rng, style, font)
    if isinstance(content, Points):
        colours = [colour for _, colour in content.colours]
        entries = list(zip(content.groups, colours, strict=True)) if len(content.groups) > 1 else []
    else:
        entries = legend_entries(content, look)
    head = 0.0
    outside = isinstance(content, Points) or content.pie or content.kind == "barh" or content.labelled
    if entries and (look.legend != "inside" or outside):
        legend = look if look.legend != "inside" else _look(rng, style, font, "right")
        draw_legend(canvas, entries, legend, room)
    elif entries:
        head = (len(entries) * (line_height(font) + 2) + 12) / max(1.0, room.height - 2.5 * line_height(font))
        if head > 0.4:
            raise NoRoomError("legend too tall")
    if isinstance(content, Points):
        draw_points_plot(canvas, content, style, font, room, int(rng.integers(2, 5)))
    elif content.pie:
        draw_pie(canvas, content, look, room)
    else:
        top = (room.x1, room.y0)
        draw_plot(canvas, content, style, font, room, head, numbers)
        if head:
            _legend_inside(canvas, entries, style, font, top, left=chance(rng, 0.4))


def _legend_inside(
    canvas: Canvas,
    entries: list[tuple[str, Colour]],
    style: PlotStyle,
    font: Font,
    top: tuple[float, float],
    *,
    left: bool,
) -> None:
    """A framed legend in a corner of the plot, above the data."""
    tall, side = line_height(font), round(0.8 * font.size)
    wide = max(text_width(name, font) for name, _ in entries) + 2 * side + 16
    if wide > 0.6 * canvas.width:
        raise NoRoomError("legend too wide")
    x0 = 0.3 * canvas.width if left else top[0] - wide - 6
    box = (round(x0), round(top[1] + 8), round(x0 + wide), round(top[1] + 12 + len(entries) * (tall + 1)))
    canvas.draw.rectangle(box, fill=style.plot, outline=style.faint)
    for number, (name, colour) in enumerate(entries):
        y = box[1] + 2 + number * (tall + 1)
        swatch = (box[0] + 5, round(y + tall / 2 - side / 3), box[0] + 5 + 2 * side, round(y + tall / 2 + side / 3))
        canvas.draw.rectangle(swatch, fill=colour)
        canvas.mark(SWATCH, swatch)
        ink = canvas.text((swatch[2] + 6, round(y)), name, font, style.ink)
        whole: Rect = (swatch[0], min(swatch[1], ink[1]), ink[2], max(swatch[3], ink[3]))
        canvas.region(f"legend {number}", whole)


def _look(rng: np.random.Generator, style: PlotStyle, font: Font, legend: str = "") -> Look:
    """What legends and pies of vl2.synth.chart_parts want to know."""
    return Look(
        font=font, title_font=font, paper=style.paper, plot=style.plot, ink=style.ink, faint=style.faint,
        grid=False, frame="none", bar_share=style.bar_share, outline=style.paper if chance(rng, 0.5) else None,
        legend=legend or pick(rng, style.legends), line_width=style.line_width, dots=style.dots,
        pie_labels=pick(rng, ("inside", "outside", "outside", "legend")), start=pick(rng, (-90.0, 0.0, -90.0)),
        title_left=style.title_left, legend_box=False, inside=False, area=False,
    )  # fmt: skip
