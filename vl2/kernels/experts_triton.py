"""The Triton kernels of vl2/kernels/experts.py, whose functions say what arguments mean.

few:    x --up: silu(gate) * up--> middle, a row a (token, slot) --down, summed over slots--> (T, D)
        of one token and narrow experts, down asks for the rows of all slots at once
many:   x --up--> middle, a row a sorted place --down--> y, likewise --combine: sum of weight * y--> (T, D)
large:  x --copied in sorted order, grouped product, gate, grouped product--> y --combine--> (T, D)

Slots of a token are its A choices, then the N shared experts. Sorted places are the M choices in the order of their
experts, then T rows for each shared expert.
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.experts import SharedExperts, sort_choices
from vl2.kernels.gated import gated
from vl2.kernels.grouped_mm import grouped_mm_until
from vl2.kernels.launch import config, overlapped
from vl2.kernels.mail_triton import BOX, BOXES, Post, address_of_next, send
from vl2.kernels.overlap_triton import let_next_start, wait_for_last


def few(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor,
    shared: SharedExperts | None, post: Post | None = None,
) -> Tensor:  # fmt: skip
    """Each slot by itself."""
    middle = up_few(x_TD, indices_TA, gate_up_EFD, shared)
    return down_few(middle, weights_TA, indices_TA, down_EDF, shared, post)


def many(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor,
    shared: SharedExperts | None,
) -> Tensor:  # fmt: skip
    """Tiles of the choices of one expert."""
    order_M, inverse_M, stops_E = sort_choices(indices_TA, len(down_EDF))
    middle = up_many(x_TD, order_M, stops_E, gate_up_EFD, shared)
    y = down_many(middle, len(x_TD), stops_E, down_EDF, shared)
    return combine(y[: len(order_M)], inverse_M, weights_TA, y[len(order_M) :], x_TD.dtype)


def large(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor,
    shared: SharedExperts | None,
) -> Tensor:  # fmt: skip
    """One product a matrix, grouped by expert."""
    order_M, inverse_M, stops_E = sort_choices(indices_TA, len(down_EDF))
    x_MD = x_TD[order_M // indices_TA.shape[1]]
    y_MD = grouped_mm_until(gated(*grouped_mm_until(x_MD, gate_up_EFD, stops_E).chunk(2, -1)), down_EDF, stops_E)
    more = x_TD[:0]
    if shared is not None:
        more = F.linear(gated(F.linear(x_TD, shared.gate), F.linear(x_TD, shared.up)), shared.down)
    return combine(y_MD, inverse_M, weights_TA, more, x_TD.dtype)


def _num_shared(shared: SharedExperts | None, width: int) -> int:
    if shared is None:
        return 0
    assert shared.down.shape[1] % width == 0
    assert all(weight.is_contiguous() for weight in shared)
    return shared.down.shape[1] // width


def up_few(x_TD: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, shared: SharedExperts | None) -> Tensor:
    """Gated values (T * C, F) of the C = A + N slots of every token."""
    (num_tokens, hidden), active, width = x_TD.shape, indices_TA.shape[1], gate_up_EFD.shape[1] // 2
    assert x_TD.stride(1) == 1
    assert indices_TA.is_contiguous()
    slots = active + _num_shared(shared, width)
    middle = torch.empty(num_tokens * slots, width, dtype=x_TD.dtype, device=x_TD.device)
    sizes = config("up_few", num_tokens, x_TD.itemsize)
    _up_few[(num_tokens * slots, triton.cdiv(width, sizes["ROWS"]))](
        x_TD, indices_TA, gate_up_EFD, shared.gate if shared else gate_up_EFD, shared.up if shared else gate_up_EFD,
        middle, x_TD.stride(0), HIDDEN=hidden, WIDTH=width, ACTIVE=active, SLOTS=slots,
        WHOLE=width % sizes["ROWS"] == 0 and hidden % sizes["COLS"] == 0, **sizes,
        **overlapped(x_TD, "up"),
    )  # fmt: skip
    return middle


def down_few(
    middle: Tensor, weights_TA: Tensor, indices_TA: Tensor, down_EDF: Tensor, shared: SharedExperts | None,
    post: Post | None = None,
) -> Tensor:  # fmt: skip
    """The weighted sum over slots (T, D) of what up_few returned."""
    (num_tokens, active), (hidden, width) = indices_TA.shape, down_EDF.shape[1:]
    assert weights_TA.is_contiguous()
    num_shared = _num_shared(shared, width)
    assert post is None or (num_tokens == 1 and hidden <= BOX)
    out = torch.empty(num_tokens, hidden, dtype=torch.float32 if post else middle.dtype, device=middle.device)
    padded, whole = triton.next_power_of_2(width), config("down_one", 1, middle.itemsize)
    if num_tokens == 1 and padded <= whole["WHOLE"]:
        _down_one[(triton.cdiv(hidden, whole["ROWS"]),)](
            middle, indices_TA, weights_TA, down_EDF, shared.down if shared else down_EDF, out,
            post.addresses if post else out, post.turns if post else out,
            RANK=post.rank if post else 0, COUNT=post.count if post else 1, BOX=BOX, BOXES=BOXES,
            HIDDEN=hidden, WIDTH=width, ACTIVE=active, SHARED=num_shared, ROWS=whole["ROWS"], COLS=padded,
            SHARED_COLS=triton.next_power_of_2(max(num_shared * width, 1)), num_warps=whole["num_warps"],
            **overlapped(middle),
        )  # fmt: skip
        return out
    sizes = dict(config("down_few", num_tokens, middle.itemsize))
    if width % sizes["COLS"] and width % (sizes["COLS"] // 2) == 0:
        sizes["COLS"] //= 2
    _down_few[(num_tokens, triton.cdiv(hidden, sizes["ROWS"]))](
        middle, indices_TA, weights_TA, down_EDF, shared.down if shared else down_EDF, out,
        post.addresses if post else out, post.turns if post else out,
        RANK=post.rank if post else 0, COUNT=post.count if post else 1, BOX=BOX, BOXES=BOXES,
        HIDDEN=hidden, WIDTH=width, ACTIVE=active, SHARED=num_shared,
        WHOLE=hidden % sizes["ROWS"] == 0 and width % sizes["COLS"] == 0, **sizes,
        **overlapped(middle),
    )  # fmt: skip
    return out


def sort(indices_TA: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """As sort_choices_reference."""
    assert indices_TA.is_contiguous()
    num_choices = indices_TA.numel()
    order, inverse = (torch.empty(num_choices, dtype=torch.int32, device=indices_TA.device) for _ in range(2))
    stops = torch.empty(num_experts, dtype=torch.int32, device=indices_TA.device)
    sizes = config("sort", len(indices_TA), indices_TA.itemsize)
    _sort[(num_experts,)](indices_TA, order, inverse, stops, num_choices, **sizes, **overlapped(indices_TA))
    return order, inverse, stops


def up_many(
    x_TD: Tensor, order_M: Tensor, stops_E: Tensor, gate_up_EFD: Tensor, shared: SharedExperts | None
) -> Tensor:
    """Gated values (M + T * N, F) of all sorted places."""
    (num_tokens, hidden), (num_experts, width) = x_TD.shape, (len(gate_up_EFD), gate_up_EFD.shape[1] // 2)
    assert x_TD.stride(1) == 1
    num_shared = _num_shared(shared, width)
    middle = torch.empty(len(order_M) + num_tokens * num_shared, width, dtype=x_TD.dtype, device=x_TD.device)
    sizes = config("up_many", num_tokens, x_TD.itemsize)
    tiles = triton.cdiv(num_tokens, sizes["TILE"])
    _up_many[(triton.cdiv(width, sizes["ROWS"]), num_experts + num_shared * tiles)](
        x_TD, order_M, stops_E, gate_up_EFD, shared.gate if shared else gate_up_EFD,
        shared.up if shared else gate_up_EFD, middle, num_tokens, x_TD.stride(0),
        HIDDEN=hidden, WIDTH=width, EXPERTS=num_experts, ACTIVE=len(order_M) // num_tokens,
        WHOLE=width % sizes["ROWS"] == 0 and hidden % sizes["COLS"] == 0, **sizes,
        **overlapped(x_TD),
    )  # fmt: skip
    return middle


def down_many(
    middle: Tensor, num_tokens: int, stops_E: Tensor, down_EDF: Tensor, shared: SharedExperts | None
) -> Tensor:
    """Outputs (M + T * N, D) float32 of all sorted places, not yet weighted."""
    num_experts, hidden, width = down_EDF.shape
    num_shared = _num_shared(shared, width)
    y = torch.empty(len(middle), hidden, dtype=torch.float32, device=middle.device)
    sizes = config("down_many", num_tokens, middle.itemsize)
    tiles = triton.cdiv(num_tokens, sizes["TILE"])
    _down_many[(triton.cdiv(hidden, sizes["ROWS"]), num_experts + num_shared * tiles)](
        middle, stops_E, down_EDF, shared.down if shared else down_EDF, y, num_tokens,
        HIDDEN=hidden, WIDTH=width, EXPERTS=num_experts, ACTIVE=len(middle) // num_tokens - num_shared,
        SHARED=num_shared, WHOLE=hidden % sizes["ROWS"] == 0 and width % sizes["COLS"] == 0, **sizes,
        **overlapped(middle),
    )  # fmt: skip
    return y


def combine(y_MD: Tensor, inverse_M: Tensor, weights_TA: Tensor, more: Tensor, dtype: torch.dtype) -> Tensor:
    """Weighted sums over choices of y, and sums of `more` (any number * T, D), in float32 and then in dtype: (T, D)."""
    (num_tokens, active), hidden = weights_TA.shape, y_MD.shape[1]
    assert weights_TA.is_contiguous()
    out = torch.empty(num_tokens, hidden, dtype=dtype, device=y_MD.device)
    sizes = config("combine", num_tokens, y_MD.itemsize)
    _combine[(num_tokens, triton.cdiv(hidden, sizes["COLS"]))](
        y_MD, inverse_M, weights_TA, more, out, num_tokens,
        HIDDEN=hidden, ACTIVE=active, MORE=len(more) // num_tokens, **sizes, **overlapped(y_MD),
    )  # fmt: skip
    return out


@triton.jit
def _load(pointers, mask, WHOLE: tl.constexpr):
    """Where sizes divide, nothing has to be masked."""
    return tl.load(pointers) if WHOLE else tl.load(pointers, mask=mask, other=0.0)


@triton.jit
def _up_few(
    x, indices, gate_up, shared_gate, shared_up, middle, stride_x,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, ACTIVE: tl.constexpr, SLOTS: tl.constexpr, WHOLE: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr, STAGES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    token, slot = tl.program_id(0) // SLOTS, tl.program_id(0) % SLOTS
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real = rows[:, None] < WIDTH
    if slot < ACTIVE:
        expert = tl.load(indices + token * ACTIVE + slot).to(tl.int64)
        gates = gate_up + expert * (2 * WIDTH * HIDDEN)
        ups = gates + WIDTH * HIDDEN
    else:
        gates = shared_gate + (slot - ACTIVE) * (WIDTH * HIDDEN)
        ups = shared_up + (slot - ACTIVE) * (WIDTH * HIDDEN)
    gate_sums, up_sums = tl.zeros([ROWS, COLS], tl.float32), tl.zeros([ROWS, COLS], tl.float32)
    for start in tl.range(0, HIDDEN, COLS, num_stages=STAGES):
        cols = start + tl.arange(0, COLS)
        here = cols < HIDDEN
        value = _load(x + token * stride_x + cols, here, WHOLE).to(tl.float32)
        places = rows[:, None] * HIDDEN + cols
        gate_sums += _load(gates + places, real & here, WHOLE).to(tl.float32) * value
        up_sums += _load(ups + places, real & here, WHOLE).to(tl.float32) * value
    gate = tl.sum(gate_sums, 1)
    out = gate * tl.sigmoid(gate) * tl.sum(up_sums, 1)
    tl.store(middle + tl.program_id(0) * WIDTH + rows, out.to(middle.dtype.element_ty), mask=rows < WIDTH)


@triton.jit
def _down_few(
    middle, indices, weights, down, shared_down, out, addresses, turns,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, ACTIVE: tl.constexpr, SHARED: tl.constexpr, WHOLE: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr, STAGES: tl.constexpr,
    RANK: tl.constexpr, COUNT: tl.constexpr, BOX: tl.constexpr, BOXES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    if COUNT > 1:
        turn, address = tl.load(turns, volatile=True) + 1, address_of_next(addresses, RANK, COUNT)
    token = tl.program_id(0)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    real = rows[:, None] < HIDDEN
    sums = tl.zeros([ROWS, COLS], tl.float32)
    for slot in range(ACTIVE + SHARED):
        if slot < ACTIVE:
            expert = tl.load(indices + token * ACTIVE + slot).to(tl.int64)
            weight = tl.load(weights + token * ACTIVE + slot)
            matrix = down + expert * (HIDDEN * WIDTH) + rows[:, None] * WIDTH
        else:
            weight = 1.0
            matrix = shared_down + (slot - ACTIVE) * WIDTH + rows[:, None] * (SHARED * WIDTH)
        for start in tl.range(0, WIDTH, COLS, num_stages=STAGES):
            cols = start + tl.arange(0, COLS)
            here = cols < WIDTH
            value = _load(middle + (token * (ACTIVE + SHARED) + slot) * WIDTH + cols, here, WHOLE).to(tl.float32)
            sums += _load(matrix + cols, real & here, WHOLE).to(tl.float32) * (value * weight)
    total = tl.sum(sums, 1)
    if COUNT > 1:
        words = total.to(tl.int32, bitcast=True)
        send(words, rows, rows < HIDDEN, turn, 0, addresses, address, RANK, COUNT, BOX, BOXES)
    tl.store(out + token * HIDDEN + rows, total.to(out.dtype.element_ty), mask=rows < HIDDEN)


@triton.jit
def _down_one(
    middle, indices, weights, down, shared_down, out, addresses, turns,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, ACTIVE: tl.constexpr, SHARED: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr, SHARED_COLS: tl.constexpr,
    RANK: tl.constexpr, COUNT: tl.constexpr, BOX: tl.constexpr, BOXES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """Narrow experts of one token: nothing loops, so that the rows of all slots are asked for at once."""
    rows, cols, wide = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, COLS), tl.arange(0, SHARED_COLS)
    real = rows[:, None] < HIDDEN
    if SHARED > 0:  # their outputs add up, so they are one matrix
        beside = tl.load(
            shared_down + rows[:, None] * (SHARED * WIDTH) + wide, mask=real & (wide < SHARED * WIDTH), other=0.0
        )
    wait_for_last(OVERLAP)  # weights are nobody's output, so those of shared experts are under way by now
    if COUNT > 1:
        turn, address = tl.load(turns, volatile=True) + 1, address_of_next(addresses, RANK, COUNT)
    sums = tl.zeros([ROWS, COLS], tl.float32)
    for slot in tl.static_range(ACTIVE):
        expert = tl.load(indices + slot).to(tl.int64)
        matrix = down + expert * (HIDDEN * WIDTH) + rows[:, None] * WIDTH
        value = tl.load(middle + slot * WIDTH + cols, mask=cols < WIDTH, other=0.0).to(tl.float32)
        value *= tl.load(weights + slot)
        sums += tl.load(matrix + cols, mask=real & (cols < WIDTH), other=0.0).to(tl.float32) * value
    total = tl.sum(sums, 1)
    if SHARED > 0:
        value = tl.load(middle + ACTIVE * WIDTH + wide, mask=wide < SHARED * WIDTH, other=0.0).to(tl.float32)
        total += tl.sum(beside.to(tl.float32) * value, 1)
    if COUNT > 1:
        words = total.to(tl.int32, bitcast=True)
        send(words, rows, rows < HIDDEN, turn, 0, addresses, address, RANK, COUNT, BOX, BOXES)
    tl.store(out + rows, total.to(out.dtype.element_ty), mask=rows < HIDDEN)


@triton.jit(do_not_specialize=["num_choices"])
def _sort(indices, order, inverse, stops, num_choices, CHUNK: tl.constexpr, OVERLAP: tl.constexpr):
    """One program an expert: it counts choices of lower numbers, then writes its own behind them."""
    wait_for_last(OVERLAP)
    expert, num_experts = tl.program_id(0), tl.num_programs(0)
    lower = tl.zeros([CHUNK], tl.int32)
    for start in range(0, num_choices, CHUNK):
        choices = start + tl.arange(0, CHUNK)
        lower += (tl.load(indices + choices, mask=choices < num_choices, other=num_experts) < expert).to(tl.int32)
    end = tl.sum(lower, 0)
    for start in range(0, num_choices, CHUNK):
        choices = start + tl.arange(0, CHUNK)
        own = tl.load(indices + choices, mask=choices < num_choices, other=num_experts) == expert
        places = end + tl.cumsum(own.to(tl.int32), 0) - 1
        tl.store(order + places, choices, mask=own)
        tl.store(inverse + choices, places, mask=own)
        end += tl.sum(own.to(tl.int32), 0)
    tl.store(stops + expert, end)


@triton.jit
def _range_of(number, stops, num_tokens, EXPERTS: tl.constexpr, ACTIVE: tl.constexpr, TILE: tl.constexpr):
    """The sorted places of a program, which shared expert it belongs to, and the place of that one's first token."""
    if number < EXPERTS:
        begin = tl.load(stops + number - 1, mask=number > 0, other=0)
        end = tl.load(stops + number)
        which, first = 0, 0
    else:
        tiles = tl.cdiv(num_tokens, TILE)
        which = (number - EXPERTS) // tiles
        first = num_tokens * (ACTIVE + which)
        begin = first + (number - EXPERTS) % tiles * TILE
        end = tl.minimum(begin + TILE, first + num_tokens)
    return begin, end, which, first


@triton.jit
def _multiply(weight, value, sums, LEFT: tl.constexpr):
    """sums += weight @ value.T, or value @ weight.T."""
    if LEFT:
        sums = tl.dot(weight, tl.trans(value), sums, input_precision="ieee")
    else:
        sums = tl.dot(value, tl.trans(weight), sums, input_precision="ieee")
    return sums


@triton.jit(do_not_specialize=["num_tokens"])
def _up_many(
    x, order, stops, gate_up, shared_gate, shared_up, middle, num_tokens, stride_x,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, EXPERTS: tl.constexpr, ACTIVE: tl.constexpr, WHOLE: tl.constexpr,
    TILE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, LEFT: tl.constexpr,
    OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    number = tl.program_id(1)
    begin, end, which, first = _range_of(number, stops, num_tokens, EXPERTS, ACTIVE, TILE)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = rows[:, None] < WIDTH
    if number < EXPERTS:
        gates = gate_up + number.to(tl.int64) * (2 * WIDTH * HIDDEN)
        ups = gates + WIDTH * HIDDEN
    else:
        gates = shared_gate + which * (WIDTH * HIDDEN)
        ups = shared_up + which * (WIDTH * HIDDEN)
    for start in range(begin, end, TILE):
        places = start + tl.arange(0, TILE)
        taken = places < end
        chosen = places < num_tokens * ACTIVE
        choices = tl.load(order + places, mask=taken & chosen, other=0)
        tokens = tl.where(chosen, choices // ACTIVE, places - first)
        values = x + tokens[:, None].to(tl.int64) * stride_x
        gate = tl.zeros([ROWS, TILE] if LEFT else [TILE, ROWS], tl.float32)
        up = tl.zeros([ROWS, TILE] if LEFT else [TILE, ROWS], tl.float32)
        for col in range(0, HIDDEN, COLS):
            cols = col + tl.arange(0, COLS)
            here = cols < HIDDEN
            value = tl.load(values + cols, mask=taken[:, None] if WHOLE else taken[:, None] & here, other=0.0)
            weights = rows[:, None] * HIDDEN + cols
            gate = _multiply(_load(gates + weights, real & here, WHOLE), value, gate, LEFT)
            up = _multiply(_load(ups + weights, real & here, WHOLE), value, up, LEFT)
        out = (gate * tl.sigmoid(gate) * up).to(middle.dtype.element_ty)
        if LEFT:
            out = tl.trans(out)
        into = middle + places[:, None].to(tl.int64) * WIDTH + rows
        tl.store(into, out, mask=taken[:, None] & (rows < WIDTH))


@triton.jit(do_not_specialize=["num_tokens"])
def _down_many(
    middle, stops, down, shared_down, y, num_tokens,
    HIDDEN: tl.constexpr, WIDTH: tl.constexpr, EXPERTS: tl.constexpr, ACTIVE: tl.constexpr, SHARED: tl.constexpr,
    WHOLE: tl.constexpr, TILE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, LEFT: tl.constexpr,
    OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    number = tl.program_id(1)
    begin, end, which, _ = _range_of(number, stops, num_tokens, EXPERTS, ACTIVE, TILE)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    real = rows[:, None] < HIDDEN
    if number < EXPERTS:
        matrix = down + number.to(tl.int64) * (HIDDEN * WIDTH) + rows[:, None] * WIDTH
    else:
        matrix = shared_down + which * WIDTH + rows[:, None] * (SHARED * WIDTH)
    for start in range(begin, end, TILE):
        places = start + tl.arange(0, TILE)
        taken = places < end
        values = middle + places[:, None].to(tl.int64) * WIDTH
        sums = tl.zeros([ROWS, TILE] if LEFT else [TILE, ROWS], tl.float32)
        for col in range(0, WIDTH, COLS):
            cols = col + tl.arange(0, COLS)
            here = cols < WIDTH
            value = tl.load(values + cols, mask=taken[:, None] if WHOLE else taken[:, None] & here, other=0.0)
            sums = _multiply(_load(matrix + cols, real & here, WHOLE), value, sums, LEFT)
        if LEFT:
            sums = tl.trans(sums)
        into = y + places[:, None].to(tl.int64) * HIDDEN + rows
        tl.store(into, sums, mask=taken[:, None] & (rows < HIDDEN))


@triton.jit(do_not_specialize=["num_tokens"])
def _combine(
    y, inverse, weights, more, out, num_tokens,
    HIDDEN: tl.constexpr, ACTIVE: tl.constexpr, MORE: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    token = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * COLS + tl.arange(0, COLS)
    real = cols < HIDDEN
    total = tl.zeros([COLS], tl.float32)
    for slot in tl.static_range(ACTIVE):
        place = tl.load(inverse + token * ACTIVE + slot).to(tl.int64)
        weight = tl.load(weights + token * ACTIVE + slot)
        total += tl.load(y + place * HIDDEN + cols, mask=real, other=0.0).to(tl.float32) * weight
    for number in tl.static_range(MORE):
        total += tl.load(more + (number * num_tokens + token) * HIDDEN + cols, mask=real, other=0.0).to(tl.float32)
    tl.store(out + token * HIDDEN + cols, total.to(out.dtype.element_ty), mask=real)
