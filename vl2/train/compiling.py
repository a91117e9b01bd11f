"""Decoder layers and blocks of the tower, compiled one by one.

    block.forward --torch.compile--> block.forward --recompute (vl2/train/recompute.py)--> block.forward

The trap: the order. Wrapped first, a layer is no longer seen by the compiler, which then leaves it as it is and says
nothing. Gathering divided weights stays outside, since only `forward` is compiled; so does the way of tokens to experts
of other ranks, since their number changes: such a layer is compiled in pieces, all but one of fixed shapes.
"""

from collections.abc import Iterator
from typing import Any

import torch

from vl2.model.decoder import DecoderLayer
from vl2.model.moe import MoE
from vl2.model.vl2 import VL2
from vl2.train.expert_exchange import DividedExperts


def compile_blocks(model: VL2, choice: str, backend: str = "inductor") -> list[Any]:
    """Compile in place.

    Args:
        choice: of a recipe: "none", "vision" (the tower) or "all" (decoder layers too).
        backend: of torch.compile.

    Returns: what is compiled.
    """
    pieces = list(_pieces(model, choice))
    torch._dynamo.config.recompile_limit = max(
        torch._dynamo.config.recompile_limit,
        8 * len(pieces),  # one graph per decoder layer, again where a stage freezes
    )
    for owner, name in pieces:
        dynamic = None if name == "activate" else False  # of divided experts: as many rows as arrive, and no width
        setattr(owner, name, torch.compile(getattr(owner, name), dynamic=dynamic, backend=backend))
    return [owner for owner, name in pieces if name == "forward"]


def _pieces(model: VL2, choice: str) -> Iterator[tuple[Any, str]]:
    """Modules and the names of their methods."""
    if choice != "none":
        yield from ((block, "forward") for block in (model.vision.patch_embed, *model.vision.blocks))
    for layer in model.language.layers if choice == "all" else ():
        assert isinstance(layer, DecoderLayer)
        if isinstance(layer.mlp, MoE) and isinstance(layer.mlp.experts, DividedExperts):
            yield from ((norm, "after_adding") for norm in (layer.input_layernorm, layer.post_attention_layernorm))
            yield from ((module, "forward") for module in (layer.self_attn, layer.mlp.router))
            yield from ((layer.mlp.experts, name) for name in ("sort", "leave", "activate", "merge"))
            if layer.mlp.shared_experts is not None:
                yield layer.mlp.shared_experts, "forward"
        else:
            yield layer, "forward"
