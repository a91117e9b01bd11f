"""The processes that train together, one a device, as `torchrun` starts them; usually there is just one.

    torchrun --nproc-per-node 2 -m vl2 train RECIPE        the ranks of a step share its micro-batches

Every rank holds the whole model and takes the same optimizer step on the sum of all gradients.
The trap: a sum waits for every rank, so all of them must ask for the same sums in the same order.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    rank: its number, which decides its share of the micro-batches.
    count: how many there are.
    device_id: number of its device on its machine.
    neighbours: ranks on its machine, itself included.
    """

    rank: int = 0
    count: int = 1
    device_id: int = 0
    neighbours: int = 1

    @property
    def is_first(self) -> bool:
        """The first rank writes files and talks to people."""
        return self.rank == 0

    def sum(self, values: Sequence[float], device: torch.device) -> Tensor:
        """(len(values),) float32 on the device: each value summed over the ranks, without waiting for the device."""
        sums = torch.tensor(values, dtype=torch.float32)
        sums = sums.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else sums.to(device)
        return self.total(sums)

    def total(self, tensor: Tensor) -> Tensor:
        """Summed over the ranks; the argument stays as it is."""
        if self.count == 1:
            return tensor
        summed = tensor.clone()
        dist.all_reduce(summed)
        return summed

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether any rank says so."""
        return flag if self.count == 1 else bool(self.sum([flag], device).item())

    def each(self, values: Tensor) -> Tensor:
        """(count, ...) the values, of one shape, of every rank."""
        rows = values.new_zeros(self.count, *values.shape)
        rows[self.rank] = values
        return self.total(rows)


ALONE = Ranks()


@contextmanager
def joined(wanted: str) -> Iterator[Ranks]:
    """The ranks that torchrun's environment describes. `wanted` is the recipe's device."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    place = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    ranks = Ranks(*place)
    on_cuda = wanted.startswith("cuda") or (wanted == "auto" and torch.cuda.is_available())
    if on_cuda:
        torch.cuda.set_device(ranks.device_id)
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield ranks
        dist.barrier()  # no rank may leave while another still waits for it
    finally:
        dist.destroy_process_group()
