"""Scores of experts and each token's choice among them, in two launches.

    x_TD, weight_ED --softmax or sigmoid--> scores_TE --+ bias, the A best--> indices_TA --scores there--> weights_TA

The trap: the bias chooses, but weights come from scores without it.
"""

import torch.nn.functional as F
from torch import Tensor

from vl2.kernels.launch import can_run


def route_reference(
    x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor | None, *, active: int, scoring: str, normalize: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """In float32, whatever the dtypes.

    Args:
        x_TD: (T, D) tokens.
        weight_ED: (E, D) one row per expert.
        bias_E: (E,) added to scores for choosing, or None.
        active: how many experts a token visits.
        scoring: "softmax" or "sigmoid".
        normalize: whether a token's weights are divided by their sum.
        scale: factor on weights.

    Returns: weights_TA float32 and indices_TA int64, best first, of equals the lowest; and scores_TE float32.
    """
    logits_TE = F.linear(x_TD.float(), weight_ED.float())
    scores_TE = logits_TE.softmax(-1) if scoring == "softmax" else logits_TE.sigmoid()
    choice_TE = scores_TE if bias_E is None else scores_TE + bias_E.float()
    indices_TA = choice_TE.sort(dim=-1, descending=True, stable=True).indices[:, :active]
    weights_TA = scores_TE.gather(-1, indices_TA)
    if normalize:
        weights_TA = weights_TA / (weights_TA.sum(-1, keepdim=True) + 1e-20)
    return weights_TA * scale, indices_TA, scores_TE


def route(
    x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor | None, *, active: int, scoring: str, normalize: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As route_reference, in Triton where that runs."""
    options = {"active": active, "scoring": scoring, "normalize": normalize, "scale": scale}
    if not can_run(x_TD):
        return route_reference(x_TD, weight_ED, bias_E, **options)
    from vl2.kernels import router_triton

    return router_triton.launch(x_TD, weight_ED, bias_E, **options)
