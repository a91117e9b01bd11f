"""Every metric against examples worked out by hand, its edge cases and its laws."""

import math
import random

import jiwer
import numpy as np
import pytest
import torch
from anls import anls_score
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.data.records import METRICS, Record
from vl2.eval.metrics import (
    Score,
    aggregate,
    anls,
    box_iou,
    cer,
    collapse,
    exact,
    grounding,
    match_boxes,
    relaxed_accuracy,
    score,
    wer,
)
from vl2.processing.boxes import Box, Region

WORDS = st.text("ab é", max_size=12)


@pytest.mark.parametrize(
    ("answer", "golds", "value"),
    [
        ("Paris", ["paris"], 1.0),
        ("  12 \n 50 ", ["12 50"], 1.0),
        ("kitten", ["sitting"], 1 - 3 / 7),  # Levenshtein's own example: distance 3
        ("ab", ["ac"], 0.0),  # NL = 0.5 is not below the threshold
        ("abc", ["abd"], 2 / 3),
        ("abcdef", ["xyzdef"], 0.0),
        ("flaw", ["zzzz", "flaws", "law"], 0.8),  # best of 1/5 and 1/4
        ("", [""], 1.0),
        ("x", [""], 0.0),
        ("", ["x"], 0.0),
        ("CAFÉ", ["cafe\u0301"], 1.0),
        ("北京市", ["北京"], 2 / 3),
        ("😀a", ["😀b", "zz"], 0.0),
    ],
)
def test_anls(answer: str, golds: list[str], value: float) -> None:
    assert anls(answer, golds) == pytest.approx(value)


@given(st.text("ab \n éB", max_size=9), st.lists(st.text("abc é", max_size=9), min_size=1, max_size=4))
def test_anls_against_an_independent_package(answer: str, golds: list[str]) -> None:
    assert anls(answer, golds) == pytest.approx(anls_score(answer, golds))


def test_anls_of_the_metric_card() -> None:
    """The three questions of Hugging Face's metric card for ANLS; the second is one edit in eight away.

    Values are by hand: the card prints 1.0 for them, which its own definition does not give.
    """
    questions = [
        ("Denver Broncos", ["Denver Broncos", "Denver R. Broncos"]),
        ("12/15/89", ["12/15/88"]),
        ("Dear dr. Lobo", ["Dear Dr. Lobo", "Dr. Lobo"]),
    ]
    scores = [Score(anls(answer, golds), 1) for answer, golds in questions]
    assert [s.value for s in scores] == pytest.approx([1, 7 / 8, 1])
    assert aggregate(scores).value == pytest.approx(23 / 24)


@pytest.mark.parametrize(
    ("answer", "golds", "value"),
    [
        ("10.5", ["10"], 1.0),
        ("9.5", ["10"], 1.0),
        ("10.51", ["10"], 0.0),
        ("1.05", ["1"], 1.0),  # exactly 5 %, whatever binary rounding says
        ("-9.6", ["-10"], 1.0),
        ("9.6", ["-10"], 0.0),
        ("5%", ["0.05"], 1.0),
        ("5 %", ["5%"], 1.0),
        ("5", ["5%"], 0.0),  # as published: a percentage is a hundredth
        ("0", ["0"], 1.0),
        ("0.0", ["0"], 0.0),  # as published: a gold of 0 is compared as text
        ("0.001", ["0"], 0.0),
        ("1,234", ["1,234"], 1.0),
        ("1234", ["1,234"], 0.0),
        ("1_000", ["1000"], 0.0),
        ("1e3", ["1000"], 1.0),
        ("Blue ", ["blue"], 1.0),
        ("blue", ["red", "blue"], 1.0),
        ("bluee", ["blue"], 0.0),
        ("nan", ["NaN"], 1.0),
        ("inf", ["10"], 0.0),
        ("10", ["inf"], 0.0),
        ("%", ["%"], 1.0),
        ("", [""], 1.0),
        ("", ["4"], 0.0),
        ("٤", ["4"], 1.0),  # Arabic-Indic four is a number to Python and to readers
    ],
)
def test_relaxed_accuracy(answer: str, golds: list[str], value: float) -> None:
    assert relaxed_accuracy(answer, golds) == value


@pytest.mark.parametrize(
    ("answer", "golds", "value"),
    [
        (" Three. ", ["three"], 1.0),
        ("three", ["Three."], 1.0),
        ("3.5", ["3.5"], 1.0),
        ("three!", ["three"], 0.0),
        ("a  b", ["a b"], 0.0),
        ("two", ["three", "two"], 1.0),
        ("STRASSE", ["straße"], 1.0),
        ("是。", ["是"], 1.0),
        ("", [""], 1.0),
        ("", ["x"], 0.0),
    ],
)
def test_exact(answer: str, golds: list[str], value: float) -> None:
    assert exact(answer, golds) == value


@pytest.mark.parametrize(
    ("answer", "golds", "edits", "length"),
    [
        ("kitten", ["sitting"], 3, 7),
        ("Ab", ["ab"], 1, 2),  # case counts
        ("a\n b ", ["a b"], 0, 3),
        ("", ["abc"], 3, 3),
        ("abc", [""], 3, 0),
        ("", [""], 0, 0),
        ("cafe\u0301", ["café"], 0, 4),
        ("你好吗", ["你好嘛"], 1, 3),
        ("abc", ["xyzab", "abcd", "abce"], 1, 4),
        ("ab", ["abcd", "ax", "abcdefgh"], 1, 2),  # equal rates: the fewest edits
    ],
)
def test_cer(answer: str, golds: list[str], edits: int, length: int) -> None:
    assert cer(answer, golds) == Score(edits, length)


@pytest.mark.parametrize(
    ("answer", "golds", "edits", "length"),
    [
        ("the cat sat on mat", ["the cat sat on the mat"], 1, 6),  # one deletion
        ("the dog\nsat", ["the cat sat"], 1, 3),  # one substitution
        ("a a big dog", ["a dog"], 2, 2),  # two insertions
        ("The cat", ["the cat"], 1, 2),
        ("", ["two words"], 2, 2),
        ("more", [""], 1, 0),
        ("", [""], 0, 0),
    ],
)
def test_wer(answer: str, golds: list[str], edits: int, length: int) -> None:
    assert wer(answer, golds) == Score(edits, length)


def test_error_rates_are_of_the_corpus() -> None:
    """1 edit in 10 and 1 edit in 2 make 2 in 12, not the mean of 10 % and 50 %."""
    scores = [cer("abcdefghix", ["abcdefghij"]), cer("ax", ["ab"])]
    assert aggregate(scores).value == pytest.approx(2 / 12)
    assert scores[1].value == 0.5
    assert cer("abc", [""]).value == 3


texts = st.text("ab é\n", max_size=12)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_error_rates_against_an_independent_package(pairs: list[tuple[str, str]]) -> None:
    """Rates of a corpus as jiwer has them.

    jiwer leaves runs of white space inside a text as they are, which here are one space, so it gets texts without any.
    Of golds without a single character or word it makes no rate.
    """
    answers, golds = zip(*((collapse(answer), collapse(gold)) for answer, gold in pairs), strict=True)
    for ours, theirs in ((cer, jiwer.cer), (wer, jiwer.wer)):
        if any(golds):
            rate = aggregate([ours(answer, [gold]) for answer, gold in pairs], resamples=1).value
            assert rate == pytest.approx(theirs(list(golds), list(answers)))


def test_box_iou_by_hand() -> None:
    assert box_iou(Box(0, 0, 2, 2), Box(1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert box_iou(Box(0, 0, 4, 4), Box(0, 0, 4, 2)) == pytest.approx(0.5)
    assert box_iou(Box(0, 0, 2, 2), Box(2, 0, 4, 2)) == 0.0  # they touch
    assert box_iou(Box(3, 3, 1, 1), Box(0, 0, 4, 4)) == 0.0  # inside out
    assert box_iou(Box(1, 1, 1, 1), Box(1, 1, 1, 1)) == 0.0


def located(*boxes: Box) -> list[Region]:
    return [Region("thing", box) for box in boxes]


LEFT, RIGHT, FAR = Box(0, 0, 10, 10), Box(20, 0, 30, 10), Box(100, 100, 110, 110)


@pytest.mark.parametrize(
    ("predicted", "gold", "right", "iou"),
    [
        ([LEFT], [LEFT], 1, 1.0),
        ([Box(0, 0, 10, 5)], [LEFT], 1, 0.5),  # exactly at the threshold
        ([Box(0, 0, 10, 4)], [LEFT], 0, 0.4),
        ([], [LEFT], 0, 0.0),
        ([LEFT, FAR], [LEFT], 1, 1.0),  # one gold box: the first box counts, as RefCOCO
        ([FAR, LEFT], [LEFT], 0, 0.0),
        ([RIGHT, LEFT], [LEFT, RIGHT], 1, 1.0),  # several: in any order
        ([LEFT], [LEFT, RIGHT], 0, 0.5),
        ([LEFT, RIGHT, FAR], [LEFT, RIGHT], 0, 2 / 3),  # a box too many
        ([LEFT, LEFT], [LEFT, RIGHT], 0, 0.5),  # each gold box is matched once
        ([], [], 1, 1.0),  # absent, and nothing claimed
        ([LEFT], [], 0, 0.0),
    ],
)
def test_grounding(predicted: list[Box], gold: list[Box], right: int, iou: float) -> None:
    result = grounding(located(*predicted), located(*gold))
    assert result.numerator == right
    assert result.denominator == 1
    assert result.iou == pytest.approx(iou)


def test_matching_takes_the_best_pair_first() -> None:
    gold = [Box(0, 0, 10, 10), Box(4, 0, 14, 10)]
    predicted = [Box(4, 0, 14, 10), Box(1, 0, 11, 10)]
    assert match_boxes(predicted, gold) == pytest.approx([1.0, 9 / 11])


boxes = st.tuples(*[st.integers(0, 20)] * 4).map(lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[3]))


@given(boxes, boxes)
def test_iou_laws(first: Box, second: Box) -> None:
    assert 0 <= box_iou(first, second) <= 1
    assert box_iou(first, second) == box_iou(second, first)
    if first.x0 < first.x1 and first.y0 < first.y1:
        assert box_iou(first, first) == 1


@settings(deadline=None)  # the first call imports transformers
@given(st.lists(boxes, min_size=1, max_size=5), st.lists(boxes, min_size=1, max_size=5))
def test_iou_against_transformers(first: list[Box], second: list[Box]) -> None:
    """Of boxes with an area: two empty ones at the same place have 0 / 0 in common there, and nothing here."""
    from transformers.loss.loss_for_object_detection import box_iou as pairwise

    theirs, unions = pairwise(torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            assert box_iou(a, b) == pytest.approx(theirs[i, j].item() if unions[i, j] else 0.0)
            found = grounding(located(a), located(b)).value
            assert found == float(unions[i, j] > 0 and theirs[i, j] >= 0.5)


@given(st.lists(boxes, max_size=4), st.lists(boxes, max_size=4))
def test_matching_laws(predicted: list[Box], gold: list[Box]) -> None:
    ious = match_boxes(predicted, gold)
    assert len(ious) <= min(len(predicted), len(gold))
    assert all(0 < iou <= 1 for iou in ious)
    assert ious == sorted(ious, reverse=True)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3))
def test_text_metric_laws(answer: str, golds: list[str]) -> None:
    for metric in (anls, relaxed_accuracy, exact):
        assert 0 <= metric(answer, golds) <= 1
        assert metric(answer, [*golds, answer]) == 1
    for rate in (cer, wer):
        assert rate(answer, [answer]).numerator == 0
        assert rate(answer, golds).value <= rate(answer, golds[:1]).value


@given(WORDS, WORDS)
def test_edit_distance_matches_the_textbook(answer: str, gold: str) -> None:
    first, second = " ".join(answer.split()), " ".join(gold.split())
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    assert cer(answer, [gold]) == Score(row[-1], len(second))


def test_every_metric_can_be_scored() -> None:
    for metric in METRICS:
        answers = (Region("cat", LEFT),) if metric == "iou" else ("right",)
        record = Record("t/1", ("a.png",), "?", answers, metric, "t")
        good, bad = score(record, "right", located(LEFT)), score(record, "zzz", [])
        better, worse = (bad, good) if metric in ("cer", "wer") else (good, bad)
        assert better.value > worse.value
        assert (good.iou is None) == (metric != "iou")
    with pytest.raises(ValueError, match="metric = 'bleu'"):
        score(Record("t/1", ("a.png",), "?", ("x",), "bleu", "t"), "x", [])


def test_interval_is_seeded_and_near_the_theory() -> None:
    """200 of 400 right: the normal approximation gives 0.5 +- 1.96 * sqrt(0.25 / 400) = 0.5 +- 0.049."""
    scores = [Score(i % 2, 1) for i in range(400)]
    random.Random(0).shuffle(scores)
    estimate = aggregate(scores)
    assert estimate == aggregate(scores)
    assert estimate != aggregate(scores, seed=1)
    assert estimate.value == 0.5
    half = 1.96 * math.sqrt(0.25 / 400)
    assert estimate.low == pytest.approx(0.5 - half, abs=0.008)
    assert estimate.high == pytest.approx(0.5 + half, abs=0.008)


def test_interval_of_a_ratio_weighs_by_length() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 300)
    estimate = aggregate([Score(float(rng.binomial(n, 0.1)), float(n)) for n in lengths])
    assert estimate.low < 0.1 < estimate.high
    assert estimate.high - estimate.low < 0.02


def test_interval_edge_cases() -> None:
    one = aggregate([Score(0.3, 1)])
    assert (one.low, one.value, one.high) == pytest.approx((0.3, 0.3, 0.3))
    assert aggregate([Score(0, 0)]).value == 0
    assert aggregate([Score(2, 0), Score(0, 0)]).value == 2
    with pytest.raises(ValueError, match="scores: empty"):
        aggregate([])
