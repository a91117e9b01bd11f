"""Logits to cross-entropies, and in their place to gradients.

    logits_LV, targets_L, weights_L --> losses_L; logits_LV now holds weight * (softmax - 1 at the target)

Logits of a large vocabulary are the largest tensor of a training step, so they are read twice and written once, and
nothing else of their size exists. The trap: the logits are gone afterwards.
"""

import torch
from torch import Tensor

from vl2.kernels.launch import can_run


def cross_entropy_reference(logits_LV: Tensor, targets_L: Tensor, weights_L: Tensor) -> Tensor:
    """In float32, or in float64 if the logits are.

    Args:
        logits_LV: (L, V); become the gradient of the weighted sum of losses, in their dtype.
        targets_L: (L,) int64.
        weights_L: (L,) of each loss.

    Returns: losses_L (L,).
    """
    logits = logits_LV if logits_LV.dtype == torch.float64 else logits_LV.float()
    total_L1 = logits.logsumexp(-1, keepdim=True)
    losses_L = (total_L1 - logits.gather(-1, targets_L[:, None]))[:, 0]
    gradient = logits.sub_(total_L1).exp_()
    gradient.scatter_add_(-1, targets_L[:, None], gradient.new_full((1, 1), -1.0).expand(len(targets_L), 1))
    logits_LV.copy_(gradient.mul_(weights_L[:, None]))
    return losses_L


def cross_entropy(logits_LV: Tensor, targets_L: Tensor, weights_L: Tensor) -> Tensor:
    """As cross_entropy_reference, in one kernel where Triton runs."""
    if not can_run(logits_LV) or logits_LV.dtype == torch.float64:
        return cross_entropy_reference(logits_LV, targets_L, weights_L)
    from vl2.kernels import cross_entropy_triton

    return cross_entropy_triton.cross_entropy(logits_LV, targets_L, weights_L)
