"""Triton kernels of the experts against their reference; without a GPU they run in test_interpreter.py."""

import pytest
import torch

from vl2.kernels import experts as kernels


def layer(tokens: int, choice: str, seed: int, dtype: torch.dtype, device: str) -> tuple[torch.Tensor, ...]:
    """Tokens, weights and indices of their experts, weights of 5 experts of odd sizes."""
    torch.manual_seed(seed)
    hidden, width, num_experts, active = 72, 40, 5, 3
    x = torch.randn(tokens, 2 * hidden, device=device, dtype=dtype)[:, :hidden]  # rows that are not contiguous
    scores = torch.rand(tokens, num_experts, device=device)
    if choice == "one expert":  # among the chosen is always the same one, and one is never chosen
        scores[:, 1], scores[:, 4] = 2, -1
    weights, indices = scores.topk(active, -1)
    gate_up = torch.randn(num_experts, 2 * width, hidden, device=device, dtype=dtype) * 0.2
    down = torch.randn(num_experts, hidden, width, device=device, dtype=dtype) * 0.2
    return x, weights, indices, gate_up, down


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("choice", ["any", "one expert"])
@pytest.mark.parametrize("tokens", [1, 3, 8, 9, 40])
def test_experts(tokens: int, choice: str, dtype: torch.dtype, triton_device: str) -> None:
    if triton_device == "cpu" and dtype == torch.bfloat16 and tokens > kernels.FEW_TOKENS:
        pytest.skip("the interpreter multiplies the bits of bfloat16 matrices")
    arguments = layer(tokens, choice, tokens, dtype, triton_device)
    expected = kernels.experts_reference(*arguments)
    with torch.no_grad():
        assert kernels.can_run_experts(arguments[0])
        got = kernels.experts(*arguments)
    exact = triton_device == "cpu" and dtype == torch.float32
    torch.testing.assert_close(got, expected, atol=1e-4 if exact else 5e-2, rtol=1e-4 if exact else 2e-2)


@pytest.mark.parametrize("tokens", [1, 7, 50])
def test_tiles_cover_every_choice_once(tokens: int) -> None:
    indices = torch.randint(0, 6, (tokens, 2), generator=torch.Generator().manual_seed(tokens))
    order, experts, ends = kernels.sort_choices(indices, 7)
    covered: list[int] = []
    for expert, (begin, end) in zip(experts.tolist(), ends.tolist(), strict=True):
        if expert < 7:
            assert 0 < end - begin <= kernels.TILE_ROWS
            choices = order[begin:end]
            assert set(indices.flatten()[choices].tolist()) == {expert}
            covered += choices.tolist()
    assert sorted(covered) == list(range(2 * tokens))


def test_reference_against_the_layer(make_model) -> None:
    """The reference is what the layer of the model computes."""
    layer = make_model("base").language.layers[1].mlp.experts
    x = torch.randn(6, 32)
    weights, indices = torch.rand(6, 6).topk(2, -1)
    expected = kernels.experts_reference(x, weights, indices, layer.gate_up, layer.down)
    torch.testing.assert_close(layer(x, weights, indices), expected, atol=1e-5, rtol=1e-5)
