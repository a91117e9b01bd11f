"""Causal attention: over packed sequences, and of one sequence's newest tokens over all of its own.

    q_THK, k_TGK, v_TGU, cu_seqlens_S1 --attend_packed--> o_THU
    q_THK (the newest T of L tokens), k_LGK, v_LGU --attend_cached--> o_THU

Without gradients, many queries go through kernels/flash.py. The trap: latent attention has query/key heads wider than
value heads, which torch's flash kernels refuse; for them values are padded to the key width and the padding is cut
from the output.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.flash import attend_varlen, join_pieces
from vl2.kernels.launch import can_run


def attend_packed_reference(
    q_THK: Tensor, k_THK: Tensor, v_THU: Tensor, cu_seqlens_S1: Tensor, max_len: int, scale: float
) -> Tensor:
    """Scatter to right-padded rows, attend causally (so padding is never seen), gather back.

    Args:
        q_THK, k_THK: (T, H, K) queries and keys of all sequences end to end.
        v_THU: (T, H, U) values.
        cu_seqlens_S1: (S + 1,) int32 offsets of the sequences.
        max_len: the longest sequence.
        scale: factor on the scores.

    Returns: (T, H, U) in the dtype of v.
    """
    num_tokens, num_seqs = q_THK.shape[0], cu_seqlens_S1.numel() - 1
    token_T = torch.arange(num_tokens, device=q_THK.device)
    seq_T = torch.searchsorted(cu_seqlens_S1[1:].contiguous(), token_T, right=True)
    row_T = seq_T * max_len + token_T - cu_seqlens_S1[seq_T]

    def rows(x_THK: Tensor) -> Tensor:
        padded = x_THK.new_zeros(num_seqs * max_len, *x_THK.shape[1:]).index_copy(0, row_T, x_THK)
        return padded.unflatten(0, (num_seqs, max_len)).transpose(1, 2)

    o_SHLU = F.scaled_dot_product_attention(rows(q_THK), rows(k_THK), rows(v_THU), is_causal=True, scale=scale)
    return o_SHLU.transpose(1, 2).flatten(0, 1)[row_T]


def attend_packed(
    q_THK: Tensor, k_TGK: Tensor, v_TGU: Tensor, cu_seqlens_S1: Tensor, max_len: int, scale: float,
    q_rope_THR: Tensor | None = None, k_rope_TR: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """As attend_packed_reference, by kernels without padded rows where they run.

    Args:
        k_TGK, v_TGU: of G heads, which divide H.
        q_rope_THR, k_rope_TR: a second piece of queries, and of the keys of all heads.
    """
    if can_run(q_THK):
        starts = cu_seqlens_S1, cu_seqlens_S1
        return attend_varlen(q_THK, k_TGK, v_TGU, *starts, max_len, scale, True, q_rope_THR, k_rope_TR)
    q_THK, k_TGK = join_pieces(q_THK, k_TGK, q_rope_THR, k_rope_TR)
    group, width = q_THK.shape[1] // k_TGK.shape[1], v_TGU.shape[-1]
    k_THK, v_THU = (x.repeat_interleave(group, 1) if group > 1 else x for x in (k_TGK, v_TGU))
    v_THK = F.pad(v_THU, (0, max(q_THK.shape[-1] - width, 0)))
    attend = _torch_varlen if _flash_takes(q_THK) else attend_packed_reference
    return attend(q_THK, k_THK, v_THK, cu_seqlens_S1, max_len, scale)[..., :width]


def _flash_takes(q: Tensor) -> bool:
    return q.is_cuda and q.dtype in (torch.bfloat16, torch.float16) and q.shape[-1] <= 256


def _torch_varlen(
    q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, cu_seqlens_S1: Tensor, max_len: int, scale: float
) -> Tensor:
    """torch's flash kernel over packed sequences, which has gradients."""
    from torch.nn.attention.varlen import varlen_attn  # CUDA only

    q, k, v = (x.contiguous() for x in (q_THK, k_THK, v_THK))
    sizes = cu_seqlens_S1, cu_seqlens_S1, max_len, max_len
    o_THK = varlen_attn(q, k, v, *sizes, scale=scale, window_size=(-1, 0))
    assert isinstance(o_THK, Tensor)
    return o_THK


def attend_cached(q_THK: Tensor, k_LGK: Tensor, v_LGU: Tensor, scale: float) -> Tensor:
    """The newest T tokens of one sequence attend to all L of its tokens up to themselves.

    Args:
        q_THK: (T, H, K) queries of tokens L - T to L - 1.
        k_LGK, v_LGU: (L, G, K) and (L, G, U) keys and values; G divides H.
        scale: factor on the scores.

    Returns: (T, H, U).
    """
    num_new, num_all = q_THK.shape[0], k_LGK.shape[0]
    if num_new == 1:  # heads of a group become rows, so keys are read once and never copied
        k, v = k_LGK.transpose(0, 1), v_LGU.transpose(0, 1)
        scores = torch.bmm(q_THK[0].unflatten(0, (len(k), -1)), k.mT) * scale
        return torch.bmm(scores.softmax(-1, torch.float32).to(v.dtype), v).flatten(0, 1)[None]
    starts_q, starts_k = torch.tensor([[0, num_new], [0, num_all]], dtype=torch.int32, device=q_THK.device)
    return attend_varlen(q_THK, k_LGK, v_LGU, starts_q, starts_k, num_new, scale, True)
