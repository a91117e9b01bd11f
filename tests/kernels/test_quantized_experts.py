"""Triton kernels of quantised experts against their reference; without a GPU they run in test_interpreter.py."""

from collections.abc import Callable, Iterator

import pytest
import torch

from vl2.kernels import quantized_experts as kernels
from vl2.kernels.experts import SharedExperts
from vl2.kernels.quantized import Quantized, quantize
from vl2.model.quantized_experts import quantize_model
from vl2.model.vl2 import VL2

Layer = tuple[torch.Tensor, torch.Tensor, torch.Tensor, Quantized, Quantized]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memory that kernels are to fill starts as NaN."""
    with monkeypatch.context() as patch:
        for name in ("empty", "empty_like"):
            plain = getattr(torch, name)

            def filled(*args: object, plain=plain, **options: object) -> torch.Tensor:
                out = plain(*args, **options)
                return out.fill_(torch.nan) if out.is_floating_point() else out

            patch.setattr(torch, name, filled)
        yield


def layer(
    tokens: int, scheme: str, sizes: tuple[int, int], choice: str, dtype: torch.dtype, device: str, seed: int = 0
) -> Layer:
    """Tokens, weights and indices of their experts, quantised weights of 5 experts of which one is never chosen."""
    generator = torch.Generator().manual_seed(1000 * seed + tokens)
    (hidden, width), num_experts, active = sizes, 5, 3
    x = torch.randn(tokens, 2 * hidden, generator=generator).to(device, dtype)[:, :hidden]  # rows are not contiguous
    scores = torch.rand(tokens, num_experts, generator=generator)
    scores[:, 4] = -1
    if choice == "one expert":
        active, scores[:, 1] = 1, 2
    weights, indices = scores.to(device).topk(active, -1)
    gate_up = torch.randn(num_experts, 2 * width, hidden, generator=generator) * 0.2
    down = torch.randn(num_experts, hidden, width, generator=generator) * 0.2
    return x, weights, indices, quantize(gate_up.to(device), scheme), quantize(down.to(device), scheme)


def check(arguments: Layer, exact: bool) -> None:
    x, weights, indices, gate_up, down = arguments
    expected = kernels.quantized_experts_reference(x.float(), weights, indices, gate_up, down)
    with torch.no_grad():
        assert kernels.can_run(x)
        got = kernels.quantized_experts(*arguments)
    assert got.dtype == x.dtype
    part = 1e-4 if exact else 3e-2
    torch.testing.assert_close(got.float(), expected, atol=part if exact else part * expected.std().item(), rtol=part)


# int4: three groups of 128 and one of 32, one of 64 and five of 32; fp8: sizes that nothing divides
SIZES = {"int4": [(384, 32), (64, 160)], "fp8": [(72, 40), (520, 21)]}
CASES = [(scheme, sizes) for scheme, all_sizes in SIZES.items() for sizes in all_sizes]


@pytest.mark.parametrize(
    ("tokens", "choice"), [(1, "any"), (2, "any"), (9, "any"), (40, "any"), (3, "one expert"), (35, "one expert")]
)
@pytest.mark.parametrize(("scheme", "sizes"), CASES)
def test_float32(scheme: str, sizes: tuple[int, int], tokens: int, choice: str, triton_device: str) -> None:
    check(layer(tokens, scheme, sizes, choice, torch.float32, triton_device), exact=True)


@pytest.mark.parametrize("tokens", [1, 2, 12])
@pytest.mark.parametrize(("scheme", "sizes"), CASES)
def test_with_shared_experts(scheme: str, sizes: tuple[int, int], tokens: int, triton_device: str) -> None:
    arguments, (hidden, width) = layer(tokens, scheme, sizes, "any", torch.float32, triton_device), sizes
    generator = torch.Generator().manual_seed(tokens)
    shapes = (2 * width, hidden), (2 * width, hidden), (hidden, 2 * width)
    shared = SharedExperts(*(torch.randn(shape, generator=generator).to(triton_device) * 0.2 for shape in shapes))
    with torch.no_grad():
        got = kernels.quantized_experts(*arguments, shared)
    expected = kernels.quantized_experts_reference(*arguments, shared)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(expected, kernels.quantized_experts_reference(*arguments), atol=1e-2)


@pytest.mark.parametrize("tokens", [8, 9])
@pytest.mark.parametrize(("scheme", "sizes"), [("int4", (64, 32)), ("fp8", (40, 21))])
def test_where_few_tokens_end(scheme: str, sizes: tuple[int, int], tokens: int, triton_device: str) -> None:
    """Of small matrices: the kernel for few tokens takes the interpreter long."""
    check(layer(tokens, scheme, sizes, "any", torch.float32, triton_device), exact=True)


@pytest.mark.parametrize(("scheme", "sizes"), [("int4", (64, 32)), ("fp8", (40, 21))])
def test_many_tokens_are_multiplied_with_weights_written_out(
    scheme: str, sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch, triton_device: str
) -> None:
    monkeypatch.setattr(kernels, "SOME_TOKENS", 8)
    check(layer(20, scheme, sizes, "any", torch.float32, triton_device), exact=True)


@pytest.mark.parametrize("tokens", [1, 8, 9, 300, 600])
@pytest.mark.parametrize("scheme", ["fp8", "int4"])
def test_bfloat16(scheme: str, tokens: int, triton_device: str) -> None:
    if triton_device == "cpu":
        pytest.skip("the interpreter multiplies the bits of bfloat16 matrices")
    check(layer(tokens, scheme, (512, 384), "any", torch.bfloat16, triton_device), exact=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("scheme", "width"), [("int4", 384), ("int4", 96), ("int4", 5120), ("fp8", 21), ("fp8", 2600)])
def test_writing_out_is_dequantizing(scheme: str, width: int, dtype: torch.dtype, triton_device: str) -> None:
    from vl2.kernels import quantized_experts_triton as fast

    matrix = quantize(torch.randn(2, 3, width).to(triton_device), scheme)
    got, expected = fast.dequantize(matrix, dtype), matrix.dequantize(dtype)
    if triton_device == "cpu" and dtype == torch.bfloat16:  # the interpreter cuts bits off instead of rounding
        torch.testing.assert_close(got, expected, atol=0, rtol=2**-7)
    else:
        assert got.equal(expected)


@pytest.mark.parametrize("tokens", [2, 12])
def test_layer_of_a_model(tokens: int, make_model: Callable[..., VL2], triton_device: str) -> None:
    """The layer takes these kernels for quantised experts, and its own for shared ones."""
    model = quantize_model(make_model("base", moe_intermediate_size=32), "int4").to(triton_device)
    layer = model.language.layers[1].get_submodule("mlp")
    x = torch.randn(tokens, 32, device=triton_device)
    with torch.no_grad():
        got, _ = layer(x)
    with torch.enable_grad():  # for which there are no kernels
        expected, _ = layer(x)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
