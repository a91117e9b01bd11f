"""How long something takes: on the host's clock, or on the device's own between two events.

The trap: a captured graph holds launches and addresses. What is replayed must read memory that stays where it is.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

_MANY = 8  # calls between two events at least, so that the events themselves do not count
_CACHE_BYTES = 64 << 20  # last-level cache, where the device does not tell
_MOST_COPIES = 256


class BenchError(ValueError):
    """A case that makes no sense; names the option, its value and the limit."""


@dataclass(frozen=True)
class Timing:
    """Seconds of repeats of one thing; `spread`: from lowest to 90th percentile, as a share of the median."""

    median: float
    low: float
    p90: float
    spread: float
    repeats: int

    @classmethod
    def of(cls, times: Sequence[float]) -> "Timing":
        median, low, p90 = float(np.median(times)), min(times), float(np.percentile(times, 90))
        return cls(median, low, p90, (p90 - low) / median, len(times))


def say(line: str) -> None:
    """What was not measured as asked for, and why: never on stdout, where the figures are."""
    print(line, file=sys.stderr, flush=True)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def copies_for(num_bytes: float, device: torch.device) -> int:
    """How many copies of what a call reads must take turns until a cache cannot hold what the next one needs."""
    if device.type != "cuda":
        return 2
    cache = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) or _CACHE_BYTES
    return min(int(4 * cache / max(num_bytes, 1)) + 2, _MOST_COPIES)


def rotated_seconds(
    calls: Sequence[Callable[[], object]], device: torch.device, repeats: int, graph: bool = False
) -> tuple[list[float], bool]:
    """Seconds of one of `calls`, which do the same on different memory, in each of `repeats` rounds through all.

    Args:
        graph: on CUDA, replay the rounds from a captured graph, so that launches by the host do not count.

    Returns: the seconds, and whether they are of a graph.
    """
    if device.type != "cuda":
        _round(calls)
        return [seconds(lambda: _round(calls), device) / len(calls) for _ in range(repeats)], False
    calls = list(calls) * -(-_MANY // len(calls))
    replay = _captured(calls, device) if graph else None
    run = replay or (lambda: _round(calls))
    run()
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats + 1)]
    for begin, end in events:  # all are queued before the first is done, so the device never waits for the host
        begin.record()
        run()
        end.record()
    torch.cuda.synchronize(device)
    return [begin.elapsed_time(end) / 1e3 / len(calls) for begin, end in events[1:]], replay is not None


def _round(calls: Sequence[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _captured(calls: Sequence[Callable[[], object]], device: torch.device) -> Callable[[], None] | None:
    """Replays of one round; None, with a line on stderr, if something in it cannot be captured."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):  # kernels are compiled and chosen here, which a capture forbids
        _round(calls)
    torch.cuda.current_stream(device).wait_stream(stream)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            _round(calls)
    except RuntimeError as error:
        say(f"no graph of this case, so launches count: {str(error).splitlines()[0]}")
        torch.cuda.synchronize(device)
        return None
    return graph.replay
