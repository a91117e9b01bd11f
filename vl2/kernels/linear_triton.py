"""The Triton kernel of vl2/kernels/linear.py: a program a few rows of the weights."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.mail_triton import BOX, BOXES, Post, address_of_next, send
from vl2.kernels.overlap_triton import let_next_start, wait_for_last

_FEW_ROWS = 8192


def one_token(x_1D: Tensor, weight_FD: Tensor, post: Post | None = None) -> Tensor:
    """(1, F)."""
    rows, width = weight_FD.shape
    assert x_1D.stride(1) == 1
    assert weight_FD.stride(1) == 1
    assert post is None or rows <= BOX
    out = torch.empty(1, rows, dtype=torch.float32 if post else x_1D.dtype, device=x_1D.device)
    sizes = config("linear", 1, x_1D.itemsize)
    cols, each = _tile(rows, width, sizes["ELEMENTS"], sizes["WHOLE"])
    _linear[(triton.cdiv(rows, each),)](
        x_1D, weight_FD, out, rows, weight_FD.stride(0), post.addresses if post else out, post.turns if post else out,
        WIDTH=width, ROWS=each, COLS=cols, WHOLE=width % cols == 0, num_warps=sizes["num_warps"],
        RANK=post.rank if post else 0, COUNT=post.count if post else 1, BOX=BOX, BOXES=BOXES,
        **overlapped(x_1D, "" if post else "project"),
    )  # fmt: skip
    return out


def _tile(rows: int, width: int, elements: int, whole: int) -> tuple[int, int]:
    """Columns and rows that a program reads at once."""
    cols = triton.next_power_of_2(width)
    if elements < cols <= whole and rows <= _FEW_ROWS:
        return cols, 1  # all of it is under way before the token is there; of long matrices, programs would be too many
    cols = min(cols, elements)
    if width % cols and width % 512 == 0:
        cols = 512
    return cols, elements // cols


@triton.jit
def _linear(
    x, weight, out, num_rows, stride, addresses, turns,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, WHOLE: tl.constexpr,
    RANK: tl.constexpr, COUNT: tl.constexpr, BOX: tl.constexpr, BOXES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    if COUNT == 1:  # what follows a kernel that sends reads more than weights before it waits
        let_next_start(OVERLAP)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    real = rows[:, None] < num_rows
    places = weight + rows[:, None].to(tl.int64) * stride + cols
    value = tl.load(places, mask=real if WHOLE else real & (cols < WIDTH), other=0.0)
    wait_for_last(OVERLAP)  # weights are nobody's output, so the first of them are under way by now
    if COUNT > 1:
        turn, address = tl.load(turns, volatile=True) + 1, address_of_next(addresses, RANK, COUNT)
        tl.debug_barrier()  # so that these are under way from here on, and not asked for when they are needed
    token = tl.load(x + cols, mask=cols < WIDTH, other=0.0).to(tl.float32)
    sums = value.to(tl.float32) * token
    for start in range(COLS, WIDTH, COLS):
        here = start + cols < WIDTH
        token = tl.load(x + start + cols, mask=here, other=0.0).to(tl.float32)
        value = tl.load(places + start, mask=real if WHOLE else real & here, other=0.0)
        sums += value.to(tl.float32) * token
    total = tl.sum(sums, 1)
    if COUNT > 1:
        words = total.to(tl.int32, bitcast=True)
        send(words, rows, rows < num_rows, turn, 0, addresses, address, RANK, COUNT, BOX, BOXES)
    tl.store(out + rows, total.to(out.dtype.element_ty), mask=rows < num_rows)
