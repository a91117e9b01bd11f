"""Processes that hold one model together, a device each: what each computed, summed or put side by side.

    partial_TD of every rank --add_rms_norm--> x + their sum, and the norm of that, the same on every rank
    columns of every rank    --gather--> all columns, in the order of ranks
    numbers on the host      --least, share--> the least of all, those of the first

On CUDA the first two are one kernel each over memory that all ranks can write (`team_triton.py`), elsewhere operations
of torch.distributed. The trap: they wait for every rank, so all ranks must ask for the same ones in the same order.
"""

import atexit
import logging
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from vl2.kernels.launch import can_run
from vl2.kernels.norm import add_rms_norm

if TYPE_CHECKING:
    from vl2.kernels.mail_triton import Post
    from vl2.kernels.team_triton import Mailboxes

log = logging.getLogger("vl2")
_TO_JOIN = timedelta(minutes=10)
_TO_EXCUSE = timedelta(minutes=1)  # how long a first rank with nothing to do looks for those who wait for it
_PATIENCE = timedelta(days=24)  # how long ranks wait for the first one's next request; milliseconds in 31 bits
_GAVE_UP = "unspecified launch failure"  # how CUDA calls it if a kernel stops itself
_FEW_TOKENS = 256  # up to here every rank sends all it has to each other; with more, of three ranks or more, NCCL


class TeamError(ValueError):
    """A division among ranks that cannot be; names the option, its value and what to do."""


class LostRankError(RuntimeError):
    """A kernel waited for another rank and gave up (`mail_triton.PATIENCE`); says whose it was and in which step.

    The device does nothing more for this process.
    """


class Team:
    """This process among those that hold a model together. Build with `join`.

    rank, count: its number, and how many there are.
    is_lost: whether waiting for another was given up.

    Args:
        mailboxes: memory that all ranks can write; None sums by torch.distributed.
        host: ranks as they exchange what lies on the host; None is all.
    """

    def __init__(
        self, rank: int, count: int, mailboxes: "Mailboxes | None" = None, host: "dist.ProcessGroup | None" = None
    ) -> None:
        self.rank, self.count, self._mailboxes, self._host = rank, count, mailboxes, host
        self._used_nccl = self.is_lost = False

    @property
    def is_first(self) -> bool:
        """The first rank talks to people; the others follow it."""
        return self.rank == 0

    @property
    def has_mailboxes(self) -> bool:
        """Whether sums go through memory that all ranks can write."""
        return self._mailboxes is not None

    def post(self, x_TD: Tensor) -> "Post | None":
        """How what is computed from x_TD, if it is summed over ranks, must be sent at once; None if it must not."""
        if self._mailboxes is None or len(x_TD) != 1 or not can_run(x_TD):
            return None
        return self._mailboxes.post

    def add_rms_norm(self, x_TD: Tensor, partial_TD: Tensor, weight_D: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """As kernels.norm.add_rms_norm with the sum of all ranks' partial_TD, which may be overwritten, for a delta."""
        boxes = self._mailboxes
        if boxes is not None and self.post(x_TD) is not None:
            return boxes.add_rms_norm_of_sent(x_TD, partial_TD, weight_D, eps)
        few = self.count == 2 or len(x_TD) <= _FEW_TOKENS
        if boxes is not None and few and can_run(x_TD) and boxes.take(partial_TD):
            return boxes.add_rms_norm(x_TD, partial_TD, weight_D, eps)
        partial_TD = partial_TD.contiguous()
        self._used_nccl |= partial_TD.is_cuda
        dist.all_reduce(partial_TD)
        return add_rms_norm(x_TD, partial_TD, weight_D, eps)

    def gather(self, columns_TV: Tensor) -> Tensor:
        """Float32 (T, count * V) of every rank's (T, V)."""
        if self._mailboxes is not None and can_run(columns_TV) and self._mailboxes.take(columns_TV):
            return self._mailboxes.gather(columns_TV)
        columns_TV = columns_TV.contiguous()
        self._used_nccl |= columns_TV.is_cuda
        parts = [torch.empty_like(columns_TV) for _ in range(self.count)]
        dist.all_gather(parts, columns_TV)
        return torch.cat(parts, -1).float()

    def least(self, number: int) -> int:
        """The least of every rank's number."""
        least = torch.tensor([number])
        dist.all_reduce(least, dist.ReduceOp.MIN, self._host)
        return int(least)

    def share(self, numbers: Tensor) -> Tensor:
        """What the first rank's tensor on the host holds, written into that of every other."""
        dist.broadcast(numbers, 0, self._host)
        return numbers

    def explain(self, error: RuntimeError, where: str) -> None:
        """Raises LostRankError if a kernel gave up waiting; nothing more can be asked for then (`is_lost`)."""
        if self._mailboxes is None or _GAVE_UP not in str(error):
            return
        self.is_lost = True
        raise LostRankError(
            f"rank {self.rank} of {self.count} waited in vain for another one in {where}, which has ended or does "
            "something else: what that one says comes first, and VL2_PATIENCE=SECONDS waits longer"
        ) from error

    def leave(self) -> None:
        """No more is asked for; called by every rank."""
        if not self._used_nccl:  # which would wait for the graphs that hold its sums; it ends with the process
            dist.destroy_process_group()


def local_rank() -> int | None:
    """Number of this process's device, if torchrun started several that are not at work on something else."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    return int(os.environ.get("LOCAL_RANK", "0")) if several else None


def is_follower() -> bool:
    """Whether torchrun started this process to follow another."""
    return local_rank() is not None and os.environ["RANK"] != "0"


def join(device: torch.device) -> Team | None:
    """The ranks that torchrun's environment describes; None if this process is alone, or joined others already.

    Ends the process if the first rank has nothing for it to do. Raises: TeamError if they are not all on one host.
    """
    if local_rank() is None:
        return None
    atexit.unregister(_excuse)
    count, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    if int(os.environ.get("LOCAL_WORLD_SIZE", count)) != count:
        raise TeamError(f"WORLD_SIZE = {count}: a model is divided among processes of one host only")
    cuda = device.type == "cuda"
    os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # NVLink multicast hangs where a hypervisor only half allows it
    os.environ.setdefault("TORCH_SYMM_MEM_DISABLE_MULTICAST", "1")
    if cuda:
        if device.index != int(os.environ["LOCAL_RANK"]):
            raise TeamError(f"device = {device}: each of {count} ranks takes its own; write auto or cuda")
        torch.cuda.set_device(device)
    host = _meet(device, _TO_JOIN)
    comes = torch.tensor([1])
    dist.broadcast(comes, 0, host)
    if not comes:
        dist.destroy_process_group()
        sys.exit(0)
    return Team(rank, count, _mailboxes(rank, count, device) if cuda else None, host)


def excuse_at_exit(device: torch.device) -> None:
    """If this process, the first of several, ends without having joined them, let those go that wait for it."""
    atexit.register(_excuse, device)


def _excuse(device: torch.device) -> None:
    try:
        dist.broadcast(torch.tensor([0]), 0, _meet(device, _TO_EXCUSE))
        dist.destroy_process_group()
    except RuntimeError:  # nobody waits
        log.debug("no other rank came")


def _meet(device: torch.device, patience: timedelta) -> "dist.ProcessGroup":
    """Wait for all ranks; how they exchange what lies on the host."""
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=patience)
    host = dist.new_group(backend="gloo", timeout=_PATIENCE)
    assert isinstance(host, dist.ProcessGroup)
    return host


def _mailboxes(rank: int, count: int, device: torch.device) -> "Mailboxes | None":
    """On every rank or on none."""
    boxes, reason = None, "another rank could not"
    if os.environ.get("VL2_SUMS") != "nccl":  # for comparisons
        try:
            from vl2.kernels.team_triton import Mailboxes

            boxes = Mailboxes(rank, count, device)
        except (ImportError, RuntimeError, AttributeError) as error:  # torch calls this interface unfinished
            reason = " ".join(str(error).split())
    else:
        reason = "VL2_SUMS = nccl"
    alright = torch.tensor([boxes is not None]).int()
    dist.all_reduce(alright, dist.ReduceOp.MIN)  # and now all boxes are empty
    if alright:
        return boxes
    log.warning("sums over ranks go through NCCL, which is slower: no memory that all can write (%s)", reason)
    return None
