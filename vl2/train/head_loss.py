"""Cross-entropy straight from hidden states: logits exist for a few positions at a time, and are never kept.

    chunk of hidden_LD --head--> logits (chunk, V) -> losses, and at once the gradients of hidden states and head

The gradients are those of the weighted sum, so that the head multiplies once and not again in the backward pass.
The trap: weights must be known beforehand; the single losses have no gradient of their own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.cross_entropy import cross_entropy

LOGITS_BYTES = 1 << 30  # of the logits that exist at one time


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_LD: Tensor,
        head_VD: Tensor,
        bias_V: Tensor | None,
        targets_L: Tensor,
        weights_L: Tensor,
        logits_bytes: int,
    ) -> tuple[Tensor, Tensor]:
        wants_hidden, wants_head, wants_bias, *_ = ctx.needs_input_grad
        dtype = hidden_LD.dtype
        if torch.is_autocast_enabled(hidden_LD.device.type):
            dtype = torch.get_autocast_dtype(hidden_LD.device.type)
        head, rows = head_VD.to(dtype), max(logits_bytes // (len(head_VD) * dtype.itemsize), 1)
        grad_hidden = torch.empty_like(hidden_LD) if wants_hidden else None
        bias = None if bias_V is None else bias_V.to(dtype)
        grad_head: Tensor | None = None
        grad_bias = torch.zeros_like(bias_V) if bias_V is not None and wants_bias else None
        losses: list[Tensor] = []
        with torch.autocast(hidden_LD.device.type, enabled=False):
            for begin in range(0, len(hidden_LD), rows):
                own = slice(begin, begin + rows)
                hidden = hidden_LD[own].to(dtype)
                logits = F.linear(hidden, head, bias)
                losses.append(cross_entropy(logits, targets_L[own], weights_L[own]))
                if grad_hidden is not None:
                    grad_hidden[own] = logits @ head  # which are gradients now
                if wants_head:
                    part = logits.T @ hidden
                    grad_head = part.to(head_VD.dtype) if grad_head is None else grad_head.add_(part)
                if grad_bias is not None:
                    grad_bias += logits.sum(0, dtype=grad_bias.dtype)
        if wants_head and grad_head is None:
            grad_head = torch.zeros_like(head_VD)
        losses_L = torch.cat(losses) if losses else hidden_LD.new_zeros(0).float()
        ctx.save_for_backward(grad_hidden, grad_head, grad_bias)
        ctx.mark_non_differentiable(losses_L)
        return (losses_L * weights_L).sum(), losses_L

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [None if saved is None else saved * grads[0].to(saved.dtype) for saved in ctx.saved_tensors]
        return *scaled, None, None, None


def head_loss(
    hidden_LD: Tensor,
    head_VD: Tensor,
    targets_L: Tensor,
    weights_L: Tensor,
    logits_bytes: int = LOGITS_BYTES,
    bias_V: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every target, and their weighted sum.

    Args:
        hidden_LD: (L, D) hidden states of the positions that have a target.
        head_VD: (V, D) weight of the head.
        weights_L: (L,) of the targets.
        logits_bytes: of those that exist at one time.
        bias_V: (V,) of the head, if it has one.

    Returns: () the sum, with gradient; (L,) cross-entropies, without.
    """
    return _HeadLoss.apply(hidden_LD, head_VD, bias_V, targets_L, weights_L, logits_bytes)  # type: ignore[return-value]
