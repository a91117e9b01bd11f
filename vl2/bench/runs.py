"""Cases of `vl2 bench`: ours, the peers and the floor side by side, from one run.

kind, model, sizes --> Row(ours, floor, peers) a case --> table, JSON
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vl2.bench import ours, peers
from vl2.bench.floors import decode_floor, prefill_floor, vision_floor
from vl2.bench.machine import Machine
from vl2.config import VL2Config
from vl2.files import write_whole
from vl2.layout import TileGrid, image_token_count
from vl2.model.vl2 import VL2

KINDS = ("decode", "prefill", "vision", "ttft", "serve")


class BenchError(ValueError):
    """A case that makes no sense; names the option, its value and the limit."""


@dataclass(frozen=True)
class Timing:
    """Seconds of repeats of one thing."""

    median: float
    low: float
    p90: float
    repeats: int

    @classmethod
    def of(cls, times: Sequence[float]) -> "Timing":
        return cls(*ours.spread(times), len(times))


@dataclass(frozen=True)
class Row:
    """One case.

    units: tokens, tiles or images of one repeat, for the rate.
    floor: seconds that the measured machine needs at least.
    """

    case: dict[str, Any]
    units: int
    ours: Timing
    floor: float
    peers: dict[str, Timing] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def of_floor(self) -> float:
        return self.floor / self.ours.median


@dataclass(frozen=True)
class Bench:
    """What is measured: a model on a device, how often; and for `serve`, tokens of a prompt and of an answer."""

    model: VL2
    machine: Machine
    repeats: int
    with_peers: bool
    prompt: int = 1024
    answer: int = 512
    _transformers: list[Any] = field(default_factory=list)

    @property
    def config(self) -> VL2Config:
        return self.model.config

    def decode(self, batch: int, context: int) -> Row:
        times, distinct = ours.decode(self.model, batch, context, self.repeats)
        others: dict[str, Timing] = {}
        if self.with_peers:
            others["plain loop"] = Timing.of(peers.plain_decode(self.model, batch, context, self.repeats))
            if (theirs := self.transformers()) is not None:
                others["transformers"] = Timing.of(peers.transformers_decode(theirs, batch, context, self.repeats))
        floor = decode_floor(self.config, self.machine, batch, context, distinct, self.model.dtype.itemsize)
        case = {"batch": batch, "context": context}
        return Row(case, batch, Timing.of(times), floor, others, {"distinct_experts": distinct})

    def prefill(self, tokens: int) -> Row:
        times = Timing.of(ours.prefill(self.model, tokens, self.repeats))
        others: dict[str, Timing] = {}
        if self.with_peers and (theirs := self.transformers()) is not None:
            others["transformers"] = Timing.of(peers.transformers_prefill(theirs, tokens, self.repeats))
        floor = prefill_floor(self.config, self.machine, tokens, self.model.dtype.itemsize)
        return Row({"tokens": tokens}, tokens, times, floor, others)

    def vision(self, tiles: int) -> Row:
        times = Timing.of(ours.vision(self.model, tiles, self.repeats))
        return Row({"tiles": tiles}, tiles, times, vision_floor(self.config, self.machine, tiles))

    def ttft(self, grid: TileGrid) -> Row:
        times = Timing.of(ours.ttft(self.model, grid, self.repeats))
        encoded = 1 if grid.num_tiles == 2 else grid.num_tiles  # both views of a 1x1 image are the same
        tokens = image_token_count(grid, self.config.tile_side) + 20
        floor = vision_floor(self.config, self.machine, encoded)
        floor += prefill_floor(self.config, self.machine, tokens, self.model.dtype.itemsize)
        return Row({"grid": f"{grid.rows}x{grid.cols}", "tiles": encoded, "tokens": tokens}, 1, times, floor)

    def serve(self, requests: int, running: int) -> Row:
        """Tokens a second under more load than can run at a time; one repeat, of many tokens."""
        done = ours.serve(self.model, requests, self.prompt, self.answer, running)
        itemsize, tokens = self.model.dtype.itemsize, self.prompt + self.answer // 2
        experts = self.config.language_config.n_routed_experts or 0
        step = decode_floor(self.config, self.machine, running, tokens, experts, itemsize)
        images = -(-requests // 3)
        with_image = self.prompt + image_token_count(TileGrid(rows=1, cols=1), self.config.tile_side)
        floor = done.num_tokens / running * step + vision_floor(self.config, self.machine, images)
        floor += images * prefill_floor(self.config, self.machine, with_image, itemsize)
        floor += (requests - images) * prefill_floor(self.config, self.machine, self.prompt, itemsize)
        facts = {
            "ttft_median": float(np.median(done.ttft)),
            "gap_median": float(np.median(done.gaps)),
            "gap_p99": float(np.percentile(done.gaps, 99)),
        }
        case = {"requests": requests, "running": running, "prompt": self.prompt, "answer": self.answer}
        return Row(case, done.num_tokens, Timing.of([done.total]), floor, {}, facts)

    def transformers(self) -> Any:
        if find_spec("transformers") is None:
            raise BenchError("transformers is not installed: pip install 'vl2[bench]', or pass --no-peers")
        if not self._transformers:
            self._transformers.append(peers.transformers_model(self.config, self.model.device, self.model.dtype))
        return self._transformers[0]

    def cases(self, kind: str, sizes: Sequence[int], batches: Sequence[int]) -> Iterator[Row]:
        """Rows of one kind: contexts or requests x batches, prompt lengths, numbers of tiles, grids of size x size."""
        if kind in ("decode", "serve"):
            pairs = ((size, batch) for batch in batches for size in sizes)
            yield from (self.decode(b, s) if kind == "decode" else self.serve(s, b) for s, b in pairs)
            return
        if kind == "ttft":
            yield from (self.ttft(TileGrid(rows=size, cols=size)) for size in sizes)
            return
        run: dict[str, Callable[[int], Row]] = {"prefill": self.prefill, "vision": self.vision}
        yield from (run[kind](size) for size in sizes)


def results(rows: Sequence[Row], bench: Bench, kind: str, model: str) -> dict[str, Any]:
    """Everything measured, for a results file."""
    content = {
        "kind": kind,
        "model": model,
        "layers": bench.config.language_config.num_hidden_layers,
        "machine": asdict(bench.machine),
        "rows": [{**asdict(row), "of_floor": row.of_floor} for row in rows],
    }
    if bench.model.device.type == "cuda":
        content["peak_memory_bytes"] = torch.cuda.max_memory_allocated(bench.model.device)
    return content


def save(content: dict[str, Any], path: Path) -> None:
    """Write a results file, whole or not at all."""
    with write_whole(path) as staging:
        staging.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
