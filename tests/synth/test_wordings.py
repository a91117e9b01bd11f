"""Questions come in many wordings, name what they ask about, and depend on nothing but the generator."""

import string

import numpy as np
import pytest

from vl2.synth.wordings import NOUNS, READ_WORDINGS, WHOLES, ask, ask_to_read, kinds, wordings

SLOTS = {
    "item": "Blue Lamp", "doc": "invoice", "field": "Last name", "box": "Smoker", "group": "Gender", "value": "12.5",
    "col": "Price", "row": "Harbor", "key": "Town", "i": 3, "nth": "third", "price": "$3.20", "cat": "Lamp",
    "series": "North", "a": "Rug", "b": "Vase", "mark": "bar", "unit": "sales", "color": "red",
    "along": "from left to right", "axis": "y axis",
}  # fmt: skip
ENTITIES = {
    "item",
    "field",
    "box",
    "group",
    "value",
    "col",
    "row",
    "price",
    "cat",
    "series",
    "a",
    "b",
    "color",
    "i",
    "nth",
}


def slots_of(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_has_many_wordings_of_its_own(kind: str) -> None:
    own = {*WHOLES.get(kind, "").split("|"), *NOUNS.get(kind, "").split("|")} - {""}
    assert len(own) >= 15
    assert len(wordings(kind)) >= 15


@pytest.mark.parametrize("kind", kinds())
def test_all_wordings_of_a_kind_ask_for_the_same_thing(kind: str) -> None:
    """Either every wording names the row, item or field, or none does: else some could not be answered."""
    named = {frozenset(slots_of(text) & (ENTITIES - {"i", "nth"})) for text in wordings(kind)}
    assert len(named) == 1
    assert all(slots_of(text) <= SLOTS.keys() for text in wordings(kind))


@pytest.mark.parametrize("kind", kinds())
def test_questions_name_their_slots_and_leave_no_braces(kind: str) -> None:
    rng = np.random.default_rng(0)
    needed = slots_of(wordings(kind)[0]) & (ENTITIES - {"i", "nth"})
    for _ in range(40):
        text = ask(rng, kind, **SLOTS)
        assert "{" not in text
        assert "}" not in text
        for name in needed:
            assert str(SLOTS[name]).lower() in text.lower()


def test_the_manner_varies_and_is_reproducible() -> None:
    texts = [ask(np.random.default_rng(seed), "receipt.total") for seed in range(400)]
    assert texts == [ask(np.random.default_rng(seed), "receipt.total") for seed in range(400)]
    assert len(set(texts)) > 300
    assert any(text.isupper() for text in texts)
    assert any(text.islower() for text in texts)
    assert any(text.endswith("?") for text in texts)
    assert any(text[-1].isalpha() for text in texts)
    assert any("single word or phrase" in text for text in texts)


def test_quotes_never_clash_with_the_words_inside() -> None:
    for seed in range(200):
        text = ask(np.random.default_rng(seed), "table.cell", row="Maria's", col='12"')
        assert "'Maria's'" not in text
        assert '"12""' not in text


def test_unknown_kind_and_missing_slot_are_errors() -> None:
    with pytest.raises(KeyError, match="no wording"):
        ask(np.random.default_rng(0), "receipt.colour")
    with pytest.raises(KeyError):
        ask(np.random.default_rng(0), "table.cell", row="Lamp")


def test_reading_has_many_wordings() -> None:
    assert len(set(READ_WORDINGS)) >= 15
    texts = {ask_to_read(np.random.default_rng(seed)) for seed in range(200)}
    assert len(texts) > 60
    assert not any("answer" in text.lower() for text in texts), "a full reading is not a short answer"
