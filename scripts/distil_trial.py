"""A trial of scripts/nano_trials.toml that also learns from what a trained Nano answers: distillation.

    python scripts/distil_trial.py --teacher vl2/weights/nano --share 0.5 scripts/nano_trials.toml --out RUN_DIR ...

    batch --teacher, no gradient--> logits of every target --┐
    batch --student--> hidden states --head--> logits --------> share * soft loss + (1 - share) * text loss

The soft loss is the cross-entropy of the student under the teacher's probabilities, at every target.
What follows the share is for `vl2 train`. One process, one device. The metrics keep the plain text loss, so that they
compare with those of other trials. The trap: the teacher sees the batch just before the student, and what it thought of
every target waits in between for the same positions.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import vl2.train.loss
import vl2.train.step
from vl2.cli import main as cli
from vl2.data.packing import PackedBatch
from vl2.device import pick_device
from vl2.model.vl2 import VL2
from vl2.model.weights import load
from vl2.train.head_loss import head_loss
from vl2.train.loss import Losses, batch_losses
from vl2.train.patch_head import PatchHead

ROWS = 8192  # targets whose logits of both exist at one time


class Distillation:
    """The two functions of a training step that distillation changes; `place` puts them there."""

    def __init__(self, teacher: VL2, share: float) -> None:
        self.teacher, self.share = teacher.eval().requires_grad_(False), share
        self._seen: tuple[Tensor, Tensor] | None = None  # of the teacher: hidden states of all targets, head
        self._student = False

    def place(self) -> None:
        """Change what training calls from here on, in this process."""
        vl2.train.step.batch_losses = self.losses
        vl2.train.loss.head_loss = self.loss

    def losses(self, model: VL2, patch_head: PatchHead | None, batch: PackedBatch, **settings: Any) -> Losses:
        """As batch_losses, with the teacher's opinion in `text`."""
        with torch.no_grad():
            self._student = False
            batch_losses(self.teacher, None, batch, **settings)
            self._student = True
        return batch_losses(model, patch_head, batch, **settings)

    def loss(self, hidden_LD: Tensor, head_VD: Tensor, targets_L: Tensor, weights_L: Tensor) -> tuple[Tensor, Tensor]:
        """As head_loss; of the teacher it keeps what it needs to have its logits again."""
        if not self._student:
            self._seen = hidden_LD, head_VD
            return head_loss(hidden_LD, head_VD, targets_L, weights_L)
        assert self._seen is not None
        text, text_L = head_loss(hidden_LD, head_VD, targets_L, weights_L)
        parts = zip(*(tensor.split(ROWS) for tensor in (hidden_LD, self._seen[0], weights_L)), strict=True)
        zero = hidden_LD.new_zeros((), dtype=torch.float32)
        soft = sum((_soft_loss(own, head_VD, other, self._seen[1], weights) for own, other, weights in parts), zero)
        return (1 - self.share) * text + self.share * soft, text_L


def _soft_loss(own_LD: Tensor, head_VD: Tensor, other_LD: Tensor, other_head_VD: Tensor, weights_L: Tensor) -> Tensor:
    """Its weighted sum; logits are made again in the backward pass."""

    def compute(own_LD: Tensor, head_VD: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = F.linear(other_LD, other_head_VD).float().softmax(-1)
        return -(wanted * F.linear(own_LD, head_VD).float().log_softmax(-1)).sum(-1) @ weights_L

    result: Tensor = checkpoint(compute, own_LD, head_VD, use_reentrant=False)  # type: ignore[assignment]
    return result


def compiled(model: VL2) -> VL2:
    """Layers and blocks compiled one by one, on a GPU, as the student's."""
    blocks: list[nn.Module] = [*model.vision.blocks, *model.language.layers]
    for block in blocks if model.image_newline.is_cuda else ():
        block.forward = torch.compile(block.forward, dynamic=False)  # type: ignore[method-assign]
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of the teacher in the loss, between 0 and 1")
    options, of_train = parser.parse_known_args()
    if not 0 <= options.share <= 1:
        parser.error(f"--share {options.share}: expected between 0 and 1")
    Distillation(compiled(load(options.teacher, pick_device("auto"), torch.float32)), options.share).place()
    sys.argv[1:] = ["train", *of_train]
    cli()


if __name__ == "__main__":
    main()
