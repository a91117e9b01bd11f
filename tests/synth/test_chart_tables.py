"""Questions that read a chart as a whole: answers are the chart's content, and nothing drawn before changes."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from vl2.synth import charts, plots
from vl2.synth.canvas import Canvas
from vl2.synth.chart_axes import draw_axes
from vl2.synth.chart_content import Chart, draw_chart
from vl2.synth.chart_parts import Room
from vl2.synth.chart_tables import MOST_VALUES, whole_questions
from vl2.synth.charts import draw_look
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.langs import language
from vl2.synth.plot_axes import draw_plot
from vl2.synth.plot_content import draw_boxes, draw_content
from vl2.synth.plot_styles import STYLES
from vl2.synth.registry import generate
from vl2.synth.sample import Question
from vl2.synth.wordings_chart_tables import CHART_TABLE_WHOLES, CHART_TABLES_ZH, LONG_ANSWERS

CHART = Chart(
    kind="bar", title="", category_label="Kind", value_label="Tons", unit="value", categories=("Fig", "Kiwi", "Pear"),
    series=("North", "South"), values=((1000.0, 2500.0, 2000.0), (500.0, 1500.0, 1250.5)), by_category=False,
    colours=(("red", (220, 38, 38)), ("blue", (37, 99, 235))), low=0.0, step=500.0, ticks=5, suffix="", separator=",",
    labelled=False, stacked=False, note="",
)  # fmt: skip
TICKS = {f"tick {i}": (0.0, 0.0, 1.0, 1.0) for i in range(6)}


def asked(chart: Chart, regions: dict, kind: str, times: int = 60) -> list[Question]:
    made = [q for seed in range(times) for q in whole_questions(np.random.default_rng(seed), chart, regions)]
    return [question for question in made if question.kind == kind]


def numbers_of(answer: str) -> list[list[str]]:
    """Rows of a table in any of its three forms, header first, without what JSON has no place for."""
    if answer.startswith("|"):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in answer.splitlines()]
        return [rows[0], *rows[2:]]
    if answer.startswith("{"):
        found = json.loads(answer)
        first = next(iter(found.values()))
        head = list(first) if isinstance(first, dict) else [""]
        return [
            ["", *head],
            *([name, *(row.values() if isinstance(row, dict) else [row])] for name, row in found.items()),
        ]
    return list(csv.reader(io.StringIO(answer)))


def is_table(question: Question) -> bool:
    return question.answers[0].startswith(("|", "{")) or "\n" in question.answers[0]


@pytest.mark.parametrize("code", ["en", "zh", "drawn"])
def test_tables_say_every_category_series_and_value(code: str):
    forms = set()
    for seed in range(80):
        rng = np.random.default_rng(seed)
        chart = (
            draw_chart(rng, "train", False)
            if code == "drawn"
            else draw_content(language(rng, "train", code), STYLES[seed % len(STYLES)])
        )
        found = [q for q in whole_questions(np.random.default_rng(seed), chart, {}) if is_table(q)]
        assert len(found) == (len(chart.values) * len(chart.categories) <= MOST_VALUES)
        for question in found:
            assert question.kind == "convert"
            assert question.metric == "cer"
            forms.add(question.answers[0][0] if question.answers[0][0] in "|{" else ",")
            head, *rows = numbers_of(question.answers[0])
            assert [row[0] for row in rows] == [name.strip() for name in chart.categories]
            assert len(head) == 1 + len(chart.values)
            if chart.series:
                assert head[1:] == [name.strip() for name in chart.series]
            values = [[float(cell.removesuffix("%")) for cell in row[1:]] for row in rows]
            assert pytest.approx(np.array(chart.values)) == np.array(values).T
            assert all(cell.endswith(chart.suffix) for row in rows for cell in row[1:])
    assert forms == {"|", "{", ","}


def test_numbers_are_written_as_for_one_value_and_accepted_as_drawn():
    for question in asked(CHART, {}, "convert"):
        assert "1000" in question.answers[0] or "500, 1500, 1250.5" in question.answers[0]
        assert any("1,000" in answer or "1,500" in answer for answer in question.answers[1:])
    lists = {question.answers[0] for question in asked(CHART, {}, "convert") if not is_table(question)}
    assert lists == {"1000, 2500, 2000", "500, 1500, 1250.5"}


def test_lists_follow_the_bars():
    lying = [q.text.lower() for q in asked(replace(CHART, kind="barh"), {}, "convert") if not is_table(q)]
    upright = [q.text.lower() for q in asked(CHART, {}, "convert") if not is_table(q)]
    assert all("from top to bottom" in text for text in lying)
    assert all("from left to right" in text for text in upright)
    assert all("north" in text or "south" in text for text in upright)


def test_ticks_are_those_of_the_axis():
    made = asked(CHART, TICKS, "ask", 200)
    assert {q.answers[0] for q in made} == {"0, 500, 1000, 1500, 2000, 2500", "0, 2500", "500"}
    assert {q.metric for q in made} == {"exact"}
    sparse = {name: box for name, box in TICKS.items() if name in ("tick 0", "tick 2", "tick 4")}
    assert {q.answers[0] for q in asked(CHART, sparse, "ask", 200)} == {"0, 1000, 2000", "0, 2000"}
    assert not asked(CHART, {}, "ask")
    assert not asked(CHART, {"tick 0": (0.0, 0.0, 1.0, 1.0)}, "ask")
    names = {"bar": ("y axis", "y-axis", "vertical axis"), "barh": ("x axis", "x-axis", "horizontal axis")}
    for kind, axes in names.items():
        texts = [q.text.lower() for q in asked(replace(CHART, kind=kind), TICKS, "ask")]
        assert all(any(axis in text for axis in (*axes, "value axis")) for text in texts)


@pytest.mark.parametrize("kind", ["bar", "barh"])
def test_numbers_at_the_axis_are_named_where_they_stand(kind: str):
    chart, size = replace(CHART, kind=kind), (380, 340)
    look = draw_look(np.random.default_rng(0), "train", size, False)
    first, second = Canvas(*size), Canvas(*size)
    draw_axes(first, chart, look, Room(6, 6, 372, 334))
    draw_plot(second, chart, STYLES[0], load_font(fonts("train", "sans")[0], 13), Room(6, 6, 372, 334), 0.0)
    for canvas in (first, second):
        regions = canvas.finish(np.random.default_rng(0), None).regions
        boxes = [box for name, box in sorted(regions.items()) if name.startswith("tick ")]
        assert len(boxes) > 2
        middles = [box[0] + box[2] if kind == "barh" else -box[1] - box[3] for box in boxes]
        assert middles == sorted(middles)


def test_slices_have_a_table_and_boxes_have_ticks_alone():
    pie = replace(CHART, kind="pie", series=(), values=((20.0, 50.0, 30.0),), suffix="%", by_category=True)
    assert all(is_table(question) for question in asked(pie, {}, "convert"))
    assert not asked(pie, {}, "ask")
    boxes = draw_boxes(language(np.random.default_rng(5), "train", "en"), STYLES[0]).chart
    assert not asked(boxes, TICKS, "convert")
    assert asked(boxes, TICKS, "ask")


@pytest.mark.parametrize("task", ["chart", "real-chart", "chart-zh", "chart-photo"])
def test_older_questions_and_pictures_stay_as_they_are(task: str, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("cv2") if task.endswith("-photo") else None
    places = [(split, index) for split in ("train", "test") for index in range(12)]
    now = [generate(task, 3, index, split) for split, index in places]
    for module in (charts, plots):
        monkeypatch.setattr(module, "whole_questions", lambda *_, **__: [])
    before = [generate(task, 3, index, split) for split, index in places]
    for new, old in zip(now, before, strict=True):
        assert new.image.tobytes() == old.image.tobytes()
        assert new.questions[: len(old.questions)] == old.questions
        added = new.questions[len(old.questions) :]
        assert not {question.metric for question in added} & {"relaxed_accuracy", "anls", "iou"}
    assert sum(len(new.questions) for new in now) > sum(len(old.questions) for old in before) + 40


@pytest.mark.parametrize("task", ["real-chart", "chart-zh"])
def test_a_chart_is_asked_for_as_a_table_once(task: str):
    for split in ("train", "test"):
        samples = [generate(task, 4, index, split) for index in range(60)]
        tables = [sum(q.kind == "convert" and is_table(q) for q in sample.questions) for sample in samples]
        assert max(tables) == 1
        assert sum(tables) > 35


def test_there_are_many_wordings_in_both_languages():
    assert {kind.removeprefix("chart.") for kind in CHART_TABLE_WHOLES} == {*CHART_TABLES_ZH}
    assert all(len(set(texts)) >= 12 for texts in CHART_TABLES_ZH.values())
    texts = [question.text for question in asked(CHART, {}, "convert", 300)]
    assert not any("single word" in text or "Short answer" in text for text in texts)
    assert "chart.tick_step" not in LONG_ANSWERS
