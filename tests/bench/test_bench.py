"""Floors against figures worked out elsewhere, and every kind of case on a small model."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from vl2.bench import ours, peers
from vl2.bench.floors import Parts, decode_floor, prefill_floor, vision_floor
from vl2.bench.machine import Machine, measure
from vl2.bench.runs import Bench, BenchError, Timing
from vl2.cli import app
from vl2.config import BASE, NANO, SMALL, TINY, VL2Config
from vl2.layout import TileGrid
from vl2.model.vl2 import VL2

H200 = Machine("H200", 1, "bfloat16", "", "", "", 4.3e12, 790e12)
MakeModel = Callable[..., VL2]


@pytest.mark.parametrize(
    ("config", "batch", "distinct", "milliseconds"),
    [
        (TINY, 1, 6.0, 0.296), (SMALL, 1, 6.0, 1.155), (BASE, 1, 6.0, 1.935),
        (TINY, 64, 63.9, 3.159), (SMALL, 64, 63.9, 8.144), (BASE, 64, 71.7, 13.429),
    ],
)  # fmt: skip
def test_decode_floor(config: VL2Config, batch: int, distinct: float, milliseconds: float) -> None:
    floor = decode_floor(config, H200, batch, 2048, distinct, itemsize=2)
    assert floor * 1e3 == pytest.approx(milliseconds, rel=0.01)


@pytest.mark.parametrize(
    ("config", "tokens", "milliseconds"),
    [(TINY, 2017, 2.32), (SMALL, 2017, 12.2), (BASE, 2017, 22.1), (SMALL, 8192, 58.3), (TINY, 441, 1.41)],
)
def test_prefill_floor(config: VL2Config, tokens: int, milliseconds: float) -> None:
    assert prefill_floor(config, H200, tokens, itemsize=2) * 1e3 == pytest.approx(milliseconds, rel=0.03)


def test_vision_floor() -> None:
    assert vision_floor(SMALL, H200, 10) * 1e3 == pytest.approx(8.48, rel=0.02)


def test_parts_of_nano_add_up() -> None:
    parts, text = Parts.of(NANO), NANO.language_config
    assert parts.expert == 3 * text.hidden_size * 64
    assert parts.head == text.vocab_size * text.hidden_size
    assert parts.moe_layers == text.num_hidden_layers - 1
    assert parts.dense == 3 * text.hidden_size * text.intermediate_size


def test_machine_is_measured() -> None:
    machine = measure(torch.device("cpu"), torch.float32)
    assert 1e9 < machine.bytes_per_sec < 1e13
    assert 1e9 < machine.flops_per_sec < 1e15
    assert machine.device
    assert machine.torch


def test_every_kind_of_case(make_model: MakeModel) -> None:
    bench = Bench(make_model("base"), H200, repeats=3, with_peers=False)
    decode, prefill = bench.decode(2, 40), bench.prefill(30)
    assert decode.case == {"batch": 2, "context": 40}
    assert decode.ours.repeats == prefill.ours.repeats == 3
    assert 2 <= decode.facts["distinct_experts"] <= 4  # two tokens that visit two experts each
    vision, ttft = bench.vision(2), bench.ttft(TileGrid(rows=1, cols=1))
    assert ttft.case["tiles"] == 1
    for row in (decode, prefill, vision, ttft):
        assert 0 < row.ours.low <= row.ours.median <= row.ours.p90
        assert row.of_floor == row.floor / row.ours.median
    (served,) = Bench(make_model("base"), H200, 3, False, prompt=12, answer=4).cases("serve", [5], [2])
    assert served.case == {"requests": 5, "running": 2, "prompt": 12, "answer": 4}
    assert 5 <= served.units <= 30
    assert 0 < served.facts["gap_median"] <= served.facts["gap_p99"]
    assert [row.case for row in bench.cases("decode", [20, 30], [1])] == [
        {"batch": 1, "context": 20}, {"batch": 1, "context": 30},
    ]  # fmt: skip


def test_the_plain_loop_as_peer(make_model: MakeModel) -> None:
    """As many rounds as asked for, and no prompt among them."""
    assert len(peers.plain_decode(make_model("tiny"), 3, 20, 5)) == 5


@pytest.mark.parametrize("kind", ["small", "base"])
def test_transformers_as_peer(kind: str, make_model: MakeModel) -> None:
    pytest.importorskip("transformers", minversion="5.17")
    model = peers.transformers_model(make_model(kind).config, torch.device("cpu"), torch.float32)
    assert len(peers.transformers_decode(model, 2, 16, 4)) == 4
    assert len(peers.transformers_prefill(model, 16, 2)) == 2


def test_shapes_for_benchmarks(make_model: MakeModel) -> None:
    config = ours.with_room(make_model("small").config, 999, layers=2)
    assert config.language_config.max_position_embeddings == 999
    model = ours.random_model(config, torch.device("cpu"), torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert len(model.language.layers) == 2
    assert Timing.of([3.0, 1.0, 1.0, 2.0]) == Timing(1.5, 1.0, 2.7, 4)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights of a shrunken preset: the table, the JSON, the file, and what is refused."""
    import vl2.cli_bench

    assert vl2.cli_bench
    monkeypatch.setitem(os.environ, "COLUMNS", "160")
    options = ["bench", "decode", "--model", "nano", "--layers", "1", "--device", "cpu"]
    options += ["--size", "48", "--repeats", "2"]
    path = tmp_path / "results.json"
    ran = CliRunner().invoke(app, [*options, "--no-peers", "--json", "--out", str(path)])
    assert ran.exit_code == 0, ran.stderr
    content = json.loads(ran.stdout)
    assert content == json.loads(path.read_text(encoding="utf-8"))
    assert content["layers"] == 1
    assert content["machine"]["dtype"] == "float32"
    (row,) = content["rows"]
    assert row["case"] == {"batch": 1, "context": 48}
    ran = CliRunner().invoke(app, [*options, "--no-peers"])
    assert "of floor" in ran.stdout
    assert "GB/s" in ran.stdout
    for wrong, message in (
        (["bench", "speed"], "bench 'speed': must be one of decode, prefill, vision, ttft, serve"),
        (["bench", "decode", "--batch", "1,x"], "--batch '1,x': expected positive numbers"),
        (["bench", "vision", "--size", "0"], "--size '0': numbers must be positive"),
        (["bench", "vision", "--layers", "1", "--model", "./here"], "random weights need a preset"),
    ):
        ran = CliRunner().invoke(app, wrong)
        assert ran.exit_code == 2
        assert message in ran.stderr


def test_peers_need_transformers(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vl2.bench.runs.find_spec", lambda _: None)
    with pytest.raises(BenchError, match=r"pip install 'vl2\[bench\]', or pass --no-peers"):
        Bench(make_model("small"), H200, 2, with_peers=True).prefill(8)
