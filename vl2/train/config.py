"""Recipes: one TOML file says everything about a training run.

    recipe.toml --read_recipe(overrides)--> TrainConfig(model, stages, optimizer, loader, checkpoint, ...)

Unknown keys, wrong types and impossible combinations are ConfigErrors that name the key. Relative paths in a recipe
are relative to the recipe's own directory.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

from vl2.config import PRESETS, VL2Config
from vl2.section import ConfigError, Section, require
from vl2.train.adapters import LoraSection
from vl2.train.evaluation import EvaluationSection
from vl2.train.recipe_paths import absolute_name, absolute_record, names_file, with_absolute_paths
from vl2.train.stage import Stage


@dataclass(frozen=True)
class ModelSection(Section):
    """What is trained.

    preset: architecture of a model with random weights, changed by the table `config`.
    weights: or a directory of weights in official layout to start from, "nano", "tiny", "small", "base" or a hub id.
    tokenizer: path of tokenizer.json; "bytes" for one token per byte; empty to take the one beside `weights`.
    """

    preset: str = ""
    weights: str = ""
    tokenizer: str = ""
    config: VL2Config | None = None

    def __post_init__(self) -> None:
        require(bool(self.preset) != bool(self.weights), "preset", self.preset, "give either preset or weights")
        require(
            bool(self.preset) == (self.config is not None), "config", "...", "needs preset; weights bring their own"
        )
        require(bool(self.tokenizer or self.weights), "tokenizer", self.tokenizer, "needed when starting from a preset")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        values, preset = dict(values), values.get("preset")
        if preset:
            require(preset in PRESETS, f"{where}.preset", preset, f"must be one of {', '.join(PRESETS)}")
            values["config"] = _merged(PRESETS[preset].to_dict(), values.get("config", {}))
        return super().from_dict(values, where)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in changes.items():
        inner = out.get(key)
        out[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return out


@dataclass(frozen=True)
class OptimizerSection(Section):
    """Weight decay spares norms, biases and embeddings.

    name: "adamw", or "muon" for the matrices between hidden states, with AdamW for everything else.
    momentum: of Muon; beta1 and beta2 are AdamW's.
    moments: "float32", or "int8": those of AdamW's matrices take 2 bytes a parameter instead of 8.
    """

    name: str = "adamw"
    momentum: float = 0.95
    moments: str = "float32"
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0

    def __post_init__(self) -> None:
        require(self.name in ("adamw", "muon"), "name", self.name, "must be adamw or muon")
        require(self.moments in ("float32", "int8"), "moments", self.moments, "must be float32 or int8")
        require(0 < self.momentum < 1, "momentum", self.momentum, "must be in (0, 1)")
        for key in ("beta1", "beta2"):
            require(0 <= getattr(self, key) < 1, key, getattr(self, key), "must be in [0, 1)")
        for key in ("eps", "clip"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "must not be negative")


@dataclass(frozen=True)
class ParallelSection(Section):
    """How the ranks of a run that torchrun started divide the model.

    shard: ranks that hold one copy of the weights between them; 1: every rank holds all.
    experts: ranks, among these, that divide the routed experts of a layer: tokens travel instead of weights.
    """

    shard: int = 1
    experts: int = 1

    def __post_init__(self) -> None:
        for key in ("shard", "experts"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        require(self.shard % self.experts == 0, "experts", self.experts, f"must divide shard = {self.shard}")


UNDIVIDED = ParallelSection()


@dataclass(frozen=True)
class LoaderSection(Section):
    """workers: rendering processes, null for one per core less one, 0 for none; prefetch: batches each keeps ready."""

    workers: int | None = None
    prefetch: int = 2

    def __post_init__(self) -> None:
        require(self.workers is None or self.workers >= 0, "workers", self.workers, "must not be negative")
        require(self.prefetch > 0, "prefetch", self.prefetch, "must be positive")


@dataclass(frozen=True)
class CheckpointSection(Section):
    """When checkpoints are written and what the compact one at the end of a run holds.

    every_steps, every_sec: 0 for never; there is always one at the end of a run.
    keep: newest checkpoints that stay.
    compact: also write a compact checkpoint (bfloat16 weights, files of at most max_file_mib) at the end of a run.
    moments: optimizer moments of the compact checkpoint: "none", "int8" or "exact".
    """

    every_steps: int = 0
    every_sec: float = 600.0
    keep: int = 2
    compact: bool = False
    moments: str = "none"
    max_file_mib: int = 15

    def __post_init__(self) -> None:
        for key in ("every_steps", "every_sec"):
            require(getattr(self, key) >= 0, key, getattr(self, key), "must not be negative")
        for key in ("keep", "max_file_mib"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        require(self.moments in ("none", "int8", "exact"), "moments", self.moments, "must be none, int8 or exact")


@dataclass(frozen=True)
class TrainConfig(Section):
    """A whole run.

    lora: train an adapter instead of the model's weights.
    evaluation: scores while training.
    tensorboard: also write curves for TensorBoard, to RUN/tensorboard.
    records: table of name to a file of conversations, or a glob of them; a mixture names them beside tasks. Which
        files are read: README, "Train".
    max_bad_records: bad records of an entry of `records` that training goes on without; with more it does not begin.
    fetch_images: download images that records name by http(s) URL, from public addresses only, and keep them.
    device: "auto", "cpu", "cuda" or "cuda:N".
    precision: "bfloat16" (autocast over float32 weights), "float32", "auto": bfloat16 on CUDA, or "all_bfloat16": the
        weights of linear layers and experts, and their gradients, are bfloat16, too, which needs optimizer.moments =
        "int8" and takes 6 bytes a parameter, all told.
    compile: "none", "vision" (blocks of the tower) or "all" (decoder layers too); ignored on CPU.
    recompute: what layers repeat in the backward pass instead of keeping it: "none", "layers" (all but their inputs) or
        "selective" (all but products of matrices and attention). The numbers stay the same.
    cpu_threads: threads of the model when it trains on a CPU, 0 for torch's own choice; sums, and so the last digits,
        depend on it.
    tf32: lets float32 products on CUDA round to TF32.
    time_limit_sec: stop with a checkpoint after this long; 0 for never. It never changes the learning rate.
    rewarm_steps: learning rate warms up again over this many steps after a resume without moments.
    background_weight: weight of class 0 in the patch loss.
    max_skipped: steps in a row whose loss or gradient may be infinite or NaN, and which are skipped; with more the run
        ends, at the next line of metrics.
    log_every: steps between lines of metrics; the device is asked for numbers only then.
    """

    model: ModelSection
    stages: tuple[Stage, ...]
    seed: int = 1
    optimizer: OptimizerSection = OptimizerSection()
    loader: LoaderSection = LoaderSection()
    checkpoint: CheckpointSection = CheckpointSection()
    lora: LoraSection | None = None
    evaluation: EvaluationSection | None = None
    tensorboard: bool = False
    parallel: ParallelSection = UNDIVIDED
    records: tuple[tuple[str, str], ...] = ()
    max_bad_records: int = 0
    fetch_images: bool = False
    device: str = "auto"
    precision: str = "auto"
    compile: str = "all"
    recompute: str = "none"
    cpu_threads: int = 0
    tf32: bool = False
    time_limit_sec: float = 0.0
    rewarm_steps: int = 100
    background_weight: float = 0.05
    max_skipped: int = 10
    log_every: int = 20

    def __post_init__(self) -> None:
        require(bool(self.stages), "stages", self.stages, "needs at least one stage")
        if self.lora:
            self._check_lora()
        if self.parallel.shard > 1:
            name = self.optimizer.name
            require(name != "muon", "optimizer.name", name, "needs whole matrices; use adamw where parallel.shard > 1")
            require(self.evaluation is None, "evaluation", "...", "needs parallel.shard = 1")
        names = [stage.name for stage in self.stages]
        require(len(set(names)) == len(names), "stages", names, "two stages share a name")
        precisions = ("auto", "bfloat16", "float32", "all_bfloat16")
        require(self.precision in precisions, "precision", self.precision, f"must be one of {', '.join(precisions)}")
        if self.precision == "all_bfloat16":  # whose small steps get lost unless they are rounded by chance
            moments, shard = self.optimizer.moments, self.parallel.shard
            require(moments == "int8", "optimizer.moments", moments, "must be int8 with precision = 'all_bfloat16'")
            require(shard == 1, "parallel.shard", shard, "must be 1 with precision = 'all_bfloat16'")
        require(self.compile in ("none", "vision", "all"), "compile", self.compile, "must be none, vision or all")
        choices = ("none", "layers", "selective")
        require(self.recompute in choices, "recompute", self.recompute, f"must be one of {', '.join(choices)}")
        if self.recompute == "selective":  # torch wants every operator repeated, gathering included
            experts = self.parallel.experts
            require(experts == 1, "recompute", self.recompute, "must be none or layers where parallel.experts > 1")
        for key in ("log_every", "max_skipped"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        for key in ("seed", "cpu_threads", "time_limit_sec", "rewarm_steps", "background_weight", "max_bad_records"):
            require(getattr(self, key) >= 0, key, getattr(self, key), "must not be negative")

    def _check_lora(self) -> None:
        require(bool(self.model.weights), "lora", "...", "needs model.weights, which the adapter belongs to")
        name, shard = self.optimizer.name, self.parallel.shard
        require(name == "adamw", "optimizer.name", name, "must be adamw with [lora]")
        require(shard == 1, "parallel.shard", shard, "must be 1 with [lora]")
        if self.lora and self.lora.dropout:  # layers repeat without the random numbers of the first time
            require(self.recompute == "none", "recompute", self.recompute, "must be none with lora.dropout")
        wide = self.precision != "all_bfloat16"
        require(wide, "precision", self.precision, "must be bfloat16 with [lora], which keeps frozen weights in it")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        values = dict(values)
        if isinstance(values.get("records"), Mapping):
            values["records"] = list(values["records"].items())
        return super().from_dict(values, where)

    def to_dict(self) -> dict[str, Any]:
        stages = [stage.to_dict() for stage in self.stages]
        return {**super().to_dict(), "stages": stages, "records": dict(self.records)}

    @property
    def total_steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def locate(self, step: int) -> tuple[int, int]:
        """(stage number, step within the stage) of a step of the whole run."""
        for number, stage in enumerate(self.stages):
            if step < stage.steps:
                return number, step
            step -= stage.steps
        raise ValueError(f"step {step} lies {step} after the last of {self.total_steps} steps")


def shipped_recipes() -> dict[str, Path]:
    """Recipes that come with the package, by name."""
    folder = Path(str(resources.files("vl2"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a shipped recipe by name, or any by path.

    Args:
        overrides: "key=value" with dotted keys and TOML values, e.g. "stages.0.steps=10", "stages.*.tiles_per_batch=8"
            or "checkpoint.compact=true"; a value that is no TOML is taken as a string.

    Raises: ConfigError.
    """
    path = Path(recipe)
    if path.suffix != ".toml":
        known = shipped_recipes()
        require(
            str(recipe) in known, "recipe", str(recipe), f"no such recipe; shipped: {', '.join(known)}; or give a .toml"
        )
        path = known[str(recipe)]
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from error
    for override in overrides:
        _override(values, override)
    try:
        return with_absolute_paths(TrainConfig.from_dict(values), path.resolve().parent)
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from None


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    require(bool(equals and key), "override", override, "must look like key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if isinstance(value, str) and names_file(key):
        absolute = absolute_record if "records." in key else absolute_name
        value = absolute(value, Path.cwd())  # what a person types is relative to where they are
    _set(values, key.split("."), value, override)


def _set(node: Any, keys: list[str], value: Any, override: str) -> None:
    key, rest = keys[0], keys[1:]
    if isinstance(node, list):
        chosen = range(len(node)) if key == "*" else [int(key)] if key.isdigit() and int(key) < len(node) else []
        require(bool(chosen), "override", override, f"{key!r} is no entry of a list of {len(node)}")
        for index in chosen:
            if rest:
                _set(node[index], rest, value, override)
            else:
                node[index] = value
    elif isinstance(node, dict):
        if rest:
            _set(node.setdefault(key, {}), rest, value, override)
        else:
            node[key] = value
    else:
        raise ConfigError(f"override {override!r}: {key!r} lies inside a plain value")
