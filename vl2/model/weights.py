"""Weights: checkpoints to models and back, by the table in vl2/model/slots.py.

    load: shards --mmap--> each tensor copied into its slot, on the wanted device in the wanted dtype
          matrices, if wanted, quantised one by one on the way: those of full precision are never held together
    save: slots --> shards in official layout, directory renamed into place

The trap: a checkpoint is read before anything about it is known; names, shapes and dtypes are checked first.
"""

import ctypes
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vl2.config import VL2Config, read_config
from vl2.kernels.quantized import quantize as quantize_matrix
from vl2.kernels.team import Team
from vl2.model.parts import part_of, require_divisible
from vl2.model.quantized_experts import check_device, put_quantized, quantized_config
from vl2.model.slots import Slot, quantized_slots, stored_slots
from vl2.model.vl2 import VL2

INDEX_NAME = "model.safetensors.index.json"
_LISTED = 8  # names shown per kind of problem
_STORED_DTYPES = ("BF16", "F16", "F32", "F64")
_NAMES = {
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
}


class WeightsError(ValueError):
    """A checkpoint that cannot be loaded; names every missing, extra, misshapen, truncated or non-finite tensor."""


def empty_model(config: VL2Config, device: torch.device | str, dtype: torch.dtype, team: Team | None = None) -> VL2:
    """A model, or a rank's part of one, whose parameters are allocated on `device` in `dtype` and not yet filled."""
    with torch.device("meta"):
        model = VL2(config, team)
        if config.quantization_config:
            put_quantized(model, config.quantization_config, fill=False)
    return model.to(dtype).to_empty(device=device)


def load(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] | None = None,
    quantize: str | None = None,
    team: Team | None = None,
) -> VL2:
    """Load a checkpoint directory (config.json and safetensors) without holding more than one shard on the host.

    Args:
        path: directory in official layout, or what `quantize_checkpoint` wrote.
        progress: called with (tensors loaded, tensors in all).
        quantize: "fp8" or "int4" for the routed experts, "int8" for these and the linear layers of the language model
            on a CPU, of weights that are not quantised yet.
        team: ranks that hold the model together; of divided weights this one reads its part.

    Raises: ConfigError, WeightsError, TeamError.
    """
    config = read_config(path / "config.json")
    if team is not None:
        require_divisible(config if quantize is None else quantized_config(config, quantize, path), team.count)
    check_device(config if quantize is None else quantized_config(config, quantize, path), device, path)
    return _load(path, config, device, dtype, progress, quantize, team)


def _load(
    path: Path,
    config: VL2Config,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Callable[[int, int], None] | None,
    quantize: str | None,
    team: Team | None = None,
) -> VL2:
    """As load, wherever the model may run later."""
    table = {slot.official: slot for slot in stored_slots(config)}
    if quantize is not None:
        config = quantized_config(config, quantize, path)
    shards = _shards(path)
    _check_names(path, shards, table)
    try:
        model = empty_model(config, device, dtype, team)
    except RuntimeError as error:  # the only thing that fails there is memory; torch.OutOfMemoryError is one, too
        size = sum(slot.nbytes(dtype) for slot in stored_slots(config))
        raise WeightsError(
            f"{path}: {size / 1e9:.1f} GB of weights in {dtype} do not fit into the memory of {device} "
            f"({str(error).splitlines()[0]}); use a smaller dtype or model, or another device"
        ) from error
    ours = _tensors(model)
    broken: list[str] = []
    loaded = 0
    with torch.no_grad():
        for file, names in shards.items():
            extremes: dict[str, Tensor] = {}  # finite only if every value is; read when the shard is done
            with _open(file) as shard:
                for name in names:
                    slot, quantization = table[name], config.quantization_config if quantize else None
                    fill = _fill_quantized if quantization and slot.is_quantized(quantization) else _fill
                    source, slot = part_of(slot, team.rank, team.count) if team else ((), slot)
                    stored = shard.get_slice(name)[source] if source else shard.get_tensor(name)
                    extremes[name] = fill(model, ours, slot, stored)
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


def _tensors(model: VL2) -> dict[str, Tensor]:
    """Parameters, and the buffers of quantised modules."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _fill(model: VL2, ours: Mapping[str, Tensor], slot: Slot, stored: Tensor) -> Tensor:
    """Copy a tensor into its slot; its smallest and its largest value."""
    target = ours[slot.parameter][slot.where]
    target.copy_(stored)
    return torch.stack((target.float() if target.dtype == torch.float8_e4m3fn else target).aminmax())


def _fill_quantized(model: VL2, ours: Mapping[str, Tensor], slot: Slot, stored: Tensor) -> Tensor:
    """As _fill for a matrix that is quantised where the model lies; extremes are those of the matrix."""
    quantization = model.config.quantization_config
    assert quantization
    weight = stored.to(model.device)
    made = quantize_matrix(weight, quantization.experts, quantization.group_size)
    for part, tensor in zip(quantized_slots(slot, quantization), (made.values, made.scales), strict=True):
        ours[part.parameter][part.where].copy_(tensor)
    return torch.stack(weight.aminmax()).to(model.dtype)


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
    other_kinds: dict[str, list[str]] = {}
    for file, names in shards.items():
        with _open(file) as shard:
            for name in names:
                if name not in table:
                    continue
                stored = shard.get_slice(name)
                if (shape := tuple(stored.get_shape())) != table[name].shape:
                    misshapen.append(f"{name} {list(shape)} (expected {list(table[name].shape)})")
                elif (kind := stored.get_dtype()) not in (allowed := _stored_kinds(table[name])):
                    other_kinds.setdefault(f"not stored as {', '.join(allowed)}", []).append(f"{name} {kind}")
    problems = {
        "missing": [name for name in table if name not in present],
        "unexpected": [name for name in present if name not in table],
        "misshapen": misshapen,
        **other_kinds,
        "stored twice": twice,
    }
    found = [f"{kind}: {_listing(names)}" for kind, names in problems.items() if names]
    if found:
        raise WeightsError(f"{path}: tensors do not match config.json; {'; '.join(found)}")


def _stored_kinds(slot: Slot) -> tuple[str, ...]:
    return _STORED_DTYPES if slot.dtype is None else (_NAMES[slot.dtype],)


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(names)} ({', '.join(names[:_LISTED])}{more})"


def plan_shards(table: Iterable[Slot], bytes_per_value: int, max_shard_bytes: int) -> list[list[Slot]]:
    """Slots of each file, in table order; a file exceeds the limit only if one tensor does."""
    shards: list[list[Slot]] = [[]]
    used = 0
    for slot in table:
        size = slot.numel * (slot.dtype.itemsize if slot.dtype else bytes_per_value)
        if shards[-1] and used + size > max_shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(slot)
        used += size
    return shards


def save(
    model: VL2,
    path: Path,
    dtype: torch.dtype = torch.bfloat16,
    max_shard_bytes: int = 5 * 10**9,
    tensors: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Write config.json, shards and index in official layout; `path` appears whole or stays as it was.

    Other files of a checkpoint that is replaced (tokenizer, processor) stay. Raises WeightsError if `path` is
    something else than a checkpoint or an empty directory. `tensors` as for `write_weights`.
    """
    path = path.resolve()
    _save(model, path, dtype, max_shard_bytes, _other_files(path), tensors)


def quantize_checkpoint(
    source: Path,
    out: Path,
    scheme: str,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
    max_shard_bytes: int = 5 * 10**9,
) -> None:
    """Write a checkpoint whose routed experts, or more, are quantised and whose other weights are bfloat16.

    Args:
        source: checkpoint in official layout; its tokenizer and processor are copied.
        out: directory that does not exist yet; appears whole.
        scheme: "fp8", "int4" or "int8", as for `load`.
        device: where weights are quantised.
        progress: called with (tensors loaded, tensors in all).

    Raises: ConfigError, WeightsError.
    """
    require_new(out)
    model = _load(source, read_config(source / "config.json"), device, torch.bfloat16, progress, scheme)
    save_beside(model, source, out, max_shard_bytes)


def require_new(out: Path) -> None:
    """Raises WeightsError if there is something in the place of a directory to be written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise WeightsError(f"{out}: exists; choose another path, or remove it first")


def save_beside(model: VL2, source: Path, out: Path, max_shard_bytes: int = 5 * 10**9) -> None:
    """Write a changed model in bfloat16 with tokenizer, processor and licence of the checkpoint it was made from."""
    ours = {"config.json", INDEX_NAME, "state.json"}  # the last makes a training checkpoint, which this is not
    copied = [file for pattern in ("*.json", "LICENSE*") for file in source.glob(pattern) if file.name not in ours]
    _save(model, out.resolve(), torch.bfloat16, max_shard_bytes, copied)


def _save(
    model: VL2,
    path: Path,
    dtype: torch.dtype,
    max_shard_bytes: int,
    copied: Iterable[Path],
    tensors: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Write a whole directory beside its place, then put it there."""
    staging = path.with_name(f".{path.name}.writing-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)  # of a process that was killed; containers repeat process ids
    staging.mkdir(parents=True)
    try:
        write_weights(model, staging, dtype, max_shard_bytes, tensors)
        for file in copied:
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


def write_weights(
    model: VL2,
    path: Path,
    dtype: torch.dtype,
    max_shard_bytes: int,
    tensors: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Write config.json, shards and index into an existing directory.

    Args:
        tensors: name and value of everything in the model, in the order of `parameter_slots`, asked for one by one; of
            a model whose weights lie on several ranks.
    """
    config, table = model.config, parameter_slots(model.config)
    if tensors is None:
        ours = _tensors(model)
        tensors = ((name, ours[name]) for name in table)
    planned = plan_shards([s for own in table.values() for s in own], dtype.itemsize, max_shard_bytes)
    files = iter([(f"model-{n:05}-of-{len(planned):06}.safetensors", len(shard)) for n, shard in enumerate(planned, 1)])
    weight_map: dict[str, str] = {}
    part: dict[str, Tensor] = {}
    name, wanted = next(files)
    for parameter, tensor in tensors:
        for slot in table[parameter]:
            if len(part) == wanted:
                save_file(part, path / name, metadata={"format": "pt"})
                part, (name, wanted) = {}, next(files)
            part[slot.official] = _stored(tensor[slot.where], slot.dtype or dtype)
            weight_map[slot.official] = name
    save_file(part, path / name, metadata={"format": "pt"})
    assert next(files, None) is None, "a tensor is missing"
    total = sum(slot.nbytes(dtype) for own in table.values() for slot in own)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (path / INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    content = {**config.to_dict(), "torch_dtype": str(dtype).removeprefix("torch.")}
    (path / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for name in set(weight_map.values()):  # safetensors lets nobody else read what it writes
        shutil.copymode(path / "config.json", path / name)


def parameter_slots(config: VL2Config) -> dict[str, list[Slot]]:
    """The slots of each of our tensors, in checkpoint order of the first."""
    table: dict[str, list[Slot]] = {}
    for slot in stored_slots(config):
        table.setdefault(slot.parameter, []).append(slot)
    return table


def parameter_shapes(config: VL2Config) -> dict[str, torch.Size]:
    """Of every parameter of a model that is not quantised."""
    with torch.device("meta"):
        return {name: parameter.shape for name, parameter in VL2(config).named_parameters()}


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Name and value, float32, of every parameter of a checkpoint that is not quantised, one after the other.

    Raises: ConfigError, WeightsError.
    """
    config = read_config(path / "config.json")
    assert config.quantization_config is None
    shards, table = _shards(path), parameter_slots(config)
    _check_names(path, shards, {slot.official: slot for own in table.values() for slot in own})
    files = {name: file for file, names in shards.items() for name in names}
    shapes = parameter_shapes(config)
    for name, own in table.items():
        tensor = torch.empty(shapes[name])
        for slot in own:
            with _open(files[slot.official]) as shard:
                tensor[slot.where] = shard.get_tensor(slot.official).float()
        if not torch.stack(tensor.aminmax()).isfinite().all():
            raise WeightsError(f"{path}: NaN or infinite values in {name}; the checkpoint is damaged")
        yield name, tensor


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to("cpu", dtype).contiguous().clone()


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
