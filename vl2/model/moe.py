"""DeepSeekMoE: router, routed experts, shared experts (SPEC E3; DeepSeekMoE paper, section 3).

    x_TD --Router--> weights_TA, indices_TA --RoutedExperts--> sum of weighted experts, + shared experts --> (T, D)

The trap: scores and weights are float32 whatever the model's dtype; the correction bias only chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vl2.config import LanguageConfig
from vl2.kernels.dispatch import combine, dispatch
from vl2.kernels.experts import FEW_TOKENS, SharedExperts, experts
from vl2.kernels.grouped_mm import grouped_mm
from vl2.kernels.launch import can_run
from vl2.kernels.router import route
from vl2.kernels.team import Team
from vl2.model.layers import SwiGLU
from vl2.model.quantized_linear import QuantizedModule


@dataclass(frozen=True)
class RouterStats:
    """What one router did, for the balance loss and for plots of expert load.

    layer: index of the decoder layer.
    scores_TE: (T, E) float32 softmax or sigmoid scores, with gradient.
    indices_TA: (T, A) chosen experts.
    """

    layer: int
    scores_TE: Tensor
    indices_TA: Tensor


class Router(nn.Module):
    """Chooses A of E experts for every token: greedy, group_limited_greedy or noaux_tc."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        assert config.n_routed_experts
        assert config.num_experts_per_tok
        self.config, self.active = config, config.num_experts_per_tok
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        if config.topk_method == "noaux_tc":
            self.bias = nn.Parameter(torch.zeros(config.n_routed_experts), requires_grad=False)

    def forward(self, x_TD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns weights_TA (float32), indices_TA, scores_TE (float32)."""
        config, biased = self.config, self.config.topk_method == "noaux_tc"
        normalize = self.active > 1 and config.norm_topk_prob
        grouped = config.topk_method != "greedy" and config.topk_group != config.n_group  # else all groups are kept
        if not grouped and can_run(x_TD):
            return route(
                x_TD, self.weight, self.bias if biased else None, active=self.active, scoring=config.scoring_func,
                normalize=normalize, scale=config.routed_scaling_factor,
            )  # fmt: skip
        with torch.autocast(x_TD.device.type, enabled=False):
            logits_TE = F.linear(x_TD.float(), self.weight.float())
            scores_TE = logits_TE.softmax(-1) if config.scoring_func == "softmax" else logits_TE.sigmoid()
            choice_TE = scores_TE + self.bias.float() if biased else scores_TE
            if grouped:
                choice_TE = self._keep_best_groups(choice_TE)
            indices_TA = choice_TE.topk(self.active, -1, sorted=False).indices
            weights_TA = scores_TE.gather(-1, indices_TA)  # before bias and filter
            if normalize:
                weights_TA = weights_TA / (weights_TA.sum(-1, keepdim=True) + 1e-20)
            return weights_TA * config.routed_scaling_factor, indices_TA, scores_TE

    def _keep_best_groups(self, choice_TE: Tensor) -> Tensor:
        """Zero (as published, not -inf) the experts outside the topk_group best groups."""
        config = self.config
        assert config.n_group
        assert config.topk_group
        grouped = choice_TE.unflatten(-1, (config.n_group, -1))
        best = grouped.topk(2, -1).values.sum(-1) if config.topk_method == "noaux_tc" else grouped.amax(-1)
        keep = torch.zeros_like(best, dtype=torch.bool).scatter(-1, best.topk(config.topk_group, -1).indices, True)
        return grouped.masked_fill(~keep[..., None], 0.0).flatten(-2)


@dataclass(frozen=True)
class LowRank:
    """What an adapter adds to a stack of matrices (E, F, D): the product of b_EFR and a_ERD."""

    a_ERD: Tensor
    b_EFR: Tensor


class RoutedExperts(nn.Module):
    """E feed-forward networks stacked: gate_up (E, 2F, D) holds gate rows then up rows, down (E, D, F)."""

    def __init__(self, experts: int, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(experts, 2 * width, hidden))
        self.down = nn.Parameter(torch.empty(experts, hidden, width))

    def forward(
        self, x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, adapter: Mapping[str, LowRank] | None = None
    ) -> Tensor:
        """Weighted sums of what experts make of tokens, (T, D).

        Args:
            adapter: what is added to the matrices, by the name of their stack.
        """
        adapter = adapter or {}
        if len(x_TD) == 1 and x_TD.device.type == "cpu" and not torch.is_grad_enabled() and not adapter:
            return self._one_token(x_TD[0], weights_TA[0], indices_TA[0].tolist())
        num_experts, active = self.gate_up.shape[0], indices_TA.shape[1]
        expert_M = indices_TA.flatten()
        order_M = expert_M.argsort(stable=True)
        inverse_M = torch.empty_like(order_M).scatter(0, order_M, torch.arange(len(order_M), device=x_TD.device))
        # not by adding ones at expert_M: where there is no 64-bit atomic sum, that sorts and adds one by one
        counts_E = (expert_M[:, None] == torch.arange(num_experts, device=x_TD.device)).sum(0)
        x_MD = dispatch(x_TD, order_M, inverse_M)
        gate_MF, up_MF = _product(x_MD, self.gate_up, counts_E, adapter.get("gate_up")).chunk(2, -1)
        y_MD = _product(F.silu(gate_MF) * up_MF, self.down, counts_E, adapter.get("down"))
        y_TAD = combine(y_MD, order_M, inverse_M).unflatten(0, (-1, active))
        return (y_TAD.float() * weights_TA[..., None]).sum(1).to(y_MD.dtype)

    def _one_token(self, x_D: Tensor, weights_A: Tensor, experts: list[int]) -> Tensor:
        """The same without sorting anything, (1, D): on a CPU, one token costs as much as its operations are many."""
        y_AD = []
        for expert in experts:
            gate_F, up_F = (self.gate_up[expert] @ x_D).chunk(2)
            y_AD.append(self.down[expert] @ (F.silu(gate_F) * up_F))
        return (torch.stack(y_AD).float() * weights_A[:, None]).sum(0, keepdim=True).to(x_D.dtype)


def _product(x_MD: Tensor, w_EFD: Tensor, counts_E: Tensor, more: LowRank | None) -> Tensor:
    y_MF = grouped_mm(x_MD, w_EFD, counts_E)
    return y_MF if more is None else y_MF + grouped_mm(grouped_mm(x_MD, more.a_ERD, counts_E), more.b_EFR, counts_E)


class MoE(nn.Module):
    """Routed experts plus shared experts, which every token visits. `team`: ranks that divide the width of each."""

    def __init__(self, config: LanguageConfig, layer: int, team: Team | None = None) -> None:
        super().__init__()
        assert config.n_routed_experts
        self.layer, self._team = layer, team
        self.router = Router(config)
        width = config.moe_intermediate_size // (team.count if team else 1)
        self.experts = RoutedExperts(config.n_routed_experts, config.hidden_size, width)
        self.shared_experts = None
        if config.n_shared_experts is not None:
            self.shared_experts = SwiGLU(config.hidden_size, width * config.n_shared_experts)

    def forward(self, x_TD: Tensor) -> tuple[Tensor, RouterStats]:
        weights_TA, indices_TA, scores_TE = self.router(x_TD)
        stats = RouterStats(self.layer, scores_TE, indices_TA)
        if can_run(x_TD):
            shared = self._shared_weights()
            if isinstance(self.experts, RoutedExperts):
                post = None if self._team is None else self._team.post(x_TD)
                gate_up, down = self.experts.gate_up, self.experts.down
                return experts(x_TD, weights_TA, indices_TA, gate_up, down, shared, post), stats
            few = shared is not None and len(x_TD) <= FEW_TOKENS
            if few and isinstance(self.experts, QuantizedModule):  # these take the shared ones in the same launches
                return self.experts(x_TD, weights_TA, indices_TA, shared), stats
        if getattr(self.experts, "takes_shared", False):  # divided among ranks that train: tokens travel meanwhile
            return self.experts(x_TD, weights_TA, indices_TA, self.shared_experts), stats
        y_TD = self.experts(x_TD, weights_TA, indices_TA)
        if self.shared_experts is not None:
            y_TD = y_TD + self.shared_experts(x_TD)
        return y_TD, stats

    def _shared_weights(self) -> SharedExperts | None:
        """Of shared experts that are not quantised."""
        if self.shared_experts is None or not isinstance(self.shared_experts.gate_proj, nn.Linear):
            return None
        shared = self.shared_experts
        return SharedExperts(shared.gate_proj.weight, shared.up_proj.weight, shared.down_proj.weight)
