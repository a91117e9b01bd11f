"""Metrics: one answer and its gold to a Score, and scores to a task's value with a confidence interval.

    text    --anls, relaxed_accuracy, exact-->  Score(value, 1)          higher is better
    text    --cer, wer-->                       Score(edits, length)     lower is better
    regions --iou-->                            Score(1 if found else 0, 1), plus the mean IoU of the record
    scores  --aggregate-->  sum of numerators / sum of denominators, so that cer and wer are corpus rates

Every text is first brought to Unicode NFC, so that a composed and a decomposed accent are the same character.
"""

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from vl2.data.records import Record
from vl2.eval.intervals import bootstrap_ratio
from vl2.processing.boxes import Box, Region

ANLS_THRESHOLD = 0.5
RELATIVE_TOLERANCE = 0.05
IOU_THRESHOLD = 0.5
SEED, RESAMPLES = 0, 1000  # of the bootstrap; results hold them


@dataclass(frozen=True)
class Score:
    """How one output did, as a fraction, so that sums of many scores give a task's value.

    numerator, denominator: (score, 1) for accuracies, (edits, length of the gold) for error rates.
    iou: mean intersection over union of the record's boxes; only for metric `iou`.
    """

    numerator: float
    denominator: float
    iou: float | None = None

    @property
    def value(self) -> float:
        """The score of this output alone; an error rate over an empty gold counts its edits."""
        return self.numerator / max(self.denominator, 1)


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def collapse(text: str) -> str:
    """NFC, without outer whitespace, every inner run of whitespace one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def anls(answer: str, golds: Sequence[str]) -> float:
    """Average Normalised Levenshtein Similarity of one question (Biten et al. 2019, threshold 0.5).

    Best over golds of 1 - NL where NL < 0.5, else 0; NL = edit distance / length of the longer text. Ignores case.
    """
    return max(_similarity(collapse(answer).lower(), collapse(gold).lower()) for gold in golds)


def _similarity(answer: str, gold: str) -> float:
    distance = Levenshtein.normalized_distance(answer, gold)  # 0 for two empty texts
    return 1.0 - distance if distance < ANLS_THRESHOLD else 0.0


def relaxed_accuracy(answer: str, golds: Sequence[str]) -> float:
    """ChartQA's relaxed accuracy: 1 if any gold is met within 5 % (numbers) or exactly, ignoring case (text).

    A trailing "%" divides by 100 on either side. A gold of 0 has no relative error and is compared as text. As
    published, thousands separators and units are no part of a number: such answers are compared as text.
    """
    return float(any(_relaxed_match(collapse(answer), collapse(gold)) for gold in golds))


def _relaxed_match(answer: str, gold: str) -> bool:
    answer_number, gold_number = _number(answer), _number(gold)
    if answer_number is None or not gold_number:
        return answer.lower() == gold.lower()
    # 1.05 against 1 is 5 % exactly, which binary rounding must not turn into a miss.
    return abs(answer_number - gold_number) / abs(gold_number) <= RELATIVE_TOLERANCE + 1e-9


def _number(text: str) -> float | None:
    percent = text.endswith("%")
    text = text.rstrip("%")
    if "_" in text:  # a Python spelling of numbers, not a reader's
        return None
    try:
        number = float(text) / (100 if percent else 1)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def exact(answer: str, golds: Sequence[str]) -> float:
    """1 if any gold equals the answer apart from case, outer whitespace and a trailing full stop."""
    return float(_plain(answer) in {_plain(gold) for gold in golds})


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().strip().rstrip(".。").rstrip()


def cer(answer: str, golds: Sequence[str]) -> Score:
    """Character edits and gold length against the closest gold. Whitespace is collapsed, case counts."""
    return _error_rate(collapse(answer), [collapse(gold) for gold in golds])


def wer(answer: str, golds: Sequence[str]) -> Score:
    """Word edits and number of gold words against the closest gold. Words are split at whitespace, case counts."""
    return _error_rate(collapse(answer).split(), [collapse(gold).split() for gold in golds])


def _error_rate(answer: str | list[str], golds: Sequence[str | list[str]]) -> Score:
    scores = [Score(Levenshtein.distance(answer, gold), len(gold)) for gold in golds]
    return min(scores, key=lambda score: (score.value, score.numerator))


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes; a box turned inside out is empty and overlaps nothing."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    if width <= 0 or height <= 0 or _area(first) == 0 or _area(second) == 0:
        return 0.0
    overlap = width * height
    return overlap / (_area(first) + _area(second) - overlap)


def _area(box: Box) -> float:
    return max(box.x1 - box.x0, 0.0) * max(box.y1 - box.y0, 0.0)


def match_boxes(predicted: Sequence[Box], gold: Sequence[Box]) -> list[float]:
    """IoU of each greedy pair, best pair first; every box is used at most once, pairs that do not overlap never."""
    pairs = sorted(
        ((box_iou(p, g), i, j) for i, p in enumerate(predicted) for j, g in enumerate(gold)),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    used_predicted: set[int] = set()
    used_gold: set[int] = set()
    ious: list[float] = []
    for iou, i, j in pairs:
        if iou > 0 and i not in used_predicted and j not in used_gold:
            used_predicted.add(i)
            used_gold.add(j)
            ious.append(iou)
    return ious


def grounding(predicted: Sequence[Region], gold: Sequence[Region]) -> Score:
    """Whether a phrase was located, and how well its boxes lie.

    One gold box: the first predicted box counts, at IoU >= 0.5, as RefCOCO is scored. Several: each must be matched at
    IoU >= 0.5 and no box be left over. None (absent): right if nothing was predicted. The record's IoU is the sum over
    matched pairs divided by the larger number of boxes; for a right "absent" it is 1.
    """
    predicted_boxes = [region.box for region in predicted]
    gold_boxes = [region.box for region in gold]
    if not gold_boxes:
        absent = float(not predicted_boxes)
        return Score(absent, 1, absent)
    if len(gold_boxes) == 1:
        predicted_boxes = predicted_boxes[:1]
    ious = match_boxes(predicted_boxes, gold_boxes)
    all_found = sum(iou >= IOU_THRESHOLD for iou in ious) == len(gold_boxes) == len(predicted_boxes)
    return Score(float(all_found), 1, sum(ious) / max(len(gold_boxes), len(predicted_boxes)))


ERROR_RATES: Mapping[str, Callable[[str, Sequence[str]], Score]] = {"cer": cer, "wer": wer}  # lower is better
_ACCURACIES: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "anls": anls,
    "relaxed_accuracy": relaxed_accuracy,
    "exact": exact,
}


def score(record: Record, text: str, regions: Sequence[Region]) -> Score:
    """Score one output by its record's metric; `regions` count for metric `iou`, `text` for all others."""
    if record.metric == "iou":
        return grounding(regions, [answer for answer in record.answers if isinstance(answer, Region)])
    golds = [answer for answer in record.answers if isinstance(answer, str)]
    if record.metric in ERROR_RATES:
        return ERROR_RATES[record.metric](text, golds)
    if record.metric in _ACCURACIES:
        return Score(_ACCURACIES[record.metric](text, golds), 1)
    raise ValueError(f"metric = {record.metric!r}: must be one of iou, {', '.join((*_ACCURACIES, *ERROR_RATES))}")


def aggregate(scores: Sequence[Score], *, seed: int = SEED, resamples: int = RESAMPLES) -> Estimate:
    """A task's value with a 95 % bootstrap interval over its records.

    The value is the sum of numerators over the sum of denominators: a mean for accuracies, the corpus rate for cer and
    wer. Where every record scored the same, the interval has no width: resampling cannot show what was never seen. So
    `vl2.eval.summary.estimate` takes Wilson's for right or wrong.
    """
    if not scores:
        raise ValueError("scores: empty; a task needs at least one record")
    tops, bottoms = [s.numerator for s in scores], [s.denominator for s in scores]
    low, high = bootstrap_ratio(tops, bottoms, seed=seed, resamples=resamples)
    return Estimate(sum(tops) / max(sum(bottoms), 1), low, high)
