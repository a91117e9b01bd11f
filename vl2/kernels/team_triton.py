"""The Triton kernels of vl2/kernels/team.py: what is to be summed or gathered goes into every other rank's memory.

    words of a row --send--> boxes of every other rank --receive--> words of all ranks, in their order --> sum, norm
                                                                                                       --> columns

One program takes a row, or a stretch of a row, and if there are many, several after each other. Of a single token, what
computes a rank's part of a sum has sent it already (`Post`). A word is two bfloat16 or one float32. The traps are those
of mail_triton.py.
"""

import torch
import torch.distributed as dist
import torch.distributed._symmetric_memory as symmetric
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import overlapped
from vl2.kernels.mail_triton import BOX, BOXES, Post, address_of_next, receive, send
from vl2.kernels.overlap_triton import let_next_start, wait_for_last

_STRETCH = 1024  # words that a program gathers at once


class Mailboxes:
    """Memory of this rank that all others can write, and the addresses of theirs.

    Made by all ranks together; none may use it before all have made it, and so emptied theirs.
    """

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        memory = symmetric.empty(count * 2 * BOXES * BOX, dtype=torch.int64, device=device)
        memory.zero_()
        torch.cuda.synchronize(device)
        handle = symmetric.rendezvous(memory, dist.group.WORLD.group_name)  # type: ignore[union-attr]
        addresses = [int(address) for address in handle.buffer_ptrs]
        if addresses[rank] != memory.data_ptr():
            raise RuntimeError("shared memory does not begin where its tensor does")
        self._setup(rank, count, memory, torch.tensor(addresses, device=device))
        self._handle = handle

    def _setup(self, rank: int, count: int, memory: Tensor, addresses: Tensor) -> None:
        self._rank, self._count, self._memory, self._addresses = rank, count, memory, addresses
        self._turns = torch.zeros(BOXES, dtype=torch.int32, device=memory.device)

    @classmethod
    def over(cls, rank: int, memory: Tensor, others: list[Tensor]) -> "Mailboxes":
        """On memory that is there already; for tests.

        Args:
            memory: this rank's.
            others: of all ranks, in order.
        """
        boxes = cls.__new__(cls)
        addresses = torch.tensor([other.data_ptr() for other in others], device=memory.device)
        boxes._setup(rank, len(others), memory, addresses)
        return boxes

    @staticmethod
    def size(count: int) -> int:
        """Numbers of 64 bits that the memory of a rank holds."""
        return count * 2 * BOXES * BOX

    def take(self, values_TD: Tensor) -> bool:
        """Whether rows of this kind and width can be sent."""
        if values_TD.dtype == torch.bfloat16:
            return values_TD.shape[1] % 2 == 0
        return values_TD.dtype == torch.float32

    @property
    def post(self) -> Post:
        """For kernels that send parts of a sum by themselves; they use the boxes of the first program."""
        return Post(self._addresses, self._turns, self._rank, self._count)

    def add_rms_norm_of_sent(
        self, x_1D: Tensor, partial_1D: Tensor, weight_D: Tensor, eps: float
    ) -> tuple[Tensor, Tensor]:
        """As Team.add_rms_norm of one token, whose float32 part of the sum was sent when it was computed."""
        width = x_1D.shape[1]
        assert width <= BOX
        assert partial_1D.dtype == torch.float32
        total, out = torch.empty_like(x_1D), torch.empty_like(x_1D)
        _sum_norm_of_sent[(1,)](
            x_1D, partial_1D, weight_D, total, out, self._memory, self._turns, eps,
            WIDTH=width, RANK=self._rank, COUNT=self._count, COLS=triton.next_power_of_2(width),
            BOX=BOX, BOXES=BOXES, num_warps=16, **overlapped(x_1D, "sum_of_sent"),
        )  # fmt: skip
        return total, out

    def add_rms_norm(self, x_TD: Tensor, partial_TD: Tensor, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """As Team.add_rms_norm."""
        x, partial, weight = (_words(tensor) for tensor in (x_TD, partial_TD, weight_D))
        rows, width = x.shape
        assert width <= BOX
        total, out = (torch.empty(x_TD.shape, dtype=x_TD.dtype, device=x_TD.device) for _ in range(2))
        if rows == 0:
            return total, out
        cols = triton.next_power_of_2(width)
        _sum_norm[(min(rows, BOXES),)](
            x, partial, weight, _words(total), _words(out), self._memory, self._addresses, self._turns, eps, rows,
            WIDTH=width, RANK=self._rank, COUNT=self._count, PACKED=x_TD.itemsize == 2, COLS=cols,
            BOX=BOX, BOXES=BOXES, num_warps=8, **overlapped(x_TD),
        )  # fmt: skip
        return total, out

    def gather(self, columns_TV: Tensor) -> Tensor:
        """As Team.gather."""
        columns = _words(columns_TV)
        rows, width = columns.shape
        out = torch.empty(rows, self._count * columns_TV.shape[1], dtype=torch.float32, device=columns.device)
        stretches = triton.cdiv(width, _STRETCH)
        if rows == 0:
            return out
        _gather[(min(rows * stretches, BOXES),)](
            columns, out, self._memory, self._addresses, self._turns, rows * stretches, stretches,
            WIDTH=width, RANK=self._rank, COUNT=self._count, PACKED=columns_TV.itemsize == 2, COLS=_STRETCH,
            BOX=BOX, BOXES=BOXES, num_warps=4, **overlapped(columns_TV),
        )  # fmt: skip
        return out


def _words(tensor: Tensor) -> Tensor:
    """The same memory in 32-bit numbers; of rows that lie apart, a copy."""
    return tensor.contiguous().view(torch.int32)


@triton.jit
def _floats(word, PACKED: tl.constexpr):
    """The one or two numbers of a word; the second of one is 0."""
    if PACKED:
        return (word << 16).to(tl.float32, bitcast=True), (word & -65536).to(tl.float32, bitcast=True)
    else:
        return word.to(tl.float32, bitcast=True), tl.zeros(word.shape, tl.float32)


@triton.jit
def _rounded(low, high, PACKED: tl.constexpr):
    """As they can be stored."""
    if PACKED:
        return low.to(tl.bfloat16).to(tl.float32), high.to(tl.bfloat16).to(tl.float32)
    else:
        return low, high


@triton.jit
def _word(low, high, PACKED: tl.constexpr):
    """Of numbers that are rounded already."""
    if PACKED:
        return ((low.to(tl.int32, bitcast=True) >> 16) & 65535) | (high.to(tl.int32, bitcast=True) & -65536)
    else:
        return low.to(tl.int32, bitcast=True)


@triton.jit(do_not_specialize=["num_rows"])
def _sum_norm(
    x, partial, weight, total, out, memory, addresses, turns, eps, num_rows,
    WIDTH: tl.constexpr, RANK: tl.constexpr, COUNT: tl.constexpr, PACKED: tl.constexpr, COLS: tl.constexpr,
    BOX: tl.constexpr, BOXES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    cols = tl.arange(0, COLS)
    real = cols < WIDTH
    factor_low, factor_high = _floats(tl.load(weight + cols, mask=real, other=0), PACKED)
    wait_for_last(OVERLAP)
    turn, address = tl.load(turns + tl.program_id(0)), address_of_next(addresses, RANK, COUNT)
    row = tl.program_id(0)
    while row < num_rows:
        turn += 1
        place = row.to(tl.int64) * WIDTH + cols
        mine = tl.load(partial + place, mask=real, other=0)
        send(mine, cols, real, turn, tl.program_id(0), addresses, address, RANK, COUNT, BOX, BOXES)
        low, high = _floats(tl.load(x + place, mask=real, other=0, volatile=True), PACKED)  # not after polling
        sum_low, sum_high = tl.zeros([COLS], tl.float32), tl.zeros([COLS], tl.float32)
        for rank in tl.static_range(COUNT):  # in this order on every rank, so that all get the same bits
            word = mine if rank == RANK else receive(rank, cols, real, turn, tl.program_id(0), memory, BOX, BOXES)
            one_low, one_high = _floats(word, PACKED)
            sum_low += one_low
            sum_high += one_high
        low, high = _rounded(low + sum_low, high + sum_high, PACKED)
        tl.store(total + place, _word(low, high, PACKED), mask=real)
        mean = tl.sum(low * low + high * high, 0) / (WIDTH * (2 if PACKED else 1))
        scale = tl.rsqrt(mean + eps)
        low, high = _rounded(low * scale, high * scale, PACKED)
        low, high = _rounded(low * factor_low, high * factor_high, PACKED)
        tl.store(out + place, _word(low, high, PACKED), mask=real)
        row += tl.num_programs(0)
    tl.store(turns + tl.program_id(0), turn)


@triton.jit
def _sum_norm_of_sent(
    x, partial, weight, total, out, memory, turns, eps,
    WIDTH: tl.constexpr, RANK: tl.constexpr, COUNT: tl.constexpr, COLS: tl.constexpr,
    BOX: tl.constexpr, BOXES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    cols = tl.arange(0, COLS)
    real = cols < WIDTH
    factor = tl.load(weight + cols, mask=real, other=0.0).to(tl.float32)
    # Both were written before the kernel that sent began to work, which has ended by now if its writes have not (that
    # kernel does not let the next one start).
    # Volatile, so that they do not come from a cache that is only emptied afterwards.
    turn = tl.load(turns, volatile=True) + 1
    value = tl.load(x + cols, mask=real, other=0.0, volatile=True).to(tl.float32)
    wait_for_last(OVERLAP)
    mine = tl.load(partial + cols, mask=real, other=0.0, volatile=True)  # under way before anything is polled
    added = tl.zeros([COLS], tl.float32)
    for rank in tl.static_range(COUNT):  # in this order on every rank, so that all get the same bits
        if rank == RANK:
            added += mine
        else:
            added += receive(rank, cols, real, turn, 0, memory, BOX, BOXES).to(tl.float32, bitcast=True)
    rounded = (value + added).to(out.dtype.element_ty)
    tl.store(total + cols, rounded, mask=real)
    value = rounded.to(tl.float32)
    value = value * tl.rsqrt(tl.sum(value * value, 0) / WIDTH + eps)
    normed = factor * value.to(out.dtype.element_ty).to(tl.float32)
    tl.store(out + cols, normed.to(out.dtype.element_ty), mask=real)
    tl.store(turns, turn)


@triton.jit(do_not_specialize=["num_stretches"])
def _gather(
    columns, out, memory, addresses, turns, num_stretches, stretches_of_row,
    WIDTH: tl.constexpr, RANK: tl.constexpr, COUNT: tl.constexpr, PACKED: tl.constexpr, COLS: tl.constexpr,
    BOX: tl.constexpr, BOXES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    turn, address = tl.load(turns + tl.program_id(0)), address_of_next(addresses, RANK, COUNT)
    places = tl.arange(0, COLS)
    each = 2 if PACKED else 1
    stretch = tl.program_id(0)
    while stretch < num_stretches:
        turn += 1
        row = (stretch // stretches_of_row).to(tl.int64)
        cols = stretch % stretches_of_row * COLS + places
        real = cols < WIDTH
        mine = tl.load(columns + row * WIDTH + cols, mask=real, other=0)
        send(mine, places, real, turn, tl.program_id(0), addresses, address, RANK, COUNT, BOX, BOXES)
        for rank in tl.static_range(COUNT):
            word = mine if rank == RANK else receive(rank, places, real, turn, tl.program_id(0), memory, BOX, BOXES)
            low, high = _floats(word, PACKED)
            into = out + (row * COUNT + rank) * (WIDTH * each) + cols * each
            tl.store(into, low, mask=real)
            if PACKED:
                tl.store(into + 1, high, mask=real)
        stretch += tl.num_programs(0)
    tl.store(turns + tl.program_id(0), turn)
