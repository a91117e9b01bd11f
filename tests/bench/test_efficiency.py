"""Costs of a question: dense models are as large as they should be, formulas count what torch counts."""

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from vl2.bench.efficiency import Question, cost, dense_like
from vl2.config import PRESETS, read_config
from vl2.family import facts
from vl2.model.layers import SwiGLU
from vl2.model.vl2 import VL2

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = (1152, 1152)


@pytest.mark.parametrize("name", list(PRESETS))
def test_dense_models_are_as_large_as_they_should_be(name: str) -> None:
    sparse = facts(PRESETS[name], SIZE)
    total = facts(dense_like(PRESETS[name], total=True), SIZE)
    activated = facts(dense_like(PRESETS[name], total=False), SIZE)
    assert total.total_params == pytest.approx(sparse.total_params, rel=0.005)
    assert activated.activated_params_language == pytest.approx(sparse.activated_params_language, rel=0.02)
    assert activated.activated_params_language < total.activated_params_language


@pytest.mark.parametrize("name", list(PRESETS))
def test_what_experts_save(name: str) -> None:
    config = PRESETS[name]
    sparse, one = cost(config, Question()), cost(dense_like(config, total=False), Question())
    every = cost(dense_like(config, total=True), Question())
    assert sparse.flops == pytest.approx(one.flops, rel=0.01)
    assert sparse.flops < every.flops
    assert sparse.answer_bytes < every.answer_bytes
    crowd, all_of_it = (cost(c, Question(batch=4096)) for c in (config, dense_like(config, total=True)))
    assert crowd.answer_bytes == pytest.approx(all_of_it.answer_bytes, rel=0.02)  # every expert is read


def test_prompt_agrees_with_the_facts_of_vl2_info() -> None:
    for config in PRESETS.values():
        found = facts(config, SIZE)
        image_alone = cost(config, Question(text=0))
        head = 2 * config.language_config.vocab_size * config.language_config.hidden_size
        assert image_alone.prompt_flops - head == pytest.approx(found.prefill_flops, rel=1e-3)
        assert image_alone.vision_flops == found.image_flops


def test_operations_as_torch_counts_them() -> None:
    """Of the part that makes dense models differ, their feed-forward networks."""
    config = dense_like(PRESETS["nano"], total=False)
    text = replace(config.language_config, num_hidden_layers=2)
    config = replace(config, language_config=text)
    model = VL2(config)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for layer in model.language.layers:
            assert isinstance(layer.mlp, SwiGLU)
            layer.mlp(torch.zeros(100, text.hidden_size))
    weights = 3 * text.hidden_size * text.intermediate_size * text.num_hidden_layers
    assert counter.get_total_flops() == 2 * 100 * weights
    wider = replace(config, language_config=replace(text, intermediate_size=2 * text.intermediate_size))
    tokens = 2017 + 24
    grown = cost(wider, Question()).prompt_flops - cost(config, Question()).prompt_flops
    assert grown == 2 * tokens * weights


def test_script_writes_models_that_can_be_built(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "scripts" / "efficiency.py", "--configs", tmp_path]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, cwd=ROOT).stdout
    assert "small, dense, activated" in shown
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == sorted(f"{name}-dense-{size}" for name in PRESETS for size in ("activated", "total"))
    config = read_config(tmp_path / "small-dense-activated" / "config.json")
    assert config == dense_like(PRESETS["small"], total=False)
    with torch.device("meta"):
        model = VL2(config)
    written = json.loads((tmp_path / "small-dense-activated" / "config.json").read_text("utf-8"))
    assert written["language_config"]["n_routed_experts"] is None
    assert sum(p.numel() for p in model.parameters()) == facts(config, SIZE).total_params


def test_measured_models_go_into_a_file_a_table_and_the_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    script = importlib.import_module("efficiency")
    config = PRESETS["nano"]
    small = replace(config, language_config=replace(config.language_config, num_hidden_layers=2))
    vision = replace(small.vision_config, layers=1)
    small = replace(small, vision_config=vision)
    kinds = (small, dense_like(small, total=False), dense_like(small, total=True))
    monkeypatch.setattr(script, "models", lambda name: dict(zip(script.KINDS, kinds, strict=True)))
    for name, value in (("CONTEXT", 16), ("MEASURED_BATCHES", (1, 2)), ("_SIDE", 1), ("_REPEATS", 2)):
        monkeypatch.setattr(script, name, value)
    path = tmp_path / "efficiency.json"
    script.measure(["nano"], "cpu", 1e-9, path)  # no time: nothing is begun
    assert not path.exists()
    script.measure(["nano"], "cpu", 0, path)
    first = json.loads(path.read_text("utf-8"))
    assert list(first["rows"]) == [f"nano, {kind}" for kind in script.KINDS]
    script.measure(["nano"], "cpu", 0, path)  # goes on where it was: nothing is left
    assert json.loads(path.read_text("utf-8")) == first
    table = script.measured_table(first)
    step = 1e3 * first["rows"]["nano, dense, activated"]["step 2"]["median"]
    assert f"| {step:.3f} |" in table
    row = first["rows"]["nano, with experts"]
    alone = 1e3 * (row["ttft"]["median"] + 49 * row["step 1"]["median"])  # an answer of 50 tokens
    assert f"| nano, with experts | {alone:.0f} |" in table
    for row in first["rows"].values():
        row["step 64"] = row["step 2"]
    del first["rows"]["nano, dense, total"]  # as if it had not fitted
    script.plot(script.costs(), first, tmp_path / "plot.png")
    script.plot(script.costs(), None, tmp_path / "computed.png")
    with Image.open(tmp_path / "plot.png") as both, Image.open(tmp_path / "computed.png") as one:
        assert both.height > 1.5 * one.height
    first["machine"]["device"] = "another"
    path.write_text(json.dumps(first), encoding="utf-8")
    with pytest.raises(ValueError, match="measured on another"):
        script.measure(["nano"], "cpu", 0, path)
