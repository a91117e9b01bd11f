"""A layer's routed experts with quantised weights: y = sum over a token's choices of weight * down(silu(gate) * up).

    few tokens     one program a (choice, rows of its expert): small numbers are read where they lie
    some tokens    choices sorted by expert; a program takes an expert's rows and its choices, tile by tile
    many tokens    the layer's weights are written out once, in the dtype of x, and multiplied as usual

In all of them weights become numbers only in registers or for a moment. The trap: how many choices an expert has is
known only on the device. Launches are for all experts, and those without a choice end at once.
"""

import os
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.dispatch import combine, dispatch
from vl2.kernels.grouped_mm import grouped_mm
from vl2.kernels.quantized import Quantized

FEW_TOKENS = 8  # up to here experts are hardly shared among tokens, and sorting them costs more than it saves
SOME_TOKENS = 512  # up to here reading weights costs more than multiplying them, so fewer bytes win


def quantized_experts_reference(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up: Quantized, down: Quantized
) -> Tensor:
    """One expert after the other, of which only those visited become numbers.

    Args:
        x_TD: (T, D) tokens.
        weights_TA, indices_TA: (T, A) float32 weight and number of each expert that a token visits.
        gate_up: (E, 2 * F, D) gate rows, then up rows of every expert.
        down: (E, D, F).

    Returns: (T, D) in the dtype of x, summed in float32.
    """
    y_TAD = x_TD.new_empty(*indices_TA.shape, x_TD.shape[1])
    for expert in indices_TA.unique().tolist():
        where = (indices_TA == expert).nonzero(as_tuple=True)
        gate, up = F.linear(x_TD[where[0]], gate_up[expert].dequantize(x_TD.dtype)).chunk(2, -1)
        y_TAD[where] = F.linear(F.silu(gate) * up, down[expert].dequantize(x_TD.dtype))
    return (y_TAD.float() * weights_TA[..., None]).sum(1).to(x_TD.dtype)


def can_run_quantized(x_TD: Tensor) -> bool:
    """Whether the Triton kernels run on this tensor; they have no gradients."""
    if not x_TD.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return False
    return find_spec("triton") is not None and not torch.is_grad_enabled()


def quantized_experts(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up: Quantized, down: Quantized
) -> Tensor:
    """As quantized_experts_reference, in Triton where that runs."""
    if not can_run_quantized(x_TD):
        return quantized_experts_reference(x_TD, weights_TA, indices_TA, gate_up, down)
    from vl2.kernels import quantized_experts_triton as fast

    if len(x_TD) <= FEW_TOKENS:
        return fast.few(x_TD, weights_TA, indices_TA, gate_up, down)
    if len(x_TD) <= SOME_TOKENS:
        return fast.some(x_TD, weights_TA, indices_TA, gate_up, down, *sort_choices(indices_TA, len(down.values)))
    order_M, stops_E = sort_choices(indices_TA, len(down.values))
    order_M, counts_E = order_M.long(), stops_E.diff(prepend=stops_E.new_zeros(1))
    inverse_M = torch.empty_like(order_M).scatter(0, order_M, torch.arange(len(order_M), device=x_TD.device))
    x_MD = dispatch(x_TD, order_M, inverse_M)
    gate_MF, up_MF = grouped_mm(x_MD, fast.dequantize(gate_up, x_TD.dtype), counts_E).chunk(2, -1)
    y_MD = grouped_mm(F.silu(gate_MF) * up_MF, fast.dequantize(down, x_TD.dtype), counts_E)
    y_TAD = combine(y_MD, order_M, inverse_M).unflatten(0, (-1, indices_TA.shape[1]))
    return (y_TAD.float() * weights_TA[..., None]).sum(1).to(x_TD.dtype)


def sort_choices(indices_TA: Tensor, num_experts: int) -> tuple[Tensor, Tensor]:
    """Choices in the order of their experts, without asking the device for a number.

    Returns: order_M, (M,) int32, the choice at each sorted place; stops_E, (E,) int32, where each expert's places end.
    """
    expert_M = indices_TA.flatten()
    counts_E = (expert_M[:, None] == torch.arange(num_experts, device=expert_M.device)).sum(0)
    return expert_M.argsort(stable=True).to(torch.int32), counts_E.cumsum(0).to(torch.int32)
