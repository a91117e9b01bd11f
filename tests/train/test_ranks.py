"""Several processes, as torchrun starts them, take the same steps as one."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tiny_synth import TINY_SYNTH
from torch import Tensor, nn

from vl2.config import ConfigError
from vl2.train import gradient_sums
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.config import read_recipe
from vl2.train.loop import train
from vl2.train.metrics import read_metrics
from vl2.train.ranks import Ranks

SETTINGS = (
    "stages.0.steps=5", "stages.0.warmup_steps=2", "stages.0.accumulation=2", "stages.0.patch_loss_weight=1.0",
    "stages.0.box_loss_factor=0.5", "stages.0.mixture={line=1, scene=1}", "log_every=2", "checkpoint.every_sec=0",
    "optimizer.name=muon",
)  # fmt: skip


def main(out: str) -> None:
    """What every process of the run does; messages are small, so that there are many of them."""
    gradient_sums.BUCKET_BYTES = 1 << 14
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


def check_slowest(lines: list[dict[str, Any]]) -> None:
    """What the ranks of a step drew, against the batches themselves: two of a step, two steps of the first line."""
    data = stage_dataset(assemble(read_recipe("debug", SETTINGS), TINY_SYNTH, None), 0)
    batches = [data[number] for number in range(4)]
    for name, drawn in (("tiles", [b.num_tiles for b in batches]), ("tokens", [b.num_tokens for b in batches])):
        expected = [2 * max(pair) / sum(pair) for pair in (drawn[:2], drawn[2:])]
        assert lines[0]["slowest_rank"][name] == pytest.approx(sum(expected) / 2, rel=1e-5)
        room = 4 * (data.budget.tiles if name == "tiles" else data.budget.tokens)
        assert lines[0]["fill"][name] == pytest.approx(sum(drawn) / room, rel=1e-5)
    assert all(1 <= line["slowest_rank"]["work_sec"] < 2 for line in lines)


def test_gradients_that_come_in_another_order_or_not_at_all_are_summed_in_one_order(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """Buckets, not parameters, wait for each other; what no gradient reached is zero."""
    begun: list[list[float]] = []
    real = dist.all_reduce

    def all_reduce(tensor: Tensor, **settings: Any) -> Any:
        begun.append(tensor.flatten().tolist())
        return real(tensor, **settings)

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    request.addfinalizer(dist.destroy_process_group)
    monkeypatch.setattr(gradient_sums.dist, "all_reduce", all_reduce)
    monkeypatch.setattr(gradient_sums, "BUCKET_BYTES", 8)
    first, second, third, frozen = (nn.Parameter(torch.full((1,), float(n))) for n in range(1, 5))
    frozen.requires_grad_(False)
    untouched = nn.Parameter(torch.ones(3))
    sums = gradient_sums.GradientSums([first, second, untouched, third, frozen], 2)
    (first * 10).backward()  # an earlier micro-batch
    assert begun == []
    sums.expect_last()
    (third * 5).backward()
    assert begun == [[5.0]]
    (first * second).backward()
    assert begun == [[5.0]]  # the one before them is not full
    sums.finish()
    assert begun == [[5.0], [0.0, 0.0, 0.0], [1.0, 12.0]]
    grads = [None if p.grad is None else p.grad.tolist() for p in (first, second, untouched, third, frozen)]
    assert grads == [[12.0], [1.0], [0.0, 0.0, 0.0], [5.0], None]
    sums.close()
    sums.expect_last()
    (third * 5).backward()
    assert len(begun) == 3


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
    check_slowest(two)
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
