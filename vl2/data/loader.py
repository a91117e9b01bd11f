"""Packed batches from worker processes, in order, so that results do not depend on how many there are."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from vl2.data.mixture import PackedDataset
from vl2.data.packing import PackedBatch

NICENESS = 10  # of workers: batches are drawn ahead, but a device waits for every launch of a loop without a core
_SHARED_MEMORY = Path("/dev/shm")


class LoaderError(ValueError):
    """Workers that cannot run on this machine."""


def default_workers(sharing: int = 1) -> int:
    """One process per core that this one may use, less one for the training loop; `sharing` loops have equal parts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(cores // sharing - 1, 0)


def make_loader(
    dataset: PackedDataset, numbers: Sequence[int], *, workers: int, prefetch: int, pin: bool
) -> DataLoader[PackedBatch]:
    """Batches of the dataset with these numbers, in order.

    Args:
        workers: processes; 0 renders in this one.
        prefetch: batches each worker prepares ahead.
        pin: whether to copy batches to pinned memory for transfers that do not block.
    """
    if workers:
        _check_shared_memory(dataset, workers, prefetch)
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        pin_memory=pin,
        generator=torch.Generator(),  # else it draws from torch's own, which a resume must find as it was
        worker_init_fn=_start_worker if workers else None,
        persistent_workers=False,
    )


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)  # many processes share the cores already
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training loop, which then stops its workers


def _check_shared_memory(dataset: PackedDataset, workers: int, prefetch: int) -> None:
    """Batches travel through /dev/shm; when it is full a worker dies with a bus error and no explanation."""
    if not _SHARED_MEMORY.exists():
        return
    tile = 3 * dataset.config.vision_config.image_size**2
    needed = workers * prefetch * (dataset.budget.tiles * tile + 64 * dataset.budget.tokens)
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if needed > free:
        raise LoaderError(
            f"{workers} workers with prefetch {prefetch} need {needed >> 20} MiB of shared memory but /dev/shm has "
            f"{free >> 20} MiB free; lower loader.workers or loader.prefetch, or give the container a larger --shm-size"
        )


def to_device(batches: Iterator[PackedBatch], device: torch.device) -> Iterator[tuple[PackedBatch, PackedBatch]]:
    """Pairs (host batch, device batch); on CUDA the next copy runs on its own stream while this one is used."""
    if device.type != "cuda":
        for batch in batches:
            yield batch, batch
        return
    copies = torch.cuda.Stream(device)
    current: tuple[PackedBatch, PackedBatch] | None = None
    for batch in batches:
        with torch.cuda.stream(copies):
            ahead = batch, batch.to(device)
        if current is not None:
            yield current
        torch.cuda.current_stream(device).wait_stream(copies)
        ahead[1].keep_for(torch.cuda.current_stream(device))
        current = ahead
    if current is not None:
        yield current
