"""Readings side by side: edits, words in any order, Chinese."""

import pytest

from vl2.eval.reading import Reading, compare_reading, total


def test_counts_edits_and_words() -> None:
    found = compare_reading("The quick fox", "The quick brown fox")
    assert found == Reading(edits=6, length=19, shared=3, said=3, meant=4)
    assert found.cer == pytest.approx(6 / 19)
    assert found.word_f1 == pytest.approx(6 / 7)


def test_columns_in_another_order_cost_edits_and_no_words() -> None:
    found = compare_reading("right one\nleft two", "left two\nright one")
    assert found.word_f1 == 1
    assert found.cer > 0.5


def test_spaces_between_chinese_characters_do_not_count() -> None:
    assert compare_reading("单 位 ： 二 零 二\n2016 年", "单位：二零二 2016年").cer == 0
    assert compare_reading("二零一", "二零二") == Reading(edits=1, length=3, shared=2, said=3, meant=3)
    assert compare_reading("a b", "ab").edits == 1  # of other letters they do


def test_total_is_a_rate_of_the_whole_corpus() -> None:
    whole = total([compare_reading("", "abcd"), compare_reading("x" * 6, "x" * 6)])
    assert whole.cer == 0.4
    assert total([]).cer == 0
    assert compare_reading("", "").word_f1 == 0


def test_marks_that_look_alike_are_alike() -> None:
    assert compare_reading("“It’s” 3–4", '"It\'s" 3-4') == Reading(edits=0, length=10, shared=2, said=2, meant=2)
