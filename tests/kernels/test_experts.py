"""Triton kernels of the experts against their reference; without a GPU they run in test_interpreter.py."""

from typing import Any

import pytest
import torch

from vl2.kernels import experts as kernels
from vl2.kernels.launch import can_run

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])


@pytest.fixture(autouse=True)
def without_gradients(monkeypatch: pytest.MonkeyPatch):
    """And new memory is full of NaN, so that what a kernel leaves out or reads too early shows."""
    empty = torch.empty

    def poisoned(*args: Any, **options: Any) -> torch.Tensor:
        out = empty(*args, **options)
        return out.fill_(float("nan") if out.is_floating_point() else 10**6)

    monkeypatch.setattr(torch, "empty", poisoned)
    with torch.no_grad():
        yield


def layer(
    tokens: int, choice: str, dtype: torch.dtype, device: str, shared: int = 2, hidden: int = 72, width: int = 40
) -> tuple[Any, ...]:
    """Tokens, weights and indices of their experts, weights of 5 experts and of shared ones."""
    generator = torch.Generator().manual_seed(tokens)
    num_experts, active = 5, 3

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    x = normal(tokens, 2 * hidden)[:, :hidden]  # rows that are not contiguous
    scores = torch.rand(tokens, num_experts, generator=generator).to(device)
    if choice == "one expert":  # among the chosen is always the same one, and one is never chosen
        scores[:, 1], scores[:, 4] = 2, -1
    weights, indices = scores.topk(active, -1)
    gate_up, down = normal(num_experts, 2 * width, hidden) * 0.2, normal(num_experts, hidden, width) * 0.2
    gate, up, last = normal(shared * width, hidden), normal(shared * width, hidden), normal(hidden, shared * width)
    both = kernels.SharedExperts(gate * 0.2, up * 0.2, last * 0.2) if shared else None
    return x, weights, indices, gate_up, down, both


def compare(arguments: tuple[Any, ...]) -> None:
    x = arguments[0]
    expected = kernels.experts_reference(*arguments)
    assert can_run(x)
    got = kernels.experts(*arguments)
    assert got.dtype == x.dtype
    if x.dtype == torch.float32:
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    else:  # each number is rounded on its way
        assert (got.float() - expected.float()).norm() < 1e-2 * expected.float().norm()


@DTYPES
@pytest.mark.parametrize("choice", ["any", "one expert"])
@pytest.mark.parametrize(("tokens", "shared"), [(1, 0), (1, 2), (3, 1), (8, 2), (9, 2), (40, 0), (70, 1)])
def test_experts(tokens: int, shared: int, choice: str, dtype: torch.dtype, triton_device: str) -> None:
    if triton_device == "cpu" and dtype == torch.bfloat16 and tokens > kernels.FEW_TOKENS:
        pytest.skip("the interpreter multiplies the bits of bfloat16 matrices")
    compare(layer(tokens, choice, dtype, triton_device, shared))


@pytest.mark.parametrize("tokens", [2, 20])
def test_sizes_that_divide(tokens: int, triton_device: str) -> None:
    """Where the kernels load without masks."""
    compare(layer(tokens, "any", torch.float32, triton_device, hidden=256, width=128))


@DTYPES
@pytest.mark.parametrize(("tokens", "shared"), [(1, 2), (30, 0), (30, 2)])
def test_large(
    tokens: int, shared: int, dtype: torch.dtype, triton_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU only bfloat16 has a grouped kernel; other dtypes take the path of fewer tokens."""
    monkeypatch.setattr(kernels, "FEW_TOKENS", 0)
    monkeypatch.setattr(kernels, "MANY_TOKENS", 0)
    compare(layer(tokens, "one expert", dtype, triton_device, shared))


@pytest.mark.parametrize("shared", [0, 2])
def test_few_and_many_agree_whatever_the_number_of_tokens(
    shared: int, triton_device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for few, tokens in ((100, 12), (0, 1)):
        monkeypatch.setattr(kernels, "FEW_TOKENS", few)
        compare(layer(tokens, "any", torch.float32, triton_device, shared))


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("tile", [16, 32, 64])
def test_every_tile(tile: int, left: int, triton_device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles of one expert, the last one not full, with the weight as either factor."""
    from vl2.kernels import launch

    for name in ("up_many", "down_many"):
        sizes = launch.config(name, 1, 2) | {"TILE": tile, "LEFT": left, "COLS": 32}
        monkeypatch.setitem(launch.CONFIGS, name, [(launch.ALL, sizes)])
    compare(layer(75, "one expert", torch.float32, triton_device))


@pytest.mark.parametrize(("tokens", "num_experts"), [(1, 7), (7, 3), (50, 64), (700, 5)])
def test_sort_choices(tokens: int, num_experts: int, triton_device: str) -> None:
    """Not every expert is chosen; more choices than are counted at once."""
    indices = torch.randint(0, max(num_experts - 1, 1), (tokens, 3), generator=torch.Generator().manual_seed(tokens))
    for expected, got in zip(
        kernels.sort_choices_reference(indices, num_experts),
        kernels.sort_choices(indices.to(triton_device), num_experts),
        strict=True,
    ):
        assert got.dtype == torch.int32
        torch.testing.assert_close(got.cpu(), expected)


def test_sorted_choices_are_grouped_in_order() -> None:
    order, inverse, stops = kernels.sort_choices_reference(torch.tensor([[2, 0], [0, 2], [3, 0]]), 5)
    assert order.tolist() == [1, 2, 5, 0, 3, 4]
    assert order[inverse].tolist() == list(range(6))
    assert stops.tolist() == [3, 3, 5, 6, 6]


@pytest.mark.parametrize("tokens", [1, 5, 20])
@pytest.mark.parametrize("kind", ["tiny", "base"])
def test_layer_of_the_model(make_model, kind: str, tokens: int, triton_device: str) -> None:
    """With the kernels and, where gradients are wanted, without."""
    moe = make_model(kind).language.layers[1].mlp.to(triton_device)
    x = torch.randn(tokens, 32, device=triton_device)
    with torch.enable_grad():
        assert not can_run(x)
        expected, stats = moe(x)
    got, found = moe(x)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.scores_TE, stats.scores_TE)
    torch.testing.assert_close(found.indices_TA.sort().values, stats.indices_TA.sort().values)


@pytest.mark.parametrize("kind", ["tiny", "base"])
def test_reference_against_the_layer(make_model, kind: str) -> None:
    """The reference is what the layer of the model computes."""
    moe = make_model(kind).language.layers[1].mlp
    x = torch.randn(6, 32)
    with torch.enable_grad():
        expected, _ = moe(x)
        weights, indices, _ = moe.router(x)
    got = kernels.experts_reference(x, weights, indices, moe.experts.gate_up, moe.experts.down, moe._shared_weights())
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
