"""The Triton kernel of vl2/kernels/cross_entropy.py, whose functions say what arguments mean.

one program a row: running maximum and sum of exponentials of every column, then all columns at the end, then gradients
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config


def cross_entropy(logits_LV: Tensor, targets_L: Tensor, weights_L: Tensor) -> Tensor:
    """As cross_entropy_reference."""
    rows, vocabulary = logits_LV.shape
    assert logits_LV.stride(1) == 1
    assert targets_L.is_contiguous()
    weights_L = weights_L.float().contiguous()
    losses_L = torch.empty(rows, dtype=torch.float32, device=logits_LV.device)
    if rows:
        _cross_entropy[(rows,)](
            logits_LV, targets_L, weights_L, losses_L, vocabulary, logits_LV.stride(0),
            **config("cross_entropy", rows, logits_LV.itemsize),
        )  # fmt: skip
    return losses_L


@triton.jit
def _cross_entropy(logits, targets, weights, losses, vocabulary, stride, COLS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols, line = tl.arange(0, COLS), logits + row * stride
    best = tl.full([COLS], float("-inf"), tl.float32)
    sums = tl.zeros([COLS], tl.float32)
    for start in range(0, vocabulary, COLS):
        value = tl.load(line + start + cols, mask=start + cols < vocabulary, other=float("-inf")).to(tl.float32)
        higher = tl.maximum(best, value)
        known = tl.where(higher == float("-inf"), 0.0, higher)  # a column past the end of every block
        sums = sums * tl.exp(best - known) + tl.exp(value - known)
        best = higher
    top = tl.max(best, 0)
    total = top + tl.log(tl.sum(sums * tl.exp(best - top), 0))
    target, weight = tl.load(targets + row), tl.load(weights + row)
    tl.store(losses + row, total - tl.load(line + target).to(tl.float32))
    for start in range(0, vocabulary, COLS):
        inside = start + cols < vocabulary
        value = tl.load(line + start + cols, mask=inside, other=float("-inf")).to(tl.float32)
        share = tl.exp(value - total) - tl.where(start + cols == target, 1.0, 0.0)
        tl.store(line + start + cols, (weight * share).to(logits.dtype.element_ty), mask=inside)
