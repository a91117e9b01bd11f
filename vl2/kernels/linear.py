"""A product with a matrix of weights; of a single token, by a kernel that does nothing but read the matrix.

x_TD, weight_FD --> x @ weight.T (T, F)
"""

import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.launch import can_run


def linear_reference(x_TD: Tensor, weight_FD: Tensor) -> Tensor:
    """(T, F) in the dtype of x."""
    return F.linear(x_TD, weight_FD)


def linear(x_TD: Tensor, weight_FD: Tensor) -> Tensor:
    """As linear_reference. cuBLAS multiplies one token as slowly as eight, where reading could be at its limit."""
    if len(x_TD) != 1 or not can_run(x_TD):
        return linear_reference(x_TD, weight_FD)
    from vl2.kernels import linear_triton

    return linear_triton.one_token(x_TD, weight_FD)
