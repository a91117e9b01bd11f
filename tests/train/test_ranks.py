"""Several processes, as torchrun starts them, take the same steps as one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_synth import TINY_SYNTH

from vl2.config import ConfigError
from vl2.train.loop import train
from vl2.train.metrics import read_metrics
from vl2.train.ranks import Ranks

SETTINGS = (
    "stages.0.steps=5", "stages.0.warmup_steps=2", "stages.0.accumulation=2", "stages.0.patch_loss_weight=1.0",
    "stages.0.box_loss_factor=0.5", "stages.0.mixture={line=1, scene=1}", "log_every=2", "checkpoint.every_sec=0",
    "optimizer.name=muon",
)  # fmt: skip


def main(out: str) -> None:
    """What every process of the run does."""
    train("debug", Path(out), overrides=SETTINGS, synth=TINY_SYNTH)


def start(out: Path, rank: int, count: int, port: int) -> subprocess.Popen[bytes]:
    place = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": count,
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": 1,
    }
    environment = os.environ | {key: str(value) for key, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    return subprocess.Popen([sys.executable, __file__, str(out)], env=environment)


def test_two_processes_follow_the_curve_of_one(tmp_path: Path) -> None:
    train("debug", tmp_path / "one", overrides=SETTINGS, synth=TINY_SYNTH)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = [start(tmp_path / "two", rank, 2, port) for rank in range(2)]
    try:
        assert [process.wait(timeout=120) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    one, two = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    assert [line["step"] for line in two] == [line["step"] for line in one] == [2, 4, 5]
    for a, b in zip(one, two, strict=True):
        for key in ("loss", "patch_loss", "box_loss", "balance_loss", "grad_norm"):
            assert b[key] == pytest.approx(a[key], rel=1e-4), key
        assert b["total"] == a["total"]
        assert b["expert_load"] == a["expert_load"]
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )


def test_a_step_must_divide_among_the_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vl2.train.loop as loop

    class Joined:
        def __enter__(self) -> Ranks:
            return Ranks(0, 3)

        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(loop, "joined", lambda device: Joined())
    with pytest.raises(ConfigError, match=r"accumulation = 2: must be a multiple of the 3 ranks"):
        train("debug", tmp_path, overrides=SETTINGS, synth=TINY_SYNTH)


if __name__ == "__main__":
    main(sys.argv[1])
