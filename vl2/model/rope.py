"""Rotary position embedding: plain, linear and YaRN (SPEC E1, E2; YaRN: Peng et al. 2023, section 3).

    positions_T --rope_table--> cos_TR, sin_TR (float32, both halves equal) --kernels/rotary.py--> queries and keys

The trap: tables are computed from integer positions in float32 at every call and never stored in the model, so
casting the model to bfloat16 cannot round them.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vl2.config import LanguageConfig, RopeScaling


class RopeTable(NamedTuple):
    """cos_TR, sin_TR: (T, R) float32."""

    cos_TR: Tensor
    sin_TR: Tensor

    def at(self, positions_T: Tensor) -> "RopeTable":
        """The rows of these positions, of a table that begins at position 0."""
        return RopeTable(self.cos_TR[positions_T], self.sin_TR[positions_T])


def rope_table(config: LanguageConfig, positions_T: Tensor) -> RopeTable:
    """Tables for integer positions (T,)."""
    width = config.qk_rope_head_dim if config.use_mla else config.head_dim
    scaling = config.rope_scaling
    exponent = torch.arange(0, width, 2, device=positions_T.device, dtype=torch.float32) / width
    frequency = 1.0 / config.rope_theta**exponent
    amplitude = 1.0
    if scaling is not None and scaling.type == "linear":
        frequency = frequency / scaling.factor
    elif scaling is not None:
        frequency = _yarn_frequency(frequency, width, config.rope_theta, scaling)
        amplitude = yarn_mscale(scaling.factor, scaling.mscale) / yarn_mscale(scaling.factor, scaling.mscale_all_dim)
    with torch.autocast(positions_T.device.type, enabled=False):
        angle_TR = torch.outer(positions_T.float(), frequency).repeat(1, 2)
        return RopeTable(angle_TR.cos() * amplitude, angle_TR.sin() * amplitude)


def softmax_scale(config: LanguageConfig) -> float:
    """Factor on attention scores; YaRN with mscale_all_dim sharpens it."""
    scale = config.head_dim**-0.5
    scaling = config.rope_scaling
    if scaling is not None and scaling.type == "yarn" and scaling.mscale_all_dim:
        scale *= yarn_mscale(scaling.factor, scaling.mscale_all_dim) ** 2
    return scale


def yarn_mscale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _yarn_frequency(frequency: Tensor, width: int, theta: float, scaling: RopeScaling) -> Tensor:
    """Interpolate slow dimensions, keep fast ones, ramp between; the ramp's ends come from rotation counts."""

    def dimension_of(rotations: float) -> float:
        return (
            width
            * math.log(scaling.original_max_position_embeddings / (rotations * 2 * math.pi))
            / (2 * math.log(theta))
        )

    low = max(math.floor(dimension_of(scaling.beta_fast)), 0)
    high = min(math.ceil(dimension_of(scaling.beta_slow)), width - 1)
    span = high - low if high != low else 0.001
    index = torch.arange(width // 2, device=frequency.device, dtype=torch.float32)
    keep = 1.0 - ((index - low) / span).clamp(0, 1)
    return frequency / scaling.factor * (1 - keep) + frequency * keep
