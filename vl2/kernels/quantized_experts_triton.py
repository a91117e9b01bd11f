"""The Triton kernels of vl2/kernels/quantized_experts.py, whose functions say what arguments mean.

    few:   x --up: silu(gate) * up--> middle, a row a (token, slot) --down: all slots of a token, weighted--> y_TD
    some:  the same by expert, with matrix products: middle_MF in sorted order, y_TAD summed at the end

GROUP says how weights are stored: 0 for fp8 with a scale a row, else int4 with a scale for GROUP columns of a row. The
trap: level 8 of a nibble is zero, and what a mask leaves out must not count; scales and x are zero there.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.experts import SharedExperts
from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import wait_for_last
from vl2.kernels.quantized import Quantized

TILE = 16  # choices of one expert that are computed together; fewer are padded, which costs no reading
_SOME_ROWS = 64
_OPTIONS = {"num_warps": 4, "num_stages": 3}


def few(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up: Quantized, down: Quantized,
    shared: SharedExperts | None,
) -> Tensor:  # fmt: skip
    """Each choice and each shared expert by itself."""
    (num_tokens, hidden), active, width = x_TD.shape, indices_TA.shape[1], down.width
    assert x_TD.stride(1) == 1
    num_shared = 0 if shared is None else shared.down.shape[1] // width
    assert shared is None or shared.down.shape[1] % width == 0
    slots = active + num_shared
    gate, up, shared_down = shared or (x_TD, x_TD, x_TD)  # nobody reads these
    sizes = config("few_int4" if gate_up.group else "few_fp8", num_tokens, x_TD.itemsize)
    middle = torch.empty(num_tokens * slots, width, dtype=x_TD.dtype, device=x_TD.device)
    y = torch.empty_like(x_TD, memory_format=torch.contiguous_format)
    _up_few[num_tokens * slots, triton.cdiv(width, sizes["UP_ROWS"])](
        x_TD, indices_TA, gate_up.values, gate_up.scales, gate, up, middle, x_TD.stride(0),
        ACTIVE=active, SLOTS=slots, HIDDEN=hidden, WIDTH=width, GROUP=gate_up.group, ROWS=sizes["UP_ROWS"],
        **_few_tile(gate_up.group, sizes["BYTES"]), num_warps=sizes["num_warps"], **overlapped(x_TD),
    )  # fmt: skip
    _down_few[num_tokens, triton.cdiv(hidden, sizes["DOWN_ROWS"])](
        middle, indices_TA, weights_TA, down.values, down.scales, shared_down, y,
        ACTIVE=active, SHARED=num_shared, HIDDEN=hidden, WIDTH=width, GROUP=down.group, ROWS=sizes["DOWN_ROWS"],
        **_few_tile(down.group, sizes["BYTES"]), num_warps=sizes["num_warps"], **overlapped(x_TD),
    )  # fmt: skip
    return y


def some(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up: Quantized, down: Quantized,
    order_M: Tensor, stops_E: Tensor,
) -> Tensor:  # fmt: skip
    """Tiles of choices of one expert.

    Args:
        order_M: (M,) int32, the choice at each place when choices are sorted by expert.
        stops_E: (E,) int32, where each expert's places end.
    """
    (num_tokens, hidden), active, width = x_TD.shape, indices_TA.shape[1], down.width
    assert x_TD.stride(1) == 1
    middle = torch.empty(num_tokens * active, width, dtype=x_TD.dtype, device=x_TD.device)
    y = torch.empty(num_tokens, active, hidden, dtype=torch.float32, device=x_TD.device)
    _up_some[triton.cdiv(width, _SOME_ROWS // 2), len(stops_E)](
        x_TD, order_M, stops_E, gate_up.values, gate_up.scales, middle, active, x_TD.stride(0),
        HIDDEN=hidden, WIDTH=width, GROUP=gate_up.group, ROWS=_SOME_ROWS // 2, COLS=gate_up.group // 2 or 128,
        TILE=TILE, **_OPTIONS,
    )  # fmt: skip
    _down_some[triton.cdiv(hidden, _SOME_ROWS), len(stops_E)](
        middle, order_M, stops_E, weights_TA, down.values, down.scales, y,
        HIDDEN=hidden, WIDTH=width, GROUP=down.group, ROWS=_SOME_ROWS, COLS=down.group // 2 or 128,
        TILE=TILE, **_OPTIONS,
    )  # fmt: skip
    return y.sum(1).to(x_TD.dtype)


def dequantize(matrix: Quantized, dtype: torch.dtype) -> Tensor:
    """As Quantized.dequantize of a whole stack, without copies on the way."""
    out = torch.empty(*matrix.values.shape[:-1], matrix.width, dtype=dtype, device=matrix.values.device)
    cols = matrix.group // 2 or 128
    parts = triton.cdiv(1024, cols)
    blocks = triton.cdiv(matrix.values.shape[-1], parts * cols)
    num_rows = out.numel() // matrix.width
    _write_out[num_rows, blocks](
        matrix.values, matrix.scales, out, WIDTH=matrix.width, GROUP=matrix.group, PARTS=parts, COLS=cols, num_warps=4
    )
    return out


def _few_tile(group: int, size: int) -> dict[str, int]:
    """The bytes of a row that a program of `few` takes at a time: whole groups, or a stretch of fp8."""
    return {"PARTS": size // (group // 2), "COLS": group // 2} if group else {"PARTS": 1, "COLS": size}


@triton.jit
def _low(bytes_):
    """Levels -8 .. 7 of low nibbles, exactly, as float32: or-ed into the last bits of 2^23 instead of converted."""
    return ((bytes_.to(tl.int32) & 15) | 0x4B000000).to(tl.float32, bitcast=True) - 8388616.0


@triton.jit
def _high(bytes_):
    return ((bytes_.to(tl.int32) >> 4) | 0x4B000000).to(tl.float32, bitcast=True) - 8388616.0


@triton.jit
def _add_products(
    acc, x, values, scales, lines, real, factor,
    WIDTH: tl.constexpr, GROUP: tl.constexpr, PARTS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """acc (rows, PARTS, COLS) plus factor * weights * x for the rows `lines`; its last axes are to be summed."""
    inside = tl.arange(0, COLS)
    if GROUP:
        for first in range(0, WIDTH // GROUP, PARTS):
            groups = first + tl.arange(0, PARTS)
            here = groups < WIDTH // GROUP
            place = lines[:, None, None] * (WIDTH // 2) + (groups[:, None] * COLS + inside[None, :])[None, :, :]
            mask = real[:, None] & here[None, :]
            bytes_ = tl.load(values + place, mask=tl.broadcast_to(mask[:, :, None], place.shape), other=0)
            scale = tl.load(scales + lines[:, None] * (WIDTH // GROUP) + groups[None, :], mask=mask, other=0.0)
            columns = groups[:, None] * GROUP + inside[None, :]
            taken = tl.broadcast_to(here[:, None], columns.shape)
            low = tl.load(x + columns, mask=taken, other=0.0).to(tl.float32)
            high = tl.load(x + columns + COLS, mask=taken, other=0.0).to(tl.float32)
            product = _low(bytes_) * low[None, :, :] + _high(bytes_) * high[None, :, :]
            acc += product * (scale.to(tl.float32) * factor)[:, :, None]
    else:
        row = tl.zeros([acc.shape[0], COLS], tl.float32)
        for first in range(0, WIDTH, COLS):
            columns = first + inside
            here = columns < WIDTH
            place = lines[:, None] * WIDTH + columns[None, :]
            value = tl.load(values + place, mask=real[:, None] & here[None, :], other=0.0).to(tl.float32)
            token = tl.load(x + columns, mask=here, other=0.0).to(tl.float32)
            row += value * token[None, :]
        acc += (row * (tl.load(scales + lines, mask=real, other=0.0) * factor)[:, None])[:, None, :]
    return acc


@triton.jit
def _plain_products(x, matrix, rows, stride, ROWS_END: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr):
    """Rows of a matrix that is not quantised times x, (rows,)."""
    acc = tl.zeros([ROWS, 512], tl.float32)
    for first in range(0, WIDTH, 512):
        columns = first + tl.arange(0, 512)
        here = columns < WIDTH
        mask = (rows < ROWS_END)[:, None] & here[None, :]
        value = tl.load(matrix + rows[:, None] * stride + columns[None, :], mask=mask, other=0.0).to(tl.float32)
        acc += value * tl.load(x + columns, mask=here, other=0.0).to(tl.float32)[None, :]
    return tl.sum(acc, 1)


@triton.jit
def _up_few(
    x, indices, values, scales, shared_gate, shared_up, middle, stride_x,
    ACTIVE: tl.constexpr, SLOTS: tl.constexpr, HIDDEN: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr,
    ROWS: tl.constexpr, PARTS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    place, slot = tl.program_id(0).to(tl.int64), tl.program_id(0) % SLOTS
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    token = x + place // SLOTS * stride_x
    if slot < ACTIVE:
        pairs = tl.program_id(1) * ROWS + tl.arange(0, 2 * ROWS) // 2  # of gate and up, side by side
        expert = tl.load(indices + place // SLOTS * ACTIVE + slot).to(tl.int64)
        lines = expert * (2 * WIDTH) + pairs + tl.arange(0, 2 * ROWS) % 2 * WIDTH
        acc = tl.zeros([2 * ROWS, PARTS, COLS], tl.float32)
        acc = _add_products(acc, token, values, scales, lines, pairs < WIDTH, 1.0, HIDDEN, GROUP, PARTS, COLS)
        gate, up = tl.split(tl.reshape(tl.sum(tl.sum(acc, 2), 1), [ROWS, 2]))
    else:
        first = (slot - ACTIVE) * WIDTH * HIDDEN
        gate = _plain_products(token, shared_gate + first, rows, HIDDEN, WIDTH, HIDDEN, ROWS)
        up = _plain_products(token, shared_up + first, rows, HIDDEN, WIDTH, HIDDEN, ROWS)
    out = gate * tl.sigmoid(gate) * up
    tl.store(middle + place * WIDTH + rows, out.to(middle.dtype.element_ty), mask=rows < WIDTH)


@triton.jit
def _down_few(
    middle, indices, weights, values, scales, shared_down, y,
    ACTIVE: tl.constexpr, SHARED: tl.constexpr, HIDDEN: tl.constexpr, WIDTH: tl.constexpr, GROUP: tl.constexpr,
    ROWS: tl.constexpr, PARTS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    token = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real = rows < HIDDEN
    source = middle + token * (ACTIVE + SHARED) * WIDTH
    acc = tl.zeros([ROWS, PARTS, COLS], tl.float32)
    for number in tl.static_range(ACTIVE):
        lines = tl.load(indices + token * ACTIVE + number).to(tl.int64) * HIDDEN + rows
        weight = tl.load(weights + token * ACTIVE + number)
        acc = _add_products(
            acc, source + number * WIDTH, values, scales, lines, real, weight, WIDTH, GROUP, PARTS, COLS
        )  # fmt: skip
    out = tl.sum(tl.sum(acc, 2), 1)
    if SHARED:  # their columns lie side by side, as their middle values do
        out += _plain_products(
            source + ACTIVE * WIDTH, shared_down, rows, SHARED * WIDTH, HIDDEN, SHARED * WIDTH, ROWS
        )  # fmt: skip
    tl.store(y + token * HIDDEN + rows, out.to(y.dtype.element_ty), mask=real)


@triton.jit
def _tile_products(
    x, taken, values, scales, lines, real,
    WIDTH: tl.constexpr, GROUP: tl.constexpr, TILE: tl.constexpr, LINES: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Products (TILE, LINES) of the rows that x points to, one pointer each, with the rows `lines` of the weights."""
    acc = tl.zeros([TILE, LINES], tl.float32)
    inside = tl.arange(0, COLS)
    kind: tl.constexpr = x.dtype.element_ty
    if GROUP:
        for group in range(0, WIDTH // GROUP):
            place = lines[:, None] * (WIDTH // 2) + (group * COLS + inside)[None, :]
            bytes_ = tl.load(values + place, mask=tl.broadcast_to(real[:, None], place.shape), other=0)
            scale = tl.load(scales + lines * (WIDTH // GROUP) + group, mask=real, other=0.0).to(tl.float32)
            columns = x[:, None] + (group * GROUP + inside)[None, :]
            mask = tl.broadcast_to(taken[:, None], columns.shape)
            low, high = tl.load(columns, mask=mask, other=0.0), tl.load(columns + COLS, mask=mask, other=0.0)
            part = tl.dot(low, tl.trans(_low(bytes_).to(kind)), input_precision="ieee")
            part = tl.dot(high, tl.trans(_high(bytes_).to(kind)), part, input_precision="ieee")
            acc += part * scale[None, :]
    else:
        for first in range(0, WIDTH, COLS):
            here = first + inside < WIDTH
            place = lines[:, None] * WIDTH + (first + inside)[None, :]
            value = tl.load(values + place, mask=real[:, None] & here[None, :], other=0.0)
            token = tl.load(x[:, None] + (first + inside)[None, :], mask=taken[:, None] & here[None, :], other=0.0)
            acc = tl.dot(token, tl.trans(value.to(kind)), acc, input_precision="ieee")
        acc *= tl.load(scales + lines, mask=real, other=0.0)[None, :]
    return acc


@triton.jit
def _up_some(
    x, order, stops, values, scales, middle, active, stride_x, HIDDEN: tl.constexpr, WIDTH: tl.constexpr,
    GROUP: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    expert = tl.program_id(1)
    pairs = tl.program_id(0) * ROWS + tl.arange(0, 2 * ROWS) // 2  # of gate and up, side by side
    lines = expert.to(tl.int64) * (2 * WIDTH) + pairs + tl.arange(0, 2 * ROWS) % 2 * WIDTH
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    stop = tl.load(stops + expert)
    start = tl.load(stops + expert - 1, mask=expert > 0, other=0)
    for first in range(start, stop, TILE):
        places = first + tl.arange(0, TILE)
        taken = places < stop
        tokens = tl.load(order + places, mask=taken, other=0) // active
        both = _tile_products(
            x + tokens.to(tl.int64) * stride_x, taken, values, scales, lines, pairs < WIDTH,
            HIDDEN, GROUP, TILE, 2 * ROWS, COLS,
        )  # fmt: skip
        gate, up = tl.split(tl.reshape(both, [TILE, ROWS, 2]))
        out = (gate * tl.sigmoid(gate) * up).to(middle.dtype.element_ty)
        inside = taken[:, None] & (rows < WIDTH)[None, :]
        tl.store(middle + places[:, None].to(tl.int64) * WIDTH + rows[None, :], out, mask=inside)


@triton.jit
def _down_some(
    middle, order, stops, weights, values, scales, y, HIDDEN: tl.constexpr, WIDTH: tl.constexpr,
    GROUP: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    expert = tl.program_id(1)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    lines = expert.to(tl.int64) * HIDDEN + rows
    stop = tl.load(stops + expert)
    start = tl.load(stops + expert - 1, mask=expert > 0, other=0)
    for first in range(start, stop, TILE):
        places = first + tl.arange(0, TILE)
        taken = places < stop
        choices = tl.load(order + places, mask=taken, other=0)
        out = _tile_products(
            middle + places.to(tl.int64) * WIDTH, taken, values, scales, lines, rows < HIDDEN,
            WIDTH, GROUP, TILE, ROWS, COLS,
        )  # fmt: skip
        out *= tl.load(weights + choices, mask=taken, other=0.0)[:, None]
        inside = taken[:, None] & (rows < HIDDEN)[None, :]
        tl.store(y + choices[:, None].to(tl.int64) * HIDDEN + rows[None, :], out, mask=inside)


@triton.jit
def _write_out(values, scales, out, WIDTH: tl.constexpr, GROUP: tl.constexpr, PARTS: tl.constexpr, COLS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    groups = tl.program_id(1) * PARTS + tl.arange(0, PARTS)[:, None]
    inside = tl.arange(0, COLS)[None, :]
    kind: tl.constexpr = out.dtype.element_ty
    if GROUP:
        real = tl.broadcast_to(groups < WIDTH // GROUP, [PARTS, COLS])
        bytes_ = tl.load(values + row * (WIDTH // 2) + groups * COLS + inside, mask=real, other=0)
        scale = tl.load(scales + row * (WIDTH // GROUP) + groups, mask=groups < WIDTH // GROUP, other=0.0)
        place = out + row * WIDTH + groups * GROUP + inside
        tl.store(place, (_low(bytes_) * scale.to(tl.float32)).to(kind), mask=real)
        tl.store(place + COLS, (_high(bytes_) * scale.to(tl.float32)).to(kind), mask=real)
    else:
        columns = groups * COLS + inside
        value = tl.load(values + row * WIDTH + columns, mask=columns < WIDTH, other=0.0).to(tl.float32)
        tl.store(out + row * WIDTH + columns, (value * tl.load(scales + row)).to(kind), mask=columns < WIDTH)
