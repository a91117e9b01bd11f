"""Decoding attention over a paged cache: one new token of each sequence against all of its own.

    q of S sequences, blocks of the cache, tables_SO, lengths_S
        --each split of a sequence by itself--> partial outputs and log-sum-exps --merged--> o

Splitting the cached tokens keeps all processors busy when there are few sequences. The trap: the number of splits is
fixed before anybody knows the lengths, so that a captured graph fits every step; splits past a sequence's end say so
with a log-sum-exp of minus infinity, and cost a launch but no reading.
"""

import torch
from torch import Tensor

from vl2.kernels.latent import values, values_reference
from vl2.kernels.launch import can_run

PROCESSORS = 132  # of an H100 or H200; only decides how finely work is cut
MOST_SPLITS = 32


def can_decode(cache: Tensor, *widths: int) -> bool:
    """Whether the Triton kernels run on a cache (..., B, J) and heads, or latents and rotated keys, of these widths."""
    return can_run(cache) and _sizes_fit(cache.shape[-2], *widths)


def _sizes_fit(*sizes: int) -> bool:
    """Triton's matrix products and ranges take powers of two from 16."""
    return all(size >= 16 and size & (size - 1) == 0 for size in sizes)


def decode_latent_reference(
    q_SHZ: Tensor, q_rope_SHR: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float
) -> Tensor:
    """Absorbed latent attention.

    Args:
        q_SHZ, q_rope_SHR: (S, H, Z) queries against latents and (S, H, R) against rotated keys.
        cache_OBJ: (O, B, Z + R) blocks of one layer: latents, then rotated keys.
        tables_SO: (S, O) int32 blocks of each sequence, in order; entries past its end may be anything.
        lengths_S: (S,) int32 cached tokens of each sequence, the new one included; 0 for a row of padding.
        scale: factor on the scores.

    Returns: (S, H, Z) weighted sums of latents; 0 for padding.
    """
    out = torch.zeros_like(q_SHZ)
    for seq, length in enumerate(lengths_S.tolist()):
        if length:
            blocks = tables_SO[seq, : -(-length // cache_OBJ.shape[1])].long()
            cached_LJ = cache_OBJ[blocks].flatten(0, 1)[:length].float()
            scores_HL = torch.cat([q_SHZ[seq], q_rope_SHR[seq]], -1).float() @ cached_LJ.T * scale
            out[seq] = (scores_HL.softmax(-1) @ cached_LJ[:, : q_SHZ.shape[-1]]).to(out.dtype)
    return out


def decode_heads_reference(
    q_SHK: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float
) -> Tensor:
    """Multi-head attention, arguments as decode_latent_reference.

    Args:
        q_SHK: (S, H, K) queries.
        cache_OBJ: (O, B, 2 * G * K): keys of all G heads, then values; G divides H.

    Returns: (S, H, K).
    """
    heads, width = q_SHK.shape[1:]
    out = torch.zeros_like(q_SHK)
    for seq, length in enumerate(lengths_S.tolist()):
        if length:
            blocks = tables_SO[seq, : -(-length // cache_OBJ.shape[1])].long()
            k_LGK, v_LGK = cache_OBJ[blocks].flatten(0, 1)[:length].float().unflatten(-1, (2, -1, width)).unbind(1)
            group = heads // k_LGK.shape[1]
            k_LHK, v_LHK = k_LGK.repeat_interleave(group, 1), v_LGK.repeat_interleave(group, 1)
            p_HL = (torch.einsum("hk,lhk->hl", q_SHK[seq].float(), k_LHK) * scale).softmax(-1)
            out[seq] = torch.einsum("hl,lhk->hk", p_HL, v_LHK).to(out.dtype)
    return out


def head_group(heads: int) -> int:
    """Heads that share one reading of the latents."""
    return 16 if heads <= 16 else 32


def splits_for(programs: int, num_blocks: int, at_once: int) -> int:
    """Parts that each sequence is cut into, so that there are about as many programs as a GPU runs at once.

    Args:
        programs: without splits.
        num_blocks: of the longest sequence that may come.
        at_once: programs that one of its processors runs.
    """
    most = max(1, min(num_blocks, MOST_SPLITS, at_once * PROCESSORS // programs))
    return 1 << (most.bit_length() - 1)


def decode_latent(
    q_SHZ: Tensor, q_rope_SHR: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float,
    num_splits: int | None = None,
) -> Tensor:  # fmt: skip
    """As decode_latent_reference; in Triton every latent is read once for all heads of a group."""
    if not can_decode(cache_OBJ, q_SHZ.shape[-1], q_rope_SHR.shape[-1]):
        return decode_latent_reference(q_SHZ, q_rope_SHR, cache_OBJ, tables_SO, lengths_S, scale)
    from vl2.kernels.paged_attention_triton import launch_latent

    if num_splits is None:
        num_splits = _latent_splits(q_SHZ, tables_SO)
    return launch_latent(q_SHZ, q_rope_SHR, cache_OBJ, tables_SO, lengths_S, scale, num_splits)


def decode_values_reference(
    q_SHZ: Tensor, q_rope_SHR: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float,
    w_v_HUZ: Tensor,
) -> Tensor:  # fmt: skip
    """decode_latent_reference, and of that every head's product with its weights: (S, H, U)."""
    o_SHZ = decode_latent_reference(q_SHZ, q_rope_SHR, cache_OBJ, tables_SO, lengths_S, scale)
    return values_reference(o_SHZ, w_v_HUZ)


def decode_values(
    q_SHZ: Tensor, q_rope_SHR: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float,
    w_v_HUZ: Tensor,
) -> Tensor:  # fmt: skip
    """As decode_values_reference; in Triton one launch less if it is one sequence."""
    arguments = q_SHZ, q_rope_SHR, cache_OBJ, tables_SO, lengths_S, scale
    one = len(q_SHZ) == 1 and w_v_HUZ.dtype == q_SHZ.dtype
    if not (one and can_decode(cache_OBJ, q_SHZ.shape[-1], q_rope_SHR.shape[-1])):
        return values(decode_latent(*arguments), w_v_HUZ)
    from vl2.kernels.paged_attention_triton import launch_latent

    return launch_latent(*arguments, _latent_splits(q_SHZ, tables_SO), w_v_HUZ)


def _latent_splits(q_SHZ: Tensor, tables_SO: Tensor) -> int:
    programs = len(q_SHZ) * -(-q_SHZ.shape[1] // head_group(q_SHZ.shape[1]))
    return splits_for(programs, tables_SO.shape[1], at_once=1)


def decode_heads(
    q_SHK: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float, num_splits: int | None = None
) -> Tensor:
    """As decode_heads_reference, in Triton where that runs."""
    if not can_decode(cache_OBJ, q_SHK.shape[-1]):
        return decode_heads_reference(q_SHK, cache_OBJ, tables_SO, lengths_S, scale)
    from vl2.kernels.paged_attention_triton import launch_heads

    if num_splits is None:
        num_splits = splits_for(q_SHK.shape[0] * q_SHK.shape[1], tables_SO.shape[1], at_once=20)
    return launch_heads(q_SHK, cache_OBJ, tables_SO, lengths_S, scale, num_splits)
