"""The Triton kernels of vl2/kernels/latent.py: out[t, h, n] = sum over k of x[t, h, k] * weight[h, n, k].

few:   one program a (token, head, rows n of the weights), which holds these rows whole
many:  one program a (block of tokens, head, rows n), by matrix units
rows_and_absorb:  few, and beside it what rotates and caches, which needs nothing of it

The trap: which of n and k lies dense in memory is told by the strides alone. Triton compiles a stride of 1 as the
constant it is, and reads along that axis.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import let_next_start, wait_for_last
from vl2.kernels.rotary import Place
from vl2.kernels.rotary_triton import latent_row

FEW = 1  # up to so many tokens go one by one; each reads the weights again


def launch(name: str, x_THK: Tensor, weight_HNK: Tensor) -> Tensor:
    """(T, H, N) for any numbers of rows N and columns K; the name says which sizes of CONFIGS are meant."""
    (tokens, heads, width), rows = x_THK.shape, weight_HNK.shape[1]
    assert x_THK.stride(2) == 1
    out = torch.empty(tokens, heads, rows, dtype=x_THK.dtype, device=x_THK.device)
    strides = x_THK.stride(0), x_THK.stride(1), *weight_HNK.stride()
    if tokens <= FEW:
        sizes = config("latent_few", tokens, x_THK.itemsize)
        cols = triton.next_power_of_2(width)
        each = max(1, min(sizes["ELEMENTS"] // cols, triton.next_power_of_2(rows)))
        _few[(tokens, triton.cdiv(rows, each), heads)](
            x_THK, weight_HNK, out, *strides,
            NUM_ROWS=rows, WIDTH=width, ROWS=each, COLS=cols, num_warps=sizes["num_warps"],
            **overlapped(x_THK, name),
        )  # fmt: skip
        return out
    sizes = config(f"{name}_many", tokens, x_THK.itemsize)
    _many[(triton.cdiv(tokens, sizes["BLOCK"]), triton.cdiv(rows, sizes["ROWS"]), heads)](
        x_THK, weight_HNK, out, tokens, *strides, NUM_ROWS=rows, WIDTH=width, **sizes, **overlapped(x_THK),
    )  # fmt: skip
    return out


def rows_and_absorb(
    q_nope_1HK: Tensor, w_k_HKZ: Tensor, q_rope_1HR: Tensor, kv_1J: Tensor, norm_Z: Tensor, eps: float,
    cos_1R: Tensor, sin_1R: Tensor, place: Place,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """As rows_and_absorb_reference of one token; two programs for rows and queries, the others as `few`."""
    (_, heads, width), latent, rope = q_nope_1HK.shape, w_k_HKZ.shape[2], q_rope_1HR.shape[2]
    assert q_nope_1HK.stride(2) == q_rope_1HR.stride(2) == kv_1J.stride(1) == 1
    like = {"dtype": kv_1J.dtype, "device": kv_1J.device}
    rotated, rows = torch.empty(1, heads, rope, **like), torch.empty(1, latent + rope, **like)
    out = torch.empty(1, heads, latent, **like)
    sizes, cols = config("latent_few", 1, kv_1J.itemsize), triton.next_power_of_2(width)
    each = max(1, min(sizes["ELEMENTS"] // cols, triton.next_power_of_2(latent)))
    weight_HZK = w_k_HKZ.mT
    _rows_and_absorb[(2 + heads * triton.cdiv(latent, each),)](
        q_rope_1HR, kv_1J, norm_Z, eps, cos_1R, sin_1R, rotated, rows, *place, heads, latent, q_rope_1HR.stride(1),
        q_nope_1HK, weight_HZK, out, q_nope_1HK.stride(1), *weight_HZK.stride(),
        ROPE=rope, HALF=triton.next_power_of_2(rope // 2), LATENT=triton.next_power_of_2(latent),
        HEADS=triton.next_power_of_2(heads), NUM_ROWS=latent, WIDTH=width, ROWS=each, COLS=cols,
        num_warps=sizes["num_warps"], **overlapped(kv_1J, "absorb"),
    )  # fmt: skip
    return rotated, rows, out


@triton.jit
def _few(
    x, weight, out, stride_t, stride_h, stride_wh, stride_n, stride_k,
    NUM_ROWS: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    _product_of_head(
        x, weight, out, stride_t, stride_h, stride_wh, stride_n, stride_k, tl.program_id(0).to(tl.int64),
        tl.program_id(1), tl.program_id(2).to(tl.int64), tl.num_programs(2), NUM_ROWS, WIDTH, ROWS, COLS, OVERLAP,
    )  # fmt: skip


@triton.jit
def _product_of_head(
    x, weight, out, stride_t, stride_h, stride_wh, stride_n, stride_k, token, block, head, heads,
    NUM_ROWS: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """Of one token, a head, and a block of rows."""
    rows = block * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    real, here = rows < NUM_ROWS, cols < WIDTH
    places = head * stride_wh + rows[:, None] * stride_n + cols * stride_k
    other = tl.load(weight + places, mask=real[:, None] & here, other=0.0)
    wait_for_last(OVERLAP)  # weights are nobody's output, so they are under way by now
    value = tl.load(x + token * stride_t + head * stride_h + cols, mask=here, other=0.0).to(tl.float32)
    total = tl.sum(other.to(tl.float32) * value, 1)
    row = token * heads + head
    tl.store(out + row * NUM_ROWS + rows, total.to(out.dtype.element_ty), mask=real)


@triton.jit
def _rows_and_absorb(
    q_rope, kv, norm, eps, cos, sin, rotated, rows, kept, slots, heads, width, r_stride_head,
    x, weight, out, stride_h, stride_wh, stride_n, stride_k,
    ROPE: tl.constexpr, HALF: tl.constexpr, LATENT: tl.constexpr, HEADS: tl.constexpr,
    NUM_ROWS: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    number = tl.program_id(0)
    if number < 2:
        wait_for_last(OVERLAP)
        latent_row(
            q_rope, kv, norm, eps, cos, sin, rotated, rows, kept, slots, heads, width, 0, r_stride_head, 0, 0,
            0, number, ROPE, HALF, LATENT, HEADS, True,
        )  # fmt: skip
    else:
        blocks: tl.constexpr = (NUM_ROWS + ROWS - 1) // ROWS
        block, head = (number - 2) % blocks, ((number - 2) // blocks).to(tl.int64)
        _product_of_head(
            x, weight, out, 0, stride_h, stride_wh, stride_n, stride_k, 0, block, head, heads,
            NUM_ROWS, WIDTH, ROWS, COLS, OVERLAP,
        )  # fmt: skip


@triton.jit(do_not_specialize=["num_tokens"])
def _many(
    x, weight, out, num_tokens, stride_t, stride_h, stride_wh, stride_n, stride_k,
    NUM_ROWS: tl.constexpr, WIDTH: tl.constexpr,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(2).to(tl.int64)
    tokens = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    real_t, real_n = (tokens < num_tokens)[:, None], rows < NUM_ROWS
    places = weight + head * stride_wh + rows * stride_n + cols[:, None] * stride_k
    other = tl.load(places, mask=real_n & (cols < WIDTH)[:, None], other=0.0)
    wait_for_last(OVERLAP)
    x_rows = x + tokens[:, None].to(tl.int64) * stride_t + head * stride_h + cols
    value = tl.load(x_rows, mask=real_t & (cols < WIDTH), other=0.0)
    total = tl.dot(value, other, input_precision="ieee")
    for start in range(COLS, WIDTH, COLS):
        here = start + cols < WIDTH
        value = tl.load(x_rows + start, mask=real_t & here, other=0.0)
        other = tl.load(places + start * stride_k, mask=real_n & here[:, None], other=0.0)
        total = tl.dot(value, other, total, input_precision="ieee")
    row = tokens[:, None].to(tl.int64) * tl.num_programs(2) + head
    tl.store(out + row * NUM_ROWS + rows, total.to(out.dtype.element_ty), mask=real_t & real_n)
