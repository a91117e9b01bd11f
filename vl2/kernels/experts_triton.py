"""The Triton kernels of vl2/kernels/experts.py, whose functions say what arguments mean.

x --up: silu(gate) * up--> hidden_MF --down, times weight--> y_MD --sum over choices--> (T, D)
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.experts import TILE_ROWS

_UP = {"ROWS": 16, "COLS": 256, "num_warps": 4, "num_stages": 3}
_DOWN = {"ROWS": 16, "COLS": 256, "num_warps": 4, "num_stages": 3}
_UP_TILE = {"ROWS": 64, "COLS": 64, "num_warps": 4, "num_stages": 4}
_DOWN_TILE = {"ROWS": 64, "COLS": 64, "num_warps": 4, "num_stages": 4}


def few(x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor) -> Tensor:
    """Each choice by itself."""
    (num_tokens, hidden), active, width = x_TD.shape, indices_TA.shape[1], down_EDF.shape[2]
    middle = torch.empty(num_tokens * active, width, dtype=x_TD.dtype, device=x_TD.device)
    y = torch.empty(num_tokens, active, hidden, dtype=torch.float32, device=x_TD.device)
    up = (num_tokens * active, triton.cdiv(width, _UP["ROWS"]))
    _up_few[up](x_TD, indices_TA, gate_up_EFD, middle, active, x_TD.stride(0), HIDDEN=hidden, WIDTH=width, **_UP)
    down = (num_tokens * active, triton.cdiv(hidden, _DOWN["ROWS"]))
    _down_few[down](middle, indices_TA, weights_TA, down_EDF, y, HIDDEN=hidden, WIDTH=width, **_DOWN)
    return y.sum(1).to(x_TD.dtype)


def many(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor,
    order_M: Tensor, tile_experts: Tensor, tile_ends: Tensor,
) -> Tensor:  # fmt: skip
    """Tiles of choices of one expert."""
    (num_tokens, hidden), active, width = x_TD.shape, indices_TA.shape[1], down_EDF.shape[2]
    num_experts = down_EDF.shape[0]
    middle = torch.empty(num_tokens * active, width, dtype=x_TD.dtype, device=x_TD.device)
    y = torch.empty(num_tokens, active, hidden, dtype=torch.float32, device=x_TD.device)
    up = (triton.cdiv(width, _UP_TILE["ROWS"]), len(tile_experts))
    _up_many[up](
        x_TD, order_M, tile_experts, tile_ends, gate_up_EFD, middle, num_experts, active, x_TD.stride(0),
        HIDDEN=hidden, WIDTH=width, TILE=TILE_ROWS, **_UP_TILE,
    )  # fmt: skip
    down = (triton.cdiv(hidden, _DOWN_TILE["ROWS"]), len(tile_experts))
    _down_many[down](
        middle, order_M, tile_experts, tile_ends, weights_TA, down_EDF, y, num_experts,
        HIDDEN=hidden, WIDTH=width, TILE=TILE_ROWS, **_DOWN_TILE,
    )  # fmt: skip
    return y.sum(1).to(x_TD.dtype)


@triton.jit
def _up_few(
    x, indices, gate_up, middle, active, stride_x,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    choice = tl.program_id(0)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real = rows[:, None] < WIDTH
    expert = tl.load(indices + choice).to(tl.int64)
    gates = gate_up + (expert * 2 * WIDTH + rows[:, None]) * HIDDEN
    token = x + choice // active * stride_x
    gate, up = tl.zeros([ROWS, COLS], tl.float32), tl.zeros([ROWS, COLS], tl.float32)
    for start in range(0, HIDDEN, COLS):
        cols = start + tl.arange(0, COLS)
        here = cols < HIDDEN
        value = tl.load(token + cols, mask=here, other=0.0).to(tl.float32)
        gate += tl.load(gates + cols, mask=real & here, other=0.0).to(tl.float32) * value
        up += tl.load(gates + WIDTH * HIDDEN + cols, mask=real & here, other=0.0).to(tl.float32) * value
    gate_f, up_f = tl.sum(gate, 1), tl.sum(up, 1)
    out = gate_f * tl.sigmoid(gate_f) * up_f
    tl.store(middle + choice * WIDTH + rows, out.to(middle.dtype.element_ty), mask=rows < WIDTH)


@triton.jit
def _down_few(
    middle, indices, weights, down, y,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    choice = tl.program_id(0)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real = rows[:, None] < HIDDEN
    expert = tl.load(indices + choice).to(tl.int64)
    matrix = down + (expert * HIDDEN + rows[:, None]) * WIDTH
    acc = tl.zeros([ROWS, COLS], tl.float32)
    for start in range(0, WIDTH, COLS):
        cols = start + tl.arange(0, COLS)
        here = cols < WIDTH
        value = tl.load(middle + choice * WIDTH + cols, mask=here, other=0.0).to(tl.float32)
        acc += tl.load(matrix + cols, mask=real & here, other=0.0).to(tl.float32) * value
    out = tl.sum(acc, 1) * tl.load(weights + choice)
    tl.store(y + choice.to(tl.int64) * HIDDEN + rows, out, mask=rows < HIDDEN)


@triton.jit
def _up_many(
    x, order, tile_experts, tile_ends, gate_up, middle, num_experts, active, stride_x,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    tile = tl.program_id(1)
    expert = tl.load(tile_experts + tile).to(tl.int64)
    if expert < num_experts:
        places = tl.load(tile_ends + 2 * tile) + tl.arange(0, TILE)
        taken = places < tl.load(tile_ends + 2 * tile + 1)
        tokens = tl.load(order + places, mask=taken, other=0) // active
        rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        real = rows[:, None] < WIDTH
        gates = gate_up + (expert * 2 * WIDTH + rows[:, None]) * HIDDEN
        gate, up = tl.zeros([TILE, ROWS], tl.float32), tl.zeros([TILE, ROWS], tl.float32)
        for start in range(0, HIDDEN, COLS):
            cols = start + tl.arange(0, COLS)
            here = cols < HIDDEN
            value = tl.load(x + tokens[:, None] * stride_x + cols, mask=taken[:, None] & here, other=0.0)
            gate += tl.dot(value, tl.trans(tl.load(gates + cols, mask=real & here, other=0.0)))
            up += tl.dot(value, tl.trans(tl.load(gates + WIDTH * HIDDEN + cols, mask=real & here, other=0.0)))
        out = gate * tl.sigmoid(gate) * up
        inside = taken[:, None] & (rows < WIDTH)
        tl.store(middle + places[:, None].to(tl.int64) * WIDTH + rows, out.to(middle.dtype.element_ty), mask=inside)


@triton.jit
def _down_many(
    middle, order, tile_experts, tile_ends, weights, down, y, num_experts,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    tile = tl.program_id(1)
    expert = tl.load(tile_experts + tile).to(tl.int64)
    if expert < num_experts:
        places = tl.load(tile_ends + 2 * tile) + tl.arange(0, TILE)
        taken = places < tl.load(tile_ends + 2 * tile + 1)
        choices = tl.load(order + places, mask=taken, other=0)
        rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        real = rows[:, None] < HIDDEN
        matrix = down + (expert * HIDDEN + rows[:, None]) * WIDTH
        acc = tl.zeros([TILE, ROWS], tl.float32)
        for start in range(0, WIDTH, COLS):
            cols = start + tl.arange(0, COLS)
            here = cols < WIDTH
            value = tl.load(middle + places[:, None].to(tl.int64) * WIDTH + cols, mask=taken[:, None] & here, other=0.0)
            acc += tl.dot(value, tl.trans(tl.load(matrix + cols, mask=real & here, other=0.0)))
        out = acc * tl.load(weights + choices, mask=taken, other=0.0)[:, None]
        inside = taken[:, None] & (rows < HIDDEN)
        tl.store(y + choices[:, None].to(tl.int64) * HIDDEN + rows, out, mask=inside)
