"""Attention of packed sequences without gradients: fresh prompts, chunks after a cached prefix, tiles of pictures.

    q of the newest tokens, k and v of all tokens, each end to end; offsets of the sequences --attend_varlen--> o

    causal:  the last query of a sequence sees its last key, the one before sees one key less, and so on, so a
             sequence with fewer queries than keys is a chunk after a cached prefix

Queries and keys may come in two pieces, what is rotated apart, so that latent attention, whose rotated key all heads
share, joins nothing in memory. The trap: a block of keys may reach into the next sequence, whose values may be
anything, NaN too; what the mask hides is therefore not read.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.launch import can_run

WIDEST = 256  # numbers of a head; of wider ones too few rows fit at once


def join_pieces(
    q_THK: Tensor, k_LGK: Tensor, q_rope_THR: Tensor | None, k_rope_LR: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Queries (T, H, K + R) and keys (L, G, K + R) in one piece."""
    if q_rope_THR is None or k_rope_LR is None:
        return q_THK, k_LGK
    k_rope_LGR = k_rope_LR[:, None].expand(-1, k_LGK.shape[1], -1)
    return torch.cat([q_THK, q_rope_THR], -1), torch.cat([k_LGK, k_rope_LGR], -1)


def attend_varlen_reference(
    q_THK: Tensor, k_LGK: Tensor, v_LGU: Tensor, starts_q_S1: Tensor, starts_k_S1: Tensor, most_q: int, scale: float,
    causal: bool, q_rope_THR: Tensor | None = None, k_rope_LR: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """One sequence after the other.

    Args:
        q_THK: (T, H, K) queries of all sequences end to end.
        k_LGK, v_LGU: (L, G, K) and (L, G, U) keys and values; G divides H.
        starts_q_S1, starts_k_S1: (S + 1,) int32 offsets of the sequences; none has more queries than keys.
        most_q: the most queries of a sequence.
        scale: positive factor on the scores.
        causal: or every query sees all keys of its sequence.
        q_rope_THR, k_rope_LR: (T, H, R) and (L, R), a second piece of queries and of the keys of all heads.

    Returns: (T, H, U).
    """
    q_THK, k_LGK = join_pieces(q_THK, k_LGK, q_rope_THR, k_rope_LR)
    value = v_LGU.shape[-1]
    v_LGU = F.pad(v_LGU, (0, max(q_THK.shape[-1] - value, 0)))  # torch's blocked kernels take equal widths
    spans = zip(pairwise(starts_q_S1.tolist()), pairwise(starts_k_S1.tolist()), strict=True)
    out = [attend_one(q_THK[a:b], k_LGK[c:d], v_LGU[c:d], scale, causal) for (a, b), (c, d) in spans]
    return torch.cat(out)[..., :value]


def attend_one(q_THK: Tensor, k_LGK: Tensor, v_LGU: Tensor, scale: float, causal: bool) -> Tensor:
    """As attend_varlen_reference of one sequence."""
    (queries, heads, _), (keys, groups, _) = q_THK.shape, k_LGK.shape
    seen = None
    if causal and queries > 1:
        seen = torch.ones(queries, keys, dtype=torch.bool, device=k_LGK.device)
        seen = seen.tril(keys - queries).repeat(heads // groups, 1)
    # heads of a group become rows, so that keys and values are not copied
    q = q_THK.unflatten(1, (groups, -1)).permute(1, 2, 0, 3).flatten(1, 2)[None]
    k, v = (x.transpose(0, 1)[None] for x in (k_LGK, v_LGU))
    o = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale)[0]
    return o.unflatten(1, (heads // groups, -1)).permute(2, 0, 1, 3).flatten(1, 2)


def attend_varlen(
    q_THK: Tensor, k_LGK: Tensor, v_LGU: Tensor, starts_q_S1: Tensor, starts_k_S1: Tensor, most_q: int, scale: float,
    causal: bool, q_rope_THR: Tensor | None = None, k_rope_LR: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """As attend_varlen_reference, in one kernel where Triton runs; it reads views as they lie."""
    args = q_THK, k_LGK, v_LGU, starts_q_S1, starts_k_S1, most_q, scale, causal, q_rope_THR, k_rope_LR
    key = q_THK.shape[-1] + (0 if q_rope_THR is None else q_rope_THR.shape[-1])
    if not (can_run(q_THK) and max(key, v_LGU.shape[-1]) <= WIDEST):
        return attend_varlen_reference(*args)
    from vl2.kernels.flash_triton import launch

    return launch(*args)
