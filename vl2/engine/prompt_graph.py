"""A whole step of prompts that have no cached beginning as one captured CUDA graph, for some numbers of tokens.

    x_TD, numbers of tokens and sequences --one copy each--> model, FreshTokens --> logits --choose--> tokens

Some thousand tokens take the host longer to launch than the device to compute. The trap: tokens past the last sequence
go through the model, too; they are one more, stored where nobody looks, which chooses nothing.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.engine.decode_graph import Rows, unpack_options
from vl2.engine.graphs import Graphs
from vl2.engine.paged_cache import PagedCache, slots_of
from vl2.engine.types import Chunk
from vl2.kernels.choose import choose
from vl2.kernels.rotary import Place
from vl2.model.cache import PackedSequences
from vl2.model.rope import RopeTable
from vl2.model.vl2 import VL2

SIZES = (*range(128, 2048, 128), *range(2048, 4096, 256), *range(4096, 8192 + 1, 512))
MOST_TOKENS = SIZES[-1]  # beyond, launching takes less time than computing
MOST_SEQUENCES = 16


class FreshTokens(PackedSequences):
    """PackedSequences whose rows are kept.

    Args:
        slots_T: (T,) int64.
    """

    def __init__(self, cache: PagedCache, cu_seqlens_S1: Tensor, max_len: int, slots_T: Tensor) -> None:
        super().__init__(cu_seqlens_S1, max_len)
        self._cache, self._slots_T = cache, slots_T

    def place(self, layer: int) -> Place:
        return self._cache.place(layer, self._slots_T)


def split(chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """Prompts in order, as many together as a graph takes; each has at most MOST_TOKENS."""
    groups: list[list[Chunk]] = []
    left = 0
    for chunk in chunks:
        if chunk.count > left or len(groups[-1]) == MOST_SEQUENCES:
            groups.append([])
            left = MOST_TOKENS
        groups[-1].append(chunk)
        left -= chunk.count
    return groups


class PromptGraph:
    """Arguments as DecodeGraph's.

    rows: writes options of choosing.
    """

    def __init__(
        self, model: VL2, cache: PagedCache, rope: RopeTable, newest: Tensor, rows: Rows, graphs: Graphs
    ) -> None:
        self._model, self._cache, self._rope, self._newest = model, cache, rope, newest
        self._rows, self._graphs = rows, graphs

    def prepare(self, most: int) -> None:
        """Capture graphs of all sizes that steps of at most so many tokens need."""
        for size in reversed([size for size, below in zip(SIZES, (0, *SIZES), strict=False) if below < most]):
            x_TD = torch.zeros(
                size,
                self._model.config.language_config.hidden_size,
                device=self._newest.device,
                dtype=self._cache.values.dtype,
            )
            self._graphs.prepare(("prompts", size), self.compute, (x_TD, *self._numbers(size, [])))

    def replay(self, x_TD: Tensor, chunks: Sequence[Chunk]) -> tuple[Tensor, Tensor]:
        """Embeddings of all tokens of the chunks to chosen tokens and logits of the chunks that choose, for keeps."""
        size = next(size for size in SIZES if size >= len(x_TD))
        inputs = F.pad(x_TD, (0, 0, 0, size - len(x_TD))), *self._numbers(size, chunks)
        tokens, logits_SV = self._graphs.replay(("prompts", size), self.compute, inputs)
        choosing = [number for number, chunk in enumerate(chunks) if chunk.num_choices]
        chosen = torch.tensor(choosing, dtype=torch.long).to(tokens.device, non_blocking=True)
        return tokens[chosen], logits_SV[chosen]

    def _numbers(self, size: int, chunks: Sequence[Chunk]) -> tuple[Tensor, ...]:
        """Arguments of `compute` beside the embeddings, where the device can copy from by itself."""
        count = sum(chunk.count for chunk in chunks)
        of_tokens = torch.empty(2, size, dtype=torch.int64)
        of_tokens[0], of_tokens[1] = 0, self._cache.padding_slot
        of_sequences = torch.empty(3, MOST_SEQUENCES + 2, dtype=torch.int32)
        of_sequences[0], of_sequences[1], of_sequences[2] = count, 0, len(self._newest) - 1
        of_sequences[0, -1] = size  # padding is a sequence of its own
        options = torch.zeros(MOST_SEQUENCES, self._rows.num_options, dtype=torch.int32)
        end = 0
        for number, chunk in enumerate(chunks):
            start, end = end, end + chunk.count
            of_tokens[0, start:end] = torch.arange(chunk.count)
            of_tokens[1, start:end] = torch.from_numpy(slots_of(chunk, 0, chunk.count, self._cache.block_size))
            of_sequences[:2, number] = torch.tensor([start, end - 1])
            if chunk.num_choices:
                of_sequences[2, number] = chunk.sequence.slot
                options[number] = self._rows.options([chunk], [0])[0]
        numbers = of_tokens, of_sequences, options
        return tuple(one.pin_memory() for one in numbers) if self._newest.is_cuda else numbers

    def compute(self, x_TD: Tensor, of_tokens: Tensor, of_sequences: Tensor, options: Tensor) -> tuple[Tensor, Tensor]:
        """What a graph holds.

        Args:
            of_tokens: (2, T) int64 positions and slots in the cache.
            of_sequences: (3, S + 2) int32 first token of each, last token, slot of its newest token; then of the
                padding, and of the end.
            options: (S, ...) int32 of choosing.
        """
        positions_T, slots_T = of_tokens
        starts, last, newest = of_sequences
        context = FreshTokens(self._cache, starts, len(x_TD), slots_T)
        hidden_TD, _ = self._model(x_TD, positions_T, context, self._rope.at(positions_T))
        logits_SV = self._model.logits(hidden_TD[last[:-2].long()])
        tokens = choose(logits_SV, *unpack_options(options))
        self._newest.index_copy_(0, newest[:-2].long(), tokens)
        return tokens, logits_SV
