"""Questions in people's own words: many wordings of each question about receipts, forms, tables and charts.

    kind "receipt.total" --noun or whole--> "what is {}" around "the amount due", or "how much did i pay"
         --slots, quotes--> words --manner (case, question mark, politeness, hint)--> the question

A kind has nouns ("the total|the amount due"), put into carrier sentences, and whole questions of its own. Slots such as
{row} are filled with words that stand on the image. Wordings are structural: both splits share them, only the words in
the slots are of the split. The trap: templates are in lower case without a question mark; `ask` decides the manner.
"""

import re
from collections.abc import Sequence

import numpy as np

from vl2.synth.wordings_chart_tables import CHART_TABLE_WHOLES, LONG_ANSWERS
from vl2.synth.wordings_charts import CHART_NOUNS, CHART_WHOLES
from vl2.synth.wordings_receipts import RECEIPT_NOUNS, RECEIPT_WHOLES
from vl2.synth.wordings_tables import TABLE_NOUNS, TABLE_WHOLES


def _options(text: str) -> tuple[str, ...]:
    """The alternatives of a text, separated by | or line ends."""
    return tuple(option.strip() for option in text.replace("\n", "|").split("|"))


# Sentences around a noun phrase; the usual ones stand here more than once.
CARRIERS: tuple[str, ...] = _options(
    """what is {}|what is {}|what is {}|what's {}|what's {}|which is {}|tell me {}|give me {}|find {}|read {}
    could you tell me {}|can you read {}|can you find {}|please give {}|i need {}|i'd like to know {}|look for {}
    extract {}|write out {}|show me {}|do you see {}|what would be {}|report {}|state {}|{}|{}|return {}|look up {}
    what does it say for {}|what do you read as {}|copy {} from the image|identify {}|let me know {}|please read {}
    what is given as {}|what is printed as {}|could you read out {}|i am looking for {}|get {}"""
)

# kind -> noun phrases joined by |, to be put into a carrier
NOUNS: dict[str, str] = RECEIPT_NOUNS | TABLE_NOUNS | CHART_NOUNS
# kind -> whole questions of its own joined by |
WHOLES: dict[str, str] = RECEIPT_WHOLES | TABLE_WHOLES | CHART_WHOLES | CHART_TABLE_WHOLES

READ_WORDINGS: tuple[str, ...] = _options(
    """read all the text in the image|read the text|what does it say|transcribe the image|transcribe everything
    read everything|write out all the text|what is written here|ocr|read this document line by line|extract all text
    type out the text in the picture|give me the full text|what text is in the image|copy all the words you see
    read it to me|convert the image to text|list all text you can see|please transcribe this|recognise all the text
    type what you read|which words are on the image, line by line|turn this into text|get me the whole text"""
)

# What can follow a wording that does not say where to look.
_PLACES = _options("in the image|in this image|in the picture|here|on this page|as shown|in this document")
_PLACES_BY_TASK = {
    "receipt": _options("on the receipt|on this receipt|on the bill|on the slip"),
    "form": _options("on the form|on this form|in this form|on the sheet"),
    "table": _options("in the table|in this table|according to the table|based on the table"),
    "chart": _options("in the chart|in this chart|according to the chart|in the graph|in this plot|in the figure"),
}
_POLITE_BEFORE = _options(
    "please,|hi,|hey,|quick question:|question:|hello!|based on the image,|from the image:|good morning,"
)
_POLITE_AFTER = (", please", " please", ", thanks", ", thank you", ", ok")
_HINTS = (
    "Answer with a single word or phrase.",
    "Answer the question using a single word or phrase.",
    "Answer briefly.",
    "Give only the answer.",
    "Short answer.",
    "Just the answer, please.",
)
_QUESTION_START = re.compile(
    r"((with|at|on|in|by|for|to|under|until|from|paid) )?(what|which|whom|with what|with which)\b"
    r"|(who|whose|where|when|how|is|are|was|were|does|do|did|has|have|can|could)\b"
)
# A wording that already says where to look takes no place after it.
_HAS_PLACE = re.compile(
    r"image|picture|receipt|form|table|chart|graph|list|here|page|document|bill|printed|shown|row|plot|column$"
)


def kinds() -> tuple[str, ...]:
    """All question kinds, sorted."""
    return tuple(sorted({*NOUNS, *WHOLES}))


def wordings(kind: str) -> tuple[str, ...]:
    """Every distinct wording of a kind before slots and manner: wholes, then nouns in each carrier."""
    wholes = WHOLES[kind].split("|") if kind in WHOLES else []
    nouns = NOUNS[kind].split("|") if kind in NOUNS else []
    return tuple(dict.fromkeys(wholes + [carrier.format(noun) for noun in nouns for carrier in CARRIERS]))


def _template(rng: np.random.Generator, kind: str) -> str:
    """One template of the kind; a whole question in half of the cases where there are both."""
    whole, noun = WHOLES.get(kind), NOUNS.get(kind)
    if whole is not None and (noun is None or rng.random() < 0.5):
        return _pick(rng, whole.split("|"))
    if noun is None:
        raise KeyError(f"question kind {kind!r} has no wording")
    return _pick(rng, CARRIERS).replace("{}", _pick(rng, noun.split("|")))


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def _manner(rng: np.random.Generator, text: str, *, hints: bool = True) -> str:
    """Case, question mark, politeness and, where the answer is short, the hint that it shall be."""
    is_question = _QUESTION_START.match(text) is not None
    draw = rng.random(5)
    if draw[0] < 0.06:
        text = f"{_pick(rng, _POLITE_BEFORE)} {text}"
    elif draw[0] < 0.10 and not is_question:
        text += _pick(rng, _POLITE_AFTER)
    if draw[1] < 0.72:
        text = text[0].upper() + text[1:]
    elif draw[1] < 0.75:
        text = text.upper()
    elif draw[1] < 0.80:
        text = text.lower()
    if is_question:
        text += "?" if draw[2] < 0.75 else ""
    else:
        text += "." if draw[2] < 0.35 else ("?" if draw[2] < 0.45 else "")
    if not hints:
        return text
    if draw[3] < 0.12:
        text += (" " if text[-1] in ".?" else ". ") + _pick(rng, _HINTS)
    elif draw[3] < 0.16:
        text += "\n" + _pick(rng, _HINTS)
    return text.replace("what's", "whats").replace("What's", "Whats") if draw[4] < 0.2 else text


def ask(rng: np.random.Generator, kind: str, **slots: object) -> str:
    """A question of `kind` ("task.what") with its slots filled.

    Args:
        rng: source of all choices.
        kind: a key of NOUNS or WHOLES.
        slots: words for {row}, {col}, {item} ...; a missing one is a KeyError.
    """
    template = _template(rng, kind)
    if not _HAS_PLACE.search(template) and rng.random() < 0.3:
        task = kind.split(".", 1)[0]
        template += " " + _pick(rng, _PLACES_BY_TASK[task] if rng.random() < 0.6 else _PLACES)
    quote = _pick(rng, ("", "", "", "", "'", '"'))
    filled = {name: _fill(name, value, quote) for name, value in slots.items()}
    return _manner(rng, template.format(**filled), hints=kind not in LONG_ANSWERS)


# Slots that are read as part of the sentence and so are never quoted.
_PLAIN_SLOTS = frozenset({"key", "doc", "mark", "nth", "unit", "color", "along", "axis"})


def _fill(name: str, value: object, quote: str) -> str:
    """A slot's words, quoted unless they are part of the sentence, a number, or hold the quote themselves."""
    if not isinstance(value, str) or name in _PLAIN_SLOTS or quote in value:
        return str(value)
    return f"{quote}{value}{quote}"


def ask_to_read(rng: np.random.Generator) -> str:
    """A wording of "read all the text"."""
    return _manner(rng, _pick(rng, READ_WORDINGS), hints=False)
