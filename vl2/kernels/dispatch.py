"""Rows of tokens to the order of experts and back.

    x_TD --dispatch--> x_MD (A copies of each token, sorted by expert) --experts--> y_MD --combine--> y_TAD

Both are gathers by a permutation, and so are their gradients. The trap: plain indexing does not know that, and its
gradient sorts all M indices again to add up rows that might be equal; that took longer than the experts themselves.
"""

from typing import Any

import torch
from torch import Tensor


def dispatch_reference(x_TD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
    """Copies of tokens in the order of their experts.

    Args:
        x_TD: (T, D) tokens.
        order_M: (M,) permutation of the M = T * A choices, token by token: order_M[0] is the choice that comes first.
        inverse_M: (M,) its inverse.

    Returns: (M, D).
    """
    return x_TD[order_M // (len(order_M) // len(x_TD))]


def combine_reference(y_MD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
    """Rows in the order of experts back to the order of choices, (M, D)."""
    return y_MD[inverse_M]


class _Dispatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
        ctx.save_for_backward(inverse_M)
        ctx.active = order_M.shape[0] // x_TD.shape[0]
        return x_TD[order_M // ctx.active]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (inverse_M,) = ctx.saved_tensors
        return grads[0][inverse_M].unflatten(0, (-1, ctx.active)).sum(1), None, None


class _Combine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y_MD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
        ctx.save_for_backward(order_M)
        return y_MD[inverse_M]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (order_M,) = ctx.saved_tensors
        return grads[0][order_M], None, None


def dispatch(x_TD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
    """As dispatch_reference, with a gradient that gathers."""
    return _Dispatch.apply(x_TD, order_M, inverse_M)  # type: ignore[return-value]


def combine(y_MD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
    """As combine_reference, with a gradient that gathers."""
    return _Combine.apply(y_MD, order_M, inverse_M)  # type: ignore[return-value]
