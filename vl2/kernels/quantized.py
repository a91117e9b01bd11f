"""Weights as small numbers and scales, in plain torch: how they are made, stored and read back.

    fp8     w_END --per row--> values (E, N, D) float8_e4m3fn, scales (E, N) float32
    int8    w_END --per row--> values (E, N, D) int8, scales (E, N) bfloat16
    int4    w_END --per row and group of columns--> values (E, N, D / 2) uint8, scales (E, N, D / group) bfloat16

The trap: a byte of int4 holds two columns that are half a group apart, the first of them in its low bits. Half a
group's bytes are then contiguous columns once they are unpacked, which is how kernels read them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

GROUPS = (128, 64, 32)  # columns that share a scale of int4
_FP8_MAX = 448.0
_INT8_MAX = 127
_CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8)  # of a group's extreme: cutting it off may help all the others


@dataclass(frozen=True)
class Quantized:
    """A stack of quantised matrices, or a part of one; values and scales share the leading axes."""

    values: Tensor
    scales: Tensor

    @property
    def group(self) -> int:
        """Columns that share a scale of int4; 0 for fp8 and int8, whose rows have one scale each."""
        return self.width // self.scales.shape[-1] if self.values.dtype == torch.uint8 else 0

    @property
    def width(self) -> int:
        """Input columns."""
        return self.values.shape[-1] * (2 if self.values.dtype == torch.uint8 else 1)

    @property
    def rows(self) -> int:
        return self.values.shape[-2]

    def __getitem__(self, where: int | slice | Tensor) -> "Quantized":
        return Quantized(self.values[where], self.scales[where])

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The weights that the numbers stand for, rounded once."""
        if not self.group:
            values = self.values.float() if self.values.dtype == torch.int8 else _float(self.values)
            return values.mul_(self.scales.float()[..., None]).to(dtype)
        bytes_ = self.values.unflatten(-1, (self.scales.shape[-1], -1))
        levels = torch.cat([bytes_ & 15, bytes_ >> 4], -1).float().sub_(8)
        return levels.mul_(self.scales.float()[..., None]).flatten(-2).to(dtype)


def _float(values: Tensor) -> Tensor:
    """float8_e4m3fn as float32, exactly: the bits moved to where float16 has them, which a CPU converts far sooner."""
    bits = values.view(torch.int8).to(torch.int16)  # the sign is in all upper bits now
    return ((bits << 7) & ~0x4000).view(torch.float16).float().mul_(256)  # exponents are biased by 7 instead of 15


def group_of(width: int, most: int = GROUPS[0]) -> int:
    """The largest group of at most `most` columns that divides a width; 0 if none does."""
    return next((group for group in GROUPS if group <= most and width % group == 0), 0)


def quantize(weight: Tensor, scheme: str, most: int | None = None) -> Quantized:
    """Quantise a matrix, or a stack of them one after the other so that little memory is needed beside it.

    Args:
        weight: (..., N, D), any floating dtype.
        scheme: "fp8", "int8" or "int4".
        most: largest group of int4.
    """
    if weight.ndim > 2:
        parts = [quantize(one, scheme, most) for one in weight]
        return Quantized(torch.stack([part.values for part in parts]), torch.stack([part.scales for part in parts]))
    if scheme == "int4":
        return _int4(weight.float(), group_of(weight.shape[-1], most or 128))
    return _fp8(weight.float()) if scheme == "fp8" else _int8(weight.float())


def _fp8(w_ND: Tensor) -> Quantized:
    scales_N = (w_ND.abs().amax(-1) / _FP8_MAX).clamp_min(1e-30)  # a row of zeros needs one, too
    values_ND = (w_ND / scales_N[:, None]).clamp(-_FP8_MAX, _FP8_MAX).to(torch.float8_e4m3fn)
    return Quantized(values_ND, scales_N)


def _int8(w_ND: Tensor) -> Quantized:
    """The scale is rounded first, so that values are made for the one that is stored."""
    scales_N = (w_ND.abs().amax(-1) / _INT8_MAX).clamp_min(1e-30).bfloat16()
    values_ND = (w_ND / scales_N.float()[:, None]).round_().clamp_(-_INT8_MAX, _INT8_MAX)
    return Quantized(values_ND.to(torch.int8), scales_N)


def _int4(w_ND: Tensor, group: int) -> Quantized:
    """Scales by search: the clip of each group that loses least, then the best scale for its levels.

    Level -8 has no counterpart, so it takes the extreme, whatever its sign: scales are signed.
    """
    assert group
    groups = w_ND.unflatten(-1, (-1, group))
    low, high = groups.amin(-1), groups.amax(-1)
    extreme = torch.where(high > -low, high, low) / -8
    best, least = torch.ones_like(extreme), torch.full_like(extreme, torch.inf)

    def keep_better(scales: Tensor) -> None:
        scales = scales.bfloat16().float()
        scales = torch.where(scales == 0, 1, scales)
        error = _levels(groups, scales).mul_(scales[..., None]).sub_(groups).square_().sum(-1)
        best.copy_(torch.where(error < least, scales, best))
        least.copy_(torch.minimum(error, least))

    for clip in _CLIPS:
        keep_better(extreme * clip)
    levels = _levels(groups, best)
    keep_better((levels * groups).sum(-1) / levels.square().sum(-1).clamp_min(1))
    bytes_ = (_levels(groups, best) + 8).to(torch.uint8)
    first, second = bytes_.chunk(2, -1)
    return Quantized((first | second << 4).flatten(-2), best.bfloat16())


def _levels(groups: Tensor, scales: Tensor) -> Tensor:
    return (groups / scales[..., None]).round_().clamp_(-8, 7)
