"""What training computes fast equals what one would write first, and does not depend on how a step is cut up."""

import threading
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import torch
from plain_losses import plain_losses
from tiny_synth import TINY_SYNTH
from torch import Tensor

import vl2.train.step as step
from vl2.data.packing import PackedBatch, Packer
from vl2.train.assembly import Assembly, assemble, stage_dataset
from vl2.train.checkpoint import TrainState
from vl2.train.config import read_recipe
from vl2.train.display import QuietDisplay
from vl2.train.gradient_sums import GradientSums
from vl2.train.loop import train
from vl2.train.loss import batch_losses
from vl2.train.metrics import Meter, read_metrics
from vl2.train.optim import build_optimizer
from vl2.train.ranks import Ranks
from vl2.train.reports import Pace
from vl2.train.run import Run
from vl2.train.step import take_step

MIXED = ("stages.0.mixture={line=1, scene=2}", "stages.0.questions_per_image=3")
SEVERAL_LAYERS = ("model.config.language_config.num_hidden_layers=3",)


def gradients(assembly: Assembly, loss: Tensor) -> dict[str, Tensor]:
    named = {name: p for name, p in assembly.model.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: grad for name, grad in zip(named, found, strict=True) if grad is not None}


def close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, grad in one.items():
        distance = (grad - other[name]).norm() / grad.norm().clamp_min(1e-12)
        assert distance < tolerance, (name, float(distance))


def test_gradients_in_float64_equal_those_of_the_plain_reference() -> None:
    """Scores, norms and sums of experts are float32 in both, hence the tolerance."""
    assembly = assemble(read_recipe("debug", (*MIXED, *SEVERAL_LAYERS)), TINY_SYNTH, None)
    assembly.model.double()
    batch = stage_dataset(assembly, 0)[0]
    assert len(batch.sequence_lengths) > 1
    fast = batch_losses(assembly.model, None, batch, background_weight=0.0, answer_exponent=0.5, static=False)
    fast_grads = gradients(assembly, fast.text + fast.balance)
    plain = plain_losses(assembly.model, None, batch, answer_exponent=0.5)
    torch.testing.assert_close(fast.text, plain.text, rtol=1e-6, atol=0)
    torch.testing.assert_close(fast.balance, plain.balance.to(fast.balance.dtype), rtol=1e-5, atol=0)
    plain_grads = gradients(assembly, plain.text + plain.balance)
    close(fast_grads, plain_grads, 1e-5)


def test_200_steps_are_those_of_the_plain_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints the differences; a wrong gradient grows to more than the tolerance in a few steps.

    Rounding grows, too, once it has tipped a router's choice between two equal experts, after a hundred steps or never:
    so later steps are held to half of them.
    """
    settings = (*MIXED, "stages.0.steps=200", "stages.0.learning_rate=2e-3", "log_every=1", "checkpoint.every_sec=0")
    settings += ("stages.0.tokens_per_batch=384", "stages.0.tiles_per_batch=4")
    train("debug", tmp_path / "fast", overrides=settings, synth=TINY_SYNTH)
    monkeypatch.setattr(step, "batch_losses", plain_losses)
    train("debug", tmp_path / "plain", overrides=settings, synth=TINY_SYNTH)
    fast, plain = ([line["loss"] for line in read_metrics(tmp_path / name)] for name in ("fast", "plain"))
    assert len(fast) == 200
    assert fast[-1] < 0.2 * fast[0]
    apart = [abs(a - b) / a for a, b in zip(fast, plain, strict=True)]
    print(f"relative difference of a loss: at most {max(apart):.1e}, in 80 steps {max(apart[:80]):.1e}")
    assert max(apart[:80]) < 1e-4
    assert median(apart) < 1e-3
    assert fast[-1] == pytest.approx(plain[-1], rel=0.05)


def test_accumulation_does_not_change_the_gradient(tmp_path: Path) -> None:
    """Four prompts in one micro-batch or in three uneven ones: sums over counts of the whole step."""
    room = (
        "stages.0.tokens_per_batch=2048",
        "stages.0.tiles_per_batch=16",
        "stages.0.aux_loss_alpha=0.1",
        "stages.0.bias_update_step=0",
    )
    assembly = assemble(read_recipe("debug", (*MIXED, *room)), TINY_SYNTH, None)
    assembly.model.requires_grad_(True)
    optimizer = build_optimizer(assembly.model, None, assembly.config.optimizer)  # its rate is 0 until it is set
    run = Run(
        assembly, optimizer, TrainState(), tmp_path, Ranks(), None, None, None, None, Pace(0), QuietDisplay(), 1,
        threading.Event(),
    )  # fmt: skip
    data, rng = stage_dataset(assembly, 0), np.random.default_rng(3)
    items = [data._draw(rng, rng, keep=False) for _ in range(4)]

    def pack(begin: int, end: int) -> PackedBatch:
        vision, config = data.config.vision_config, data.config
        edge, patches = vision.image_size, vision.grid_side**2
        packer = Packer(
            data.budget, tile_size=edge, tile_side=config.tile_side, num_patches=patches, pad_id=data.pad_id
        )
        assert all(packer.add(item) for item in items[begin:end])
        return packer.finish()

    def norm(*cuts: int) -> float:
        batches = [pack(begin, end) for begin, end in pairwise((0, *cuts, 4))]
        meter = Meter(["line", "scene"], assembly.device, 1)
        return take_step(run, 0, 0, [(batch, batch) for batch in batches], meter, GradientSums((), 1))[0].item()

    assert norm(1, 3) == pytest.approx(norm(), rel=1e-5)
