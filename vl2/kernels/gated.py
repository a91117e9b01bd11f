"""What stands between the products of a feed-forward network: silu(gate) * up."""

import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.launch import can_run


def gated_reference(gate_TF: Tensor, up_TF: Tensor) -> Tensor:
    """(T, F)."""
    return F.silu(gate_TF) * up_TF


def gated(gate_TF: Tensor, up_TF: Tensor) -> Tensor:
    """As gated_reference, rounded once, in one pass where Triton runs; rows may lie apart."""
    if not (can_run(gate_TF) and gate_TF.dim() == 2):
        return gated_reference(gate_TF, up_TF)
    from vl2.kernels import gated_triton

    return gated_triton.launch(gate_TF, up_TF)
