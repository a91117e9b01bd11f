"""A run in progress, what surrounds it and what comes of it.

    Run --train--> Outcome

The trap: several ranks must agree to stop, or those that go on wait for ever.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vl2.train.assembly import Assembly
from vl2.train.checkpoint import TrainState
from vl2.train.config import TrainConfig
from vl2.train.display import Display
from vl2.train.evaluation import Evaluator
from vl2.train.metrics import MetricsLog
from vl2.train.optim import Optimizer
from vl2.train.ranks import Ranks
from vl2.train.reports import Board, Pace
from vl2.train.sharding import Sharding


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    finished: all steps done (otherwise the time limit, stop_at or a signal ended it).
    checkpoint: the last checkpoint; weights: exported weights in official layout.
    """

    step: int
    finished: bool
    checkpoint: Path
    weights: Path


@dataclass
class Run:
    """A run in progress."""

    assembly: Assembly
    optimizer: Optimizer
    state: TrainState
    out: Path
    ranks: Ranks
    sharding: Sharding | None
    log: MetricsLog | None
    board: Board | None
    evaluator: Evaluator | None
    pace: Pace
    display: Display
    stop_at: int
    stopping: threading.Event
    stopped: bool = False
    started: float = field(default_factory=time.monotonic)
    last_saved: float = field(default_factory=time.monotonic)

    @property
    def config(self) -> TrainConfig:
        return self.assembly.config

    def check_stop(self) -> None:
        """Set `stopped` at the last step, at the time limit and after a signal. Several ranks agree on the latter two
        where they wait for each other anyway: at steps with a line of metrics."""
        if self.state.step >= self.stop_at:
            self.stopped = True
        elif self.ranks.count == 1 or self.state.step % self.config.log_every == 0:
            limit = self.config.time_limit_sec
            late = bool(limit) and time.monotonic() - self.started >= limit
            self.stopped = self.ranks.any(late or self.stopping.is_set(), self.assembly.device)


@contextmanager
def repeatable(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """On the CPU sums happen in a fixed order, so that a resume gives the same digits; on CUDA that costs speed."""
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.use_deterministic_algorithms(before or device.type == "cpu")
    torch.set_num_threads(config.cpu_threads or threads)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads)


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM end the run after the current step, with a checkpoint; a second Ctrl-C ends it at once."""
    stopping = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return

    def request(number: int, _: object) -> None:
        stopping.set()
        signal.signal(number, before[number])

    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, request)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
