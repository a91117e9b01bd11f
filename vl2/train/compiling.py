"""Decoder layers and blocks of the tower, compiled one by one.

    block.forward --torch.compile--> block.forward --recompute (vl2/train/recompute.py)--> block.forward

The trap: the order. Wrapped first, a layer is no longer seen by the compiler, which then leaves it as it is and says
nothing. Gathering divided weights stays outside, since only `forward` is compiled; so does the way of tokens to experts
of other ranks, since their number changes.
"""

from collections.abc import Iterator
from typing import Any

import torch

from vl2.model.vl2 import VL2
from vl2.train.expert_exchange import DividedExperts


def compile_blocks(model: VL2, choice: str, backend: str = "inductor") -> list[Any]:
    """Compile in place.

    Args:
        choice: of a recipe: "none", "vision" (the tower) or "all" (decoder layers too).
        backend: of torch.compile.

    Returns: what is compiled.
    """
    blocks = list(_blocks(model, choice))
    torch._dynamo.config.recompile_limit = max(
        torch._dynamo.config.recompile_limit,
        8 * len(blocks),  # one graph per decoder layer, again where a stage freezes
    )
    for block in blocks:
        block.forward = torch.compile(block.forward, dynamic=False, backend=backend)
    return blocks


def _blocks(model: VL2, choice: str) -> Iterator[Any]:
    if choice != "none":
        yield from (model.vision.patch_embed, *model.vision.blocks)
    for layer in model.language.layers if choice == "all" else ():
        if any(isinstance(module, DividedExperts) for module in layer.modules()):
            yield layer.get_submodule("self_attn")
            if (shared := getattr(layer.get_submodule("mlp"), "shared_experts", None)) is not None:
                yield shared
        else:
            yield layer
