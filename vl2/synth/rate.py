"""How fast a task, or a mixture of tasks, is drawn, by one process or by several.

The trap: the first samples of a process load fonts and textures, so that each draws a few before the clock starts. The
processor time is that of the drawing process alone: a browser's (tasks gui and gui-zh) is not in it.
"""

import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from threading import Barrier
from typing import NamedTuple

import numpy as np

from vl2.synth.registry import generate

WARM_UP = 8  # samples
_START_SEC = 120.0


class Rate(NamedTuple):
    """Images a second by the clock, all processes together, and a second of one core's time."""

    clock: float
    core: float


def images_per_second(
    tasks: str | Mapping[str, float],
    count: int,
    workers: int = 1,
    *,
    seed: int = 0,
    split: str = "train",
    penmanship: bool = False,
) -> Rate:
    """Draws `count` samples in `workers` processes, each an equal part.

    Args:
        tasks: one, or several with their weights, of which every sample is drawn by chance.

    Raises: TaskError for an unknown task.
    """
    mixture = {tasks: 1.0} if isinstance(tasks, str) else dict(tasks)
    for task in mixture:
        generate(task, seed, 0, split, penmanship=penmanship)
    draw = partial(_draw, mixture, seed, split, penmanship)
    share = -(-count // workers)
    if workers == 1:
        parts = [draw(0, count, None)]
    else:
        context = multiprocessing.get_context("spawn")  # a browser does not survive a fork
        with context.Manager() as manager, ProcessPoolExecutor(workers, context) as pool:
            barrier = manager.Barrier(workers)
            drawing = [pool.submit(draw, n * share, share, barrier) for n in range(workers)]
            parts = [part.result() for part in drawing]
    drawn = share * workers
    return Rate(drawn / max(clock for clock, _ in parts), drawn / sum(core for _, core in parts))


def _draw(
    mixture: Mapping[str, float],
    seed: int,
    split: str,
    penmanship: bool,
    first: int,
    count: int,
    barrier: Barrier | None,
) -> tuple[float, float]:
    """Seconds by the clock and of processor time that `count` samples take once all processes are ready."""
    names, shares = list(mixture), np.cumsum(list(mixture.values())) / sum(mixture.values())
    drawn = np.searchsorted(shares, np.random.default_rng([seed, first]).random(count)).tolist()
    for place in range(WARM_UP * len(names)):
        generate(names[place % len(names)], seed, first + count + place, split, penmanship=penmanship)
    if barrier is not None:
        barrier.wait(_START_SEC)
    clock, core = time.perf_counter(), time.process_time()
    for place, which in enumerate(drawn):
        generate(names[which], seed, first + place, split, penmanship=penmanship)
    return time.perf_counter() - clock, time.process_time() - core
