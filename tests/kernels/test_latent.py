"""The Triton products of heads with their weights against references; without a GPU it runs in test_interpreter.py."""

import pytest
import torch
from torch import Tensor

from vl2.kernels import latent as kernels
from vl2.kernels.rotary import Place

SHAPES = [(4, 128, 128, 512), (3, 32, 32, 128), (2, 8, 6, 16), (2, 20, 33, 48)]  # heads, K, U, Z


@pytest.fixture(autouse=True)
def without_gradients(monkeypatch: pytest.MonkeyPatch):
    """What is not written must be seen."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **options: empty(*args, **options).fill_(float("nan")))
    with torch.no_grad():
        yield


def inputs(
    tokens: int, shape: tuple[int, ...], device: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Views as the model has them: queries beside rotated queries, weights of keys and of values in one matrix."""
    heads, key, value, latent = shape
    generator = torch.Generator().manual_seed(tokens)
    q = torch.randn(tokens, heads * (key + 5), generator=generator).to(device, dtype)
    o = torch.randn(tokens, heads, latent, generator=generator).to(device, dtype)
    weight = (torch.randn(heads * (key + value), latent, generator=generator) * 0.1).to(device, dtype)
    w_k, w_v = weight.unflatten(0, (heads, -1)).split([key, value], 1)
    return q.unflatten(-1, (heads, -1))[..., :key], o, w_k, w_v


def compare(got: Tensor, expected: Tensor) -> None:
    assert got.is_contiguous()
    tolerance = 1e-5 if got.dtype == torch.float32 else 2e-2
    torch.testing.assert_close(got, expected.to(got.dtype), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("tokens", [1, 3, 17, 70])
def test_products(tokens: int, shape: tuple[int, ...], dtype: torch.dtype, triton_device: str) -> None:
    if dtype == torch.bfloat16 and triton_device == "cpu" and tokens > 1:
        pytest.skip("the interpreter multiplies the bits of bfloat16 matrices")
    q, o, w_k, w_v = inputs(tokens, shape, triton_device, dtype)
    compare(kernels.absorb(q, w_k), kernels.absorb_reference(q.double(), w_k.double()))
    compare(kernels.values(o, w_v), kernels.values_reference(o.double(), w_v.double()))


@pytest.mark.parametrize("tokens", [1, 5])
def test_heads_apart(tokens: int, triton_device: str) -> None:
    """What attention returns may hold the tokens of one head side by side."""
    _, o, _, w_v = inputs(tokens, SHAPES[1], triton_device, torch.float32)
    apart = o.transpose(0, 1).contiguous().transpose(0, 1)
    compare(kernels.values(apart, w_v), kernels.values_reference(o.double(), w_v.double()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_and_absorb(shape: tuple[int, ...], dtype: torch.dtype, triton_device: str) -> None:
    """Of a cached token in one launch; without a place nothing is absorbed."""
    q, _, w_k, _ = inputs(1, shape, triton_device, dtype)
    (heads, _, _, latent), rope = shape, 16
    joined = torch.randn(1, (heads + 1) * (5 + rope) + latent, device=triton_device).to(dtype)
    q_rope = joined[:, : heads * (5 + rope)].unflatten(1, (heads, -1))[..., 5:]
    kv = joined[:, -latent - rope :]
    angle = torch.rand(1, rope // 2, device=triton_device).repeat(1, 2)
    row = q_rope, kv, torch.rand(latent, device=triton_device).to(dtype), 1e-6, angle.cos(), angle.sin()
    caches = [torch.full((4, latent + rope), 7.0, device=triton_device, dtype=dtype) for _ in range(2)]
    places = [Place(cache, torch.tensor([2], device=triton_device)) for cache in caches]
    got = kernels.rows_and_absorb(q, w_k, *row, places[0])
    expected = kernels.rows_and_absorb_reference(q, w_k, *row, places[1])
    for one, other in zip((*got, caches[0]), (*expected, caches[1]), strict=True):
        assert one is not None
        compare(one, other)
    assert kernels.rows_and_absorb(q, w_k, *row, None)[2] is None


def test_many_tokens_and_other_dtypes_take_the_reference(triton_device: str) -> None:
    q, _, w_k, _ = inputs(kernels.MOST_TOKENS + 1, SHAPES[2], triton_device, torch.float32)
    assert torch.equal(kernels.absorb(q, w_k), kernels.absorb_reference(q, w_k))


def test_gradients_take_the_reference() -> None:
    q, o, w_k, w_v = inputs(2, SHAPES[2], "cpu", torch.float32)
    with torch.enable_grad():
        leaf = w_k.clone().requires_grad_()
        (kernels.absorb(q, leaf).sum() + kernels.values(o, w_v).sum()).backward()
    assert leaf.grad is not None
