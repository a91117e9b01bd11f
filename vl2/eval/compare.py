"""Two runs on the same questions: whether they differ, by paired tests, and on which questions.

    results of A and B --ids that both have--> units --McNemar or paired bootstrap--> a row a task, changed questions

Right or wrong is tested by McNemar's exact test, any other score by a paired bootstrap; the interval of the
difference is always a paired bootstrap.

The trap: values here are means over units (rates for cer and wer), also where a benchmark prints a sum. So MME shows
the mean of accuracy + accuracy+ over pictures, at most 2, and OCRBench the share of 1,000.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from vl2.eval.intervals import mcnemar, paired_bootstrap
from vl2.eval.metrics import ERROR_RATES
from vl2.eval.runner import Results, ScoredOutput, load_results
from vl2.eval.summary import COGNITION, PERCEPTION

_ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """A task in both runs. better, worse: units that the second run scored higher, or lower.

    low, high: 95 % interval of second - first. test: what gave p.
    """

    task: str
    metric: str
    n: int
    first: float
    second: float
    low: float
    high: float
    better: int
    worse: int
    test: str
    p: float

    @property
    def winner(self) -> str:
        """ "A" or "B", the first run or the second, if p is below 0.05; else ""."""
        if self.p >= _ALPHA or self.first == self.second:
            return ""
        return "B" if (self.second > self.first) != (self.metric in ERROR_RATES) else "A"


@dataclass(frozen=True)
class Change:
    """A question on which the runs scored differently."""

    id: str
    task: str
    question: str
    golds: str
    first_text: str
    second_text: str
    first_score: float
    second_score: float


@dataclass(frozen=True)
class Comparison:
    """Rows by task, changed questions (largest change first), and how many ids only one run has."""

    rows: list[Difference]
    changes: list[Change]
    unmatched: int


def find_results(path: Path) -> Results:
    """Results of a run's directory or of a file. Raises ValueError."""
    return load_results(path / "results.json" if path.is_dir() else path)


def compare_runs(first: Results, second: Results) -> Comparison:
    """Compare by ids that both have. Raises ValueError for runs on different data, or without a common id."""
    for key in ("benchmark", "data_sha256"):
        one, other = first["config"].get(key), second["config"].get(key)
        if one and other and one != other:
            raise ValueError(f"{key}: {one} and {other}; runs are compared on the same questions only")
    a = {output["id"]: output for output in first["outputs"]}
    b = {output["id"]: output for output in second["outputs"]}
    pairs = [(a[name], b[name]) for name in a if name in b]
    if not pairs:
        raise ValueError("ids: the runs have none in common; runs are compared on the same questions only")
    rows = [
        _difference(task, first["tasks"][task]["metric"], members)
        for task in first["tasks"]
        if task in second["tasks"] and (members := [p for p in pairs if _belongs(p[0], task, first)])
    ]
    changes = [_change(one, other) for one, other in pairs if one["score"] != other["score"]]
    changes.sort(key=lambda change: -abs(change.first_score - change.second_score))
    return Comparison(rows, changes, len(a.keys() ^ b.keys()))


def _belongs(output: ScoredOutput, task: str, results: Results) -> bool:
    sums = {"mme: perception": PERCEPTION, "mme: cognition": COGNITION}
    if task in sums:
        return output["task"].removeprefix("mme: ") in sums[task]
    return task in (output["task"], results["config"].get("benchmark"))


def _fractions(outputs: Sequence[ScoredOutput], metric: str) -> list[tuple[float, float]]:
    """(numerator, denominator) of every unit, in the order of first appearance.

    What is asked about one thing is no two things: rotations of a question (MMBench) are right together or not, and a
    picture of MME has the share of its questions that are right, and 1 more if all are.
    """
    by_unit = metric in ("circular accuracy", "accuracy + accuracy+")
    units: dict[str, list[ScoredOutput]] = {}
    for output in outputs:
        name = output.get("unit", "") if by_unit else ""
        units.setdefault(f"unit {name}" if name else f"id {output['id']}", []).append(output)
    fractions: list[tuple[float, float]] = []
    for members in units.values():
        scores = [member["score"] for member in members]
        together = float(all(score == 1 for score in scores))
        if metric == "accuracy + accuracy+":
            fractions.append((sum(scores) / len(scores) + together, 1.0))
        elif by_unit:
            fractions.append((together, 1.0))
        else:
            fractions.append((members[0].get("edits", scores[0]), members[0].get("length", 1.0)))
    return fractions


def _difference(task: str, metric: str, pairs: Sequence[tuple[ScoredOutput, ScoredOutput]]) -> Difference:
    a = _fractions([one for one, _ in pairs], metric)
    b = _fractions([other for _, other in pairs], metric)
    low, high, p = paired_bootstrap(a, b)
    worse, better = sum(x > y for x, y in zip(a, b, strict=True)), sum(x < y for x, y in zip(a, b, strict=True))
    if metric in ERROR_RATES:
        worse, better = better, worse
    binary = all(top in (0, 1) and bottom == 1 for top, bottom in (*a, *b)) and metric not in ERROR_RATES
    test = "McNemar, exact" if binary else "paired bootstrap"
    return Difference(
        task=task,
        metric=metric,
        n=len(a),
        first=_ratio(a),
        second=_ratio(b),
        low=low,
        high=high,
        better=better,
        worse=worse,
        test=test,
        p=mcnemar(worse, better) if binary else p,
    )


def _ratio(fractions: Sequence[tuple[float, float]]) -> float:
    return sum(top for top, _ in fractions) / max(sum(bottom for _, bottom in fractions), 1)


def _change(one: ScoredOutput, other: ScoredOutput) -> Change:
    golds = [gold if isinstance(gold, str) else str(gold.get("box")) for gold in one.get("golds", [])]
    return Change(
        id=one["id"],
        task=one["task"],
        question=one.get("question", ""),
        golds=" | ".join(golds),
        first_text=one["text"],
        second_text=other["text"],
        first_score=one["score"],
        second_score=other["score"],
    )


def comparison_table(comparison: Comparison, first: str, second: str) -> Table:
    """One row a task."""
    caption = f"{comparison.unmatched} ids are in one run only, and left out" if comparison.unmatched else None
    grid = Table(title=f"A = {first}, B = {second}", caption=caption)
    grid.add_column("task")
    for name in ("n", "A", "B", "B - A, 95 % interval", "better : worse", "p", "wins"):
        grid.add_column(name, justify="right", no_wrap=name.startswith("B -"))
    for row in comparison.rows:
        interval = f"{row.low:+.3f} to {row.high:+.3f}"
        counts = f"{row.better} : {row.worse}"
        values = [f"{row.first:.3f}", f"{row.second:.3f}", interval, counts]
        grid.add_row(row.task, str(row.n), *values, f"{row.p:.2g}", row.winner or "?")
    return grid
