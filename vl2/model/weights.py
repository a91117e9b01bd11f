"""Weights: one table between the official tensor names and our parameters, used to load, save and count.

    slots(config) -> Slot(official name, our parameter, where in it, shape), one for every stored tensor
    load: shards --mmap--> each tensor copied into its slot, on the wanted device in the wanted dtype
    save: slots --> shards in official layout, directory renamed into place

The trap: experts are stacked here (gate_up, down) and separate there; only `slots` knows.
"""

import ctypes
import json
import math
import os
import shutil
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vl2.config import LanguageConfig, VisionConfig, VL2Config, read_config
from vl2.model.vl2 import VL2

INDEX_NAME = "model.safetensors.index.json"
_LISTED = 8  # names shown per kind of problem
_STORED_DTYPES = ("BF16", "F16", "F32", "F64")  # quantised weights need scales, which the family does not have


class WeightsError(ValueError):
    """A checkpoint that cannot be loaded; names every missing, extra, misshapen, truncated or non-finite tensor."""


@dataclass(frozen=True)
class Slot:
    """One stored tensor: `parameter[where]` of ours has `shape` and is called `official` in checkpoints."""

    official: str
    parameter: str
    shape: tuple[int, ...]
    where: tuple[int | slice, ...] = ()

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


def slots(config: VL2Config) -> Iterator[Slot]:
    """The two-way table, in checkpoint order."""
    yield from _vision_slots(config.vision_config)
    yield from _projector_slots(config)
    hidden = config.language_config.hidden_size
    yield Slot("image_newline", "image_newline", (hidden,))
    yield Slot("view_seperator", "view_seperator", (hidden,))
    yield from _language_slots(config.language_config)


def _same(prefix: str, shapes: dict[str, tuple[int, ...]], ours: str | None = None) -> Iterator[Slot]:
    for name, shape in shapes.items():
        yield Slot(f"{prefix}{name}", f"{prefix if ours is None else ours}{name}", shape)


def _affine(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _vision_slots(config: VisionConfig) -> Iterator[Slot]:
    width, mlp, patch = config.width, config.mlp_width, config.patch_size
    yield Slot("vision.pos_embed", "vision.pos_embed", (1, config.grid_side**2, width))
    embed = {"patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,)}
    yield from _same("vision.", embed)
    feed = _affine("mlp.fc1", mlp, width) | _affine("mlp.fc2", width, mlp)
    attention = _affine("attn.qkv", 3 * width, width) | _affine("attn.proj", width, width)
    for block in range(config.layers):
        yield from _same(f"vision.blocks.{block}.", _norm("norm1", width) | attention | _norm("norm2", width) | feed)
    yield from _same("vision.", _norm("norm", width))
    pool = _affine("q", width, width) | _affine("kv", 2 * width, width) | _affine("proj", width, width)
    yield from _same("vision.attn_pool.", {"latent": (1, 1, width)} | pool | _norm("norm", width) | feed)


def _projector_slots(config: VL2Config) -> Iterator[Slot]:
    projector = config.projector_config
    width, into = projector.n_embed * projector.mlp_ratio, projector.input_dim * projector.downsample_ratio**2
    for layer in range(projector.depth):  # odd positions of the published Sequential are activations
        out = projector.n_embed if layer == projector.depth - 1 else width
        yield from _same("projector.", _affine(f"layers.{2 * layer}", out, into))
        into = width


def _language_slots(config: LanguageConfig) -> Iterator[Slot]:
    hidden, vocab = config.hidden_size, config.vocab_size
    embed = ("language.model.embed_tokens.weight", "language.embed_tokens.weight")
    yield Slot(*embed, (vocab, hidden))
    for layer in range(config.num_hidden_layers):
        theirs, ours = f"language.model.layers.{layer}.", f"language.layers.{layer}."
        norms = {"input_layernorm.weight": (hidden,), "post_attention_layernorm.weight": (hidden,)}
        yield from _same(theirs, norms, ours)
        yield from _same(theirs + "self_attn.", _attention_shapes(config), ours + "self_attn.")
        theirs, ours = theirs + "mlp.", ours + "mlp."
        if config.is_moe_layer(layer):
            yield from _expert_slots(config, theirs, ours)
        else:
            yield from _same(theirs, _swiglu(hidden, config.intermediate_size), ours)
    yield Slot("language.model.norm.weight", "language.norm.weight", (hidden,))
    yield Slot("language.lm_head.weight", "language.lm_head.weight", (vocab, hidden))


def _attention_shapes(config: LanguageConfig) -> dict[str, tuple[int, ...]]:
    hidden, heads, head = config.hidden_size, config.num_attention_heads, config.head_dim

    def linear(name: str, out: int, into: int, bias: bool = config.attention_bias) -> dict[str, tuple[int, ...]]:
        return _affine(name, out, into) if bias else {f"{name}.weight": (out, into)}

    if not config.use_mla:
        kv = config.num_key_value_heads * head
        queries = linear("q_proj", heads * head, hidden)
        return (
            queries
            | linear("k_proj", kv, hidden)
            | linear("v_proj", kv, hidden)
            | linear("o_proj", hidden, heads * head)
        )
    assert config.kv_lora_rank is not None
    rank, latent, value = config.q_lora_rank, config.kv_lora_rank, config.v_head_dim
    if rank is None:
        queries = linear("q_proj", heads * head, hidden, False)
    else:
        queries = linear("q_a_proj", rank, hidden) | {"q_a_layernorm.weight": (rank,)}
        queries |= linear("q_b_proj", heads * head, rank, False)
    keys = linear("kv_a_proj_with_mqa", latent + config.qk_rope_head_dim, hidden) | {"kv_a_layernorm.weight": (latent,)}
    keys |= linear("kv_b_proj", heads * (config.qk_nope_head_dim + value), latent, False)
    return queries | keys | linear("o_proj", hidden, heads * value)


def _swiglu(hidden: int, width: int) -> dict[str, tuple[int, ...]]:
    wide = (width, hidden)
    return {"gate_proj.weight": wide, "up_proj.weight": wide, "down_proj.weight": (hidden, width)}


def _expert_slots(config: LanguageConfig, theirs: str, ours: str) -> Iterator[Slot]:
    assert config.n_routed_experts
    hidden, width = config.hidden_size, config.moe_intermediate_size
    yield Slot(theirs + "gate.weight", ours + "router.weight", (config.n_routed_experts, hidden))
    if config.topk_method == "noaux_tc":
        yield Slot(theirs + "gate.e_score_correction_bias", ours + "router.bias", (config.n_routed_experts,))
    for e in range(config.n_routed_experts):
        expert, wide = f"{theirs}experts.{e}.", (width, hidden)
        yield Slot(expert + "gate_proj.weight", ours + "experts.gate_up", wide, (e, slice(0, width)))
        yield Slot(expert + "up_proj.weight", ours + "experts.gate_up", wide, (e, slice(width, 2 * width)))
        yield Slot(expert + "down_proj.weight", ours + "experts.down", (hidden, width), (e,))
    if config.n_shared_experts is not None:
        shared = _swiglu(hidden, width * config.n_shared_experts)
        yield from _same(theirs + "shared_experts.", shared, ours + "shared_experts.")


def empty_model(config: VL2Config, device: torch.device | str, dtype: torch.dtype) -> VL2:
    """A model whose parameters are allocated on `device` in `dtype` and not yet filled."""
    with torch.device("meta"):
        model = VL2(config)
    return model.to(dtype).to_empty(device=device)


def load(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] | None = None,
) -> VL2:
    """Load a checkpoint directory (config.json and safetensors) without holding more than one shard on the host.

    Args:
        path: directory in official layout.
        progress: called with (tensors loaded, tensors in all).

    Raises: ConfigError, WeightsError.
    """
    config = read_config(path / "config.json")
    table = {slot.official: slot for slot in slots(config)}
    shards = _shards(path)
    _check_names(path, shards, table)
    try:
        model = empty_model(config, device, dtype)
    except RuntimeError as error:  # the only thing that fails there is memory; torch.OutOfMemoryError is one, too
        size = sum(slot.numel for slot in table.values()) * dtype.itemsize
        raise WeightsError(
            f"{path}: {size / 1e9:.1f} GB of weights in {dtype} do not fit into the memory of {device} "
            f"({str(error).splitlines()[0]}); use a smaller dtype or model, or another device"
        ) from error
    ours = dict(model.named_parameters())
    broken: list[str] = []
    loaded = 0
    with torch.no_grad():
        for file, names in shards.items():
            extremes: dict[str, Tensor] = {}  # finite only if every value is; read when the shard is done
            with _open(file) as shard:
                for name in names:
                    target = ours[table[name].parameter][table[name].where]
                    target.copy_(shard.get_tensor(name))
                    extremes[name] = torch.stack(target.aminmax())
                    loaded += 1
                    if progress:
                        progress(loaded, len(table))
            broken += [name for name, extreme in extremes.items() if not extreme.isfinite().all()]
    if broken:
        raise WeightsError(
            f"{path}: NaN or infinite values in {_listing(broken)}; the checkpoint is damaged or overflows {dtype}"
        )
    model.requires_grad_(False)
    return model.eval()


def _open(file: Path):  # safetensors has no public type for it
    try:
        return safe_open(file, framework="pt", device="cpu")
    except (SafetensorError, OSError, struct.error) as error:
        raise WeightsError(f"{file}: truncated or not a safetensors file ({error}); download it again") from error


def _shards(path: Path) -> dict[Path, list[str]]:
    """Files of a checkpoint and the tensors each holds."""
    index = path / INDEX_NAME
    if index.exists():
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            names = sorted({Path(name).name for name in weight_map.values()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(f"{index}: not a weight index ({error!r})") from error
        files = [path / name for name in names]
        absent = [file.name for file in files if not file.exists()]
        if absent:
            raise WeightsError(f"{path}: shards named by {INDEX_NAME} are missing: {_listing(absent)}")
    else:
        files = sorted(path.glob("model*.safetensors"))
        if not files:
            pickled = [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
            hint = (
                f"; {pickled[0].name} is a pickle, which vl2 never opens: convert it to safetensors" if pickled else ""
            )
            raise WeightsError(f"{path}: no model*.safetensors files{hint}")
    shards = {}
    for file in files:
        with _open(file) as shard:
            shards[file] = list(shard.keys())
    return shards


def _check_names(path: Path, shards: dict[Path, list[str]], table: dict[str, Slot]) -> None:
    """One error for everything wrong with names and shapes, before any memory is taken."""
    present: dict[str, Path] = {}
    twice: list[str] = []
    for file, names in shards.items():
        twice += [name for name in names if name in present]
        present |= dict.fromkeys(names, file)
    misshapen: list[str] = []
    not_floats: list[str] = []
    for file, names in shards.items():
        with _open(file) as shard:
            for name in names:
                if name not in table:
                    continue
                stored = shard.get_slice(name)
                if (shape := tuple(stored.get_shape())) != table[name].shape:
                    misshapen.append(f"{name} {list(shape)} (expected {list(table[name].shape)})")
                elif (kind := stored.get_dtype()) not in _STORED_DTYPES:
                    not_floats.append(f"{name} {kind}")
    problems = {
        "missing": [name for name in table if name not in present],
        "unexpected": [name for name in present if name not in table],
        "misshapen": misshapen,
        f"not stored as {', '.join(_STORED_DTYPES)}": not_floats,
        "stored twice": twice,
    }
    found = [f"{kind}: {_listing(names)}" for kind, names in problems.items() if names]
    if found:
        raise WeightsError(f"{path}: tensors do not match config.json; {'; '.join(found)}")


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(names)} ({', '.join(names[:_LISTED])}{more})"


def plan_shards(table: Iterable[Slot], bytes_per_value: int, max_shard_bytes: int) -> list[list[Slot]]:
    """Slots of each file, in table order; a file exceeds the limit only if one tensor does."""
    shards: list[list[Slot]] = [[]]
    used = 0
    for slot in table:
        size = slot.numel * bytes_per_value
        if shards[-1] and used + size > max_shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(slot)
        used += size
    return shards


def save(model: VL2, path: Path, dtype: torch.dtype = torch.bfloat16, max_shard_bytes: int = 5 * 10**9) -> None:
    """Write config.json, shards and index in official layout; `path` appears whole or stays as it was.

    Other files of a checkpoint that is replaced (tokenizer, processor) stay. Raises WeightsError if `path` is
    something else than a checkpoint or an empty directory.
    """
    path = path.resolve()
    kept = _other_files(path)
    staging = path.with_name(f".{path.name}.writing-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed; containers repeat process ids
    staging.mkdir(parents=True)
    try:
        write_weights(model, staging, dtype, max_shard_bytes)
        for file in kept:
            shutil.copy2(file, staging / file.name)
        replace_directory(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _other_files(path: Path) -> list[Path]:
    """What a save into `path` keeps."""
    if not path.exists():
        return []
    if not path.is_dir() or (any(path.iterdir()) and not (path / "config.json").exists()):
        raise WeightsError(f"{path}: exists and is not a checkpoint (no config.json inside); choose another path")
    written = {"config.json", INDEX_NAME}
    files = [file for file in path.iterdir() if file.name not in written and file.suffix != ".safetensors"]
    if folders := [file.name for file in files if not file.is_file()]:
        raise WeightsError(f"{path}: would lose what is in {_listing(folders)}; choose another path")
    return files


def write_weights(model: VL2, path: Path, dtype: torch.dtype, max_shard_bytes: int) -> None:
    """Write config.json, shards and index into an existing directory."""
    ours = dict(model.named_parameters())
    shards = plan_shards(slots(model.config), dtype.itemsize, max_shard_bytes)
    weight_map: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):06}.safetensors"
        tensors = {s.official: ours[s.parameter][s.where].detach().to("cpu", dtype).contiguous().clone() for s in shard}
        save_file(tensors, path / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
        total += sum(s.numel for s in shard) * dtype.itemsize
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (path / INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    config = {**model.config.to_dict(), "torch_dtype": str(dtype).removeprefix("torch.")}
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for name in set(weight_map.values()):  # safetensors lets nobody else read what it writes
        shutil.copymode(path / "config.json", path / name)


def replace_directory(staging: Path, path: Path) -> None:
    """Put a finished directory in place; whatever was there is removed only once the new one stands.

    Both change places in one step, so that not even a kill leaves `path` empty. Only a file system that cannot do that
    (some network ones) has an instant between two renames; a kill there leaves the old directory as `.NAME.old-PID`.
    """
    if not path.exists():
        os.replace(staging, path)
        return
    if _exchange(staging, path):
        shutil.rmtree(staging)
        return
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    os.replace(path, old)
    try:
        os.replace(staging, path)
    except BaseException:
        os.replace(old, path)
        raise
    shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Let two directories change places in one step; False, and nothing done, where the system cannot."""
    libc, names = ctypes.CDLL(None), (os.fsencode(one), os.fsencode(other))
    try:
        if sys.platform == "darwin":
            return libc.renamex_np(*names, 2) == 0  # RENAME_SWAP
        return libc.renameat2(-100, names[0], -100, names[1], 2) == 0  # AT_FDCWD, RENAME_EXCHANGE
    except AttributeError:  # a C library that does not know it
        return False
