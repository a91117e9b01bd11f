"""Keys and values (or latents) of all sequences in blocks, and who attends to whom in one step.

    block tables, chunks --> slots of the new tokens, positions
    layer by layer: store what is new --> attend: queries of each chunk x everything cached of its sequence

Cases, chosen by what is cheapest: chunks that begin a sequence attend among themselves, packed; single tokens may all
go through one kernel; a few tokens after a cached prefix read the latents as they are stored (absorbed); many
expand them first. The trap: chunks come in an order (`by_kind`), so that each kind is one slice of the tokens.
"""

from collections.abc import Sequence

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
    """Single tokens after cached ones, then more of them, then those that begin a sequence; otherwise in order."""
    return sorted(chunks, key=lambda chunk: 2 if chunk.start == 0 else int(chunk.count > 1))


class PagedSequences:
    """The attention context of one step.

    Args:
        chunks: what the step computes, ordered by `by_kind`.
        together: single tokens go through one kernel. Off until that kernel has been measured on a GPU.
    """

    def __init__(self, cache: PagedCache, chunks: Sequence[Chunk], together: bool = False) -> None:
        self._cache = cache
        device, size = cache.values.device, cache.block_size
        spans = [torch.arange(chunk.start, chunk.start + chunk.count) for chunk in chunks]
        tables = [torch.tensor(chunk.sequence.blocks) for chunk in chunks]
        slots = [table[span // size] * size + span % size for table, span in zip(tables, spans, strict=True)]
        self.positions_T = torch.cat(spans).to(device)
        self._slots_T = torch.cat(slots).to(device)
        assert list(chunks) == by_kind(chunks)
        singles = [chunk for chunk in chunks if together and chunk.start and chunk.count == 1]
        self._num_singles = len(singles)
        if singles:
            most = max(len(chunk.sequence.blocks) for chunk in singles)
            rows = [chunk.sequence.blocks + [0] * (most - len(chunk.sequence.blocks)) for chunk in singles]
            self._tables_SO = torch.tensor(rows, dtype=torch.int32).to(device)
            self._lengths_S = torch.tensor([chunk.start + 1 for chunk in singles], dtype=torch.int32).to(device)
        self._later = [chunk for chunk in chunks[len(singles) :] if chunk.start]
        fresh = [chunk.count for chunk in chunks if not chunk.start]
        self._fresh = PackedSequences.of_lengths(fresh, device) if fresh else None
        self._counts = [chunk.count for chunk in self._later]
        self._tables = [
            _slice_or_index(chunk.sequence.blocks[: -(-(chunk.start + chunk.count) // size)], device)
            for chunk in self._later
        ]

    def _store(self, layer: int, new_TJ: Tensor) -> None:
        self._cache.values[layer].flatten(0, 1).index_copy_(0, self._slots_T, new_TJ.to(self._cache.values.dtype))

    def _cached(self, layer: int, number: int) -> Tensor:
        """Everything stored of the sequence of a later chunk, (L, J), the chunk itself included."""
        chunk = self._later[number]
        return self._cache.values[layer][self._tables[number]].flatten(0, 1)[: chunk.start + chunk.count]

    def attend_heads(self, layer: int, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, scale: float) -> Tensor:
        self._store(layer, torch.cat([k_TGK.flatten(1), v_TGK.flatten(1)], -1))
        out, singles = [], self._num_singles
        split = singles + sum(self._counts)
        if singles:
            out.append(
                decode_heads(q_THK[:singles], self._cache.values[layer], self._tables_SO, self._lengths_S, scale)
            )
        for number, q in enumerate(q_THK[singles:split].split(self._counts)):
            k_LGK, v_LGK = self._cached(layer, number).unflatten(-1, (2, -1, q.shape[-1])).unbind(1)
            out.append(attend_cached(q, k_LGK, v_LGK, scale))
        if self._fresh:
            out.append(self._fresh.attend_heads(layer, q_THK[split:], k_TGK[split:], v_TGK[split:], scale))
        return torch.cat(out)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, latent_TZ: Tensor, k_rope_TR: Tensor,
        weights: LatentWeights, scale: float,
    ) -> Tensor:  # fmt: skip
        self._store(layer, torch.cat([latent_TZ, k_rope_TR], -1))
        singles, width = self._num_singles, latent_TZ.shape[-1]
        split = singles + sum(self._counts)
        out: list[Tensor] = []
        if singles:
            q_SHZ = weights.absorb(q_nope_THK[:singles])
            o_SHZ = decode_latent(
                q_SHZ, q_rope_THR[:singles], self._cache.values[layer], self._tables_SO, self._lengths_S, scale
            )
            out.append(weights.values(o_SHZ))
        later = slice(singles, split)
        for number, (q_nope, q_rope) in enumerate(
            zip(q_nope_THK[later].split(self._counts), q_rope_THR[later].split(self._counts), strict=True)
        ):
            cached_LJ = self._cached(layer, number)
            if len(q_nope) > EXPAND_ABOVE:
                k_LHK, v_LHU = weights.expand(cached_LJ[:, :width], cached_LJ[:, width:])
                out.append(attend_cached(torch.cat([q_nope, q_rope], -1), k_LHK, v_LHU, scale))
            else:
                q_THZ = weights.absorb(q_nope)
                k_L1J = cached_LJ[:, None]
                o_THZ = attend_cached(torch.cat([q_THZ, q_rope], -1), k_L1J, k_L1J[..., :width], scale)
                out.append(weights.values(o_THZ))
        if self._fresh:
            new = slice(split, None)
            out.append(
                self._fresh.attend_latent(
                    layer, q_nope_THK[new], q_rope_THR[new], latent_TZ[new], k_rope_TR[new], weights, scale
                )
            )
        return torch.cat(out)


def _slice_or_index(blocks: Sequence[int], device: torch.device) -> slice | Tensor:
    """Blocks in a row are read where they lie; others are gathered."""
    first = blocks[0]
    if list(blocks) == list(range(first, first + len(blocks))):
        return slice(first, first + len(blocks))
    return torch.tensor(blocks, device=device)
