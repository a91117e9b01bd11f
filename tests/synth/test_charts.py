"""Charts: deterministic, drawn to scale, answers right, every part marked."""

from dataclasses import replace

import numpy as np
import pytest

from vl2.synth import chart_questions
from vl2.synth.canvas import Canvas
from vl2.synth.chart_axes import draw_axes
from vl2.synth.chart_content import Chart, draw_chart, number_text
from vl2.synth.chart_parts import Look, NoRoomError, Room
from vl2.synth.chart_pie import draw_pie
from vl2.synth.chart_questions import MAKERS, plain
from vl2.synth.charts import draw_look
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_STRUCTURE, structure_id
from vl2.synth.table_content import listed
from vl2.synth.wordings import wordings

BARS = Chart(
    kind="bar", title="Fruit", category_label="Kind", value_label="Sales", unit="sales",
    categories=("Fig", "Kiwi", "Pear"), series=(), values=((10.0, 25.0, 20.0),), colours=(("red", (220, 38, 38)),),
    by_category=False, low=0.0, step=10.0, ticks=3, suffix="", separator=",", labelled=False, stacked=False, note="",
)  # fmt: skip
GROUPED = replace(
    BARS, series=("Men", "Women"), values=((10.0, 25.0, 20.0), (15.0, 5.0, 20.0)),
    colours=(("red", (220, 38, 38)), ("blue", (37, 99, 235))),
)  # fmt: skip
PIE = replace(
    BARS, kind="pie", values=((20.0, 50.0, 30.0),), by_category=True, suffix="%", labelled=True, category_label="",
    value_label="", colours=(("red", (220, 38, 38)), ("blue", (37, 99, 235)), ("gray", (127, 127, 127))),
)  # fmt: skip


@pytest.fixture
def look() -> Look:
    found = draw_look(np.random.default_rng(0), "train", (380, 340), False)
    return replace(found, outline=None, paper=(255, 255, 255), plot=(255, 255, 255), pie_labels="legend", inside=False)


def drawn(chart: Chart, look: Look) -> Canvas:
    """A canvas of 380 x 340 with the plot alone."""
    canvas = Canvas(380, 340, look.paper)
    room = Room(6, 6, 372, 334)
    if chart.pie:
        draw_pie(canvas, chart, look, room)
    else:
        draw_axes(canvas, chart, look, room)
    return canvas


@pytest.mark.parametrize("split", ["train", "test"])
def test_same_index_same_sample(split: str):
    first, second = generate("chart", 1, 7, split), generate("chart", 1, 7, split)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    assert (first.mark_boxes == second.mark_boxes).all()
    assert generate("chart", 1, 8, split).questions != first.questions


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_are_well_formed(split: str):
    one_tile, seen = 0, set()
    for index in range(300):
        sample = generate("chart", 2, index, split)
        width, height = sample.image.size
        assert width <= 760
        assert height <= 500
        one_tile += max(width, height) <= 384
        assert 2 <= len(sample.questions) <= 24
        for question in sample.questions:
            assert "{" not in question.text
            if question.kind == "ground":
                for region in question.regions:
                    x0, y0, x1, y1 = region.box
                    assert 0 <= x0 < x1 <= width
                    assert 0 <= y0 < y1 <= height
            else:
                assert question.metric in ("exact", "relaxed_accuracy", "anls", "cer")
                assert all(question.answers)
                if question.metric == "relaxed_accuracy":
                    float(question.answers[0].rstrip("%"))
        inside = (sample.mark_boxes >= -4) & (sample.mark_boxes <= np.array([width, height] * 2) + 4)
        assert inside.all(), index
        seen |= {int(label) for label in sample.mark_ids if label >= FIRST_STRUCTURE}
    assert 0.55 < one_tile / 300 < 0.8
    names = ("bar", "line point", "line segment", "pie slice", "legend swatch", "axis", "grid line", "tick")
    assert {structure_id(name) for name in names} <= seen


def test_upright_bars_are_as_high_as_their_values(look: Look):
    finished = drawn(BARS, look).finish(np.random.default_rng(0), None)
    boxes = [finished.regions[f"value 0 {c}"] for c in range(3)]
    heights = [box[3] - box[1] for box in boxes]
    assert heights[1] / heights[0] == pytest.approx(2.5, rel=0.03)
    assert heights[2] / heights[0] == pytest.approx(2.0, rel=0.03)
    pixels = np.asarray(finished.image)
    x0, y0, x1, y1 = (round(v) for v in boxes[1])
    assert (pixels[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] == (220, 38, 38)).all(-1).mean() > 0.95


def test_lying_bars_are_as_long_as_their_values(look: Look):
    finished = drawn(replace(BARS, kind="barh"), look).finish(np.random.default_rng(0), None)
    widths = [finished.regions[f"value 0 {c}"][2] - finished.regions[f"value 0 {c}"][0] for c in range(3)]
    assert widths[1] / widths[0] == pytest.approx(2.5, rel=0.03)


def test_stacked_bars_stand_on_each_other(look: Look):
    chart = replace(GROUPED, stacked=True, labelled=True, values=((10.0, 15.0, 10.0), (15.0, 10.0, 20.0)))
    finished = drawn(chart, look).finish(np.random.default_rng(0), None)
    for c in range(3):
        lower, upper = finished.regions[f"value 0 {c}"], finished.regions[f"value 1 {c}"]
        assert upper[3] == pytest.approx(lower[1], abs=2)
        assert upper[0] == lower[0]


def test_points_of_lines_lie_at_their_values(look: Look):
    chart = replace(GROUPED, kind="line", low=0.0)
    finished = drawn(chart, look).finish(np.random.default_rng(0), None)
    middle = {
        (s, c): (finished.regions[f"value {s} {c}"][1] + finished.regions[f"value {s} {c}"][3]) / 2
        for s in range(2)
        for c in range(3)
    }
    per_unit = (middle[0, 0] - middle[0, 1]) / 15
    assert middle[1, 1] - middle[0, 1] == pytest.approx(20 * per_unit, rel=0.03)
    assert middle[0, 2] == middle[1, 2]


@pytest.mark.parametrize("kind", ["pie", "donut"])
def test_slices_cover_their_share(look: Look, kind: str):
    finished = drawn(replace(PIE, kind=kind), look).finish(np.random.default_rng(0), None)
    pixels = np.asarray(finished.image)
    counts = np.array([(pixels == colour).all(-1).sum() for _, colour in PIE.colours])
    assert counts / counts.sum() == pytest.approx([0.2, 0.5, 0.3], abs=0.02)
    for c, (_, colour) in enumerate(PIE.colours):
        ys, xs = np.nonzero((pixels == colour).all(-1))
        x0, y0, x1, y1 = finished.regions[f"value 0 {c}"]
        assert (xs.min() - x0, ys.min() - y0, x1 - xs.max(), y1 - ys.max()) > (-2, -2, -2, -2)


def test_without_room_there_is_an_error(look: Look):
    with pytest.raises(NoRoomError):
        draw_axes(Canvas(120, 120, look.paper), BARS, look, Room(6, 6, 114, 114))


def test_values_that_are_not_written_lie_on_half_ticks(look: Look):
    chart = replace(BARS, values=((3.0, 27.0, 22.0),), labelled=True)
    assert chart.unlabelled().values == ((5.0, 25.0, 20.0),)
    rng = np.random.default_rng(1)
    for _ in range(300):
        chart = draw_chart(rng, "train", False)
        numbers = [value for row in chart.values for value in row]
        if chart.pie:
            assert min(numbers) > 0
            if chart.suffix:
                assert sum(numbers) == 100
            continue
        assert all(chart.low < value <= chart.top + 1e-6 for value in numbers)
        if chart.stacked:
            assert max(sum(column) for column in zip(*chart.values, strict=True)) <= chart.top + 1e-6
        if not chart.labelled:
            halves = [(value - chart.low) / chart.step * 2 for value in numbers]
            assert halves == pytest.approx([round(half) for half in halves], abs=1e-3)
        assert len({*chart.categories}) == len(chart.categories)
        assert len({name for name, _ in chart.colours}) == len(chart.colours)
        assert not {*chart.series} & {*chart.categories}


@pytest.mark.parametrize(
    ("kind", "chart", "answers"),
    [
        ("value", BARS, {"Fig": "10", "Kiwi": "25", "Pear": "20"}),
        ("value", PIE, {"Fig": "20%", "Kiwi": "50%", "Pear": "30%"}),
        ("value", GROUPED, {"0 0": "10", "0 1": "25", "0 2": "20", "1 0": "15", "1 1": "5", "1 2": "20"}),
        ("highest", BARS, {"": "Kiwi"}),
        ("highest", GROUPED, {"Fig": "Women", "Kiwi": "Men"}),  # equal at Pear
        ("lowest", BARS, {"": "Fig"}),
        ("lowest", GROUPED, {}),
        ("title", BARS, {"": "Fruit"}),
        ("axis_label", BARS, {"x": "Kind", "y": "Sales"}),
        ("axis_label", replace(BARS, kind="barh"), {"x": "Sales", "y": "Kind"}),
        ("axis_label", PIE, {}),
        ("count", BARS, {"": "3"}),
        ("count", GROUPED, {}),
        ("num_series", GROUPED, {"": "2"}),
        ("num_series", BARS, {}),
        ("colour_of", GROUPED, {"Men": "red", "Women": "blue"}),
        ("colour_of", PIE, {"Fig": "red", "Kiwi": "blue", "Pear": "gray"}),
        ("colour_of", BARS, {}),
        ("series_of", GROUPED, {"Men": "Men", "Women": "Women"}),
        ("category_of", BARS, {"0": "Fig", "1": "Kiwi", "2": "Pear"}),
        ("category_of", replace(BARS, values=((10.0, 25.0, 10.0),)), {"1": "Kiwi"}),
        ("difference", BARS, {"0 1": "15", "1 0": "15", "0 2": "10", "2 0": "10", "1 2": "5", "2 1": "5"}),
        ("sum", BARS, {"0 1": "35", "1 0": "35", "0 2": "30", "2 0": "30", "1 2": "45", "2 1": "45"}),
        ("bigger", BARS, {"0 1": "Kiwi", "1 0": "Kiwi", "0 2": "Pear", "2 0": "Pear", "1 2": "Kiwi", "2 1": "Kiwi"}),
        ("kind", PIE, {"": "pie chart"}),
        ("end", BARS, {"True": "Fig", "False": "Pear"}),
        ("end", PIE, {}),
    ],
)
def test_answers_of_known_charts(kind: str, chart: Chart, answers: dict[str, str]):
    rng = np.random.default_rng(0)
    made = [MAKERS[kind][1](rng, chart) for _ in range(300)]
    assert {entry.topic: entry.answers[0] for entry in made if entry is not None} == answers


def test_bounds_of_a_known_chart():
    rng = np.random.default_rng(0)
    texts = {
        (entry.answers[0], entry.text) for entry in (MAKERS["bound"][1](rng, GROUPED) for _ in range(200)) if entry
    }
    for answer, text in texts:
        low = any(word in text.lower() for word in ("low", "min", "small", "least", "bottom"))
        assert answer == ("5" if low else "25"), text
    assert MAKERS["bound"][1](rng, replace(GROUPED, stacked=True)) is None


def test_numbers_are_answered_plainly_and_as_drawn():
    assert plain(BARS, 1250.0) == ("1250", "1,250")
    assert plain(PIE, 12.5) == ("12.5%", "12.5")
    assert plain(BARS, 0.1 + 0.2) == ("0.3",)
    assert number_text(100.0) == "100"


def test_slices_have_no_height():
    rng = np.random.default_rng(0)
    chart = replace(PIE, suffix="")
    texts = [MAKERS["value"][1](rng, chart) for _ in range(200)]
    assert not any("height" in made.text.lower() for made in texts if made)


def test_every_question_has_many_wordings():
    kinds = listed(
        """value|value_series|share|highest|lowest|highest_series|max|min|title|x_label|y_label|count|num_series|color_of
        series_of|difference|sum|bigger|category_of|kind|first|last"""
    )
    for kind in kinds:
        assert len(wordings(f"chart.{kind}")) >= 15, kind
    phrases = {name: value for name, value in vars(chart_questions).items() if name.startswith("FIND_")}
    assert len(phrases) == 6
    assert all(len(set(value)) >= 15 for value in phrases.values())


def test_some_things_to_find_are_not_there():
    absent = [
        q
        for i in range(600)
        for q in generate("chart", 6, i, "train").questions
        if q.kind == "ground" and not q.regions
    ]
    assert absent
