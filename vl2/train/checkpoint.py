"""Checkpoints: one directory per step, safetensors and JSON only, put in place by one rename.

    step-000123/
        config.json, model-*.safetensors, index     weights in official layout: any tool of the family can load them
        or adapter_config.json, adapter_model.*     of a run with [lora], as PEFT stores it
        extras.safetensors                          patch head, random-number states
        moments-*.safetensors                       Adam moments: exact, int8, or no such files
        state.json                                  step, counters, the resolved recipe, SHA-256 of the other files

An exact checkpoint (float32 weights, float32 moments) resumes to the same numbers. A compact one rounds weights to
bfloat16 and stores moments in 8 bits or not at all, in files small enough to travel one by one.

Checkpoints do not know how many ranks wrote them: the first writes whole tensors, gathered one by one from those that
hold the parts, and every rank reads its own parts. The trap: a rank that does not ask for a tensor leaves others
waiting.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vl2.model.vl2 import VL2
from vl2.model.weights import parameter_shapes, replace_directory
from vl2.train.adapters import write_learned
from vl2.train.config import TrainConfig
from vl2.train.moments import dequantize, quantize
from vl2.train.optim import Optimizer, learned_parameters
from vl2.train.patch_head import PatchHead, with_new_classes
from vl2.train.sharding import Sharding, own_part, whole_tensors

FORMAT = 2
_STEP_NAME = re.compile(r"(step|compact)-(\d+)")
_SQUARED = "exp_avg_sq"  # stored as its square root where moments are rounded


class CheckpointError(ValueError):
    """A checkpoint that is damaged or belongs to another model."""


@dataclass(frozen=True)
class CheckpointFormat:
    """weights: dtype of stored weights; moments: "exact", "int8" or "none"; files reach at most max_file_bytes."""

    weights: torch.dtype
    moments: str
    max_file_bytes: int


EXACT = CheckpointFormat(torch.float32, "exact", 2 * 10**9)


@dataclass
class TrainState:
    """Where a run stands.

    step: optimizer steps done.
    rewarm_from: step of the last resume without moments.
    counters: totals since the first step (tokens, tiles, prompts, targets, skipped, dropped, elapsed_sec).
    """

    step: int = 0
    rewarm_from: int | None = None
    counters: dict[str, float] = field(default_factory=dict)

    def count(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self.counters[name] = self.counters.get(name, 0) + amount


def save_checkpoint(
    path: Path,
    kind: CheckpointFormat,
    state: TrainState,
    config: TrainConfig,
    model: VL2,
    patch_head: PatchHead | None,
    optimizer: Optimizer,
    sharding: Sharding | None = None,
    *,
    writes: bool = True,
) -> None:
    """Write a checkpoint; `path` appears whole or stays as it was.

    Args:
        sharding: how the model lies on the ranks, all of which must call this.
        writes: whether this rank is the one that writes.

    Raises: CheckpointError if it cannot be written.
    """
    weights = whole_tensors(model, sharding) if sharding else None
    moments = iter(()) if kind.moments == "none" else _moments(model, patch_head, optimizer, kind.moments, sharding)
    staging = path.with_name(f".{path.name}.writing-{os.getpid()}")
    try:
        if writes:
            shutil.rmtree(staging, ignore_errors=True)  # a killed run may have had the same process id
            staging.mkdir(parents=True)
            write_learned(model, staging, kind.weights, kind.max_file_bytes, weights)
            save_file(_extras(patch_head, kind.weights), staging / "extras.safetensors")
            if kind.moments != "none":
                _save_parts(staging, "moments", moments, kind.max_file_bytes)
            content = {"format": FORMAT, "moments": kind.moments, **asdict(state), "recipe": config.to_dict()}
            content["files"] = _settle(staging)
            (staging / "state.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            _to_disk(staging / "state.json")
            replace_directory(staging, path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: could not be written ({error}); checkpoints before it stay as they were; make room, then resume"
        ) from error
    finally:
        if sharding:  # the others wait for what a failed write did not ask for
            for _ in chain(weights or (), moments):
                pass
        if writes:
            shutil.rmtree(staging, ignore_errors=True)


def _settle(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a finished folder, all of them safely on the disk."""
    files = sorted(folder.iterdir())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_to_disk, files))
        return {file.name: digest for file, digest in zip(files, pool.map(_digest, files), strict=True)}


def _to_disk(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check(path: Path) -> None:
    """Compare every file of a checkpoint with what state.json says of it. Raises CheckpointError."""
    read_state(path)
    wanted: dict[str, str] = json.loads((path / "state.json").read_text(encoding="utf-8")).get("files", {})
    if absent := [name for name in wanted if not (path / name).is_file()]:
        raise CheckpointError(f"{path}: {', '.join(absent)} is missing")
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(_digest, [path / name for name in wanted])
        for name, digest in zip(wanted, found, strict=True):
            if digest != wanted[name]:
                raise CheckpointError(f"{path}: {name} is torn or damaged (its SHA-256 is not what state.json says)")


def _extras(patch_head: PatchHead | None, dtype: torch.dtype) -> dict[str, Tensor]:
    extras = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        extras["rng.cuda"] = torch.cuda.get_rng_state()
    if patch_head is not None:
        for name, parameter in patch_head.named_parameters():
            extras[f"patch_head.{name}"] = parameter.detach().to("cpu", dtype).contiguous()
    return extras


def _moments(
    model: VL2, patch_head: PatchHead | None, optimizer: Optimizer, kind: str, sharding: Sharding | None
) -> Iterator[tuple[str, Tensor]]:
    for name, _, parameter in learned_parameters(model, patch_head):
        part = own_part(parameter)
        if part not in optimizer.state:
            continue  # frozen so far
        for moment, value in optimizer.kept(part).items():  # of AdamW, or of Muon
            if sharding and value.ndim:
                value = sharding.whole(name, parameter, value)
            if kind == "exact" or not value.ndim:
                yield f"{name}/{moment}", value.detach().cpu().contiguous()
            else:
                levels, scale = quantize(value, squared=moment == _SQUARED)
                yield f"{name}/{moment}.levels", levels.cpu()
                yield f"{name}/{moment}.scale", scale.cpu()


def _save_parts(folder: Path, stem: str, tensors: Iterator[tuple[str, Tensor]], max_bytes: int) -> None:
    """Files of at most `max_bytes` each, unless one tensor alone is larger."""
    number, used, part = 1, 0, dict[str, Tensor]()
    for name, tensor in tensors:
        size = tensor.numel() * tensor.element_size()
        if part and used + size > max_bytes:
            save_file(part, folder / f"{stem}-{number:05}.safetensors")
            number, used, part = number + 1, 0, {}
        part[name] = tensor
        used += size
    save_file(part, folder / f"{stem}-{number:05}.safetensors")


@dataclass(frozen=True)
class StoredRun:
    """A checkpoint directory whose state was read; its weights are loaded with vl2.model.weights.load."""

    path: Path
    state: TrainState
    moments: str
    recipe: Mapping[str, Any]


def read_state(path: Path) -> StoredRun:
    """Read state.json of a checkpoint. A resume without moments starts a new warm-up. Raises CheckpointError."""
    file = path / "state.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise CheckpointError(f"{file}: format {content['format']!r}, this version reads {FORMAT}")
        state = TrainState(int(content["step"]), content["rewarm_from"], dict(content["counters"]))
        stored = StoredRun(path, state, str(content["moments"]), content["recipe"])
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{file}: not the state of a training checkpoint ({error!r})") from error
    if stored.moments == "none":
        state.rewarm_from = state.step
    return stored


def restore(
    stored: StoredRun,
    model: VL2,
    patch_head: PatchHead | None,
    optimizer: Optimizer,
    sharding: Sharding | None = None,
) -> list[str]:
    """Fill head, moments and random-number states; returns what is to be said of it. Raises CheckpointError."""
    extras = _load(stored.path / "extras.safetensors")
    torch.set_rng_state(extras["rng.cpu"])
    if "rng.cuda" in extras and torch.cuda.is_available():
        torch.cuda.set_rng_state(extras["rng.cuda"])
    stored_head = any(name.startswith("patch_head.") for name in extras)
    widened: set[str] = set()
    if patch_head is not None and stored_head:  # a stage that begins the patch loss has none yet
        widened = _restore_head(stored.path, extras, patch_head)
    if stored.moments != "none":
        _restore_moments(stored, model, patch_head, optimizer, sharding, widened)
    if not widened or patch_head is None:
        return []
    known, wanted = len(extras["patch_head.classes.bias"]), patch_head.classes.out_features
    return [f"{stored.path}: its patch head knows {known} classes, which stay; {wanted - known} are new"]


@torch.no_grad()
def _restore_head(path: Path, extras: Mapping[str, Tensor], patch_head: PatchHead) -> set[str]:
    """Fill the head; names of parameters that have more classes now than they were stored with."""
    widened: set[str] = set()
    for name, parameter in patch_head.named_parameters():
        key = f"patch_head.{name}"
        if key not in extras:
            raise CheckpointError(f"{path}: {key} is missing")
        value = extras[key]
        if name.startswith("classes.") and len(value) < len(parameter):
            widened.add(key)
            value = with_new_classes(value, len(parameter), seed=0)
        _check_shape(path, key, value.shape, parameter.shape)
        parameter.copy_(value)
    return widened


def _restore_moments(
    stored: StoredRun,
    model: VL2,
    patch_head: PatchHead | None,
    optimizer: Optimizer,
    sharding: Sharding | None,
    without: set[str],
) -> None:
    tensors = _StoredTensors(sorted(stored.path.glob("moments-*.safetensors")))
    known = {key.split("/", 1)[0] for key in tensors.files}  # a parameter that was frozen so far has none
    shapes = parameter_shapes(model.config)
    for name, _, parameter in learned_parameters(model, patch_head):
        if name not in known or name in without:
            continue
        part, state = own_part(parameter), dict[str, Tensor]()
        for moment in optimizer.moments_of(part):
            value = _moment(stored, tensors, f"{name}/{moment}", shapes.get(name, parameter.shape))
            if sharding and value.ndim:
                value = sharding.part(name, parameter, value)
            state[moment] = value.to(part.device, copy=True)
        optimizer.keep(part, state)


class _StoredTensors:
    """Tensors of several files, each read when it is asked for."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.files: dict[str, Path] = {}
        for file in files:
            with _opened(file) as stored:
                self.files |= dict.fromkeys(stored.keys(), file)

    def __getitem__(self, key: str) -> Tensor:
        with _opened(self.files[key]) as stored:
            return stored.get_tensor(key)


def _opened(file: Path):  # safetensors has no public type for it
    try:
        return safe_open(file, framework="pt", device="cpu")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: missing or damaged ({error})") from error


def _moment(stored: StoredRun, tensors: _StoredTensors, key: str, shape: torch.Size) -> Tensor:
    try:
        if key.endswith("/step"):
            return tensors[key]
        if stored.moments == "exact":
            _check_shape(stored.path, key, tensors[key].shape, shape)
            return tensors[key]
        levels, scale = tensors[f"{key}.levels"], tensors[f"{key}.scale"]
        return dequantize(levels, scale, shape, squared=key.endswith(_SQUARED))
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{stored.path}: moment {key} is missing or has another shape ({error!r}); resume with the same optimizer"
        ) from error


def _check_shape(path: Path, name: str, found: torch.Size, wanted: torch.Size) -> None:
    if found != wanted:
        raise CheckpointError(f"{path}: {name} has shape {list(found)}, the model needs {list(wanted)}")


def _load(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: missing or damaged ({error})") from error


def find_checkpoint(path: Path) -> tuple[Path, list[str]]:
    """`path` itself if it is a checkpoint, else the newest undamaged one inside it; and what is to be said of damaged
    ones. Raises CheckpointError if there is none."""
    if (path / "state.json").exists():
        check(path)
        return path, []
    damaged: list[str] = []
    for inside in reversed(checkpoints(path)):
        try:
            check(inside)
            return inside, [f"{line}; using {inside.name}" for line in damaged]
        except CheckpointError as error:
            damaged.append(str(error))
    raise CheckpointError(
        "; ".join(damaged) or f"{path}: no checkpoint here (no state.json, no step-* or compact-* directory)"
    )


def checkpoints(folder: Path, kinds: tuple[str, ...] = ("compact", "step")) -> list[Path]:
    """Checkpoints of a run, oldest first; of the same step, the compact one comes first."""
    found = []
    for path in folder.glob("*-*"):
        match = _STEP_NAME.fullmatch(path.name)
        if match and match[1] in kinds and (path / "state.json").exists():
            found.append((int(match[2]), match[1], path))
    return [path for _, _, path in sorted(found)]


def remove_leftovers(folder: Path) -> None:
    """Of runs that were killed while they wrote a checkpoint."""
    for path in folder.glob(".*.writing-*"):
        shutil.rmtree(path, ignore_errors=True)


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` exact checkpoints."""
    for path in checkpoints(folder, ("step",))[:-keep]:
        shutil.rmtree(path)
