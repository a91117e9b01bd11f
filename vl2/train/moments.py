"""Optimizer moments in 8 bits: blocks of 256 values share one float32 scale.

    exp_avg     signed, value = q / 127 * scale
    exp_avg_sq  its square root is stored, value = (q / 127 * scale) ** 2, so that small second moments keep precision

The traps: a second moment rounded to 0 would make the next update explode; it is rounded up to the first level. A
scale over 127 is a number of 16 bits, so that what was stored and read is stored again as the same levels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 256
_LEVELS = 127


def quantize(values: Tensor, *, squared: bool, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Any float32 tensor to (blocks, BLOCK) int8 and (blocks,) float32 scales.

    Args:
        noise: of the shape of values, in [0, 1): what lies between two levels goes up where noise is large, so that
            many small changes are not all rounded away.
    """
    flat = values.detach().float().flatten()
    flat = flat.clamp_min(0).sqrt() if squared else flat
    blocks = F.pad(flat, (0, -flat.numel() % BLOCK)).unflatten(0, (-1, BLOCK))
    unit = (blocks.abs().amax(1) / _LEVELS).view(torch.int32).add(0xFF).bitwise_and(~0xFF).view(torch.float32)
    exact = blocks / unit.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
    levels = exact.round()
    if noise is not None:
        padded = F.pad(noise.flatten(), (0, -flat.numel() % BLOCK)).view_as(blocks)
        levels = torch.where(exact.abs() < _LEVELS - 1, (exact + padded).floor(), levels)  # the largest stays that
    if squared:
        levels = torch.where(blocks > 0, levels.clamp_min(1), levels)
    return levels.to(torch.int8), unit * _LEVELS


def dequantize(levels: Tensor, scale: Tensor, shape: torch.Size, *, squared: bool) -> Tensor:
    """Inverse of `quantize`, up to rounding."""
    flat = (levels.float() * (scale[:, None] / _LEVELS)).flatten()[: shape.numel()]
    return (flat.square() if squared else flat).reshape(shape)
