"""Products with int8 weights on a CPU, for inference.

    few tokens     torch's operator for int8 weights, tokens in bfloat16: a quarter of the bytes of float32 are read
    many tokens    the weights written out once, in the dtype of x, and multiplied as usual

The trap: the operator is private to torch and checks little. It reads 16 columns at a time, from addresses that it
takes for aligned and beyond the end of a row whose length 16 does not divide. Tokens in float32 or float16 are slow.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.quantized import Quantized

COLUMNS = 16  # must divide the width of a matrix
FEW_TOKENS = 64  # up to here reading weights costs more than multiplying them (scripts/measure_int8.py)
_ALIGNED = 32  # bytes, of a row of tokens


def obstacle(device: torch.device) -> str:
    """Why int8 weights cannot be used on a device; "" where they can."""
    if device.type != "cpu":
        return f"device = {device.type}: int8 weights are for CPUs; use fp8 or int4 there"
    if not hasattr(torch, "_weight_int8pack_mm"):
        return f"torch {torch.__version__} has no product with int8 weights (_weight_int8pack_mm); use fp8 or int4"
    return ""


def int8_linear_reference(x_TD: Tensor, *matrices: Quantized) -> list[Tensor]:
    """x @ weight.T of each matrix, (T, F), in the dtype of x."""
    return [F.linear(x_TD, matrix.dequantize(x_TD.dtype)) for matrix in matrices]


def int8_linear(x_TD: Tensor, *matrices: Quantized) -> list[Tensor]:
    """As int8_linear_reference; of few tokens x and the results are rounded to bfloat16."""
    if len(x_TD) > FEW_TOKENS:
        return int8_linear_reference(x_TD, *matrices)
    small_TD = x_TD.bfloat16()
    return [_product(small_TD, matrix).to(x_TD.dtype) for matrix in matrices]


def int8_experts(x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up: Quantized, down: Quantized) -> Tensor:
    """As quantized_experts_reference, with int8_linear for each visited expert's tokens."""
    if len(x_TD) == 1:
        return _one_token(x_TD, weights_TA, indices_TA[0].tolist(), gate_up, down)
    expert_M, order_M = indices_TA.flatten().sort(stable=True)
    experts, counts = (part.tolist() for part in expert_M.unique_consecutive(return_counts=True))
    x_MD = x_TD[order_M // indices_TA.shape[1]]
    parts = []
    for expert, part_MD in zip(experts, x_MD.split(counts), strict=True):
        gate, up = int8_linear(part_MD, gate_up[expert])[0].chunk(2, -1)
        parts += int8_linear(F.silu(gate) * up, down[expert])
    y_MD = torch.cat(parts) if parts else x_MD
    y_TAD = torch.empty_like(y_MD).index_copy_(0, order_M, y_MD).unflatten(0, indices_TA.shape)
    return (y_TAD.float() * weights_TA[..., None]).sum(1).to(x_TD.dtype)


def _one_token(x_TD: Tensor, weights_TA: Tensor, experts: list[int], gate_up: Quantized, down: Quantized) -> Tensor:
    """The same in as few operations as can be: of small matrices, each costs as much as a product."""
    x_TD, dtype = x_TD.bfloat16(), x_TD.dtype
    gate_AF, up_AF = torch.cat([_product(x_TD, gate_up[expert]) for expert in experts]).float().chunk(2, -1)
    rows = (F.silu(gate_AF) * up_AF).bfloat16().split(1)
    y_AD = torch.cat([_product(row, down[expert]) for row, expert in zip(rows, experts, strict=True)])
    return (weights_TA @ y_AD.float()).to(dtype)


def _product(x_TD: Tensor, matrix: Quantized) -> Tensor:
    """The only call of torch's operator: bfloat16 (T, D) to bfloat16 (T, F)."""
    values, scales = matrix.values, matrix.scales
    assert x_TD.dtype == scales.dtype == torch.bfloat16
    assert values.dtype == torch.int8
    assert values.shape[-1] % COLUMNS == 0
    assert values.data_ptr() % COLUMNS == 0
    if not x_TD.is_contiguous() or x_TD.data_ptr() % _ALIGNED:
        x_TD = x_TD.clone(memory_format=torch.contiguous_format)
    return torch._weight_int8pack_mm(x_TD, values, scales)  # pyright: ignore[reportPrivateImportUsage]
