"""How Triton kernels of several ranks send each other words, for `team_triton.py` and kernels whose outputs are summed.

    32 bits, below the number of the turn --written at once--> a box in another rank's memory, polled by its owner

So no other signal is needed, and a word takes one trip between devices. A program has two boxes for each sender and
uses them in turn: who writes a box a second time has seen what its owner sent after it had read the first.
The trap: turns are counted on the device, program by program, so that a captured graph can be replayed; ranks must
launch the same grids in the same order, and every kernel must have waited for the one before when it sends.
"""

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

BOXES = 256  # programs of a launch that exchange something
BOX = 4096  # words of a box


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


@triton.jit
def receive(sender, cols, real, turn, program, memory, BOX: tl.constexpr, BOXES: tl.constexpr):
    """Words of another rank, once they are all there."""
    places = memory + _box(sender, turn, program, BOX, BOXES) + cols
    mail = tl.load(places, mask=real, other=0, volatile=True)
    missing = tl.sum((real & ((mail >> 32) != turn)).to(tl.int32), 0)
    while missing > 0:
        mail = tl.load(places, mask=real, other=0, volatile=True)
        missing = tl.sum((real & ((mail >> 32) != turn)).to(tl.int32), 0)
    return mail.to(tl.int32)
