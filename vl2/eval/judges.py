"""How each benchmark decides whether an answer is right.

    Item, text, regions --judge--> Verdict(Score of 0 ... 1, what was read from the text)

The trap: full stops at the end of an answer are dropped before it is judged, as the published evaluation does.
"""

from collections.abc import Callable, Sequence

from vl2.eval.extraction import choose_option, mathvista_gold, mathvista_value, open_matches, yes_or_no
from vl2.eval.items import Item, Judge, Verdict
from vl2.eval.metrics import Score, anls, grounding, relaxed_accuracy
from vl2.eval.vqa import vqa_accuracy
from vl2.processing.boxes import Region

# OCRBench's ten kinds of question in its five groups (Liu et al. 2023).
OCRBENCH_GROUPS = {
    "Regular Text Recognition": "Text Recognition",
    "Irregular Text Recognition": "Text Recognition",
    "Artistic Text Recognition": "Text Recognition",
    "Handwriting Recognition": "Text Recognition",
    "Digit String Recognition": "Text Recognition",
    "Non-Semantic Text Recognition": "Text Recognition",
    "Scene Text-centric VQA": "Scene Text-centric VQA",
    "Doc-oriented VQA": "Doc-oriented VQA",
    "Key Information Extraction": "Key Information Extraction",
    "Handwritten Mathematical Expression Recognition": "Handwritten Mathematical Expression Recognition",
}
_FORMULAS = "Handwritten Mathematical Expression Recognition"


def _by_text(metric: Callable[[str, Sequence[str]], float]) -> Judge:
    return lambda item, text, regions: Verdict(Score(metric(_shortened(text), item.texts), 1))


def _shortened(text: str) -> str:
    return text.strip().rstrip(".")


judge_anls = _by_text(anls)
judge_chart = _by_text(relaxed_accuracy)
judge_vqa = _by_text(vqa_accuracy)


def ocrbench_hit(answer: str, golds: Sequence[str], formulas: bool) -> bool:
    """Whether any gold is part of the answer: in lower case, line ends as spaces; formulas without any spaces."""

    def plain(text: str) -> str:
        text = text.strip().replace("\n", " ")
        return text.replace(" ", "") if formulas else text.lower()

    return any(plain(gold) in plain(answer) for gold in golds)


def judge_ocrbench(item: Item, text: str, regions: Sequence[Region]) -> Verdict:
    """OCRBench's substring rule; the kind says which of the ten."""
    return Verdict(Score(float(ocrbench_hit(_shortened(text), item.texts, item.kind == (_FORMULAS,))), 1))


def judge_box(item: Item, text: str, regions: Sequence[Region]) -> Verdict:
    """RefCOCO: the first box at IoU >= 0.5."""
    return Verdict(grounding(regions[:1], item.regions))


def judge_choice(item: Item, text: str, regions: Sequence[Region]) -> Verdict:
    """The letter that the answer names; questions without options by MMMU's rule for open answers."""
    if not item.choices:
        return Verdict(Score(float(open_matches(text, item.texts)), 1))
    letter = choose_option(text, item.choices)
    return Verdict(Score(float(letter in item.texts), 1), letter or "none")


def judge_yes_no(item: Item, text: str, regions: Sequence[Region]) -> Verdict:
    """MME: "yes" or "no" somewhere in the answer, but not both."""
    said = yes_or_no(text)
    return Verdict(Score(float(said == item.texts[0].lower()), 1), said or "none")


def judge_mathvista(item: Item, text: str, regions: Sequence[Region]) -> Verdict:
    """The value that rules find, compared as MathVista compares it."""
    kind, precision = item.kind[0], int(item.kind[1])
    value = mathvista_value(_shortened(text), kind, precision, tuple(item.choices.values()))
    return Verdict(Score(float(value == mathvista_gold(item.texts[0], kind, precision)), 1), value or "none")
