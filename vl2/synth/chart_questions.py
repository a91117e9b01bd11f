"""Questions about a chart: values, extremes, comparisons, counts, labels, colours, and finding its parts.

    Chart + named boxes --chart_questions--> up to 20 questions, each of another kind or about another part

The trap: a question is asked only where its answer is unique and stands on the picture; equal values rule kinds out.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vl2.processing.boxes import Box, Region
from vl2.synth.canvas import Rect
from vl2.synth.chart_content import COLOUR_ANSWERS, Chart, clean
from vl2.synth.sample import Question
from vl2.synth.table_content import listed
from vl2.synth.values import DAYS, MONTHS, pick
from vl2.synth.wordings import ask
from vl2.synth.wordings_charts_zh import CHART_FIND_ZH, CHART_ZH, COLOURS_ZH, KINDS_ZH

_KIND_ANSWERS = {
    "bar": ("bar chart", "bar", "bar graph", "vertical bar chart", "column chart"),
    "barh": ("bar chart", "bar", "bar graph", "horizontal bar chart"),
    "line": ("line chart", "line", "line graph"),
    "area": ("area chart", "area", "area graph"),
    "pie": ("pie chart", "pie"),
    "donut": ("donut chart", "donut", "doughnut chart", "ring chart", "pie chart"),
}
FIND_PART = listed(
    """the {m} for {x}|the {m} of {x}|{x}'s {m}|the {x} {m}|the {m} labelled {x}|the {m} that shows {x}
    the {m} named {x}|the {m} that belongs to {x}|the {m} showing {x}|the {m} representing {x}|the {m} called {x}
    the {m} standing for {x}|the {m} with the label {x}|the chart's {m} for {x}|the {m} drawn for {x}"""
)
FIND_BOTH = listed(
    """the {s} {m} for {x}|the {m} of {s} in {x}|the {s} {m} at {x}|the {m} for {s} and {x}|the {m} showing {s} for {x}
    the {m} of {s} at {x}|the {m} of {x} for {s}|the {s} {m} in {x}|the {m} that shows {s} in {x}|{x}'s {m} of {s}
    the {m} of the {s} series at {x}|the {m} for {x} in the series {s}|the {m} that stands for {s} at {x}
    the {m} in the {s} colour for {x}|the {m} drawn for {s} in {x}"""
)
FIND_LEGEND = listed(
    """the legend entry {x}|{x} in the legend|the legend entry for {x}|the entry {x} of the legend|the legend item {x}
    where the legend says {x}|the label {x} in the legend|the key entry {x}|the legend line of {x}|the legend's {x}
    the legend label {x}|the swatch and name of {x}|the item {x} in the legend|the entry for {x} in the legend
    the {x} entry in the key"""
)
FIND_TITLE = listed(
    """the title|the chart title|the heading|the title of the chart|the heading of the chart|the chart's title
    the title of the graph|the headline|the text above the chart|the title text|the name of the chart|the graph's title
    the chart heading|the title at the top|the line with the title"""
)
FIND_AXIS = listed(
    """the {a}-axis label|the label of the {a} axis|the {a} axis title|the text at the {a} axis|the {a} axis label
    the title of the {a} axis|the name of the {a} axis|the {a}-axis title|the caption of the {a} axis
    the text that names the {a} axis|the label on the {a}-axis|the {a} axis name|the {a} axis caption
    the words at the {a} axis|the description of the {a} axis"""
)
FIND_NAME = listed(
    """the text {x}|the category label {x}|the axis label {x}|the label {x}|{x} on the axis|the word {x}|the name {x}
    where the axis says {x}|the tick label {x}|the category name {x}|the label that says {x}|the axis text {x}
    the {x} label|the writing {x}|the printed {x}"""
)


class _Made(NamedTuple):
    """A question: `topic` keeps the same thing from being asked twice."""

    topic: str
    text: str
    answers: tuple[str, ...]
    metric: str = "exact"


def chart_questions(rng: np.random.Generator, chart: Chart, regions: dict[str, Rect]) -> list[Question]:
    """Up to 20 questions about a chart as drawn; `regions` are the boxes that the drawing named."""
    wanted = int(rng.integers(8, 21))
    names = list(MAKERS)
    shares = np.cumsum([chance for chance, _ in MAKERS.values()])
    found: dict[tuple[str, str], Question] = {}
    if rng.random() < 0.14:
        found["find", ""] = _find(rng, chart, regions)
    for _ in range(80):
        if len(found) >= wanted:
            break
        name = names[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
        made = MAKERS[name][1](rng, chart)
        if made is not None:
            found.setdefault((name, made.topic), Question("ask", made.text, made.answers, made.metric))
    return list(found.values())


def plain(chart: Chart, value: float) -> tuple[str, ...]:
    """Right answers for a number: without commas, with the percent sign of the chart and without."""
    text = f"{clean(value):.4f}".rstrip("0").rstrip(".") if clean(value) % 1 else str(round(value))
    texts = [text + chart.suffix, text, chart.text(value)]
    return tuple(dict.fromkeys(texts))


def _mark(chart: Chart) -> str:
    if chart.zh:
        return "扇形" if chart.pie else "点" if chart.lines else "柱子"
    return "slice" if chart.pie else "point" if chart.lines else "bar"


def _number(chart: Chart, topic: str, text: str, value: float) -> _Made:
    return _Made(topic, text, plain(chart, value), "relaxed_accuracy")


def _say(rng: np.random.Generator, chart: Chart, kind: str, **slots: object) -> str:
    """A wording in the language of the chart."""
    if not chart.zh:
        return ask(rng, kind, **slots)
    return pick(rng, CHART_ZH[kind.removeprefix("chart.")]).format(**slots)


def _ask(rng: np.random.Generator, chart: Chart, kind: str, **slots: object) -> str:
    """A wording that suits the chart: a slice has no height and is not high."""
    text = ""
    for _ in range(20):
        text = _say(rng, chart, kind, mark=_mark(chart), unit=chart.unit, **slots)
        if not (chart.pie and ("height" in text.lower() or "how high" in text.lower())):
            break
    return text


def _value(rng: np.random.Generator, chart: Chart) -> _Made | None:
    s, c = int(rng.integers(len(chart.values))), int(rng.integers(len(chart.categories)))
    value, cat = chart.values[s][c], chart.categories[c]
    if chart.pie and chart.suffix:
        return _number(chart, cat, _ask(rng, chart, "chart.share", cat=cat), value)
    if chart.grouped:
        text = _ask(rng, chart, "chart.value_series", cat=cat, series=chart.series[s])
        return _number(chart, f"{s} {c}", text, value)
    return _number(chart, cat, _ask(rng, chart, "chart.value", cat=cat), value)


def _extreme(rng: np.random.Generator, chart: Chart, highest: bool) -> _Made | None:
    """The category at the top or bottom; of several series, the series at one category."""
    if chart.grouped:
        c = int(rng.integers(len(chart.categories)))
        column = sorted((row[c], name) for row, name in zip(chart.values, chart.series, strict=True))
        if not highest or column[-1][0] == column[-2][0]:
            return None
        cat = chart.categories[c]
        text = _ask(rng, chart, "chart.highest_series", cat=cat)
        return _Made(cat, text, (column[-1][1],))
    values = chart.values[0]
    best = max(values) if highest else min(values)
    if values.count(best) > 1:
        return None
    text = _ask(rng, chart, "chart.highest" if highest else "chart.lowest")
    return _Made("", text, (chart.categories[values.index(best)],))


def _bound(rng: np.random.Generator, chart: Chart) -> _Made | None:
    if chart.stacked:  # a whole bar or a part of it?
        return None
    numbers = [value for row in chart.values for value in row]
    highest = rng.random() < 0.55
    text = _ask(rng, chart, "chart.max" if highest else "chart.min")
    return _number(chart, "", text, max(numbers) if highest else min(numbers))


def _title(rng: np.random.Generator, chart: Chart) -> _Made | None:
    return _Made("", _say(rng, chart, "chart.title"), (chart.title,), "anls") if chart.title else None


def _axis_label(rng: np.random.Generator, chart: Chart) -> _Made | None:
    labels = {"x": chart.category_label, "y": chart.value_label}
    if chart.kind == "barh":
        labels = {"x": chart.value_label, "y": chart.category_label}
    axis = "x" if rng.random() < 0.5 else "y"
    return _Made(axis, _say(rng, chart, f"chart.{axis}_label"), (labels[axis],), "anls") if labels[axis] else None


def _count(rng: np.random.Generator, chart: Chart) -> _Made | None:
    if chart.grouped:
        return None
    return _Made("", _say(rng, chart, "chart.count", mark=_mark(chart)), (str(len(chart.categories)),))


def _num_series(rng: np.random.Generator, chart: Chart) -> _Made | None:
    return _Made("", _say(rng, chart, "chart.num_series"), (str(len(chart.series)),)) if len(chart.series) > 1 else None


def _coloured(chart: Chart) -> tuple[str, ...]:
    """What each colour stands for; empty when there is one colour without a name, or a colour without a word."""
    if not all(word for word, _ in chart.colours):
        return ()
    return chart.categories if chart.by_category else chart.series


def _colour_of(rng: np.random.Generator, chart: Chart) -> _Made | None:
    names = _coloured(chart)
    if not names:
        return None
    i = int(rng.integers(len(names)))
    mark = "line" if chart.lines else _mark(chart)
    colour = chart.colours[i][0]
    answers = (COLOURS_ZH[colour],) if chart.zh else COLOUR_ANSWERS.get(colour, (colour,))
    return _Made(names[i], _say(rng, chart, "chart.color_of", series=names[i], mark=mark), answers)


def _series_of(rng: np.random.Generator, chart: Chart) -> _Made | None:
    names = _coloured(chart)
    if len(names) < 2:
        return None
    i = int(rng.integers(len(names)))
    mark = "line" if chart.lines else _mark(chart)
    text = _say(
        rng,
        chart,
        "chart.series_of",
        color=COLOURS_ZH[chart.colours[i][0]] if chart.zh else chart.colours[i][0],
        mark=mark,
    )
    return _Made(names[i], text, (names[i],))


def _two(rng: np.random.Generator, chart: Chart) -> tuple[int, int] | None:
    """Two categories of different value, of a chart with one series."""
    if chart.grouped or len(chart.categories) < 2:
        return None
    a, b = (int(i) for i in rng.permutation(len(chart.categories))[:2])
    return (a, b) if chart.values[0][a] != chart.values[0][b] else None


def _compare(rng: np.random.Generator, chart: Chart, kind: str) -> _Made | None:
    pair = _two(rng, chart)
    if pair is None:
        return None
    (a, b), values = pair, chart.values[0]
    text = _say(rng, chart, f"chart.{kind}", a=chart.categories[a], b=chart.categories[b])
    if kind == "bigger":
        return _Made(f"{a} {b}", text, (chart.categories[a if values[a] > values[b] else b],))
    return _number(
        chart, f"{a} {b}", text, abs(values[a] - values[b]) if kind == "difference" else values[a] + values[b]
    )


def _category_of(rng: np.random.Generator, chart: Chart) -> _Made | None:
    if chart.grouped:
        return None
    c = int(rng.integers(len(chart.categories)))
    value = chart.values[0][c]
    if chart.values[0].count(value) > 1:
        return None
    text = _say(rng, chart, "chart.category_of", value=chart.text(value), mark=_mark(chart))
    return _Made(str(c), text, (chart.categories[c],))


def _kind(rng: np.random.Generator, chart: Chart) -> _Made | None:
    return _Made("", _say(rng, chart, "chart.kind"), (KINDS_ZH if chart.zh else _KIND_ANSWERS)[chart.kind])


def _end(rng: np.random.Generator, chart: Chart) -> _Made | None:
    if chart.pie:
        return None
    first = rng.random() < 0.5
    mark = _mark(chart)
    text = _say(rng, chart, "chart.first" if first else "chart.last", mark=mark)
    return _Made(str(first), text, (chart.categories[0 if first else -1],))


# question kind -> how often, and what makes one or says that the chart has none
MAKERS: dict[str, tuple[float, Callable[[np.random.Generator, Chart], _Made | None]]] = {
    "value": (9.0, _value),
    "highest": (2.2, lambda rng, chart: _extreme(rng, chart, True)),
    "lowest": (1.8, lambda rng, chart: _extreme(rng, chart, False)),
    "bound": (1.2, _bound),
    "title": (1.3, _title),
    "axis_label": (1.4, _axis_label),
    "count": (1.2, _count),
    "num_series": (0.7, _num_series),
    "colour_of": (1.6, _colour_of),
    "series_of": (1.2, _series_of),
    "difference": (0.6, lambda rng, chart: _compare(rng, chart, "difference")),
    "sum": (0.4, lambda rng, chart: _compare(rng, chart, "sum")),
    "bigger": (1.0, lambda rng, chart: _compare(rng, chart, "bigger")),
    "category_of": (1.3, _category_of),
    "kind": (0.5, _kind),
    "end": (0.6, _end),
}


def _find(rng: np.random.Generator, chart: Chart, regions: dict[str, Rect]) -> Question:
    """A bar, point, slice, legend entry or label to be located."""
    c, s = int(rng.integers(len(chart.categories))), int(rng.integers(len(chart.values)))
    cat, kind = chart.categories[c], rng.random()
    if kind < 0.06 and not chart.grouped and not chart.lines:
        return Question("ground", _phrase(rng, chart, "part").format(m=_mark(chart), x=_absent(rng, chart)), (), "iou")
    legend = [name for name in regions if name.startswith("legend")]
    if kind < 0.14 and chart.title:
        return _found(_phrase(rng, chart, "title"), regions["title"])
    if kind < 0.22 and "x label" in regions:
        return _found(_phrase(rng, chart, "axis").format(a="x"), regions["x label"])
    if kind < 0.26 and "y label" in regions:
        return _found(_phrase(rng, chart, "axis").format(a="y"), regions["y label"])
    if kind < 0.36 and legend:
        i = int(rng.integers(len(legend)))
        name = (chart.categories if chart.pie else chart.series)[i]
        return _found(_phrase(rng, chart, "legend").format(x=name), regions[f"legend {i}"])
    if f"category {c}" in regions and (kind < 0.46 or chart.lines):
        return _found(_phrase(rng, chart, "name").format(x=cat), regions[f"category {c}"])
    if chart.grouped:
        phrase = _phrase(rng, chart, "both").format(s=chart.series[s], m=_mark(chart), x=cat)
        return _found(phrase, regions[f"value {s} {c}"])
    return _found(_phrase(rng, chart, "part").format(m=_mark(chart), x=cat), regions[f"value {s} {c}"])


_FIND = {
    "part": FIND_PART, "both": FIND_BOTH, "legend": FIND_LEGEND, "title": FIND_TITLE, "axis": FIND_AXIS,
    "name": FIND_NAME,
}  # fmt: skip


def _phrase(rng: np.random.Generator, chart: Chart, part: str) -> str:
    return pick(rng, CHART_FIND_ZH[part] if chart.zh else _FIND[part])


def _absent(rng: np.random.Generator, chart: Chart) -> str:
    """A category that the chart does not have: its own kind gone by one, or a letter."""
    known = {name.lower() for name in chart.categories}
    candidates = [*MONTHS, *DAYS, *"ABCDEFGHJK", *(str(year) for year in range(1980, 2020, 3))]
    free = [name for name in candidates if not any(name.lower() in k or k in name.lower() for k in known)]
    return pick(rng, free)


def _found(phrase: str, box: Rect) -> Question:
    return Question("ground", phrase, (), "iou", (Region(phrase, Box(*box)),))
