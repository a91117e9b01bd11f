"""Questions about many cells of a table: answers are the table's content, and older questions stay what they were."""

import csv
import io
import json

import numpy as np
import pytest

from vl2.synth import tables
from vl2.synth.registry import generate
from vl2.synth.sample import Question
from vl2.synth.table_content import Column, Content
from vl2.synth.table_wholes import _WORDINGS, _WORDINGS_ZH, whole_questions

CONTENT = Content(
    "Fruit of the year",
    (
        Column("Fruit", ("Fig", "Kiwi", "Pear"), None, "key"),
        Column("Tons", ("1,250", "980", "2,000"), (1250.0, 980.0, 2000.0), "number"),
        Column("Price", ("$2", "$2", "$3"), (2.0, 2.0, 3.0), "money"),
    ),
)


def made(content: Content, times: int = 80) -> list[Question]:
    return [question for seed in range(times) for question in whole_questions(np.random.default_rng(seed), content)]


def test_answers_are_what_the_table_says():
    answers = {question.answers[0] for question in made(CONTENT)}
    assert "Fig\nKiwi\nPear" in answers  # the first column
    assert "Pear\nFig\nKiwi" in answers  # by tons; by price two are equal
    assert "1,250\n980\n2,000" in answers
    assert next(list(csv.reader(io.StringIO(text)))[:2] for text in answers if text.startswith("Fruit,")) == [
        ["Fruit", "Tons", "Price"],
        ["Fig", "1,250", "$2"],
    ]
    objects = [json.loads(text) for text in answers if text.startswith("{")]
    assert {"Tons": "980", "Price": "$2"} in objects
    assert any(found.get("Pear") == {"Tons": "2,000", "Price": "$3"} for found in objects)
    assert any(text.startswith("| Fruit | Tons | Price |\n| --- | --- | --- |\n| Fig |") for text in answers)


def test_kinds_metric_and_wordings():
    for question in made(CONTENT):
        assert (question.kind, question.metric) == ("convert", "cer")
        assert "{" not in question.text
    assert all(len(set(said)) == len(said) >= 12 for said in _WORDINGS.values())
    assert all(len(set(said)) == len(said) >= 8 for said in _WORDINGS_ZH.values())


def test_long_tables_are_not_asked_for_as_a_whole():
    keys = tuple(f"row {number}" for number in range(40))
    content = Content("", (Column("Row", keys, None, "key"), Column("Note", keys, None, "word")))
    assert not any(question.answers[0].startswith(("|", "Row,", '{"row 0": {')) for question in made(content))


@pytest.mark.parametrize("task", ["table", "table-zh"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_they_come_last_and_change_nothing_else(task: str, split: str, monkeypatch: pytest.MonkeyPatch):
    samples = [generate(task, 9, index, split) for index in range(12)]
    monkeypatch.setattr(tables, "whole_questions", lambda *_: [])
    added = 0
    for index, sample in enumerate(samples):
        before = generate(task, 9, index, split)
        assert sample.questions[: len(before.questions)] == before.questions
        assert sample.image.tobytes() == before.image.tobytes()
        added += len(sample.questions) - len(before.questions)
    assert added >= 12
