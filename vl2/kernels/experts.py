"""A layer's routed experts on tokens: y = sum over a token's choices of weight * down(silu(gate x) * up x).

    few tokens    one program a (choice, slice of the expert's rows): weights are read where they lie, nothing is sorted
    more tokens   choices sorted by expert, cut into tiles of one expert; tokens are gathered inside, never copied

The model does not use these yet: they are tested against the reference, and still have to be measured on a GPU. The
trap: how many tiles there are is known only on the device. The launch is for the most there can be, and programs past
the last tile end at once, so nothing waits for a count and a captured graph fits every step.
"""

import os
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

FEW_TOKENS = 8  # up to here experts are hardly shared among tokens, and sorting them costs more than it saves
TILE_ROWS = 16  # choices of one expert that are computed together; fewer are padded, which costs no reading


def experts_reference(
    x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor
) -> Tensor:
    """One token and one expert after the other.

    Args:
        x_TD: (T, D) tokens.
        weights_TA, indices_TA: (T, A) float32 weight and number of each expert that a token visits.
        gate_up_EFD: (E, 2 * F, D) gate rows, then up rows of every expert.
        down_EDF: (E, D, F).

    Returns: (T, D) in the dtype of x, summed in float32.
    """
    out = torch.zeros_like(x_TD, dtype=torch.float32)
    for token in range(len(x_TD)):
        for weight, expert in zip(weights_TA[token], indices_TA[token].tolist(), strict=True):
            gate_F, up_F = (gate_up_EFD[expert].float() @ x_TD[token].float()).chunk(2)
            hidden_F = (F.silu(gate_F) * up_F).to(x_TD.dtype).float()
            out[token] += weight * (down_EDF[expert].float() @ hidden_F)
    return out.to(x_TD.dtype)


def can_run_experts(x_TD: Tensor) -> bool:
    """Whether the Triton kernels run on this tensor; they have no gradients."""
    if not x_TD.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return False
    return find_spec("triton") is not None and not torch.is_grad_enabled()


def experts(x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, gate_up_EFD: Tensor, down_EDF: Tensor) -> Tensor:
    """As experts_reference, in Triton where that runs."""
    if not can_run_experts(x_TD):
        return experts_reference(x_TD, weights_TA, indices_TA, gate_up_EFD, down_EDF)
    from vl2.kernels import experts_triton

    if len(x_TD) <= FEW_TOKENS:
        return experts_triton.few(x_TD, weights_TA, indices_TA, gate_up_EFD, down_EDF)
    return experts_triton.many(
        x_TD, weights_TA, indices_TA, gate_up_EFD, down_EDF, *sort_choices(indices_TA, len(down_EDF))
    )


def sort_choices(indices_TA: Tensor, num_experts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Choices in the order of their experts, cut into tiles, without asking the device for a number.

    Returns:
        order_M: (M,) the choice at each sorted place.
        experts, ends: (tiles,) int32 expert of each tile, `num_experts` past the last one; and (tiles, 2) int32 sorted
            places where it begins and ends.
    """
    expert_M = indices_TA.flatten()
    order_M = expert_M.argsort(stable=True)
    numbers_E = torch.arange(num_experts, device=expert_M.device)
    counts_E = (expert_M[:, None] == numbers_E).sum(0)
    stops_E = counts_E.cumsum(0)
    tiles_E = (counts_E + TILE_ROWS - 1) // TILE_ROWS
    last_E = tiles_E.cumsum(0)
    most = min(len(expert_M), num_experts) + len(expert_M) // TILE_ROWS
    tile = torch.arange(most, device=expert_M.device)
    expert = torch.searchsorted(last_E, tile, right=True)
    inside = expert.clamp_max(num_experts - 1)
    begin = stops_E[inside] - counts_E[inside] + (tile - last_E[inside] + tiles_E[inside]) * TILE_ROWS
    end = torch.minimum(begin + TILE_ROWS, stops_E[inside])
    return order_M, expert.to(torch.int32), torch.stack([begin, end], -1).to(torch.int32)
