"""VQA accuracy: an answer against those of ten people, after the official normalisation (Antol et al. 2015).

    "The Two dogs."  --normalise-->  "2 dogs"  --vqa_accuracy(golds of ten people)-->  0, 1/3 ... 1

The trap: a person is not compared with herself. Each of the ten is left out once and the other nine give
min(1, matches / 3); the mean of the ten is the score, so that three matches give 0.9.
"""

import re
from collections.abc import Sequence

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")  # the official pattern has a typo, and means this in effect
_ARTICLES = frozenset(("a", "an", "the"))
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {word: str(number) for number, word in enumerate(_DIGITS)} | {"none": "0"}
# The published list. A word of it with one apostrophe left out is corrected.
_CONTRACTED = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_CORRECTED = {
    word[:i] + word[i + 1 :]: word for word in _CONTRACTED.split() for i, letter in enumerate(word) if letter == "'"
} | {"somebody'd": "somebodyd"}  # as published


def normalise(text: str) -> str:
    """Lower case, without articles and punctuation, numbers as digits, contractions with their apostrophes."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    number_with_comma = _COMMA_IN_NUMBER.search(text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        at_edge = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if at_edge or number_with_comma else " ")
    words = [_NUMBERS.get(word, word) for word in _FULL_STOP.sub("", cleaned).lower().split()]
    return " ".join(_CORRECTED.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, golds: Sequence[str]) -> float:
    """The share of agreement, from 0 to 1.

    Args:
        golds: what each person answered, equal answers repeated; usually ten. A single one is compared alone.
    """
    found, people = normalise(answer), [normalise(gold) for gold in golds]
    if len(people) == 1:
        return float(found == people[0])
    matches = people.count(found)
    return sum(min(1.0, (matches - (person == found)) / 3) for person in people) / len(people)
