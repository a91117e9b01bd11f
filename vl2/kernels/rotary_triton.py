"""The Triton kernels of vl2/kernels/rotary.py, whose functions say what arguments mean."""

import torch
import triton
import triton.language as tl
from torch import Tensor


def launch_heads(
    q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, cos_TR: Tensor, sin_TR: Tensor
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As heads_rows_reference; one program a (token, head of queries, keys or values)."""
    (tokens, heads, width), groups = q_THK.shape, k_TGK.shape[1]
    out = torch.empty(tokens, heads, width, dtype=q_THK.dtype, device=q_THK.device)
    row = torch.empty(tokens, 2 * groups * width, dtype=q_THK.dtype, device=q_THK.device)
    _heads[(tokens, heads + 2 * groups)](
        q_THK, k_TGK, v_TGK, cos_TR, sin_TR, out, row, heads, groups,
        q_THK.stride(0), k_TGK.stride(0), v_TGK.stride(0), cos_TR.stride(0),
        WIDTH=width, HALF=triton.next_power_of_2(width // 2), num_warps=1,
    )  # fmt: skip
    return out, row


def launch_latent(
    q_rope_THR: Tensor, kv_TJ: Tensor, weight_Z: Tensor, eps: float, cos_TR: Tensor, sin_TR: Tensor
) -> tuple[Tensor, Tensor]:
    """As latent_rows_reference; one program a token for its row, another for its queries."""
    tokens, heads, rope = q_rope_THR.shape
    latent = len(weight_Z)
    out = torch.empty(tokens, heads, rope, dtype=q_rope_THR.dtype, device=kv_TJ.device)
    row = torch.empty(tokens, latent + rope, dtype=kv_TJ.dtype, device=kv_TJ.device)
    _latent[(tokens, 2)](
        q_rope_THR, kv_TJ, weight_Z, eps, cos_TR, sin_TR, out, row, heads, latent,
        q_rope_THR.stride(0), q_rope_THR.stride(1), kv_TJ.stride(0), cos_TR.stride(0),
        ROPE=rope, HALF=triton.next_power_of_2(rope // 2), LATENT=triton.next_power_of_2(latent),
        HEADS=triton.next_power_of_2(heads), num_warps=4,
    )  # fmt: skip
    return out, row


@triton.jit
def _heads(
    q, k, v, cos, sin, out, row, heads, groups, q_stride, k_stride, v_stride, table_stride,
    WIDTH: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    half = tl.arange(0, HALF)
    real = half < WIDTH // 2
    source = q + token * q_stride + head * WIDTH
    target = out + (token * heads + head) * WIDTH
    if head >= heads:
        source = k + token * k_stride + (head - heads) * WIDTH
        target = row + token * 2 * groups * WIDTH + (head - heads) * WIDTH
    if head >= heads + groups:
        source = v + token * v_stride + (head - heads - groups) * WIDTH
    first = tl.load(source + half, mask=real, other=0.0)
    second = tl.load(source + WIDTH // 2 + half, mask=real, other=0.0)
    if head < heads + groups:
        cosine = tl.load(cos + token * table_stride + half, mask=real, other=0.0)
        sine = tl.load(sin + token * table_stride + half, mask=real, other=0.0)
        first32, second32 = first.to(tl.float32), second.to(tl.float32)
        first = (first32 * cosine - second32 * sine).to(out.dtype.element_ty)
        second = (second32 * cosine + first32 * sine).to(out.dtype.element_ty)
    tl.store(target + half, first, mask=real)
    tl.store(target + WIDTH // 2 + half, second, mask=real)


@triton.jit
def _latent(
    q, kv, weight, eps, cos, sin, out, row, heads, latent, q_stride, q_stride_head, kv_stride, table_stride,
    ROPE: tl.constexpr, HALF: tl.constexpr, LATENT: tl.constexpr, HEADS: tl.constexpr,
):  # fmt: skip
    token = tl.program_id(0).to(tl.int64)
    half = tl.arange(0, HALF)
    real = half < ROPE // 2
    cosine = tl.load(cos + token * table_stride + half, mask=real, other=0.0)
    sine = tl.load(sin + token * table_stride + half, mask=real, other=0.0)
    if tl.program_id(1) == 0:
        cols = tl.arange(0, LATENT)
        inside = cols < latent
        value = tl.load(kv + token * kv_stride + cols, mask=inside, other=0.0).to(tl.float32)
        scale = tl.rsqrt(tl.sum(value * value, 0) / latent + eps)
        normed = (value * scale).to(row.dtype.element_ty).to(tl.float32)
        factor = tl.load(weight + cols, mask=inside, other=0.0).to(tl.float32)
        target = row + token * (latent + ROPE)
        tl.store(target + cols, (factor * normed).to(row.dtype.element_ty), mask=inside)
        first = tl.load(kv + token * kv_stride + latent + 2 * half, mask=real, other=0.0).to(tl.float32)
        second = tl.load(kv + token * kv_stride + latent + 2 * half + 1, mask=real, other=0.0).to(tl.float32)
        target += latent + half
        tl.store(target, (first * cosine - second * sine).to(row.dtype.element_ty), mask=real)
        tl.store(target + ROPE // 2, (second * cosine + first * sine).to(row.dtype.element_ty), mask=real)
    else:
        head = tl.arange(0, HEADS)[:, None]
        both = (head < heads) & real
        source = q + token * q_stride + head * q_stride_head + 2 * half
        first = tl.load(source, mask=both, other=0.0).to(tl.float32)
        second = tl.load(source + 1, mask=both, other=0.0).to(tl.float32)
        target = out + (token * heads + head) * ROPE + half
        tl.store(target, (first * cosine - second * sine).to(out.dtype.element_ty), mask=both)
        tl.store(target + ROPE // 2, (second * cosine + first * sine).to(out.dtype.element_ty), mask=both)
