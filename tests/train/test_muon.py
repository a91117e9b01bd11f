import pytest
import torch
from torch import nn

from vl2.config import PRESETS
from vl2.model.vl2 import VL2
from vl2.train.config import OptimizerSection, read_recipe
from vl2.train.muon import muon_step, orthogonalize
from vl2.train.optim import build_optimizer, is_hidden_matrix


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 16, 16)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape)
    made = orthogonalize(matrices)
    assert made.shape == matrices.shape
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    clear = s > 0.1 * s.amax(1, keepdim=True)
    values = torch.linalg.svdvals(made)
    assert ((values > 0.5) & (values < 1.3))[:, : int(clear.sum(1).min())].all()
    between = u.mT @ made @ vh.mT  # diagonal if the singular vectors are the same
    off = between - torch.diag_embed(between.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 1e-3


def one_step(
    weight: torch.Tensor, grad: torch.Tensor, keep: float, decay: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    parameter, momentum = nn.Parameter(weight.clone()), torch.zeros_like(weight)
    parameter.grad = grad
    muon_step([parameter], [momentum], 0.01, decay, 0.95, torch.tensor(keep))
    return parameter.detach(), momentum


def test_update_has_the_size_of_an_adam_step() -> None:
    """Root mean square 0.2 * learning rate for a full-rank matrix, whatever its shape and the gradient's size."""
    for shape in ((64, 64), (64, 16), (16, 64)):
        new, _ = one_step(torch.zeros(shape), 1e4 * torch.randn(shape), 1.0)
        assert float(new.square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.35)


def test_weight_decay_shrinks() -> None:
    new, _ = one_step(torch.full((4, 4), 2.0), torch.zeros(4, 4), 1.0, decay=0.5)
    torch.testing.assert_close(new, torch.full((4, 4), 2.0 * (1 - 0.01 * 0.5)))


def test_a_skipped_step_changes_nothing() -> None:
    weight = torch.randn(4, 6)
    new, momentum = one_step(weight, torch.full((4, 6), float("nan")), 0.0, decay=0.5)
    assert torch.equal(new, weight)
    assert not momentum.any()


def test_experts_are_stacks_of_matrices() -> None:
    weight, grad = torch.randn(3, 8, 5), torch.randn(3, 8, 5)
    together, _ = one_step(weight, grad, 1.0)
    alone = torch.stack([one_step(weight[e], grad[e], 1.0)[0] for e in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_which_parameters_muon_takes() -> None:
    model = VL2(read_recipe("debug").model.config or PRESETS["nano"])
    taken = {name for name, parameter in model.named_parameters() if is_hidden_matrix(name, parameter)}
    for part in ("vision.blocks.0.attn.qkv.weight", "language.layers.1.mlp.experts.down", "language.layers.0.mlp"):
        assert any(part in name for name in taken), part
    for part in ("embed_tokens", "lm_head", "router", "pos_embed", "patch_embed", "norm", "bias", "newline"):
        assert not any(part in name for name in taken), part


def test_the_optimizer_uses_both() -> None:
    config = read_recipe("debug").model.config
    assert config is not None
    model = VL2(config)
    model.initialize(0)
    optimizer = build_optimizer(model, None, OptimizerSection(name="muon"))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 0.01
        for parameter in group["params"]:
            parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    named = dict(model.named_parameters())
    experts, head = named["language.layers.1.mlp.experts.down"], named["language.lm_head.weight"]
    assert optimizer.moments_of(experts) == tuple(optimizer.state[experts]) == ("momentum",)
    assert set(optimizer.moments_of(head)) == set(optimizer.state[head]) == {"step", "exp_avg", "exp_avg_sq"}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not name.startswith("vision.attn_pool"):
            assert not torch.equal(parameter, before[name]), name
