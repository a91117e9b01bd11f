"""The Triton kernels of vl2/kernels/rotary.py, whose functions say what arguments mean."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import let_next_start, wait_for_last
from vl2.kernels.rotary import Place


def heads(
    q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, cos_TR: Tensor, sin_TR: Tensor, place: Place | None
) -> tuple[Tensor, Tensor]:
    """As heads_rows_reference; one program a (block of tokens, head of queries, keys or values)."""
    (tokens, num_heads, width), groups = q_THK.shape, k_TGK.shape[1]
    out = torch.empty(tokens, num_heads, width, dtype=q_THK.dtype, device=q_THK.device)
    rows = torch.empty(tokens, 2 * groups * width, dtype=q_THK.dtype, device=q_THK.device)
    kept, slots = place or (rows, rows)
    sizes = config("heads", tokens, q_THK.itemsize)
    _heads[(triton.cdiv(tokens, sizes["BLOCK"]), num_heads + 2 * groups)](
        q_THK, k_TGK, v_TGK, cos_TR, sin_TR, out, rows, kept, slots, tokens, num_heads, groups,
        q_THK.stride(0), k_TGK.stride(0), v_TGK.stride(0), cos_TR.stride(0),
        WIDTH=width, HALF=triton.next_power_of_2(width // 2), KEEP=place is not None, **sizes,
        **overlapped(q_THK, "rotate"),
    )  # fmt: skip
    return out, rows


def latent(
    q_rope_THR: Tensor, kv_TJ: Tensor, weight_Z: Tensor, eps: float, cos_TR: Tensor, sin_TR: Tensor, place: Place | None
) -> tuple[Tensor, Tensor]:
    """As latent_rows_reference; one program a token for its row, another for its queries."""
    tokens, num_heads, rope = q_rope_THR.shape
    width = len(weight_Z)
    out = torch.empty(tokens, num_heads, rope, dtype=q_rope_THR.dtype, device=kv_TJ.device)
    rows = torch.empty(tokens, width + rope, dtype=kv_TJ.dtype, device=kv_TJ.device)
    kept, slots = place or (rows, rows)
    _latent[(tokens, 2)](
        q_rope_THR, kv_TJ, weight_Z, eps, cos_TR, sin_TR, out, rows, kept, slots, num_heads, width,
        q_rope_THR.stride(0), q_rope_THR.stride(1), kv_TJ.stride(0), cos_TR.stride(0),
        ROPE=rope, HALF=triton.next_power_of_2(rope // 2), LATENT=triton.next_power_of_2(width),
        HEADS=triton.next_power_of_2(num_heads), KEEP=place is not None, num_warps=4,
        **overlapped(kv_TJ, "rotate"),
    )  # fmt: skip
    return out, rows


@triton.jit
def _turned(first, second, cosine, sine, dtype: tl.constexpr):
    return (first * cosine - second * sine).to(dtype), (second * cosine + first * sine).to(dtype)


@triton.jit(do_not_specialize=["tokens"])
def _heads(
    q, k, v, cos, sin, out, rows, kept, slots, tokens, heads, groups, q_stride, k_stride, v_stride, table_stride,
    WIDTH: tl.constexpr, HALF: tl.constexpr, KEEP: tl.constexpr, BLOCK: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    token, head = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)[:, None], tl.program_id(1)
    half = tl.arange(0, HALF)[None, :]
    real = (token < tokens) & (half < WIDTH // 2)
    source = q + token * q_stride + head * WIDTH
    if head >= heads:
        source = k + token * k_stride + (head - heads) * WIDTH
    if head >= heads + groups:
        source = v + token * v_stride + (head - heads - groups) * WIDTH
    first = tl.load(source + half, mask=real, other=0.0)
    second = tl.load(source + WIDTH // 2 + half, mask=real, other=0.0)
    if head < heads + groups:
        cosine = tl.load(cos + token * table_stride + half, mask=real, other=0.0)
        sine = tl.load(sin + token * table_stride + half, mask=real, other=0.0)
        first, second = _turned(first.to(tl.float32), second.to(tl.float32), cosine, sine, out.dtype.element_ty)
    if head < heads:
        target = out + (token * heads + head) * WIDTH + half
        tl.store(target, first, mask=real)
        tl.store(target + WIDTH // 2, second, mask=real)
    else:
        target = rows + token * 2 * groups * WIDTH + (head - heads) * WIDTH + half
        tl.store(target, first, mask=real)
        tl.store(target + WIDTH // 2, second, mask=real)
        if KEEP:
            slot = tl.load(slots + token, mask=token < tokens, other=0)
            target = kept + slot * 2 * groups * WIDTH + (head - heads) * WIDTH + half
            tl.store(target, first, mask=real)
            tl.store(target + WIDTH // 2, second, mask=real)


@triton.jit
def _latent(
    q, kv, weight, eps, cos, sin, out, rows, kept, slots, heads, width,
    q_stride, q_stride_head, kv_stride, table_stride,
    ROPE: tl.constexpr, HALF: tl.constexpr, LATENT: tl.constexpr, HEADS: tl.constexpr, KEEP: tl.constexpr,
    OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    latent_row(
        q, kv, weight, eps, cos, sin, out, rows, kept, slots, heads, width,
        q_stride, q_stride_head, kv_stride, table_stride, tl.program_id(0).to(tl.int64), tl.program_id(1),
        ROPE, HALF, LATENT, HEADS, KEEP,
    )  # fmt: skip


@triton.jit
def latent_row(
    q, kv, weight, eps, cos, sin, out, rows, kept, slots, heads, width,
    q_stride, q_stride_head, kv_stride, table_stride, token, of_queries,
    ROPE: tl.constexpr, HALF: tl.constexpr, LATENT: tl.constexpr, HEADS: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """The row of a token, or its queries."""
    half = tl.arange(0, HALF)
    real = half < ROPE // 2
    cosine = tl.load(cos + token * table_stride + half, mask=real, other=0.0)
    sine = tl.load(sin + token * table_stride + half, mask=real, other=0.0)
    if of_queries == 0:
        cols = tl.arange(0, LATENT)
        inside = cols < width
        value = tl.load(kv + token * kv_stride + cols, mask=inside, other=0.0).to(tl.float32)
        scale = tl.rsqrt(tl.sum(value * value, 0) / width + eps)
        normed = (value * scale).to(rows.dtype.element_ty).to(tl.float32)
        factor = tl.load(weight + cols, mask=inside, other=0.0).to(tl.float32)
        normed = (factor * normed).to(rows.dtype.element_ty)
        key = kv + token * kv_stride + width + 2 * half
        first = tl.load(key, mask=real, other=0.0).to(tl.float32)
        second = tl.load(key + 1, mask=real, other=0.0).to(tl.float32)
        key_first, key_second = _turned(first, second, cosine, sine, rows.dtype.element_ty)
        target = rows + token * (width + ROPE)
        tl.store(target + cols, normed, mask=inside)
        tl.store(target + width + half, key_first, mask=real)
        tl.store(target + width + ROPE // 2 + half, key_second, mask=real)
        if KEEP:
            target = kept + tl.load(slots + token) * (width + ROPE)
            tl.store(target + cols, normed, mask=inside)
            tl.store(target + width + half, key_first, mask=real)
            tl.store(target + width + ROPE // 2 + half, key_second, mask=real)
    else:
        head = tl.arange(0, HEADS)[:, None]
        both = (head < heads) & real
        pair = q + token * q_stride + head * q_stride_head + 2 * half
        evens = tl.load(pair, mask=both, other=0.0).to(tl.float32)
        odds = tl.load(pair + 1, mask=both, other=0.0).to(tl.float32)
        evens_out, odds_out = _turned(evens, odds, cosine, sine, out.dtype.element_ty)
        into = out + (token * heads + head) * ROPE + half
        tl.store(into, evens_out, mask=both)
        tl.store(into + ROPE // 2, odds_out, mask=both)
