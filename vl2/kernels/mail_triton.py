"""How Triton kernels of several ranks send each other words, for `team_triton.py` and kernels whose outputs are summed.

    32 bits, below the number of the turn --written at once--> a box in another rank's memory, polled by its owner

So no other signal is needed, and a word takes one trip between devices. A program has two boxes for each sender and
uses them in turn: who writes a box a second time has seen what its owner sent after it had read the first.
A program sends what others wait for before it polls, so a host may wait for its own device whenever it likes, to load a
kernel, for memory, for a graph: what runs there needs only what others send without it. Who polls for too long gives
up, which ends this process's work on the device (`Team.explain`).

The trap: turns are counted on the device, program by program, so that a captured graph can be replayed; ranks must
launch the same grids in the same order, and every kernel must have waited for the one before when it sends.
"""

import os
import time
from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

BOXES = 256  # programs of a launch that exchange something
BOX = 4096  # words of a box
# Cycles that a program polls for: a minute at 2 GHz, longer at a lower clock. Others may compile something meanwhile.
PATIENCE = tl.constexpr(int(os.environ.get("VL2_PATIENCE", "60")) * 2_000_000_000)


class Post(NamedTuple):
    """What a kernel needs to send: addresses (count,) int64 of all ranks' memory, turns (BOXES,) int32 taken so far."""

    addresses: Tensor
    turns: Tensor
    rank: int
    count: int


@triton.jit
def _box(sender, turn, program, BOX: tl.constexpr, BOXES: tl.constexpr):
    """Where in a rank's memory a program finds what `sender` sends it this turn."""
    return ((sender * 2 + (turn & 1)) * BOXES + program) * BOX


@triton.jit
def address_of_next(addresses, RANK: tl.constexpr, COUNT: tl.constexpr):
    """Of the first rank that `send` sends to; asked for early, so that it is there when something is to be sent."""
    return tl.load(addresses + (RANK + 1) % COUNT, volatile=True)


@triton.jit
def send(
    word, cols, real, turn, program, addresses, address,
    RANK: tl.constexpr, COUNT: tl.constexpr, BOX: tl.constexpr, BOXES: tl.constexpr,
):  # fmt: skip
    """Words (int32) to this program of all other ranks."""
    mail = (turn.to(tl.int64) << 32) | (word.to(tl.int64) & 0xFFFFFFFF)
    for number in tl.static_range(1, COUNT):
        if number > 1:
            address = tl.load(addresses + (RANK + number) % COUNT)
        memory = tl.multiple_of(address.to(tl.pointer_type(tl.int64)), 16)
        tl.store(memory + _box(RANK, turn, program, BOX, BOXES) + cols, mail, mask=real, cache_modifier=".wt")


if os.environ.get("TRITON_INTERPRET") == "1":  # what an interpreted kernel calls may be plain Python

    def _clock() -> int:
        return 2 * time.monotonic_ns()

    def _give_up() -> None:
        raise RuntimeError("unspecified launch failure")  # as CUDA says

else:

    @triton.jit
    def _clock():
        """Cycles of the processor that this program runs on."""
        return tl.inline_asm_elementwise("mov.u64 $0, %clock64;", "=l", [], dtype=tl.int64, is_pure=False, pack=1)

    @triton.jit
    def _give_up():
        """The host sees a launch failure, and the device does nothing more for this process."""
        tl.inline_asm_elementwise("trap; mov.u32 $0, 0;", "=r", [], dtype=tl.int32, is_pure=False, pack=1)


@triton.jit
def receive(sender, cols, real, turn, program, memory, BOX: tl.constexpr, BOXES: tl.constexpr):
    """Words of another rank, once they are all there. Gives up after PATIENCE."""
    places = memory + _box(sender, turn, program, BOX, BOXES) + cols
    mail = tl.load(places, mask=real, other=0, volatile=True)
    missing = tl.sum((real & ((mail >> 32) != turn)).to(tl.int32), 0)
    begin = _clock()
    while missing > 0:
        mail = tl.load(places, mask=real, other=0, volatile=True)
        missing = tl.sum((real & ((mail >> 32) != turn)).to(tl.int32), 0)
        if _clock() - begin > PATIENCE:
            _give_up()
    return mail.to(tl.int32)
