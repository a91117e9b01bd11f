"""The router's Triton kernel against its reference; without a GPU it runs in test_interpreter.py."""

from typing import Any

import pytest
import torch
from torch import Tensor

from vl2.kernels.router import route, route_reference

SOFTMAX: dict[str, Any] = {"active": 3, "scoring": "softmax", "normalize": False, "scale": 1.0}
SIGMOID: dict[str, Any] = {"active": 4, "scoring": "sigmoid", "normalize": True, "scale": 2.5}


@pytest.fixture(autouse=True)
def without_gradients(monkeypatch: pytest.MonkeyPatch):
    """What is not written must be seen."""
    empty = torch.empty

    def poisoned(*args: Any, **options: Any) -> Tensor:
        out = empty(*args, **options)
        return out.fill_(float("nan") if out.is_floating_point() else 10**6)

    monkeypatch.setattr(torch, "empty", poisoned)
    with torch.no_grad():
        yield


def inputs(
    tokens: int, experts: int, device: str, dtype: torch.dtype = torch.float32, hidden: int = 72
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(tokens * experts)
    x = torch.randn(tokens, hidden + 8, generator=generator)[:, :hidden]
    weight, bias = torch.randn(experts, hidden, generator=generator), torch.randn(experts, generator=generator) * 0.3
    return x.to(device, dtype), (weight * 0.2).to(device, dtype), bias.to(device)


def compare(x: Tensor, weight: Tensor, bias: Tensor | None, options: dict[str, Any]) -> None:
    weights, indices, scores = route(x, weight, bias, **options)
    expected_weights, _, expected_scores = route_reference(x, weight, bias, **options)
    assert (weights.dtype, indices.dtype, scores.dtype) == (torch.float32, torch.int64, torch.float32)
    torch.testing.assert_close(scores, expected_scores, atol=1e-5, rtol=1e-4)
    # Scores that are nearly equal may change places, so what was chosen is compared by what it is worth.
    choice = expected_scores if bias is None else expected_scores + bias.float()
    best = choice.topk(options["active"]).values
    torch.testing.assert_close(choice.gather(1, indices), best, atol=1e-5, rtol=1e-4)
    assert all(len(set(row)) == options["active"] for row in indices.tolist())
    if bias is None:  # else a swap of two that are equal with their biases changes weights
        torch.testing.assert_close(weights, expected_weights, atol=1e-5, rtol=1e-4)
    picked = expected_scores.gather(1, indices)
    if options["normalize"]:
        picked = picked / picked.sum(1, keepdim=True)
    torch.testing.assert_close(weights, picked * options["scale"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("experts", [64, 72, 16, 5])
@pytest.mark.parametrize("tokens", [1, 7, 65])
def test_route(tokens: int, experts: int, triton_device: str) -> None:
    x, weight, bias = inputs(tokens, experts, triton_device)
    compare(x, weight, None, SOFTMAX)
    compare(x, weight, bias, SIGMOID)


def test_many_tokens(triton_device: str) -> None:
    x, weight, bias = inputs(300, 72, triton_device)
    compare(x, weight, bias, SIGMOID)


def test_parts_of_the_width(triton_device: str) -> None:
    """Of which the last is not full."""
    x, weight, _ = inputs(9, 20, triton_device, hidden=600)
    compare(x, weight * 0.3, None, SOFTMAX)


@pytest.mark.parametrize("tokens", [3, 70])
def test_weights_of_another_dtype(tokens: int, triton_device: str) -> None:
    """Products are float32 then."""
    x, weight, bias = inputs(tokens, 16, triton_device)
    compare(x.bfloat16(), weight, bias, SIGMOID)
    compare(x, weight.bfloat16(), bias.bfloat16(), SOFTMAX)


@pytest.mark.parametrize("tokens", [1, 8, 9, 65, 600])
def test_bfloat16(tokens: int, triton_device: str) -> None:
    if triton_device == "cpu":
        pytest.skip("the interpreter multiplies the bits of bfloat16 matrices")
    x, weight, bias = inputs(tokens, 72, triton_device, torch.bfloat16, 2560)
    compare(x, weight, None, SOFTMAX)
    compare(x, weight, bias, SIGMOID)


def test_equal_scores_go_to_the_lowest(triton_device: str) -> None:
    x, weight, _ = inputs(2, 20, triton_device)
    _, indices, _ = route(x, weight.zero_(), None, **SOFTMAX)
    assert indices.tolist() == [[0, 1, 2]] * 2


@pytest.mark.parametrize("tokens", [2, 66])
def test_no_numbers_lead_to_no_numbers(tokens: int, triton_device: str) -> None:
    """Not to an expert that does not exist, and not in another token."""
    x, weight, bias = inputs(tokens, 5, triton_device)
    x[1] = float("nan")
    weights, indices, _ = route(x, weight, bias, **SIGMOID)
    assert 0 <= int(indices.min()) <= int(indices.max()) < 5
    assert weights[1].isnan().all()
    assert not weights[0].isnan().any()


def test_one_choice(triton_device: str) -> None:
    x, weight, bias = inputs(4, 5, triton_device)
    compare(x, weight, bias, SOFTMAX | {"active": 1})
