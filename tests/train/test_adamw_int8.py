from pathlib import Path

import pytest
import torch
from tiny_synth import TINY_SYNTH
from torch import Tensor, nn

from vl2.config import ConfigError
from vl2.train.adamw_int8 import Int8Moment, as_float, as_int8
from vl2.train.assembly import assemble
from vl2.train.config import OptimizerSection, read_recipe
from vl2.train.loop import train
from vl2.train.metrics import read_metrics
from vl2.train.moments import quantize
from vl2.train.optim import Optimizer

SHAPE = (48, 40)


def optimizer(parameter: nn.Parameter, *, int8: bool) -> Optimizer:
    group = {"params": [parameter], "group": "language", "muon": 0.0, "int8": int8}
    return Optimizer([group], lr=3e-2, betas=(0.9, 0.95), weight_decay=0.01, fused=True)


def descend(*, int8: bool, steps: int) -> tuple[list[float], Optimizer, nn.Parameter]:
    """Losses of a least-squares problem with noise in every gradient."""
    generator = torch.Generator().manual_seed(2)
    wanted, x = torch.randn(SHAPE, generator=generator), torch.randn(200, SHAPE[1], generator=generator)
    x = x * torch.logspace(-2, 0, SHAPE[1])  # gradients of very different sizes in one block
    parameter = nn.Parameter(torch.zeros(SHAPE))
    learner, losses = optimizer(parameter, int8=int8), []
    for _ in range(steps):
        rows = torch.randint(0, 200, (32,), generator=generator)
        loss = (x[rows] @ (parameter - wanted).T).square().mean()
        loss.backward()
        learner.step()
        learner.zero_grad()
        losses.append(float(loss.detach()))
    return losses, learner, parameter


def test_converges_as_float32_does() -> None:
    small, whole = (descend(int8=int8, steps=300)[0] for int8 in (True, False))
    assert sum(whole[-20:]) < 0.05 * sum(whole[:20])
    assert sum(small[-20:]) < 1.2 * sum(whole[-20:])
    assert small != whole


def test_moments_take_two_bytes_a_parameter() -> None:
    _, learner, parameter = descend(int8=True, steps=2)
    tensors = [part for value in learner.state[parameter].values() for part in _parts(value)]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    assert size < 2.3 * parameter.numel()


def _parts(value: Tensor | Int8Moment) -> tuple[Tensor, ...]:
    return (value,) if isinstance(value, Tensor) else tuple(value)


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    _, learner, parameter = descend(int8=True, steps=3)
    before = [parameter.detach().clone(), *(p.clone() for v in learner.state[parameter].values() for p in _parts(v))]
    parameter.grad = torch.full(SHAPE, float("nan"))
    learner.found_inf = torch.ones(())
    learner.step()
    after = [parameter.detach(), *(p for value in learner.state[parameter].values() for p in _parts(value))]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_small_changes_are_not_all_rounded_away() -> None:
    """Nearest levels would never let go of a momentum of a few levels: 0.9 of three levels is three again."""
    parameter = nn.Parameter(torch.zeros(1, 256))
    learner = optimizer(parameter, int8=True)
    mean = torch.full((1, 256), 3.0)
    mean[0, 0] = 127.0
    learner.keep(parameter, {"step": torch.ones(()), "exp_avg": mean, "exp_avg_sq": torch.ones(1, 256)})
    for _ in range(60):
        parameter.grad = 0.01 * torch.randn(1, 256, generator=torch.Generator().manual_seed(4))
        parameter.grad[0, 0] = 127.0
        learner.step()
    assert learner.kept(parameter)["exp_avg"][0, 1:].abs().mean() < 0.3


def test_weights_in_bfloat16_take_steps_smaller_than_their_gaps() -> None:
    parameter = nn.Parameter(torch.ones(64, 64, dtype=torch.bfloat16))
    learner = optimizer(parameter, int8=True)
    learner.param_groups[0] |= {"lr": 1e-4, "weight_decay": 0.0}
    for _ in range(50):  # each changes a weight by 1e-4, of numbers that are 2 ** -8 apart
        parameter.grad = torch.rand(64, 64, generator=torch.Generator().manual_seed(1)).add(0.5).bfloat16()
        learner.step()
    assert parameter.dtype == torch.bfloat16
    assert float(parameter.detach().float().mean()) == pytest.approx(1 - 50 * 1e-4, abs=1e-3)


def test_what_was_read_is_kept_as_it_was() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 1e-5
    for name, source in (("exp_avg", values), ("exp_avg_sq", values.square())):
        first = as_int8(source, name)
        again = as_int8(as_float(first, source, name), name)
        assert all(torch.equal(a, b) for a, b in zip(_parts(first), _parts(again), strict=True))
    assert quantize(torch.zeros(3), squared=True)[0].abs().sum() == 0


def test_a_run_learns_and_resumes_to_the_same_numbers(tmp_path: Path) -> None:
    settings = ("stages.0.steps=14", "log_every=1", "checkpoint.every_sec=0")
    int8 = (*settings, "optimizer.moments=int8")
    train("debug", tmp_path / "float32", overrides=settings, synth=TINY_SYNTH)
    train("debug", tmp_path / "int8", overrides=int8, synth=TINY_SYNTH, stop_at=9)
    train("debug", tmp_path / "int8", overrides=int8, synth=TINY_SYNTH, resume=tmp_path / "int8")
    train("debug", tmp_path / "straight", overrides=int8, synth=TINY_SYNTH)
    whole, resumed, straight = (
        [line["loss"] for line in read_metrics(tmp_path / name)] for name in ("float32", "int8", "straight")
    )
    assert resumed == straight
    assert straight[-1] == pytest.approx(whole[-1], rel=0.15)
    assert whole[-1] < 0.9 * whole[0]


def test_a_run_in_bfloat16_throughout(tmp_path: Path) -> None:
    settings = ("stages.0.steps=8", "log_every=1", "checkpoint.every_sec=0", "precision=bfloat16")
    narrow = (*settings, "precision=all_bfloat16", "optimizer.moments=int8")
    train("debug", tmp_path / "wide", overrides=settings, synth=TINY_SYNTH)
    train("debug", tmp_path / "straight", overrides=narrow, synth=TINY_SYNTH)
    train("debug", tmp_path / "resumed", overrides=narrow, synth=TINY_SYNTH, stop_at=6)
    train("debug", tmp_path / "resumed", overrides=narrow, synth=TINY_SYNTH, resume=tmp_path / "resumed")
    wide, straight, resumed = (
        [line["loss"] for line in read_metrics(tmp_path / name)] for name in ("wide", "straight", "resumed")
    )
    assert resumed == straight
    assert straight[-1] == pytest.approx(wide[-1], rel=0.02)
    model = assemble(read_recipe("debug", narrow), TINY_SYNTH, tmp_path / "straight/step-000008").model
    assert dict(model.named_parameters())["language.layers.1.mlp.experts.down"].dtype == torch.bfloat16
    assert model.language.norm.weight.dtype == torch.float32


def test_the_recipe_knows_it() -> None:
    assert read_recipe("debug", ["optimizer.moments=int8"]).optimizer == OptimizerSection(moments="int8")
    with pytest.raises(ConfigError, match="moments = 'int4': must be float32 or int8"):
        read_recipe("debug", ["optimizer.moments=int4"])
    with pytest.raises(
        ConfigError, match=r"optimizer.moments = 'float32': must be int8 with precision = 'all_bfloat16'"
    ):
        read_recipe("debug", ["precision=all_bfloat16"])
