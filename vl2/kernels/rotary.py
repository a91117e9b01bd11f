"""Rotary position embedding of new tokens, and the row that is cached of each.

    heads    q_THK, k_TGK, v_TGK, tables --> rotated q_THK, row_TJ = rotated keys of all heads, then values
    latent   q_rope_THR, kv_TJ, tables --> rotated q_rope_THR, row_TJ = normed latent, then rotated key

The trap: interleaved input comes out de-interleaved (evens, then odds), as in the official code; queries and keys get
the same order, so their products are unaffected.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from vl2.kernels.launch import can_run
from vl2.kernels.norm import rms_norm_reference


class Place(NamedTuple):
    """Where rows are kept: values_CJ (slots, J) of a cache, and slots_T (T,) int64, one for each row."""

    values_CJ: Tensor
    slots_T: Tensor


def rotate(x_THR: Tensor, cos_TR: Tensor, sin_TR: Tensor, *, interleaved: bool) -> Tensor:
    """Rotate every head of (T, H, R). `interleaved` pairs dimensions (2j, 2j+1), else (j, j + R/2)."""
    x32 = x_THR.float()
    first, second = (x32[..., 0::2], x32[..., 1::2]) if interleaved else x32.chunk(2, -1)
    half = first.shape[-1]
    cos, sin = cos_TR[:, None, :half], sin_TR[:, None, :half]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).to(x_THR.dtype)


def heads_rows_reference(
    q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, cos_TR: Tensor, sin_TR: Tensor, place: Place | None = None
) -> tuple[Tensor, Tensor]:
    """Half-split rotation over whole heads.

    Args:
        q_THK, k_TGK, v_TGK: (T, H, K) and (T, G, K) as projected.
        cos_TR, sin_TR: (T, K) float32 tables.
        place: where to keep the rows, too.

    Returns: rotated queries (T, H, K); rows (T, 2 * G * K).
    """
    q_THK = rotate(q_THK, cos_TR, sin_TR, interleaved=False)
    k_TGK = rotate(k_TGK, cos_TR, sin_TR, interleaved=False)
    return q_THK, _keep(torch.cat([k_TGK.flatten(1), v_TGK.flatten(1)], -1), place)


def latent_rows_reference(
    q_rope_THR: Tensor, kv_TJ: Tensor, weight_Z: Tensor, eps: float, cos_TR: Tensor, sin_TR: Tensor,
    place: Place | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Interleaved rotation of the rotary part of queries and of the one key.

    Args:
        q_rope_THR: (T, H, R).
        kv_TJ: (T, Z + R) latents before their norm, then keys.
        weight_Z, eps: of the latents' norm.
        cos_TR, sin_TR: (T, R) float32 tables.
        place: where to keep the rows, too.

    Returns: rotated queries (T, H, R); rows (T, Z + R).
    """
    latent_TZ, k_rope_TR = kv_TJ.split([len(weight_Z), q_rope_THR.shape[-1]], -1)
    latent_TZ = rms_norm_reference(latent_TZ, weight_Z, eps)
    k_rope_TR = rotate(k_rope_TR[:, None], cos_TR, sin_TR, interleaved=True)[:, 0]
    rows_TJ = torch.cat([latent_TZ.to(kv_TJ.dtype), k_rope_TR], -1)
    return rotate(q_rope_THR, cos_TR, sin_TR, interleaved=True), _keep(rows_TJ, place)


def _keep(rows_TJ: Tensor, place: Place | None) -> Tensor:
    if place is not None:
        place.values_CJ.index_copy_(0, place.slots_T, rows_TJ.to(place.values_CJ.dtype))
    return rows_TJ


def heads_rows(
    q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, cos_TR: Tensor, sin_TR: Tensor, place: Place | None = None
) -> tuple[Tensor, Tensor]:
    """As heads_rows_reference, in one kernel where Triton runs."""
    if not can_run(q_THK):
        return heads_rows_reference(q_THK, k_TGK, v_TGK, cos_TR, sin_TR, place)
    from vl2.kernels import rotary_triton

    return rotary_triton.heads(q_THK, k_TGK, v_TGK, cos_TR, sin_TR, place)


def latent_rows(
    q_rope_THR: Tensor, kv_TJ: Tensor, weight_Z: Tensor, eps: float, cos_TR: Tensor, sin_TR: Tensor,
    place: Place | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As latent_rows_reference, in one kernel where Triton runs."""
    if not can_run(kv_TJ):
        return latent_rows_reference(q_rope_THR, kv_TJ, weight_Z, eps, cos_TR, sin_TR, place)
    from vl2.kernels import rotary_triton

    return rotary_triton.latent(q_rope_THR, kv_TJ, weight_Z, eps, cos_TR, sin_TR, place)
