"""Branching sequences against prompts apart, and the merging of the two products against dense ones."""

import itertools

import pytest
import torch
from torch import Tensor

from vl2.kernels import branches as module
from vl2.kernels.branches import Branches, attend_branches, attend_branches_reference
from vl2.model.cache import BranchedSequences

# sequences as (prefix, branches); without branches, a prompt that is alone
SEQUENCES = [(5, [3, 1, 4]), (4, []), (1, [2, 2]), (7, [6])]
SCALE = 0.3


def offsets(lengths: list[int], device: str = "cpu") -> Tensor:
    return torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32, device=device)


def where(device: str = "cpu", filler: int = 0) -> Branches:
    """Of SEQUENCES, and a sequence of filler."""
    sequences = [*SEQUENCES, *([(filler, [])] if filler else [])]
    tokens, inside, start = [], [], 0
    for prefix, rest in sequences:
        tokens += range(start, start + (prefix if rest else 1))
        inside += [False] * prefix + [True] * sum(rest)
        start += prefix + sum(rest)
    return Branches(
        offsets([length for prefix, rest in sequences for length in (prefix, *rest)], device),
        offsets([prefix + sum(rest) for prefix, rest in sequences], device),
        offsets([prefix if rest else 1 for prefix, rest in sequences], device),
        torch.tensor(tokens + [-1] * (start - len(tokens)), device=device),
        torch.tensor(inside, device=device),
        max(prefix + sum(rest) for prefix, rest in sequences),
    )


def inputs(total: int, heads: int = 2, key: int = 8, value: int = 8, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = (total, heads, key), (total, heads, key), (total, heads, value)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def apart(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every branch as a prompt of its own, with a copy of what it begins with."""
    out, start = torch.zeros(*q.shape[:2], v.shape[-1], dtype=q.dtype), 0
    for prefix, rest in SEQUENCES:
        ends, begin = [*rest] or [0], start + prefix
        for length in ends:
            rows = torch.tensor([*range(start, start + prefix), *range(begin, begin + length)])
            scores = torch.einsum("qhk,lhk->hql", q[rows], k[rows]) * SCALE
            future = torch.ones(len(rows), len(rows), dtype=torch.bool).triu(1)
            shares = scores.masked_fill(future, float("-inf")).softmax(-1)
            out = out.index_copy(0, rows, torch.einsum("hql,lhu->qhu", shares, v[rows]))
            begin += length
        start = begin
    return out


def test_a_branch_sees_what_a_prompt_apart_would_see() -> None:
    total = sum(prefix + sum(rest) for prefix, rest in SEQUENCES)
    q, k, v = inputs(total, value=6)
    torch.testing.assert_close(attend_branches(q, k, v, where(), SCALE), apart(q, k, v))


def test_heads_that_share_keys_branch_as_well() -> None:
    """As in Tiny, whose rows are keys and values of fewer heads."""
    q, k, v = inputs(sum(prefix + sum(rest) for prefix, rest in SEQUENCES), heads=4)
    k, v = k[:, :2], v[:, :2]
    got = BranchedSequences(where()).attend_heads(0, q, torch.cat([k.flatten(1), v.flatten(1)], 1), SCALE)
    torch.testing.assert_close(got, apart(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)))


def dense(q: Tensor, k: Tensor, starts_q: Tensor, starts_k: Tensor, causal: bool) -> list[tuple[slice, slice, Tensor]]:
    """Scores of each sequence, as torch's flash kernels see them."""
    found = []
    for (a, b), (c, d) in zip(
        itertools.pairwise(starts_q.tolist()), itertools.pairwise(starts_k.tolist()), strict=True
    ):
        scores = torch.einsum("qhk,lhk->hql", q[a:b], k[c:d]) * SCALE
        if causal:
            scores = scores.masked_fill(torch.ones(b - a, d - c, dtype=torch.bool).triu(1), float("-inf"))
        found.append((slice(a, b), slice(c, d), scores))
    return found


def dense_flash(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, _: int, causal: bool, scale: float
):
    assert scale == SCALE
    out, lse = torch.zeros_like(v), torch.zeros(q.shape[1], len(q), dtype=q.dtype)
    for own, seen, scores in dense(q, k, starts_q, starts_k, causal):
        out[own] = torch.einsum("hql,lhu->qhu", scores.softmax(-1), v[seen])
        lse[:, own] = scores.logsumexp(-1)
    return out, lse, torch.zeros(2), torch.zeros(0)


def dense_backward(grad, q, k, v, out, lse, starts_q, starts_k, causal, state, unused, longest, scale):
    """As flash kernels do it: weights from the sums that are given, not from the scores that are seen."""
    dq, dk, dv = torch.zeros_like(q), torch.full_like(k, float("nan")), torch.full_like(v, float("nan"))
    delta = (grad * out).sum(-1)
    for own, seen, scores in dense(q, k, starts_q, starts_k, causal):
        weights = (scores - lse[:, own, None]).exp()
        dv[seen] = torch.einsum("hql,qhu->lhu", weights, grad[own])
        ds = weights * (torch.einsum("qhu,lhu->hql", grad[own], v[seen]) - delta[own].T[..., None]) * scale
        dq[own], dk[seen] = torch.einsum("hql,lhk->qhk", ds, k[seen]), torch.einsum("hql,qhk->lhk", ds, q[own])
    return dq, dk, dv


@pytest.mark.parametrize("compiled", [False, True])
def test_merging_two_products_gives_the_gradients_of_one(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU with dense stand-ins for the kernels, whose rows past the last prefix are NaN as theirs may be."""
    monkeypatch.setattr(module, "_flash", dense_flash)
    monkeypatch.setattr(module, "_flash_backward", dense_backward)
    b = where(filler=3)
    q, k, v = (x.requires_grad_() for x in inputs(len(b.branch_T)))
    expected = attend_branches_reference(q, k, v, b, SCALE)

    def merged(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        tensors = b.parts_P1, b.sequences_S1, b.prefixes_S1, b.prefix_tokens_J, b.branch_T
        return module.branched(q, k, v, *tensors, b.longest, SCALE)[0]

    got = (torch.compile(merged, backend="aot_eager", fullgraph=True) if compiled else merged)(q, k, v)
    torch.testing.assert_close(got, expected)
    grad = torch.randn(got.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = torch.autograd.grad(expected, (q, k, v), grad)
    for ours, theirs in zip(torch.autograd.grad(got, (q, k, v), grad), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("key", "value"), [(48, 32), (128, 128), (192, 128)])
def test_flash_kernels_agree_with_the_reference(key: int, value: int) -> None:
    b = where("cuda", filler=40)
    given = [x.to("cuda", torch.bfloat16) for x in inputs(len(b.branch_T), 4, key, value)]
    ours = [x.clone().requires_grad_() for x in given]
    theirs = [x.float().requires_grad_() for x in given]
    (q, k, v), (q_32, k_32, v_32) = ours, theirs
    got, expected = attend_branches(q, k, v, b, SCALE), attend_branches_reference(q_32, k_32, v_32, b, SCALE)
    torch.testing.assert_close(got.float(), expected, atol=2e-2, rtol=2e-2)
    grad = torch.randn_like(got)
    got.backward(grad)
    expected.backward(grad.float())
    for a, c in zip(ours, theirs, strict=True):
        assert a.grad is not None
        assert c.grad is not None
        assert (a.grad.float() - c.grad).norm() < 2e-2 * c.grad.norm()
