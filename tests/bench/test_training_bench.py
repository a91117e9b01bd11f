"""`vl2 bench train`: operations against figures worked out elsewhere, and whole steps of a small model."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from typer.testing import CliRunner

from vl2.bench import training
from vl2.bench.machine import Machine
from vl2.bench.runs import Bench, Row, set_beside
from vl2.bench.timing import Timing
from vl2.bench.training import Training, random_batch, train, training_floor
from vl2.cli import app
from vl2.config import BASE, PRESETS, SMALL, TINY, VL2Config
from vl2.model.vl2 import VL2
from vl2.train import sharding
from vl2.train.ranks import Ranks

H200 = Machine("H200", 1, "bfloat16", "", "", "", 4.3e12, 790e12)
HOW = Training(sequence=16, tiles=1)


@pytest.mark.parametrize(("config", "giga"), [(TINY, 3.82), (SMALL, 16.4), (BASE, 28.5)])
def test_operations_of_a_token(config: VL2Config, giga: float) -> None:
    """Six for every weight that a token visits, and causal attention within 4096 tokens."""
    floor = training_floor(config, H200, (4096, 4096))
    assert floor * H200.flops_per_sec / 8192 / 1e9 == pytest.approx(giga, rel=0.02)


def test_batches_are_sequences_of_one_length(make_model: Callable[..., VL2]) -> None:
    batch = random_batch(make_model("base").config, 50, 16, torch.device("cpu"))
    assert batch.sequence_lengths == (16, 16, 16)
    assert batch.num_targets == 45
    assert batch.input_ids_T.numel() == 50


@pytest.mark.parametrize("moments", ["float32", "int8"])
def test_a_step_trains_and_leaves_the_model_as_it_was_built(moments: str, make_model: Callable[..., VL2]) -> None:
    model = make_model("base")
    before = model.language.lm_head.weight.clone()
    forwards = [layer.forward for layer in model.language.layers]
    done = train(model, 48, 2, replace(HOW, moments=moments, recompute="layers"), H200)
    assert len(done.times) == 2
    names = "forward backward optimizer attention_layer moe_layer attention experts head_loss tower"
    assert {f"{name}_sec" for name in names.split()} <= set(done.facts)
    assert all(value > 0 for value in done.facts.values())
    assert not torch.equal(model.language.lm_head.weight, before)
    assert [layer.forward for layer in model.language.layers] == forwards
    assert all(parameter.grad is None for parameter in model.parameters())


def test_ranks_sum_no_gradients_of_the_tower(
    make_model: Callable[..., VL2], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Which text gives none, so that one process passes over it."""
    summed: list[str] = []

    def gradient_sums(model: VL2, *others: Any) -> Any:
        summed.extend(name for name, parameter in model.named_parameters() if parameter.requires_grad)
        return sharding.gradient_sums(model, *others)

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    request.addfinalizer(dist.destroy_process_group)
    monkeypatch.setattr(training, "gradient_sums", gradient_sums)
    train(make_model("base"), 48, 2, HOW, H200, Ranks(0, 2))
    assert summed
    assert all(name.startswith("language.") for name in summed)


def test_an_adapter_learns_in_place_of_the_weights(make_model: Callable[..., VL2]) -> None:
    pytest.importorskip("peft", minversion="0.21")
    model = make_model("base")
    before = model.language.lm_head.weight.clone()
    bench = Bench(model.config, model.device, model.dtype, H200, 2, model, how=replace(HOW, lora=4))
    (row,) = bench.measure("train", [48], [1])
    assert torch.equal(model.language.lm_head.weight, before)
    assert "tower_sec" not in row.facts
    assert row.case["lora"] == 4
    assert row.floor == pytest.approx(training_floor(model.config, H200, (16, 16, 16)) * 2 / 3)
    assert not list(bench.compare("train", [row]))  # the peers train everything


def test_rows_hold_both_ways_to_train_transformers(make_model: Callable[..., VL2]) -> None:
    model = make_model("base")
    bench = Bench(model.config, model.device, model.dtype, H200, 2, model, how=HOW)
    rows = list(bench.measure("train", [48], [1]))
    assert list(bench.compare("train", rows))
    (row,) = rows
    assert row.case == {"tokens": 48, "sequence": 16, "weights": "float32"}  # as the machine here is said to be another
    assert set(row.peers) == {"transformers grouped_mm", "transformers expert loop"}
    assert row.facts["tokens_per_second"] == pytest.approx(48 / row.ours.median)
    for way in row.peers:
        assert row.facts[f"{way}: moe_layer_sec"] > 0
        assert row.facts[f"{way}: backward_sec"] > 0


def test_command(make_model: Callable[..., VL2], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vl2.cli_bench

    assert vl2.cli_bench
    monkeypatch.setitem(PRESETS, "nano", make_model("base").config)
    options = [
        "bench",
        "train",
        "--device",
        "cpu",
        "--size",
        "48",
        "--sequence",
        "16",
        "--tiles",
        "1",
        "--repeats",
        "2",
    ]
    ran = CliRunner().invoke(app, [*options, "--layers", "2", "--no-peers", "--json", "--moments", "int8"])
    assert ran.exit_code == 0, ran.stderr
    content = json.loads(ran.stdout)
    assert content["kind"] == "train"
    assert content["layers"] == 2
    assert {"tokens_per_second", "tiles_per_second", "optimizer_sec"} <= set(content["rows"][0]["facts"])
    for wrong, message in (
        (["--moments", "int4"], "--moments 'int4': must be one of float32, int8"),
        (["--recompute", "all"], "--recompute 'all': must be one of none, layers, selective"),
        (["--quantize", "int4"], "--quantize 'int4': quantised weights cannot be trained"),
    ):
        ran = CliRunner().invoke(app, [*options, *wrong])
        assert ran.exit_code == 2
        assert message in ran.stderr


def test_beside_finds_one_process_of_the_same_weights(tmp_path: Path) -> None:
    case = {"tokens": 48, "sequence": 16, "weights": "float32"}
    rows = [{"case": case, "facts": {"tokens_per_second": 10.0}}]
    (tmp_path / "one.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    divided = case | {"ranks": 2, "shard": 2, "experts": 1}
    row = Row(divided, 96, Timing.of([1.0]), 0.1, {}, {"tokens_per_second": 16.0})
    set_beside(row, tmp_path / "one.json")
    assert row.facts["of_one_alone"] == pytest.approx(0.8)


def test_command_on_two_ranks(make_model: Callable[..., VL2], tmp_path: Path) -> None:
    """Every way to divide the model in one run, beside what one process reached."""
    (tmp_path / "config.json").write_text(json.dumps(make_model("base").config.to_dict()), encoding="utf-8")
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    options = ["bench", "train", "--model", str(tmp_path), "--device", "cpu", "--size", "48", "--sequence", "16"]
    options += ["--tiles", "1", "--repeats", "2", "--no-peers"]
    ran = CliRunner().invoke(app, [*options, "--out", str(one)])
    assert ran.exit_code == 0, ran.stderr
    ways = ["--shard", "1,2", "--experts", "1,2", "--beside", str(one), "--out", str(two)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vl2"]
    settings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*command, *options, *ways], env=settings, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "on 2 ranks" in " ".join(done.stdout.split())
    rows, (alone,) = (json.loads(path.read_text(encoding="utf-8"))["rows"] for path in (two, one))
    cases = [{"tokens": 48, "sequence": 16, "ranks": 2, "shard": s, "experts": e} for s, e in ((1, 1), (2, 2))]
    assert [row["case"] for row in rows] == cases
    for row in rows:
        facts = row["facts"]
        assert row["units"] == 96
        assert facts["tokens_per_second_of_a_rank"] == pytest.approx(48 / row["ours"]["median"])
        rate = facts["tokens_per_second_of_a_rank"] / alone["facts"]["tokens_per_second"]
        assert facts["of_one_alone"] == pytest.approx(rate)
        assert facts["slowest_over_mean"] >= 1
    for wrong, message in (
        (["--shard", "2"], "parallel.shard = 2: must divide the 1 ranks"),
        (["--shard", "2", "--experts", "2,2"], "--experts '2,2': expected 1 numbers, as many as --shard has"),
        (["--experts", "2"], "experts = 2: must divide shard = 1"),
        (["--beside", str(tmp_path / "none.json")], "no results of `vl2 bench train` of one process"),
    ):
        ran = CliRunner().invoke(app, [*options, *wrong])
        assert ran.exit_code == 2
        assert message in ran.stderr
