import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vl2.model.vl2 import VL2
from vl2.train.config import OptimizerSection, read_recipe
from vl2.train.groups import GROUPS, LearningRateMultipliers, group_of
from vl2.train.moments import BLOCK, dequantize, quantize
from vl2.train.optim import (
    build_optimizer,
    decays,
    freeze_for,
    learning_rate,
    patch_weight,
    rewarm_factor,
    set_learning_rate,
    update_router_bias,
)
from vl2.train.patch_head import PatchHead
from vl2.train.stage import Stage

STAGE = Stage("s", 100, 1.0, (("line", 1.0),), 64, 4)


@pytest.fixture(scope="module")
def model() -> VL2:
    config = read_recipe("debug").model.config
    assert config is not None
    model = VL2(config)
    model.initialize(1)
    return model


def test_step_schedule_divides_by_root_ten_at_half_and_three_quarters() -> None:
    stage = replace(STAGE, schedule="step")
    rates = [learning_rate(stage, step) for step in (0, 49, 50, 74, 75, 99)]
    low = 1 / math.sqrt(10)
    assert rates == pytest.approx([1, 1, low, low, 0.1, 0.1])


def test_cosine_reaches_its_floor_and_warm_up_is_linear() -> None:
    stage = replace(STAGE, lr_floor=0.1, warmup_steps=10)
    assert [learning_rate(stage, step) for step in (0, 4)] == pytest.approx([0.1, 0.5], rel=1e-2)
    assert learning_rate(stage, 50) == pytest.approx(0.55)
    assert learning_rate(stage, 99) == pytest.approx(0.1, abs=1e-3)
    assert learning_rate(replace(STAGE, schedule="constant"), 99) == 1.0


def test_rewarm_only_after_a_resume_without_moments() -> None:
    assert rewarm_factor(500, None, 100) == 1.0
    assert [rewarm_factor(step, 500, 100) for step in (500, 549, 599, 900)] == pytest.approx([0.01, 0.5, 1.0, 1.0])


def test_patch_weight_points() -> None:
    stage = replace(STAGE, patch_loss_weight=((0.0, 1.0), (0.5, 1.0), (0.5, 0.2)))
    assert [patch_weight(stage, step) for step in (0, 49, 50, 99)] == [1.0, 1.0, 0.2, 0.2]
    fading = replace(STAGE, patch_loss_weight=((0.0, 1.0), (1.0, 0.0)))
    assert patch_weight(fading, 25) == pytest.approx(0.75)
    assert patch_weight(replace(STAGE, patch_loss_weight=((0.5, 0.3),)), 10) == 0.3


def test_groups_have_their_rates_and_decay(model: VL2) -> None:
    head = PatchHead(4, 4)
    optimizer = build_optimizer(model, head, OptimizerSection())
    multipliers = LearningRateMultipliers(vision=0.1, projector=0.5, language=2.0, patch_head=3.0)
    set_learning_rate(optimizer, replace(STAGE, lr_multiplier=multipliers), 1e-3)
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    expected = {
        "vision.blocks.0.attn.qkv.weight": (1e-4, 0.1),
        "vision.pos_embed": (1e-4, 0.0),
        "vision.norm.weight": (1e-4, 0.0),
        "projector.layers.0.weight": (5e-4, 0.1),
        "image_newline": (5e-4, 0.0),
        "language.embed_tokens.weight": (2e-3, 0.0),
        "language.lm_head.weight": (2e-3, 0.1),
        "language.layers.1.mlp.experts.down": (2e-3, 0.1),
        "language.layers.1.mlp.router.weight": (2e-3, 0.1),
    }
    assert {name: rates[id(named[name])] for name in expected} == {k: pytest.approx(v) for k, v in expected.items()}
    assert rates[id(head.classes.weight)] == (pytest.approx(3e-3), 0.1)
    assert id(named["language.layers.1.mlp.router.bias"]) not in rates
    assert id(named["vision.attn_pool.latent"]) not in rates
    assert not decays("x.bias", torch.zeros(3))


def test_parts_of_the_language_model_have_rates_of_their_own(model: VL2) -> None:
    optimizer = build_optimizer(model, None, OptimizerSection())
    multipliers = LearningRateMultipliers.from_dict({"language": 0.5, "experts": 0.25, "router": 0.0})
    set_learning_rate(optimizer, replace(STAGE, lr_multiplier=multipliers), 1.0)
    rates = {group["group"]: group["lr"] for group in optimizer.param_groups}
    assert set(rates) == set(GROUPS)
    assert (rates["experts"], rates["router"], rates["vision"]) == (0.25, 0.0, 1.0)
    assert {rates[group] for group in set(GROUPS) - {"experts", "router", "vision", "projector"}} == {0.5}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("language.layers.0.mlp.gate_proj.weight", "dense"),
        ("language.layers.1.mlp.shared_experts.up_proj.weight", "shared_experts"),
        ("language.layers.1.mlp.experts.gate_up", "experts"),
        ("language.layers.1.mlp.router.weight", "router"),
        ("language.layers.1.self_attn.kv_a_layernorm.weight", "norms"),
        ("language.layers.1.self_attn.kv_b_proj.weight", "attention"),
        ("language.layers.1.input_layernorm.weight", "norms"),
        ("language.norm.weight", "norms"),
        ("language.lm_head.weight", "head"),
        ("view_seperator", "projector"),
        ("vision.blocks.0.norm1.weight", "vision"),
    ],
)
def test_groups_of_names(name: str, group: str) -> None:
    assert group_of(name) == group


def test_parts_of_the_language_model_freeze_alone(model: VL2) -> None:
    freeze_for(replace(STAGE, freeze=("vision", "experts", "router")), model, None)
    learning = {group_of(name) for name, p in model.named_parameters() if p.requires_grad}
    assert learning == set(GROUPS) - {"vision", "experts", "router"}
    still = next(p for name, p in model.named_parameters() if name.endswith("experts.down"))
    assert not still.requires_grad


def test_freezing(model: VL2) -> None:
    freeze_for(replace(STAGE, freeze=("language", "vision")), model, None)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {
        name for name, _ in model.named_parameters() if name.startswith(("projector.", "image_newline", "view_sep"))
    }
    freeze_for(STAGE, model, None)
    assert model.language.lm_head.weight.requires_grad
    assert not dict(model.named_parameters())["language.layers.1.mlp.router.bias"].requires_grad


def test_router_bias_moves_against_the_load(model: VL2) -> None:
    (bias,) = [p for name, p in model.named_parameters() if name.endswith("router.bias")]
    counts = torch.full((1, bias.numel()), 10)
    counts[0, 0], counts[0, 1] = 12, 8
    update_router_bias(model, counts, 0.5, torch.tensor(1.0))
    assert bias[:3].tolist() == [-0.5, 0.5, 0.0]
    update_router_bias(model, counts, 0.5, torch.tensor(0.0))
    assert bias[:3].tolist() == [-0.5, 0.5, 0.0]
    with torch.no_grad():
        bias.zero_()


@given(st.integers(0, 2**31), st.integers(1, 3 * BLOCK), st.booleans(), st.floats(1e-12, 1e3))
def test_moments_in_eight_bits(seed: int, size: int, squared: bool, scale: float) -> None:
    values = torch.randn(size, generator=torch.Generator().manual_seed(seed)) * scale
    values = values.square() if squared else values
    levels, scales = quantize(values, squared=squared)
    back = dequantize(levels, scales, values.shape, squared=squared)
    if squared:
        assert (back[values > 0] > 0).all()  # never a second moment of zero
        values, back = values.sqrt(), back.sqrt()
    blocks = values.abs().split(BLOCK)
    step = torch.cat([block.amax().expand_as(block) / 127 for block in blocks])
    assert ((back - values).abs() <= 1.01 * step).all()
