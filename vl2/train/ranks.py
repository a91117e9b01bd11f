"""The processes that train together, one a device, as `torchrun` starts them; usually there is just one.

    torchrun --nproc-per-node 2 -m vl2 train RECIPE        the ranks of a step share its micro-batches

Every rank holds the whole model and takes the same optimizer step on the sum of all gradients.
The trap: a sum waits for every rank, so all of them must ask for the same sums in the same order.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


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

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum gradients over the ranks in one message; what no rank's micro-batches touched counts as zero."""
        if self.count == 1:
            return
        learning = [p for p in parameters if p.requires_grad]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [p.grad for p in learning if p.grad is not None]
        together = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(together)
        parts = together.split([grad.numel() for grad in grads])
        summed = [part.view_as(grad) for part, grad in zip(parts, grads, strict=True)]
        torch._foreach_copy_(grads, summed)  # pyright: ignore[reportPrivateImportUsage]


@contextmanager
def joined(wanted: str) -> Iterator[Ranks]:
    """The ranks that torchrun's environment describes. `wanted` is the recipe's device."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks()
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
