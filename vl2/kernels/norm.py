"""Norms of a residual stream, with what is added to the stream on the way.

    x, delta --add--> x --root-mean-square norm, or LayerNorm in the vision tower--> normed

The trap: the weight of the root-mean-square norm multiplies after the cast back from float32, as published; LayerNorm
casts last.
"""

import torch
import torch.nn.functional as F
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


def layer_norm_reference(x: Tensor, weight_W: Tensor, bias_W: Tensor, eps: float) -> Tensor:
    """(..., W) with every row centred and normalised."""
    return F.layer_norm(x, weight_W.shape, weight_W, bias_W, eps)


def add_layer_norm_reference(
    x: Tensor, delta: Tensor, weight_W: Tensor, bias_W: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """The sum (..., W), rounded to the dtype of x, and its LayerNorm."""
    x = x + delta
    return x, layer_norm_reference(x, weight_W, bias_W, eps)


def rms_norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """As rms_norm_reference, in one kernel where Triton runs."""
    if not (can_run(x_TD) and x_TD.dim() == 2):
        return rms_norm_reference(x_TD, weight_D, eps)
    from vl2.kernels.norm_triton import launch

    return launch(x_TD, None, weight_D, None, eps)[1]


def add_rms_norm(x_TD: Tensor, delta_TD: Tensor, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """As add_rms_norm_reference, in one kernel where Triton runs."""
    if not (can_run(x_TD) and x_TD.dim() == 2):
        return add_rms_norm_reference(x_TD, delta_TD, weight_D, eps)
    from vl2.kernels.norm_triton import launch

    return launch(x_TD, delta_TD, weight_D, None, eps)


def layer_norm(x: Tensor, weight_W: Tensor, bias_W: Tensor, eps: float) -> Tensor:
    """As layer_norm_reference, in Triton where that runs."""
    if not can_run(x):
        return layer_norm_reference(x, weight_W, bias_W, eps)
    from vl2.kernels.norm_triton import launch

    return launch(x.flatten(0, -2), None, weight_W, bias_W, eps)[1].view(x.shape)


def add_layer_norm(x: Tensor, delta: Tensor, weight_W: Tensor, bias_W: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """As add_layer_norm_reference, in one kernel where Triton runs."""
    if not can_run(x):
        return add_layer_norm_reference(x, delta, weight_W, bias_W, eps)
    from vl2.kernels.norm_triton import launch

    total, normed = launch(x.flatten(0, -2), delta.flatten(0, -2), weight_W, bias_W, eps)
    return total.view(x.shape), normed.view(x.shape)
