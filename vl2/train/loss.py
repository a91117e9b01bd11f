"""Losses: text, patches, and the balance of experts.

    hidden_TD --gather positions that have a label--> summed cross-entropy            (vl2/train/head_loss.py)
    patch_features_NPW --PatchHead--> summed cross-entropies of classes and boxes     (vl2/train/patch_head.py)
    RouterStats --per sequence--> sum over experts of f_e * P_e           (SPEC E3)

Every sum is divided by a count over all micro-batches of the step, known to the host beforehand.
The trap: filler tokens pass through the routers; they belong to no prompt, and no count includes them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vl2.data.packing import PackedBatch
from vl2.kernels.branches import Branches
from vl2.model.cache import BranchedSequences, PackedSequences
from vl2.model.moe import RouterStats
from vl2.model.vl2 import VL2
from vl2.train.head_loss import head_loss
from vl2.train.patch_head import PatchHead, box_loss, class_loss


@dataclass(frozen=True)
class Losses:
    """Sums over one micro-batch.

    text: () summed cross-entropy, each target with the weight of its answer, with gradient.
    text_L: (L,) cross-entropy of every target, without gradient, for the loss per task.
    patch: () summed weighted cross-entropy of the classes of patches, with gradient.
    box: () summed cross-entropy of the boxes of patches, with gradient.
    balance: () mean over prompts of the balance loss, summed over layers, with gradient.
    expert_counts_GE: (routers, E) tokens sent to every expert.
    """

    text: Tensor
    text_L: Tensor
    patch: Tensor
    box: Tensor
    balance: Tensor
    expert_counts_GE: Tensor


def batch_losses(
    model: VL2,
    patch_head: PatchHead | None,
    batch: PackedBatch,
    *,
    background_weight: float,
    answer_exponent: float = 1.0,
    static: bool,
) -> Losses:
    """One forward pass.

    Args:
        patch_head: None when the patch loss is off.
        answer_exponent: an answer of n tokens weighs n ** answer_exponent.
        static: give attention the same shapes in every batch, which compiled layers need.
    """
    zero = torch.zeros((), device=batch.input_ids_T.device)
    patch = box = zero
    if batch.tiles_NCYX.shape[0]:
        patches_NPW, tile_tokens_NQD = model.encode_tiles(model.pixel_values(batch.tiles_NCYX))
        image_embeds_ID = model.layout_images(tile_tokens_NQD, batch.image_index_I)
        if patch_head is not None:
            patch = class_loss(patch_head, patches_NPW, batch.patch_classes_NP, background_weight)
            box = box_loss(patch_head, patches_NPW, batch.patch_boxes_NP4)
    else:
        image_embeds_ID = model.image_newline.new_empty(0, model.image_newline.numel())
    x_TD = model.embed(batch.input_ids_T, batch.image_positions_I, image_embeds_ID)
    hidden_TD, stats = model(x_TD, batch.positions_T, _attention(batch, static))
    targets_L = batch.labels_T[batch.target_positions_L]
    weights_L, head = answer_weights(batch, answer_exponent), model.language.lm_head.weight
    text, text_L = head_loss(hidden_TD.index_select(0, batch.target_positions_L), head, targets_L, weights_L)
    balance, counts = balance_loss(stats, batch) if stats else (zero, zero.new_zeros(0, 0))
    return Losses(text, text_L, patch, box, balance, counts)


def answer_weights(batch: PackedBatch, exponent: float) -> Tensor:
    """(L,) float32 weights of the targets: those of an answer of n tokens sum to n ** exponent."""
    return batch.answer_lengths_L ** (exponent - 1)


def _attention(batch: PackedBatch, static: bool) -> PackedSequences:
    if batch.branching:
        where = batch.cu_prefixes_S1, batch.prefix_tokens_J, batch.branch_T
        used = slice(None) if static else slice(batch.num_sequences + 1)
        longest = batch.sequence_limit if static else batch.max_sequence
        return BranchedSequences(Branches(batch.cu_parts_P1, batch.cu_seqlens_S1[used], *where, longest))
    if static:
        return PackedSequences(batch.cu_seqlens_S1, batch.sequence_limit)
    return PackedSequences(batch.cu_seqlens_S1[: batch.num_sequences + 1], batch.max_sequence)


def balance_loss(stats: list[RouterStats], batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """Mean over prompts of sum_e f_e * P_e, summed over routers; and (routers, E) tokens per expert.

    f_e is the share of a prompt's choices that fell on e, times E, and P_e the mean score of e over the prompt.
    Sigmoid scores are first divided by their sum, so that both scoring functions give probabilities.
    """
    prompt_T = batch.prompt_T
    num_prompts, slots = len(batch.sequence_lengths), batch.cu_seqlens_S1.numel()  # filler's row is always inside
    lengths_S = prompt_T.new_zeros(slots).index_add_(0, prompt_T, torch.ones_like(prompt_T))[:num_prompts, None]
    scores_GTE = torch.stack([router.scores_TE for router in stats])
    indices_GTA = torch.stack([router.indices_TA for router in stats])
    (routers, _, num_experts), active = scores_GTE.shape, indices_GTA.shape[-1]
    share_GTE = scores_GTE / scores_GTE.sum(-1, keepdim=True)
    mean_GSE = share_GTE.new_zeros(routers, slots, num_experts).index_add(1, prompt_T, share_GTE)
    row_GT = torch.arange(routers, device=prompt_T.device)[:, None] * slots + prompt_T
    cell = (row_GT[..., None] * num_experts + indices_GTA).flatten()
    chosen = torch.zeros(routers * slots * num_experts, device=cell.device)
    chosen_GSE = chosen.index_add_(0, cell, torch.ones(cell.shape, device=cell.device))  # exact: counts are small
    chosen_GSE = chosen_GSE.unflatten(0, (routers, slots, num_experts))[:, :num_prompts]
    fraction_GSE = chosen_GSE * num_experts / (lengths_S * active)
    balance = (fraction_GSE * (mean_GSE[:, :num_prompts] / lengths_S)).sum(-1).mean(1).sum()
    return balance, chosen_GSE.sum(1).long()
