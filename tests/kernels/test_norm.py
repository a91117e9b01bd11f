"""The Triton norm against its reference; without a GPU it runs in test_interpreter.py."""

import pytest
import torch

from vl2.kernels import norm as kernels


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("tokens", "width"), [(1, 320), (5, 72), (3, 2048)])
@torch.no_grad()
def test_norm(tokens: int, width: int, dtype: torch.dtype, triton_device: str) -> None:
    torch.manual_seed(tokens)
    wide = torch.randn(tokens, 2 * width, device=triton_device, dtype=dtype)
    x, delta = wide[:, :width], torch.randn(tokens, width, device=triton_device, dtype=dtype) * 3
    weight = torch.rand(width, device=triton_device, dtype=dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    got = kernels.rms_norm(x, weight, 1e-6)
    torch.testing.assert_close(got, kernels.rms_norm_reference(x, weight, 1e-6), atol=tolerance, rtol=tolerance)
    total, normed = kernels.add_rms_norm(x, delta, weight, 1e-6)
    expected_total, expected = kernels.add_rms_norm_reference(x, delta, weight, 1e-6)
    torch.testing.assert_close(total, expected_total, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(normed, expected, atol=tolerance, rtol=tolerance)


def test_gradients_take_the_reference() -> None:
    x = torch.randn(3, 8, requires_grad=True)
    weight = torch.ones(8, requires_grad=True)
    total, normed = kernels.add_rms_norm(x, torch.randn(3, 8), weight, 1e-6)
    (total.sum() + normed.square().sum()).backward()
    assert x.grad is not None
    assert weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("tiles", "patches", "width"), [(1, 1, 72), (2, 3, 1152), (1, 5, 24)])
@torch.no_grad()
def test_layer_norm(tiles: int, patches: int, width: int, dtype: torch.dtype, triton_device: str) -> None:
    torch.manual_seed(width)
    wide = torch.randn(tiles, patches, 2 * width, device=triton_device, dtype=dtype) + 3  # far from its centre
    x, delta = wide[..., :width], torch.randn(tiles, patches, width, device=triton_device, dtype=dtype)
    weight, bias = torch.randn(2, width, device=triton_device, dtype=dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    got = kernels.layer_norm(x, weight, bias, 1e-6)
    torch.testing.assert_close(got, kernels.layer_norm_reference(x, weight, bias, 1e-6), atol=tolerance, rtol=tolerance)
    total, normed = kernels.add_layer_norm(x, delta, weight, bias, 1e-6)
    torch.testing.assert_close(total, x + delta, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(
        normed, kernels.layer_norm_reference(total, weight, bias, 1e-6), atol=tolerance, rtol=tolerance
    )
