"""Attention of packed sequences that branch: several continuations of one beginning, none of which sees another.

    tokens of a sequence:  | prefix | branch 0 | branch 1 | ...
    a token sees of its own part (prefix or branch) what is not after it, and in a branch the whole prefix besides

    q, k, v --causal, every part alone--> o, lse     q, k and v of prefixes --all keys--> o, lse     --by lse--> o

So an image that is asked about fourteen times lies in the batch once, and the answers' gradients are those of fourteen
prompts apart. The two products are torch's flash kernels. Their backward takes outputs and sums of weights of the whole
softmax, as if each saw all keys, which makes the gradients of both parts exact (ring attention: Liu et al. 2023,
arXiv 2310.01889, does so across devices).

The trap: rows of the second product that belong to no branch are computed for nothing. They get no gradient, and keep
their own sums, lest a weight overflow.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, library


@dataclass(frozen=True)
class Branches:
    """Where sequences branch.

    parts_P1: (P + 1,) int32 offsets of all prefixes and branches; a sequence that does not branch is one part.
    sequences_S1: (S + 1,) int32 offsets of the sequences.
    prefixes_S1: (S + 1,) int32 offsets of each sequence's prefix among `prefix_tokens_J`; of one that does not branch,
        any part of it, since nobody looks there.
    prefix_tokens_J: (J,) positions of the tokens of the prefixes, one after the other; -1 at the end.
    branch_T: (T,) whether a token is in a branch.
    longest: no sequence is longer.
    """

    parts_P1: Tensor
    sequences_S1: Tensor
    prefixes_S1: Tensor
    prefix_tokens_J: Tensor
    branch_T: Tensor
    longest: int


def attend_branches_reference(q_THK: Tensor, k_THK: Tensor, v_THU: Tensor, branches: Branches, scale: float) -> Tensor:
    """One sequence after the other, with a mask.

    Args:
        q_THK, k_THK: (T, H, K) queries and keys of all sequences end to end.
        v_THU: (T, H, U) values.
        scale: factor on the scores.

    Returns: (T, H, U).
    """
    token_T = torch.arange(len(q_THK), device=q_THK.device)
    part_T = torch.searchsorted(branches.parts_P1[1:].contiguous(), token_T, right=True)
    out = []
    for begin, end in pairwise(branches.sequences_S1.tolist()):
        own = slice(begin, end)
        seen_QL = (part_T[own, None] == part_T[own]) | ~branches.branch_T[own]
        mask_QL = seen_QL & (token_T[own, None] >= token_T[own])
        q, k, v = (x[own].transpose(0, 1)[None] for x in (q_THK, k_THK, v_THU))
        out.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask_QL, scale=scale)[0].transpose(0, 1))
    return torch.cat(out)


def attend_branches(q_THK: Tensor, k_THK: Tensor, v_THU: Tensor, branches: Branches, scale: float) -> Tensor:
    """As attend_branches_reference, by two flash kernels on CUDA in half precision."""
    half = q_THK.dtype in (torch.bfloat16, torch.float16)
    if not (q_THK.is_cuda and half and q_THK.shape[-1] <= 256):
        return attend_branches_reference(q_THK, k_THK, v_THU, branches, scale)
    width = v_THU.shape[-1]
    v_THK = F.pad(v_THU, (0, q_THK.shape[-1] - width))
    b = branches
    tensors = b.parts_P1, b.sequences_S1, b.prefixes_S1, b.prefix_tokens_J, b.branch_T
    return branched(q_THK, k_THK, v_THK, *tensors, b.longest, scale)[0][..., :width]


@library.custom_op("vl2::branched", mutates_args=())
def branched(
    q: Tensor, k: Tensor, v: Tensor, parts: Tensor, sequences: Tensor, prefixes: Tensor, tokens: Tensor,
    branch_T: Tensor, longest: int, scale: float,
) -> list[Tensor]:  # fmt: skip
    """The two products, merged; then what the backward wants: (H, T) sums of both and the kernels' states.

    Operators of torch, since its compiler does not see through an autograd.Function that calls the kernels.
    """
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    k_before, v_before = (x.index_select(0, tokens.clamp_min(0)) for x in (k, v))
    own, own_lse_HT, *own_state = _flash(q, k, v, parts, parts, longest, True, scale)
    before, before_lse_HT, *before_state = _flash(q, k_before, v_before, sequences, prefixes, longest, False, scale)
    lse_HT = torch.logaddexp(own_lse_HT, before_lse_HT)
    share_TH1 = torch.where(branch_T, (own_lse_HT - lse_HT).exp(), 1.0).T[..., None]
    out = (own * share_TH1 + before * (1 - share_TH1)).to(own.dtype)
    own_lse_HT = torch.where(branch_T, lse_HT, own_lse_HT)
    before_lse_HT = torch.where(branch_T, lse_HT, before_lse_HT)
    return [out, own_lse_HT, before_lse_HT, *own_state, *before_state]


@library.custom_op("vl2::branched_backward", mutates_args=())
def branched_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, parts: Tensor, sequences: Tensor, prefixes: Tensor, tokens: Tensor,
    branch_T: Tensor, saved: list[Tensor], longest: int, scale: float,
) -> list[Tensor]:  # fmt: skip
    """Gradients of q, k and v."""
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    out, own_lse, before_lse, *states = saved
    grad, sizes = grad.contiguous(), (longest, scale)
    given = grad, q, k, v, out, own_lse, parts, parts, True, states[0], states[1]
    dq, dk, dv = _flash_backward(*given, *sizes)
    real, places = (tokens >= 0)[:, None, None], tokens.clamp_min(0)
    k_before, v_before = (x.index_select(0, places) for x in (k, v))
    grad = torch.where(branch_T[:, None, None], grad, 0)
    given = grad, q, k_before, v_before, out, before_lse, sequences, prefixes, False, states[2], states[3]
    dq_before, dk_before, dv_before = _flash_backward(*given, *sizes)
    dk = dk.index_add(0, places, torch.where(real, dk_before, 0))  # rows past the last prefix may be anything
    dv = dv.index_add(0, places, torch.where(real, dv_before, 0))
    return [dq + dq_before, dk, dv]


@branched.register_fake
def _(q: Tensor, *others: Any) -> list[Tensor]:
    sums = [q.new_empty(q.shape[1], q.shape[0], dtype=torch.float32) for _ in range(2)]
    states = [q.new_empty(shape, dtype=torch.uint64) for shape in ((2,), (), (2,), ())]
    return [q.new_empty(q.shape), *sums, *states]


@branched_backward.register_fake
def _(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *others: Any) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in (q, k, v)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *tensors, ctx.longest, ctx.scale = inputs
    ctx.given = len(tensors)
    ctx.save_for_backward(*tensors, *output)
    ctx.set_materialize_grads(False)  # of sums and states, which nobody uses


def _backward(ctx: Any, grads: list[Tensor]) -> tuple[Tensor | None, ...]:
    given, saved = ctx.saved_tensors[: ctx.given], ctx.saved_tensors[ctx.given :]
    return *branched_backward(grads[0], *given, list(saved), ctx.longest, ctx.scale), *(None,) * 7


branched.register_autograd(_backward, setup_context=_save)


def _flash(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, longest: int, causal: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output, (H, T) sums of weights, and two tensors that the backward wants again."""
    out, lse_HT, state, unused, _ = torch.ops.aten._flash_attention_forward(
        q, k, v, starts_q, starts_k, longest, longest, 0.0, causal, False, scale=scale
    )
    return out, lse_HT, state, unused


def _flash_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, starts_q: Tensor, starts_k: Tensor,
    causal: bool, state: Tensor, unused: Tensor, longest: int, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return torch.ops.aten._flash_attention_backward(
        grad, q, k, v, out, lse, starts_q, starts_k, longest, longest, 0.0, causal, state, unused, scale=scale
    )
