"""Optimizer and parameter groups, learning-rate schedule, router-bias update.

The learning rate is a pure function of the step: neither a time limit nor a resume changes it (except the short
warm-up after a resume without moments, which is a function of the step it began at).
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vl2.model.lora import has_adapter, is_adapter
from vl2.model.moe import Router
from vl2.model.vl2 import VL2
from vl2.train.adamw_int8 import adamw_int8, as_float, as_int8
from vl2.train.config import OptimizerSection
from vl2.train.groups import expand, group_of
from vl2.train.muon import muon_step
from vl2.train.patch_head import PatchHead
from vl2.train.sharding import own_part
from vl2.train.stage import Stage


def learns(name: str) -> bool:
    """False for what gradients never reach: the unused pooling head, and router biases, which have their own rule."""
    return not name.startswith("vision.attn_pool.") and not name.endswith("router.bias")


def decays(name: str, parameter: Tensor) -> bool:
    """Weight decay is for matrices: not for norms, biases, learned vectors, embeddings."""
    return parameter.ndim >= 2 and not name.endswith(("embed_tokens.weight", "pos_embed"))


def learned_parameters(model: VL2, patch_head: PatchHead | None) -> Iterator[tuple[str, str, nn.Parameter]]:
    """(name, group, parameter) of everything the optimizer may change; the head's group is patch_head."""
    may_learn = is_adapter if has_adapter(model) else learns
    for name, parameter in model.named_parameters():
        if may_learn(name):
            yield name, group_of(name), parameter
    if patch_head is not None:
        for name, parameter in patch_head.named_parameters():
            yield f"patch_head.{name}", "patch_head", parameter


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """What Muon may take: matrices between hidden states; not embeddings, the head, routers, or what reads pixels."""
    outside = ("embed_tokens.weight", "lm_head.weight", "router.weight", "pos_embed", "patch_embed.proj.weight")
    return parameter.ndim >= 2 and not name.endswith(outside) and not name.startswith("patch_head.")


class Optimizer(torch.optim.AdamW):
    """Fused AdamW, and Muon or AdamW with moments of 8 bits for groups that say so; a step does nothing where
    `found_inf` is 1.

    The device decides whether a step is taken, so the host need not wait for a norm.
    """

    found_inf: Tensor | None = None  # read by torch's fused step, as its gradient scaler uses it

    def moments_of(self, parameter: Tensor) -> tuple[str, ...]:
        """Names of what is kept about a parameter between steps."""
        for group in self.param_groups:
            if any(parameter is p for p in group["params"]):
                return ("momentum",) if group["muon"] else ("step", "exp_avg", "exp_avg_sq")
        raise KeyError("a parameter of another optimizer")

    def kept(self, parameter: Tensor) -> dict[str, Tensor]:
        """What is kept about a parameter, by the names of `moments_of`, in float32."""
        return {name: as_float(value, parameter, name) for name, value in self.state[parameter].items()}

    def keep(self, parameter: Tensor, moments: dict[str, Tensor]) -> None:
        """Take up what `kept` gave."""
        int8 = any(group["int8"] and any(parameter is p for p in group["params"]) for group in self.param_groups)
        self.state[parameter] = {name: as_int8(v, name) if int8 else v for name, v in moments.items()}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            if group["muon"]:
                self._muon(group)
            if group["int8"]:
                adamw_int8(group, self.state, self.found_inf)
        super().step()  # passes over parameters without a gradient, as _muon leaves them

    def _muon(self, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        for parameter in params:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[p]["momentum"] for p in params]
        keep = torch.ones_like(params[0].flatten()[0]) if self.found_inf is None else 1 - self.found_inf
        muon_step(params, momenta, group["lr"], group["weight_decay"], group["muon"], keep)
        for parameter in params:
            parameter.grad = None


def build_optimizer(model: VL2, patch_head: PatchHead | None, config: OptimizerSection) -> Optimizer:
    """One parameter group for each (group, decay, Muon or not, moments of 8 bits or not)."""
    groups: dict[tuple[str, bool, bool, bool], list[nn.Parameter]] = {}
    for name, group, parameter in learned_parameters(model, patch_head):
        muon = config.name == "muon" and is_hidden_matrix(name, parameter)
        int8 = config.moments == "int8" and not muon and parameter.ndim >= 2
        groups.setdefault((group, decays(name, parameter), muon, int8), []).append(own_part(parameter))
    return Optimizer(
        [
            {
                "params": params,
                "group": group,
                "weight_decay": config.weight_decay if decay else 0.0,
                "muon": config.momentum if muon else 0.0,
                "int8": int8,
            }
            for (group, decay, muon, int8), params in groups.items()
        ],
        lr=0.0,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )


def freeze_for(stage: Stage, model: VL2, patch_head: PatchHead | None) -> None:
    """Let exactly the groups of this stage learn."""
    model.requires_grad_(False)
    frozen = expand(stage.freeze)
    for _, group, parameter in learned_parameters(model, patch_head):
        parameter.requires_grad_(group not in frozen)


def learning_rate(stage: Stage, step: int) -> float:
    """Of `step` (from 0) within a stage: linear warm-up, then the stage's schedule over all its steps."""
    fraction = step / stage.steps
    warm = min(1.0, (step + 1) / stage.warmup_steps) if stage.warmup_steps else 1.0
    if stage.schedule == "cosine":
        factor = stage.lr_floor + (1 - stage.lr_floor) * 0.5 * (1 + math.cos(math.pi * fraction))
    elif stage.schedule == "step":
        factor = 10.0 ** (-0.5 * ((fraction >= 0.5) + (fraction >= 0.75)))
    else:
        factor = 1.0
    return stage.learning_rate * warm * factor


def rewarm_factor(step: int, rewarm_from: int | None, rewarm_steps: int) -> float:
    """Moments that were not stored need some steps to form again; until then the rate is lowered."""
    if rewarm_from is None or rewarm_steps == 0:
        return 1.0
    return min(1.0, (step - rewarm_from + 1) / rewarm_steps)


def set_learning_rate(optimizer: torch.optim.Optimizer, stage: Stage, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * stage.lr_multiplier.of(group["group"])


def patch_weight(stage: Stage, step: int) -> float:
    """Weight of the patch loss at `step` of a stage: linear between the stage's points, constant outside them."""
    fraction, points = step / stage.steps, stage.patch_loss_weight
    earlier = [point for point in points if point[0] <= fraction]
    later = [point for point in points if point[0] > fraction]
    if not earlier or not later:
        return (earlier[-1] if earlier else later[0])[1]
    (f0, w0), (f1, w1) = earlier[-1], later[0]
    return w0 + (w1 - w0) * (fraction - f0) / (f1 - f0)


@torch.no_grad()
def update_router_bias(model: VL2, expert_counts_GE: Tensor, step_size: float, applied: Tensor) -> None:
    """Raise the bias of under-loaded experts and lower that of over-loaded ones (Loss-Free Balancing, 2408.15664).

    Args:
        expert_counts_GE: tokens sent to every expert in this step, one row per router in layer order.
        applied: () 1 if the optimizer step was taken, 0 if it was skipped.
    """
    routers = [module for module in model.modules() if isinstance(module, Router)]
    for router, counts_E in zip(routers, expert_counts_GE.float(), strict=True):
        if router.config.topk_method == "noaux_tc":
            router.bias.add_(torch.sign(counts_E.mean() - counts_E) * (step_size * applied))
