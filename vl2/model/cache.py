"""Attention contexts: one full pass over packed sequences, and decoding with a contiguous cache.

    PackedSequences    training, evaluation of likelihoods, tests: nothing cached
    CachedSequences    generation: latent + rotated key (MLA) or keys and values (MHA) of every past token

The trap: in a cached step the new tokens of one sequence must be contiguous and in order.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vl2.config import LanguageConfig
from vl2.kernels.attention import attend_cached, attend_packed
from vl2.kernels.branches import Branches, attend_branches
from vl2.kernels.flash import join_pieces
from vl2.kernels.rotary import Place
from vl2.model.attention import LatentWeights


class PackedSequences:
    """Every token sees itself and the earlier tokens of its own sequence.

    Args:
        cu_seqlens_S1: (S + 1,) int32 offsets, on the model's device.
        max_len: longest sequence, on the host so that no step waits for the device.
    """

    def __init__(self, cu_seqlens_S1: Tensor, max_len: int) -> None:
        self.cu_seqlens_S1, self.max_len = cu_seqlens_S1, max_len

    @classmethod
    def of_lengths(cls, lengths: Sequence[int], device: torch.device | str) -> "PackedSequences":
        offsets = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
        return cls(offsets.to(device, non_blocking=True), max(lengths))

    def place(self, layer: int) -> Place | None:
        return None

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        k_TGK, v_TGK = split_heads(rows_TJ, q_THK.shape[-1])
        return attend_packed(q_THK, k_TGK, v_TGK, self.cu_seqlens_S1, self.max_len, scale)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        """Expands keys and values: cheaper than absorbing when there are as many queries as keys."""
        k_THK, v_THU, k_rope_TR = weights.expand(rows_TJ)
        sizes = self.cu_seqlens_S1, self.max_len, scale
        return attend_packed(q_nope_THK, k_THK, v_THU, *sizes, q_rope_THR, k_rope_TR)


class BranchedSequences(PackedSequences):
    """Sequences of which some branch: in a branch, a token sees what all branches share, and its own branch."""

    def __init__(self, branches: Branches) -> None:
        super().__init__(branches.sequences_S1, branches.longest)
        self.branches = branches

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        group = q_THK[0].numel() * 2 // rows_TJ.shape[1]  # queries of one key
        k_THK, v_THK = (x.repeat_interleave(group, 1) for x in split_heads(rows_TJ, q_THK.shape[-1]))
        return attend_branches(q_THK, k_THK, v_THK, self.branches, scale)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        k_THK, v_THU, k_rope_TR = weights.expand(rows_TJ)
        q_THK, k_THK = join_pieces(q_nope_THK, k_THK, q_rope_THR, k_rope_TR)
        return attend_branches(q_THK, k_THK, v_THU, self.branches, scale)


def split_heads(rows_LJ: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Keys and values (L, G, K) of what multi-head attention caches."""
    k_LGK, v_LGK = rows_LJ.unflatten(-1, (2, -1, width)).unbind(-3)
    return k_LGK, v_LGK


class CachedSequences:
    """A contiguous cache of `len(capacities)` sequences that grow by `begin_step`.

    Args:
        config: gives the number of layers and what is cached per token.
        num_seqs, capacity: sequences, and the longest any may become.
    """

    def __init__(
        self, config: LanguageConfig, num_seqs: int, capacity: int, device: torch.device | str, dtype: torch.dtype
    ) -> None:
        self.lengths = [0] * num_seqs
        self.capacity = capacity
        width = config.kv_values_per_token
        self._values = torch.zeros(config.num_hidden_layers, num_seqs, capacity, width, device=device, dtype=dtype)

    def begin_step(self, counts: Sequence[int]) -> Tensor:
        """Announce how many new tokens each sequence brings; returns their positions (T,)."""
        for seq, (length, count) in enumerate(zip(self.lengths, counts, strict=True)):
            if length + count > self.capacity:
                raise ValueError(
                    f"sequence {seq}: {length} cached + {count} new tokens exceed the capacity {self.capacity}"
                )
        device = self._values.device
        self._before, self._counts = list(self.lengths), list(counts)
        self.lengths = [length + count for length, count in zip(self.lengths, counts, strict=True)]
        spans = [torch.arange(end - count, end) for end, count in zip(self.lengths, counts, strict=True)]
        self._pos_T = torch.cat(spans).to(device)
        seq_T = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(device)
        self._slots_T = seq_T * self.capacity + self._pos_T
        # sequences that bring nothing now do not matter: a prompt is prefilled the same alone and beside others
        fresh = not any(before for before, count in zip(self._before, counts, strict=True) if count)
        self._from_empty = PackedSequences.of_lengths([c for c in counts if c], device) if fresh else None
        self._end = max(self.lengths)
        return self._pos_T

    def place(self, layer: int) -> Place:
        return Place(self._values[layer].flatten(0, 1), self._slots_T)

    def _attend(self, q_THK: Tensor, k_SLGK: Tensor, v_SLGU: Tensor, scale: float) -> Tensor:
        """New tokens against cached ones, one sequence at a time: bitwise the same alone and in a batch."""
        new = q_THK.split(self._counts)
        return torch.cat(
            [
                attend_cached(q, k_SLGK[seq, :end], v_SLGU[seq, :end], scale)
                for seq, (q, end) in enumerate(zip(new, self.lengths, strict=True))
                if len(q)
            ]
        )

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        if self._from_empty:
            return self._from_empty.attend_heads(layer, q_THK, rows_TJ, scale)
        return self._attend(q_THK, *split_heads(self._values[layer][:, : self._end], q_THK.shape[-1]), scale)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        """Absorbs kv_b_proj into queries and outputs, so that the cache is read as it is stored."""
        if self._from_empty:
            return self._from_empty.attend_latent(layer, q_nope_THK, q_rope_THR, rows_TJ, weights, scale)
        q_THZ = weights.absorb(q_nope_THK)
        k_SL1J = self._values[layer][:, : self._end, None]
        v_SL1Z = k_SL1J[..., : weights.latent]
        o_THZ = self._attend(torch.cat([q_THZ, q_rope_THR], -1), k_SL1J, v_SL1Z, scale)
        return weights.values(o_THZ)
