"""Routed experts divided among ranks: tokens travel to their experts and back.

    x_MD sorted by expert --all-to-all--> rows of this rank's experts, by sender --sort--> by expert
        -> gate, up, down -> back the same way -> weighted sum, as if all experts were here
    while rows travel: shared experts forward, and on the way back of gradients those of shared experts

Whose rows go where is a permutation, and so is its gradient: the same exchange with sender and receiver swapped.
The traps: how many rows travel must be known to the host, so every layer waits for the device once, with a copy still
to do; a rank whose experts nobody chose must still take part in every exchange, forward and backward; and rows under
way must not be touched before they are waited for.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from vl2.kernels.dispatch import combine, dispatch
from vl2.kernels.grouped_mm import grouped_mm
from vl2.model.moe import RoutedExperts


class Exchange:
    """Rows to other ranks, once forward and once back as gradients: `sent[r]` of them to rank r, `received[r]` from it.

    What is called between `begin` and `end` runs while rows travel, and its backward pass while gradients do: that
    comes after the backward of `end`, which sends them, and before that of `begin`, which waits.
    """

    def __init__(self, sent: list[int], received: list[int], group: dist.ProcessGroup) -> None:
        self.sent, self.received, self._group = sent, received, group
        self._under_way: tuple[Any, Tensor] | None = None

    def begin(self, rows: Tensor) -> Tensor:
        """(sum(sent), ...) rows in the order of their receivers; (sum(received), ...) for `end`, still unwritten."""
        return _Begin.apply(rows, self)  # type: ignore[return-value]

    def end(self, under_way: Tensor) -> Tensor:
        """(sum(received), ...) in the order of their senders."""
        return _End.apply(under_way, self)  # type: ignore[return-value]

    def send(self, rows: Tensor, sent: list[int], received: list[int]) -> Tensor:
        out = rows.new_empty(sum(received), *rows.shape[1:])
        work = dist.all_to_all_single(out, rows.contiguous(), received, sent, group=self._group, async_op=True)
        self._under_way = work, out
        return out

    def wait(self) -> Tensor:
        """What `send` gave, written now."""
        assert self._under_way is not None
        (work, out), self._under_way = self._under_way, None
        work.wait()  # on CUDA the stream waits, not the host
        return out


class _Begin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, exchange: Exchange) -> Tensor:
        ctx.exchange = exchange
        return exchange.send(rows, exchange.sent, exchange.received)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.exchange.wait(), None  # grads are those that _End was given


class _End(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, under_way: Tensor, exchange: Exchange) -> Tensor:
        ctx.exchange = exchange
        exchange.wait()
        return under_way.view_as(under_way)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        ctx.exchange.send(grads[0], ctx.exchange.received, ctx.exchange.sent)
        return grads[0], None  # of as many rows as autograd wants; what travels has another number of them


class DividedExperts(nn.Module):
    """Takes the place of RoutedExperts; gate_up and down hold this rank's experts only.

    Args:
        experts: all of them.
        group: ranks among which they are divided, in order.
    """

    takes_shared = True  # and computes them while tokens travel

    def __init__(self, experts: RoutedExperts, group: dist.ProcessGroup) -> None:
        super().__init__()
        self.group = group
        self.num_experts = len(experts.gate_up)
        own = self.num_experts // dist.get_world_size(group)
        self.gate_up = nn.Parameter(experts.gate_up.new_empty(own, *experts.gate_up.shape[1:]))
        self.down = nn.Parameter(experts.down.new_empty(own, *experts.down.shape[1:]))

    def forward(
        self, x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, shared: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """As RoutedExperts.forward, and what shared experts make of tokens; every rank of the group must call it."""
        order_M, inverse_M, counts_E = self.sort(indices_TA)
        counts_RE = counts_E.view(dist.get_world_size(self.group), -1)
        theirs_RE = torch.empty_like(counts_RE)  # what each rank sends to every expert here
        dist.all_to_all_single(theirs_RE, counts_RE, group=self.group)
        numbers = _OnTheHost(torch.stack([counts_RE.sum(1), theirs_RE.sum(1)]))
        x_MD = self.leave(x_TD, order_M, inverse_M)  # which the device does until the host has launched what follows
        sent, received = numbers.read()
        there = Exchange(sent, received, self.group)
        under_way = there.begin(x_MD)
        sorted_N, back_N = _by_expert(theirs_RE, sum(received))
        beside_TD = None if shared is None else shared(x_TD)
        arrived = there.end(under_way)
        y = self._compute(combine(arrived, back_N, sorted_N), theirs_RE.sum(0))  # a gather by a permutation, too
        back = Exchange(received, sent, self.group)
        y_MD = back.end(back.begin(combine(y, sorted_N, back_N)))
        y_TD = self.merge(y_MD, weights_TA, order_M, inverse_M)
        return y_TD if beside_TD is None else y_TD + beside_TD

    def sort(self, indices_TA: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Choices in the order of experts, the inverse of that permutation, and how many each expert has."""
        expert_M = indices_TA.flatten()
        order_M = expert_M.argsort(stable=True)
        counts_E = (expert_M[:, None] == torch.arange(self.num_experts, device=expert_M.device)).sum(0)
        return order_M, _inverse(order_M), counts_E

    def leave(self, x_TD: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
        """A copy of each token for each of its experts, as the product will have it and half as much to send."""
        x_MD = dispatch(x_TD, order_M, inverse_M)
        if torch.is_autocast_enabled(x_TD.device.type):
            x_MD = x_MD.to(torch.get_autocast_dtype(x_TD.device.type))
        return x_MD

    def merge(self, y_MD: Tensor, weights_TA: Tensor, order_M: Tensor, inverse_M: Tensor) -> Tensor:
        """Weighted sums of what came back."""
        y_TAD = combine(y_MD, order_M, inverse_M).unflatten(0, (-1, weights_TA.shape[1]))
        return (y_TAD.float() * weights_TA[..., None]).sum(1).to(y_MD.dtype)

    def activate(self, gate_up_NF: Tensor) -> Tensor:
        """Of rows whose number is another every time."""
        gate, up = gate_up_NF.chunk(2, -1)
        return F.silu(gate) * up

    def _compute(self, rows_ND: Tensor, counts_E: Tensor) -> Tensor:
        gate_up, down = self.gate_up, self.down
        if len(rows_ND) == 0:  # so that weights have a gradient, of zeros, and nobody waits for it
            return F.linear(F.linear(rows_ND, gate_up[0]).chunk(2, -1)[0], down[0])
        return grouped_mm(self.activate(grouped_mm(rows_ND, gate_up, counts_E)), down, counts_E)


class _OnTheHost:
    """Integers of the device, asked for now and read later."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = numbers.to("cpu", non_blocking=True)
        self._copied = torch.cuda.current_stream(numbers.device).record_event() if numbers.is_cuda else None

    def read(self) -> Any:
        if self._copied is not None:
            self._copied.synchronize()
        return self._numbers.tolist()


def _by_expert(theirs_RE: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """The permutation of rows in the order of senders to that of experts, and its inverse."""
    ranks, own = theirs_RE.shape
    number = torch.arange(own, device=theirs_RE.device).repeat(ranks)
    sorted_N = number.repeat_interleave(theirs_RE.flatten(), output_size=rows).argsort(stable=True)
    return sorted_N, _inverse(sorted_N)


def _inverse(order_M: Tensor) -> Tensor:
    return torch.empty_like(order_M).scatter(0, order_M, torch.arange(len(order_M), device=order_M.device))
