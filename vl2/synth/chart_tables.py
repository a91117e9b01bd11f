"""Questions that read many values of a chart at once: its data as a table, the values of a series, its axis's ticks.

    Chart, named boxes --whole_questions--> a table and a list (kind "convert"), then one or two about ticks ("ask")
    table_of(chart) --written--> Markdown, CSV, JSON

Numbers are written as answers about one value write them; as the chart writes them counts as right, too. The trap: no
metric is that of questions about one value, so that what is measured by those stays what it was.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from vl2.synth.canvas import Rect
from vl2.synth.chart_content import Chart, clean
from vl2.synth.chart_questions import plain
from vl2.synth.sample import Question
from vl2.synth.values import chance, pick
from vl2.synth.wordings import ask
from vl2.synth.wordings_chart_tables import AXES, AXES_ZH, CHART_TABLES_ZH

MOST_VALUES = 40
_FORMS = ("markdown", "markdown", "markdown", "csv", "json")
_TICKS = ("tick_labels", "tick_ends", "tick_step")
Number = Callable[[float], str]


def whole_questions(
    rng: np.random.Generator, chart: Chart, regions: Mapping[str, Rect], *, table: bool = True
) -> list[Question]:
    """Up to four questions about a chart as drawn.

    regions: those named "tick i" are the numbers that stand at the axis. table: whether the data may be asked for.
    """
    asked: list[Question] = []
    if chart.kind != "box":  # whose values are only its medians
        if table and len(chart.values) * len(chart.categories) <= MOST_VALUES:
            asked.append(_table(rng, chart))
        if not chart.pie:  # where a list would begin nobody can say
            asked.append(_list(rng, chart))
    return asked + _ticks(rng, chart, regions)


def table_of(chart: Chart, number: Number | None = None) -> list[list[str]]:
    """The chart's data with a header row: a category a row, numbers as the chart writes them unless told otherwise."""
    number = number or chart.text
    head = chart.category_label or ("类别" if chart.zh else "Category")
    values = chart.series or (chart.value_label or ("数值" if chart.zh else "Value"),)
    rows = [[head, *values]]
    for c, name in enumerate(chart.categories):
        rows.append([name, *(number(row[c]) for row in chart.values)])
    return rows


def written(rows: list[list[str]], form: str, *, nested: bool) -> str:
    """A table as "markdown", "csv" or "json"; nested: JSON says the series, too."""
    if form == "markdown":
        ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
        return "\n".join(f"| {' | '.join(row)} |" for row in ruled)
    if form == "csv":
        lines = io.StringIO()
        csv.writer(lines, lineterminator="\n").writerows(rows)
        return lines.getvalue().strip()
    found = {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) if nested else row[1] for row in rows[1:]}
    return json.dumps(found, ensure_ascii=False)


def _say(rng: np.random.Generator, chart: Chart, kind: str, **slots: str) -> str:
    if chart.zh:
        return pick(rng, CHART_TABLES_ZH[kind]).format(**slots)
    return ask(rng, f"chart.{kind}", **slots)


def _each_way(chart: Chart, write: Callable[[Number], str]) -> tuple[str, ...]:
    """An answer with numbers as questions about one value answer them, then without the percent sign, then as drawn."""
    ways: tuple[Number, ...] = (
        lambda value: plain(chart, value)[0],
        lambda value: plain(chart, value)[0].removesuffix(chart.suffix),
        chart.text,
    )
    return tuple(dict.fromkeys(write(way) for way in ways))


def _table(rng: np.random.Generator, chart: Chart) -> Question:
    """All categories, series and values."""
    form = pick(rng, _FORMS)

    def write(number: Number) -> str:
        rows = [[cell.strip() for cell in row] for row in table_of(chart, number)]  # names may be cut at a space
        return written(rows, form, nested=bool(chart.series))

    answers = _each_way(chart, write)
    return Question("convert", _say(rng, chart, f"as_{form}"), answers, "cer")


def _list(rng: np.random.Generator, chart: Chart) -> Question:
    """The values of one series in the order of the categories."""
    s, lying = int(rng.integers(len(chart.values))), chart.kind == "barh"
    if chart.zh:
        along = "从上到下" if lying else "从左到右"
    else:
        along = "from top to bottom" if lying else "from left to right"
    answers = _each_way(chart, lambda number: ", ".join(map(number, chart.values[s])))
    if chart.grouped:
        return Question("convert", _say(rng, chart, "list_series", series=chart.series[s], along=along), answers, "cer")
    return Question("convert", _say(rng, chart, "list", along=along), answers, "cer")


def _ticks(rng: np.random.Generator, chart: Chart, regions: Mapping[str, Rect]) -> list[Question]:
    """One or two of: all numbers at the value axis, the first and the last, how far they are apart."""
    places = sorted(int(name.removeprefix("tick ")) for name in regions if name.startswith("tick "))
    values = [clean(chart.low + place * chart.step) for place in places]
    if len(set(values)) < max(2, len(places)):
        return []
    kinds = list(_TICKS)
    # the step between numbers is not that between ticks where some have no number, or where four digits hide it
    gaps = {place - last for last, place in pairwise(places)}
    if gaps != {1} or abs(clean(chart.step) - chart.step) > 1e-9:
        kinds.remove("tick_step")
    asked = []
    for i in rng.permutation(len(kinds))[: 1 + chance(rng, 0.5)].tolist():
        axis = pick(rng, (AXES_ZH if chart.zh else AXES)[chart.kind == "barh"])
        if kinds[i] == "tick_step":
            answers = plain(chart, chart.step)
        elif kinds[i] == "tick_ends":
            answers = _each_way(chart, lambda number: f"{number(values[0])}, {number(values[-1])}")
        else:
            answers = _each_way(chart, lambda number: ", ".join(map(number, values)))
        asked.append(Question("ask", _say(rng, chart, kinds[i], axis=axis), answers, "exact"))
    return asked
