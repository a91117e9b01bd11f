"""The Triton rotations against their references; without a GPU they run in test_interpreter.py."""

from collections.abc import Callable

import pytest
import torch

from vl2.kernels import rotary as kernels


def tables(tokens: int, width: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    angle = torch.rand(tokens, width // 2, device=device).repeat(1, 2) * 6
    return angle.cos(), angle.sin()


def tolerance(dtype: torch.dtype) -> float:
    return 1e-5 if dtype == torch.float32 else 2e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("tokens", "heads", "groups", "width"), [(1, 4, 2, 32), (5, 3, 3, 24), (70, 2, 1, 24)])
@torch.no_grad()
def test_heads(tokens: int, heads: int, groups: int, width: int, dtype: torch.dtype, triton_device: str) -> None:
    torch.manual_seed(tokens)
    joined = torch.randn(tokens, (heads + 2 * groups) * width, device=triton_device, dtype=dtype)
    parts = joined.split([heads * width, groups * width, groups * width], -1)
    arguments = (*(part.unflatten(-1, (-1, width)) for part in parts), *tables(tokens, width, triton_device))
    compare(kernels.heads_rows, kernels.heads_rows_reference, arguments, 2 * groups * width, dtype)


def compare(ours: Callable, reference: Callable, arguments: tuple, width: int, dtype: torch.dtype) -> None:
    """Without a cache, and with one in which only the given slots may change."""
    tokens, device = len(arguments[0]), arguments[0].device
    slots = torch.randperm(tokens + 3, device=device)[:tokens]
    cache = torch.full((tokens + 3, width), 7.0, dtype=dtype, device=device)
    places = [kernels.Place(cache.clone(), slots) for _ in range(2)]
    got, expected = ours(*arguments, places[0]), reference(*arguments, places[1])
    for one, other in zip((*got, places[0].values_CJ), (*expected, places[1].values_CJ), strict=True):
        torch.testing.assert_close(one, other, atol=tolerance(dtype), rtol=tolerance(dtype))
    for one, other in zip(ours(*arguments), expected, strict=True):
        torch.testing.assert_close(one, other, atol=tolerance(dtype), rtol=tolerance(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("tokens", "heads", "latent", "rope"), [(1, 16, 128, 16), (6, 5, 40, 24)])
@torch.no_grad()
def test_latent(tokens: int, heads: int, latent: int, rope: int, dtype: torch.dtype, triton_device: str) -> None:
    torch.manual_seed(tokens)
    q_rope = torch.randn(tokens, heads, 32 + rope, device=triton_device, dtype=dtype)[..., 32:]
    kv = torch.randn(tokens, 7 + latent + rope, device=triton_device, dtype=dtype)[:, 7:]
    weight = torch.rand(latent, device=triton_device, dtype=dtype)
    arguments = (q_rope, kv, weight, 1e-6, *tables(tokens, rope, triton_device))
    compare(kernels.latent_rows, kernels.latent_rows_reference, arguments, latent + rope, dtype)


def test_rows_keep_the_dtype_of_what_was_projected() -> None:
    """Under autocast the norm's weight is float32; what is cached is not."""
    kv = torch.randn(2, 24, dtype=torch.bfloat16)
    q_rope = torch.randn(2, 1, 8, dtype=torch.bfloat16)
    _, rows = kernels.latent_rows(q_rope, kv, torch.ones(16), 1e-6, *tables(2, 8, "cpu"))
    assert rows.dtype == torch.bfloat16
