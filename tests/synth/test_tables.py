"""Tables: deterministic, answers right and drawn, boxes where the ink is."""

import numpy as np
import pytest
from whole_cells import cells_of

from vl2.synth import table_questions
from vl2.synth.ingredients import is_test_word
from vl2.synth.registry import TaskError, generate
from vl2.synth.sample import FIRST_STRUCTURE, STRUCTURES, Sample, structure_id
from vl2.synth.table_content import Column, Content, content_word, distinct, draw_content
from vl2.synth.table_questions import MAKERS, read_text
from vl2.synth.wordings import wordings

TABLE = Content(
    "Spring sales",
    (
        Column("Name", ("Ann", "Bob", "Cleo"), None, "key"),
        Column("Price", ("$2.50", "$10.00", "$7.25"), (2.5, 10.0, 7.25), "money"),
        Column("Stock", ("9", "4", "9"), (9.0, 4.0, 9.0), "number"),
        Column("City", ("Rome", "Oslo", "Rome"), None, "place"),
    ),
)


def drawn_text(sample: Sample) -> str:
    """What the marks of characters say, without spaces."""
    ids = sample.mark_ids[sample.mark_ids < FIRST_STRUCTURE]
    return "".join(as_character(label) for label in ids).replace(" ", "")


def as_character(label: int) -> str:
    """The character of a label id; "?" for all that are not ASCII."""
    return chr(31 + label) if label < 96 else "?"


def as_marked(text: str) -> str:
    """A text as marks tell it: without spaces, "?" for what is not ASCII."""
    return "".join(char if char.isascii() else "?" for char in text if not char.isspace())


@pytest.mark.parametrize("split", ["train", "test"])
def test_same_index_same_sample(split: str):
    first, second = generate("table", 1, 7, split), generate("table", 1, 7, split)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    assert (first.mark_boxes == second.mark_boxes).all()
    assert generate("table", 1, 8, split).questions != first.questions


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_are_well_formed(split: str):
    one_tile = 0
    for index in range(300):
        sample = generate("table", 2, index, split)
        width, height = sample.image.size
        assert width <= 768
        assert height <= 768
        one_tile += max(width, height) <= 384
        assert 2 <= len(sample.questions) <= 23
        text = drawn_text(sample)
        for question in sample.questions:
            assert "{" not in question.text
            if question.kind == "ground":
                assert question.metric == "iou"
                x0, y0, x1, y1 = question.regions[0].box
                assert 0 <= x0 < x1 <= width
                assert 0 <= y0 < y1 <= height
                continue
            answer = question.answers[0]
            assert answer
            if question.kind == "read":
                assert as_marked(answer) == _row_by_row(sample)
            elif question.kind == "convert":
                assert all(as_marked(cell) in text for cell in cells_of(question)), (question, text)
            elif not (answer.isdigit() and len(answer) <= 2):  # a count need not be drawn
                assert all(as_marked(part) in text for part in answer.split(", ")), (question, text)
        inside = (sample.mark_boxes >= -3) & (sample.mark_boxes <= np.array([width, height] * 2) + 3)
        assert inside.all()
    assert 0.55 < one_tile / 300 < 0.8


def _row_by_row(sample: Sample) -> str:
    """Characters sorted into lines by their centres, for tables that are hardly turned."""
    keep = sample.mark_ids < FIRST_STRUCTURE
    ids, boxes = sample.mark_ids[keep], sample.mark_boxes[keep]
    lines: dict[int, list[tuple[float, str]]] = {}
    last, number = -1e9, -1
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    slope = _slope(boxes)
    middle = middle - slope * boxes[:, 0]
    for i in np.argsort(middle):
        number += middle[i] - last > 5
        last = middle[i]
        lines.setdefault(int(number), []).append((float(boxes[i, 0]), as_character(int(ids[i]))))
    return "".join("".join(char for _, char in sorted(line)) for line in lines.values()).replace(" ", "")


def _slope(boxes: np.ndarray) -> float:
    """Rise of a text line per pixel, from neighbouring characters."""
    step = boxes[1:, :2] - boxes[:-1, :2]
    near = (step[:, 0] > 0) & (step[:, 0] < 30) & (abs(step[:, 1]) < 4)
    return float(step[near, 1].sum() / step[near, 0].sum())


def test_cells_and_rules_are_marked():
    seen: set[int] = set()
    for index in range(30):
        seen |= {int(label) for label in generate("table", 3, index, "train").mark_ids if label >= FIRST_STRUCTURE}
    assert {structure_id(name) for name in ("cell", "header cell", "rule")} <= seen
    assert max(seen) < FIRST_STRUCTURE + len(STRUCTURES)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("highest", {"Price": "Bob"}),  # two rows share the highest stock
        ("lowest", {"Price": "Ann", "Stock": "Bob"}),
        ("max", {"Price": "$10.00", "Stock": "9"}),
        ("min", {"Price": "$2.50", "Stock": "4"}),
        ("num_rows", {"": "3"}),
        ("num_columns", {"": "4"}),
        ("headers", {"": "Name, Price, Stock, City"}),
        ("title", {"": "Spring sales"}),
        ("first", {"": "Ann"}),
        ("last", {"": "Cleo"}),
        ("lookup", {"0 Price": "Ann", "1 Price": "Bob", "2 Price": "Cleo", "1 Stock": "Bob", "1 City": "Bob"}),
    ],
)
def test_answers_of_a_known_table(kind: str, answers: dict[str, str]):
    rng = np.random.default_rng(0)
    made = [MAKERS[kind][1](rng, TABLE) for _ in range(200)]
    assert {topic: answer for topic, _, answer in filter(None, made)} == answers


@pytest.mark.parametrize("kind", ["cell", "at"])
def test_cells_of_a_known_table(kind: str):
    rng = np.random.default_rng(0)
    columns = {column.header: column for column in TABLE.columns}
    topics = set()
    for _ in range(300):
        made = MAKERS[kind][1](rng, TABLE)
        assert made is not None
        topic, text, answer = made
        row, header = topic.split()
        assert answer == columns[header].cells[int(row)]
        assert header.lower() in text.lower()
        if kind == "cell":
            assert TABLE.columns[0].cells[int(row)].lower() in text.lower()
        topics.add(topic)
    assert len(topics) == (9 if kind == "cell" else 12)


def test_reading_goes_row_by_row():
    assert read_text(TABLE).split("\n") == [
        "Spring sales", "Name Price Stock City", "Ann $2.50 9 Rome", "Bob $10.00 4 Oslo", "Cleo $7.25 9 Rome",
    ]  # fmt: skip


def test_every_question_has_many_wordings():
    for kind in MAKERS:
        assert len(wordings(f"table.{kind}")) >= 15
    phrases = {name: value for name, value in vars(table_questions).items() if name.startswith("FIND_")}
    assert len(phrases) == 6
    assert all(len(set(value)) >= 15 for value in phrases.values())


@pytest.mark.parametrize("split", ["train", "test"])
def test_keys_and_headers_never_repeat(split: str):
    rng = np.random.default_rng(4)
    for _ in range(100):
        content = draw_content(rng, split, 8, 5)
        for entries in (content.columns[0].cells, [column.header for column in content.columns]):
            assert len({entry.lower() for entry in entries}) == len(entries)
        assert content.columns[1].amounts is not None
        assert content.cut(3, 2).num_rows == 3


def test_amounts_are_what_cells_say():
    rng = np.random.default_rng(5)
    compared = 0
    for _ in range(60):
        for column in draw_content(rng, "train", 6, 4).columns:
            for cell, amount in zip(column.cells, column.amounts or (), strict=False):
                digits = int("".join(char for char in cell if char.isdigit()))
                assert any(digits == round(amount * 10**places) for places in range(3)), (cell, amount)
                compared += 1
    assert compared > 500


def test_words_belong_to_their_split():
    rng = np.random.default_rng(6)
    assert not any(is_test_word(content_word(rng, "train")) for _ in range(200))
    assert all(is_test_word(content_word(rng, "test")) for _ in range(200))


def test_distinct_numbers_what_repeats():
    assert distinct(lambda: "Ann", 3) == ("Ann", "Ann 2", "Ann 3")


def test_extremes_of_every_column_are_asked() -> None:
    asked = table_questions.extreme_questions(np.random.default_rng(0), TABLE, {})
    # two names of rows and two values of the prices; of the stock no highest row, since two share it
    assert sorted(question.answers[0] for question in asked) == ["$10.00", "$2.50", "4", "9", "Ann", "Bob", "Bob"]
    names = Content("", (TABLE.columns[0], TABLE.columns[3]))
    parts = ["column 0", "column 1", "cell 0 0", "cell 0 1"]
    parts += [
        name
        for row in (1, 2, 3)
        for name in (f"row {row}", *(f"{x} {row} {c}" for x in ("cell", "text") for c in (0, 1)))
    ]
    boxes = dict.fromkeys(parts, (0.0, 0.0, 9.0, 9.0))
    others = [table_questions.table_questions(np.random.default_rng(seed), names, boxes) for seed in range(40)]
    asked_instead = [table_questions.extreme_questions(np.random.default_rng(seed), names, boxes) for seed in range(40)]
    assert asked_instead == others  # nothing to compare


def test_table_extremes_are_for_training() -> None:
    sample = generate("table-extremes", 1, 0)
    assert sample.task == "table-extremes"
    assert {(question.kind, question.metric) for question in sample.questions} == {("ask", "exact")}
    with pytest.raises(TaskError, match="'table-extremes' is for training only; draw 'table'"):
        generate("table-extremes", 1, 0, "test")
