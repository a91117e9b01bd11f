"""The benchmarks' metrics against an independent implementation, lmms-eval.

Its verdicts on random cases are recorded in lmms_eval.json; where it is installed it is asked again, about new cases,
too. lmms_eval_cases.py says which cases are left out because the two differ on purpose; here are examples of these.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from lmms_eval_cases import COMPARISONS, RECORDED

CASES = json.loads(RECORDED.read_text("utf-8"))


def mme_pair(said: str) -> list[dict[str, str]]:
    row = {"question_id": "1.png", "question": "Is it?", "answer": "Yes", "category": "count", "said": said}
    return [row, row]


DIFFERENCES: list[tuple[str, Any, Any, Any]] = [  # metric, case, our verdict, theirs
    ("anls", ["ab", ["ac"]], 0.0, 0.5),  # NL = 0.5 is not below the threshold
    ("anls", ["abc  d", ["abc x"]], 0.8, 1 - 1 / 6),  # they count white space that they do not compare
    ("relaxed", ["1.05", "1"], 1.0, 0.0),  # 5 % exactly
    ("relaxed", ["nan", "NaN"], 1.0, 0.0),
    ("relaxed", ["1_000", "1000"], 0.0, 1.0),
    ("relaxed", ["Blue ", "blue"], 1.0, 0.0),
    ("vqa", ["cat's", ["cat 's"] * 10], 0.0, 1.0),
    ("vqa", ["red,blue", ["red blue"] * 10], 1.0, 0.0),
    ("vqa", ["1,000 x-ray", ["1000 xray"] * 10], 1.0, 0.0),  # VQA's own: beside such a comma no mark leaves a space
    ("ocrbench", ["ＡＢＣ", ["abc"], False], 0.0, 1.0),
    ("mme", mme_pair("I think yes"), [200.0, 0.0], [0.0, 0.0]),
    ("mme", mme_pair("y"), [0.0, 0.0], [200.0, 0.0]),
]


@pytest.mark.parametrize("name", COMPARISONS)
def test_as_lmms_eval_recorded_it(name: str, tmp_path: Path) -> None:
    comparison = COMPARISONS[name]
    cases = [(case, theirs) for named, case, theirs in CASES if named == name]
    assert len(cases) == comparison.count
    for case, theirs in cases:
        assert comparison.ours(case, tmp_path) == pytest.approx(theirs), case
    verdicts = {json.dumps(theirs) for _, theirs in cases}
    assert len(verdicts) > 1  # a comparison in which all are right compares nothing


@pytest.mark.parametrize(("name", "case", "ours", "theirs"), DIFFERENCES)
def test_where_lmms_eval_differs(name: str, case: Any, ours: Any, theirs: Any, tmp_path: Path) -> None:
    assert COMPARISONS[name].ours(case, tmp_path) == pytest.approx(ours)
    assert ours != theirs


def test_as_lmms_eval_says_now(tmp_path: Path) -> None:
    pytest.importorskip("lmms_eval", reason="lmms-eval is too heavy to install for tests; its verdicts are recorded")
    for name, case, theirs in [*CASES, *((name, case, theirs) for name, case, _, theirs in DIFFERENCES)]:
        assert COMPARISONS[name].theirs(case) == pytest.approx(theirs), case
    rng = random.Random()
    for comparison in COMPARISONS.values():
        for _ in range(comparison.count):
            case = comparison.draw(rng)
            assert comparison.ours(case, tmp_path) == pytest.approx(comparison.theirs(case)), case
