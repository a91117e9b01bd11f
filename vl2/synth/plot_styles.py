"""How plotting libraries draw: colours, grids, frames, places of titles and legends of nine of them.

    rng --draw_style--> PlotStyle

The trap: a colour has a word only if everybody would call it so; others ask for no colours.
"""

from dataclasses import dataclass, replace

import numpy as np

from vl2.synth.canvas import Colour
from vl2.synth.values import chance, pick


@dataclass(frozen=True)
class PlotStyle:
    """One manner of drawing.

    grid: directions of grid lines, of "value" and "category". frame: sides with an axis line, of "l", "b", "r", "t".
    loose: the axis ends behind the largest value, not at a tick. legend: "top", "bottom", "right" or "inside".
    """

    name: str
    palette: tuple[tuple[str, Colour], ...]
    paper: Colour = (255, 255, 255)
    plot: Colour = (255, 255, 255)
    ink: Colour = (38, 38, 38)
    faint: Colour = (221, 221, 221)
    grid: tuple[str, ...] = ("value",)
    frame: str = "lb"
    ticks: bool = True
    loose: bool = False
    title_left: bool = False
    title_scale: float = 1.2
    legends: tuple[str, ...] = ("right",)
    bar_share: float = 0.8
    outline: Colour | None = None
    line_width: int = 2
    dots: int = 0
    numbers: float = 0.3  # chance of values written at bars and points


def _palette(text: str) -> tuple[tuple[str, Colour], ...]:
    """ "blue 1f77b4, - 17becf": colours with their words, - for none."""
    pairs = [entry.split() for entry in text.split(",")]
    return tuple(
        ("" if word == "-" else word, (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)))
        for word, code in pairs
    )


_TAB10 = _palette(
    "blue 1f77b4, orange ff7f0e, green 2ca02c, red d62728, purple 9467bd, brown 8c564b, pink e377c2, gray 7f7f7f"
)
_WHITE: Colour = (255, 255, 255)
STYLES: tuple[PlotStyle, ...] = (
    PlotStyle(
        "matplotlib", _TAB10, grid=(), frame="lbrt", loose=True, ink=(0, 0, 0), legends=("inside", "inside", "right")
    ),
    PlotStyle(
        "matplotlib-ggplot",
        _palette("red e24a33, blue 348abd, purple 988ed5, gray 777777, yellow fbc15e, green 8eba42, pink ffb5b8"),
        plot=(229, 229, 229),
        ink=(85, 85, 85),
        faint=_WHITE,
        grid=("value", "category"),
        frame="",
        loose=True,
        legends=("inside", "right"),
    ),
    PlotStyle(
        "seaborn",
        _palette("blue 4c72b0, orange dd8452, green 55a868, red c44e52, purple 8172b3, brown 937860, pink da8bc3"),
        plot=(234, 234, 242),
        faint=_WHITE,
        grid=("value", "category"),
        frame="",
        ticks=False,
        loose=True,
        legends=("inside", "right"),
    ),
    PlotStyle(
        "ggplot2",
        _palette("- f8766d, green 00ba38, blue 619cff, - b79f00, - 00bfc4, - f564e3"),
        plot=(235, 235, 235),
        ink=(60, 60, 60),
        faint=_WHITE,
        grid=("value", "category"),
        frame="",
        loose=True,
        title_left=True,
        bar_share=0.9,
    ),
    PlotStyle(
        "plotly",
        _palette("blue 636efa, red ef553b, green 00cc96, purple ab63fa, orange ffa15a, cyan 19d3f3, pink ff6692"),
        plot=(229, 236, 246),
        ink=(42, 63, 95),
        faint=_WHITE,
        frame="",
        ticks=False,
        loose=True,
        title_left=True,
        title_scale=1.35,
    ),
    PlotStyle(
        "vega",
        _palette(
            "blue 4c78a8, orange f58518, red e45756, - 72b7b2, green 54a24b, yellow eeca3b, - b279a2, pink ff9da6"
        ),
        ink=(20, 20, 20),
        frame="lb",
        title_scale=1.1,
        bar_share=0.9,
    ),
    PlotStyle(
        "excel",
        _palette("blue 4472c4, orange ed7d31, gray a5a5a5, yellow ffc000, - 5b9bd5, green 70ad47"),
        ink=(89, 89, 89),
        faint=(217, 217, 217),
        frame="b",
        ticks=False,
        title_scale=1.4,
        legends=("bottom", "bottom", "right"),
        bar_share=0.45,
        line_width=3,
        numbers=0.5,
    ),
    PlotStyle(
        "d3",
        _palette("blue 4682b4, orange ff8c00, green 2e8b57, red b22222, purple 7b3294, gray 888888"),
        ink=(0, 0, 0),
        grid=(),
        frame="lb",
        legends=("top", "right"),
        bar_share=0.88,
        numbers=0.4,
    ),
    PlotStyle("seaborn-white", _TAB10, grid=(), frame="lb", ticks=True, loose=True, legends=("inside", "right")),
)


def draw_style(rng: np.random.Generator) -> PlotStyle:
    """A library's look with the small changes that people make; now and then dark."""
    style = pick(rng, STYLES)
    if chance(rng, 0.1):
        ground = pick(rng, ((17, 17, 17), (0, 0, 0), (34, 39, 46), (24, 28, 48)))
        faint = (70, 76, 86)
        style = replace(style, paper=ground, plot=ground, ink=(235, 235, 235), faint=faint)
    if chance(rng, 0.25):
        style = replace(style, palette=tuple(style.palette[i] for i in rng.permutation(len(style.palette))))
    if chance(rng, 0.2):
        style = replace(style, dots=int(rng.integers(2, 5)))
    if chance(rng, 0.15):
        style = replace(style, grid=() if style.grid else ("value",))
    if style.plot == style.paper and not style.grid and not style.frame:
        style = replace(style, frame="b")
    if chance(rng, 0.12):
        style = replace(style, outline=style.ink)
    return style
