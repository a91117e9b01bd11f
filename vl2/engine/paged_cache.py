"""Keys and values (or latents) of all sequences in blocks, and who attends to whom in one step.

    block tables, chunks --> slots of the new tokens, positions
    layer by layer: rows of new tokens are kept --> queries of each chunk x everything cached of its sequence

    NewestTokens      rows of one token each, through one kernel; what a captured graph runs
    PagedSequences    any step: chunks that begin a sequence attend among themselves, packed; a few tokens after a
                      cached prefix read latents as they are stored (absorbed), as NewestTokens where its kernel runs;
                      many expand them first

The trap: chunks come in an order (`by_kind`), so that each kind is one slice of the tokens.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vl2.config import LanguageConfig
from vl2.engine.types import Chunk
from vl2.kernels.attention import attend_cached
from vl2.kernels.paged_attention import can_decode, decode_heads, decode_latent
from vl2.kernels.rotary import Place
from vl2.model.attention import LatentWeights
from vl2.model.cache import PackedSequences, split_heads

EXPAND_ABOVE = 128  # new tokens; from about here expanding latents takes fewer operations than absorbing


class PagedCache:
    """What is cached of every token, by layer and slot; a slot is a place in a block.

    Args:
        num_blocks, block_size: blocks, and tokens of each. One more block takes what rows of padding write.
    """

    def __init__(
        self, config: LanguageConfig, num_blocks: int, block_size: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.block_size = block_size
        shape = (config.num_hidden_layers, num_blocks + 1, block_size, config.kv_values_per_token)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.padding_slot = num_blocks * block_size
        self._widths = (config.kv_lora_rank or 0, config.qk_rope_head_dim) if config.use_mla else (config.head_dim,)

    @property
    def has_kernel(self) -> bool:
        """Whether NewestTokens runs as one kernel here, and not as a loop over sequences."""
        return can_decode(self.values, *self._widths)

    def place(self, layer: int, slots_T: Tensor) -> Place:
        return Place(self.values[layer].flatten(0, 1), slots_T)


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
        return weights.values(self.attend_absorbed(layer, weights.absorb(q_nope_THK), q_rope_THR, scale))

    def attend_absorbed(self, layer: int, q_THZ: Tensor, q_rope_THR: Tensor, scale: float) -> Tensor:
        """Queries against latents, (T, H, Z)."""
        return decode_latent(q_THZ, q_rope_THR, self._cache.values[layer], self._tables_SO, self._lengths_S, scale)


def by_kind(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Single tokens after cached ones, then a few, then many, then those that begin a sequence; otherwise in order."""

    def kind(chunk: Chunk) -> int:
        return 3 if chunk.start == 0 else (chunk.count > 1) + (chunk.count > EXPAND_ABOVE)

    return sorted(chunks, key=kind)


class PagedSequences:
    """The attention context of one step.

    Args:
        chunks: what the step computes, ordered by `by_kind`.
    """

    def __init__(self, cache: PagedCache, chunks: Sequence[Chunk]) -> None:
        assert list(chunks) == by_kind(chunks)
        self._cache = cache
        device, size = cache.values.device, cache.block_size
        spans = [torch.arange(chunk.start, chunk.start + chunk.count) for chunk in chunks]
        tables = [torch.tensor(chunk.sequence.blocks) for chunk in chunks]
        slots = [table[span // size] * size + span % size for table, span in zip(tables, spans, strict=True)]
        self.positions_T = torch.cat(spans).to(device, non_blocking=True)
        self._slots_T = torch.cat(slots).to(device, non_blocking=True)
        self._later = [chunk for chunk in chunks if chunk.start]
        self._num_later = sum(chunk.count for chunk in self._later)
        self._num_short = sum(chunk.count for chunk in self._later if chunk.count <= EXPAND_ABOVE)
        rows = [chunk for chunk in self._later if chunk.count <= EXPAND_ABOVE] if cache.has_kernel else []
        self._one_by_one = self._later[len(rows) :]
        self._tables = [
            _slice_or_index(chunk.sequence.blocks[: -(-(chunk.start + chunk.count) // size)], device)
            for chunk in self._one_by_one
        ]
        self._rows: NewestTokens | None = None
        self._num_rows = sum(chunk.count for chunk in rows)
        if rows:
            most = max(len(chunk.sequence.blocks) for chunk in rows)
            padded = [
                chunk.sequence.blocks + [0] * (most - len(chunk.sequence.blocks))
                for chunk in rows
                for _ in range(chunk.count)
            ]
            tables_SO = torch.tensor(padded, dtype=torch.int32).to(device, non_blocking=True)
            self._rows = NewestTokens(cache, self.positions_T[: self._num_rows], tables_SO)
        fresh = [chunk.count for chunk in chunks if not chunk.start]
        self._fresh = PackedSequences.of_lengths(fresh, device) if fresh else None

    def _cached(self, layer: int, short: bool) -> Iterator[tuple[slice, Tensor]]:
        """Rows of later chunks, short or long, and what is stored of their sequences, (L, J), up to these rows."""
        row = self._num_rows
        for chunk, table in zip(self._one_by_one, self._tables, strict=True):
            if (chunk.count <= EXPAND_ABOVE) == short:
                cached_LJ = self._cache.values[layer][table].flatten(0, 1)[: chunk.start + chunk.count]
                yield slice(row, row + chunk.count), cached_LJ
            row += chunk.count

    def place(self, layer: int) -> Place:
        return self._cache.place(layer, self._slots_T)

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        out: list[Tensor] = []
        if self._rows:
            out.append(self._rows.attend_heads(layer, q_THK[: self._num_rows], rows_TJ, scale))
        for short in (True, False):
            for rows, cached_LJ in self._cached(layer, short):
                out.append(attend_cached(q_THK[rows], *split_heads(cached_LJ, q_THK.shape[-1]), scale))
        if self._fresh:
            new = slice(self._num_later, None)
            out.append(self._fresh.attend_heads(layer, q_THK[new], rows_TJ[new], scale))
        return torch.cat(out) if len(out) > 1 else out[0]

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        out: list[Tensor] = []
        if short := self._num_short:
            q_THZ = weights.absorb(q_nope_THK[:short])
            out.append(weights.values(self._attend_absorbed(layer, q_THZ, q_rope_THR[:short], scale)))
        for rows, cached_LJ in self._cached(layer, short=False):
            q_THK = torch.cat([q_nope_THK[rows], q_rope_THR[rows]], -1)
            out.append(attend_cached(q_THK, *weights.expand(cached_LJ), scale))
        if self._fresh:
            new = slice(self._num_later, None)
            part = q_nope_THK[new], q_rope_THR[new], rows_TJ[new]
            out.append(self._fresh.attend_latent(layer, *part, weights, scale))
        return torch.cat(out) if len(out) > 1 else out[0]

    def _attend_absorbed(self, layer: int, q_THZ: Tensor, q_rope_THR: Tensor, scale: float) -> Tensor:
        """Short chunks against latents as they are stored, (T, H, Z)."""
        out: list[Tensor] = []
        if self._rows:
            out.append(self._rows.attend_absorbed(layer, q_THZ[: self._num_rows], q_rope_THR[: self._num_rows], scale))
        if self._num_rows < len(q_THZ):
            q_THJ = torch.cat([q_THZ, q_rope_THR], -1)
            for rows, cached_LJ in self._cached(layer, short=True):
                k_L1J = cached_LJ[:, None]
                out.append(attend_cached(q_THJ[rows], k_L1J, k_L1J[..., : q_THZ.shape[-1]], scale))
        return torch.cat(out) if len(out) > 1 else out[0]


def _slice_or_index(blocks: Sequence[int], device: torch.device) -> slice | Tensor:
    """Blocks in a row are read where they lie; others are gathered."""
    first = blocks[0]
    if list(blocks) == list(range(first, first + len(blocks))):
        return slice(first, first + len(blocks))
    return torch.tensor(blocks, device=device)
