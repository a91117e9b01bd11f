"""Two runs: which test is used, what it says, and which questions changed."""

from pathlib import Path
from typing import Any

import pytest

from vl2.eval.compare import compare_runs, comparison_table, find_results
from vl2.eval.intervals import mcnemar
from vl2.eval.page import write_comparison
from vl2.eval.runner import Results, ScoredOutput, TaskSummary, save_results


def summary(task: str, metric: str) -> TaskSummary:
    return {"task": task, "metric": metric, "value": 0.0, "ci_low": 0.0, "ci_high": 1.0, "n": 1, "failed": 0,
            "seconds": 0.0, "tokens": 0}  # fmt: skip


def results(scores: dict[str, float], metric: str = "accuracy", task: str = "mmstar", **more: Any) -> Results:
    outputs: list[ScoredOutput] = [
        {"id": name, "task": task, "text": f"said {score}", "score": score, "tokens": 1, "finish_reason": "stop",
         "question": f"<b>{name}?</b>", "golds": ["gold"]}
        for name, score in scores.items()
    ]  # fmt: skip
    return {"config": {"benchmark": "mmstar", **more}, "tasks": {task: summary(task, metric)}, "outputs": outputs}


A = {f"q{n}": float(n < 10) for n in range(20)}


def test_right_or_wrong_goes_through_mcnemar() -> None:
    b = A | {f"q{n}": 1.0 for n in range(10, 17)} | {"q0": 0.0}
    comparison = compare_runs(results(A), results(b))
    (row,) = comparison.rows
    assert (row.n, row.first, row.second, row.better, row.worse) == (20, 0.5, 0.8, 7, 1)
    assert (row.test, row.p) == ("McNemar, exact", mcnemar(1, 7))
    assert row.low < 0.3 < row.high
    assert row.winner == ""  # p = 0.07
    assert [change.id for change in comparison.changes] == ["q0", *(f"q{n}" for n in range(10, 17))]
    more = compare_runs(results(A), results(A | {f"q{n}": 1.0 for n in range(10, 20)}))
    assert more.rows[0].winner == "B"
    assert compare_runs(results(A), results(A)).changes == []


def test_other_scores_go_through_a_paired_bootstrap() -> None:
    a = {f"q{n}": 0.5 + 0.001 * n for n in range(50)}
    b = {name: value + 0.02 for name, value in a.items()}
    (row,) = compare_runs(results(a, "anls"), results(b, "anls")).rows
    assert row.test == "paired bootstrap"
    assert row.winner == "B"
    assert row.low == pytest.approx(0.02)


def test_error_rates_are_better_when_lower() -> None:
    a, b = results({"q": 0.5, "r": 0.5}, "cer"), results({"q": 0.1, "r": 0.1}, "cer")
    for run, edits in ((a, 5.0), (b, 1.0)):
        for output in run["outputs"]:
            output["edits"], output["length"] = edits, 10.0
    (row,) = compare_runs(a, b).rows
    assert (row.first, row.second, row.better, row.worse) == (0.5, 0.1, 2, 0)
    assert row.winner == "B"


def test_rotations_count_once() -> None:
    runs = [results({"1": 1.0, "1+1": x, "2": 1.0, "2+1": 1.0}, "circular accuracy") for x in (0.0, 1.0)]
    for run in runs:
        for output in run["outputs"]:
            output["unit"] = output["id"][0]
    (row,) = compare_runs(*runs).rows
    assert (row.n, row.first, row.second, row.better) == (2, 0.5, 1.0, 1)


def test_two_questions_of_a_picture_are_one_unit_of_mme() -> None:
    """B answers the second question of ten pictures, too: ten units changed, each by a half and the one for both."""
    names = {f"{picture}{question}": float(question == "a") for picture in range(30) for question in "ab"}
    a = results(names, "accuracy + accuracy+")
    b = results(names | {f"{picture}b": 1.0 for picture in range(10)}, "accuracy + accuracy+")
    for run in (a, b):
        for output in run["outputs"]:
            output["unit"] = output["id"][:-1]
    (row,) = compare_runs(a, b).rows
    assert (row.n, row.better, row.worse, row.test) == (30, 10, 0, "paired bootstrap")
    assert (row.first, row.second) == (0.5, pytest.approx((20 * 0.5 + 10 * 2) / 30))
    assert row.low < row.second - row.first < row.high


def test_runs_that_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="data_sha256: a and b; runs are compared on the same questions only"):
        compare_runs(results(A, data_sha256="a"), results(A, data_sha256="b"))
    with pytest.raises(ValueError, match="ids: the runs have none in common"):
        compare_runs(results({"x": 1.0}), results({"y": 1.0}))
    assert compare_runs(results({"x": 1.0, "z": 1.0}), results({"x": 1.0, "y": 1.0})).unmatched == 2


def test_files_table_and_page(tmp_path: Path) -> None:
    save_results(results(A), tmp_path / "a" / "results.json")
    save_results(results(A | {"q0": 0.0}), tmp_path / "b.json")
    comparison = compare_runs(find_results(tmp_path / "a"), find_results(tmp_path / "b.json"))
    assert comparison_table(comparison, "a", "b").row_count == 1
    write_comparison(comparison, "a", "b", tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text("utf-8")
    assert "&lt;b&gt;q0?&lt;/b&gt;" in page
    assert "<b>q0" not in page
