"""Killed runs, full disks, damaged checkpoints: what was written whole is found again, and the curve goes on."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from killed_run import KILLS, SETTINGS
from tiny_synth import TINY_SYNTH

from vl2.train.checkpoint import CheckpointError, checkpoints
from vl2.train.loop import Outcome, train
from vl2.train.metrics import read_metrics

HERE = Path(__file__).parent


def run(out: Path, resume: Path | None = None, stop_at: int | None = None) -> Outcome:
    return train("debug", out, overrides=SETTINGS, synth=TINY_SYNTH, resume=resume, stop_at=stop_at)


def losses(out: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read_metrics(out)]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("straight")).checkpoint.parent


def copy_of(straight: Path, out: Path) -> Path:
    shutil.copytree(straight, out)
    return out


def test_a_run_that_is_killed_at_any_moment_goes_on_along_the_same_curve(straight: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "killed_run.py"), str(tmp_path), "1"]
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, timeout=240, capture_output=True, text=True, check=True)
    ends = [line.split(": ")[1].split(",")[0] for line in done.stdout.splitlines() if line.startswith("attempt")]
    assert len(ends) == KILLS + 1
    assert "9" in ends
    assert ends[-1] == "0"
    assert losses(tmp_path) == losses(straight)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("harm", ["truncated", "changed", "removed"])
def test_a_damaged_checkpoint_is_passed_over(
    straight: Path, tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = copy_of(straight, tmp_path / "run")
    newest = checkpoints(out)[-1]
    file = newest / "moments-00001.safetensors"
    content = bytearray(file.read_bytes())
    if harm == "removed":
        file.unlink()
    elif harm == "truncated":
        file.write_bytes(content[: len(content) // 2])
    else:
        content[-1] ^= 1
        file.write_bytes(content)
    assert run(out, resume=out).finished
    assert losses(out) == losses(straight)
    said = capsys.readouterr().out
    assert f"{newest}: moments-00001.safetensors is" in said
    assert "; using step-000007" in said
    file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="torn or damaged"):
        run(out, resume=newest)


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file may grow beyond `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_older_checkpoints(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, stop_at=2)
    with full_disk(200_000), pytest.raises(CheckpointError, match=r"step-000005: could not be written .* make room"):
        run(tmp_path, resume=tmp_path, stop_at=5)
    said = capsys.readouterr().out
    assert f"warning: {tmp_path}/step-000004: could not be written" in said
    assert [path.name for path in checkpoints(tmp_path)] == ["step-000001", "step-000002"]
    assert not list(tmp_path.glob(".*"))
    run(tmp_path, resume=tmp_path)
    assert losses(tmp_path) == losses(straight)
