"""Models in int8: experts and linear layers, made, written, read, refused, and what they compute."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from vl2.config import PRESETS, ConfigError, VL2Config
from vl2.kernels.int8 import obstacle
from vl2.model.cache import PackedSequences
from vl2.model.moe import RoutedExperts
from vl2.model.quantized_experts import QuantizedExperts, quantize_model, quantized_config
from vl2.model.quantized_linear import QuantizedLinear
from vl2.model.slots import slots, stored_slots
from vl2.model.vl2 import VL2
from vl2.model.weights import INDEX_NAME, load, quantize_checkpoint, save

pytestmark = pytest.mark.skipif(obstacle(torch.device("cpu")) != "", reason="no product with int8 weights")
BF16 = torch.bfloat16
SIZES: dict[str, Any] = {"intermediate_size": 48, "num_experts_per_tok": 6}  # all: no choice that rounding could change
KINDS: dict[str, dict[str, Any]] = {
    "tiny": {"attention_bias": True},
    "base": {"v_head_dim": 8},
    "small": {"v_head_dim": 8, "q_lora_rank": 16, "n_routed_experts": None},  # a dense model
}


@pytest.fixture(scope="module", params=list(KINDS))
def official(request: pytest.FixtureRequest, make_model: Callable[..., VL2], tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("official") / "model"
    save(make_model(request.param, **SIZES, **KINDS[request.param]), folder, torch.float32)
    return folder


def dequantized(model: VL2) -> VL2:
    """The ordinary model that a quantised one stands for."""
    plain = VL2(replace(model.config, quantization_config=None))
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith(("_values", "_scales"))}
    for name, module in model.named_modules():
        if isinstance(module, QuantizedExperts | QuantizedLinear):
            state |= {f"{name}.{part}": module.matrix(part).dequantize(torch.float32) for part in module.shapes}
    plain.load_state_dict(state)
    return plain.requires_grad_(False).eval()


@torch.inference_mode()
def logits(model: VL2, ids: list[int]) -> torch.Tensor:
    tokens = torch.tensor(ids)
    context = PackedSequences.of_lengths([len(ids)], torch.device("cpu"))
    hidden, _ = model(model.language.embed_tokens(tokens), torch.arange(len(ids)), context)
    return model.logits(hidden)


@pytest.mark.parametrize("tokens", [1, 5, 80])
def test_answers_are_those_of_the_dequantised_model(official: Path, tokens: int) -> None:
    model = load(official, quantize="int8")
    ids = list(range(5, 5 + tokens))
    got, expected, full = logits(model, ids), logits(dequantized(model), ids), logits(load(official), ids)
    assert got.dtype == torch.float32
    assert float((got - expected).norm() / expected.norm()) < 0.03  # activations are rounded to bfloat16 on the way
    assert 0 < float((got - full).norm() / full.norm()) < 0.1


def test_what_is_quantised(official: Path) -> None:
    model = load(official, quantize="int8")
    linears = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert all(name.endswith("kv_b_proj") for name in linears if name.startswith("language."))
    assert any(name.startswith("vision.") for name in linears)
    assert all(not isinstance(module, RoutedExperts) for module in model.modules())
    assert isinstance(model.language.lm_head, QuantizedLinear)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = model.to(torch.float16).state_dict()
    for name, tensor in after.items():
        small = name.endswith(("_values", "_scales"))
        assert tensor.dtype == (before[name].dtype if small else torch.float16), name
        assert not small or tensor.equal(before[name])


def test_every_way_gives_the_same_model(official: Path, tmp_path: Path) -> None:
    quantize_checkpoint(official, tmp_path / "small", "int8", max_shard_bytes=30_000)
    save(load(tmp_path / "small", dtype=BF16), tmp_path / "again", BF16)
    models = [
        load(tmp_path / "small", dtype=BF16),
        load(tmp_path / "again", dtype=BF16),
        load(official, dtype=BF16, quantize="int8"),
        quantize_model(load(official), "int8").to(BF16),
    ]
    first = models[0].state_dict()
    for other in models[1:]:
        assert other.config == models[0].config
        state = other.state_dict()
        assert set(state) == set(first)
        for name, tensor in state.items():
            assert tensor.dtype == first[name].dtype, name
            assert tensor.equal(first[name]), name


def test_what_is_written(official: Path, tmp_path: Path) -> None:
    quantize_checkpoint(official, tmp_path / "small", "int8")
    config = json.loads((tmp_path / "small/config.json").read_text())
    assert config["quantization_config"] == {"quant_method": "vl2", "experts": "int8", "group_size": None}
    index = json.loads((tmp_path / "small" / INDEX_NAME).read_text())
    (file,) = set(index["weight_map"].values())
    head = "language.lm_head.weight"
    with safe_open(tmp_path / "small" / file, "pt") as shard:
        assert shard.get_tensor(head).dtype == torch.int8
        assert (shard.get_tensor(f"{head}_scale").dtype, shard.get_tensor(f"{head}_scale").shape) == (BF16, (352,))
        names = set(shard.keys())
    whole = {slot.official for slot in slots(load(official).config)}
    assert whole <= names
    assert not any("kv_b_proj.weight_scale" in name or "embed_tokens.weight_scale" in name for name in names)
    assert not any("gate.weight_scale" in name or name.startswith("vision") for name in names - whole)


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets(name: str) -> None:
    table = list(stored_slots(quantized_config(PRESETS[name], "int8")))
    assert len({slot.official for slot in table}) == len(table)
    values = [slot for slot in table if slot.dtype == torch.int8]
    share = sum(slot.numel for slot in values) / sum(slot.numel for slot in slots(PRESETS[name]))
    assert share > (0.9 if name == "base" else 0.3)


# Refused


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_other_devices(official: Path, tmp_path: Path) -> None:
    """Wherever it would run; before anything is read or moved."""
    wanted = "device = cuda: int8 weights are for CPUs; use fp8 or int4 there"
    assert error_of(lambda: load(official, "cuda", quantize="int8")) == f"{official}: {wanted}"
    quantize_checkpoint(official, tmp_path / "small", "int8")
    assert error_of(lambda: load(tmp_path / "small", "cuda")) == f"{tmp_path / 'small'}: {wanted}"
    model = load(official).to("meta")
    assert "device = meta: int8 weights are for CPUs" in error_of(lambda: quantize_model(model, "int8"))


def test_torch_without_the_operator(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "_weight_int8pack_mm")
    assert "has no product with int8 weights" in error_of(lambda: load(official, quantize="int8"))
    load(official)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("tiny", {"intermediate_size": 40}, "intermediate_size = 40: int8 needs multiples of 16; use fp8"),
        ("tiny", {"moe_intermediate_size": 24}, "moe_intermediate_size = 24: int8 needs multiples of 16; use fp8"),
        ("base", {}, "v_head_dim = 6: times 4 heads must be a multiple of 16 for int8; use fp8"),
        ("base", {"v_head_dim": 8, "q_lora_rank": 20}, "q_lora_rank = 20: int8 needs multiples of 16; use fp8"),
    ],
)
def test_odd_shapes(kind: str, changes: dict[str, Any], message: str, make_config: Callable[..., VL2Config]) -> None:
    config = make_config(kind, **{**SIZES, **changes})
    assert error_of(lambda: quantized_config(config, "int8", "here")) == f"here: {message}"
