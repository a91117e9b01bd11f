"""Models with quantised experts: made, written, read, refused, and what they compute."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vl2.config import PRESETS, ConfigError, QuantizationConfig, VL2Config, read_config
from vl2.model.cache import PackedSequences
from vl2.model.moe import RoutedExperts
from vl2.model.quantized_experts import QuantizedExperts, quantize_model, quantized_config
from vl2.model.slots import slots, stored_slots
from vl2.model.vl2 import VL2
from vl2.model.weights import INDEX_NAME, WeightsError, empty_model, load, quantize_checkpoint, save

SCHEMES = ("fp8", "int4")
BF16 = torch.bfloat16
EXPERT = "language.model.layers.2.mlp.experts.5.up_proj.weight"


@pytest.fixture(scope="module")
def official(make_model: Callable[..., VL2], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in official layout with a tokenizer and the state of a training run beside it."""
    folder = tmp_path_factory.mktemp("official") / "model"
    save(make_model("base", moe_intermediate_size=64), folder, torch.float32)
    for name in ("tokenizer.json", "state.json", "LICENSE", "extras.safetensors"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stored(official: Path, scheme: str, tmp_path: Path) -> Path:
    quantize_checkpoint(official, tmp_path / "small", scheme, max_shard_bytes=30_000)
    return tmp_path / "small"


def tensors(model: VL2) -> dict[str, torch.Tensor]:
    return model.state_dict()


def assert_same(one: VL2, other: VL2) -> None:
    assert one.config == other.config
    ours, others = tensors(one), tensors(other)
    assert set(ours) == set(others)
    for name, tensor in ours.items():
        assert tensor.dtype == others[name].dtype, name
        assert tensor.view(torch.uint8).equal(others[name].view(torch.uint8)), name


def dequantized(model: VL2) -> VL2:
    """The ordinary model that a quantised one stands for."""
    plain = VL2(replace(model.config, quantization_config=None))
    state = {name: tensor for name, tensor in tensors(model).items() if ".experts." not in name}
    for name, module in model.named_modules():
        if isinstance(module, QuantizedExperts):
            state |= {f"{name}.{part}": getattr(module, part).dequantize(model.dtype) for part in ("gate_up", "down")}
    plain.load_state_dict(state)
    return plain.requires_grad_(False).eval()


@torch.inference_mode()
def logits(model: VL2, ids: list[int]) -> torch.Tensor:
    tokens = torch.tensor(ids)
    offsets = torch.tensor([0, len(ids)], dtype=torch.int32)
    hidden, _ = model(model.language.embed_tokens(tokens), torch.arange(len(ids)), PackedSequences(offsets, len(ids)))
    return model.logits(hidden)


# What they compute


@pytest.mark.parametrize("tokens", [1, 2, 30])
def test_answers_are_those_of_the_dequantised_model(official: Path, scheme: str, tokens: int) -> None:
    model = load(official, quantize=scheme)
    ids = list(range(5, 5 + tokens))
    got, expected = logits(model, ids), logits(dequantized(model), ids)
    if tokens > 1:
        assert got.equal(expected)
    else:  # for one token, the ordinary layer multiplies by a vector
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    far = logits(load(official), ids)
    error = float((got - far).norm() / far.norm())
    assert 0 < error < {"fp8": 0.15, "int4": 0.5}[scheme]


def test_one_expert_is_read_at_a_time(official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, full-precision weights exist of visited experts only, one by one."""
    from vl2.kernels.quantized import Quantized

    model = load(official, quantize="int4")
    experts = model.language.layers[1].get_submodule("mlp").get_submodule("experts")
    seen: list[tuple[int, ...]] = []
    plain = Quantized.dequantize
    monkeypatch.setattr(
        Quantized, "dequantize", lambda q, dtype: (seen.append(tuple(q.values.shape)), plain(q, dtype))[1]
    )
    experts(torch.randn(3, 32), torch.ones(3, 2), torch.tensor([[0, 4]] * 3))
    assert seen == [(128, 16), (32, 32)] * 2


# Casting and moving


def test_dtypes_stay(official: Path, scheme: str) -> None:
    model = load(official, quantize=scheme)
    before = {name: tensor.clone() for name, tensor in tensors(model).items() if ".experts." in name}
    assert before
    model.to(torch.float16)
    assert model.dtype == torch.float16
    for name, tensor in before.items():
        assert tensors(model)[name].dtype == tensor.dtype
        assert tensors(model)[name].view(torch.uint8).equal(tensor.view(torch.uint8))


# Made, written, read


def test_every_way_gives_the_same_model(official: Path, stored: Path, scheme: str) -> None:
    read = load(stored, dtype=BF16)
    assert_same(read, load(official, dtype=BF16, quantize=scheme))
    assert_same(quantize_model(load(official), scheme).to(BF16), read)
    assert not any(tensor.requires_grad for tensor in tensors(read).values())
    assert not read.training
    assert all(not isinstance(module, RoutedExperts) for module in read.modules())


def test_save_of_a_quantised_model(stored: Path, tmp_path: Path) -> None:
    save(load(stored, dtype=BF16), tmp_path / "again", BF16)
    assert_same(load(stored), load(tmp_path / "again"))


def test_what_is_written(official: Path, stored: Path, scheme: str) -> None:
    """Official names, scales beside values, a whole index, and only files that belong to a model."""
    config = json.loads((stored / "config.json").read_text())
    group = 128 if scheme == "int4" else None
    assert config["quantization_config"] == {"quant_method": "vl2", "experts": scheme, "group_size": group}
    index = json.loads((stored / INDEX_NAME).read_text())
    files = {name: load_file(stored / name) for name in set(index["weight_map"].values())}
    assert len(files) > 3
    found = {name: files[file][name] for name, file in index["weight_map"].items()}
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in found.values())
    names = {slot.official for slot in slots(read_config(official / "config.json"))}
    scales = {f"{name}_scale" for name in names if ".experts." in name}
    assert set(found) == names | scales
    kinds = {
        "fp8": (torch.float8_e4m3fn, (64, 32), torch.float32, (64,)),
        "int4": (torch.uint8, (64, 16), BF16, (64, 1)),
    }
    values, scale = found[EXPERT], found[f"{EXPERT}_scale"]
    assert (values.dtype, tuple(values.shape), scale.dtype, tuple(scale.shape)) == kinds[scheme]
    others = {path.name for path in stored.iterdir() if path.suffix != ".safetensors"}
    assert others == {"config.json", INDEX_NAME, "tokenizer.json", "LICENSE"}


@pytest.mark.parametrize("name", list(PRESETS))
def test_table_covers_every_tensor_once(name: str, scheme: str) -> None:
    config = quantized_config(PRESETS[name], scheme)
    table = list(stored_slots(config))
    assert len({slot.official for slot in table}) == len(table)
    size = sum(slot.nbytes(BF16) for slot in table)
    assert size < sum(slot.nbytes(BF16) for slot in slots(config))
    if name == "base":
        assert {"fp8": 30, "int4": 18}[scheme] * 10**9 < size < {"fp8": 31, "int4": 18.5}[scheme] * 10**9
    assert list(stored_slots(PRESETS[name])) == list(slots(PRESETS[name]))


def test_progress_counts_stored_tensors(official: Path, stored: Path, scheme: str) -> None:
    for folder, quantize in ((official, scheme), (stored, None)):
        seen: list[tuple[int, int]] = []
        load(folder, progress=lambda done, total, seen=seen: seen.append((done, total)), quantize=quantize)
        count = len(list(stored_slots(read_config(folder / "config.json"))))
        assert seen == [(n, count) for n in range(1, count + 1)]


# Refused


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises((ConfigError, WeightsError)) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unknown_schemes(official: Path, tmp_path: Path) -> None:
    assert error_of(lambda: load(official, quantize="int3")) == "quantize = 'int3': must be fp8, int4 or int8"
    assert "must be fp8, int4 or int8" in error_of(lambda: quantize_checkpoint(official, tmp_path / "x", "awq"))
    assert not (tmp_path / "x").exists()


def test_twice(stored: Path, scheme: str, tmp_path: Path) -> None:
    wanted = f"{stored}: its weights are quantised ({scheme}) already; quantise the original weights"
    for other in SCHEMES:
        assert error_of(lambda other=other: load(stored, quantize=other)) == wanted
        assert error_of(lambda other=other: quantize_checkpoint(stored, tmp_path / "x", other)) == wanted


def test_widths_that_no_group_divides(make_model: Callable[..., VL2], tmp_path: Path) -> None:
    save(make_model("tiny"), tmp_path)  # 16 wide
    load(tmp_path, quantize="fp8")
    message = error_of(lambda: load(tmp_path, quantize="int4"))
    assert message == f"{tmp_path}: moe_intermediate_size = 16: int4 needs multiples of 32; use fp8"


def test_models_without_experts(make_model: Callable[..., VL2], tmp_path: Path) -> None:
    save(make_model("tiny", n_routed_experts=None), tmp_path)
    assert "n_routed_experts = None: no experts that could be quantised" in error_of(
        lambda: load(tmp_path, quantize="fp8")
    )


def test_existing_places_are_not_replaced(official: Path) -> None:
    message = error_of(lambda: quantize_checkpoint(official, official, "fp8"))
    assert message == f"{official}: exists; choose another path, or remove it first"
    assert load(official).config.quantization_config is None


def change(folder: Path, name: str, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Edit the shard that holds a tensor, and the index with it."""
    index = json.loads((folder / INDEX_NAME).read_text())
    file = folder / index["weight_map"][name]
    content = load_file(file)
    edit(content)
    save_file(content, file)


def test_missing_scales(stored: Path) -> None:
    change(stored, f"{EXPERT}_scale", lambda content: content.pop(f"{EXPERT}_scale"))
    assert f"missing: 1 ({EXPERT}_scale)" in error_of(lambda: load(stored))


def test_values_of_another_kind(stored: Path, scheme: str) -> None:
    kind = {"fp8": "F8_E4M3", "int4": "U8"}[scheme]
    change(stored, EXPERT, lambda content: content.update({EXPERT: content[EXPERT].float()}))
    assert f"not stored as {kind}: 1 ({EXPERT} F32)" in error_of(lambda: load(stored))


def test_values_that_are_not_finite(official: Path, stored: Path, scheme: str, tmp_path: Path) -> None:
    change(stored, f"{EXPERT}_scale", lambda content: content[f"{EXPERT}_scale"].view(-1)[3:4].fill_(torch.nan))
    assert f"NaN or infinite values in 1 ({EXPERT}_scale)" in error_of(lambda: load(stored))
    model = load(official)
    save(model, tmp_path / "broken", torch.float32)
    change(tmp_path / "broken", EXPERT, lambda content: content[EXPERT].view(-1)[3:4].fill_(torch.inf))
    message = error_of(lambda: load(tmp_path / "broken", quantize=scheme))
    assert f"NaN or infinite values in 1 ({EXPERT})" in message


def test_quantised_tensors_without_their_configuration(stored: Path) -> None:
    config = json.loads((stored / "config.json").read_text())
    del config["quantization_config"]
    (stored / "config.json").write_text(json.dumps(config))
    assert re.search(r"unexpected: \d+ \(language.*_scale", error_of(lambda: load(stored)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quant_method": "gptq"}, "quant_method = 'gptq': only \"vl2\""),
        ({"experts": "int2"}, "experts = 'int2': must be fp8, int4 or int8"),
        ({"group_size": 48}, "group_size = 48: must be one of (128, 64, 32) for int4"),
        ({"bits": 4}, "quantization_config.bits = 4: unknown key"),
    ],
)
def test_configurations_of_others(changes: dict[str, object], message: str) -> None:
    section = {"quant_method": "vl2", "experts": "int4", "group_size": 128, **changes}
    values = {**PRESETS["nano"].to_dict(), "quantization_config": section}
    assert message in error_of(lambda: type(PRESETS["nano"]).from_dict(values))


def test_group_size_limits_groups() -> None:
    config = replace(PRESETS["nano"], quantization_config=QuantizationConfig("vl2", "int4", 32))
    shapes = {slot.shape for slot in stored_slots(config) if slot.official.endswith("_scale")}
    assert shapes == {(64, 10), (320, 2)}


# Memory


MEASURE = """
import sys
from pathlib import Path
import torch
from vl2.model.weights import load

def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

load(Path(sys.argv[1]), dtype=torch.bfloat16, quantize="int4")  # pays for libraries
before = peak()
model = load(Path(sys.argv[2]), dtype=torch.bfloat16, quantize="int4")
print(peak() - before, sum(t.numel() * t.element_size() for t in model.state_dict().values()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_full_precision_experts_are_never_held_together(make_config: Callable[..., VL2Config], tmp_path: Path) -> None:
    """60 MB in 4 MB shards become 25 MB, and loading needs little more than those."""
    sizes = {"hidden_size": 256, "moe_intermediate_size": 1024}
    for name, experts, layers in (("little", 2, 2), ("large", 12, 4)):
        config = make_config("small", **sizes, n_routed_experts=experts, num_hidden_layers=layers)
        model = empty_model(config, "cpu", BF16)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.5)
        save(model, tmp_path / name, BF16, 4 * 2**20)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "little"), str(tmp_path / "large")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, size = map(int, ran.stdout.split())
    assert size < 26 * 2**20
    assert grown < size + 12 * 2**20
