"""Charts of real numbers: a part of a table of the pack, under its own names, invented ones or Chinese ones.

    tables(split), language --draw_content--> Chart (as those of vl2.synth.chart_content) or Points

The trap: without written values a number can only be read to a tenth of a tick, so the chart shows and tells that.
"""

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from vl2.synth import chart_content
from vl2.synth.chart_content import Chart, clean
from vl2.synth.ingredients import PACK, cities
from vl2.synth.langs import Language
from vl2.synth.plot_styles import PlotStyle
from vl2.synth.table_content import distinct, short_pick
from vl2.synth.values import chance, pick

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MEASURES_ZH = (
    "销售额（万元）", "产量（吨）", "人口（万人）", "收入（元）", "利润（万元）", "价格（元）", "温度（度）",
    "降水量（毫米）", "用户数", "订单数量", "得分", "增长率（%）", "比例（%）", "面积（平方公里）", "人数",
    "费用（元）", "访问量", "成本（万元）",
)  # fmt: skip
_TITLES_ZH = (
    "{m}统计", "{city}{m}", "{year}年{m}", "各{noun}{m}对比", "{m}变化", "{word}{m}", "{year}年{city}{m}情况",
    "{m}分布",
)  # fmt: skip
_NOUNS_ZH = ("地区", "城市", "部门", "产品", "类别", "公司", "项目")


@dataclass(frozen=True)
class Points:
    """A scatter plot: x and y of the points of each named group."""

    title: str
    x_label: str
    y_label: str
    groups: tuple[str, ...]
    points: tuple[tuple[tuple[float, float], ...], ...]
    colours: tuple[tuple[str, tuple[int, int, int]], ...]


@lru_cache
def tables(split: str) -> tuple[dict, ...]:
    """The tables of a split that have rows and columns."""
    return tuple(entry for entry in _all() if entry["split"] == split and "rows" in entry)


@lru_cache
def point_sets(split: str) -> tuple[dict, ...]:
    """The tables of a split for scatter plots."""
    return tuple(entry for entry in _all() if entry["split"] == split and "groups" in entry)


@lru_cache
def _all() -> list[dict]:
    return json.loads((PACK / "tables.json").read_text(encoding="utf-8"))


def ticks(low: float, high: float, count: int) -> tuple[float, float, int]:
    """(first, step, number of steps) of round ticks around low and high."""
    raw = max(high - low, 1e-9) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in _STEPS if s * power >= raw * 0.999)
    first = math.floor(low / step + 1e-9) * step
    return clean(first) if step >= 0.01 else first, step, max(1, math.ceil((high - first) / step - 1e-9))


@dataclass(frozen=True)
class _Part:
    """Rows of one or several series out of a table."""

    title: str
    noun: str
    measure: str
    names: tuple[str, ...]
    series: tuple[str, ...]
    values: np.ndarray  # (series, names)
    time: bool
    adds: bool


def _part(rng: np.random.Generator, split: str, most: int) -> _Part:
    """A part of a random table that is worth a chart."""
    while True:
        table = pick(rng, tables(split))
        values = np.array(table["values"], float).T  # columns, rows
        across = len(table["columns"]) > 3 and chance(rng, 0.4)
        rows, columns, noun = table["rows"], table["columns"], table["noun"]
        if across:
            values, rows, columns, noun = values.T, columns, rows, table["column_noun"]
        time = (table["time"] and not across) or (across and noun == "Year")
        count = int(rng.integers(3, min(most, len(rows)) + 1))
        if time:
            stride = int(rng.integers(1, max(2, min(6, (len(rows) - 1) // max(1, count - 1) + 1))))
            first = int(rng.integers(0, max(1, len(rows) - stride * (count - 1))))
            places = list(range(first, len(rows), stride))[:count]
        else:
            places = rng.permutation(len(rows))[:count].tolist()
        wanted = int(rng.choice([1, 1, 2, 2, 3, 4])) if len(columns) > 1 else 1
        chosen = sorted(rng.permutation(len(columns))[:wanted].tolist())
        picked = values[np.ix_(chosen, places)]
        if len(places) < 3 or picked.max() <= 0 or picked.min() < 0.02 * picked.max():  # nothing too small to be seen
            continue
        if np.ptp(picked) < 0.01 * picked.max():
            continue
        title = table["title"]
        if len(chosen) == 1 and len(columns) > 1:
            title += f", {columns[chosen[0]]}"
        series = tuple(columns[c] for c in chosen) if len(chosen) > 1 else ()
        names = tuple(rows[p] for p in places)
        return _Part(title, noun, table["measure"], names, series, picked, time, table["adds"])


def _kind(rng: np.random.Generator, part: _Part) -> str:
    if len(part.series) == 0 and part.adds and len(part.names) < 8 and not part.time and chance(rng, 0.5):
        return pick(rng, ("pie", "donut"))
    if part.time and len(part.names) > 3:
        return pick(rng, ("line", "line", "line", "area", "bar", "bar", "barh"))
    return pick(rng, ("bar", "bar", "bar", "barh"))


def draw_content(lang: Language, style: PlotStyle) -> Chart:
    """A chart of a part of a table."""
    rng = lang.rng
    part = _part(rng, lang.split, 12 if chance(rng, 0.5) else 7)
    part = _in_chinese(lang, part) if lang.zh else _renamed(lang, part) if chance(rng, 0.35) else part
    kind = _kind(rng, part)
    if kind == "area" and len(part.series) > 1:
        kind = "line"
    if kind in ("pie", "donut") and len(part.names) > len(style.palette):
        kind = "bar"
    values, pie = part.values, kind in ("pie", "donut")
    top = values.max()
    values = np.round(values, 0 if top >= 100 else 1 if top >= 10 else 2)
    suffix = ""
    if pie:
        values = np.round(100 * values / values.sum(), int(rng.integers(2)))
        suffix = "%"
    elif "%" in part.measure and chance(rng, 0.6):
        suffix = "%"
    stacked = part.adds and len(part.series) > 1 and kind in ("bar", "barh") and chance(rng, 0.4)
    flat = kind == "line" and values.min() > 0.35 * values.max() and chance(rng, 0.7)
    low, step, count = ticks(
        values.min() if flat else 0.0, values.sum(0).max() if stacked else top, int(rng.integers(4, 7))
    )
    by_category = pie or (len(values) == 1 and kind in ("bar", "barh") and chance(rng, 0.2))
    number = len(part.names) if by_category else len(values)
    colours = style.palette[:number] if number <= len(style.palette) else ()
    chart = Chart(
        kind=kind,
        title=part.title if chance(rng, 0.85) else "",
        category_label=part.noun if not pie and chance(rng, 0.5) else "",
        value_label=part.measure if not pie and chance(rng, 0.7) else "",
        unit="value",
        categories=part.names,
        series=part.series if len(values) > 1 else (),
        values=_rows(values),
        colours=colours or (style.palette[0],),
        by_category=by_category and bool(colours),
        low=low,
        step=step,
        ticks=count,
        suffix=suffix,
        separator="," if chance(rng, 0.5) else "",
        labelled=pie or stacked or chance(rng, style.numbers),
        stacked=stacked,
        note="",
        zh=lang.zh,
    )
    return chart if chart.labelled else readable(chart)


def _rows(values: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(clean(float(value)) for value in row) for row in values)


def readable(chart: Chart) -> Chart:
    """The chart without numbers at its bars, its values moved to tenths of a tick."""
    fine = chart.step / 10
    moved = np.maximum(np.round((np.array(chart.values) - chart.low) / fine), 0) * fine + chart.low
    return replace(chart, values=_rows(moved), labelled=False)


def _renamed(lang: Language, part: _Part) -> _Part:
    """The same numbers under invented names."""
    model = chart_content.draw_chart(lang.rng, lang.split, False)
    rng, count = lang.rng, len(part.names)
    names = part.names
    if not part.time:
        towns = chance(rng, 0.4)
        names = distinct(lambda: short_pick(rng, cities(lang.split), 11) if towns else lang.fit_word(11), count)
    series = distinct(lambda: lang.fit_word(10), len(part.series)) if part.series else ()
    if {*series} & {*names}:
        return part
    noun = part.noun if part.time else pick(rng, ("Category", "Group", "Place", "Product", "Type"))
    measure = model.value_label or part.measure
    return replace(part, title=model.title or part.title, noun=noun, measure=measure, names=names, series=series)


def _in_chinese(lang: Language, part: _Part) -> _Part:
    """The same numbers under Chinese names."""
    rng = lang.rng
    measure, noun = pick(rng, _MEASURES_ZH), pick(rng, _NOUNS_ZH)
    short = measure.split("（")[0]
    title = pick(rng, _TITLES_ZH).format(
        m=short, city=lang.city(), year=int(rng.integers(1990, 2026)), noun=noun, word=lang.fit_word(4)
    )

    def invented(count: int) -> tuple[str, ...]:
        maker = pick(rng, (lang.city, lang.thing, lambda: lang.fit_word(4), lambda: lang.company()[:6]))
        return distinct(maker, count)

    names = invented(len(part.names))
    if part.time:
        noun = "年份" if part.names[0].isdigit() else "月份"
        year = chance(rng, 0.6)
        names = tuple(_time_in_chinese(name, year) for name in part.names)
    series = invented(len(part.series)) if part.series else ()
    if {*series} & {*names}:
        series = tuple(f"{letter}组" for letter in "甲乙丙丁"[: len(series)])
    return replace(
        part, title=title, noun=noun, measure=measure if chance(rng, 0.7) else short, names=names, series=series
    )


def _time_in_chinese(name: str, with_unit: bool) -> str:
    """ "1987" to 1987年, "Jan 1855" to 1855年1月, "Jan" to 1月."""
    if name.isdigit():
        return name + "年" if with_unit else name
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    month, _, year = name.partition(" ")
    return (f"{year}年" if year else "") + f"{months.index(month) + 1}月"


@dataclass(frozen=True)
class Boxes:
    """A box plot: `chart` has the medians as its values; numbers_C5: least value, quartiles, largest value."""

    chart: Chart
    numbers_C5: np.ndarray


def draw_boxes(lang: Language, style: PlotStyle) -> Boxes:
    """How the columns of a table spread, in some of its rows."""
    rng = lang.rng
    table = pick(rng, [table for table in tables(lang.split) if len(table["columns"]) > 9])
    values = np.array(table["values"], float)
    places = sorted(rng.permutation(len(values))[: int(rng.integers(2, 8))].tolist())
    numbers = np.percentile(values[places], (0, 25, 50, 75, 100), axis=1).T
    names = tuple(table["rows"][place] for place in places)
    part = _Part(table["title"], table["noun"], table["measure"], names, (), values[places].T, table["time"], False)
    part = _in_chinese(lang, part) if lang.zh else part
    low, step, count = ticks(0.0 if chance(rng, 0.4) else numbers.min(), numbers.max(), int(rng.integers(4, 7)))
    fine = step / 10
    numbers = np.round((numbers - low) / fine) * fine + low
    number = len(names) if chance(rng, 0.3) else 1
    chart = Chart(
        kind="box", title=part.title, category_label=part.noun if chance(rng, 0.5) else "", value_label=part.measure,
        unit="value", categories=part.names, series=(), values=_rows(numbers[None, :, 2]),
        colours=style.palette[:number] if number <= len(style.palette) else style.palette[:1],
        by_category=1 < number <= len(style.palette), low=low, step=step, ticks=count, suffix="", separator="",
        labelled=False, stacked=False, note="", zh=lang.zh,
    )  # fmt: skip
    return Boxes(chart, numbers)


def draw_points(lang: Language, style: PlotStyle) -> Points:
    """Some groups and some points of a table."""
    rng = lang.rng
    table = pick(rng, point_sets(lang.split))
    names = [name for name, rows in table["groups"].items() if len(rows) > 4]
    chosen = [names[i] for i in sorted(rng.permutation(len(names))[: int(rng.integers(1, len(names) + 1))].tolist())]
    most = int(rng.integers(5, 36))
    points = []
    for name in chosen:
        rows = table["groups"][name]
        points.append(tuple((float(rows[i][0]), float(rows[i][1])) for i in rng.permutation(len(rows))[:most].tolist()))
    title, x_label, y_label, groups = table["title"], table["x"], table["y"], tuple(chosen)
    if lang.zh or chance(rng, 0.4):
        if lang.zh:
            x_label, y_label = (pick(rng, _MEASURES_ZH[k::2]) for k in (0, 1))
            title = lang.title(2)
        else:
            x_label, y_label = distinct(lambda: pick(rng, chart_content._MEASURES), 2)
            title = lang.title(int(rng.integers(2, 4)))
        groups = distinct(lambda: lang.fit_word(8), len(chosen))
    return Points(
        title if chance(rng, 0.8) else "", x_label, y_label, groups, tuple(points), style.palette[: len(chosen)]
    )
