"""The Triton kernel of vl2/kernels/gated.py: a program a stretch of a row."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import let_next_start, wait_for_last


def launch(gate_TF: Tensor, up_TF: Tensor) -> Tensor:
    """As gated_reference."""
    num_rows, width = gate_TF.shape
    assert gate_TF.stride(1) == up_TF.stride(1) == 1
    out = torch.empty(num_rows, width, dtype=gate_TF.dtype, device=gate_TF.device)
    sizes = config("gate", num_rows, gate_TF.itemsize)
    _gate[(num_rows, triton.cdiv(width, sizes["COLS"]))](
        gate_TF, up_TF, out, gate_TF.stride(0), up_TF.stride(0), WIDTH=width, **sizes, **overlapped(gate_TF)
    )
    return out


@triton.jit
def _gate(gate, up, out, stride_gate, stride_up, WIDTH: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr):
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    row = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * COLS + tl.arange(0, COLS)
    value = tl.load(gate + row * stride_gate + cols, mask=cols < WIDTH).to(tl.float32)
    value *= tl.sigmoid(value) * tl.load(up + row * stride_up + cols, mask=cols < WIDTH).to(tl.float32)
    tl.store(out + row * WIDTH + cols, value.to(out.dtype.element_ty), mask=cols < WIDTH)
