"""The scripts that measure Nano: what is asked, how it is judged, and that nothing is compared on other pictures."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vl2.data.dialogue import record_conversation
from vl2.data.records import read_records
from vl2.eval.benchmarks import OWN_TASKS
from vl2.eval.items import record_item
from vl2.eval.run import judge
from vl2.eval.runner import Results
from vl2.processing.images import open_image
from vl2.processing.messages import Text
from vl2.synth import charts, plots
from vl2.synth.export import export
from vl2.synth.registry import TaskError, generate

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


def script(name: str) -> ModuleType:
    return sys.modules.get(name) or importlib.import_module(name)


def results_of(paths: list[Path], wrong: int, groups: dict[str, str] | None = None) -> Results:
    """What a model that is right but for the first `wrong` answers would get."""
    items = [record_item(record) for path in paths for record in read_records(path)]
    answers: dict[str, Any] = {}
    for number, item in enumerate(items):
        line = {"id": item.id, "text": "" if number < wrong else item.texts[0], "seconds": 0.0}
        answers[item.id] = {**line, "tokens": 1, "finish_reason": "stop"}
    return judge(OWN_TASKS, items, answers, {"groups": groups or {}})


def test_processes_take_turns_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    measure = script("measure_nano")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    gpus = measure.visible_gpus()
    assert [measure.environment_of(number, gpus)["CUDA_VISIBLE_DEVICES"] for number in range(4)] == ["2", "5", "2", "5"]
    assert measure.environment_of(1, [])["CUDA_VISIBLE_DEVICES"] == "2,5"


def test_rows_ask_what_the_first_version_was_asked(tmp_path: Path) -> None:
    records = script("nano_records")
    rows = {row.name: row for row in records.ROWS}
    for name in ("line", "count"):
        export(name, 6, tmp_path / name, seed=records.SEED, split="test")
        lines = (tmp_path / name / "records.jsonl").read_text("utf-8").splitlines()
        of_image: Counter[str] = Counter()
        expected = []
        for record in map(json.loads, lines):
            if record["metric"] == rows[name].metric and of_image[record["images"][0]] < 2:
                of_image[record["images"][0]] += 1
                expected.append((record["question"], record["answers"]))
        made = list(read_records(records.make_row(tmp_path, rows[name], 6)))
        assert [(record.question, list(record.answers)) for record in made] == expected[:6]
        assert {record.task for record in made} == {name}


def test_rows_of_charts_ask_for_values_or_for_markdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = script("nano_records")
    rows = {row.name: row for row in records.ROWS}
    for name in ("chart, Markdown", "real-chart, Markdown"):
        assert rows[name].target is None
        made = list(read_records(records.make_row(tmp_path, rows[name], 8)))
        assert all(str(record.answers[0]).startswith("| ") and record.metric == "cer" for record in made)
        assert len({record.images for record in made}) == len(made)

    def asked(folder: Path) -> list[list[tuple[str, list[str]]]]:
        made = (records.make_row(folder, rows[name], 12) for name in ("chart", "real-chart", "chart-zh"))
        return [[(record.id, list(map(str, record.answers))) for record in read_records(path)] for path in made]

    now = asked(tmp_path)
    for module in (charts, plots):
        monkeypatch.setattr(module, "whole_questions", lambda *_, **__: [])
    assert asked(tmp_path / "before") == now


# What a row's questions and right answers look like, where its name promises a part of its task.
_LOOKS = {
    "flow, Markdown": ("cer", ".", r"[^{]"),
    "flow-zh, Markdown": ("cer", "(?i)markdown", r"[^{]"),
    "invoice, JSON": ("anls", ".", r"\{.*\}"),
    "receipt, JSON": ("anls", r"JSON of this schema: \{", r"\{.*\}"),
    "form, JSON": ("anls", r"JSON of this schema: \{", r"\{.*\}"),
    "form-zh, ticks": ("exact", "勾|ticked", "[是否]$"),
    "pages, which page": ("exact", ".", r"(page )?\d+$|(yes|no)$"),
    "compare, changes": ("anls", "chang|differ", "(In|The|Nothing) .*(image|place|became|from|changed)"),
    "compare, boxes": ("iou", "chang|differ", "Region"),
    "dialogue, follow-ups": ("exact", "(?i)colou?r|how (many|about)|^and |^what about", r"[a-z]+$|\d+$"),
    "unanswerable": ("anls", ".", r"It is not in the image\.$|No text\.$|图中没有。$|没有文字。$"),
}


def test_every_row_draws_what_its_name_says(tmp_path: Path) -> None:
    records = script("nano_records")
    names = [row.name for row in records.ROWS]
    assert len({*map(records.slug, names)}) == len(names)
    assert _LOOKS.keys() <= {*names}
    for row in records.ROWS:
        if row.task.startswith("gui"):  # needs a browser
            continue
        metric, question, answer = _LOOKS.get(row.name, (row.metric, "", ""))
        for record in read_records(records.make_row(tmp_path, row, 4 if row.name in _LOOKS else 1)):
            assert record.metric == row.metric == metric
            assert re.search(question, record.question, re.DOTALL), record
            assert all(re.match(answer, str(one), re.DOTALL) for one in record.answers[:1]), record
            assert len(record.images) > 1 or row.task not in ("pages", "compare")
            assert len(record.earlier) == row.follows


def test_follow_ups_are_asked_behind_the_first_question(tmp_path: Path) -> None:
    records = script("nano_records")
    row = next(row for row in records.ROWS if row.name == "dialogue, follow-ups")
    for record in read_records(records.make_row(tmp_path, row, 12)):
        index, first, place = (int(number) for number in record.id.split("-")[-3:])
        question = generate("dialogue", records.SEED, index, "test").questions[first]
        assert record.earlier == ((question.text, question.answers[0]),)
        assert (record.question, record.answers) == (question.then[place].text, question.then[place].answers)
        said = [part.text for part in record_conversation(record)[0].parts if isinstance(part, Text)]
        assert said[-1] == question.text


def test_rows_of_json_ask_about_the_pictures_of_their_task(tmp_path: Path) -> None:
    records = script("nano_records")
    row = next(row for row in records.ROWS if row.name == "receipt, JSON")
    assert row.target is None
    found = list(read_records(records.make_row(tmp_path, row, 4)))
    for index, record in enumerate(found[::2]):
        assert all(key in record.question for key in json.loads(str(record.answers[0])))
        drawn = generate("receipt", records.SEED, index, "test").image
        assert open_image(record.images[0]).tobytes() == drawn.tobytes()
    with pytest.raises(TaskError, match="for training only"):
        generate("receipt-fields", records.SEED, 0, "test")


def test_groups_differ_in_nothing_but_their_wear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = script("nano_records")
    monkeypatch.setattr(records, "PICTURES", 2)
    groups = {group.name: records.make_group(tmp_path, group) for group in records.GROUPS if group.task == "line"}
    read = {name: list(read_records(path)) for name, path in groups.items()}
    texts = {name: [record.answers for record in found] for name, found in read.items()}
    assert texts["clean, lines"] == texts["noisy, lines"] == texts["rotated, lines"]
    clean, noisy, rotated = (open_image(read[f"{name}, lines"][0].images[0]) for name in ("clean", "noisy", "rotated"))
    assert clean.size == noisy.size
    assert clean.tobytes() != noisy.tobytes()
    assert rotated.height > clean.height
    again = script("nano_records").make_group(tmp_path / "again", records.GROUPS[0])
    assert records.digest(again, 2) == records.digest(groups["clean, lines"], 2) != records.digest(again, 1)


_BARE = """
import runpy, sys
for name in ("cv2", "jinja2", "matplotlib", "playwright", "rapidocr", "rich", "typer"):
    sys.modules[name] = None  # importing it fails
sys.argv = ["measure_nano.py", *sys.argv[2:]]
sys.path.insert(0, "scripts")
runpy.run_path("scripts/measure_nano.py", run_name="__main__")
"""


def test_records_and_answers_need_little_and_go_on(tmp_path: Path) -> None:
    def bare(*arguments: object) -> str:
        command = [sys.executable, "-c", _BARE, "-", *map(str, arguments), "--records", "2"]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, cwd=ROOT).stdout

    assert "page-photo: left out" in bare("records", tmp_path, "--only", "line;ground;page-photo")
    assert sorted(path.name for path in (tmp_path / "rows").iterdir()) == ["ground", "line"]
    said = bare("answer", tmp_path, "--device", "cpu", "--jobs", "1")
    assert "part 1 of 1: 4 of 4" in said
    run = tmp_path / "nano"
    results = json.loads((run / "results.json").read_text("utf-8"))
    assert {name: row["n"] for name, row in results["tasks"].items()} == {"line": 2, "ground": 2}
    (run / "results.json").unlink()
    log = run / "part-0-of-1" / "answers.jsonl"
    written = log.read_bytes()
    bare("answer", tmp_path, "--device", "cpu", "--jobs", "1")
    assert log.read_bytes() == written  # nothing was asked again
    assert json.loads((run / "results.json").read_text("utf-8")) == results

    brought = log.parent.rename(run / "part-1-of-3") / log.name  # as if another machine had answered half
    brought.write_bytes(b"".join(written.splitlines(keepends=True)[:2]))
    assert "part 1 of 1: 2 of 2" in bare("answer", tmp_path, "--device", "cpu", "--jobs", "1")
    again = json.loads((run / "results.json").read_text("utf-8"))
    assert [output["id"] for output in again["outputs"]] == [output["id"] for output in results["outputs"]]
    assert [row["value"] for row in again["tasks"].values()] == [row["value"] for row in results["tasks"].values()]
    settings = brought.with_name("run.json")
    settings.write_text(settings.read_text("utf-8").replace('sha256": "', 'sha256": "0'), "utf-8")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        bare("answer", tmp_path, "--device", "cpu", "--jobs", "1")
    assert "answers of other weights" in refused.value.stderr


def test_table_says_what_is_met_missed_and_was_better(tmp_path: Path) -> None:
    records, report = script("nano_records"), script("nano_report")
    rows = {row.name: row for row in records.ROWS}
    path = records.make_row(tmp_path, rows["count"], 10)
    before = {"count": {"metric": "exact", "value": 0.85, "ci_low": 0.8, "ci_high": 0.9, "n": 500}}
    right, wrong = results_of([path], 0), results_of([path], 2)
    assert "| count | exact | 10 | 1.000 (0.722 – 1.000) | ≥ 0.92, met | 0.850 (0.800 – 0.900) |" in report.rows_table(
        right, before
    )
    assert "≥ 0.92, **missed** | 0.850 (0.800 – 0.900), **was better** |" in report.rows_table(wrong, before)
    assert set(json.loads((ROOT / "docs/nano/first.json").read_text("utf-8"))) <= rows.keys()


def test_nano_is_compared_on_the_same_pictures_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, report = script("nano_records"), script("nano_report")
    monkeypatch.setattr(records, "PICTURES", 8)
    group = records.GROUPS[0]
    path = records.make_group(tmp_path, group)
    lengths = [len(str(record.answers[0])) for record in read_records(path)]
    half = [[length // 2, length, 0, 1, 1] for length in lengths]
    right = [[0, length, 1, 1, 1] for length in lengths]
    peers = {"groups": {group.name: {"sha256": records.digest(path, 8)}}}
    for readings, said in ((half, "better than both"), (right, "no difference shown")):
        peers["groups"][group.name] |= {"tesseract": {"readings": half}, "rapidocr": {"readings": readings}}  # type: ignore[dict-item]
        table = report.peers_table(results_of([path], 0), peers, tmp_path)
        assert table.splitlines()[-1].startswith("| clean, lines | 8 | 0.00%, 1.000 | ")
        assert said in table or (said == "no difference shown" and "better than Tesseract only" in table)
    assert "**worse than Tesseract and RapidOCR**" in report.peers_table(results_of([path], 8), peers, tmp_path)
    bad, some, good = ([report.Reading(edits, 10, 0, 1, 1)] * 8 for edits in (8, 4, 0))
    said = report.verdict(some, {"tesseract": bad, "rapidocr": good})
    assert said == "better than Tesseract, **worse than RapidOCR**"
    assert "| – |" in report.peers_table({**results_of([path], 0), "tasks": {}}, peers, tmp_path)
    with pytest.raises(ValueError, match=r"not what peers\.json was made from"):
        report.peers_table(results_of([path], 0, {group.name: "other pixels"}), peers, tmp_path)


def test_trend_of_versions() -> None:
    tiles = [1.0, 2.0, 4.0]
    slope, factor = script("plot_nano_scaling").trend(tiles, [[0.8 / t, 0.2 / t] for t in tiles])
    assert (slope, factor) == pytest.approx((-1, 0.4))  # of the geometric mean


def test_only_samples_that_are_free_to_copy_are_shown() -> None:
    shown = script("nano_report").may_be_shown
    packages = tomllib.loads((ROOT / "scripts/samples.toml").read_text("utf-8"))["package"]
    assert [name for name in packages if shown(f"sample/00 {name} opencv-doc x.png")] == ["opencv-doc"]


def test_samples_are_listed_with_all_that_is_needed() -> None:
    listed = tomllib.loads((ROOT / "scripts/samples.toml").read_text("utf-8"))
    assert len(listed["sample"]) >= 20
    assert all(len(package["sha256"]) == 64 for package in listed["package"].values())
    for sample in listed["sample"]:
        assert sample["package"] in listed["package"]
        assert sample["kind"] in ("lines", "pages", "photographed-lines", "photographed-pages")
        assert ("\n" in sample["text"].strip()) == ("pages" in sample["kind"])
        x0, y0, x1, y1 = sample.get("box", (0, 0, 1, 1))
        assert 0 <= x0 < x1
        assert 0 <= y0 < y1


def test_faults_are_seen() -> None:
    faults = script("count_faults")

    def found(raw: str, reason: str = "stop") -> list[str]:
        return faults.faults_of(SimpleNamespace(raw=raw, finish_reason=reason))

    good = "<|ref|>x<|/ref|><|det|>[[1, 2, 30, 40]]<|/det|>"
    assert found(good) == found("42") == found("<|ref|>x<|/ref|><|det|>[]<|/det|>") == []
    assert found(" ") == ["empty"]
    assert found("a a a", "repetition") == ["repetition"]
    assert found(good.replace("30", "1030")) == ["box outside"]
    assert found(good.replace("30", "0")) == found(good.replace("]]", "]")) == ["box malformed"]
    assert found(good[:20], "length") == ["length"]
    assert "| empty | 1 of 2000 | 0.05% | 0.01% – 0.28% | kept, for certain |" in faults.table(Counter(empty=1), 2000)
    assert "**broken**" in faults.table(Counter(length=20), 2000)


def test_prompts_are_the_same_every_time_and_of_every_kind() -> None:
    faults = script("count_faults")
    made = [faults.prompt(number) for number in range(40)]
    again = faults.prompt(7)
    assert (again.words, again.source) == (made[7].words, made[7].source)
    assert again.pictures[0].tobytes() == made[7].pictures[0].tobytes()
    assert {prompt.kind for prompt in made} >= {"ask", "ground"}
    assert any(prompt.words in faults._ODD for prompt in made)
    assert any("extreme" in prompt.source for prompt in made)


def test_faults_are_counted_on_what_nano_has_learned() -> None:
    recipe = tomllib.loads((ROOT / "vl2/recipes/nano.toml").read_text("utf-8"))
    learned = {task for stage in recipe["stages"] for task in stage["mixture"]}
    asked = {task.removesuffix("-photo") for task in script("count_faults").asked_tasks()}
    assert len(asked) > 30
    assert asked <= learned
