"""What a run says of itself beside metrics.jsonl: when it will end, scores of what it learned, TensorBoard.

The trap: an evaluation must leave no trace in training; random numbers that it draws are given back.
"""

import time
from pathlib import Path
from typing import Any

import torch

from vl2.section import ConfigError
from vl2.train.assembly import Assembly
from vl2.train.evaluation import EvaluationSection, Evaluator, TaskScore
from vl2.train.export import export_current

BOARD_NAME = "tensorboard"


class Pace:
    """How long the rest takes at the speed of the last interval."""

    def __init__(self, step: int) -> None:
        self._step, self._at = step, time.monotonic()

    def remaining_sec(self, step: int, total: int) -> float | None:
        """Of the steps from here to the last; None if there was none since it was last asked."""
        now, done = time.monotonic(), step - self._step
        seconds = (now - self._at) / done * (total - step) if done else None
        self._step, self._at = step, now
        return seconds

    def skip(self) -> None:
        """Begin the interval here: what came before was no training."""
        self._at = time.monotonic()


def evaluate_now(
    assembly: Assembly, out: Path, section: EvaluationSection, evaluator: Evaluator
) -> dict[str, TaskScore]:
    """Score what has been learned so far; leaves it in `out`, too."""
    devices = [assembly.device] if assembly.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        return evaluator.score(export_current(assembly, out), section, str(assembly.device))


class Board:
    """TensorBoard's files: every number of a line of metrics as a curve.

    Args:
        step: where a resumed run begins; curves of steps that are done again are replaced.
    """

    def __init__(self, out: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError("tensorboard = true: needs TensorBoard; pip install 'vl2[tensorboard]'") from error
        self._writer = SummaryWriter(str(out / BOARD_NAME), purge_step=step + 1)

    def write(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            if isinstance(value, int | float) and name != "step":
                self._writer.add_scalar(name, value, record["step"])
        for task, value in record["task_loss"].items():
            self._writer.add_scalar(f"task_loss/{task}", value, record["step"])
        for task, score in record.get("evaluation", {}).items():
            self._writer.add_scalar(f"evaluation/{task}", score["value"], record["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
