"""A training-only head on the tower: what does every patch show, and how far does the whole thing reach?

    patch_features_NPW --linear--> logits over classes                        the character, icon or bar at its centre
                       --linear--> logits over BOX_BINS for x0, y0, x1, y1    the box of that line of text or object

Text loss alone does not teach a small model to read from scratch; these dense targets, free from the renderer, do.
The boxes put into the features of every patch the numbers that grounding has to say. The head is never exported.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vl2.data.packing import BOX_BINS, NO_LABEL


class PatchHead(nn.Module):
    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(width, num_classes)
        self.boxes = nn.Linear(width, 4 * BOX_BINS)

    def initialize(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for layer in (self.classes, self.boxes):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
            nn.init.zeros_(layer.bias)


def class_loss(head: PatchHead, patches_NPW: Tensor, classes_NP: Tensor, background_weight: float) -> Tensor:
    """() summed cross-entropy of patches with a class, class 0 weighted by `background_weight`."""
    weights = torch.ones(head.classes.out_features, device=classes_NP.device)
    weights[:1].fill_(background_weight)
    logits = head.classes(patches_NPW).flatten(0, 1).float()
    return F.cross_entropy(logits, classes_NP.flatten().long(), weights, ignore_index=NO_LABEL, reduction="sum")


def box_loss(head: PatchHead, patches_NPW: Tensor, boxes_NP4: Tensor) -> Tensor:
    """() summed cross-entropy of the four edges, meaned over the edges, of patches with a box."""
    logits = head.boxes(patches_NPW).unflatten(-1, (4, BOX_BINS)).flatten(0, 2).float()
    return F.cross_entropy(logits, boxes_NP4.flatten().long(), ignore_index=NO_LABEL, reduction="sum") / 4
