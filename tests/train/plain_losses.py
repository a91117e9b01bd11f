"""Losses as one would write them first: prompt by prompt, expert by expert, with all logits. For comparison only."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vl2.data.packing import PackedBatch
from vl2.model.attention import LatentWeights
from vl2.model.moe import MoE, RoutedExperts
from vl2.model.vl2 import VL2
from vl2.train.loss import Losses, answer_weights


class PlainExperts(nn.Module):
    """As published: one expert after the other looks for its tokens."""

    def __init__(self, experts: RoutedExperts) -> None:
        super().__init__()
        self.gate_up, self.down = experts.gate_up, experts.down

    def forward(self, x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor) -> Tensor:
        out = torch.zeros_like(x_TD)
        for expert, (gate_up, down) in enumerate(zip(self.gate_up, self.down, strict=True)):
            token, choice = torch.where(indices_TA == expert)
            gate, up = (x_TD[token] @ gate_up.T).chunk(2, -1)
            y = (F.silu(gate) * up) @ down.T
            out = out.index_add(0, token, y * weights_TA[token, choice, None].to(y.dtype))
        return out


class OnePrompt:
    """The attention of a prompt that is alone: scores of all pairs, a mask, a softmax."""

    def place(self, layer: int) -> None:
        return None

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        k_THK, v_THU, k_rope_TR = weights.expand(rows_TJ)
        scores = torch.einsum("qhk,lhk->hql", q_nope_THK, k_THK) + torch.einsum("qhr,lr->hql", q_rope_THR, k_rope_TR)
        future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        shares = (scores * scale).masked_fill(future, float("-inf")).softmax(-1)
        return torch.einsum("hql,lhu->qhu", shares, v_THU)


def make_plain(model: VL2) -> VL2:
    """Put plain experts in their places."""
    for module in model.modules():
        if isinstance(module, MoE) and isinstance(module.experts, RoutedExperts):
            module.experts = PlainExperts(module.experts)  # type: ignore[assignment]
    return model


def plain_losses(model: VL2, head: None, batch: PackedBatch, *, answer_exponent: float = 1.0, **_: Any) -> Losses:
    """What batch_losses gives, without patches."""
    make_plain(model)
    tile_tokens_NQD = model.encode_tiles(model.pixel_values(batch.tiles_NCYX))[1]
    embeds_ID = model.layout_images(tile_tokens_NQD, batch.image_index_I)
    x_TD = model.embed(batch.input_ids_T, batch.image_positions_I, embeds_ID)
    parts, begin = [], 0
    for length in batch.sequence_lengths:
        own = slice(begin, begin + length)
        parts.append(model(x_TD[own], batch.positions_T[own], OnePrompt()))
        begin += length
    hidden_TD = torch.cat([hidden for hidden, _ in parts])
    logits = hidden_TD @ model.language.lm_head.weight.T
    losses_T = -logits.log_softmax(-1)[torch.arange(begin), batch.labels_T[:begin].clamp_min(0)]
    text_L = losses_T[batch.target_positions_L]
    balance = torch.zeros(())
    counts = 0
    for _, stats in parts:
        for router in stats:
            chosen_E = F.one_hot(router.indices_TA, router.scores_TE.shape[1]).sum((0, 1))
            share_E = chosen_E * router.scores_TE.shape[1] / router.indices_TA.numel()
            probability_TE = router.scores_TE / router.scores_TE.sum(-1, keepdim=True)
            balance = balance + (share_E * probability_TE.mean(0)).sum() / len(parts)
            counts = counts + chosen_E
    zero, weights_L = torch.zeros(()), answer_weights(batch, answer_exponent)
    assert isinstance(counts, Tensor)
    return Losses((text_L * weights_L).sum(), text_L.detach(), zero, zero, balance, counts[None])
