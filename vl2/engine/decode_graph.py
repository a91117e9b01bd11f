"""A whole step of few tokens as one captured CUDA graph, for some numbers of rows.

    Rows.fill: host --one copy--> numbers of each row on the device
    token of each row --embed--> x --model, NewestTokens--> logits --choose--> tokens, kept for the next step

A row is one new token: the newest of a sequence, a draft after it, or one of a short prompt after a cached prefix. The
rows of a sequence are stored before any of them attends, so they see each other as far as their positions allow. The
trap: a step reads and writes what the last one chose, so it cannot be tried out on the same rows before it is captured.
"""

import struct
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vl2.engine.graphs import Graphs
from vl2.engine.paged_cache import NewestTokens, PagedCache
from vl2.engine.types import Chunk
from vl2.engine.types import Sequence as RunningSequence
from vl2.kernels.choose import choose
from vl2.model.rope import RopeTable
from vl2.model.vl2 import VL2

SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SLOT, _TOKEN, _POSITION, _TEMPERATURE, _TOP_P, _TOP_K, _SEED, _NUMBER, _TABLE = 0, 1, 2, 3, 4, 5, 6, 8, 9
_BUFFERS = 3  # filled in turn: while one is copied, the next is written


class Rows:
    """What the device has to know of each row, in 32-bit numbers: where its token is, options of choosing, blocks.

    Args:
        num_slots: sequences that may run; one more slot is for rows that belong to none.
        num_blocks: most blocks of a sequence.
    """

    def __init__(self, num_slots: int, num_blocks: int, device: torch.device) -> None:
        self._padding_slot = num_slots
        self.width = _TABLE + num_blocks
        self._of_slot = np.zeros((num_slots, self.width), np.int32)  # options and blocks of who runs there
        self._written: list[tuple[list[int], int]] = [([], 0)] * num_slots  # which table, and how much of it
        self._buffers = torch.zeros(
            _BUFFERS, SIZES[-1], self.width, dtype=torch.int32, pin_memory=device.type == "cuda"
        )
        self._turn = 0

    def fill(self, chunks: Sequence[Chunk], size: int) -> Tensor:
        """Rows of all tokens of the chunks, filled up to `size` by repeating the first; on the host."""
        self._turn = (self._turn + 1) % _BUFFERS
        rows = self._buffers[self._turn, :size].numpy()
        slots, heads, numbers = [], [], []
        for chunk in chunks:
            sequence = chunk.sequence
            self._update(sequence)
            number = sequence.num_generated + sequence.num_pending
            choices, last = chunk.count - chunk.num_choices, chunk.count - 1
            for place, token in enumerate(chunk.tokens):
                slots.append(sequence.slot)
                into = sequence.slot if place == last >= choices else self._padding_slot
                heads.append((into, token, chunk.start + place))
                numbers.append(number + max(place - choices, 0))
        count = len(slots)
        rows[:count] = self._of_slot[slots]
        rows[:count, :_TEMPERATURE] = heads
        rows[:count, _NUMBER] = numbers
        rows[count:] = rows[0]
        return self._buffers[self._turn, :size]

    num_options = _TABLE - _TEMPERATURE

    def options(self, chunks: Sequence[Chunk], numbers: Sequence[int]) -> Tensor:
        """Options of choosing (S, num_options), on the host, for choice `numbers[i]` of chunk i."""
        for chunk in chunks:
            self._update(chunk.sequence)
        table = self._of_slot[[chunk.sequence.slot for chunk in chunks], _TEMPERATURE:_TABLE]
        first = [chunk.sequence.num_generated + chunk.sequence.num_pending for chunk in chunks]
        table[:, _NUMBER - _TEMPERATURE] = np.array(first) + numbers
        return torch.from_numpy(table)

    def _update(self, running: RunningSequence) -> None:
        """Write what has changed in a sequence's slot: everything when it is new there, else its new blocks."""
        row = self._of_slot[running.slot]
        table, written = self._written[running.slot]
        if table is not running.blocks:
            temperature, top_k, top_p, seed = running.draw
            row[_TEMPERATURE:_NUMBER] = struct.unpack("5i", struct.pack("=ffiq", temperature, top_p, top_k, seed))
            written = 0
        if written != len(running.blocks) or table is not running.blocks:
            row[_TABLE + written : _TABLE + len(running.blocks)] = running.blocks[written:]
            self._written[running.slot] = running.blocks, len(running.blocks)


def unpack_options(table: Tensor) -> tuple[Tensor, ...]:
    """temperature, top_k, top_p, seed and position of each row, for `choose`."""
    temperature, top_p, top_k, low, high, number = table.T.contiguous()
    seed = (low.long() & 0xFFFFFFFF) | (high.long() << 32)
    return temperature.view(torch.float32), top_k, top_p.view(torch.float32), seed, number.long()


class DecodeGraph:
    """The step of few tokens after cached ones.

    Args:
        rope: table of all positions.
        newest: (slots,) the newest token of every slot; read and written by each step.
        rows: what gives the rows.
    """

    def __init__(
        self, model: VL2, cache: PagedCache, rope: RopeTable, newest: Tensor, rows: Rows, graphs: Graphs
    ) -> None:
        self._model, self._cache, self._rope, self._newest, self._graphs = model, cache, rope, newest, graphs
        self._width, self.most = rows.width, SIZES[-1]

    @staticmethod
    def size_for(count: int) -> int:
        return next(size for size in SIZES if size >= count)

    def prepare(self, most: int) -> None:
        """Capture graphs of all sizes up to that for `most` rows."""
        for size in reversed([size for size in SIZES if size <= self.size_for(min(most, self.most))]):
            self._graphs.prepare(("decode", size), self.compute, (self._nobodys(size),))

    def replay(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows in pinned memory to the chosen tokens (S,) and logits (S, V), valid until the next replay."""
        key, size = ("decode", len(rows)), len(rows)
        tokens, logits_SV = self._graphs.replay(key, self.compute, (rows,), lambda: (self._nobodys(size),))
        return tokens, logits_SV

    def _nobodys(self, size: int) -> Tensor:
        """Rows that belong to no sequence."""
        table = torch.zeros(size, self._width, dtype=torch.int32)
        table[:, _SLOT], table[:, _POSITION] = len(self._newest) - 1, -1
        return table

    def compute(self, table: Tensor) -> tuple[Tensor, Tensor]:
        """What a graph holds."""
        slots, position_S = table[:, _SLOT].long(), table[:, _POSITION].long()
        ids = torch.where(table[:, _TOKEN] < 0, self._newest[slots], table[:, _TOKEN].long())
        context = NewestTokens(self._cache, position_S, table[:, _TABLE:])
        x_SD = self._model.language.embed_tokens(ids)
        hidden_SD, _ = self._model(x_SD, context.positions_T, context, self._rope.at(context.positions_T))
        logits_SV = self._model.logits(hidden_SD)
        tokens = choose(logits_SV, *unpack_options(table[:, _TEMPERATURE:_TABLE]))
        self._newest.index_copy_(0, slots, tokens)
        return tokens, logits_SV
