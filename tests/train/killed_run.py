"""A run that is killed again and again, each time after another while: python killed_run.py FOLDER SEED."""

import os
import random
import signal
import sys
import time
from pathlib import Path

from tiny_synth import TINY_SYNTH

from vl2.train.checkpoint import checkpoints
from vl2.train.loop import train

SETTINGS = (
    "stages.0.steps=8", "stages.0.warmup_steps=2", "stages.0.mixture={line=1, scene=2}",
    "stages.0.patch_loss_weight=1.0", "log_every=1", "checkpoint.every_steps=1", "checkpoint.every_sec=0",
)  # fmt: skip
KILLS = 6


def main(folder: Path, seed: int) -> None:
    """Every attempt is a process of its own, forked before anything was computed here."""
    rng = random.Random(seed)
    for attempt in range(KILLS + 1):
        child = os.fork()
        if not child:
            resume = folder if checkpoints(folder) else None
            train("debug", folder, overrides=SETTINGS, synth=TINY_SYNTH, resume=resume)
            os._exit(0)
        if attempt < KILLS:
            time.sleep(rng.uniform(0.2, 1.2))
            os.kill(child, signal.SIGKILL)
        print(
            f"attempt {attempt}: {os.waitpid(child, 0)[1]}, {[path.name for path in checkpoints(folder)]}", flush=True
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
