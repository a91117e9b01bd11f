"""Packed causal attention against loops over sequences, heads and queries."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vl2.kernels.attention import attend_packed, attend_packed_reference

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="the variable-length kernel needs a CUDA device")


def naive(q_THK: Tensor, k_THK: Tensor, v_THU: Tensor, lengths: list[int], scale: float) -> Tensor:
    q, k, v = q_THK.double(), k_THK.double(), v_THU.double()
    out = torch.zeros(*v.shape, dtype=torch.float64)
    start = 0
    for length in lengths:
        for head in range(q.shape[1]):
            for row in range(start, start + length):
                scores = [math.exp(float(q[row, head] @ k[past, head]) * scale) for past in range(start, row + 1)]
                for past, score in zip(range(start, row + 1), scores, strict=True):
                    out[row, head] += score / sum(scores) * v[past, head]
        start += length
    return out


def offsets(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def inputs(lengths: list[int], heads: int, key: int, value: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    q, k = (torch.randn(total, heads, key, generator=generator) for _ in range(2))
    return q, k, torch.randn(total, heads, value, generator=generator)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9),
    st.integers(0, 1000), st.integers(0, 3),
)  # fmt: skip
def test_attend_packed(lengths: list[int], heads: int, key: int, value: int, seed: int, slack: int) -> None:
    q, k, v = inputs(lengths, heads, key, value, seed)
    expected = naive(q, k, v, lengths, 0.4)
    for attend in (attend_packed, attend_packed_reference):
        got = attend(q, k, v, offsets(lengths), max(lengths) + slack, 0.4)
        assert got.shape == (sum(lengths), heads, value)
        torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=0)


def test_gradients_stay_in_their_sequence() -> None:
    q, k, v = (x.requires_grad_() for x in inputs([3, 4], 2, 4, 4, 0))
    attend_packed(q, k, v, offsets([3, 4]), 4, 0.5)[:3].sum().backward()
    for x in (q, k, v):
        assert x.grad is not None
        assert x.grad[3:].eq(0).all()
    assert v.grad is not None
    assert v.grad[:3].ne(0).any()


@needs_cuda
@pytest.mark.parametrize(("key", "value"), [(128, 128), (192, 128), (48, 32)])
def test_cuda_kernel_equals_reference(key: int, value: int) -> None:
    lengths = [5, 300, 1, 77]
    q, k, v = (x.to("cuda", torch.bfloat16) for x in inputs(lengths, 3, key, value, 1))
    got = attend_packed(q, k, v, offsets(lengths).cuda(), 300, key**-0.5)
    reference = attend_packed_reference(q.float(), k.float(), v.float(), offsets(lengths).cuda(), 300, key**-0.5)
    assert got.dtype == torch.bfloat16
    assert got.shape == v.shape
    torch.testing.assert_close(got.float(), reference, atol=3e-2, rtol=0)
