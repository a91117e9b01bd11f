"""Expert matrix products: rows sorted by expert, one product per expert.

x_MD (rows of expert 0, then 1, ...), w_EFD, counts_E --> y_MF
"""

import torch
import torch.nn.functional as F
from torch import Tensor, library


def grouped_mm_reference(x_MD: Tensor, w_EFD: Tensor, counts_E: Tensor) -> Tensor:
    """Multiply each expert's rows by that expert's weight, y = x @ w.T.

    Args:
        x_MD: (M, D) rows sorted by expert.
        w_EFD: (E, F, D) one weight per expert.
        counts_E: (E,) rows of each expert; their sum is M.

    Returns: (M, F).
    """
    rows = x_MD.split(counts_E.tolist())
    weights = w_EFD.unbind()  # indexing would make a gradient of all experts for each
    return torch.cat([F.linear(x, w_FD) for x, w_FD in zip(rows, weights, strict=True) if len(x)])


def grouped_mm(x_MD: Tensor, w_EFD: Tensor, counts_E: Tensor) -> Tensor:
    """As grouped_mm_reference; CUDA bfloat16 runs one grouped kernel without telling the host the counts."""
    if torch.is_autocast_enabled(x_MD.device.type):
        dtype = torch.get_autocast_dtype(x_MD.device.type)
        x_MD, w_EFD = x_MD.to(dtype), w_EFD.to(dtype)
    if x_MD.is_cuda and x_MD.dtype == torch.bfloat16:
        return F.grouped_mm(x_MD, w_EFD.transpose(-2, -1), offs=counts_E.cumsum(0).to(torch.int32))
    return grouped_mm_reference(x_MD, w_EFD, counts_E)


@library.custom_op("vl2::in_order", mutates_args=())
def in_order(x: Tensor) -> Tensor:
    """A copy whose elements lie in the order of its dimensions, as grouped products want their weights.

    An operator of its own, since the compiler takes `contiguous` for no more than a wish.
    """
    return x.clone(memory_format=torch.contiguous_format)


@in_order.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


in_order.register_autograd(lambda _, grad: grad)


def grouped_mm_until(x_MD: Tensor, w_EFD: Tensor, stops_E: Tensor) -> Tensor:
    """As grouped_mm, given the row after each expert's last (E,) int32 instead of counts, and without gradients."""
    if x_MD.is_cuda and x_MD.dtype == torch.bfloat16:
        return F.grouped_mm(x_MD, w_EFD.transpose(-2, -1), offs=stops_E)
    return grouped_mm_reference(x_MD, w_EFD, stops_E.diff(prepend=stops_E.new_zeros(1)))
