"""One stage of a recipe: how long, at what rate, on what.

The trap: everything here is a function of the step, never of the clock, or a resume would not give the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from vl2.section import Section, require
from vl2.train.groups import LearningRateMultipliers, check_freeze


@dataclass(frozen=True)
class Stage(Section):
    """One stage of training; everything in it is a function of the step.

    mixture: table of source (task or entry of `records`) to weight.
    schedule: "cosine" to lr_floor * learning_rate, "step" (divided by sqrt(10) at 50 % and 75 %) or "constant".
    freeze: groups that do not learn: vision, projector, language, or parts of the last: embeddings, attention, dense,
        router, experts, shared_experts, norms, head.
    lr_multiplier: table of the same names, and patch_head, to factors on learning_rate.
    mask_prompt: loss on answers only.
    answer_exponent: an answer of n tokens weighs n ** answer_exponent: with 1 every token counts the same, with 0.5
        short answers are not drowned by long transcripts (square averaging: Chen et al. 2024, arXiv 2412.05271, 3.2).
    tokens_per_batch, tiles_per_batch, max_prompts: of one micro-batch.
    accumulation: micro-batches of a step, shared by the ranks of a run that torchrun started.
    conversations: at most so many of one synthetic image; its questions are shared out among them, so that more are
        asked first. The image and its tokens are computed once for all (vl2/kernels/branches.py). Needs mask_prompt.
    num_samples: synthetic samples of each task; 0 for endlessly many.
    uses: batches in which each synthetic sample comes, each time with other questions: drawing may be slower than
        training.
    penmanship: whether some of the synthetic text is drawn in other hands (vl2/synth/penmanship.py).
    patch_loss_weight: points (fraction of the stage, weight), linear in between; two points at one fraction jump.
    box_loss_factor: weight of the boxes of patches, relative to patch_loss_weight.
    """

    name: str
    steps: int
    learning_rate: float
    mixture: tuple[tuple[str, float], ...]
    tokens_per_batch: int
    tiles_per_batch: int
    schedule: str = "cosine"
    lr_floor: float = 0.0
    warmup_steps: int = 0
    lr_multiplier: LearningRateMultipliers = field(default_factory=LearningRateMultipliers)
    freeze: tuple[str, ...] = ()
    mask_prompt: bool = True
    answer_exponent: float = 1.0
    max_sequence_tokens: int = 4096
    max_prompts: int = 128
    accumulation: int = 1
    num_samples: int = 0
    uses: int = 1
    penmanship: bool = False
    questions_per_image: int = 4
    conversations: int = 1
    patch_loss_weight: tuple[tuple[float, float], ...] = ((0.0, 0.0),)
    box_loss_factor: float = 0.0
    aux_loss_alpha: float = 0.001
    bias_update_step: float = 0.0

    def __post_init__(self) -> None:
        positive = (
            "steps learning_rate tokens_per_batch max_sequence_tokens max_prompts accumulation questions_per_image "
            "uses conversations"
        )
        for key in positive.split():
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        not_negative = (
            "tiles_per_batch lr_floor warmup_steps num_samples aux_loss_alpha bias_update_step box_loss_factor"
        )
        for key in not_negative.split():
            require(getattr(self, key) >= 0, key, getattr(self, key), "must not be negative")
        alone = self.conversations == 1 or self.mask_prompt
        require(alone, "conversations", self.conversations, "more than one needs mask_prompt = true")
        require(0 <= self.answer_exponent <= 1, "answer_exponent", self.answer_exponent, "must be in [0, 1]")
        require(self.schedule in ("cosine", "step", "constant"), "schedule", self.schedule, "cosine, step or constant")
        require(bool(self.mixture), "mixture", self.mixture, "needs at least one source")
        for source, weight in self.mixture:
            require(weight > 0, f"mixture.{source}", weight, "must be positive; leave the source out instead")
        check_freeze(self.freeze)
        points = self.patch_loss_weight
        require(bool(points), "patch_loss_weight", points, "needs at least one (fraction, weight)")
        ordered = all(a[0] <= b[0] for a, b in pairwise(points))
        require(ordered, "patch_loss_weight", points, "fractions must not decrease")
        require(all(w >= 0 for _, w in points), "patch_loss_weight", points, "weights must not be negative")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """As every section; `mixture` is a table, and `patch_loss_weight` may be one number."""
        values = dict(values)
        if isinstance(values.get("mixture"), Mapping):
            values["mixture"] = list(values["mixture"].items())
        weight = values.get("patch_loss_weight")
        if isinstance(weight, int | float) and not isinstance(weight, bool):
            values["patch_loss_weight"] = [[0.0, weight]]
        return super().from_dict(values, where)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "mixture": dict(self.mixture)}

    @property
    def uses_patch_loss(self) -> bool:
        return any(weight > 0 for _, weight in self.patch_loss_weight)
