"""What a free answer chooses: an option, yes or no, a number. Rules only; no judge model is asked.

    "The answer is (B)."    --choose_option-->    "B"       options by letter, then by their text
    "Yes, there is a cat."  --yes_or_no-->        "yes"
    "so x = 3.50"           --mathvista_value-->  "3.5"     compared as MathVista does
    "it is about 1,000 m"   --open_matches-->     True      MMMU's rule for questions without options

The trap: an answer that chooses nothing is wrong. Other tools ask a judge model there, or draw an option at random.
"""

import ast
import re
from collections.abc import Mapping, Sequence

from rapidfuzz.distance import Levenshtein

_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", "."))
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_LONGEST_WITH_A = 3  # words; in a longer answer an "A" that a word follows may be the article
_NO_ARTICLE = re.compile(r"(?<![^\s.])A(?=[.\n]|\s*$)")  # nothing follows, or a mark: "(A)", "A. cat", "is A"
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:[eE][+-]?\d+)?|-?\.\d+")
_LIST = re.compile(r"\[[^\[\]]*\]")
_ANSWER_IS = re.compile(r"(?:answer|value|result)\s*(?:is|:|=)\s*", re.IGNORECASE)


def choose_option(answer: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the option that an answer names, or None.

    One letter of an option standing alone decides; "A" with a word after it counts as a letter in short answers only.
    Otherwise the text of exactly one option must occur, in an answer at most twice as long as all options together.

    Args:
        choices: letters to texts; texts may be empty where they are unknown.
    """
    if any(refusal in answer for refusal in _REFUSALS):
        return None
    marked = answer.translate(_SEPARATORS)
    words = marked.replace(".", " ").split()
    named = [letter for letter in choices if letter in words]
    article = len(words) > _LONGEST_WITH_A and not _NO_ARTICLE.search(marked)
    if len(named) == 1 and not (named == ["A"] and article):
        return named[0]
    lowered = answer.lower()
    if len(lowered) > 2 * sum(map(len, choices.values())):
        return None
    contained = [letter for letter, text in choices.items() if text and text.lower() in lowered]
    return contained[0] if len(contained) == 1 else None


def yes_or_no(answer: str) -> str | None:
    """ "yes" or "no" where exactly one of these words occurs, otherwise None."""
    words = set(re.findall(r"[a-z]+", answer.lower()))
    return {(True, False): "yes", (False, True): "no"}.get(("yes" in words, "no" in words))


def _after_phrase(answer: str) -> str:
    """What follows the last "the answer is", or everything."""
    *_, tail = _ANSWER_IS.split(answer)
    return tail.strip() or answer.strip()


def mathvista_value(answer: str, kind: str, precision: int, choices: Sequence[str] = ()) -> str | None:
    """The value that an answer gives, in the form in which MathVista compares it, or None.

    Args:
        kind: "integer", "float", "list" or "text", MathVista's answer_type.
        precision: decimal places of a float.
        choices: texts of the options, for multiple choice; the result is then one of them.
    """
    tail = _after_phrase(answer)
    if choices:
        lettered = {chr(ord("A") + i): text for i, text in enumerate(choices)}
        letter = choose_option(tail, lettered) or choose_option(answer, lettered)
        if letter is not None:
            return lettered[letter]
        return min(choices, key=lambda text: Levenshtein.normalized_distance(text.lower(), tail.lower()))
    if kind == "list":
        lists = _LIST.findall(tail) or _LIST.findall(answer)
        return _as_list(lists[-1]) if lists else None
    if kind in ("integer", "float"):
        numbers = _NUMBER.findall(tail) or _NUMBER.findall(answer)
        return _as_number(numbers[-1], kind, precision) if numbers else None
    return tail.rstrip(".").strip()


def mathvista_gold(gold: str, kind: str, precision: int) -> str:
    """The expected answer in the form that mathvista_value returns."""
    if kind == "list":
        return _as_list(gold) or gold
    return (_as_number(gold, kind, precision) or gold) if kind in ("integer", "float") else gold


def _as_number(text: str, kind: str, precision: int) -> str | None:
    try:
        number = float(text.replace(",", ""))
        return str(int(number)) if kind == "integer" else str(round(number, precision))
    except (ValueError, OverflowError):
        return None


def _as_list(text: str) -> str | None:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return str([float(v) if isinstance(v, int | float) else v for v in values]) if isinstance(values, list) else None


_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")


def open_matches(answer: str, golds: Sequence[str]) -> bool:
    """MMMU's rule: a gold text occurs in a conclusion of the answer, or a gold number (two decimals) is named there."""
    expected = [form for gold in golds for form in _forms(gold)]
    found = [form for text in _conclusions(answer) for form in (*_forms(text), *_numbers(text))]
    return any(
        any(isinstance(gold, str) and gold in form for gold in expected) if isinstance(form, str) else form in expected
        for form in found
    )


def _conclusions(answer: str) -> list[str]:
    """Of every line that concludes something, what stands after its last indicator; or the whole answer."""
    lines = answer.strip().strip(".").lower().split("\n")
    tails: list[str] = []
    for number, line in enumerate(lines):
        indicators = (*_INDICATORS, "=") if number == len(lines) - 1 else _INDICATORS
        ends = [line.split(indicator)[-1].strip() for indicator in indicators if indicator in line]
        shortest = min(ends, key=len, default="")
        if shortest.strip(":,.!?;'"):
            tails.append(shortest)
    return tails or [answer.strip().strip(".").lower()]


def _numbers(text: str) -> list[float]:
    return [round(float(n.replace(",", "")), 2) for n in _NUMBER.findall(text)]


def _forms(text: str) -> list[str | float]:
    """A number rounded to two decimals; other texts in lower case, single letters only beside a space."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return [round(float(text.replace(",", "")), 2)]
    lowered = text.lower()
    return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]
