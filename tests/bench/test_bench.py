"""Floors against figures worked out elsewhere, and every kind of case on a small model."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from vl2.bench import layers, ours, peers
from vl2.bench.floors import Parts, attention_floor, decode_floor, moe_floor, prefill_floor, vision_floor
from vl2.bench.machine import Machine, measure
from vl2.bench.runs import Bench
from vl2.bench.timing import BenchError, Timing
from vl2.cli import app
from vl2.config import BASE, NANO, SMALL, TINY, VL2Config
from vl2.layout import TileGrid
from vl2.model.quantized_experts import quantized_config
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


def bench_of(model: VL2, repeats: int = 3, **options: Any) -> Bench:
    return Bench(model.config, model.device, model.dtype, H200, repeats, model, **options)


def test_every_kind_of_case(make_model: MakeModel) -> None:
    bench = bench_of(make_model("base"))
    decode, prefill = bench.decode(2, 40), bench.prefill(30)
    assert decode.case == {"batch": 2, "context": 40}
    assert decode.ours.repeats == prefill.ours.repeats == 3
    assert 2 <= decode.facts["distinct_experts"] <= 4  # two tokens that visit two experts each
    assert decode.facts["cached_tokens"] == pytest.approx(40, abs=2)
    vision, ttft = bench.vision(2), bench.ttft(TileGrid(rows=1, cols=1))
    assert ttft.case["tiles"] == 1
    moe, attention = bench.moe(5), bench.attention(2, 100)
    assert moe.case == {"tokens": 5}
    assert 2 <= moe.facts["distinct_experts"] <= 6
    assert moe.facts["in_graph"] == attention.facts["in_graph"] == attention.facts["triton"] == 0
    assert attention.case == {"batch": 2, "context": 100}
    for row in (decode, prefill, vision, ttft, moe, attention):
        assert 0 < row.ours.low <= row.ours.median <= row.ours.p90
        assert row.of_floor == row.floor / row.ours.median
    (served,) = bench_of(make_model("base"), prompt=12, answer=4).measure("serve", [5], [2])
    assert served.case == {"requests": 5, "running": 2, "prompt": 12, "answer": 4}
    assert 5 <= served.units <= 30
    assert 0 < served.facts["gap_median"] <= served.facts["gap_p99"]
    assert served.facts["tokens_per_second"] == pytest.approx(served.units / served.ours.median)
    assert [row.case for row in bench.measure("decode", [20, 30], [1])] == [
        {"batch": 1, "context": 20}, {"batch": 1, "context": 30},
    ]  # fmt: skip


def test_attention_of_plain_heads(make_config: Callable[..., VL2Config]) -> None:
    text = make_config("tiny").language_config
    measured = layers.attention(text, 2, 70, 2, torch.device("cpu"), torch.float32)
    assert measured.timing.repeats == 2
    assert measured.facts["copies"] == 2


def test_floors_count_the_bytes_of_quantised_weights() -> None:
    """Tiny in int8 reads a byte a weight and two a row of the head; its router keeps its size."""
    config, text = quantized_config(TINY, "int8"), TINY.language_config
    parts, stored = Parts.of(config), Parts.stored(config, 4)
    assert Parts.of(TINY) == parts
    assert stored.head == parts.head + 2 * text.vocab_size
    assert stored.router == 4 * parts.router
    assert stored.expert == parts.expert + 2 * (2 * text.moe_intermediate_size + text.hidden_size)
    read = stored.attention + stored.dense + stored.shared + stored.router + stored.head + 11 * 6 * stored.expert
    cached = 512 * text.num_hidden_layers * text.kv_values_per_token * 4
    assert decode_floor(config, H200, 1, 512, 6, 4) == pytest.approx((read + cached) / H200.bytes_per_sec)
    small = quantized_config(SMALL, "int8")  # kv_b_proj keeps its size, too
    left = 27 * 512 * 16 * (128 + 128)
    assert Parts.stored(small, 4).attention > Parts.of(small).attention + 3 * left
    assert prefill_floor(config, H200, 20, 4) < prefill_floor(TINY, H200, 20, 4) / 3


@pytest.mark.parametrize("scheme", ["fp8", "int8"])
def test_random_quantised_models(scheme: str, make_config: Callable[..., VL2Config]) -> None:
    config = quantized_config(make_config("base", intermediate_size=48, v_head_dim=8), scheme)
    model = ours.random_model(config, torch.device("cpu"), torch.float32)
    assert not any(parameter.isnan().any() or parameter.requires_grad for parameter in model.parameters())
    assert model.language.norm.weight.eq(1).all()
    row = bench_of(model).decode(1, 40)
    assert row.facts["distinct_experts"] == 2


def test_the_floor_of_a_rank() -> None:
    """Of two that hold Base together: half of nearly all weights, but all cached latents."""
    whole, part = Parts.of(BASE), Parts.of(BASE, 2)
    assert (2 * part.expert, 2 * part.shared, 2 * part.head) == (whole.expert, whole.shared, whole.head)
    assert part.router == whole.router
    assert 0.5 < part.attention / whole.attention < 0.55
    one, two = (decode_floor(BASE, H200, 1, 2048, 6, 2, ranks) for ranks in (1, 2))
    assert 0.5 < two / one < 0.53
    one, two = (decode_floor(BASE, H200, 64, 2048, 72, 2, ranks) for ranks in (1, 2))
    assert 0.52 < two / one < 0.6


def test_layer_floors() -> None:
    """256 tokens visit all experts of Small: its layer is bound by reading 64 + 2 of them."""
    assert moe_floor(SMALL, H200, 256, 64, 2) * 1e3 == pytest.approx(66 * 17.3e6 / 4.3e12 * 1e3, rel=0.01)
    assert attention_floor(TINY, H200, 64, 2048, 2) == pytest.approx(64 * 2048 * 5120 / 4.3e12)
    assert attention_floor(SMALL, H200, 1, 2048, 2) == pytest.approx(2048 * 1152 / 4.3e12)


def test_distinct_experts_are_those_of_one_step(make_model: MakeModel) -> None:
    """One sequence visits as many as a token chooses, two may visit more, and all cannot visit more than there are."""
    model = make_model("base", max_position_embeddings=512)
    text = model.config.language_config
    assert text.num_experts_per_tok
    assert text.n_routed_experts
    one, many = (ours.decode(model, batch, 40, 2).distinct_experts for batch in (1, 12))
    assert one == text.num_experts_per_tok < many <= text.n_routed_experts


def test_decode_needs_room(make_model: MakeModel) -> None:
    with pytest.raises(BenchError, match=r"context = 256: the model's context leaves \d+ tokens"):
        bench_of(make_model("base"), repeats=100).decode(1, 256)


def test_the_plain_loop_as_peer(make_model: MakeModel) -> None:
    """As many rounds as asked for, and no prompt among them."""
    assert len(peers.plain_decode(make_model("tiny"), 3, 20, 5)) == 5


@pytest.mark.parametrize("kind", ["small", "base"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_transformers_as_peer(kind: str, compiled: bool, make_model: MakeModel) -> None:
    """Every way it can run; compiled without a compiler, which takes no time here."""
    pytest.importorskip("transformers", minversion="5.17")
    model = peers.transformers_model(make_model(kind).config, torch.device("cpu"), torch.bfloat16)
    for experts in ("batched_mm", "grouped_mm"):
        mode = peers.Mode("theirs", experts, compiled)
        assert len(peers.transformers_decode(model, 2, 16, 4, mode, {"backend": "eager"})) == 4
        assert model.config._experts_implementation == experts
    torch.compiler.reset()
    assert len(peers.transformers_prefill(model, 16, 2, mode, {"backend": "eager"})) == 2


def test_ways_to_run_transformers() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    few, many = peers.decode_modes(cuda, 8), peers.decode_modes(cuda, 9)
    assert [mode.experts for mode in few] == ["batched_mm", "grouped_mm", "batched_mm"]
    assert [mode.experts for mode in many] == ["grouped_mm", "grouped_mm"]
    assert [mode.compiled for mode in peers.prefill_modes(cuda)] == [False, True]
    assert [mode.name for mode in peers.decode_modes(cpu, 1) + peers.prefill_modes(cpu)] == ["transformers"] * 2
    assert [mode.experts for mode in peers.moe_modes(cuda, 8)] == ["batched_mm", "grouped_mm"]
    assert peers.weight_bytes(SMALL, torch.bfloat16) == pytest.approx(31.4e9, rel=0.01)
    assert 5e9 < peers.decode_bytes(SMALL.language_config, 64, 2048, torch.bfloat16) < 10e9


def test_a_way_that_fails_is_left_out_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> list[float]:
        raise RuntimeError("no such kernel\nand more")

    assert peers.attempt("theirs, batch 1", fail) is None
    assert capsys.readouterr().err == "theirs, batch 1 left out: RuntimeError: no such kernel\n"
    timing = peers.attempt("theirs", lambda: [1.0, 1.0])
    assert timing
    assert timing.median == 1.0


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm here")
def test_a_way_that_takes_too_long_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "_LIMIT_SEC", 1)
    assert peers.attempt("theirs", lambda: time.sleep(20) or [1.0]) is None
    assert "theirs left out: TimeoutError: took more than 1 s" in capsys.readouterr().err


def test_peers_come_after_ours(make_model: MakeModel) -> None:
    pytest.importorskip("transformers", minversion="5.17")
    bench = bench_of(make_model("small"), plain=True)
    rows = list(bench.measure("decode", [24], [1, 2]))
    assert [list(row.peers) for row in rows] == [["plain loop"]] * 2
    assert rows[0].best_peer is None
    assert list(bench.compare("decode", rows)) == rows
    assert bench.model is None
    for row in rows:
        assert list(row.peers) == ["plain loop", "transformers"]
        assert row.best_peer == ("transformers", row.peers["transformers"].median / row.ours.median)
    for kind in ("tiny", "base"):  # the experts of Tiny's shape are there
        model = make_model(kind)
        rows = [bench_of(model).moe(3)]
        assert list(bench_of(model).compare("moe", rows)) == rows
        assert list(rows[0].peers) == ["transformers grouped_mm"]
    assert list(bench.compare("vision", rows)) == []


def test_shapes_for_benchmarks(make_model: MakeModel) -> None:
    config = ours.with_room(make_model("small").config, 999, layers=2)
    assert config.language_config.max_position_embeddings == 999
    model = ours.random_model(config, torch.device("cpu"), torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert len(model.language.layers) == 2
    assert Timing.of([3.0, 1.0, 1.0, 2.0]) == Timing(1.5, 1.0, 2.7, (2.7 - 1.0) / 1.5, 4)


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With random weights of a shrunken preset: the table, the JSON, the file, and what is refused."""
    import vl2.cli_bench

    assert vl2.cli_bench
    monkeypatch.setitem(os.environ, "COLUMNS", "200")
    options = ["bench", "decode", "--model", "nano", "--layers", "1", "--device", "cpu"]
    options += ["--size", "48", "--repeats", "2"]
    path = tmp_path / "results.json"
    ran = CliRunner().invoke(app, [*options, "--no-peers", "--json", "--out", str(path)])
    assert ran.exit_code == 0, ran.stderr
    content = json.loads(ran.stdout)
    assert content == json.loads(path.read_text(encoding="utf-8"))
    assert content["layers"] == 1
    assert content["machine"]["dtype"] == "float32"
    assert {"device", "torch", "triton", "transformers", "cuda", "driver", "commit"} <= set(content["machine"])
    (row,) = content["rows"]
    assert row["case"] == {"batch": 1, "context": 48}
    assert {"units", "floor", "of_floor", "facts", "peers", "best_peer"} <= set(row)
    assert {"median", "low", "p90", "spread", "repeats"} == set(row["ours"])
    assert row["facts"]["distinct_experts"] == 0  # Nano's first layer is dense
    ran = CliRunner().invoke(app, [*options, "--no-peers", "--plain"])
    assert "of floor" in ran.stdout
    assert "plain loop ms" in ran.stdout
    assert "GB/s" in ran.stdout
    for wrong, message in (
        (["bench", "speed"], "bench 'speed': must be one of decode, prefill, vision, ttft, serve, moe"),
        (["bench", "decode", "--batch", "1,x"], "--batch '1,x': expected positive numbers"),
        (["bench", "vision", "--size", "0"], "--size '0': numbers must be positive"),
        (["bench", "vision", "--layers", "1", "--model", "./here"], "random weights need a preset"),
        (["bench", "moe", "--model", "./here"], "one layer is measured of a preset: nano, tiny, small, base"),
    ):
        ran = CliRunner().invoke(app, wrong)
        assert ran.exit_code == 2
        assert message in ran.stderr


@pytest.mark.parametrize("kind", ["moe", "attention"])
def test_command_of_one_layer(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vl2.cli_bench

    assert vl2.cli_bench
    monkeypatch.setitem(os.environ, "COLUMNS", "200")
    path = tmp_path / "results.json"
    ran = CliRunner().invoke(
        app, ["bench", kind, "--device", "cpu", "--context", "1,8", "--repeats", "2", "--out", str(path)]
    )
    assert ran.exit_code == 0, ran.stderr
    assert "of floor" in ran.stdout
    assert "%" in ran.stdout
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["kind"] == kind
    assert len(content["rows"]) == 2
    for row in content["rows"]:
        assert row["ours"]["median"] > 0
        assert row["floor"] > 0
        assert (row["best_peer"] is not None) == (kind == "moe")


def test_peers_need_transformers(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vl2.bench.runs.find_spec", lambda _: None)
    with pytest.raises(BenchError, match=r"pip install 'vl2\[bench\]', or pass --no-peers"):
        list(bench_of(make_model("small")).compare("prefill", []))
