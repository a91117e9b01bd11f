"""What a chart shows: kind, categories, series, numbers on a round scale, labels and colours.

    rng, split --draw_chart--> Chart(kind, categories, series, values, scale, ...)

The trap: without value labels a number must be readable off the axis, so values then lie on whole or half ticks.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from vl2.synth.canvas import Colour
from vl2.synth.ingredients import cities, companies
from vl2.synth.table_content import a_name, content_word, distinct, listed, short_pick, time_keys
from vl2.synth.values import chance, pick

# name -> how it may look
COLOURS: dict[str, tuple[Colour, ...]] = {
    "red": ((220, 38, 38), (214, 39, 40), (200, 20, 30), (240, 60, 50)),
    "blue": ((37, 99, 235), (31, 119, 180), (30, 70, 200), (60, 120, 220)),
    "green": ((34, 139, 34), (44, 160, 44), (22, 150, 70), (80, 175, 80)),
    "orange": ((255, 127, 14), (245, 140, 20), (250, 150, 40)),
    "purple": ((128, 0, 128), (148, 103, 189), (120, 50, 180), (110, 40, 150)),
    "yellow": ((250, 215, 20), (240, 205, 0), (255, 225, 50)),
    "pink": ((255, 120, 180), (240, 110, 170), (255, 150, 190)),
    "brown": ((140, 86, 75), (139, 90, 43), (120, 70, 30)),
    "gray": ((127, 127, 127), (140, 140, 140), (150, 150, 155)),
    "cyan": ((23, 190, 207), (0, 200, 220), (60, 205, 225)),
    "black": ((15, 15, 15), (30, 30, 30)),
}
COLOUR_ANSWERS = {"gray": ("gray", "grey"), "cyan": ("cyan", "turquoise", "light blue", "teal")}
_MEASURES = listed(
    """Sales|Revenue|Price|Score|Points|Population|Visitors|Profit|Orders|Cost|Units|Votes|Students|Output|Income|Rainfall
    Temperature|Speed|Distance|Members|Users|Downloads|Hours|Exports|Imports|Amount|Count|Frequency|Percentage|Rate|Value
    Number|Weight|Production|Expenses|Attendance|Clicks"""
)
_UNITS = (" ($)", " (kg)", " (km)", " (thousands)", " (millions)", " (mm)", " (tons)", " (hours)", " in USD")
_PAIRS = tuple(
    tuple(pair.split("/"))
    for pair in listed(
        """Men/Women|Male/Female|Yes/No|Before/After|Plan/Actual|Online/Store|Day/Night|Low/Medium/High|Import/Export
        Urban/Rural|Summer/Winter|Win/Draw/Loss"""
    )
)
_TITLES = listed(
    """{m} by {x}|{m} per {x}|{w} {m}|{m} of {w}|{w}|{m} {year}|{w} in {year}|{m} in {city}|{w} and {v}|{w} {v}
    {city} {w}|{m} for each {x}|Share of {w}|{w} by {x}|{m}, {year} to {later}|Number of {w}|{w} survey {year}|Total {m}
    Annual {w} {m}|{w} {v} {year}"""
)
_STEPS = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    5,
    10,
    10,
    10,
    20,
    20,
    25,
    50,
    50,
    100,
    100,
    200,
    250,
    500,
    1000,
    2000,
    5000,
    10000,
    50000,
)


@dataclass(frozen=True)
class Chart:
    """One chart.

    kind: "bar", "barh", "line", "area", "pie" or "donut". values: per series, one number per category. colours: (name,
    RGB) of each series, or of each category when `by_category`; the name is "" where people may call it otherwise. Pies
    have values that add up to 100 when `suffix` is "%". zh: it is written, and asked about, in Chinese.
    """

    kind: str
    title: str
    category_label: str  # "" for none, as value_label
    value_label: str
    unit: str
    categories: tuple[str, ...]
    series: tuple[str, ...]  # () for one series without a name
    values: tuple[tuple[float, ...], ...]
    colours: tuple[tuple[str, Colour], ...]
    by_category: bool
    low: float
    step: float
    ticks: int
    suffix: str
    separator: str
    labelled: bool
    stacked: bool
    note: str  # small print below the chart, "" for none
    zh: bool = False

    @property
    def grouped(self) -> bool:
        """Whether there are several series."""
        return len(self.values) > 1

    @property
    def pie(self) -> bool:
        """Whether it is round."""
        return self.kind in ("pie", "donut")

    @property
    def lines(self) -> bool:
        """Whether values are points that lines connect."""
        return self.kind in ("line", "area")

    @property
    def top(self) -> float:
        """Value at the end of the axis."""
        return self.low + self.step * self.ticks

    def text(self, value: float) -> str:
        """A number as the chart writes it."""
        return number_text(value).replace(",", self.separator) + self.suffix

    def keep(self, categories: int) -> "Chart":
        """The chart with only the first categories."""
        colours = self.colours[:categories] if self.by_category else self.colours
        values = tuple(row[:categories] for row in self.values)
        return replace(self, categories=self.categories[:categories], values=values, colours=colours)

    def unlabelled(self) -> "Chart":
        """The chart without value labels, its numbers moved to whole or half ticks."""
        half = self.step / 2
        moved = tuple(
            tuple(clean(self.low + half * max(1, round((value - self.low) / half))) for value in row)
            for row in self.values
        )
        return replace(self, values=moved, labelled=False)


def clean(value: float) -> float:
    """Without the dust of binary fractions."""
    return round(value, 4)


def number_text(value: float) -> str:
    """A number with commas between thousands and no more decimals than it has."""
    return f"{clean(value):,.4f}".rstrip("0").rstrip(".")


def _categories(rng: np.random.Generator, split: str, kind: str, count: int) -> tuple[str, tuple[str, ...]]:
    """What the categories are (a noun) and their names."""
    form = rng.random()
    if kind == "line":
        form = form * 0.42 if rng.random() < 0.8 else form
    elif kind in ("pie", "donut"):
        form = 0.42 + 0.58 * form
    if form < 0.42:
        noun = ("Year", "Year", "Month", "Quarter", "Week", "Day")[int(rng.integers(6 if count <= 7 else 5))]
        names = time_keys(rng, noun, count)
        return noun, tuple(name.replace("Week ", "W") for name in names) if rng.random() < 0.5 else names
    if form < 0.56:
        noun = ("City", "Town", "Region", "Branch")[int(rng.integers(4))]
        return noun, distinct(lambda: short_pick(rng, cities(split), 11), count)
    if form < 0.66:
        noun = ("Name", "Player", "Student", "Person", "Team")[int(rng.integers(5))]
        return noun, distinct(lambda: a_name(rng, split).split(" ")[-1], count)
    if form < 0.72:
        noun = ("Company", "Brand", "Supplier", "Firm")[int(rng.integers(4))]
        return noun, distinct(lambda: short_pick(rng, companies(split), 14), count)
    if form < 0.77:
        return "Group", tuple("ABCDEFGH"[:count])
    noun = ("Category", "Product", "Item", "Type", "Group", "Topic", "Class", "Department")[int(rng.integers(8))]
    names = distinct(lambda: content_word(rng, split, 10), count)
    return noun, tuple(name.capitalize() for name in names) if rng.random() < 0.8 else names


def _series(rng: np.random.Generator, split: str, count: int, categories: tuple[str, ...]) -> tuple[str, ...]:
    """Names for the legend, none of them a category."""
    form = rng.random()
    if form < 0.2:
        fitting = [pair for pair in _PAIRS if len(pair) == count]
        if fitting:
            return pick(rng, fitting)
    if form < 0.35 and not categories[0].isdigit():
        year = int(rng.integers(1990, 2024))
        return tuple(str(year + i) for i in range(count))
    if form < 0.5:
        names = distinct(lambda: short_pick(rng, cities(split), 11), count)
    else:
        names = tuple(w.capitalize() for w in distinct(lambda: content_word(rng, split, 10), count))
    return names if not {*names} & {*categories} else tuple(f"Group {letter}" for letter in "XYZ"[:count])


def _colours(rng: np.random.Generator, count: int, dark: bool, thin: bool) -> tuple[tuple[str, Colour], ...]:
    """`count` different named colours that stand out from dark or light paper; `thin` lines ask for more than bars."""
    hidden = {"black", "purple", "brown"} if dark else {"yellow"} if thin else set()
    names = [name for name in COLOURS if name not in hidden]
    main = [name for name in ("blue", "orange", "green", "red", "purple") if name not in hidden]
    if count <= 3 and rng.random() < 0.4:
        names = main
    return tuple((names[i], pick(rng, COLOURS[names[i]])) for i in rng.permutation(len(names))[:count])


def _pie_values(rng: np.random.Generator, count: int, percent: bool) -> tuple[float, ...]:
    """Parts, none too thin: whole percentages that add up to 100, or any whole numbers."""
    parts = rng.dirichlet(np.full(count, 2.5)) * (1 - 0.05 * count) + 0.05
    shares = np.floor(parts * 100).astype(int)
    shares[int(rng.integers(count))] += 100 - shares.sum()
    if percent:
        return tuple(float(share) for share in shares)
    scale = float(pick(rng, (1.0, 0.5, 2.0, 5.0, 10.0, 20.0)))
    return tuple(float(math.ceil(share * scale)) for share in shares)


def _axis_values(
    rng: np.random.Generator, chart: Chart, num_series: int, count: int, ordered: bool
) -> tuple[tuple[float, ...], ...]:
    """Numbers (series, categories) between low and the last tick: on half ticks, or finer when they are written out.

    `ordered`: largest first for bars, a random walk for lines. The parts of stacked bars stay below the axis together.
    """
    per_tick = int(rng.choice([2, 5, 10])) if chart.labelled and not chart.stacked else 2
    most = per_tick * chart.ticks
    shape = (num_series, count)
    if chart.stacked:
        most //= num_series
        drawn = rng.integers(max(1, most // 3), most + 1, shape)
    elif ordered and chart.kind == "line":
        walk = np.cumsum(rng.integers(-per_tick, per_tick + 1, shape) + int(rng.integers(-1, 2)), axis=1)
        drawn = np.clip(walk - walk.min() + int(rng.integers(1, per_tick + 1)), 1, most)
    else:
        drawn = rng.integers(1, most + 1, shape)
        drawn[int(rng.integers(num_series)), int(rng.integers(count))] = most - int(rng.integers(0, per_tick))
        if ordered and num_series == 1:
            drawn = -np.sort(-drawn, axis=1)
    fine = chart.step / per_tick
    return tuple(tuple(clean(chart.low + fine * int(v)) for v in row) for row in drawn)


def draw_chart(rng: np.random.Generator, split: str, dark: bool) -> Chart:
    """A random chart; `dark` tells that it will stand on dark paper."""
    kind = ("bar", "barh", "line", "pie", "donut")[int(np.searchsorted((0.4, 0.58, 0.8, 0.94), rng.random()))]
    pie, line = kind in ("pie", "donut"), kind == "line"
    num_series = 1 if pie or rng.random() < 0.55 else int(rng.integers(2, 4))
    count = int(rng.integers(3 if line else 2, 6 if pie else 9 if num_series == 1 else 6))
    noun, categories = _categories(rng, split, kind, count)
    named = num_series > 1 or (line and rng.random() < 0.2)
    by_category = pie or (num_series == 1 and not line and rng.random() < 0.3)
    stacked = num_series > 1 and not line and chance(rng, 0.25)
    step, ticks = float(pick(rng, _STEPS)), int(rng.integers(3, 7))
    low = step * int(rng.integers(1, 12)) if line and chance(rng, 0.25) else 0.0
    percent = chance(rng, 0.8) if pie else step in (10, 20, 25) and low + step * ticks <= 100 and chance(rng, 0.5)
    measure = pick(rng, _MEASURES) if chance(rng, 0.7) else content_word(rng, split).capitalize()
    title = _title(rng, split, measure, noun) if chance(rng, 0.7) else ""
    unit = pick(rng, _UNITS) if not percent and chance(rng, 0.3) else ""
    value_label = measure + unit if not pie and chance(rng, 0.6) else ""
    chart = Chart(
        kind=kind,
        title=title,
        category_label=noun if not pie and chance(rng, 0.5) else "",
        value_label=value_label,
        unit=measure.lower() if value_label or measure.lower() in title.lower() else "value",
        categories=categories,
        series=_series(rng, split, num_series, categories) if named else (),
        values=((0.0,) * count,) * num_series,
        colours=_colours(rng, count if by_category else num_series, dark, line),
        by_category=by_category,
        low=low,
        step=step,
        ticks=ticks,
        suffix="%" if percent else "",
        separator="," if chance(rng, 0.5) else "",
        labelled=pie or stacked or (not (line and num_series > 1) and chance(rng, 0.4)),
        stacked=stacked,
        note=_note(rng, split),
    )
    values = (
        (_pie_values(rng, count, percent),) if pie else _axis_values(rng, chart, num_series, count, chance(rng, 0.3))
    )
    return replace(chart, values=values)


def _note(rng: np.random.Generator, split: str) -> str:
    """A source or remark, rarely."""
    if not chance(rng, 0.1):
        return ""
    source = short_pick(rng, companies(split), 16)
    year = int(rng.integers(1995, 2027))
    return pick(rng, ("Source: {s}", "Source: {s}, {y}", "Data: {s}", "Source: {s} {y}", "(c) {s}")).format(
        s=source, y=year
    )


def _title(rng: np.random.Generator, split: str, measure: str, noun: str) -> str:
    """A title around what is measured and words of the split."""
    year = int(rng.integers(1990, 2022))
    text = pick(rng, _TITLES).format(
        m=measure, x=noun.lower(), w=content_word(rng, split).capitalize(), v=content_word(rng, split),
        year=year, later=year + int(rng.integers(1, 6)), city=short_pick(rng, cities(split), 11),
    )  # fmt: skip
    form = rng.random()
    return text.upper() if form < 0.07 else text.title() if form < 0.3 else text
