"""On two GPUs and on four, what test_sharding.py shows on CPUs: every way to divide a model follows one GPU's curve.

Products are float32, and TF32 is off; sums by atomic operations take any order, hence a tolerance where CPUs need none.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from sharded_runs import WAYS, WHOLE, settings, write_texts
from started_ranks import start
from tiny_synth import TINY_SYNTH

from vl2.train.checkpoint import checkpoints
from vl2.train.loop import train
from vl2.train.metrics import read_metrics

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
TOLERANCE = 1e-3  # of losses and norms, relative
KEYS = ("loss", "patch_loss", "box_loss", "balance_loss", "grad_norm")


def _run(folder: Path, world: int) -> Path:
    """A run of one GPU, and those of several beside it."""
    if torch.cuda.device_count() < world:
        pytest.skip(f"needs {world} GPUs")
    write_texts(folder)
    given = settings(folder, "cuda")
    train("debug", folder / "one", overrides=given, synth=TINY_SYNTH)
    moving = folder / "moving"
    train("debug", moving, overrides=given, synth=TINY_SYNTH, stop_at=1)
    assert start(folder, world, "ways", "cuda") == [0] * world
    train("debug", moving, overrides=given, synth=TINY_SYNTH, resume=moving)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("four"), 4)


def same_curve(folder: Path, name: str) -> None:
    """Prints the largest difference."""
    one, other = read_metrics(folder / "one"), read_metrics(folder / name)
    assert [line["step"] for line in other] == [line["step"] for line in one] == [1, 2, 3, 4]
    largest = max(_difference(a, b) for a, b in zip(one, other, strict=True))
    print(f"{name}: largest relative difference from one GPU {largest:.1e}")
    assert largest < TOLERANCE
    assert [line["total"] for line in other] == [line["total"] for line in one]


def _difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    assert all((a[key] is None) == (b[key] is None) for key in KEYS)
    return max(abs(a[key] - b[key]) / max(abs(a[key]), 1e-6) for key in KEYS if a[key] is not None)


@pytest.mark.parametrize("way", [*WHOLE, *WAYS[2]])
def test_the_curve_on_two_is_that_of_one(two: Path, way: str) -> None:
    """Among them steps in which one rank has images and the other none."""
    same_curve(two, way)


@pytest.mark.parametrize("way", [*WHOLE, *WAYS[4]])
def test_the_curve_on_four_is_that_of_one(four: Path, way: str) -> None:
    same_curve(four, way)


def test_a_checkpoint_goes_from_one_to_two_and_back(two: Path) -> None:
    same_curve(two, "moving")


def test_a_checkpoint_goes_from_one_to_four_and_back(four: Path) -> None:
    same_curve(four, "moving")


def test_a_rank_is_killed_and_the_run_resumes(two: Path) -> None:
    assert start(two, 2, "killed", "cuda")[1] == -9
    assert [path.name for path in checkpoints(two / "killed")] == ["step-000001", "step-000002"]
    assert start(two, 2, "resumed", "cuda") == [0, 0]
    same_curve(two, "killed")
