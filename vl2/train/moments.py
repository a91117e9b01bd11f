"""Optimizer moments in 8 bits: blocks of 256 values share one float32 scale.

    exp_avg     signed, value = q / 127 * scale
    exp_avg_sq  its square root is stored, value = (q / 127 * scale) ** 2, so that small second moments keep precision

The trap: a second moment rounded to 0 would make the next update explode; it is rounded up to the first level.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 256
_LEVELS = 127


def quantize(values: Tensor, *, squared: bool) -> tuple[Tensor, Tensor]:
    """Any float32 tensor to (blocks, BLOCK) int8 and (blocks,) float32 scales."""
    flat = values.detach().float().flatten()
    flat = flat.clamp_min(0).sqrt() if squared else flat
    blocks = F.pad(flat, (0, -flat.numel() % BLOCK)).unflatten(0, (-1, BLOCK))
    scale = blocks.abs().amax(1)
    levels = (blocks / scale.clamp_min(torch.finfo(torch.float32).tiny)[:, None] * _LEVELS).round()
    if squared:
        levels = torch.where(blocks > 0, levels.clamp_min(1), levels)
    return levels.to(torch.int8), scale


def dequantize(levels: Tensor, scale: Tensor, shape: torch.Size, *, squared: bool) -> Tensor:
    """Inverse of `quantize`, up to rounding."""
    flat = (levels.float() * (scale[:, None] / _LEVELS)).flatten()[: shape.numel()]
    return (flat.square() if squared else flat).reshape(shape)
