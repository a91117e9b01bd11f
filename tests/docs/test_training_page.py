"""docs/training.md shows what `vl2 info --train` prints, and names recipes and keys that exist.

To renew its table: python tests/docs/test_training_page.py
"""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vl2.cli import app
from vl2.config import NANO, PRESETS, SMALL, TINY
from vl2.model.lora import attach
from vl2.model.vl2 import VL2
from vl2.train.config import read_recipe, shipped_recipes
from vl2.training_cost import LORA_RANK, lora_parameters, to_markdown, training_costs

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "training.md"
START, END = "<!-- costs:start -->\n", "<!-- costs:end -->"
TFLOPS = 400.0


def table() -> str:
    return to_markdown({name: training_costs(config, TFLOPS) for name, config in PRESETS.items()}, TFLOPS)


def test_the_table_is_what_the_command_prints() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(START)[2].partition(END)[0] == table()


def test_the_command() -> None:
    result = CliRunner().invoke(app, ["info", "nano", "--train", "--tflops", "200", "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.output)
    full = rows[0]
    assert [row["method"] for row in rows] == ["AdamW", "AdamW, moments int8", "all_bfloat16, moments int8", "LoRA"]
    assert full["gradients"] == 4 * full["learned"]
    assert full["moments"] == 8 * full["learned"]
    assert full["memory"] == full["weights"] + full["gradients"] + full["moments"] + full["recomputed"]
    assert full["seconds"] == pytest.approx(2 * training_costs(NANO, 400.0)[0].seconds)
    assert full["recomputed"] < full["activations"]


def test_adapters_are_counted_as_peft_makes_them() -> None:
    pytest.importorskip("peft")
    model = VL2(NANO)
    targets = ("attention", "dense", "shared_experts", "experts")
    attach(model, rank=LORA_RANK, alpha=16, dropout=0.0, targets=targets, base="nano", seed=1)
    made = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert made == lora_parameters(NANO, LORA_RANK)
    assert lora_parameters(TINY, 2 * LORA_RANK) == 2 * lora_parameters(TINY, LORA_RANK)
    assert lora_parameters(SMALL, 1) > 0


def test_recipes_on_the_page_exist() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} == set(shipped_recipes())
    override = "lr_multiplier = { vision = 0.1,\nexperts = 0.5 }"
    assert override in PAGE.read_text(encoding="utf-8")
    assert read_recipe("finetune", ("stages.0.lr_multiplier={vision=0.1, experts=0.5}", "stages.0.freeze=['router']"))


if __name__ == "__main__":
    before, start, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(before + start + table() + END + rest.partition(END)[2], encoding="utf-8")
