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
    assert {path.name for path in EXAMPLES.glob("*.sh")} == {"finetune.sh"}


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
    records = EXAMPLES / "records.jsonl"
    run(["bash", str(EXAMPLES / "finetune.sh"), str(records), str(tmp_path / "run"), "1"], tmp_path)
    assert (tmp_path / "run" / "weights" / "config.json").exists()
