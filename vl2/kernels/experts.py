"""A layer's experts on tokens: y = sum over a token's choices of weight * down(silu(gate x) * up x), and shared ones.

    few tokens    one program a (token, choice, slice of the expert's rows): nothing is sorted
    many          choices sorted by expert, one program an (expert, slice): tokens are gathered inside, never copied
    large         rows sorted by expert, copied, and multiplied by the grouped kernel that training uses

A shared feed-forward network as wide as N experts equals N experts of weight 1 that every token chooses; few and many
compute them in the launches of the others. The trap: how many choices an expert has is known only on the device.
Launches depend on nothing but shapes, so nothing waits for a count and a captured graph fits every step.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.launch import can_run

if TYPE_CHECKING:
    from vl2.kernels.mail_triton import Post

FEW_TOKENS = 4  # up to here experts are hardly shared among tokens, and sorting them costs more than it saves
MANY_TOKENS = 512  # beyond, arithmetic limits and no longer the reading of weights


class SharedExperts(NamedTuple):
    """A feed-forward network that every token visits: gate and up (N * F, D), down (D, N * F)."""

    gate: Tensor
    up: Tensor
    down: Tensor


def experts_reference(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor,
    shared: SharedExperts | None = None,
) -> Tensor:  # fmt: skip
    """One token and one expert after the other.

    Args:
        x_TD: (T, D) tokens.
        weights_TA, indices_TA: (T, A) float32 weight and number of each expert that a token visits.
        gate_up_EFD: (E, 2 * F, D) gate rows, then up rows of every expert.
        down_EDF: (E, D, F).
        shared: experts that every token visits besides.

    Returns: (T, D) in the dtype of x, summed in float32.
    """

    def one(x_D: Tensor, gate_FD: Tensor, up_FD: Tensor, down_DF: Tensor) -> Tensor:
        hidden_F = F.silu(gate_FD.float() @ x_D.float()) * (up_FD.float() @ x_D.float())
        return down_DF.float() @ hidden_F.to(x_D.dtype).float()

    out = torch.zeros_like(x_TD, dtype=torch.float32)
    for token, x_D in enumerate(x_TD):
        for weight, expert in zip(weights_TA[token], indices_TA[token].tolist(), strict=True):
            gate_FD, up_FD = gate_up_EFD[expert].chunk(2)
            out[token] += weight * one(x_D, gate_FD, up_FD, down_EDF[expert])
        if shared is not None:
            out[token] += one(x_D, *shared)
    return out.to(x_TD.dtype)


def experts(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor,
    shared: SharedExperts | None = None, post: "Post | None" = None,
) -> Tensor:  # fmt: skip
    """As experts_reference, in Triton where that runs. `post`, of a single token, as for `linear`."""
    arguments = x_TD, weights_TA, indices_TA, gate_up_EFD, down_EDF, shared
    if not can_run(x_TD):
        return experts_reference(*arguments)
    from vl2.kernels import experts_triton

    if len(x_TD) <= FEW_TOKENS:
        return experts_triton.few(*arguments, post)
    if len(x_TD) > MANY_TOKENS and (x_TD.dtype == torch.bfloat16 or not x_TD.is_cuda):
        return experts_triton.large(*arguments)
    return experts_triton.many(*arguments)  # other dtypes have no grouped kernel


def sort_choices_reference(indices_TA: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Choices in the order of their experts; those of one expert stay in order.

    Returns, all int32:
        order_M: (M,) the choice at each sorted place; choice t * A + a is token t's a-th.
        inverse_M: (M,) the sorted place of each choice.
        stops_E: (E,) the place after each expert's last.
    """
    expert_M = indices_TA.flatten()
    order_M = expert_M.argsort(stable=True)
    stops_E = (expert_M[:, None] == torch.arange(num_experts, device=expert_M.device)).sum(0).cumsum(0)
    return order_M.int(), order_M.argsort().int(), stops_E.int()


def sort_choices(indices_TA: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """As sort_choices_reference, in one launch where Triton runs."""
    if not can_run(indices_TA):
        return sort_choices_reference(indices_TA, num_experts)
    from vl2.kernels import experts_triton

    return experts_triton.sort(indices_TA, num_experts)
