"""A training-only head on the tower: what does every patch show, and how far does the whole thing reach?

    patch_features_NPW --linear--> logits over classes                        the character, icon or bar at its centre
                       --linear--> logits over BOX_BINS for x0, y0, x1, y1    the box of that line of text or object

Text loss alone does not teach a small model to read from scratch; these dense targets, free from the renderer, do.
The boxes put into the features of every patch the numbers that grounding has to say. The head is never exported.
The trap: there are thousands of classes and hundreds of thousands of patches, so their logits never exist all at once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vl2.data.packing import BOX_BINS, NO_LABEL
from vl2.train.head_loss import head_loss

_NOISE = 0.02  # standard deviation of what sets new classes apart
_LOGITS_BYTES = 1 << 29  # of the logits of classes that exist at one time


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


def with_new_classes(stored_C: Tensor, num_classes: int, seed: int) -> Tensor:
    """Rows (or biases) of a head's known classes, and after them new ones.

    A new class is the mean of the known ones with some noise: to a softmax, that is as likely as they are on average,
    so what the known ones say of a patch hardly changes.
    """
    num_new = num_classes - len(stored_C)
    noise = torch.randn(num_new, *stored_C.shape[1:], generator=torch.Generator().manual_seed(seed)) * _NOISE
    return torch.cat([stored_C, (stored_C.float().mean(0) + noise).to(stored_C.dtype)])


def class_loss(head: PatchHead, patches_NPW: Tensor, classes_NP: Tensor, background_weight: float) -> Tensor:
    """() summed cross-entropy of patches with a class, class 0 weighted by `background_weight`."""
    classes = classes_NP.flatten().long()
    weights = torch.where(classes == 0, background_weight, 1.0) * (classes != NO_LABEL)
    rows, bias, targets = head.classes.weight, head.classes.bias, classes.clamp_min(0)
    return head_loss(patches_NPW.flatten(0, 1), rows, targets, weights, _LOGITS_BYTES, bias)[0]


def box_loss(head: PatchHead, patches_NPW: Tensor, boxes_NP4: Tensor) -> Tensor:
    """() summed cross-entropy of the four edges, meaned over the edges, of patches with a box."""
    logits = head.boxes(patches_NPW).unflatten(-1, (4, BOX_BINS)).flatten(0, 2).float()
    return F.cross_entropy(logits, boxes_NP4.flatten().long(), ignore_index=NO_LABEL, reduction="sum") / 4
