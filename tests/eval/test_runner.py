"""The runner: grouping, batches, failures, sums; results that are written whole."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from vl2.data.records import Record
from vl2.eval.benchmarks import OWN_TASKS
from vl2.eval.intervals import wilson
from vl2.eval.items import record_item
from vl2.eval.run import run
from vl2.eval.runner import Output, evaluate, load_results, save_results
from vl2.processing.boxes import Box, Region
from vl2.processing.messages import Message


class Scripted:
    """Answers by id, and remembers the batches it saw; refuses any batch with an id it was told to refuse."""

    def __init__(self, answers: dict[str, Output], refuse: Sequence[str] = ()) -> None:
        self.answers, self.refuse = answers, refuse
        self.batches: list[list[str]] = []

    def answer(self, records: Sequence[Record]) -> list[Output]:
        self.batches.append([record.id for record in records])
        for record in records:
            if record.id in self.refuse:
                raise ValueError(f"{record.id}: cannot be read")
        return [self.answers.get(record.id, Output("")) for record in records]


ANSWERS = {
    "line/0": Output("abcdefghix", tokens=5, finish_reason="stop"),
    "line/1": Output("ax", tokens=2),
    "form/0": Output("ann.", tokens=1),
    "form/1": Output("roma", tokens=1),
    "form/2": Output("5", tokens=1),
    "ground/0": Output("", (Region("cat", Box(0.0, 0.0, 100.0, 40.0)),), tokens=9),
}


def test_scores_and_sums_by_task(records: list[Record]) -> None:
    model = Scripted(ANSWERS)
    seen: list[tuple[str, int, int]] = []
    results = evaluate(records, model, lambda *event: seen.append(event), 2, config={"model": "scripted"})
    tasks = results["tasks"]
    assert list(tasks) == ["line", "form", "ground"]
    assert tasks["line"]["value"] == pytest.approx(2 / 12)  # of the corpus
    assert tasks["form"]["value"] == pytest.approx(2 / 3)
    assert tasks["ground"]["value"] == 1
    assert tasks["ground"].get("mean_iou") == pytest.approx(0.9)
    assert "mean_iou" not in tasks["line"]
    assert [tasks[name]["n"] for name in tasks] == [2, 3, 2]
    assert [tasks[name]["tokens"] for name in tasks] == [7, 3, 9]
    assert all(task["ci_low"] <= task["value"] <= task["ci_high"] for task in tasks.values())
    assert all(task["seconds"] >= 0 and task["failed"] == 0 for task in tasks.values())
    assert model.batches == [["line/0", "line/1"], ["form/0", "form/1"], ["form/2"], ["ground/0", "ground/1"]]
    assert seen == [("line", 2, 7), ("form", 4, 7), ("form", 5, 7), ("ground", 7, 7)]
    assert results["config"]["model"] == "scripted"
    assert results["config"]["batch_size"] == 2


def test_every_output_is_kept(records: list[Record]) -> None:
    outputs = {output["id"]: output for output in evaluate(records, Scripted(ANSWERS))["outputs"]}
    assert set(outputs) == {record.id for record in records}
    line = outputs["line/0"]
    assert (line["text"], line["finish_reason"], line["tokens"]) == ("abcdefghix", "stop", 5)
    assert (line["score"], line.get("edits"), line.get("length")) == (0.1, 1, 10)
    found = outputs["ground/0"]
    assert found.get("regions") == [{"label": "cat", "box": [0.0, 0.0, 100.0, 40.0]}]
    assert found.get("iou") == pytest.approx(0.8)
    assert outputs["ground/1"]["score"] == 1  # rightly not there


def test_one_bad_record_costs_only_itself(records: list[Record]) -> None:
    model = Scripted(ANSWERS, refuse=["form/1", "ground/1", "line/1"])
    results = evaluate(records, model)
    assert ["form/0", "form/1", "form/2"] in model.batches
    assert ["form/0"] in model.batches
    tasks = results["tasks"]
    assert [tasks[name]["failed"] for name in tasks] == [1, 1, 1]
    assert tasks["form"]["value"] == pytest.approx(1 / 3)
    assert tasks["line"]["value"] == pytest.approx((1 + 2) / 12)
    assert tasks["ground"]["value"] == 0.5  # a refusal is not "absent"
    errors = {output["id"]: output.get("error") for output in results["outputs"]}
    assert errors["form/1"] == "form/1: cannot be read"
    assert errors["form/0"] is None


def test_a_refused_blank_page_is_not_a_perfect_reading(picture: str) -> None:
    blank = Record("line/0", (picture,), "", ("",), "cer", "line")
    assert evaluate([blank], Scripted({}))["tasks"]["line"]["value"] == 0
    assert evaluate([blank], Scripted({}, refuse=["line/0"]))["tasks"]["line"]["value"] == 1


def test_a_task_with_two_metrics_has_a_row_for_each(picture: str) -> None:
    mixed = [
        Record("t/0", (picture,), "", ("a b",), "cer", "t"),
        Record("t/1", (picture,), "", ("a b",), "wer", "t"),
        Record("u/1", (picture,), "", ("a b",), "wer", "u"),
    ]
    results = evaluate(mixed, Scripted({"t/0": Output("a c"), "t/1": Output("a c")}))
    assert {name: task["value"] for name, task in results["tasks"].items()} == {
        "t (cer)": pytest.approx(1 / 3),
        "t (wer)": 0.5,
        "u": 1.0,
    }


def test_right_or_wrong_has_the_interval_of_a_run_in_a_directory(picture: str, tmp_path: Path) -> None:
    """60 of 60 do not make sure that all are right, and both ways to evaluate say so; a rate stays a bootstrap."""
    records = [Record(f"form/{n}", (picture,), "Name?", ("Ann",), "exact", "form") for n in range(60)]
    records += [Record(f"line/{n}", (picture,), "", ("Ann",), "cer", "line") for n in range(5)]

    class Ann:
        def answer(self, records: Sequence[Record]) -> list[Output]:
            return [Output("Ann", tokens=2) for _ in records]

        def answer_messages(self, messages: Sequence[Message]) -> list[Output]:
            return [Output("Ann", tokens=2) for _ in messages]

    tasks = evaluate(records, Ann())["tasks"]
    assert (tasks["form"]["ci_low"], tasks["form"]["ci_high"]) == wilson(60, 60)
    assert tasks["form"]["ci_low"] == pytest.approx(0.9398, abs=1e-4)
    assert [tasks[task].get("interval") for task in ("form", "line")] == ["wilson", "bootstrap"]
    written = run(OWN_TASKS, [record_item(record) for record in records], Ann, tmp_path / "out", settings={})["tasks"]
    for task in ("form", "line"):
        assert {**tasks[task], "seconds": 0} == {**written[task], "seconds": 0}


def test_records_of_two_files_may_share_an_id(picture: str) -> None:
    same = [Record("1", (picture,), "", (gold,), "cer", "t") for gold in ("ab", "abcd")]
    task = evaluate(same, Scripted({"1": Output("ab", tokens=2)}))["tasks"]["t"]
    assert (task["n"], task["tokens"], task["value"]) == (2, 4, pytest.approx(2 / 6))


def test_wrong_use(records: list[Record]) -> None:
    class Short:
        def answer(self, records: Sequence[Record]) -> list[Output]:
            return []

    class Broken:
        def answer(self, records: Sequence[Record]) -> list[Output]:
            raise RuntimeError("out of memory")

    with pytest.raises(ValueError, match="records: empty"):
        evaluate([], Scripted({}))
    with pytest.raises(ValueError, match="batch_size = 0"):
        evaluate(records, Scripted({}), batch_size=0)
    with pytest.raises(RuntimeError, match="0 outputs for 2 records"):
        evaluate(records, Short())
    with pytest.raises(RuntimeError, match="out of memory"):  # only bad input is a bad record
        evaluate(records, Broken())


def test_results_round_trip(records: list[Record], tmp_path: Path) -> None:
    results = evaluate(records, Scripted(ANSWERS | {"form/2": Output("é\u2028“4”")}), config={"model": "m"})
    path = tmp_path / "new" / "results.json"
    save_results(results, path)
    save_results(results, path)  # replaces
    assert load_results(path) == results
    assert set(json.loads(path.read_text("utf-8"))) == {"config", "tasks", "outputs"}
    assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]


def test_results_are_written_whole_or_not_at_all(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results = evaluate(records, Scripted(ANSWERS))
    save_results(results, path)
    before = path.read_bytes()
    results["config"]["device"] = object()
    with pytest.raises(TypeError):
        save_results(results, path)
    assert path.read_bytes() == before


def test_other_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json: expected results of `vl2 eval`"):
        load_results(tmp_path / "x.json")
