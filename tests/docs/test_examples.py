"""Every file of examples/ runs as its docstring says."""

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from vl2.data.records import read_records
from vl2.eval.metrics import box_iou
from vl2.processing.boxes import Box, Region

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def test_all_examples_are_tested_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"ask.py", "ground.py", "stream.py"}
    assert not list(EXAMPLES.glob("*.sh"))


@pytest.mark.parametrize("script", ["ask.py", "stream.py"])
def test_script(script: str, tmp_path: Path, run):
    assert run([sys.executable, str(EXAMPLES / script)], tmp_path).strip()


def test_ground(tmp_path: Path, run):
    out = tmp_path / "boxed.png"
    picture = EXAMPLES / "receipt.png"
    printed = run([sys.executable, str(EXAMPLES / "ground.py"), str(picture), "the total", str(out)], tmp_path)
    found = re.match(r"the total \[(\d+), (\d+), (\d+), (\d+)\]\n", printed)
    assert found, printed
    assert box_iou(Box(*map(float, found.groups())), total_box()) >= 0.5
    with Image.open(out) as boxed, Image.open(picture) as original:
        assert boxed.size == original.size


def total_box() -> Box:
    records = read_records(EXAMPLES / "records.jsonl")
    region = next(record.answers[0] for record in records if record.question == "the total")
    assert isinstance(region, Region)
    return region.box


def test_finetune(tmp_path: Path, run):
    """examples/finetune in short: one step, one record a task."""
    folder = EXAMPLES / "finetune"
    assert {path.name for path in folder.glob("*.*")} >= {"README.md", "passes.toml", "draw_passes.py", "compare.py"}
    assert "2 passes -> passes/train.jsonl" in run(
        [sys.executable, str(folder / "draw_passes.py"), "passes", "2", "1"], tmp_path
    )
    first = (tmp_path / "passes" / "train" / "0000.png").read_bytes()
    run([sys.executable, str(folder / "draw_passes.py"), "again", "1", "1"], tmp_path)
    assert (tmp_path / "again" / "train" / "0000.png").read_bytes() == first
    run(["vl2", "data", "check", "passes/train.jsonl"], tmp_path)
    short = ["stages.0.steps=1", "stages.0.warmup_steps=0", "loader.workers=0", "stages.0.tokens_per_batch=1536"]
    changes = [item for change in short for item in ("--set", change)]
    recipe, data = str(folder / "passes.toml"), "records.passes=passes/train.jsonl"
    run(["vl2", "train", recipe, "--set", data, "--out", "run", *changes], tmp_path)
    printed = run([sys.executable, str(folder / "compare.py"), "passes/test.jsonl", "run/weights", "1"], tmp_path)
    assert printed.startswith("| task | metric | records | Nano | fine-tuned |\n")
    assert "| summary | ANLS | 1 |" in printed
