"""Runs in a directory: written as they come, killed and continued, refused when they are not the same run."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmark_files import b64, write_tsv

from vl2.eval.benchmarks import OWN_TASKS, find_benchmark, read_items
from vl2.eval.items import Item, record_item
from vl2.eval.rows import Rows
from vl2.eval.run import RunError, run
from vl2.eval.runner import Output, load_results
from vl2.processing.messages import Message, Text

SETTINGS = {"model": "m", "data": "d"}


class Parrot:
    """Answers with the last words of the question; refuses what it is told to."""

    def __init__(self, refuse: str = "never") -> None:
        self.refuse, self.batches = refuse, [0]

    def answer_messages(self, messages: Sequence[Message]) -> list[Output]:
        texts = ["".join(part.text for part in message.parts if isinstance(part, Text)).strip() for message in messages]
        if any(self.refuse in text for text in texts):
            raise ValueError("too long")
        self.batches.append(len(messages))
        return [Output(text.split("\n")[0].split()[-1], tokens=3, finish_reason="stop") for text in texts]


def questions(path: Path, count: int) -> list[Item]:
    rows = [
        {"index": n, "question": f"say {n}", "answer": str(n % 4), "image": b64() if n == 0 else "0"}
        for n in range(count)
    ]
    return read_items(find_benchmark("docvqa"), Rows(write_tsv(path / "d.tsv", rows)))


def go(items: Sequence[Item], out: Path, parrot: Parrot, **more: Any):
    return run(find_benchmark("docvqa"), items, lambda: parrot, out, settings=SETTINGS, **more)


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "answers.jsonl").read_text("utf-8").splitlines()]


def test_a_run_and_what_it_leaves(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out, parrot = tmp_path / "out", Parrot()
    results = go(questions(tmp_path, 7), out, parrot, batch_size=3, progress=lambda *event: seen.append(event))
    assert parrot.batches == [0, 3, 3, 1]
    assert seen == [(0, 7), (3, 7), (6, 7), (7, 7)]
    assert results["tasks"]["docvqa"]["value"] == pytest.approx(4 / 7)
    assert results["config"] == {**SETTINGS, "batch_size": 3}
    assert load_results(out / "results.json") == results
    assert not (out / "submission.json").exists()
    assert [(line["id"], line["text"], line["tokens"]) for line in lines(out)][:2] == [("0", "0", 3), ("1", "1", 3)]
    output = results["outputs"][5]
    assert (output.get("question"), output.get("golds"), output["text"], output["score"]) == ("say 5", ["1"], "5", 0.0)


def test_a_torn_line_is_asked_again_and_nothing_else(tmp_path: Path) -> None:
    items, out = questions(tmp_path, 6), tmp_path / "out"
    whole = go(items, out, Parrot(), batch_size=2)
    path = out / "answers.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    again = Parrot()
    results = go(items, out, again, batch_size=2)
    assert again.batches == [0, 1]
    assert [line["id"] for line in lines(out)] == ["0", "1", "2", "3", "4", "5"]
    assert results["outputs"] == whole["outputs"]


def test_a_finished_run_needs_no_model(tmp_path: Path) -> None:
    items, out = questions(tmp_path, 3), tmp_path / "out"
    before = go(items, out, Parrot())

    def none() -> Parrot:
        raise AssertionError("loaded a model")

    newer = {
        **SETTINGS,
        "commit": "new",
    }  # judged again by newer code; the answers keep the settings they were made with
    assert run(find_benchmark("docvqa"), items, none, out, settings=newer) == before


def test_another_run_is_refused(tmp_path: Path) -> None:
    items, out = questions(tmp_path, 3), tmp_path / "out"
    go(items, out, Parrot())
    for change, message in [
        ({"model": "other"}, "model = 'm', and now 'other'"),
        ({"limit": 2}, "limit = None, and now 2"),
    ]:
        with pytest.raises(RunError, match=message):
            run(find_benchmark("docvqa"), items, Parrot, out, settings=SETTINGS | change)
    (out / "answers.jsonl").write_bytes(b"")
    with pytest.raises(RunError, match="commit = None, and now 'new'"):  # answers of two versions must not mix
        run(find_benchmark("docvqa"), items, Parrot, out, settings=SETTINGS | {"commit": "new"})
    (out / "run.json").unlink()
    with pytest.raises(RunError, match=r"holds answers but no run\.json"):
        go(items, out, Parrot())


def test_damage_inside_is_an_error(tmp_path: Path) -> None:
    items, out = questions(tmp_path, 3), tmp_path / "out"
    go(items, out, Parrot())
    path = out / "answers.jsonl"
    path.write_text("{broken\n" + path.read_text("utf-8"), encoding="utf-8")
    with pytest.raises(RunError, match=r"answers\.jsonl:1: no answer"):
        go(items, out, Parrot())


def test_what_is_refused_or_unreadable_is_wrong_and_kept(tmp_path: Path) -> None:
    rows = [{"index": n, "question": f"say {n}", "answer": str(n), "image": b64()} for n in range(3)]
    rows[1]["image"] = "!" * 80
    rows[2]["question"] = "much too long"
    items = read_items(find_benchmark("docvqa"), Rows(write_tsv(tmp_path / "d.tsv", rows)))
    results = go(items, tmp_path / "out", Parrot(refuse="too long"))
    assert [output["score"] for output in results["outputs"]] == [1.0, 0.0, 0.0]
    assert results["outputs"][2].get("error") == "too long"
    assert "not base64" in results["outputs"][1].get("error", "")
    assert results["tasks"]["docvqa"]["failed"] == 2


def test_hidden_answers_are_written_for_the_server_whose_form_is_known(tmp_path: Path) -> None:
    rows = [{"index": 65537, "question": "say é", "answer": "", "image": b64()}]
    for name in ("docvqa", "infovqa", "textvqa"):
        items = read_items(find_benchmark(name), Rows(write_tsv(tmp_path / "d.tsv", rows)))
        run(find_benchmark(name), items, Parrot, tmp_path / name, settings=SETTINGS)
        path = tmp_path / name / "submission.json"
        if name == "textvqa":
            assert not path.exists()
        else:
            assert json.loads(path.read_text("utf-8")) == [{"questionId": 65537, "answer": "é"}]


def test_records_of_own_tasks(records: list[Any], tmp_path: Path) -> None:
    items = [record_item(record) for record in records]
    results = run(OWN_TASKS, items, Parrot, tmp_path / "out", settings=SETTINGS)
    assert list(results["tasks"]) == ["line", "form", "ground"]
    assert results["tasks"]["ground"]["value"] == 0.5  # the absent dog
    assert results["tasks"]["line"]["metric"] == "cer"
    assert all(output["task"] in results["tasks"] for output in results["outputs"])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_continued(tmp_path: Path) -> None:
    """A real process, killed without warning in the middle, twice."""
    questions(tmp_path, 40)
    out, answers = tmp_path / "out", tmp_path / "out" / "answers.jsonl"
    command = [sys.executable, str(Path(__file__).with_name("slow_run.py")), str(tmp_path / "d.tsv"), str(out)]
    for wanted in (3, 9):
        process = subprocess.Popen([*command, "0.05"])
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if answers.exists() and answers.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL  # it was in the middle
        assert answers.read_bytes().count(b"\n") >= wanted
        assert not (out / "results.json").exists()
    kept = answers.read_bytes().rpartition(b"\n")[0]
    with answers.open("ab") as file:
        file.write(b'{"id": "39", "te')  # as a kill in the middle of a write leaves it
    assert subprocess.run([*command, "0"], timeout=120, check=False).returncode == 0
    assert answers.read_bytes().startswith(kept)
    assert [line["id"] for line in lines(out)] == [str(n) for n in range(40)]
    assert len(load_results(out / "results.json")["outputs"]) == 40
