"""Routed experts divided among ranks: tokens travel to their experts and back.

    x_MD sorted by expert --all-to-all--> rows of this rank's experts, by sender --sort--> by expert
        -> gate, up, down -> back the same way -> weighted sum, as if all experts were here

Whose rows go where is a permutation, and so is its gradient: the same exchange with sender and receiver swapped.
The traps: how many rows travel must be known to the host, so every layer waits for the device once; and a rank whose
experts nobody chose must still take part in every exchange, forward and backward.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from vl2.kernels.dispatch import combine, dispatch
from vl2.kernels.grouped_mm import grouped_mm
from vl2.model.moe import RoutedExperts


class _Exchange(torch.autograd.Function):
    """Rows to other ranks: `sent[r]` of them to rank r, `received[r]` from it."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> Tensor:
        ctx.sizes = sent, received, group
        out = rows.new_empty(sum(received), *rows.shape[1:])
        dist.all_to_all_single(out, rows.contiguous(), received, sent, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        sent, received, group = ctx.sizes
        out = grads[0].new_empty(sum(sent), *grads[0].shape[1:])
        dist.all_to_all_single(out, grads[0].contiguous(), sent, received, group=group)
        return out, None, None, None


def exchange(rows: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup) -> Tensor:
    """(sum(sent), ...) rows in the order of their receivers to (sum(received), ...) in the order of their senders."""
    return _Exchange.apply(rows, sent, received, group)  # type: ignore[return-value]


class DividedExperts(nn.Module):
    """Takes the place of RoutedExperts; gate_up and down hold this rank's experts only.

    Args:
        experts: all of them.
        group: ranks among which they are divided, in order.
    """

    def __init__(self, experts: RoutedExperts, group: dist.ProcessGroup) -> None:
        super().__init__()
        self.group = group
        self.num_experts = len(experts.gate_up)
        own = self.num_experts // dist.get_world_size(group)
        self.gate_up = nn.Parameter(experts.gate_up.new_empty(own, *experts.gate_up.shape[1:]))
        self.down = nn.Parameter(experts.down.new_empty(own, *experts.down.shape[1:]))

    def forward(self, x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor) -> Tensor:
        """As RoutedExperts.forward; every rank of the group must call it."""
        ranks = dist.get_world_size(self.group)
        expert_M = indices_TA.flatten()
        order_M = expert_M.argsort(stable=True)
        inverse_M = _inverse(order_M)
        counts_RE = (expert_M[:, None] == torch.arange(self.num_experts, device=x_TD.device)).sum(0).view(ranks, -1)
        theirs_RE = torch.empty_like(counts_RE)  # what each rank sends to every expert here
        dist.all_to_all_single(theirs_RE, counts_RE, group=self.group)
        sent, received = torch.stack([counts_RE.sum(1), theirs_RE.sum(1)]).tolist()
        x_MD = dispatch(x_TD, order_M, inverse_M)
        if torch.is_autocast_enabled(x_TD.device.type):  # as the product will have them, and half as much to send
            x_MD = x_MD.to(torch.get_autocast_dtype(x_TD.device.type))
        arrived = exchange(x_MD, sent, received, self.group)
        number = torch.arange(counts_RE.shape[1], device=x_TD.device).repeat(ranks)
        sorted_N = number.repeat_interleave(theirs_RE.flatten(), output_size=sum(received)).argsort(stable=True)
        back_N = _inverse(sorted_N)
        y = self._compute(combine(arrived, back_N, sorted_N), theirs_RE.sum(0))  # a gather by a permutation, too
        y_MD = exchange(combine(y, sorted_N, back_N), received, sent, self.group)
        y_TAD = combine(y_MD, order_M, inverse_M).unflatten(0, (-1, indices_TA.shape[1]))
        return (y_TAD.float() * weights_TA[..., None]).sum(1).to(y_MD.dtype)

    def _compute(self, rows_ND: Tensor, counts_E: Tensor) -> Tensor:
        gate_up, down = self.gate_up, self.down
        if len(rows_ND) == 0:  # so that weights have a gradient, of zeros, and nobody waits for it
            return F.linear(F.linear(rows_ND, gate_up[0]).chunk(2, -1)[0], down[0])
        gate, up = grouped_mm(rows_ND, gate_up, counts_E).chunk(2, -1)
        return grouped_mm(F.silu(gate) * up, down, counts_E)


def _inverse(order_M: Tensor) -> Tensor:
    return torch.empty_like(order_M).scatter(0, order_M, torch.arange(len(order_M), device=order_M.device))
