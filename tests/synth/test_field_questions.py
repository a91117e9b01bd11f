"""Tasks "-fields": what is asked is what `Model.extract` asks, and a right answer becomes what was drawn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llguidance")

import vl2
from vl2.extraction import extract
from vl2.grammar import Grammar, Grammars
from vl2.processing.fields import value_of
from vl2.processing.tokenizer import Tokenizer
from vl2.synth.fields import Asked, draw_asked
from vl2.synth.registry import FIELDED, FIELDS, TaskError, generate
from vl2.synth.sample import Sample
from vl2.synth.wordings_fields import descriptions, kinds, names

COUNT = 30
EXTRACTED = 5  # samples; grammars take their time
DOCUMENTS = ("receipt", "invoice", "card", "form")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(Path(vl2.__file__).parent / "weights" / "nano" / "tokenizer.json")


@pytest.fixture(scope="module", params=FIELDED)
def drawn(request: pytest.FixtureRequest) -> list[tuple[Sample, list[Asked]]]:
    """Samples, and questions about them with the schemas that ask them."""
    samples = [generate(request.param, 3, index) for index in range(COUNT)]
    return [(sample, draw_asked(np.random.default_rng([5, index]), sample)) for index, sample in enumerate(samples)]


def can_write(grammar: Grammar, tokenizer: Tokenizer, text: str) -> bool:
    """Whether a model bound by the grammar can answer exactly this."""
    matcher = grammar.start()
    for token in tokenizer.encode(text):
        if not matcher.allowed(tokenizer.vocab_size)[token]:
            return False
        matcher.advance(token)
    return bool(matcher.allowed(tokenizer.vocab_size)[tokenizer.special.eos])


def test_extraction_asks_these_questions(drawn: list[tuple[Sample, list[Asked]]], tokenizer: Tokenizer):
    """And makes of the answer, the one that a model learns to give, what the document says."""
    grammars = Grammars(tokenizer)
    for asked in (asked for _, several in drawn[:EXTRACTED] for asked in several):
        prompts: list[str] = []

        def ask(texts: Sequence[str], grammar: Grammar | None, asked: Asked = asked, prompts: Any = prompts) -> list:
            if not texts:
                return []
            prompts.extend(texts)
            answer = asked.question.answers[0]
            assert (grammar is None) == (asked.question.kind == "ask")
            assert grammar is None or can_write(grammar, tokenizer, answer), (answer, asked.schema)
            return [answer]

        found = extract(ask, grammars, asked.schema, asked.at_once)
        assert prompts == [asked.question.text]
        assert found.forced == ()
        assert found.value == asked.result


def test_results_are_what_was_drawn(drawn: list[tuple[Sample, list[Asked]]]):
    """Numbers, and what is ticked, are what the generator knows, and what value_of reads in what it printed."""
    typed = absent = 0
    for sample, several in drawn:
        texts = {value.texts[0] for value in sample.values}
        known = {json.loads(value.literal) for value in sample.values if value.literal}
        for value in sample.values:
            kind = "boolean" if value.literal in ("true", "false") else "number"
            assert not value.literal or value_of(value.texts[0], {"type": kind}) == json.loads(value.literal)
        for found in (found for asked in several for found in asked.result.values()):
            typed += isinstance(found, int | float)
            absent += found is None
            assert found in texts or found in known or found is None
    assert (typed > COUNT) == any(value.literal for sample, _ in drawn for value in sample.values)
    assert (absent > COUNT / 3) == any(sample.absent for sample, _ in drawn)


def test_what_is_absent_is_null_or_left_out(drawn: list[tuple[Sample, list[Asked]]]):
    """In words only of amounts, of which a refusal in words is no value."""
    for asked in (asked for _, several in drawn for asked in several):
        for name in asked.schema["properties"].keys() - asked.result.keys():
            assert name not in asked.schema.get("required", ())
        if asked.question.kind == "ask" and [*asked.result.values()] in ([], [None]):
            (field,) = asked.schema["properties"].values()
            assert "number" in field["type"]


def test_there_are_about_thirteen_questions(drawn: list[tuple[Sample, list[Asked]]]):
    counts = [len(several) for _, several in drawn]
    assert max(counts) <= 16
    assert 11 < np.mean(counts) < 15
    wholes = [asked for _, several in drawn for asked in several if asked.at_once]
    assert 0.3 < len(wholes) / sum(counts) < 0.5
    for _, several in drawn:
        assert len({asked.question.text for asked in several}) == len(several)
    assert {len(asked.schema["properties"]) for asked in wholes} == {2, 3, 4, 5, 6}


@pytest.mark.parametrize("task", FIELDED)
def test_same_index_same_questions(task: str):
    first, second = generate(task + FIELDS, 1, 2), generate(task + FIELDS, 1, 2)
    assert first.questions == second.questions
    assert first.image.tobytes() == second.image.tobytes()
    assert first.task == task + FIELDS
    assert {question.kind for question in first.questions} == {"ask", "convert"}
    assert generate(task + FIELDS, 1, 3).questions != first.questions


def test_never_in_the_test_split():
    with pytest.raises(TaskError, match="'receipt-fields' is for training only; draw 'receipt'"):
        generate("receipt-fields", 0, 0, "test")


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("chinese", [False, True])
def test_a_name_is_of_one_kind(document: str, chinese: bool):
    found = [name for kind in kinds(document) for name in names(document, kind, chinese=chinese)]
    found = [name for name in found if name != "{item}"]  # a label of a form is its own
    assert len(found) == len(set(found)) > 2
    assert chinese or all(descriptions(document, kind) for kind in kinds(document))


@pytest.mark.parametrize("task", FIELDED)
def test_every_value_has_names(task: str):
    """Of what the generators note, nothing is left without a question."""
    document, _, language = task.partition("-")
    for index in range(COUNT):
        sample = generate(task, 9, index)
        for kind in {value.kind for value in sample.values} | {*sample.absent}:
            assert names(document, kind), kind
            assert not language or names(document, kind, chinese=True), kind


def test_names_are_spelled_in_many_ways():
    fields = {
        name
        for index in range(120)
        for asked in draw_asked(np.random.default_rng(index), generate("receipt", 2, index % 20))
        for name in asked.schema["properties"]
    }
    assert {"store", "shop", "store_name", "storeName", "StoreName", "store-name", "Store Name"} <= fields
    assert {"total", "total_amount", "amountDue", "date", "purchase_date"} <= fields
