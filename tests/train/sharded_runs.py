"""What the processes of tests/train/test_sharding.py do: several runs one after the other, since starting is slow.

python sharded_runs.py FOLDER WORLD ways|killed|resumed cpu|cuda   as rank RANK of the environment
"""

import faulthandler
import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiny_synth import TINY_SYNTH

import vl2.train.step as step
from vl2.train.checkpoint import CheckpointError
from vl2.train.loop import train
from vl2.train.loss import Losses

WAYS = {  # world size: name of a run: (parallel.shard, parallel.experts)
    2: {"sharded": (2, 1), "experts": (2, 2)},
    4: {"both": (4, 2), "copies": (2, 2)},
}
WHOLE = {"whole": (1, 1)}  # each rank all of the model; on CPUs tests/train/test_ranks.py does that
LAST_STEP = {2: 2, 4: 3}  # of the run that moves between world sizes


def settings(folder: Path, device: str = "cpu") -> tuple[str, ...]:
    """Of all runs: one prompt a micro-batch, of which some have no image."""
    return (
        "stages.0.steps=4", "stages.0.warmup_steps=2", "stages.0.accumulation=4", "stages.0.patch_loss_weight=1.0",
        "stages.0.box_loss_factor=0.5", "stages.0.mixture={line=1, scene=1, texts=2}", "stages.0.max_prompts=1",
        "stages.0.tokens_per_batch=384", "stages.0.tiles_per_batch=3", f"records.texts={folder / 'texts.jsonl'}",
        "log_every=1", "checkpoint.every_sec=0", f"device={device}", "compile=none",
    )  # fmt: skip


def write_texts(folder: Path) -> None:
    """Conversations without images."""
    talks = [[{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"{n}" * 9}] for n in range(5)]
    lines = [json.dumps({"messages": talk}) for talk in talks]
    (folder / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")


def parallel(shard: int, experts: int) -> tuple[str, ...]:
    return f"parallel.shard={shard}", f"parallel.experts={experts}"


def run_into_trouble(folder: Path) -> None:
    """NaN on the second rank in the second step, and a disk that is full when the first one writes the end."""
    real, rank, calls = step.batch_losses, int(os.environ["RANK"]), 0

    def broken(*args: Any, **settings: Any) -> Losses:
        nonlocal calls
        calls += 1
        losses = real(*args, **settings)
        return replace(losses, text=losses.text * float("nan")) if rank == 1 and calls == 3 else losses

    step.batch_losses = broken
    if rank == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, -1))
    try:
        train("debug", folder / "trouble", overrides=(*settings(folder), *parallel(2, 2)), synth=TINY_SYNTH, stop_at=3)
    except CheckpointError as error:
        (folder / f"error-{rank}").write_text(str(error), encoding="utf-8")


def run_until_killed(folder: Path, device: str) -> None:
    """SIGKILL ends the second rank in the middle of the third step; the first waits for it, and is ended by others."""
    real, rank, calls = step.batch_losses, int(os.environ["RANK"]), 0

    def deadly(*args: Any, **settings: Any) -> Losses:
        nonlocal calls
        calls += 1
        if rank == 1 and calls == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **settings)

    step.batch_losses = deadly
    overrides = (*settings(folder, device), *parallel(2, 2), "checkpoint.every_steps=1")
    train("debug", folder / "killed", overrides=overrides, synth=TINY_SYNTH)


def run_ways(folder: Path, world: int, device: str) -> None:
    first_port, given = int(os.environ["MASTER_PORT"]), settings(folder, device)
    ways = WAYS[world] | (WHOLE if device == "cuda" else {})
    for number, (name, sizes) in enumerate(ways.items()):
        os.environ["MASTER_PORT"] = str(first_port + number)
        train("debug", folder / name, overrides=(*given, *parallel(*sizes)), synth=TINY_SYNTH)
    os.environ["MASTER_PORT"] = str(first_port + len(ways))
    moving, overrides = folder / "moving", (*given, *parallel(world, 2))
    train("debug", moving, overrides=overrides, synth=TINY_SYNTH, resume=moving, stop_at=LAST_STEP[world])
    if world == 2 and device == "cpu":
        os.environ["MASTER_PORT"] = str(first_port + len(ways) + 1)
        run_into_trouble(folder)


def main(folder: Path, world: int, what: str, device: str) -> None:
    if what == "ways":
        run_ways(folder, world, device)
    elif what == "killed":
        run_until_killed(folder, device)
    else:
        killed, overrides = folder / "killed", (*settings(folder, device), *parallel(2, 2))
        train("debug", killed, overrides=overrides, synth=TINY_SYNTH, resume=killed)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(220, exit=True)  # where it waits, if it waits for ever
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5])
