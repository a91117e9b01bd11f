"""Products with int8 weights: torch's operator against the pure form, and the shapes and addresses that it needs."""

import pytest
import torch

from vl2.kernels import int8
from vl2.kernels.quantized import Quantized, quantize
from vl2.kernels.quantized_experts import quantized_experts, quantized_experts_reference

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(int8.obstacle(CPU) != "", reason=int8.obstacle(CPU) or "-")


def close(got: torch.Tensor, expected: torch.Tensor) -> None:
    """Up to a rounding of x and one of the result to bfloat16."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert float((got - expected).float().norm()) <= 0.006 * float(expected.float().norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tokens", [0, 1, 3, 5, 64, 65])
@pytest.mark.parametrize(("rows", "width"), [(21, 16), (7, 48), (66, 320)])
def test_linear(rows: int, width: int, tokens: int, dtype: torch.dtype) -> None:
    torch.manual_seed(rows)
    x = torch.randn(tokens, 2 * width, dtype=dtype)[:, :width]  # rows are not contiguous
    matrices = quantize(torch.randn(rows, width), "int8"), quantize(torch.randn(5, width), "int8")
    both = zip(int8.int8_linear(x, *matrices), int8.int8_linear_reference(x, *matrices), strict=True)
    for got, expected in both:
        close(got, expected)


def test_tokens_at_odd_addresses() -> None:
    """The operator would read them as if they were aligned."""
    x = torch.randn(1 + 3 * 32).bfloat16()[1:].view(3, 32)
    assert x.is_contiguous()
    assert x.data_ptr() % 32
    matrix = quantize(torch.randn(9, 32), "int8")
    close(int8.int8_linear(x, matrix)[0], int8.int8_linear_reference(x, matrix)[0])


@pytest.mark.parametrize("width", [8, 24, 31])
def test_widths_that_it_would_read_beyond(width: int) -> None:
    with pytest.raises(AssertionError):
        int8.int8_linear(torch.randn(1, width), quantize(torch.randn(4, width), "int8"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [0, 1, 2, 40, 150])
def test_experts(tokens: int, dtype: torch.dtype) -> None:
    """Also where one expert has more tokens than the operator is good for, and another none."""
    generator = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, 64, generator=generator).to(dtype)
    scores = torch.rand(tokens, 5, generator=generator)
    scores[:, 4], scores[:, 0] = -1, 2
    weights, indices = scores.topk(3, -1)
    gate_up = quantize(torch.randn(5, 96, 64, generator=generator) * 0.2, "int8")
    down = quantize(torch.randn(5, 64, 48, generator=generator) * 0.2, "int8")
    got = quantized_experts(x, weights, indices, gate_up, down)
    expected = quantized_experts_reference(x.float(), weights, indices, gate_up, down)
    assert got.dtype == dtype
    assert float((got.float() - expected).norm()) <= 0.01 * float(expected.norm())


def test_layout() -> None:
    weight = torch.randn(3, 8, 48)
    weight[1, 2] = 0
    matrix = quantize(weight, "int8")
    assert (matrix.group, matrix.width, matrix.rows) == (0, 48, 8)
    assert (matrix.values.dtype, matrix.scales.dtype) == (torch.int8, torch.bfloat16)
    assert (matrix.values.shape, matrix.scales.shape) == ((3, 8, 48), (3, 8))
    assert int(matrix.values.min()) >= -127
    assert matrix.dequantize(torch.float32).equal(matrix.values.float() * matrix.scales.float()[..., None])
    assert not matrix.dequantize(torch.float32)[1, 2].any()
    alone = quantize(weight[2], "int8")
    assert isinstance(alone, Quantized)
    assert matrix[2].dequantize(torch.float32).equal(alone.dequantize(torch.float32))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_error_of_normal_weights(scale: float) -> None:
    weight = torch.randn(64, 640, generator=torch.Generator().manual_seed(0)) * scale
    lost = quantize(weight, "int8").dequantize(torch.float32) - weight
    assert lost.norm() < 0.008 * weight.norm()


def test_obstacles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert int8.obstacle(CPU) == ""
    assert int8.obstacle(torch.device("cuda")) == "device = cuda: int8 weights are for CPUs; use fp8 or int4 there"
    monkeypatch.delattr(torch, "_weight_int8pack_mm")
    assert "has no product with int8 weights (_weight_int8pack_mm); use fp8 or int4" in int8.obstacle(CPU)
