"""What a layer keeps for the backward pass: everything, its inputs only, or the products that are dear to repeat.

The numbers are the same; memory is paid with computing. Compiled layers keep products and repeat what is cheap whatever
is chosen, since that is how their graphs are cut into forward and backward. The trap: layers are changed after they are
compiled (vl2/train/compiling.py) and divided among ranks, so that a repeated layer is gathered again, too.
"""

from collections.abc import Collection
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from vl2.model.vl2 import VL2

CHOICES = ("none", "layers", "selective")
_DEAR = (  # what "selective" keeps: matrix products and attention; norms, gates, copies and rotations are repeated
    "aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm", "aten._grouped_mm", "aten._scaled_dot_product_flash_attention",
    "aten._scaled_dot_product_efficient_attention", "aten._scaled_dot_product_cudnn_attention",
    "aten._scaled_dot_product_flash_attention_for_cpu", "torch_attn._varlen_attn",
)  # fmt: skip


def _policy(_: Any, operator: Any, *args: Any, **settings: Any) -> CheckpointPolicy:
    dear = str(operator).rsplit(".", 1)[0] in _DEAR
    return CheckpointPolicy.MUST_SAVE if dear else CheckpointPolicy.PREFER_RECOMPUTE


def recompute(model: VL2, choice: str, compiled: Collection[nn.Module] = ()) -> None:
    """Let decoder layers and blocks of the tower keep what `choice`, one of CHOICES, says; in place.

    Args:
        compiled: those that are, which need no change for "selective".
    """
    assert choice in CHOICES
    if choice == "none":
        return
    settings: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}  # nothing here is random
    if choice == "selective":
        settings["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    blocks: list[nn.Module] = [*model.vision.blocks, *model.language.layers]
    for block in blocks:
        if choice == "selective" and block in compiled:
            continue
        block.forward = partial(checkpoint, block.forward, **settings)
