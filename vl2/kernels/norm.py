"""Root-mean-square norm of a residual stream, with what is added to the stream on the way.

    x_TD, delta_TD --add--> x_TD --norm--> normed_TD

The trap: the weight multiplies after the cast back from float32, as published.
"""

import torch
from torch import Tensor

from vl2.kernels.launch import can_run


def rms_norm_reference(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """(T, D) normalised in float32, in the dtype of x."""
    x32 = x_TD.float()
    return weight_D * (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + eps)).to(x_TD.dtype)


def add_rms_norm_reference(x_TD: Tensor, delta_TD: Tensor, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The sum (T, D), rounded to the dtype of x, and its norm."""
    x_TD = x_TD + delta_TD
    return x_TD, rms_norm_reference(x_TD, weight_D, eps)


def rms_norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """As rms_norm_reference, in one kernel where Triton runs."""
    if not (can_run(x_TD) and x_TD.dim() == 2):
        return rms_norm_reference(x_TD, weight_D, eps)
    from vl2.kernels.norm_triton import launch

    return launch(x_TD, None, weight_D, eps)[1]


def add_rms_norm(x_TD: Tensor, delta_TD: Tensor, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """As add_rms_norm_reference, in one kernel where Triton runs."""
    if not (can_run(x_TD) and x_TD.dim() == 2):
        return add_rms_norm_reference(x_TD, delta_TD, weight_D, eps)
    from vl2.kernels.norm_triton import launch

    return launch(x_TD, delta_TD, weight_D, eps)
