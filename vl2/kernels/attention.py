"""Causal attention: over packed sequences, and of one sequence's newest tokens over all of its own.

    q_THK, k_THK, v_THU, cu_seqlens_S1 --attend_packed--> o_THU
    q_THK (the newest T of L tokens), k_LGK, v_LGU --attend_cached--> o_THU

The trap: latent attention has query/key heads wider than value heads, which flash kernels refuse; values are
padded to the key width and the padding is cut from the output.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


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
    q_THK: Tensor, k_THK: Tensor, v_THU: Tensor, cu_seqlens_S1: Tensor, max_len: int, scale: float
) -> Tensor:
    """As attend_packed_reference; CUDA half precision runs a variable-length flash kernel without padded rows."""
    v_width = v_THU.shape[-1]
    v_THK = F.pad(v_THU, (0, max(q_THK.shape[-1] - v_width, 0)))
    if not (q_THK.is_cuda and q_THK.dtype in (torch.bfloat16, torch.float16) and q_THK.shape[-1] <= 256):
        return attend_packed_reference(q_THK, k_THK, v_THK, cu_seqlens_S1, max_len, scale)[..., :v_width]
    from torch.nn.attention.varlen import varlen_attn  # CUDA only

    o_THK = varlen_attn(
        q_THK.contiguous(), k_THK.contiguous(), v_THK.contiguous(), cu_seqlens_S1, cu_seqlens_S1, max_len, max_len,
        scale=scale, window_size=(-1, 0),
    )  # fmt: skip
    assert isinstance(o_THK, Tensor)
    return o_THK[..., :v_width]


def attend_cached(q_THK: Tensor, k_LGK: Tensor, v_LGU: Tensor, scale: float) -> Tensor:
    """The newest T tokens of one sequence attend to all L of its tokens up to themselves.

    Args:
        q_THK: (T, H, K) queries of tokens L - T to L - 1.
        k_LGK, v_LGU: (L, G, K) and (L, G, U) keys and values; G divides H.
        scale: factor on the scores.

    Returns: (T, H, U).
    """
    q, k, v = q_THK.transpose(0, 1), k_LGK.transpose(0, 1), v_LGU.transpose(0, 1)
    num_new, num_all, group = q_THK.shape[0], k_LGK.shape[0], q.shape[0] // k.shape[0]
    if num_new == 1:  # heads of a group become rows, so keys are read once and never copied
        scores = torch.bmm(q_THK[0].unflatten(0, (-1, group)), k.mT) * scale
        return torch.bmm(scores.softmax(-1, torch.float32).to(v.dtype), v).flatten(0, 1)[None]
    seen_TL = torch.ones(num_new, num_all, dtype=torch.bool, device=q.device).tril(num_all - num_new)
    k, v = k.repeat_interleave(group, 0), F.pad(v, (0, max(k.shape[-1] - v.shape[-1], 0))).repeat_interleave(group, 0)
    o = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=seen_TL, scale=scale)[0]
    return o.transpose(0, 1)[..., : v_LGU.shape[-1]]
