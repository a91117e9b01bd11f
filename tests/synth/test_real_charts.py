"""Charts of real tables: drawn to scale in every style, answers are those of the table, tables belong to one split."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vl2.synth import han, plot_content
from vl2.synth.canvas import Canvas
from vl2.synth.chart_content import Chart
from vl2.synth.chart_parts import Room
from vl2.synth.chart_tables import table_of
from vl2.synth.ingredients import PACK, fonts, load_font
from vl2.synth.langs import language
from vl2.synth.plot_axes import draw_plot, slanted_text
from vl2.synth.plot_content import draw_boxes, draw_content, draw_points, point_sets, readable, tables, ticks
from vl2.synth.plot_questions import about_boxes
from vl2.synth.plot_styles import STYLES, PlotStyle
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_STRUCTURE, STRUCTURES, structure_id
from vl2.synth.wordings_charts_zh import CHART_FIND_ZH, CHART_ZH

FRUIT = Chart(
    kind="bar", title="", category_label="Kind", value_label="Tons", unit="value", categories=("Fig", "Kiwi", "Pear"),
    series=(), values=((10.0, 25.0, 20.0),), colours=(("red", (220, 38, 38)),), by_category=False, low=0.0, step=5.0,
    ticks=5, suffix="", separator=",", labelled=False, stacked=False, note="",
)  # fmt: skip


def regions_of(chart: Chart, style: PlotStyle) -> tuple[dict, np.ndarray]:
    canvas = Canvas(420, 340, style.paper)
    font = load_font(fonts("train", "sans")[0], 13)
    draw_plot(canvas, chart, style, font, Room(6, 6, 412, 334), 0.0)
    finished = canvas.finish(np.random.default_rng(0), None)
    return finished.regions, np.asarray(finished.image)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_bars_and_points_are_drawn_to_scale(style: PlotStyle):
    regions, pixels = regions_of(FRUIT, style)
    boxes = [regions[f"value 0 {c}"] for c in range(3)]
    heights = [box[3] - box[1] for box in boxes]
    assert heights[1] / heights[0] == pytest.approx(2.5, rel=0.04)
    assert heights[2] / heights[0] == pytest.approx(2.0, rel=0.04)
    x0, y0, x1, y1 = (round(v) for v in boxes[1])
    assert (pixels[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] == (220, 38, 38)).all(-1).mean() > 0.9
    regions, _ = regions_of(replace(FRUIT, kind="barh"), style)
    widths = [regions[f"value 0 {c}"][2] - regions[f"value 0 {c}"][0] for c in range(3)]
    assert widths[1] / widths[0] == pytest.approx(2.5, rel=0.04)
    regions, pixels = regions_of(replace(FRUIT, kind="line"), style)
    middles = [(box[1] + box[3]) / 2 for box in (regions[f"value 0 {c}"] for c in range(3))]
    assert (middles[0] - middles[1]) / (middles[0] - middles[2]) == pytest.approx(1.5, rel=0.04)
    x, y = round(np.mean(regions["value 0 2"][::2])), round(middles[2])
    assert (np.abs(pixels[y - 2 : y + 3, x - 2 : x + 3].astype(int) - (220, 38, 38)).sum(-1) < 60).any()


def test_parts_of_stacked_bars_stand_on_one_another():
    chart = replace(
        FRUIT, series=("A", "B"), values=((10.0, 15.0, 10.0), (15.0, 10.0, 12.0)), stacked=True, labelled=True,
        colours=(("red", (220, 38, 38)), ("blue", (30, 60, 200))),
    )  # fmt: skip
    regions, _ = regions_of(chart, STYLES[0])
    for c in range(3):
        assert regions[f"value 1 {c}"][3] == pytest.approx(regions[f"value 0 {c}"][1], abs=2)


def test_round_ticks():
    assert ticks(0, 47, 5) == (0.0, 10.0, 5)
    assert ticks(0, 9800, 5)[1:] == (2000.0, 5)
    low, step, count = ticks(61.2, 78.9, 5)
    assert low <= 61.2
    assert low + step * count >= 78.9
    chart = readable(replace(FRUIT, values=((10.2, 24.9, 19.1),)))
    assert chart.values == ((10.0, 25.0, 19.0),)


@pytest.mark.parametrize("code", ["en", "zh"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_contents_are_sane_and_from_the_split(code: str, split: str):
    own = {round(v, 3) for table in tables(split) for row in table["values"] for v in row}
    for seed in range(60):
        lang = language(np.random.default_rng(seed), split, code)
        chart = draw_content(lang, STYLES[seed % len(STYLES)])
        assert chart.zh == (code == "zh")
        assert len({*chart.categories}) == len(chart.categories) >= 3
        assert len(chart.values) == max(1, len(chart.series))
        assert all(len(row) == len(chart.categories) for row in chart.values)
        assert not {*chart.series} & {*chart.categories}
        assert len(chart.colours) == len(chart.categories if chart.by_category else chart.values)
        if chart.pie:
            assert sum(chart.values[0]) == pytest.approx(100, abs=1)
        elif chart.labelled:
            near = [min(abs(v - o) for o in own) <= 0.5 for row in chart.values for v in row]
            assert all(near)
        points = draw_points(lang, STYLES[0])
        assert len(points.groups) == len(points.points) == len(points.colours) > 0


def test_no_table_is_in_both_splits():
    assert {json.dumps(t["values"]) for t in tables("train")}.isdisjoint(
        json.dumps(t["values"]) for t in tables("test")
    )
    assert {t["title"] for t in tables("train")}.isdisjoint(t["title"] for t in tables("test"))
    assert {t["title"] for t in point_sets("train")}.isdisjoint(t["title"] for t in point_sets("test"))
    assert min(len(tables("test")), 3 * len(point_sets("test"))) > 5
    assert (PACK / "tables.json").stat().st_size < 200_000


@pytest.mark.parametrize("task", ["real-chart", "chart-zh"])
def test_samples_are_well_formed(task: str):
    kinds, seen = Counter(), set()
    for index in range(120):
        sample = generate(task, 2, index, ("train", "test")[index % 2])
        width, height = sample.image.size
        assert 2 <= len(sample.questions) <= 24
        for question in sample.questions:
            kinds[question.kind] += 1
            assert "{" not in question.text
            for region in question.regions:
                x0, y0, x1, y1 = region.box
                assert 0 <= x0 < x1 <= width
                assert 0 <= y0 < y1 <= height
            if question.kind != "ground":
                assert all(question.answers)
            if question.metric == "relaxed_accuracy":
                float(question.answers[0].rstrip("%"))
            if task == "chart-zh" and question.kind == "ask":
                assert any("\u4e00" <= char <= "\u9fff" for char in question.text)
        assert (sample.mark_boxes >= -6).all()
        assert (sample.mark_boxes <= np.array([width, height] * 2) + 6).all()
        seen |= {STRUCTURES[i - FIRST_STRUCTURE] for i in sample.mark_ids.tolist() if FIRST_STRUCTURE <= i < 128}
    assert kinds["convert"] > 20
    assert {"bar", "line point", "line segment", "pie slice", "legend swatch", "axis", "grid line", "tick"} <= seen
    assert generate(task, 2, 3).questions == generate(task, 2, 3).questions


@pytest.mark.parametrize("code", ["en", "zh"])
def test_boxes_reach_from_quartile_to_quartile(code: str):
    lang = language(np.random.default_rng(5), "train", code)
    plot = draw_boxes(lang, STYLES[0])
    canvas = Canvas(460, 360)
    draw_plot(
        canvas, plot.chart, STYLES[0], load_font(lang.font_file("sans"), 13), Room(6, 6, 452, 354), 0.0, plot.numbers_C5
    )
    regions = canvas.finish(np.random.default_rng(0), None).regions
    heights = np.array([regions[f"value 0 {c}"][3] - regions[f"value 0 {c}"][1] for c in range(len(plot.numbers_C5))])
    spread = plot.numbers_C5[:, 3] - plot.numbers_C5[:, 1]
    assert heights / heights.max() == pytest.approx(spread / spread.max(), abs=0.06)
    assert plot.chart.values[0] == pytest.approx(plot.numbers_C5[:, 2].tolist())
    asked = [question.text for question in about_boxes(lang, plot, {**regions})]
    assert any("median" in text or "中位数" in text for text in asked)


def test_the_whole_chart_as_a_table():
    chart = replace(FRUIT, series=("A", "B"), values=((10.0, 25.0, 20.0), (1.0, 2.0, 3000.0)), category_label="")
    assert table_of(chart) == [["Category", "A", "B"], ["Fig", "10", "1"], ["Kiwi", "25", "2"], ["Pear", "20", "3,000"]]


def test_slanted_letters_are_marked_on_their_ink():
    canvas = Canvas(200, 200)
    slanted_text(canvas, (150, 40), "Hamburg", load_font(fonts("train", "sans")[0], 16), (0, 0, 0))
    finished = canvas.finish(np.random.default_rng(0), None)
    grey = np.asarray(finished.image.convert("L"))
    assert len(finished.mark_ids) == 7
    for x0, y0, x1, y1 in finished.mark_boxes:
        assert grey[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].min() < 120


def test_chinese_texts_can_be_drawn_and_cover_every_kind():
    known = {*han.characters(), *"，。、；：？！“”（）％"}
    drawn = (*plot_content._MEASURES_ZH, *plot_content._TITLES_ZH, *plot_content._NOUNS_ZH)
    assert {char for text in drawn for char in text if ord(char) > 127} <= known
    assert len(CHART_ZH) == 22
    assert set(CHART_FIND_ZH) == {"part", "both", "legend", "title", "axis", "name"}
    assert structure_id("bar") > 0
