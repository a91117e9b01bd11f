"""What free answers choose, on the cases that the usual tools document."""

import pytest

from vl2.eval.extraction import choose_option, mathvista_gold, mathvista_value, open_matches, yes_or_no

ANIMALS = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "dog"}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("A", "A"),
        ("(B)", "B"),
        ("C.", "C"),
        ("D: dog", "D"),
        ("The answer is B", "B"),
        ("**C**", "C"),
        ("a cute teddy bear", "A"),
        ("Cat", "C"),
        ("A cat on a mat", "C"),  # "A" is the article, the text decides
        ("A cat and a dog", None),
        ("The answer is A", "A"),  # an article has a word after it
        ("The answer is A.", "A"),
        ("I think it must be (A)", "A"),
        ("A. the one that is neither cat nor dog", "A"),
        ("A\nIt is neither a cat nor a dog.", "A"),
        ("A cat? No, the answer is A", "A"),
        ("An A-frame beside A dog", "D"),
        ("A or B", None),
        ("dog and cat", None),
        ("spider", None),
        ("", None),
        ("E", None),
        ("b", None),  # letters are capitals
        ("I'm sorry, but without the image provided I cannot choose B", None),
        ("there is a dog " * 10, None),  # too long to be the name of an option
    ],
)
def test_choose_option(answer: str, letter: str | None) -> None:
    assert choose_option(answer, ANIMALS) == letter


def test_options_whose_texts_are_unknown() -> None:
    assert choose_option("B", dict.fromkeys("ABCD", "")) == "B"
    assert choose_option("", dict.fromkeys("ABCD", "")) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [("Yes", "yes"), ("no.", "no"), ("Yes, there is.", "yes"), ("yes and no", None), ("nothing", None), ("", None)],
)
def test_yes_or_no(answer: str, said: str | None) -> None:
    assert yes_or_no(answer) == said


@pytest.mark.parametrize(
    ("answer", "kind", "precision", "value"),
    [  # the first four are the examples that MathVista shows its judge
        ("The number missing in the sequence is 14.", "integer", 0, "14"),
        ("The fraction of females facing the camera is 0.6, which means that six out of ten", "float", 1, "0.6"),
        ("Luca needs $1.45 to buy a sour apple candy and a butterscotch candy.", "float", 2, "1.45"),
        ("the years are [2007, 2008]", "list", 0, "[2007.0, 2008.0]"),
        ("1,250", "integer", 0, "1250"),
        ("3.0", "integer", 0, "3"),
        ("Step 1: 7 - 3 = 4. The answer is 4", "integer", 0, "4"),
        ("1.249", "float", 2, "1.25"),
        ("no idea", "integer", 0, None),
        ("[1, 2", "list", 0, None),
        ("Paris.", "text", 0, "Paris"),
    ],
)
def test_mathvista_values(answer: str, kind: str, precision: int, value: str | None) -> None:
    assert mathvista_value(answer, kind, precision) == value


def test_mathvista_options() -> None:
    options = ("3/11", "8/11", "6/11", "3/5")
    assert mathvista_value("The correct answer is (B) 8/11.", "text", 0, options) == "8/11"
    assert mathvista_value("3/5", "text", 0, options) == "3/5"
    assert mathvista_value("6/1", "text", 0, options) == "6/11"  # the nearest, as the official score takes it


def test_mathvista_gold() -> None:
    assert mathvista_gold("14", "integer", 0) == "14"
    assert mathvista_gold("1.2", "float", 2) == "1.2"
    assert mathvista_gold("[2007, 2008]", "list", 0) == "[2007.0, 2008.0]"
    assert mathvista_gold("yes", "text", 0) == "yes"


@pytest.mark.parametrize(
    ("answer", "golds", "right"),
    [
        ("The answer is 4.5", ["4.5"], True),
        ("x = 1,000", ["1000"], True),
        ("about 2.001", ["2"], True),  # two decimals
        ("so it is the mitral valve", ["Mitral valve"], True),
        ("aorta", ["mitral valve"], False),
        ("12", ["1"], False),  # a number is compared as a number
        ("max", ["X"], False),  # a single letter must stand beside a space
        ("it is x", ["X"], True),
        ("it is 3\nso the result is 5", ["5", "five"], True),
    ],
)
def test_open_answers(answer: str, golds: list[str], right: bool) -> None:
    assert open_matches(answer, golds) is right
