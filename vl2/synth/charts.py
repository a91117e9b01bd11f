"""Task "chart": bar, line and pie charts in many looks, and questions about what they show.

    draw_chart --> Chart --title, legend, axes or pie--> Canvas --> Sample

The trap: what does not fit raises NoRoomError; then another, smaller chart is drawn on a fresh canvas.
"""

from dataclasses import replace

import numpy as np

from vl2.synth.canvas import Canvas, Colour
from vl2.synth.chart_axes import draw_axes
from vl2.synth.chart_content import Chart, draw_chart
from vl2.synth.chart_parts import Look, NoRoomError, Room, draw_legend, draw_note, draw_title, legend_entries, mix
from vl2.synth.chart_pie import draw_pie
from vl2.synth.chart_questions import chart_questions
from vl2.synth.chart_tables import whole_questions
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.sample import Sample
from vl2.synth.values import chance, pick

_TRIES = 30


def generate(rng: np.random.Generator, split: str) -> Sample:
    """One chart with up to 24 questions."""
    size = draw_size(rng)
    dark = bool(rng.random() < 0.12)
    canvas, chart = _draw(rng, split, size, dark)
    finished = canvas.finish(rng)
    questions = chart_questions(rng, chart, finished.regions)
    questions += whole_questions(rng.spawn(1)[0], chart, finished.regions)
    return Sample("chart", finished.image, tuple(questions), *finished.marks)


def _draw(rng: np.random.Generator, split: str, size: tuple[int, int], dark: bool) -> tuple[Canvas, Chart]:
    """The first chart that fits; later tries are smaller and plainer, so the last ones always do."""
    for number in range(_TRIES):
        chart = draw_chart(rng, split, dark)
        if number > 5:
            chart = replace(chart.keep(4), title=chart.title if number < 12 else "", note="")
            if chart.pie and chart.suffix:  # what is left of the pie is no whole any more
                continue
        look = draw_look(rng, split, size, dark)
        canvas = Canvas(*size, look.paper)
        try:
            return canvas, _compose(canvas, chart, look)
        except NoRoomError:
            continue
    raise AssertionError(f"no chart fits into {size}")


def _compose(canvas: Canvas, chart: Chart, look: Look) -> Chart:
    """Title, legend, then the plot or pie in the room that is left; returns the chart as drawn."""
    room = Room(6, 5, canvas.width - 8, canvas.height - 6)
    if chart.title:
        draw_title(canvas, chart.title, look, room)
    if chart.note:
        draw_note(canvas, chart.note, look, room)
    legend = legend_entries(chart, look)
    if legend:
        draw_legend(canvas, legend, look, room)
    if chart.pie:
        draw_pie(canvas, chart, look, room)
        return chart
    return draw_axes(canvas, chart, look, room)


def draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """Mostly one tile, a third larger."""
    if rng.random() < 0.67:
        return int(rng.integers(300, 385)), int(rng.integers(250, 385))
    kind = rng.random()
    if kind < 0.6:
        return int(rng.integers(400, 761)), int(rng.integers(280, 385))
    return (
        (int(rng.integers(400, 761)), int(rng.integers(385, 501))) if kind < 0.9 else (int(rng.integers(320, 385)), 500)
    )


def draw_look(rng: np.random.Generator, split: str, size: tuple[int, int], dark: bool) -> Look:
    """Fonts, colours and habits at random."""
    kind = ("sans", "serif", "mono")[int(np.searchsorted((0.75, 0.94), rng.random()))]
    pool = fonts(split, kind)
    path = pool[int(rng.integers(len(pool)))]
    small = int(rng.integers(12, 16)) + (1 if max(size) > 384 and rng.random() < 0.6 else 0)
    title_pool = pool if rng.random() < 0.7 else fonts(split, "sans")
    title_path = path if rng.random() < 0.5 else title_pool[int(rng.integers(len(title_pool)))]
    paper = _paper(rng, dark)
    shade = int(rng.integers(0, 70))
    grey = 255 - shade // 2 if dark else shade
    ink: Colour = (grey, grey, grey)
    plot = mix(paper, ink, 0.07) if rng.random() < 0.18 else paper
    return Look(
        font=load_font(path, small),
        title_font=load_font(title_path, round(small * rng.uniform(1.05, 1.5))),
        paper=paper,
        plot=plot,
        ink=ink,
        faint=mix(paper, ink, 0.22) if plot == paper else mix(plot, (255, 255, 255), 0.6),
        grid=chance(rng, 0.6),
        frame=pick(rng, ("left", "left", "box", "none")),
        bar_share=float(rng.uniform(0.45, 0.92)),
        outline=ink if rng.random() < 0.15 else paper if rng.random() < 0.2 else None,
        legend=pick(rng, ("top", "top", "bottom", "right", "right")),
        line_width=int(rng.integers(2, 4)),
        dots=int(rng.integers(0, 6)) if rng.random() < 0.8 else 0,
        pie_labels=pick(rng, ("inside", "inside", "outside", "outside", "legend")),
        start=float(rng.choice([-90.0, -90.0, 0.0, rng.uniform(-180, 180)])),
        title_left=chance(rng, 0.2),
        legend_box=chance(rng, 0.15),
        inside=chance(rng, 0.25),
        area=chance(rng, 0.2),
    )


def _paper(rng: np.random.Generator, dark: bool) -> Colour:
    """White, a light tint, or nearly black."""
    if dark:
        red, green, blue = rng.integers(10, 50, 3).tolist()
        return red, green, blue
    if rng.random() < 0.65:
        return 255, 255, 255
    red, green, blue = rng.integers(236, 256, 3).tolist()
    return red, green, blue
