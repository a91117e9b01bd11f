"""Another script in place of rare pieces: ids stay, merges stay whole, every text comes back."""

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend

from vl2.processing.tokenizer import SPECIAL_STRINGS, Tokenizer

ROOT = Path(__file__).resolve().parents[2]
NANO = ROOT / "vl2" / "weights" / "nano" / "tokenizer.json"
CHARACTERS = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허고노도로모보소오조초코토포호구누두루무부"
ENGLISH = ["The total is 30.90, paid in cash on Monday.", "Invoice number 4711", "Where is the red square?"]

spec = importlib.util.spec_from_file_location("grow_tokenizer", ROOT / "scripts" / "grow_tokenizer.py")
assert spec is not None
assert spec.loader is not None
growing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(growing)


@pytest.fixture(scope="module")
def before() -> Tokenizer:
    return Tokenizer.from_file(NANO)


@pytest.fixture(scope="module")
def definition() -> dict:
    """Nano's tokenizer with the characters above, in 20 ids more than it had."""
    old = json.loads(NANO.read_text(encoding="utf-8"))
    return growing.grow(old, CHARACTERS, growing.count_pieces(Backend.from_file(str(NANO)), ENGLISH), 9748)


@pytest.fixture(scope="module")
def after(definition: dict) -> Tokenizer:
    return Tokenizer(Backend.from_str(json.dumps(definition)))


def test_pieces_that_stay_keep_their_ids_and_no_id_is_empty(before: Tokenizer, definition: dict):
    old, new = json.loads(NANO.read_text(encoding="utf-8"))["model"]["vocab"], definition["model"]["vocab"]
    assert sorted(new.values()) == list(range(9748))
    gone = old.keys() - new.keys()
    assert len(gone) == len(new.keys() - old.keys()) - 20 > 0
    assert all(new[piece] == i for piece, i in old.items() if piece not in gone)
    assert not gone & set(growing.count_pieces(Backend.from_file(str(NANO)), ENGLISH))
    assert all(new[text] == old[text] for text in SPECIAL_STRINGS.values())


def test_every_merge_has_its_parts(definition: dict):
    vocabulary = definition["model"]["vocab"]
    for left, right in definition["model"]["merges"]:
        assert {left, right, left + right} <= vocabulary.keys()
    assert len(definition["model"]["merges"]) == len(vocabulary) - 256 - len(SPECIAL_STRINGS)


def test_english_of_pieces_that_stay_has_the_same_ids(before: Tokenizer, after: Tokenizer):
    for text in ENGLISH:
        assert after.encode(text) == before.encode(text)


def test_a_character_is_one_piece_and_others_share_pairs(before: Tokenizer, after: Tokenizer):
    for char in CHARACTERS:
        assert len(after.encode(char)) == 1, char
    assert len(after.encode(CHARACTERS)) == len(CHARACTERS)
    assert len(before.encode(CHARACTERS)) == 3 * len(CHARACTERS)
    assert len(after.encode("각")) == 2  # begins with the same two bytes as 가
    assert len(after.encode("쀼")) == 3
    assert len(after.encode("2026가11각")) == 4 + 1 + 2 + 2  # digits one by one


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(CHARACTERS + " aé\n<|>image0£—"), max_size=30)
)
def test_every_text_comes_back(after: Tokenizer, text: str):
    ids = after.encode(text)
    assert after.decode(ids) == text
    assert not after.added_ids & set(ids)


def test_the_least_used_leaves_go_first():
    merges = [("a", "b"), ("ab", "c"), ("d", "e"), ("x", "y")]
    counts = Counter({"abc": 1, "de": 4, "xy": 3, "ab": 1})
    # abc is gone, ab is a leaf now and stands in for it: used twice
    assert growing.least_used(merges, counts, 3) == ["abc", "ab", "xy"]
    assert growing.least_used(merges, Counter({"abc": 5, "de": 4, "xy": 3, "ab": 0}), 2) == ["xy", "de"]


def test_pieces_already_there_are_not_added_twice(definition: dict):
    again = growing.grow(definition, CHARACTERS, Counter(), 9748)
    assert again["model"] == definition["model"]
