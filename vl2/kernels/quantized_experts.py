"""A layer's routed experts with quantised weights: y = sum over a token's choices of weight * down(silu(gate) * up).

    few tokens     one program a (choice, rows of its expert): small numbers are read where they lie; shared experts,
                   which are not quantised, in the same launches
    some tokens    choices sorted by expert; a program takes an expert's rows and its choices, tile by tile
    many tokens    the layer's weights are written out once, in the dtype of x, and multiplied as usual

In all of them weights become numbers only in registers or for a moment. The trap: how many choices an expert has is
known only on the device. Launches are for all experts, and those without a choice end at once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.experts import SharedExperts, sort_choices
from vl2.kernels.gated import gated
from vl2.kernels.grouped_mm import grouped_mm_until
from vl2.kernels.int8 import int8_experts
from vl2.kernels.launch import can_run
from vl2.kernels.quantized import Quantized

FEW_TOKENS = 8  # up to here experts are hardly shared among tokens, and sorting them costs more than it saves
SOME_TOKENS = 512  # up to here reading weights costs more than multiplying them, so fewer bytes win


def quantized_experts_reference(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up: Quantized, down: Quantized,
    shared: SharedExperts | None = None,
) -> Tensor:  # fmt: skip
    """One expert after the other, of which only those visited become numbers.

    Args:
        x_TD: (T, D) tokens.
        weights_TA, indices_TA: (T, A) float32 weight and number of each expert that a token visits.
        gate_up: (E, 2 * F, D) gate rows, then up rows of every expert.
        down: (E, D, F).
        shared: experts that every token visits besides, which are not quantised.

    Returns: (T, D) in the dtype of x, summed in float32.
    """
    y_TAD = x_TD.new_empty(*indices_TA.shape, x_TD.shape[1])
    for expert in indices_TA.unique().tolist():
        where = (indices_TA == expert).nonzero(as_tuple=True)
        gate, up = F.linear(x_TD[where[0]], gate_up[expert].dequantize(x_TD.dtype)).chunk(2, -1)
        y_TAD[where] = F.linear(F.silu(gate) * up, down[expert].dequantize(x_TD.dtype))
    return _with_shared((y_TAD.float() * weights_TA[..., None]).sum(1).to(x_TD.dtype), x_TD, shared)


def quantized_experts(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up: Quantized, down: Quantized,
    shared: SharedExperts | None = None,
) -> Tensor:  # fmt: skip
    """As quantized_experts_reference, in Triton where that runs; int8 by torch's operator."""
    arguments = x_TD, weights_TA, indices_TA, gate_up, down
    if gate_up.values.dtype == torch.int8:
        return _with_shared(int8_experts(*arguments), x_TD, shared)
    if not can_run(x_TD):
        return quantized_experts_reference(*arguments, shared)
    from vl2.kernels import quantized_experts_triton as fast
    from vl2.kernels.experts_triton import combine

    if len(x_TD) <= FEW_TOKENS:
        return fast.few(*arguments, shared)
    order_M, inverse_M, stops_E = sort_choices(indices_TA, len(down.values))
    if len(x_TD) <= SOME_TOKENS or (x_TD.is_cuda and x_TD.dtype != torch.bfloat16):  # those have no grouped kernel
        return _with_shared(fast.some(*arguments, order_M, stops_E), x_TD, shared)
    x_MD = x_TD[order_M // indices_TA.shape[1]]
    gate_MF, up_MF = grouped_mm_until(x_MD, fast.dequantize(gate_up, x_TD.dtype), stops_E).chunk(2, -1)
    y_MD = grouped_mm_until(gated(gate_MF, up_MF), fast.dequantize(down, x_TD.dtype), stops_E)
    return _with_shared(combine(y_MD, inverse_M, weights_TA, x_TD[:0], x_TD.dtype), x_TD, shared)


def _with_shared(y_TD: Tensor, x_TD: Tensor, shared: SharedExperts | None) -> Tensor:
    if shared is None:
        return y_TD
    return y_TD + F.linear(gated(F.linear(x_TD, shared.gate), F.linear(x_TD, shared.up)), shared.down)
