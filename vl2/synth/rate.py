"""How fast a task is drawn, by one process or by several.

The trap: the first samples of a process load fonts and textures, so that each draws a few before the clock starts.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier

from vl2.synth.registry import generate

WARM_UP = 8  # samples
_START_SEC = 120.0


def images_per_second(task: str, count: int, workers: int = 1, *, seed: int = 0, split: str = "train") -> float:
    """Draws `count` samples in `workers` processes, each an equal part; raises TaskError for an unknown task."""
    generate(task, seed, 0, split)
    if workers == 1:
        return count / _draw(task, seed, split, 0, count, None)
    share = -(-count // workers)
    context = multiprocessing.get_context("spawn")  # a browser does not survive a fork
    with context.Manager() as manager, ProcessPoolExecutor(workers, context) as pool:
        barrier = manager.Barrier(workers)
        parts = [pool.submit(_draw, task, seed, split, n * share, share, barrier) for n in range(workers)]
        return workers * share / max(part.result() for part in parts)


def _draw(task: str, seed: int, split: str, first: int, count: int, barrier: Barrier | None) -> float:
    """Seconds that `count` samples take once all processes are ready."""
    for index in range(WARM_UP):
        generate(task, seed, first + count + index, split)
    if barrier is not None:
        barrier.wait(_START_SEC)
    start = time.perf_counter()
    for index in range(first, first + count):
        generate(task, seed, index, split)
    return time.perf_counter() - start
