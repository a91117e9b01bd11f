"""The table of official names, and checkpoints written, read, damaged and half written."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

import vl2.model.weights
from vl2.config import PRESETS, VL2Config, read_config
from vl2.model.slots import slots
from vl2.model.vl2 import VL2
from vl2.model.weights import INDEX_NAME, WeightsError, empty_model, load, plan_shards, save

OFFICIAL_BASE = Path(__file__).parent.parent / "goldens" / "official-base"
BF16 = torch.bfloat16


# The table


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [("tiny", 3_370_501_440, 2_582), ("small", 16_148_349_504, 5_639), ("base", 27_480_134_248, 6_973)],
)
def test_published_counts(name: str, parameters: int, tensors: int) -> None:
    table = list(slots(PRESETS[name]))
    assert sum(slot.numel for slot in table) == parameters
    assert len({slot.official for slot in table}) == len(table) == tensors


def test_names_and_size_of_base() -> None:
    """The table of the published config.json is the published index, to the name and to the byte."""
    index = json.loads((OFFICIAL_BASE / INDEX_NAME).read_text())
    table = list(slots(read_config(OFFICIAL_BASE / "config.json")))
    assert {slot.official for slot in table} == set(index["weight_map"])
    assert sum(slot.numel for slot in table) * 2 == index["metadata"]["total_size"] == 54_960_268_496


@pytest.mark.parametrize("name", list(PRESETS))
def test_table_covers_every_parameter_once(name: str) -> None:
    """Nothing of ours without a name, nothing named twice; built without memory."""
    with torch.device("meta"):
        model = VL2(PRESETS[name])
    covered: dict[str, int] = {}
    ours = dict(model.named_parameters())
    for slot in slots(PRESETS[name]):
        assert ours[slot.parameter][slot.where].shape == slot.shape
        covered[slot.parameter] = covered.get(slot.parameter, 0) + slot.numel
    assert covered == {name: parameter.numel() for name, parameter in ours.items()}


def test_published_shapes() -> None:
    """A sample of the shapes in SPEC B2."""
    base = {slot.official: slot.shape for slot in slots(PRESETS["base"])}
    tiny = {slot.official: slot.shape for slot in slots(PRESETS["tiny"])}
    layer = "language.model.layers.1."
    assert base["vision.patch_embed.proj.weight"] == (1152, 3, 14, 14)
    assert base["vision.pos_embed"] == (1, 729, 1152)
    assert base["vision.blocks.26.mlp.fc1.weight"] == (4304, 1152)
    assert base["vision.attn_pool.latent"] == (1, 1, 1152)
    assert base["projector.layers.0.weight"] == (2560, 4608)
    assert base[layer + "self_attn.q_proj.weight"] == (6144, 2560)
    assert base[layer + "self_attn.kv_a_proj_with_mqa.weight"] == (576, 2560)
    assert base[layer + "self_attn.kv_b_proj.weight"] == (8192, 512)
    assert base[layer + "mlp.gate.e_score_correction_bias"] == (72,)
    assert base[layer + "mlp.shared_experts.down_proj.weight"] == (2560, 3072)
    assert tiny[layer + "self_attn.k_proj.weight"] == (1280, 1280)
    assert tiny["view_seperator"] == (1280,)
    assert layer + "mlp.gate.e_score_correction_bias" not in tiny


# Saving and loading


KINDS = {
    "tiny": ("tiny", {"num_key_value_heads": 2, "attention_bias": True}),
    "small": ("small", {"q_lora_rank": 12, "n_shared_experts": None}),
    "base": ("base", {}),
}


@pytest.fixture(params=list(KINDS))
def model(request: pytest.FixtureRequest, make_model: Callable[..., VL2]) -> VL2:
    kind, changes = KINDS[request.param]
    return make_model(kind, 0, BF16, **changes)


def assert_same(one: VL2, other: VL2) -> None:
    assert one.config == other.config
    others = dict(other.named_parameters())
    assert set(others) == {name for name, _ in one.named_parameters()}
    for name, parameter in one.named_parameters():
        assert parameter.dtype == others[name].dtype
        assert parameter.equal(others[name]), name


@pytest.mark.parametrize("max_shard_bytes", [10**9, 20_000])
def test_round_trip_is_bitwise(model: VL2, max_shard_bytes: int, tmp_path: Path) -> None:
    save(model, tmp_path / "model", BF16, max_shard_bytes)
    assert_same(model, load(tmp_path / "model", dtype=BF16))
    shards = sorted(path.name for path in (tmp_path / "model").glob("*.safetensors"))
    assert len(shards) == 1 if max_shard_bytes > 10**8 else len(shards) > 3
    assert shards[0] == f"model-00001-of-{len(shards):06}.safetensors"  # as the published files are called
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]  # nothing else left behind


def test_float32_keeps_what_bfloat16_cannot(make_model: Callable[..., VL2], tmp_path: Path) -> None:
    model = make_model("base")
    save(model, tmp_path / "exact", torch.float32)
    assert_same(model, load(tmp_path / "exact"))
    save(model, tmp_path / "half")
    assert_same(make_model("base", 0, BF16), load(tmp_path / "half", dtype=BF16))
    assert load(tmp_path / "half").dtype == torch.float32


def test_other_tools_can_read_what_is_saved(model: VL2, tmp_path: Path) -> None:
    """Plain safetensors, official names, experts apart, config.json as published."""
    save(model, tmp_path, BF16, 20_000)
    index = json.loads((tmp_path / INDEX_NAME).read_text())
    files = {name: load_file(tmp_path / name) for name in set(index["weight_map"].values())}
    tensors = {name: files[file][name] for name, file in index["weight_map"].items()}
    assert sum(len(file) for file in files.values()) == len(tensors)
    assert index["metadata"]["total_size"] == sum(t.numel() * 2 for t in tensors.values())
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {s.official: s.shape for s in slots(model.config)}
    mixture = model.language.layers[1].get_submodule("mlp").get_submodule("experts")
    expert = "language.model.layers.1.mlp.experts.3."
    gate_up = torch.cat([tensors[expert + "gate_proj.weight"], tensors[expert + "up_proj.weight"]])
    assert gate_up.equal(mixture.get_parameter("gate_up")[3])
    assert tensors[expert + "down_proj.weight"].equal(mixture.get_parameter("down")[3])
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["model_type"] == "deepseek_vl_v2"
    assert written["torch_dtype"] == "bfloat16"
    assert read_config(tmp_path / "config.json") == model.config
    plain = tmp_path / "plain"
    plain.touch()
    assert {(tmp_path / name).stat().st_mode for name in files} == {plain.stat().st_mode}  # other users can, too


def test_shards_keep_order_and_limit(make_config: Callable[..., VL2Config]) -> None:
    table = list(slots(make_config("base")))
    planned = plan_shards(table, 2, 5_000)
    assert [slot for shard in planned for slot in shard] == table
    for shard in planned:
        assert len(shard) == 1 or sum(slot.numel for slot in shard) * 2 <= 5_000


def test_one_file_without_index_loads(model: VL2, tmp_path: Path) -> None:
    save(model, tmp_path)
    (tmp_path / "model-00001-of-000001.safetensors").rename(tmp_path / "model.safetensors")
    (tmp_path / INDEX_NAME).unlink()
    assert_same(model, load(tmp_path, dtype=BF16))


def test_loaded_model_is_ready_to_answer(model: VL2, tmp_path: Path) -> None:
    save(model, tmp_path)
    seen: list[tuple[int, int]] = []
    loaded = load(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    count = len(list(slots(model.config)))
    assert seen == [(n, count) for n in range(1, count + 1)]


# Replacing what is there


def test_saving_over_a_checkpoint_keeps_its_other_files(make_model: Callable[..., VL2], tmp_path: Path) -> None:
    old, new = make_model("tiny", 0, BF16), make_model("tiny", 9, BF16)
    save(old, tmp_path / "model", BF16, 20_000)
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    save(new, tmp_path / "model")
    assert_same(new, load(tmp_path / "model", dtype=BF16))
    names = {"config.json", INDEX_NAME, "model-00001-of-000001.safetensors", "tokenizer.json"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == names
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("where", ["second shard", "config", "rename"])
def test_a_failure_leaves_the_old_checkpoint(
    where: str, make_model: Callable[..., VL2], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_model("tiny", 0, BF16), make_model("tiny", 9, BF16)
    save(old, tmp_path / "model", BF16)
    calls = 0

    def breaking(plain: Callable[..., object], fails: Callable[..., bool]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if fails(*args):
                raise OSError("disk full")
            return plain(*args, **kwargs)

        return call

    if where == "second shard":
        monkeypatch.setattr(vl2.model.weights, "save_file", breaking(save_file, lambda *_: calls == 2))
    elif where == "config":
        monkeypatch.setattr(Path, "write_text", breaking(Path.write_text, lambda path, *_: path.name == "config.json"))
    else:
        monkeypatch.setattr(vl2.model.weights, "_exchange", lambda *_: False)
        monkeypatch.setattr(os, "replace", breaking(os.replace, lambda source, _: "writing" in Path(source).name))
    with pytest.raises(OSError, match="disk full"):
        save(new, tmp_path / "model", BF16, 20_000)
    monkeypatch.undo()
    assert_same(old, load(tmp_path / "model", dtype=BF16))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two renames"])
def test_replacing(exchange: bool, make_model: Callable[..., VL2], tmp_path: Path, monkeypatch: Any) -> None:
    if not exchange:
        monkeypatch.setattr(vl2.model.weights, "_exchange", lambda *_: False)
    new = make_model("tiny", 9, BF16)
    save(make_model("tiny", 0, BF16), tmp_path / "model", BF16)
    save(new, tmp_path / "model", BF16)
    assert_same(new, load(tmp_path / "model", dtype=BF16))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


KILL = """
import os, sys
from pathlib import Path
from vl2.model.weights import _exchange, replace_directory

root = Path(sys.argv[1])
new, path = root / "new", root / "model"
for step in range(1, 100):
    for folder in (new, path):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(folder.name)
    if step == 1 and not _exchange(new, path):
        print("cannot exchange")
        break
    child = os.fork()
    if child == 0:
        left = [step]

        def die(event, arguments):
            left[0] -= event.startswith(("os.", "shutil."))
            if not left[0]:
                os._exit(9)

        sys.addaudithook(die)
        replace_directory(new, path)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert (path / "config.json").read_text() in ("new", "model"), step
    if status == 0:
        assert not new.exists()
        print("replaced after", step)
        break
"""


def test_a_kill_at_any_moment_leaves_a_whole_directory(tmp_path: Path) -> None:
    """Killed before its first, second, ... operation on files: the path always holds the old content or the new."""
    run = subprocess.run([sys.executable, "-c", KILL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    if "cannot exchange" in run.stdout:
        pytest.skip("this file system cannot exchange directories in one step")
    assert int(run.stdout.split()[-1]) > 3


def test_what_a_killed_save_left_is_no_obstacle(make_model: Callable[..., VL2], tmp_path: Path) -> None:
    """Process ids repeat, in containers at every start."""
    (tmp_path / f".model.writing-{os.getpid()}").mkdir()
    save(make_model("tiny"), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_no_checkpoint_is_not_replaced(make_model: Callable[..., VL2], tmp_path: Path) -> None:
    model = make_model("tiny")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x")
    (tmp_path / "file").write_text("x")
    for name in ("photos", "file"):
        with pytest.raises(WeightsError, match="is not a checkpoint"):
            save(model, tmp_path / name)
    assert (tmp_path / "photos" / "one.jpg").read_bytes() == b"x"
    save(model, tmp_path / "model")
    (tmp_path / "model" / "notes").mkdir()
    with pytest.raises(WeightsError, match=r"would lose what is in 1 \(notes\)"):
        save(model, tmp_path / "model")
    (tmp_path / "empty").mkdir()
    save(model, tmp_path / "empty")
    assert load(tmp_path / "empty").config == model.config


# Everything that can be wrong


@pytest.fixture
def stored(make_model: Callable[..., VL2], tmp_path: Path) -> Path:
    save(make_model("base"), tmp_path / "model", BF16, 30_000)
    return tmp_path / "model"


def shard_with(stored: Path, name: str) -> Path:
    index = json.loads((stored / INDEX_NAME).read_text())
    return stored / index["weight_map"][name]


def change(stored: Path, name: str, edit: Callable[[dict[str, Tensor]], object]) -> Path:
    file = shard_with(stored, name)
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)
    return file


def error_of(stored: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load(stored)
    message = str(caught.value)
    assert "\n" not in message
    assert str(stored) in message
    return message


NORM = "language.model.norm.weight"
EXPERT = "language.model.layers.2.mlp.experts.5.up_proj.weight"


def test_missing_and_unexpected_tensors(stored: Path) -> None:
    """All of them in one message."""
    change(stored, NORM, lambda tensors: tensors.update(stranger=tensors.pop(NORM)))
    change(stored, EXPERT, lambda tensors: tensors.pop(EXPERT))
    message = error_of(stored)
    assert NORM in message
    assert EXPERT in message
    assert "missing: 2 (" in message
    assert "unexpected: 1 (stranger)" in message


def test_many_missing_tensors_are_counted(stored: Path) -> None:
    change(stored, EXPERT, lambda tensors: [tensors.pop(name) for name in list(tensors)[:10]])
    assert "missing: 10 (" in error_of(stored)
    assert "and 2 more)" in error_of(stored)


def test_misshapen_tensors(stored: Path) -> None:
    change(stored, NORM, lambda tensors: tensors.update({NORM: tensors[NORM][:-1].clone()}))
    assert f"misshapen: 1 ({NORM} [31] (expected [32]))" in error_of(stored)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.float8_e4m3fn], ids=str)
def test_tensors_that_are_not_floating_point(stored: Path, dtype: torch.dtype) -> None:
    change(stored, NORM, lambda tensors: tensors.update({NORM: tensors[NORM].to(dtype)}))
    assert f"not stored as BF16, F16, F32, F64: 1 ({NORM} " in error_of(stored)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [NORM, EXPERT])
def test_values_that_are_not_finite(stored: Path, name: str, value: float) -> None:
    change(stored, name, lambda tensors: tensors[name].view(-1)[7:8].fill_(value))
    assert f"NaN or infinite values in 1 ({name})" in error_of(stored)


def test_values_too_large_for_the_dtype(stored: Path) -> None:
    change(stored, NORM, lambda tensors: tensors[NORM][0].fill_(1e6))
    load(stored)
    with pytest.raises(WeightsError, match=r"infinite values in 1 \(language.model.norm.weight\).*torch.float16"):
        load(stored, dtype=torch.float16)


def test_too_little_memory(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> VL2:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")

    monkeypatch.setattr(vl2.model.weights, "empty_model", full)
    message = error_of(stored)
    assert "0.0 GB of weights in torch.float32 do not fit into the memory of cpu (CUDA out of memory." in message


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_shard(stored: Path, keep: int) -> None:
    file = shard_with(stored, EXPERT)
    file.write_bytes(file.read_bytes()[:keep])
    assert f"{file}: truncated or not a safetensors file" in error_of(stored)


def test_missing_shard(stored: Path) -> None:
    file = shard_with(stored, EXPERT)
    file.unlink()
    assert f"are missing: 1 ({file.name})" in error_of(stored)


def test_tensor_stored_twice(stored: Path) -> None:
    change(stored, "image_newline", lambda tensors: tensors.update({NORM: torch.zeros(32)}))
    assert f"stored twice: 1 ({NORM})" in error_of(stored)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', '{"weight_map": {', "[" * 100_000]
)
def test_broken_index(stored: Path, text: str) -> None:
    (stored / INDEX_NAME).write_text(text)
    assert f"{stored / INDEX_NAME}: not a weight index" in error_of(stored)


def test_index_cannot_lead_out_of_the_directory(stored: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.safetensors"
    shutil.copy(shard_with(stored, NORM), outside)
    index = json.loads((stored / INDEX_NAME).read_text())
    index["weight_map"][NORM] = "../outside.safetensors"
    (stored / INDEX_NAME).write_text(json.dumps(index))
    assert "are missing: 1 (outside.safetensors)" in error_of(stored)


def test_pickles_are_named_and_not_opened(stored: Path) -> None:
    for file in [*stored.glob("*.safetensors"), stored / INDEX_NAME]:
        file.unlink()
    assert "no model*.safetensors files" in error_of(stored)
    (stored / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    assert "pytorch_model.bin is a pickle, which vl2 never opens" in error_of(stored)


@pytest.fixture(scope="module")
def one_shard(make_model: Callable[..., VL2], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, int]:
    """A checkpoint of one small shard, its bytes, and the length of its header."""
    folder = tmp_path_factory.mktemp("fuzz")
    save(make_model("tiny", num_hidden_layers=1), folder)
    content = (folder / "model-00001-of-000001.safetensors").read_bytes()
    return folder, content, 8 + int.from_bytes(content[:8], "little")


def load_or_refuse(folder: Path, content: bytes) -> None:
    """The only two outcomes: a whole model, or one line that names the file."""
    (folder / "model-00001-of-000001.safetensors").write_bytes(content)
    message = f"{folder}: loaded"
    try:
        loaded = load(folder)
        assert all(bool(p.isfinite().all()) for p in loaded.parameters())
    except WeightsError as error:
        message = str(error)
    assert str(folder) in message
    assert "\n" not in message


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_fuzz_random_bytes(one_shard: tuple[Path, bytes, int], content: bytes) -> None:
    load_or_refuse(one_shard[0], content)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_fuzz_headers(one_shard: tuple[Path, bytes, int], data: st.DataObject) -> None:
    """Bytes of a valid header changed, cut out or put in."""
    folder, content, header = one_shard
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, header - 1))
        match data.draw(st.sampled_from(["change", "cut", "insert"])):
            case "change":
                changed[at] = data.draw(st.integers(0, 255))
            case "cut":
                del changed[at : at + data.draw(st.integers(1, 40))]
            case _:
                changed[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    load_or_refuse(folder, bytes(changed))


STRANGE = st.one_of(
    st.integers(-(2**70), 2**70), st.text(max_size=5), st.lists(st.integers(-5, 2**40), max_size=4), st.none()
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.sampled_from(["dtype", "shape", "data_offsets", "name"]),
    STRANGE,
    st.integers(0, 1000),
)
def test_fuzz_entries(one_shard: tuple[Path, bytes, int], key: str, value: object, which: int) -> None:
    """A well-formed header whose entries lie."""
    folder, content, size = one_shard
    header = json.loads(content[8:size])
    names = [name for name in header if name != "__metadata__"]
    name = names[which % len(names)]
    if key == "name":
        header[str(value)] = header.pop(name)
    else:
        header[name][key] = value
    text = json.dumps(header).encode()
    load_or_refuse(folder, len(text).to_bytes(8, "little") + text + content[size:])


# Memory


MEASURE = """
import sys
from pathlib import Path
import torch
from vl2.model.weights import load

def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

load(Path(sys.argv[1]), dtype=torch.bfloat16)  # pays for libraries
before = peak()
model = load(Path(sys.argv[2]), dtype=torch.bfloat16)
print(peak() - before, sum(p.numel() * 2 for p in model.parameters()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_streaming_needs_one_shard_beside_the_model(make_config: Callable[..., VL2Config], tmp_path: Path) -> None:
    """60 MB in 4 MB shards: a loader that holds the files and the model would need twice the model."""
    sizes = {"hidden_size": 256, "moe_intermediate_size": 1024, "n_routed_experts": 12}
    config = make_config("small", **sizes, num_hidden_layers=4)
    model = empty_model(config, "cpu", BF16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    save(model, tmp_path / "large", BF16, 4 * 2**20)
    save(empty_zeros(make_config("small")), tmp_path / "little", BF16)
    assert len(list((tmp_path / "large").glob("*.safetensors"))) > 10
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "little"), str(tmp_path / "large")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, size = map(int, run.stdout.split())
    assert size > 50 * 2**20
    assert grown < size + 20 * 2**20


def empty_zeros(config: VL2Config) -> VL2:
    model = empty_model(config, "cpu", BF16)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model
