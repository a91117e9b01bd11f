"""Export writes pictures, records and a contact sheet, whole or not at all."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vl2.cli_training import app
from vl2.processing.boxes import Box, Region
from vl2.synth import export as export_module
from vl2.synth.export import ExportError, contact_sheet, export, follow_up_records, question_records
from vl2.synth.registry import TaskError, generate
from vl2.synth.sample import Question, Sample
from vl2.train.config import shipped_recipes


def test_files_and_records(tmp_path: Path):
    out = tmp_path / "new" / "lines"
    seen: list[int] = []
    assert export("line", 6, out, seed=3, split="test", progress=seen.append) == out
    assert seen == [1, 2, 3, 4, 5, 6]
    records = [json.loads(line) for line in (out / "records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({record["id"] for record in records}) == len(records) >= 6
    for record in records:
        assert set(record) == {"id", "images", "question", "answers", "metric", "task"}
        assert record["task"] == "line"
        assert (out / record["images"][0]).exists()
    first = generate("line", 3, 0, "test")
    assert records[0]["question"] == ""
    assert records[0]["answers"] == list(first.questions[0].answers)
    assert Image.open(out / records[0]["images"][0]).tobytes() == first.image.tobytes()
    assert Image.open(out / "contact_sheet.png").width > 300
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lines"]


def test_ground_records_hold_boxes():
    regions = (Region("cat", Box(1.234567, 2, 30, 40)),)
    questions = (
        Question("ground", "the cat", regions=regions, metric="iou"),
        Question("ground", "a dog", metric="iou"),
    )
    boxes = np.zeros((0, 4), np.float32)
    blank = Image.new("RGB", (50, 50))
    sample = Sample("ground", blank, questions, np.zeros(0, np.int16), boxes, boxes)
    records = question_records(sample, ["a.png"], "ground/1")
    assert records[0]["answers"] == [{"label": "cat", "box": [1.23, 2.0, 30.0, 40.0]}]
    assert records[0]["question"] == "the cat"
    assert records[1]["answers"] == []
    assert contact_sheet([sample]).size[0] > 300


def test_captions_of_a_contact_sheet_stay_below_their_picture():
    """A long line of Chinese JSON ran into the next picture's caption."""
    answer = '{"证件号": "9N112", "邮箱": "aleksandr20@hallowed.net", "电话": "15363652986"} ' * 3
    question = Question("ask", "请输出包含证件号、邮箱、电话的JSON。", (answer,))
    boxes = np.zeros((0, 4), np.float32)
    white = Image.new("RGB", (50, 50), "white")
    sheet = contact_sheet([Sample("form-zh", white, questions, np.zeros(0, np.int16), boxes, boxes)
                           for questions in ((question,), ())])  # fmt: skip
    ink = np.asarray(sheet.convert("L"))[60:] < 150
    assert ink[:, :305].any()
    assert not ink[:, 310:].any()
    assert np.flatnonzero(ink.any(1)).max() < 3 * 15 + 10


def test_follow_ups_come_behind_their_question_and_its_answer():
    sample = next(s for s in (generate("dialogue", 1, i, "test") for i in range(9)) if len(s.questions[0].then) > 1)
    first = sample.questions[0]
    found = follow_up_records(sample, ["a.png"], "dialogue/1")
    assert len(found) == sum(len(question.then) for question in sample.questions)
    assert [record["id"] for record in found[:2]] == ["dialogue/1-0-0", "dialogue/1-0-1"]
    for record, question in zip(found, first.then, strict=False):
        assert (record["question"], record["metric"]) == (question.text, question.metric)
        assert record["earlier"] == [[first.text, first.answers[0]]]
    assert all("earlier" not in record for record in question_records(sample, ["a.png"], "dialogue/1"))


def test_errors_name_the_limit(tmp_path: Path):
    with pytest.raises(ExportError, match="count 0"):
        export("line", 0, tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("kept")
    with pytest.raises(ExportError, match="not an empty folder"):
        export("line", 1, tmp_path / "b")
    with pytest.raises(TaskError, match="'poem'"):
        export("poem", 1, tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(samples: list[Sample]) -> Image.Image:
        raise RuntimeError("no sheet")

    monkeypatch.setattr(export_module, "contact_sheet", broken)
    with pytest.raises(RuntimeError, match="no sheet"):
        export("line", 1, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_speed_of_a_recipe_is_that_of_its_mixture(tmp_path: Path):
    recipe = (shipped_recipes()["nano"]).read_text("utf-8")
    mixture = recipe.rindex("[stages.mixture]")
    path = tmp_path / "short.toml"
    path.write_text(recipe[:mixture] + "[stages.mixture]\nline = 1.0\ncount = 2.0\n", "utf-8")
    said = CliRunner().invoke(app, ["synth", "--task", str(path), "--count", "6"])
    assert said.exit_code == 0, said.output
    assert re.search(r"short\.toml: [\d.]+ images a second, [\d.]+ a second of one core", said.output)
    refused = CliRunner().invoke(app, ["synth", "--task", str(path), "--count", "6", "--out", str(tmp_path / "out")])
    assert refused.exit_code == 2
