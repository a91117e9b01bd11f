"""Every file of examples/ runs as its docstring says."""

import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def test_all_examples_are_tested_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"ask.py", "ground.py", "stream.py"}
    assert {path.name for path in EXAMPLES.glob("*.sh")} == {"finetune.sh"}


@pytest.mark.parametrize("script", ["ask.py", "stream.py"])
def test_script(script: str, tmp_path: Path, run):
    assert run([sys.executable, str(EXAMPLES / script)], tmp_path).strip()


def test_ground(tmp_path: Path, run):
    out = tmp_path / "boxed.png"
    run([sys.executable, str(EXAMPLES / "ground.py"), str(EXAMPLES / "scene.png"), "the bicycle", str(out)], tmp_path)
    with Image.open(out) as boxed, Image.open(EXAMPLES / "scene.png") as scene:
        assert boxed.size == scene.size


def test_finetune(tmp_path: Path, run):
    records = EXAMPLES / "records.jsonl"
    run(["bash", str(EXAMPLES / "finetune.sh"), str(records), str(tmp_path / "run"), "1"], tmp_path)
    assert (tmp_path / "run" / "weights" / "config.json").exists()
