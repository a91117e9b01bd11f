"""Which part of every weight a rank holds, if several hold one model together.

    heads                 q_proj, k_proj, v_proj, q_b_proj, kv_b_proj by rows, o_proj by columns
    width of experts      gate_proj, up_proj by rows, down_proj by columns; routed and shared experts, dense layers
    vocabulary            lm_head by rows
    whole on every rank   the rest: tower, embeddings, norms, router, latents

Every rank reads as much as any other, whatever the router picks, and what it adds to the stream is a share of a sum.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from vl2.config import VL2Config
from vl2.kernels.team import Team, TeamError
from vl2.model.slots import Slot, slots

if TYPE_CHECKING:
    from vl2.model.vl2 import VL2

_BY_ROWS = frozenset(("q_proj", "k_proj", "v_proj", "q_b_proj", "kv_b_proj", "gate_proj", "up_proj", "lm_head"))
_BY_COLUMNS = frozenset(("o_proj", "down_proj"))


def require_divisible(config: VL2Config, ranks: int) -> None:
    """Raises TeamError if so many ranks cannot hold this model together."""
    text = config.language_config
    if config.quantization_config:
        raise TeamError(f"{ranks} ranks: quantised weights cannot be divided; run one process, or unquantised weights")
    if text.attention_bias:
        raise TeamError(f"{ranks} ranks: attention_bias = true cannot be divided; run one process")
    keys = ["num_attention_heads", "intermediate_size", "vocab_size"]
    keys += [] if text.use_mla else ["num_key_value_heads"]
    keys += ["moe_intermediate_size"] if text.n_routed_experts else []
    for key in keys:
        if getattr(text, key) % ranks:
            raise TeamError(f"{key} = {getattr(text, key)}: cannot be divided among {ranks} ranks; start fewer")


def divided_axis(slot: Slot) -> int | None:
    """Along which axis of a stored matrix ranks divide it."""
    *_, module, kind = f".{slot.official}".split(".")
    if not slot.parameter.startswith("language.") or kind != "weight":
        return None
    return 0 if module in _BY_ROWS else 1 if module in _BY_COLUMNS else None


def part_of(slot: Slot, rank: int, ranks: int) -> tuple[tuple[slice, ...], Slot]:
    """What a rank reads of a stored tensor, and the slot that this fills in its model."""
    axis = divided_axis(slot)
    if axis is None:
        return (), slot
    size = slot.shape[axis] // ranks
    source = (slice(None),) * axis + (slice(rank * size, (rank + 1) * size),)
    shape = (*slot.shape[:axis], size, *slot.shape[axis + 1 :])
    where = tuple(
        slice(place.start // ranks, place.stop // ranks) if isinstance(place, slice) else place for place in slot.where
    )
    return source, replace(slot, shape=shape, where=where)


@torch.no_grad()
def part_of_model(model: "VL2", team: Team) -> "VL2":
    """A rank's part of a whole model, on the same device."""
    from vl2.model.weights import empty_model

    part = empty_model(model.config, model.device, model.dtype, team)
    whole, ours = dict(model.named_parameters()), dict(part.named_parameters())
    for slot in slots(model.config):
        source, own = part_of(slot, team.rank, team.count)
        ours[own.parameter][own.where].copy_(whole[slot.parameter][slot.where][source])
    return part.requires_grad_(False).eval()
