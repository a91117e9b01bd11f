"""Products of every head with its own weights: queries taken to latents, and latents to values.

    q_nope_THK, w_k_HKZ --absorb--> (T, H, Z) ... attention over latents ... o_THZ, w_v_HUZ --values--> (T, H, U)
    rows_and_absorb: the first, and rotation and rows to cache (rotary.py), in one launch

The trap: weights of keys and of values are views of one matrix, the first read down its columns, the second along its
rows.
"""

import torch
from torch import Tensor

from vl2.kernels.launch import can_run
from vl2.kernels.rotary import Place, latent_rows, latent_rows_reference

MOST_TOKENS = 256  # with more, cuBLAS is at its best


def absorb_reference(q_nope_THK: Tensor, w_k_HKZ: Tensor) -> Tensor:
    """Queries against latents instead of keys, (T, H, Z)."""
    return torch.bmm(q_nope_THK.transpose(0, 1), w_k_HKZ).transpose(0, 1)


def values_reference(o_THZ: Tensor, w_v_HUZ: Tensor) -> Tensor:
    """Weighted sums of latents to weighted sums of values, (T, H, U)."""
    return torch.bmm(o_THZ.transpose(0, 1), w_v_HUZ.mT).transpose(0, 1)


def absorb(q_nope_THK: Tensor, w_k_HKZ: Tensor) -> Tensor:
    """As absorb_reference; of few tokens contiguous, by kernels that do little but read the weights."""
    if not _kernels_take(q_nope_THK, w_k_HKZ):
        return absorb_reference(q_nope_THK, w_k_HKZ)
    from vl2.kernels import latent_triton

    return latent_triton.launch("absorb", q_nope_THK, w_k_HKZ.mT)


def values(o_THZ: Tensor, w_v_HUZ: Tensor) -> Tensor:
    """As values_reference; of few tokens contiguous, so that heads need not be copied side by side."""
    if not _kernels_take(o_THZ, w_v_HUZ):
        return values_reference(o_THZ, w_v_HUZ)
    from vl2.kernels import latent_triton

    return latent_triton.launch("values", o_THZ, w_v_HUZ)


def rows_and_absorb_reference(
    q_nope_THK: Tensor, w_k_HKZ: Tensor, q_rope_THR: Tensor, kv_TJ: Tensor, norm_Z: Tensor, eps: float,
    cos_TR: Tensor, sin_TR: Tensor, place: Place,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """What latent_rows_reference returns, and absorb_reference."""
    rows = latent_rows_reference(q_rope_THR, kv_TJ, norm_Z, eps, cos_TR, sin_TR, place)
    return *rows, absorb_reference(q_nope_THK, w_k_HKZ)


def rows_and_absorb(
    q_nope_THK: Tensor, w_k_HKZ: Tensor, q_rope_THR: Tensor, kv_TJ: Tensor, norm_Z: Tensor, eps: float,
    cos_TR: Tensor, sin_TR: Tensor, place: Place | None,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """As rows_and_absorb_reference of one cached token in Triton; else no absorbed queries, which not all need."""
    row = q_rope_THR, kv_TJ, norm_Z, eps, cos_TR, sin_TR
    if place is None or len(kv_TJ) != 1 or not _kernels_take(q_nope_THK, w_k_HKZ):
        return *latent_rows(*row, place), None
    from vl2.kernels import latent_triton

    return latent_triton.rows_and_absorb(q_nope_THK, w_k_HKZ, *row, place)


def _kernels_take(x: Tensor, weight: Tensor) -> bool:
    return can_run(x) and len(x) <= MOST_TOKENS and x.dtype == weight.dtype
