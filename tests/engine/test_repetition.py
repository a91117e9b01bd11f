"""Loops are found, and what repeats by right is left alone."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.engine.detokenizer import Detokenizer
from vl2.engine.repetition import (
    LEAST_REPEATS,
    LEAST_TOKENS,
    LEAST_TOKENS_WITHOUT_LETTERS,
    MAX_PERIOD,
    RepetitionWatch,
)
from vl2.processing.tokenizer import Tokenizer

NANO = Path(__file__).parent.parent.parent / "vl2" / "weights" / "nano" / "tokenizer.json"
EOS = -7


def first_loop(tokens: Iterable[int], has_letters: bool = True) -> tuple[int, int] | None:
    """(tokens seen, surplus) when the watch calls it a loop."""
    watch = RepetitionWatch()
    for number, token in enumerate(tokens, 1):
        watch.push(token, has_letters)
        if watch.is_loop:
            return number, watch.surplus
    return None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 50), max_size=300), st.integers(1, MAX_PERIOD), st.randoms())
def test_every_loop_is_found_in_time(before: list[int], period: int, random: object) -> None:
    """After the least length, and what is kept ends with the second repeat."""
    passage = [1000 + n for n in range(period)]  # all different, so that this is its shortest period
    length = max(LEAST_TOKENS, LEAST_REPEATS * period)
    endless = before + passage * (length // period + 2)
    found = first_loop(endless)
    assert found is not None
    seen, surplus = found
    assert seen <= len(before) + length
    assert seen - surplus <= len(before) + 2 * period  # a loop may begin with the end of what came before


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.booleans())
def test_loops_of_few_words(passage: list[int], has_letters: bool) -> None:
    least = LEAST_TOKENS if has_letters else LEAST_TOKENS_WITHOUT_LETTERS
    endless = passage * (least // len(passage) + LEAST_REPEATS)
    found = first_loop(endless, has_letters)
    assert found is not None
    assert found[0] >= least
    assert found[0] - found[1] <= 2 * len(passage)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 50))
def test_random_tokens_are_no_loop(seed: int, vocabulary: int) -> None:
    """Not even of two words: 200 of them repeat a passage four times with a chance of 2**-150."""
    import random

    rng = random.Random(seed)
    assert first_loop(rng.choices(range(vocabulary), k=2000)) is None


@settings(deadline=None, max_examples=40)
@given(st.integers(1, MAX_PERIOD), st.data())
def test_one_different_token_in_each_repeat_is_no_loop(period: int, data: st.DataObject) -> None:
    """Rows of a table with their own numbers."""
    place = data.draw(st.integers(0, period - 1))
    rows = [[7] * place + [1000 + row] + [8] * (period - place - 1) for row in range(8)]
    rows = [[n + 10 * i if n < 1000 else n for i, n in enumerate(row)] for row in rows]
    assert first_loop([token for row in rows for token in row]) is None


# Text


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(NANO)


def push_all(detokenizer: Detokenizer, ids: list[int]) -> str:
    """Pieces until the end, joined."""
    shown = ""
    for number, token in enumerate(ids):
        shown += detokenizer.push(token, "length" if number == len(ids) - 1 else None)
        if detokenizer.finish:
            break
    return shown


@pytest.mark.parametrize(
    "text",
    [
        "Total\n" + "-" * 120 + "\nSubtotal\n" + "-" * 120 + "\n",
        "Chapter one " + "." * 150 + " 7\nChapter two " + ". " * 150 + " 12\n",
        "| a | b |\n" + "|---" * 30 + "|\n" + "| | |\n" * 20,
        "".join(f"| Coffee | {row} | 3.{row:02} |\n" for row in range(60)),
        "Balance " + "0.00 " * 50 + "\n" + "0 " * 80,
        "<|ref|>chairs<|/ref|><|det|>[" + ", ".join(f"[{n}, 2, {n + 5}, 9]" for n in range(60)) + "]<|/det|>",
        "yes\n" * 20 + "no\n" * 20,
    ],
)
def test_what_repeats_by_right(text: str, tokenizer: Tokenizer) -> None:
    """Nothing is cut, and all of it is shown."""
    detokenizer = Detokenizer(tokenizer, (), EOS, stop_repetition=True)
    assert push_all(detokenizer, tokenizer.encode(text)) == detokenizer.text == text
    assert detokenizer.finish == "length"


def test_a_loop_is_cut_after_the_second_repeat(tokenizer: Tokenizer) -> None:
    """The pieces of a stream are the text, too: what may be cut is held back."""
    line = "Grüße from the sea\n"
    ids = tokenizer.encode("Dear Anna,\n") + tokenizer.encode(line) * 60
    detokenizer = Detokenizer(tokenizer, (), EOS, stop_repetition=True)
    shown = push_all(detokenizer, ids)
    assert detokenizer.finish == "repetition"
    assert shown == detokenizer.text == ("Dear Anna,\n" + line * 2)[:-1]  # the loop begins with the line's end before
    assert detokenizer.num_tokens < len(ids)
    plain = Detokenizer(tokenizer, (), EOS)
    assert push_all(plain, ids) == "Dear Anna,\n" + line * 60
    assert plain.finish == "length"


def test_dots_without_end(tokenizer: Tokenizer) -> None:
    detokenizer = Detokenizer(tokenizer, (), EOS, stop_repetition=True)
    shown = push_all(detokenizer, [*tokenizer.encode("Page"), *tokenizer.encode(" -")[-1:] * 2000])
    assert detokenizer.finish == "repetition"
    assert shown == detokenizer.text
    assert len(shown) < 12


def test_stop_strings_come_first(tokenizer: Tokenizer) -> None:
    detokenizer = Detokenizer(tokenizer, ("end",), EOS, stop_repetition=True)
    assert push_all(detokenizer, tokenizer.encode("again " * 3 + "the end " + "again " * 500)).strip().endswith("the")
    assert detokenizer.finish == "stop"
