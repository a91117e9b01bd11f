"""Triton kernels of decoding attention against their references; without a GPU they run in test_interpreter.py."""

import pytest
import torch

from vl2.kernels import paged_attention as kernels


def paged(
    lengths: list[int], width: int, block: int, seed: int, device: str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A cache whose unused slots are NaN, shuffled tables that end in wild entries, lengths."""
    generator = torch.Generator().manual_seed(seed)
    needed = [-(-length // block) for length in lengths]
    cache = torch.full((sum(needed) + 3, block, width), float("nan"))
    order = torch.randperm(len(cache), generator=generator)
    tables = torch.full((len(lengths), max(needed) + 2), 10**6, dtype=torch.int32)
    for seq, length in enumerate(lengths):
        for place in range(needed[seq]):
            one = int(order[sum(needed[:seq]) + place])
            tables[seq, place] = one
            count = min(block, length - place * block)
            cache[one, :count] = torch.randn(count, width, generator=generator)
    return cache.to(device), tables.to(device), torch.tensor(lengths, dtype=torch.int32, device=device)


@pytest.mark.parametrize("splits", [1, 4, 8])
@pytest.mark.parametrize(("heads", "width", "rope"), [(16, 64, 16), (8, 128, 16), (40, 32, 16)])
@torch.no_grad()
def test_latent(heads: int, width: int, rope: int, splits: int, triton_device: str) -> None:
    lengths = [1, 16, 0, 17, 100, 63]
    cache, tables, sizes = paged(lengths, width + rope, 16, splits, triton_device)
    assert kernels.can_decode(cache, width)
    q = torch.randn(len(lengths), heads, width, device=triton_device)
    q_rope = torch.randn(len(lengths), heads, rope, device=triton_device)
    expected = kernels.decode_latent_reference(q, q_rope, cache, tables, sizes, 0.3)
    got = kernels.decode_latent(q, q_rope, cache, tables, sizes, 0.3, splits)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-3)
    assert not got[2].any()


@pytest.mark.parametrize("lengths", [[1], [0], [100], [16, 33]], ids=str)
@torch.no_grad()
def test_values(lengths: list[int], triton_device: str) -> None:
    """Of one sequence merged and multiplied at once, of several one after the other."""
    heads, width, values = 6, 64, 24
    cache, tables, sizes = paged(lengths, width + 16, 16, 1, triton_device)
    q, q_rope = (torch.randn(len(lengths), heads, size, device=triton_device) for size in (width, 16))
    w_v = torch.randn(heads, 40 + values, width, device=triton_device)[:, 40:]
    expected = kernels.decode_values_reference(q, q_rope, cache, tables, sizes, 0.3, w_v)
    got = kernels.decode_values(q, q_rope, cache, tables, sizes, 0.3, w_v)
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("splits", [1, 4, 8])
@pytest.mark.parametrize(("heads", "kv_heads", "width"), [(10, 10, 32), (4, 2, 64)])
@torch.no_grad()
def test_heads(heads: int, kv_heads: int, width: int, splits: int, triton_device: str) -> None:
    lengths = [33, 1, 0, 16, 90]
    cache, tables, sizes = paged(lengths, 2 * kv_heads * width, 16, splits, triton_device)
    assert kernels.can_decode(cache, width)
    q = torch.randn(len(lengths), 3 * heads, width, device=triton_device)[:, ::3]  # not contiguous
    expected = kernels.decode_heads_reference(q, cache, tables, sizes, 0.2)
    got = kernels.decode_heads(q, cache, tables, sizes, 0.2, splits)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_references_against_a_plain_softmax() -> None:
    cache, tables, sizes = paged([37], 24, 8, 0)
    tokens = torch.cat([cache[int(b)] for b in tables[0, :5]])[:37]
    q, q_rope = torch.randn(1, 4, 16), torch.randn(1, 4, 8)
    scores = torch.cat([q, q_rope], -1)[0] @ tokens.T * 0.5
    expected = scores.softmax(-1) @ tokens[:, :16]
    got = kernels.decode_latent_reference(q, q_rope, cache, tables, sizes, 0.5)
    torch.testing.assert_close(got[0], expected)
