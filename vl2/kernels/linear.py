"""Products with a matrix of weights: of a single token, by a kernel that does nothing but read the matrix; with the
activation that follows, in one pass.

x_TD, weight_FD --> x @ weight.T (T, F)
x, weight_FW, bias_F --> gelu(x @ weight.T + bias) (..., F)

The trap: the GELU is the tanh form.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.launch import can_run

if TYPE_CHECKING:
    from vl2.kernels.mail_triton import Post


def linear_reference(x_TD: Tensor, weight_FD: Tensor) -> Tensor:
    """(T, F) in the dtype of x."""
    return F.linear(x_TD, weight_FD)


def linear(x_TD: Tensor, weight_FD: Tensor, post: "Post | None" = None) -> Tensor:
    """As linear_reference. cuBLAS multiplies one token as slowly as eight, where reading could be at its limit.

    post: sends the outcome to other ranks (`Team.post`), which is float32 then.
    """
    if len(x_TD) != 1 or not can_run(x_TD):
        assert post is None
        return linear_reference(x_TD, weight_FD)
    from vl2.kernels import linear_triton

    return linear_triton.one_token(x_TD, weight_FD, post)


def linear_gelu_reference(x: Tensor, weight_FW: Tensor, bias_F: Tensor) -> Tensor:
    """(..., F) for x (..., W)."""
    return F.gelu(F.linear(x, weight_FW, bias_F), approximate="tanh")


def linear_gelu(x: Tensor, weight_FW: Tensor, bias_F: Tensor) -> Tensor:
    """As linear_gelu_reference, but not rounded before the GELU: cuBLASLt applies it to its sums.

    torch has no public name for that. On CUDA the operator has meant the tanh form since torch 2.1; elsewhere, erf.
    """
    if not (x.is_cuda and can_run(x)):
        return linear_gelu_reference(x, weight_FW, bias_F)
    out = torch.ops.aten._addmm_activation(bias_F, x.flatten(0, -2), weight_FW.T, use_gelu=True)
    return out.unflatten(0, x.shape[:-1])
