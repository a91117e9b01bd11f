"""Keys and values (or latents) of all sequences in blocks, and who attends to whom in one step.

    block tables, chunks --> slots of the new tokens, positions
    layer by layer: store what is new --> attend: queries of each chunk x everything cached of its sequence

Cases, chosen by what is cheapest: chunks that begin a sequence attend among themselves, packed; single tokens may all
go through one kernel; a few tokens after a cached prefix read the latents as they are stored (absorbed); many
expand them first. The trap: chunks come in an order (`by_kind`), so that each kind is one slice of the tokens.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vl2.config import LanguageConfig
from vl2.engine.types import Chunk
from vl2.kernels.attention import attend_cached
from vl2.kernels.paged_attention import decode_heads, decode_latent
from vl2.model.attention import LatentWeights
from vl2.model.cache import PackedSequences

EXPAND_ABOVE = 128  # new tokens; from about here expanding latents takes fewer operations than absorbing


class PagedCache:
    """What is cached of every token, by layer and slot; a slot is a place in a block.

    Args:
        num_blocks, block_size: blocks, and tokens of each.
    """

    def __init__(
        self, config: LanguageConfig, num_blocks: int, block_size: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.block_size = block_size
        shape = (config.num_hidden_layers, num_blocks, block_size, config.kv_values_per_token)
        self.values = torch.empty(shape, device=device, dtype=dtype)


def by_kind(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Single tokens after cached ones, then a few, then many, then those that begin a sequence; otherwise in order."""

    def kind(chunk: Chunk) -> int:
        return 3 if chunk.start == 0 else (chunk.count > 1) + (chunk.count > EXPAND_ABOVE)

    return sorted(chunks, key=kind)


class PagedSequences:
    """The attention context of one step.

    Args:
        chunks: what the step computes, ordered by `by_kind`.
        together: single tokens go through one kernel. Off until that kernel has been measured on a GPU.
    """

    def __init__(self, cache: PagedCache, chunks: Sequence[Chunk], together: bool = False) -> None:
        assert list(chunks) == by_kind(chunks)
        self._cache = cache
        device, size = cache.values.device, cache.block_size
        spans = [torch.arange(chunk.start, chunk.start + chunk.count) for chunk in chunks]
        tables = [torch.tensor(chunk.sequence.blocks) for chunk in chunks]
        slots = [table[span // size] * size + span % size for table, span in zip(tables, spans, strict=True)]
        self.positions_T = torch.cat(spans).to(device)
        self._slots_T = torch.cat(slots).to(device)
        self._later = [chunk for chunk in chunks if chunk.start]
        self._num_later = sum(chunk.count for chunk in self._later)
        self._num_short = sum(chunk.count for chunk in self._later if chunk.count <= EXPAND_ABOVE)
        self._tables = [
            _slice_or_index(chunk.sequence.blocks[: -(-(chunk.start + chunk.count) // size)], device)
            for chunk in self._later
        ]
        singles = [chunk for chunk in self._later if chunk.count == 1] if together else []
        self._num_singles = len(singles)
        if singles:
            most = max(len(chunk.sequence.blocks) for chunk in singles)
            rows = [chunk.sequence.blocks + [0] * (most - len(chunk.sequence.blocks)) for chunk in singles]
            self._tables_SO = torch.tensor(rows, dtype=torch.int32).to(device)
            self._lengths_S = torch.tensor([chunk.start + 1 for chunk in singles], dtype=torch.int32).to(device)
        fresh = [chunk.count for chunk in chunks if not chunk.start]
        self._fresh = PackedSequences.of_lengths(fresh, device) if fresh else None

    def _store(self, layer: int, new_TJ: Tensor) -> None:
        self._cache.values[layer].flatten(0, 1).index_copy_(0, self._slots_T, new_TJ.to(self._cache.values.dtype))

    def _cached(self, layer: int, first: int, num_tokens: int) -> Iterator[tuple[slice, Tensor]]:
        """Rows of later chunks from row `first` on, and what is stored of their sequences, (L, J), up to these rows."""
        row = 0
        for chunk, table in zip(self._later, self._tables, strict=True):
            if first <= row < first + num_tokens:
                cached_LJ = self._cache.values[layer][table].flatten(0, 1)[: chunk.start + chunk.count]
                yield slice(row, row + chunk.count), cached_LJ
            row += chunk.count

    def attend_heads(self, layer: int, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, scale: float) -> Tensor:
        self._store(layer, torch.cat([k_TGK.flatten(1), v_TGK.flatten(1)], -1))
        out, singles = [], self._num_singles
        if singles:
            values = self._cache.values[layer]
            out.append(decode_heads(q_THK[:singles], values, self._tables_SO, self._lengths_S, scale))
        for rows, cached_LJ in self._cached(layer, singles, self._num_later - singles):
            k_LGK, v_LGK = cached_LJ.unflatten(-1, (2, -1, q_THK.shape[-1])).unbind(1)
            out.append(attend_cached(q_THK[rows], k_LGK, v_LGK, scale))
        if self._fresh:
            new = slice(self._num_later, None)
            out.append(self._fresh.attend_heads(layer, q_THK[new], k_TGK[new], v_TGK[new], scale))
        return torch.cat(out)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, latent_TZ: Tensor, k_rope_TR: Tensor,
        weights: LatentWeights, scale: float,
    ) -> Tensor:  # fmt: skip
        self._store(layer, torch.cat([latent_TZ, k_rope_TR], -1))
        out: list[Tensor] = []
        if self._num_short:
            q_THZ, q_rope = weights.absorb(q_nope_THK[: self._num_short]), q_rope_THR[: self._num_short]
            out.append(weights.values(self._attend_absorbed(layer, q_THZ, q_rope, scale)))
        for rows, cached_LJ in self._cached(layer, self._num_short, self._num_later - self._num_short):
            k_LHK, v_LHU = weights.expand(*cached_LJ.split([latent_TZ.shape[-1], k_rope_TR.shape[-1]], -1))
            q_THK = torch.cat([q_nope_THK[rows], q_rope_THR[rows]], -1)
            out.append(attend_cached(q_THK, k_LHK, v_LHU, scale))
        if self._fresh:
            new = slice(self._num_later, None)
            out.append(
                self._fresh.attend_latent(
                    layer, q_nope_THK[new], q_rope_THR[new], latent_TZ[new], k_rope_TR[new], weights, scale
                )
            )
        return torch.cat(out)

    def _attend_absorbed(self, layer: int, q_THZ: Tensor, q_rope_THR: Tensor, scale: float) -> Tensor:
        """Short chunks against latents as they are stored, (T, H, Z)."""
        out, singles, values = [], self._num_singles, self._cache.values[layer]
        if singles:
            out.append(
                decode_latent(q_THZ[:singles], q_rope_THR[:singles], values, self._tables_SO, self._lengths_S, scale)
            )
        q_THJ = torch.cat([q_THZ, q_rope_THR], -1)
        for rows, cached_LJ in self._cached(layer, singles, len(q_THZ) - singles):
            k_L1J = cached_LJ[:, None]
            out.append(attend_cached(q_THJ[rows], k_L1J, k_L1J[..., : q_THZ.shape[-1]], scale))
        return torch.cat(out)


def _slice_or_index(blocks: Sequence[int], device: torch.device) -> slice | Tensor:
    """Blocks in a row are read where they lie; others are gathered."""
    first = blocks[0]
    if list(blocks) == list(range(first, first + len(blocks))):
        return slice(first, first + len(blocks))
    return torch.tensor(blocks, device=device)
