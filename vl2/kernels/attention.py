"""Causal attention: over packed sequences, and of one sequence's newest tokens over all of its own.

    q_THK, k_THK, v_THU, cu_seqlens_S1 --attend_packed--> o_THU
    q_THK (the newest T of L tokens), k_LGK, v_LGU --attend_cached--> o_THU

The trap: latent attention has query/key heads wider than value heads, which flash kernels refuse; values are
padded to the key width and the padding is cut from the output.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

_CUDNN_ROWS = 256  # from this many tokens a sequence, cuDNN's kernel is faster than the flash kernel it is built beside


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
    q_THK: Tensor, k_THK: Tensor, v_THU: Tensor, cu_seqlens_S1: Tensor, max_len: int, scale: float,
    lengths: Sequence[int] = (),
) -> Tensor:  # fmt: skip
    """As attend_packed_reference; CUDA half precision runs a variable-length flash kernel without padded rows.

    Args:
        lengths: of all sequences, if the host knows them; long ones then go through cuDNN one by one, without gradient.
    """
    v_width = v_THU.shape[-1]
    if not _flash_takes(q_THK):
        v_THK = F.pad(v_THU, (0, max(q_THK.shape[-1] - v_width, 0)))
        return attend_packed_reference(q_THK, k_THK, v_THK, cu_seqlens_S1, max_len, scale)[..., :v_width]
    if lengths and min(lengths) >= _CUDNN_ROWS and not torch.is_grad_enabled():
        parts = zip(*(x.split(list(lengths)) for x in (q_THK, k_THK, v_THU)), strict=True)
        out = [cudnn_attention(*(x.transpose(0, 1)[None] for x in part), scale, is_causal=True) for part in parts]
        return torch.cat([o[0].transpose(0, 1) for o in out]) if len(out) > 1 else out[0][0].transpose(0, 1)
    return _varlen(q_THK, k_THK, v_THU, cu_seqlens_S1, cu_seqlens_S1, max_len, max_len, scale)


def cudnn_attention(
    q_NHTK: Tensor, k_NHLK: Tensor, v_NHLU: Tensor, scale: float | None = None, is_causal: bool = False
) -> Tensor:
    """Scaled dot-product attention; by cuDNN where it runs, on Hopper twice as fast as torch's own choice."""
    if not _flash_takes(q_NHTK):
        return F.scaled_dot_product_attention(q_NHTK, k_NHLK, v_NHLU, scale=scale, is_causal=is_causal)
    order = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    with sdpa_kernel(order, set_priority=True):
        return F.scaled_dot_product_attention(q_NHTK, k_NHLK, v_NHLU, scale=scale, is_causal=is_causal)


def _flash_takes(q: Tensor) -> bool:
    return q.is_cuda and q.dtype in (torch.bfloat16, torch.float16) and q.shape[-1] <= 256


def _varlen(
    q_THK: Tensor, k_LHK: Tensor, v_LHU: Tensor, ends_q: Tensor, ends_k: Tensor, most_q: int, most_k: int, scale: float
) -> Tensor:
    """The flash kernel over packed sequences; the last query of each sees its last key."""
    from torch.nn.attention.varlen import varlen_attn  # CUDA only

    v_LHK = F.pad(v_LHU, (0, max(q_THK.shape[-1] - v_LHU.shape[-1], 0)))
    o_THK = varlen_attn(
        q_THK.contiguous(), k_LHK.contiguous(), v_LHK.contiguous(), ends_q, ends_k, most_q, most_k,
        scale=scale, window_size=(-1, 0),
    )  # fmt: skip
    assert isinstance(o_THK, Tensor)
    return o_THK[..., : v_LHU.shape[-1]]


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
    if _flash_takes(q_THK):
        k_LHK, v_LHU = (x.repeat_interleave(group, 1) if group > 1 else x for x in (k_LGK, v_LGU))
        ends = [torch.tensor([0, count], dtype=torch.int32, device=q.device) for count in (num_new, num_all)]
        return _varlen(q_THK, k_LHK, v_LHU, *ends, num_new, num_all, scale)
    seen_TL = torch.ones(num_new, num_all, dtype=torch.bool, device=q.device).tril(num_all - num_new)
    k, v = k.repeat_interleave(group, 0), F.pad(v, (0, max(k.shape[-1] - v.shape[-1], 0))).repeat_interleave(group, 0)
    o = F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=seen_TL, scale=scale)[0]
    return o.transpose(0, 1)[..., : v_LGU.shape[-1]]
