"""Keys and values (or latents) of all sequences in blocks, and who attends to whom in one step.

    block tables, chunks --> slots of the new tokens, positions
    layer by layer: rows of new tokens are kept --> queries of each chunk x everything cached of its sequence

    NewestTokens      rows of one token each, through one kernel; what a captured graph runs
    OneByOne          a few tokens after cached prefixes, where that kernel does not run
    Continued         many tokens after cached prefixes, which are gathered and expanded
    PagedSequences    any step: chunks that begin a sequence attend among themselves, packed; a few tokens after a
                      cached prefix read latents as they are stored (absorbed); many expand them first

The trap: chunks come in an order (`by_kind`), so that each kind is one slice of the tokens.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vl2.config import LanguageConfig
from vl2.engine.types import Chunk
from vl2.kernels.flash import attend_one, attend_varlen
from vl2.kernels.paged_attention import can_decode, decode_heads, decode_values
from vl2.kernels.rotary import Place
from vl2.model.attention import AttentionContext, LatentWeights
from vl2.model.cache import PackedSequences, split_heads

IntArray = NDArray[np.int64]
EXPAND_ABOVE = 128  # new tokens; from about here expanding latents takes fewer operations than absorbing


class PagedCache:
    """What is cached of every token, by layer and slot; a slot is a place in a block.

    Args:
        num_blocks, block_size: blocks, and tokens of each. One more block takes what rows of padding write.
        ranks: that divide the heads.
    """

    def __init__(
        self, config: LanguageConfig, num_blocks: int, block_size: int, device: torch.device, dtype: torch.dtype,
        ranks: int = 1,
    ) -> None:  # fmt: skip
        self.block_size = block_size
        shape = (config.num_hidden_layers, num_blocks + 1, block_size, cached_width(config, ranks))
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.padding_slot = num_blocks * block_size
        self._widths = (config.kv_lora_rank or 0, config.qk_rope_head_dim) if config.use_mla else (config.head_dim,)

    @property
    def has_kernel(self) -> bool:
        """Whether NewestTokens runs as one kernel here, and not as a loop over sequences."""
        return can_decode(self.values, *self._widths)

    def place(self, layer: int, slots_T: Tensor) -> Place:
        return Place(self.values[layer].flatten(0, 1), slots_T)


def cached_width(config: LanguageConfig, ranks: int) -> int:
    """Numbers that a rank caches of one token in one layer: keys and values of its heads, or the latent of all."""
    return config.kv_values_per_token // (1 if config.use_mla else ranks)


class NewestTokens:
    """The attention context of single tokens, each after all that is cached of its sequence.

    Everything it needs lies on the device. Several rows may belong to one sequence.

    Args:
        positions_S: (S,) of the tokens; -1 for a row of padding.
        tables_SO: (S, O) int32 blocks of the sequences.
    """

    def __init__(self, cache: PagedCache, positions_S: Tensor, tables_SO: Tensor) -> None:
        self._cache, self._tables_SO = cache, tables_SO
        size = cache.block_size
        self.positions_T = positions_S.clamp_min(0)
        block_S = tables_SO.gather(1, (self.positions_T // size)[:, None])[:, 0].long()
        slots_S = block_S * size + self.positions_T % size
        self._slots_T = torch.where(positions_S < 0, cache.padding_slot, slots_S)
        self._lengths_S = (positions_S + 1).to(torch.int32)

    def place(self, layer: int) -> Place:
        return self._cache.place(layer, self._slots_T)

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        return decode_heads(q_THK, self._cache.values[layer], self._tables_SO, self._lengths_S, scale)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        cached = self._cache.values[layer], self._tables_SO, self._lengths_S
        return decode_values(weights.absorb(q_nope_THK), q_rope_THR, *cached, scale, weights.w_v_HUZ)


def by_kind(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Single tokens after cached ones, then a few, then many, then those that begin a sequence; otherwise in order."""

    def kind(chunk: Chunk) -> int:
        return 3 if chunk.start == 0 else (chunk.count > 1) + (chunk.count > EXPAND_ABOVE)

    return sorted(chunks, key=kind)


class OneByOne:
    """The attention context of a few tokens each after cached prefixes, in a loop over the sequences.

    The blocks of most sequences lie in a row, so that nothing is gathered.
    """

    def __init__(self, cache: PagedCache, chunks: Sequence[Chunk]) -> None:
        self._cache, self._counts = cache, [chunk.count for chunk in chunks]
        self._slots = [_cached_slots([chunk], cache) for chunk in chunks]

    def place(self, layer: int) -> None:
        return None

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        return self._attend(layer, q_THK, lambda cached_LJ: split_heads(cached_LJ, q_THK.shape[-1]), scale)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        q_THJ = torch.cat([weights.absorb(q_nope_THK), q_rope_THR], -1)
        # a row serves as key and as value, whose end nobody reads: cutting it off would copy what is cached
        o_THJ = self._attend(layer, q_THJ, lambda rows_LJ: (rows_LJ[:, None], rows_LJ[:, None]), scale)
        return weights.values(o_THJ[..., : weights.latent])

    def _attend(
        self, layer: int, q_THK: Tensor, keys_and_values: Callable[[Tensor], tuple[Tensor, Tensor]], scale: float
    ) -> Tensor:
        cached = self._cache.values[layer].flatten(0, 1)
        parts = zip(q_THK.split(self._counts), self._slots, strict=True)
        return torch.cat([attend_one(q, *keys_and_values(cached[slots_L]), scale, True) for q, slots_L in parts])


class Continued:
    """The attention context of chunks after cached prefixes, each against all that is cached of its sequence."""

    def __init__(self, cache: PagedCache, chunks: Sequence[Chunk]) -> None:
        self._cache = cache
        device, counts = cache.values.device, [chunk.count for chunk in chunks]
        self._slots_L = _cached_slots(chunks, cache)
        stops = [chunk.start + chunk.count for chunk in chunks]
        starts = torch.tensor([[0, *counts], [0, *stops]]).cumsum(1).to(torch.int32)
        self._starts_q, self._starts_k = starts.to(device, non_blocking=True)
        self._most = max(counts)

    def place(self, layer: int) -> None:
        return None

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, scale: float, q_rope: Tensor | None = None, k_rope: Tensor | None = None
    ) -> Tensor:
        return attend_varlen(q, k, v, self._starts_q, self._starts_k, self._most, scale, True, q_rope, k_rope)

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        cached_LJ = self._cache.values[layer].flatten(0, 1)[self._slots_L]
        return self._attend(q_THK, *split_heads(cached_LJ, q_THK.shape[-1]), scale)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        k_LHK, v_LHU, k_rope_LR = weights.expand(self._cache.values[layer].flatten(0, 1)[self._slots_L])
        return self._attend(q_nope_THK, k_LHK, v_LHU, scale, q_rope_THR, k_rope_LR)


class PagedSequences:
    """The attention context of one step.

    Args:
        chunks: what the step computes, ordered by `by_kind`.
    """

    def __init__(self, cache: PagedCache, chunks: Sequence[Chunk]) -> None:
        assert list(chunks) == by_kind(chunks)
        self._cache = cache
        device, size = cache.values.device, cache.block_size
        spans = [np.arange(chunk.start, chunk.start + chunk.count) for chunk in chunks]
        slots = [slots_of(chunk, chunk.start, chunk.start + chunk.count, size) for chunk in chunks]
        self.positions_T = torch.from_numpy(np.concatenate(spans)).to(device, non_blocking=True)
        self._slots_T = torch.from_numpy(np.concatenate(slots)).to(device, non_blocking=True)
        few = [chunk for chunk in chunks if chunk.start and chunk.count <= EXPAND_ABOVE]
        many = [chunk for chunk in chunks if chunk.start and chunk.count > EXPAND_ABOVE]
        fresh = [chunk.count for chunk in chunks if not chunk.start]
        parts: list[tuple[int, AttentionContext]] = []  # how many tokens in a row, and what attends for them
        if few and cache.has_kernel:
            parts.append((sum(chunk.count for chunk in few), self._rows(few)))
        elif few:
            parts.append((sum(chunk.count for chunk in few), OneByOne(cache, few)))
        if many:
            parts.append((sum(chunk.count for chunk in many), Continued(cache, many)))
        if fresh:
            parts.append((sum(fresh), PackedSequences.of_lengths(fresh, device)))
        self._counts, self._contexts = zip(*parts, strict=True)

    def _rows(self, chunks: Sequence[Chunk]) -> NewestTokens:
        most = max(len(chunk.sequence.blocks) for chunk in chunks)
        padded = np.zeros((sum(chunk.count for chunk in chunks), most), np.int32)
        row = 0
        for chunk in chunks:
            padded[row : row + chunk.count, : len(chunk.sequence.blocks)] = chunk.sequence.blocks
            row += chunk.count
        tables_SO = torch.from_numpy(padded).to(self.positions_T.device, non_blocking=True)
        return NewestTokens(self._cache, self.positions_T[: len(padded)], tables_SO)

    def place(self, layer: int) -> Place:
        return self._cache.place(layer, self._slots_T)

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        parts = zip(self._contexts, *(x.split(self._counts) for x in (q_THK, rows_TJ)), strict=True)
        out = [context.attend_heads(layer, *part, scale) for context, *part in parts]
        return torch.cat(out) if len(out) > 1 else out[0]

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        parts = zip(self._contexts, *(x.split(self._counts) for x in (q_nope_THK, q_rope_THR, rows_TJ)), strict=True)
        out = [context.attend_latent(layer, *part, weights, scale) for context, *part in parts]
        return torch.cat(out) if len(out) > 1 else out[0]


def slots_of(chunk: Chunk, start: int, stop: int, block_size: int) -> IntArray:
    """Where tokens `start` to `stop` of a chunk's sequence are cached."""
    blocks = chunk.sequence.blocks
    if stop - start == 1:
        return np.array([blocks[start // block_size] * block_size + start % block_size])
    span = np.arange(start, stop)
    return np.array(blocks)[span // block_size] * block_size + span % block_size


def _cached_slots(chunks: Sequence[Chunk], cache: PagedCache) -> slice | Tensor:
    """Of all that is cached of the chunks' sequences: in a row, they are read where they lie; others are gathered."""
    slots_L = np.concatenate([slots_of(chunk, 0, chunk.start + chunk.count, cache.block_size) for chunk in chunks])
    first = int(slots_L[0])
    if np.array_equal(slots_L, np.arange(first, first + len(slots_L))):
        return slice(first, first + len(slots_L))
    return torch.from_numpy(slots_L).to(cache.values.device, non_blocking=True)
