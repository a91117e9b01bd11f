"""CUDA graphs: what a function launches, captured once for each set of shapes and replayed.

    inputs --copied to where the graph reads them--> replay --> outputs, where the graph writes them

The trap: a graph reads and writes the same memory at every replay; what it gave must be read before the next one.
"""

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

Compute = Callable[..., tuple[Tensor, ...]]


class Graphs:
    """Graphs of one engine, which share memory, captured when a set of shapes first comes up."""

    def __init__(self) -> None:
        self._captured: dict[Hashable, tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], tuple[Tensor, ...]]] = {}
        self._pool: Any = None
        self.num_replays = 0

    def replay(
        self,
        key: Hashable,
        compute: Compute,
        inputs: tuple[Tensor, ...],
        first: Callable[[], tuple[Tensor, ...]] | None = None,
    ) -> tuple[Tensor, ...]:
        """What `compute` makes of the inputs, valid until the next replay.

        Args:
            key: names the function and the shapes of its inputs.
            inputs: on the device, or in memory that it can copy without the host.
            first: gives inputs to try it with before it is captured, if computing `inputs` twice would harm.
        """
        self.prepare(key, compute, inputs if first is None or key in self._captured else first())
        graph, places, outputs = self._captured[key]
        for place, given in zip(places, inputs, strict=True):
            place.copy_(given, non_blocking=True)
        graph.replay()
        self.num_replays += 1
        return outputs

    def prepare(self, key: Hashable, compute: Compute, inputs: tuple[Tensor, ...]) -> None:
        """Capture a graph, if that has not been done."""
        if key not in self._captured:
            self._captured[key] = self._capture(compute, inputs)

    def _capture(
        self, compute: Compute, inputs: tuple[Tensor, ...]
    ) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], tuple[Tensor, ...]]:
        places = tuple(given.to("cuda", copy=True) for given in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            compute(*places)  # compiles and loads all kernels, which must not happen while capturing
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # thread_local: threads of torch.distributed may ask the device something meanwhile
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = compute(*places)
        self._pool = graph.pool()
        return graph, places, outputs
