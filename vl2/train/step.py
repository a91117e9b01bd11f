"""One optimizer step: all its micro-batches, their sums, the gradient, the change.

    (host batch, device batch), ... --batch_losses, backward--> gradients --sum over ranks, clip--> step, or none

The trap: nothing here asks the device for a number. A step whose loss or gradient is not finite is skipped on the
device, and the host learns of it with the next metrics line.
"""

import torch
from torch import Tensor

from vl2.data.packing import PackedBatch
from vl2.train.gradient_sums import GradientSums
from vl2.train.groups import expand
from vl2.train.loss import answer_weights, batch_losses
from vl2.train.metrics import Meter
from vl2.train.optim import patch_weight, update_router_bias
from vl2.train.run import Run
from vl2.train.sharding import call, sum_and_clip


def take_step(
    run: Run, number: int, step: int, micro: list[tuple[PackedBatch, PackedBatch]], meter: Meter, sums: GradientSums
) -> tuple[Tensor, Tensor]:
    """One optimizer step.

    Args:
        number, step: of the stage, and within it.
        micro: this rank's micro-batches, each on the host and on the device.
        sums: of the gradients that every rank has.

    Returns: the gradient's norm and whether the step was taken, both on the device.
    """
    assembly, config, hosts = run.assembly, run.config, [host for host, _ in micro]
    stage, weight = config.stages[number], patch_weight(config.stages[number], step)
    head = assembly.patch_head if weight > 0 else None
    labelled = [h.num_foreground + config.background_weight * h.num_background if head else 0.0 for h in hosts]
    local = _counts(hosts, stage.answer_exponent)
    local += [sum(labelled), sum(host.num_boxes for host in hosts) if head else 0]
    num_answers, num_prompts, num_labelled, num_boxes = run.ranks.sum(local, assembly.device).clamp_min(1)
    total = torch.zeros((), device=assembly.device)
    expert_counts: Tensor | None = None
    meter.begin_work()
    for place, ((host, batch), patch_share) in enumerate(zip(micro, labelled, strict=True), 1):
        with torch.autocast(assembly.device.type, torch.bfloat16, enabled=assembly.bfloat16):
            losses = call(
                batch_losses, assembly.model, head, batch, background_weight=config.background_weight,
                answer_exponent=stage.answer_exponent, static=assembly.device.type == "cuda",
            )  # fmt: skip
        share = len(host.sequence_lengths) / num_prompts
        loss = losses.text / num_answers + stage.aux_loss_alpha * share * losses.balance
        loss = loss + weight * (losses.patch / num_labelled + stage.box_loss_factor * losses.box / num_boxes)
        if place == len(micro) and run.sharding is None:  # else two kinds of messages would be under way at once
            sums.expect_last()
        loss.backward()
        total += loss.detach()
        counts = losses.expert_counts_GE
        expert_counts = counts if expert_counts is None else expert_counts + counts
        meter.add_micro(batch, losses, share, patch_share)
    meter.end_work()
    norm, finite = _change(run, run.ranks.total(total), sums)
    if stage.bias_update_step and expert_counts is not None and "router" not in expand(stage.freeze):
        update_router_bias(assembly.model, run.ranks.total(expert_counts), stage.bias_update_step, finite.float())
    return norm, finite


def _counts(hosts: list[PackedBatch], answer_exponent: float) -> list[float]:
    """Weights of all answers, and prompts."""
    answers = sum(float(answer_weights(host, answer_exponent).sum()) for host in hosts)
    return [answers, sum(len(host.sequence_lengths) for host in hosts)]


def _change(run: Run, loss: Tensor, sums: GradientSums) -> tuple[Tensor, Tensor]:
    """Change the parameters if loss and gradient are finite; the norm, and whether."""
    optimizer = run.optimizer
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = sum_and_clip(run.assembly.model, parameters, run.config.optimizer.clip, sums, run.sharding)
    finite = norm.isfinite() & loss.isfinite()
    optimizer.found_inf = 1 - finite.float()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm, finite
