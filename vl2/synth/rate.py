"""How fast a task is drawn, by one process or by several.

The trap: the first samples of a process load fonts and textures, so that each draws a few before the clock starts. The
processor time is that of the drawing process alone: a browser's (tasks gui and gui-zh) is not in it.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier
from typing import NamedTuple

from vl2.synth.registry import generate

WARM_UP = 8  # samples
_START_SEC = 120.0


class Rate(NamedTuple):
    """Images a second by the clock, all processes together, and a second of one core's time."""

    clock: float
    core: float


def images_per_second(
    task: str, count: int, workers: int = 1, *, seed: int = 0, split: str = "train", penmanship: bool = False
) -> Rate:
    """Draws `count` samples in `workers` processes, each an equal part; raises TaskError for an unknown task."""
    generate(task, seed, 0, split, penmanship=penmanship)
    share = -(-count // workers)
    if workers == 1:
        parts = [_draw(task, seed, split, 0, count, None, penmanship)]
    else:
        context = multiprocessing.get_context("spawn")  # a browser does not survive a fork
        with context.Manager() as manager, ProcessPoolExecutor(workers, context) as pool:
            barrier = manager.Barrier(workers)
            parts = [
                part.result()
                for part in [
                    pool.submit(_draw, task, seed, split, n * share, share, barrier, penmanship) for n in range(workers)
                ]
            ]
    drawn = share * workers
    return Rate(drawn / max(clock for clock, _ in parts), drawn / sum(core for _, core in parts))


def _draw(
    task: str, seed: int, split: str, first: int, count: int, barrier: Barrier | None, penmanship: bool
) -> tuple[float, float]:
    """Seconds by the clock and of processor time that `count` samples take once all processes are ready."""
    for index in range(WARM_UP):
        generate(task, seed, first + count + index, split, penmanship=penmanship)
    if barrier is not None:
        barrier.wait(_START_SEC)
    clock, core = time.perf_counter(), time.process_time()
    for index in range(first, first + count):
        generate(task, seed, index, split, penmanship=penmanship)
    return time.perf_counter() - clock, time.process_time() - core
