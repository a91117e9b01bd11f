"""VQA accuracy on the examples of its authors, and its normalisation on what the official one is known to do."""

import pytest

from vl2.eval.vqa import normalise, vqa_accuracy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", "yes"),
        ("The dog", "dog"),
        ("two dogs", "2 dogs"),
        ("none", "0"),
        ("dont know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("somebody'd", "somebodyd"),  # the published table has it so
        ("shes", "shes"),  # and has no entry for this one
        ("1,000", "1000"),
        ("black/white", "black white"),  # inside a word a space takes its place
        ("black / white", "black white"),
        ("hello, world", "hello world"),
        ("1,000 red,blue", "1000 redblue"),  # a comma in a number removes every mark of the text
        ("3.5 m.", "3.5 m"),
        ("it's", "it's"),
        ("a\nb\tc", "b c"),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(("matches", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_ten_people_with_one_left_out(matches: int, score: float) -> None:
    golds = ["cat"] * matches + [f"other {i}" for i in range(10 - matches)]
    assert vqa_accuracy("The cat.", golds) == pytest.approx(score)


def test_every_person_is_normalised() -> None:
    assert vqa_accuracy("2", ["two", "Two.", "2", "the two"]) == 1.0
    assert vqa_accuracy("nokia", ["Nokia"]) == 1.0  # where a file has a single answer
    assert vqa_accuracy("", ["x"] * 10) == 0.0
