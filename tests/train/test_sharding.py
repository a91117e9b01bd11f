"""Processes that hold parts of the model follow the curve of one process that holds all of it."""

import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from sharded_runs import LAST_STEP, WAYS, settings, write_texts
from started_ranks import start
from tiny_synth import TINY_SYNTH

from vl2.config import ConfigError
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.checkpoint import checkpoints
from vl2.train.config import read_recipe
from vl2.train.loop import train
from vl2.train.metrics import read_metrics


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of one process, and those of two and four beside it."""
    folder = tmp_path_factory.mktemp("runs")
    write_texts(folder)
    train("debug", folder / "one", overrides=settings(folder), synth=TINY_SYNTH)
    moving = folder / "moving"
    train("debug", moving, overrides=settings(folder), synth=TINY_SYNTH, stop_at=1)
    for world in (2, 4):
        assert start(folder, world, "ways") == [0] * world
    train("debug", moving, overrides=settings(folder), synth=TINY_SYNTH, resume=moving)
    return folder


def test_ranks_without_images_and_with_them_meet_in_a_step(runs: Path) -> None:
    """What the runs below would hang on, if a rank left out the tower."""
    assembly = assemble(read_recipe("debug", settings(runs)), TINY_SYNTH, None)
    data = stage_dataset(assembly, 0)
    steps = [[data[4 * step + rank].num_tiles for rank in range(4)] for step in range(4)]
    assert any(min(tiles) == 0 < max(tiles) for tiles in steps)
    assert any(min(tiles[0::2]) == 0 < max(tiles[1::2]) or min(tiles[1::2]) == 0 < max(tiles[0::2]) for tiles in steps)


def same_curve(one: list[dict[str, Any]], other: list[dict[str, Any]], tolerance: float = 2e-4) -> None:
    assert [line["step"] for line in other] == [line["step"] for line in one]
    for a, b in zip(one, other, strict=True):
        for key in ("loss", "patch_loss", "box_loss", "balance_loss", "grad_norm"):
            assert b[key] == pytest.approx(a[key], rel=tolerance), (a["step"], key)
        assert b["total"] == a["total"]


@pytest.mark.parametrize("way", [name for ways in WAYS.values() for name in ways])
def test_the_curve_is_that_of_one_process(runs: Path, way: str) -> None:
    same_curve(read_metrics(runs / "one"), read_metrics(runs / way))


def test_a_checkpoint_moves_between_world_sizes(runs: Path) -> None:
    """Written by one process, then two, then four, finished by one."""
    assert LAST_STEP == {2: 2, 4: 3}
    same_curve(read_metrics(runs / "one"), read_metrics(runs / "moving"))


def test_a_rank_that_is_killed_and_a_run_that_resumes_on_the_same_curve(runs: Path) -> None:
    assert start(runs, 2, "killed")[1] == -signal.SIGKILL
    assert [path.name for path in checkpoints(runs / "killed")] == ["step-000001", "step-000002"]
    assert start(runs, 2, "resumed") == [0, 0]
    same_curve(read_metrics(runs / "experts"), read_metrics(runs / "killed"), 0)


def test_all_ranks_skip_a_step_that_is_not_finite_on_one(runs: Path) -> None:
    assert [line["skipped"] for line in read_metrics(runs / "trouble")] == [0, 1, 0]


def test_all_ranks_hear_of_a_full_disk(runs: Path) -> None:
    assert "could not be written" in (runs / "error-0").read_text()
    assert "the first rank could not write it" in (runs / "error-1").read_text()


@pytest.mark.parametrize("way", ["sharded", "both"])
def test_what_is_written_does_not_know_how_many_wrote_it(runs: Path, way: str) -> None:
    for name in ("step-000004", "weights"):
        one, other = (
            {k: v for file in (runs / run / name).glob("*.safetensors") for k, v in load_file(file).items()}
            for run in ("one", way)
        )
        assert one.keys() == other.keys()
        assert all(one[key].shape == other[key].shape for key in one)


def test_what_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    def run(*overrides: str) -> None:
        train("debug", tmp_path, overrides=("log_every=1", *overrides), synth=TINY_SYNTH)

    with pytest.raises(ConfigError, match=r"parallel.shard = 2: must divide the 1 ranks"):
        run("parallel.shard=2")
    with pytest.raises(ConfigError, match=r"experts = 2: must divide shard = 3"):
        read_recipe("debug", ["parallel.shard=3", "parallel.experts=2"])
    with pytest.raises(ConfigError, match=r"recompute = 'selective': must be none or layers where parallel.experts"):
        read_recipe("debug", ["parallel.shard=2", "parallel.experts=2", "recompute=selective"])
    with pytest.raises(ConfigError, match=r"optimizer.name = 'muon': needs whole matrices"):
        read_recipe("debug", ["parallel.shard=2", "optimizer.name=muon"])
