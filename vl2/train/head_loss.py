"""Cross-entropy straight from hidden states: logits exist for a few positions at a time, and are never kept.

    chunk of hidden_LD --head--> logits (chunk, V) -> losses, and at once the gradients of hidden states and head

The gradients are those of the weighted sum, so that the head multiplies once and not again in the backward pass.
The trap: weights must be known beforehand; the single losses have no gradient of their own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LOGITS_AT_ONCE = 1 << 28  # numbers, of 4 bytes


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_LD: Tensor, head_VD: Tensor, targets_L: Tensor, weights_L: Tensor, rows: int
    ) -> tuple[Tensor, Tensor]:
        wants_hidden, wants_head, *_ = ctx.needs_input_grad
        dtype = hidden_LD.dtype
        if torch.is_autocast_enabled(hidden_LD.device.type):
            dtype = torch.get_autocast_dtype(hidden_LD.device.type)
        head = head_VD.to(dtype)
        grad_hidden = torch.empty_like(hidden_LD) if wants_hidden else None
        grad_head = torch.zeros_like(head_VD) if wants_head else None
        losses: list[Tensor] = []
        with torch.autocast(hidden_LD.device.type, enabled=False):
            for begin in range(0, len(hidden_LD), rows):
                own = slice(begin, begin + rows)
                hidden, target_1 = hidden_LD[own].to(dtype), targets_L[own, None]
                logits = F.linear(hidden, head)
                logits = logits if dtype == torch.float64 else logits.float()
                total = logits.logsumexp(-1, keepdim=True)
                losses.append((total - logits.gather(-1, target_1)).squeeze(-1))
                if not wants_hidden and not wants_head:
                    continue
                grad = logits.sub_(total).exp_()  # softmax, less one at the target
                grad.scatter_add_(-1, target_1, grad.new_full((1, 1), -1.0).expand_as(target_1))
                grad = grad.mul_(weights_L[own, None]).to(dtype)
                if grad_hidden is not None:
                    grad_hidden[own] = grad @ head
                if grad_head is not None:
                    grad_head += grad.T @ hidden
        losses_L = torch.cat(losses) if losses else hidden_LD.new_zeros(0).float()
        ctx.save_for_backward(grad_hidden, grad_head)
        ctx.mark_non_differentiable(losses_L)
        return (losses_L * weights_L).sum(), losses_L

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        scaled = [None if saved is None else saved * grads[0].to(saved.dtype) for saved in ctx.saved_tensors]
        return scaled[0], scaled[1], None, None, None


def head_loss(
    hidden_LD: Tensor, head_VD: Tensor, targets_L: Tensor, weights_L: Tensor, at_once: int = LOGITS_AT_ONCE
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of every target, and their weighted sum.

    Args:
        hidden_LD: (L, D) hidden states of the positions that have a target.
        head_VD: (V, D) weight of the head.
        weights_L: (L,) of the targets.
        at_once: logits that exist at one time.

    Returns: () the sum, with gradient; (L,) cross-entropies, without.
    """
    rows = max(at_once // len(head_VD), 1)
    return _HeadLoss.apply(hidden_LD, head_VD, targets_L, weights_L, rows)  # type: ignore[return-value]
