"""The formats of quantised weights: what is stored, and how much of a weight is left."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.kernels.quantized import Quantized, group_of, quantize


def unpacked(matrix: Quantized) -> torch.Tensor:
    """int4 by the words of the module: one nibble after the other."""
    half, (rows, size) = matrix.group // 2, matrix.values.shape
    out = torch.empty(rows, 2 * size)
    for row in range(rows):
        for place in range(size):
            group, inside = divmod(place, half)
            byte, scale = int(matrix.values[row, place]), float(matrix.scales[row, group])
            out[row, group * 2 * half + inside] = ((byte & 15) - 8) * scale
            out[row, group * 2 * half + inside + half] = ((byte >> 4) - 8) * scale
    return out


@pytest.mark.parametrize(("width", "group"), [(256, 128), (320, 64), (96, 32)])
def test_layout_of_int4(width: int, group: int) -> None:
    matrix = quantize(torch.randn(3, width), "int4")
    assert (matrix.group, matrix.width, matrix.rows) == (group, width, 3)
    assert (matrix.values.dtype, matrix.scales.dtype) == (torch.uint8, torch.bfloat16)
    assert (matrix.values.shape, matrix.scales.shape) == ((3, width // 2), (3, width // group))
    assert matrix.dequantize(torch.float32).equal(unpacked(matrix))


def test_layout_of_fp8() -> None:
    matrix = quantize(torch.randn(2, 3, 50), "fp8")
    assert (matrix.group, matrix.width, matrix.rows) == (0, 50, 3)
    assert (matrix.values.dtype, matrix.scales.dtype) == (torch.float8_e4m3fn, torch.float32)
    assert (matrix.values.shape, matrix.scales.shape) == ((2, 3, 50), (2, 3))


def test_every_number_of_fp8_is_read_exactly() -> None:
    values = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    values = values[~values.float().isnan()][None]
    assert Quantized(values, torch.ones(1)).dequantize(torch.float32).equal(values.float())


@pytest.mark.parametrize(("scheme", "error"), [("fp8", 0.03), ("int4", 0.1)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_error_of_normal_weights(scheme: str, error: float, scale: float) -> None:
    weight = torch.randn(64, 640, generator=torch.Generator().manual_seed(0)) * scale
    lost = quantize(weight, scheme).dequantize(torch.float32) - weight
    assert lost.norm() < error * weight.norm()


def test_search_of_scales_beats_the_plain_scale() -> None:
    weight = torch.randn(64, 640, generator=torch.Generator().manual_seed(0))
    groups = weight.unflatten(-1, (-1, 128))
    scale = groups.abs().amax(-1, keepdim=True) / 7
    plain = (groups / scale).round() * scale - groups
    lost = quantize(weight, "int4").dequantize(torch.float32) - weight
    assert lost.norm() < 0.88 * plain.norm()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.sampled_from(["fp8", "int4"]), st.integers(0, 1000), st.floats(-20, 20))
def test_what_was_quantised_is_quantised_to_itself(scheme: str, seed: int, exponent: float) -> None:
    weight = torch.randn(2, 4, 64, generator=torch.Generator().manual_seed(seed)) * 2.0**exponent
    once = quantize(weight, scheme).dequantize(torch.float32)
    again = quantize(once, scheme).dequantize(torch.float32)
    torch.testing.assert_close(again, once, rtol=1e-6 if scheme == "fp8" else 1e-2, atol=0)


@pytest.mark.parametrize("scheme", ["fp8", "int4"])
def test_zeros_and_stacks(scheme: str) -> None:
    assert not quantize(torch.zeros(2, 4, 64), scheme).dequantize(torch.float32).any()
    stack = torch.randn(3, 4, 64).bfloat16()
    for expert in range(3):
        alone = quantize(stack[expert], scheme).dequantize(torch.bfloat16)
        assert quantize(stack, scheme)[expert].dequantize(torch.bfloat16).equal(alone)


def test_groups() -> None:
    assert [group_of(width) for width in (1280, 1408, 320, 64, 96, 16)] == [128, 128, 64, 64, 32, 0]
    assert group_of(1280, 32) == 32
