"""Verdicts to the numbers that papers print, with intervals.

    Judged ... --units--> Score of each unit --summarise--> {"mmbench": all, "mmbench: group": its part, ...}

A unit is what counts once: a question, or all rotations of one (MMBench). Right or wrong gives Wilson's interval,
anything else a bootstrap with a fixed seed.

The trap: MME is no mean. Each category gives 100 * (accuracy + accuracy+), where accuracy+ counts images with both
questions right, and the categories are added up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from vl2.eval.intervals import wilson
from vl2.eval.items import Item, Verdict
from vl2.eval.metrics import RESAMPLES, SEED, Estimate, Score, aggregate

PERCEPTION = (
    "OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene",
)  # fmt: skip
COGNITION = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")


class TaskSummary(TypedDict):
    """The row of one task. `ci_low` and `ci_high` bound the 95 % interval of `value`.

    interval: "wilson" (right or wrong) or "bootstrap", which it is without this field. scale: full marks, if not 1.
    unscored: records that were answered and whose right answers the split hides.
    """

    task: str
    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    failed: int
    seconds: float
    tokens: int
    mean_iou: NotRequired[float]
    interval: NotRequired[str]
    scale: NotRequired[float]
    unscored: NotRequired[int]


@dataclass(frozen=True)
class Judged:
    """An item with its verdict (None if the split hides the answer), and what it cost."""

    item: Item
    verdict: Verdict | None
    seconds: float
    tokens: int
    failed: bool


def by_unit(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Those that were judged, by what counts once."""
    units: dict[str, list[Judged]] = {}
    for one in judged:
        if one.verdict is not None:
            units.setdefault(one.item.unit or f"item {one.item.id}", []).append(one)
    return units


def _unit_scores(judged: Sequence[Judged]) -> list[Score]:
    scores: list[Score] = []
    for members in by_unit(judged).values():
        found = [one.verdict.score for one in members if one.verdict is not None]
        scores.append(found[0] if len(found) == 1 else Score(float(all(s.value == 1 for s in found)), 1))
    return scores


def estimate(scores: Sequence[Score]) -> tuple[Estimate, str]:
    """The value and its interval, and which interval it is; without any score 0, anything being possible."""
    if not all(s.denominator == 1 and s.numerator in (0, 1) for s in scores):
        return aggregate(scores), "bootstrap"
    right = int(sum(s.numerator for s in scores))
    return Estimate(right / max(len(scores), 1), *wilson(right, len(scores))), "wilson"


def _row(task: str, metric: str, judged: Sequence[Judged], found: Estimate, n: int, interval: str) -> TaskSummary:
    summary: TaskSummary = {
        "task": task,
        "metric": metric,
        "value": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "n": n,
        "failed": sum(one.failed for one in judged),
        "seconds": round(sum(one.seconds for one in judged), 3),
        "tokens": sum(one.tokens for one in judged),
        "interval": interval,
    }
    ious = [one.verdict.score.iou for one in judged if one.verdict is not None]
    if ious and all(iou is not None for iou in ious):
        summary["mean_iou"] = sum(iou for iou in ious if iou is not None) / len(ious)
    if unscored := sum(one.verdict is None for one in judged):
        summary["unscored"] = unscored
    return summary


def _groups(name: str, judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """All under the benchmark's name, and its groups if there are several, sorted."""
    names = sorted({one.item.group for one in judged} - {""})
    parts = {f"{name}: {group}": [one for one in judged if one.item.group == group] for group in names}
    return {name: list(judged)} | (parts if len(parts) > 1 else {})


def summarise(name: str, metric: str, judged: Sequence[Judged]) -> dict[str, TaskSummary]:
    """The mean over units, of all and of every group."""
    rows: dict[str, TaskSummary] = {}
    for task, members in _groups(name, judged).items():
        scores = _unit_scores(members)
        found, interval = estimate(scores)
        rows[task] = _row(task, metric, members, found, len(scores), interval)
    return rows


def summarise_ocrbench(name: str, metric: str, judged: Sequence[Judged]) -> dict[str, TaskSummary]:
    """How many are right: of the whole benchmark the score up to 1,000."""
    rows = summarise(name, metric, judged)
    for row in rows.values():
        for key in ("value", "ci_low", "ci_high"):
            row[key] *= row["n"]
        row["scale"] = float(row["n"])
    return rows


def summarise_records(name: str, metric: str, judged: Sequence[Judged]) -> dict[str, TaskSummary]:
    """The project's own tasks, by task and metric."""
    pairs = dict.fromkeys((one.item.group, one.item.kind[0]) for one in judged)
    rows: dict[str, TaskSummary] = {}
    for task, kind in pairs:
        members = [one for one in judged if (one.item.group, one.item.kind[0]) == (task, kind)]
        scores = _unit_scores(members)
        found, interval = estimate(scores)
        mixed = sum(other == task for other, _ in pairs) > 1
        rows[f"{task} ({kind})" if mixed else task] = _row(task, kind, members, found, len(scores), interval)
    return rows


def summarise_mme(name: str, metric: str, judged: Sequence[Judged]) -> dict[str, TaskSummary]:
    """Per category 100 * (accuracy + accuracy+); sums of perception, of cognition and of both."""
    parts: dict[str, np.ndarray] = {}  # category -> (images, 3): right questions, questions, both right
    for category in sorted({one.item.group for one in judged}):
        members = [one for one in judged if one.item.group == category]
        rows = []
        for unit in by_unit(members).values():
            hits = [one.verdict.score.value for one in unit if one.verdict is not None]
            rows.append((sum(hits), len(hits), float(all(hit == 1 for hit in hits))))
        parts[category] = np.array(rows, np.float64)
    known = {f"{name}: perception": PERCEPTION, f"{name}: cognition": COGNITION}
    sums = {name: tuple(parts)} | {k: tuple(c for c in of if c in parts) for k, of in known.items()}
    sums |= {f"{name}: {category}": (category,) for category in parts}
    draws = {category: _mme_draws(images) for category, images in parts.items()}
    out: dict[str, TaskSummary] = {}
    for task, categories in sums.items():
        if not categories:
            continue
        low, high = np.percentile(sum(draws[c] for c in categories), [2.5, 97.5])
        value = sum(float(_mme_score(parts[c].sum(0), len(parts[c]))) for c in categories)
        members = [one for one in judged if one.item.group in categories]
        found = Estimate(value, float(low), float(high))
        images = sum(len(parts[c]) for c in categories)
        out[task] = _row(task, metric, members, found, images, "bootstrap")
        out[task]["scale"] = 200.0 * len(categories)
    return out


def _mme_score(sums: np.ndarray, images: int) -> np.ndarray:
    return 100 * (sums[..., 0] / sums[..., 1] + sums[..., 2] / images)


def _mme_draws(images: np.ndarray) -> np.ndarray:
    """Scores of a category over images drawn with replacement."""
    rng = np.random.default_rng(SEED)
    picks = rng.integers(len(images), size=(RESAMPLES, len(images)))
    return _mme_score(images[picks].sum(1), len(images))
