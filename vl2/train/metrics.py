"""Metrics: summed on the device, read every few steps, one JSON line each time.

every step   --Meter.add-->  sums on the device, counts on the host     (never waits for the device)
every k-th   --Meter.read--> sums over all ranks --> dict --MetricsLog.write--> metrics.jsonl

The trap: ranks wait for each other in every step, so their clocks all say the same. What a rank did by itself is
timed up to the end of its last backward pass.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vl2.data.packing import PackedBatch
from vl2.train.loss import Losses
from vl2.train.ranks import Ranks

METRICS_NAME = "metrics.jsonl"


class NonFiniteError(ValueError):
    """Loss or gradient was not finite for too many steps in a row."""


class Meter:
    """Sums since the last read.

    Args:
        tasks: names by task number.
        device: where losses are.
        max_skipped: steps in a row that may be skipped.
    """

    def __init__(self, tasks: Sequence[str], device: torch.device, max_skipped: int) -> None:
        self.tasks, self.device, self.max_skipped = tasks, device, max_skipped
        self._bad_run = torch.zeros((), device=device)  # steps skipped in a row, also across reads
        self._clear()

    def _clear(self) -> None:
        self._task_losses_K = torch.zeros(len(self.tasks), device=self.device)
        self._task_targets_K = torch.zeros(len(self.tasks), device=self.device)
        self._sums_3 = torch.zeros(3, device=self.device)  # patch, box, balance
        self._norm, self._skipped, self._worst_run = torch.zeros(3, device=self.device)
        self._expert_counts: Tensor | None = None
        names = "tokens tiles prompts targets dropped room_tokens room_tiles boxes patch_weight wait_sec steps"
        self._host: dict[str, float] = dict.fromkeys(names.split(), 0.0)
        self._own: list[list[float]] = []  # of every step: this rank's tiles and tokens
        self._clocks: list[Clock] = []
        self._started = time.perf_counter()

    def begin_work(self) -> None:
        """The micro-batches of a step begin."""
        self._own.append([0.0, 0.0])
        self._clocks.append(Clock(self.device))

    def end_work(self) -> None:
        """They are done, and what follows is done by all ranks together."""
        self._clocks[-1].stop()

    def add_micro(self, batch: PackedBatch, losses: Losses, share: Tensor, patch_weight: float) -> None:
        """One micro-batch: its share of the step's prompts, and the summed weights of its labelled patches (0 where the
        patch loss is off)."""
        finite_L = losses.text_L.isfinite()  # of a step that will be skipped nothing else is worth showing
        self._task_losses_K.index_add_(0, batch.target_tasks_L, torch.where(finite_L, losses.text_L, 0.0))
        self._task_targets_K.index_add_(0, batch.target_tasks_L, finite_L.float())
        sums_3 = torch.stack([losses.patch.detach(), losses.box.detach(), losses.balance.detach() * share])
        self._sums_3 += sums_3.nan_to_num(0.0, 0.0, 0.0)
        self._host["patch_weight"] += patch_weight
        self._host["boxes"] += batch.num_boxes if patch_weight else 0
        counts = losses.expert_counts_GE
        self._expert_counts = counts if self._expert_counts is None else self._expert_counts + counts
        for key, amount in _counts(batch).items():
            self._host[key] += amount
        self._own[-1][0] += batch.num_tiles
        self._own[-1][1] += batch.num_tokens

    def add_step(self, grad_norm: Tensor, finite: Tensor, wait_sec: float) -> None:
        """The end of an optimizer step. grad_norm, finite: () on the device."""
        skipped = 1 - finite.float()
        self._norm += torch.where(finite, grad_norm, 0.0)
        self._skipped += skipped
        self._bad_run = (self._bad_run + 1) * skipped
        self._worst_run = torch.maximum(self._worst_run, self._bad_run)
        self._host["steps"] += 1
        self._host["wait_sec"] += wait_sec

    def read(self, ranks: Ranks) -> tuple[dict[str, Any], dict[str, float]]:
        """Means since the last read over all ranks, and counts; this is where the host waits for the device.

        Raises: NonFiniteError.
        """
        seconds = time.perf_counter() - self._started
        same = torch.stack([self._norm, self._skipped, self._worst_run])  # on every rank, which steps as the others do
        counts = self._expert_counts if self._expert_counts is not None else same.new_zeros(0, 0)
        own = torch.cat([self._sums_3, self._task_losses_K, self._task_targets_K, counts.flatten().to(same.dtype)])
        host = dict(zip(self._host, ranks.sum(list(self._host.values()), self.device).tolist(), strict=True))
        norm, skipped, worst = same.tolist()
        if worst >= self.max_skipped:
            raise NonFiniteError(
                f"loss or gradient was not finite in {int(worst)} steps in a row; the last good weights are in the "
                "newest checkpoint: resume from it with a lower learning_rate, or with precision = 'float32'"
            )
        patch, box, balance, *rest = ranks.total(own).tolist()
        num = len(self.tasks)
        losses, targets, loads = rest[:num], rest[num : 2 * num], rest[2 * num :]
        steps = max(host["steps"] / ranks.count, 1)
        record = {
            "loss": sum(losses) / max(sum(targets), 1),
            "task_loss": {t: a / n for t, a, n in zip(self.tasks, losses, targets, strict=True) if n},
            "patch_loss": patch / host["patch_weight"] if host["patch_weight"] else None,
            "box_loss": box / host["boxes"] if host["boxes"] else None,
            "balance_loss": balance / steps,
            "grad_norm": norm / max(steps - skipped, 1),
            "skipped": int(skipped),
            "dropped": int(host["dropped"]),
            "tokens_per_sec": host["tokens"] / seconds,
            "tiles_per_sec": host["tiles"] / seconds,
            "prompts_per_sec": host["prompts"] / seconds,
            "data_wait": min(host["wait_sec"] / ranks.count / seconds, 1.0),
            "fill": {name: host[name] / max(host[f"room_{name}"], 1) for name in ("tokens", "tiles")},
            "expert_load": _loads(loads, counts.shape[-1]),
        }
        record["dead_experts"] = sum(load == 0 for row in record["expert_load"] for load in row)  # nobody chose them
        record["load_max_over_mean"] = max((max(row) for row in record["expert_load"]), default=None)
        if ranks.count > 1:
            record["slowest_rank"] = self._slowest(ranks)
        self._clear()
        return record, {key: host[key] for key in ("tokens", "tiles", "prompts")}

    def _slowest(self, ranks: Ranks) -> dict[str, float]:
        """The most that a rank had in a step over the mean of all ranks, averaged over the steps."""
        rows = [[*own, clock.seconds()] for own, clock in zip(self._own, self._clocks, strict=True)]
        each_RS3 = ranks.each(torch.tensor(rows, device=self.device))
        most_3 = (each_RS3.amax(0) / each_RS3.mean(0).clamp_min(1e-9)).mean(0).tolist()
        return dict(zip(("tiles", "tokens", "work_sec"), most_3, strict=True))


class Clock:
    """Seconds that the device works, from now until `stop`; they may be asked for once the host has waited for it."""

    def __init__(self, device: torch.device) -> None:
        self._on_cuda, self._began = device.type == "cuda", self._now(device.type == "cuda")

    def stop(self) -> None:
        self._ended = self._now(self._on_cuda)

    def seconds(self) -> float:
        if isinstance(self._began, float):
            return self._ended - self._began
        return self._began.elapsed_time(self._ended) / 1e3

    @staticmethod
    def _now(on_cuda: bool) -> Any:
        if not on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _counts(batch: PackedBatch) -> dict[str, int]:
    return {
        "tokens": batch.num_tokens,
        "tiles": batch.num_tiles,
        "prompts": batch.num_prompts,
        "targets": batch.num_targets,
        "dropped": batch.num_dropped,
        "room_tokens": batch.input_ids_T.numel(),
        "room_tiles": len(batch.tiles_NCYX),
    }


def _loads(counts: list[float], num_experts: int) -> list[list[float]]:
    """Per router, tokens of every expert over their mean."""
    rows = [counts[i : i + num_experts] for i in range(0, len(counts), num_experts or 1)]
    return [[round(c * num_experts / max(sum(row), 1), 3) for c in row] for row in rows]


class MetricsLog:
    """metrics.jsonl of a run; a resume removes the lines of steps that are about to be done again."""

    def __init__(self, folder: Path, resumed_at: int) -> None:
        self.path = folder / METRICS_NAME
        kept = [line for line in read_metrics(folder) if line["step"] <= resumed_at] if resumed_at else []
        staging = self.path.with_name(f".{METRICS_NAME}.writing-{os.getpid()}")
        staging.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        os.replace(staging, self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Lines of a run's metrics; a last line cut short by a crash is left out."""
    path = folder / METRICS_NAME
    return list(_parse(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def _parse(lines: list[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{METRICS_NAME} line {number}: not JSON ({error})") from error
