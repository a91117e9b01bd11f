"""One optimizer step: all its micro-batches, their sums, the gradient, the change.

    (host batch, device batch), ... --batch_losses, backward--> gradients --sum over ranks, clip--> step, or none

The trap: nothing here asks the device for a number. A step whose loss or gradient is not finite is skipped on the
device, and the host learns of it with the next metrics line.
"""

import torch
from torch import Tensor

from vl2.data.packing import PackedBatch
from vl2.train.groups import expand
from vl2.train.loss import answer_weights, batch_losses
from vl2.train.metrics import Meter
from vl2.train.optim import patch_weight, update_router_bias
from vl2.train.run import Run
from vl2.train.sharding import call, sum_and_clip


def take_step(
    run: Run, number: int, step: int, micro: list[tuple[PackedBatch, PackedBatch]], meter: Meter
) -> tuple[Tensor, Tensor]:
    """One optimizer step; returns the gradient's norm and whether the step was taken, both on the device."""
    assembly, config = run.assembly, run.config
    stage = config.stages[number]
    hosts = [host for host, _ in micro]
    background = config.background_weight
    weight = patch_weight(stage, step)
    head = assembly.patch_head if weight > 0 else None
    labelled = [host.num_foreground + background * host.num_background if head else 0.0 for host in hosts]
    boxed = sum(host.num_boxes for host in hosts) if head else 0
    answers = sum(float(answer_weights(host, stage.answer_exponent).sum()) for host in hosts)
    local = [answers, sum(len(host.prompt_lengths) for host in hosts), sum(labelled), boxed]
    num_answers, num_prompts, num_labelled, num_boxes = run.ranks.sum(local, assembly.device).clamp_min(1)
    total = torch.zeros((), device=assembly.device)
    expert_counts: Tensor | None = None
    for (host, batch), patch_share in zip(micro, labelled, strict=True):
        with torch.autocast(assembly.device.type, torch.bfloat16, enabled=assembly.bfloat16):
            losses = call(
                batch_losses,
                assembly.model,
                head,
                batch,
                background_weight=background,
                answer_exponent=stage.answer_exponent,
                static=assembly.device.type == "cuda",
            )
        share = len(host.prompt_lengths) / num_prompts
        loss = losses.text / num_answers + stage.aux_loss_alpha * share * losses.balance
        loss = loss + weight * (losses.patch / num_labelled + stage.box_loss_factor * losses.box / num_boxes)
        loss.backward()
        total += loss.detach()
        counts = losses.expert_counts_GE
        expert_counts = counts if expert_counts is None else expert_counts + counts
        meter.add_micro(batch, losses, share, patch_share)
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    total = run.ranks.total(total)
    norm = sum_and_clip(assembly.model, parameters, config.optimizer.clip, run.ranks, run.sharding)
    finite = norm.isfinite() & total.isfinite()
    run.optimizer.found_inf = 1 - finite.float()
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    if stage.bias_update_step and expert_counts is not None and "router" not in expand(stage.freeze):
        update_router_bias(assembly.model, run.ranks.total(expert_counts), stage.bias_update_step, finite.float())
    return norm, finite
