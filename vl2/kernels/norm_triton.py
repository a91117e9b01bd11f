"""The Triton kernel of vl2/kernels/norm.py: one program a row, which stays in registers between its two passes."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import overlapped
from vl2.kernels.overlap_triton import let_next_start, wait_for_last


def launch(
    x_TD: Tensor, delta_TD: Tensor | None, weight_D: Tensor, bias_D: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """The sum and its norm; without a delta the sum is x itself. With a bias the norm is LayerNorm."""
    tokens, width = x_TD.shape
    assert x_TD.stride(1) == 1
    assert delta_TD is None or delta_TD.stride(1) == 1
    out = torch.empty(tokens, width, dtype=x_TD.dtype, device=x_TD.device)
    total = x_TD if delta_TD is None else torch.empty_like(out)
    cols = triton.next_power_of_2(width)
    _add_norm[(tokens,)](
        x_TD, delta_TD if delta_TD is not None else x_TD, weight_D, bias_D if bias_D is not None else weight_D,
        total, out, eps, x_TD.stride(0), 0 if delta_TD is None else delta_TD.stride(0), width,
        ADD=delta_TD is not None, LAYER=bias_D is not None, COLS=cols, num_warps=8 if cols >= 2048 else 4,
        **overlapped(x_TD, "norm"),
    )  # fmt: skip
    return total, out


@triton.jit
def _add_norm(
    x, delta, weight, bias, total, out, eps, stride_x, stride_delta, width,
    ADD: tl.constexpr, LAYER: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, COLS)
    real = cols < width
    value = tl.load(x + row * stride_x + cols, mask=real, other=0.0).to(tl.float32)
    if ADD:
        added = tl.load(delta + row * stride_delta + cols, mask=real, other=0.0).to(tl.float32)
        rounded = (value + added).to(out.dtype.element_ty)
        tl.store(total + row * width + cols, rounded, mask=real)
        value = rounded.to(tl.float32)
    factor = tl.load(weight + cols, mask=real, other=0.0).to(tl.float32)
    if LAYER:
        value = tl.where(real, value - tl.sum(value, 0) / width, 0.0)
    value = value * tl.rsqrt(tl.sum(value * value, 0) / width + eps)
    if LAYER:
        normed = value * factor + tl.load(bias + cols, mask=real, other=0.0).to(tl.float32)
    else:
        normed = factor * value.to(out.dtype.element_ty).to(tl.float32)
    tl.store(out + row * width + cols, normed.to(out.dtype.element_ty), mask=real)
