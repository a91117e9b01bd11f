"""Cases of `vl2 bench`: ours, the peers and the floor side by side, from one run.

kind, sizes --measure--> Row(ours, floor) a case --free, compare--> peers of the same rows --> table, JSON

The trap: two models may not fit the device together, so all of ours is measured before the first peer is built.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vl2.bench import layers, ours, peers, training
from vl2.bench.floors import attention_floor, decode_floor, moe_floor, prefill_floor, vision_floor
from vl2.bench.machine import Machine
from vl2.bench.timing import BenchError, Timing
from vl2.config import VL2Config
from vl2.files import write_whole
from vl2.layout import TileGrid, image_token_count
from vl2.model.vl2 import VL2
from vl2.train.ranks import ALONE, Ranks
from vl2.train.sharding import Sharding

KINDS = ("decode", "prefill", "vision", "ttft", "serve", "moe", "attention", "train")
DIVIDED_KINDS = ("decode", "prefill", "ttft", "serve")  # what ranks that hold a model together measure
LAYER_KINDS = ("moe", "attention")  # of one layer, without a model
PLAIN = "plain loop"


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

    @property
    def best_peer(self) -> tuple[str, float] | None:
        """The fastest of the others, our own plain loop apart, and how many times as fast we are."""
        others = {name: timing.median for name, timing in self.peers.items() if name != PLAIN}
        if not others:
            return None
        name = min(others, key=lambda name: others[name])
        return name, others[name] / self.ours.median


@dataclass
class Bench:
    """What is measured, on what, how often.

    model: may be None for the kinds of one layer; `free` drops it.
    prompt, answer: tokens, for `serve`.
    plain: whether the plain loop is timed, too.
    how, sharding: to train, for `train`.
    ranks: that train together, or hold the model together and measure the same, each on its device.
    """

    config: VL2Config
    device: torch.device
    dtype: torch.dtype
    machine: Machine
    repeats: int
    model: VL2 | None = None
    prompt: int = 1024
    answer: int = 512
    plain: bool = False
    how: training.Training = training.DEFAULT
    ranks: Ranks = ALONE
    sharding: Sharding | None = None

    def build_to_train(self) -> None:
        """A model of random weights, divided among the ranks as `how` says. Raises ConfigError, BenchError."""
        self.sharding = Sharding.of(self.how.parallel, self.ranks, self.device)
        if self.sharding:
            self.model = training.divided_model(self.config, self.dtype, self.sharding)
        else:
            self.model = ours.random_model(self.config, self.device, self.dtype)

    @property
    def _model(self) -> VL2:
        assert self.model is not None
        return self.model

    def decode(self, batch: int, context: int) -> Row:
        done = ours.decode(self._model, batch, context, self.repeats)
        others: dict[str, Timing] = {}
        if self.plain:
            others[PLAIN] = Timing.of(peers.plain_decode(self._model, batch, context, self.repeats))
        sizes = done.context, done.distinct_experts, self.dtype.itemsize, self.ranks.count
        floor = decode_floor(self.config, self.machine, batch, *sizes)
        facts = {"distinct_experts": done.distinct_experts, "cached_tokens": done.context}
        return Row({"batch": batch, "context": context}, batch, Timing.of(done.times), floor, others, facts)

    def prefill(self, tokens: int) -> Row:
        times = Timing.of(ours.prefill(self._model, tokens, self.repeats))
        return Row({"tokens": tokens}, tokens, times, self._prefill_floor(tokens))

    def vision(self, tiles: int) -> Row:
        times = Timing.of(ours.vision(self._model, tiles, self.repeats))
        return Row({"tiles": tiles}, tiles, times, vision_floor(self.config, self.machine, tiles))

    def ttft(self, grid: TileGrid) -> Row:
        times = Timing.of(ours.ttft(self._model, grid, self.repeats))
        encoded = 1 if grid.num_tiles == 2 else grid.num_tiles  # both views of a 1x1 image are the same
        tokens = image_token_count(grid, self.config.tile_side) + 20
        floor = vision_floor(self.config, self.machine, encoded) + self._prefill_floor(tokens)
        return Row({"grid": f"{grid.rows}x{grid.cols}", "tiles": encoded, "tokens": tokens}, 1, times, floor)

    def serve(self, requests: int, running: int) -> Row:
        """Tokens a second under more load than can run at a time; one repeat, of many tokens."""
        done = ours.serve(self._model, requests, self.prompt, self.answer, running)
        tokens, experts = self.prompt + self.answer // 2, self.config.language_config.n_routed_experts or 0
        sizes = tokens, experts, self.dtype.itemsize, self.ranks.count
        step = decode_floor(self.config, self.machine, running, *sizes)
        images = -(-requests // 3)
        with_image = self.prompt + image_token_count(TileGrid(rows=1, cols=1), self.config.tile_side)
        floor = done.num_tokens / running * step + vision_floor(self.config, self.machine, images)
        floor += images * self._prefill_floor(with_image) + (requests - images) * self._prefill_floor(self.prompt)
        facts = {
            "tokens_per_second": done.num_tokens / done.total,
            "ttft_median": float(np.median(done.ttft)),
            "gap_median": float(np.median(done.gaps)),
            "gap_p99": float(np.percentile(done.gaps, 99)),
        }
        case = {"requests": requests, "running": running, "prompt": self.prompt, "answer": self.answer}
        return Row(case, done.num_tokens, Timing.of([done.total]), floor, {}, facts)

    def moe(self, tokens: int) -> Row:
        done = layers.moe(self.config.language_config, tokens, self.repeats, self.device, self.dtype)
        distinct = done.facts["distinct_experts"]
        floor = moe_floor(self.config, self.machine, tokens, distinct, self.dtype.itemsize)
        return Row({"tokens": tokens}, tokens, done.timing, floor, {}, done.facts)

    def attention(self, batch: int, context: int) -> Row:
        done = layers.attention(self.config.language_config, batch, context, self.repeats, self.device, self.dtype)
        floor = attention_floor(self.config, self.machine, batch, context, self.dtype.itemsize)
        return Row({"batch": batch, "context": context}, batch, done.timing, floor, {}, done.facts)

    def train(self, tokens: int) -> Row:
        """A whole step of the language model; tiles are apart. of_floor is the share of the measured product rate."""
        ranks = self.ranks
        done = training.train(self._model, tokens, self.repeats, self.how, self.machine, ranks, self.sharding)
        sequence = min(self.how.sequence, tokens)
        lengths = (sequence,) * (tokens // sequence)
        floor = training.training_floor(self.config, self.machine, lengths, frozen=self.how.lora > 0)
        times = Timing.of(done.times)
        facts = {**done.facts, "tokens_per_second": ranks.count * sum(lengths) / times.median}
        case: dict[str, Any] = {"tokens": tokens, "sequence": sequence} | self.how.unusual()
        weights = str(self.dtype).removeprefix("torch.")
        if weights != self.machine.dtype:
            case["weights"] = weights  # multiplied in the other
        if ranks.count > 1:
            case |= {"ranks": ranks.count, "shard": self.how.parallel.shard, "experts": self.how.parallel.experts}
            facts["tokens_per_second_of_a_rank"] = facts["tokens_per_second"] / ranks.count
        facts["of_floor_without_optimizer"] = floor / (done.facts["forward_sec"] + done.facts["backward_sec"])
        return Row(case, ranks.count * sum(lengths), times, floor, {}, facts)

    def measure(self, kind: str, sizes: Sequence[int], batches: Sequence[int]) -> Iterator[Row]:
        """Ours: contexts or requests x batches, numbers of tokens or tiles, grids of size x size."""
        runs: list[Callable[[], Row]]
        if kind in ("decode", "serve", "attention"):
            pairs = [(size, batch) for batch in batches for size in sizes]
            if kind == "serve":
                runs = [partial(self.serve, size, batch) for size, batch in pairs]
            else:
                runs = [partial(getattr(self, kind), batch, size) for size, batch in pairs]
        elif kind == "ttft":
            runs = [partial(self.ttft, TileGrid(rows=size, cols=size)) for size in sizes]
        else:
            runs = [partial(getattr(self, kind), size) for size in sizes]
        for run in runs:
            peers.tidy()
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.device)
            row = run()
            if self.device.type == "cuda":
                row.facts.setdefault("peak_memory_bytes", torch.cuda.max_memory_allocated(self.device))
            yield row

    def compare(self, kind: str, rows: Sequence[Row]) -> Iterator[Row]:
        """Put the peers' times into rows of ours, which is dropped first; a row after each way to run them."""
        if kind not in ("decode", "prefill", "moe", "train") or self.how.lora:
            return
        if find_spec("transformers") is None:
            raise BenchError("transformers is not installed: pip install 'vl2[bench]', or pass --no-peers")
        self.model = None
        peers.tidy()
        theirs = None if kind == "moe" else self._transformers()
        for row in rows:
            for mode, call in self._theirs(kind, row, theirs):
                if (timing := peers.attempt(f"{mode.name}, {row.case}", call)) is not None:
                    row.peers[mode.name] = timing
                yield row

    def _theirs(self, kind: str, row: Row, model: Any) -> list[tuple[peers.Mode, Callable[[], list[float]]]]:
        """What there is to compare a case with."""
        text, case = self.config.language_config, row.case
        if kind == "moe":
            modes = peers.moe_modes(self.device, case["tokens"])
            shape = (text, case["tokens"], int(row.facts["copies"]), self.repeats, self.device, self.dtype)
            return [(mode, partial(peers.transformers_moe, *shape, mode)) for mode in modes]
        if model is None:
            return []
        if kind == "train":
            return [
                (mode, partial(peers.transformers_train, model, case, self.repeats, mode, row.facts))
                for mode in peers.TRAIN_MODES
            ]
        batch, tokens = case.get("batch", 1), case.get("context") or case["tokens"]
        needed = peers.decode_bytes(text, batch, tokens, self.dtype)
        if not peers.room(self.device, needed, f"transformers, {case}"):
            return []
        if kind == "prefill":
            modes = peers.prefill_modes(self.device)
            return [(mode, partial(peers.transformers_prefill, model, tokens, self.repeats, mode)) for mode in modes]
        modes = peers.decode_modes(self.device, batch)
        return [(mode, partial(peers.transformers_decode, model, batch, tokens, self.repeats, mode)) for mode in modes]

    def _transformers(self) -> Any:
        """Their model; None if there is none of this shape, or no room for it."""
        if not peers.room(self.device, peers.weight_bytes(self.config, self.dtype), "transformers"):
            return None
        return peers.transformers_model(self.config, self.device, self.dtype)

    def _prefill_floor(self, tokens: int) -> float:
        return prefill_floor(self.config, self.machine, tokens, self.dtype.itemsize, self.ranks.count)


def results(rows: Sequence[Row], bench: Bench, kind: str, model: str) -> dict[str, Any]:
    """Everything measured, for a results file."""
    return {
        "kind": kind,
        "model": model,
        "layers": bench.config.language_config.num_hidden_layers,
        "ranks": bench.ranks.count,
        "machine": asdict(bench.machine),
        "rows": [
            {
                **asdict(row),
                "of_floor": row.of_floor,
                "best_peer": dict(zip(("name", "speedup"), row.best_peer, strict=True)) if row.best_peer else None,
            }
            for row in rows
        ],
    }


def set_beside(row: Row, path: Path) -> None:
    """How much of the tokens a second of one process alone, in a results file, a rank of this row has."""
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))["rows"]
        sizes = {key: row.case[key] for key in ("tokens", "sequence", "weights") if key in row.case}
        alone = next(other["facts"]["tokens_per_second"] for other in measured if other["case"] == sizes)
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise BenchError(f"--beside {path}: no results of `vl2 bench train` of one process and {row.case}") from error
    row.facts["of_one_alone"] = row.facts["tokens_per_second"] / row.case.get("ranks", 1) / alone


def save(content: dict[str, Any], path: Path) -> None:
    """Write a results file, whole or not at all."""
    with write_whole(path) as staging:
        staging.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
