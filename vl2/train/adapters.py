"""LoRA in a training run: the section of a recipe, and what of a model learns and is stored then.

    [lora] --start--> weights of the recipe, read-only, + adapter (float32) --write_learned--> PEFT's two files

The trap: the weights an adapter belongs to must not move, so neither the router's bias nor anything else outside of it
may learn.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from vl2.model.lora import TARGETS, attach, has_adapter, is_adapter, read_adapter, write_adapter
from vl2.model.vl2 import VL2
from vl2.model.weights import load, write_weights
from vl2.section import ConfigError, Section, require
from vl2.train.groups import expand, group_of


@dataclass(frozen=True)
class LoraSection(Section):
    """Low-rank adapters instead of the weights themselves (needs PEFT).

    rank: of every matrix, and of every expert's.
    alpha: the product of the two factors is scaled by alpha / rank.
    dropout: of the inputs of linear layers.
    targets: attention, dense, shared_experts, experts, projector.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("attention", "dense", "shared_experts", "experts")

    def __post_init__(self) -> None:
        require(self.rank > 0, "rank", self.rank, "must be positive")
        require(self.alpha > 0, "alpha", self.alpha, "must be positive")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "must be in [0, 1)")
        require(bool(self.targets), "targets", self.targets, f"needs one or more of {', '.join(TARGETS)}")
        for target in self.targets:
            require(target in TARGETS, "targets", target, f"must be among {', '.join(TARGETS)}")


class LearningStage(Protocol):
    """What of a stage an adapter cares about."""

    @property
    def name(self) -> str: ...
    @property
    def freeze(self) -> tuple[str, ...]: ...
    @property
    def bias_update_step(self) -> float: ...


def start(
    section: LoraSection,
    base: str,
    weights: Path,
    checkpoint: Path | None,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
) -> VL2:
    """A model with an adapter, new or from a checkpoint. Raises WeightsError, AdapterError.

    Args:
        base: how others find the weights.
        weights: where they are.
    """
    model = load(weights, device, dtype)
    attach(
        model, rank=section.rank, alpha=section.alpha, dropout=section.dropout, targets=section.targets,
        base=base, seed=seed,
    )  # fmt: skip
    torch.manual_seed(seed)  # of dropout; a checkpoint brings its own state
    if checkpoint is not None:
        read_adapter(model, checkpoint)
    return model


def check_stages(model: VL2, stages: Sequence[LearningStage]) -> None:
    """Raises ConfigError for a stage in which the adapter learns nothing, or something else does."""
    groups = {group_of(name) for name, _ in model.named_parameters() if is_adapter(name)}
    for stage in stages:
        if groups <= expand(stage.freeze):
            raise ConfigError(
                f"stages.{stage.name}.freeze = {list(stage.freeze)}: leaves nothing of lora.targets to train"
            )
        if stage.bias_update_step:
            raise ConfigError(
                f"stages.{stage.name}.bias_update_step = {stage.bias_update_step}: must be 0 with [lora], which leaves "
                "the model's own weights as they are"
            )


def write_learned(
    model: VL2,
    path: Path,
    dtype: torch.dtype,
    max_file_bytes: int,
    tensors: Iterable[tuple[str, Tensor]] | None = None,
) -> None:
    """Write what a checkpoint must hold of a model into an existing directory: its adapter, or else all weights.

    Args:
        tensors: as for `write_weights`.
    """
    if has_adapter(model):
        write_adapter(model, path)
    else:
        write_weights(model, path, dtype, max_file_bytes, tensors)
