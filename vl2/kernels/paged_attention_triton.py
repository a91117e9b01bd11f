"""The Triton kernels of vl2/kernels/paged_attention.py, whose functions say what arguments mean.

one program a (sequence, group of heads, split): blocks of its split, online softmax --> partial output, log-sum-exp
one program a (sequence, head): partial outputs --> output
of one token, one program a (head, rows of its weights): partial outputs --> output in registers --> values
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import let_next_start, wait_for_last
from vl2.kernels.paged_attention import PROCESSORS, head_group


def launch_latent(
    q_SHZ: Tensor, q_rope_SHR: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float,
    num_splits: int, w_v_HUZ: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """As decode_latent_reference; with weights, of one token, as decode_values_reference."""
    num_seqs, heads, width = q_SHZ.shape
    rope, block = q_rope_SHR.shape[-1], cache_OBJ.shape[1]
    partial = torch.empty(num_splits, num_seqs, heads, width, dtype=torch.float32, device=q_SHZ.device)
    lse = torch.empty(num_splits, num_seqs, heads, dtype=torch.float32, device=q_SHZ.device)
    group = head_group(heads) if num_seqs >= PROCESSORS else 16  # two programs may share what they read in the cache
    _decode_latent[(num_seqs, triton.cdiv(heads, group), num_splits)](
        q_SHZ, q_rope_SHR, cache_OBJ, tables_SO, lengths_S, partial, lse, scale, heads, num_seqs,
        q_SHZ.stride(0), q_SHZ.stride(1), q_rope_SHR.stride(0), q_rope_SHR.stride(1),
        cache_OBJ.stride(0), cache_OBJ.stride(1), tables_SO.stride(0),
        NUM_SPLITS=num_splits, WIDTH=width, ROPE=rope, BLOCK=block, GROUP=group,
        **config("attend_latent", num_seqs, cache_OBJ.itemsize), **overlapped(q_SHZ, "attend"),
    )  # fmt: skip
    return _merge(partial, lse, q_SHZ.dtype) if w_v_HUZ is None else _merge_to_values(partial, lse, w_v_HUZ)


def launch_heads(
    q_SHK: Tensor, cache_OBJ: Tensor, tables_SO: Tensor, lengths_S: Tensor, scale: float, num_splits: int
) -> Tensor:
    """As decode_heads_reference."""
    num_seqs, heads, width = q_SHK.shape
    kv_heads = cache_OBJ.shape[-1] // (2 * width)
    partial = torch.empty(num_splits, num_seqs, heads, width, dtype=torch.float32, device=q_SHK.device)
    lse = torch.empty(num_splits, num_seqs, heads, dtype=torch.float32, device=q_SHK.device)
    _decode_heads[(num_seqs, heads, num_splits)](
        q_SHK, cache_OBJ, tables_SO, lengths_S, partial, lse, scale, heads, num_seqs, heads // kv_heads,
        kv_heads * width, q_SHK.stride(0), q_SHK.stride(1), cache_OBJ.stride(0), cache_OBJ.stride(1),
        tables_SO.stride(0), NUM_SPLITS=num_splits, WIDTH=width, BLOCK=cache_OBJ.shape[1],
        **config("attend_heads", num_seqs, cache_OBJ.itemsize), **overlapped(q_SHK),
    )  # fmt: skip
    return _merge(partial, lse, q_SHK.dtype)


def _merge(partial: Tensor, lse: Tensor, dtype: torch.dtype) -> Tensor:
    """(splits, S, H, U) partial outputs weighted by their share of the whole softmax: (S, H, U)."""
    splits, num_seqs, heads, width = partial.shape
    out = torch.empty(num_seqs, heads, width, dtype=dtype, device=partial.device)
    part = min(width, 128)
    _merge_splits[(num_seqs * heads, width // part)](
        partial, lse, out, num_seqs * heads, NUM_SPLITS=splits, WIDTH=width, PART=part, num_warps=4,
        **overlapped(out, "merge"),
    )  # fmt: skip
    return out


def _merge_to_values(partial: Tensor, lse: Tensor, w_v_HUZ: Tensor) -> Tensor:
    """As _merge of one token, and the product of every head with its weights: (1, H, U)."""
    (splits, num_seqs, heads, width), values = partial.shape, w_v_HUZ.shape[1]
    assert num_seqs == 1
    assert w_v_HUZ.stride(2) == 1
    out = torch.empty(1, heads, values, dtype=w_v_HUZ.dtype, device=partial.device)
    sizes = config("merge_values", 1, w_v_HUZ.itemsize)
    _merge_splits_to_values[(triton.cdiv(values, sizes["ROWS"]), heads)](
        partial, lse, w_v_HUZ, out, heads, w_v_HUZ.stride(0), w_v_HUZ.stride(1),
        NUM_SPLITS=splits, WIDTH=width, VALUES=values, **sizes, **overlapped(out, "merge"),
    )  # fmt: skip
    return out


@triton.jit
def _decode_latent(
    q, q_rope, cache, tables, lengths, partial, lse, scale, heads, num_seqs,
    q_stride_s, q_stride_h, r_stride_s, r_stride_h, stride_block, stride_token, stride_table,
    NUM_SPLITS: tl.constexpr, WIDTH: tl.constexpr, ROPE: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr,
    OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    seq, split = tl.program_id(0), tl.program_id(2)
    rows_h = tl.program_id(1) * GROUP + tl.arange(0, GROUP)
    real_h = rows_h < heads
    cols_z, cols_r = tl.arange(0, WIDTH), tl.arange(0, ROPE)
    tokens = tl.arange(0, BLOCK)
    length = tl.load(lengths + seq)
    num_blocks = tl.cdiv(length, BLOCK)
    each = tl.cdiv(num_blocks, NUM_SPLITS)
    first, last = split * each, tl.minimum((split + 1) * each, num_blocks)
    q_hz = tl.load(q + seq * q_stride_s + rows_h[:, None] * q_stride_h + cols_z, mask=real_h[:, None], other=0.0)
    q_hr = tl.load(q_rope + seq * r_stride_s + rows_h[:, None] * r_stride_h + cols_r, mask=real_h[:, None], other=0.0)
    best = tl.full([GROUP], float("-inf"), tl.float32)
    total = tl.zeros([GROUP], tl.float32)
    acc = tl.zeros([GROUP, WIDTH], tl.float32)
    for number in range(first, last):
        block = tl.load(tables + seq * stride_table + number).to(tl.int64)
        real = number * BLOCK + tokens < length
        base = cache + block * stride_block + tokens[:, None] * stride_token
        latent = tl.load(base + cols_z, mask=real[:, None], other=0.0)
        key = tl.load(base + WIDTH + cols_r, mask=real[:, None], other=0.0)
        scores = tl.dot(q_hz, tl.trans(latent), input_precision="ieee")
        scores = tl.dot(q_hr, tl.trans(key), scores, input_precision="ieee") * scale
        scores = tl.where(real, scores, float("-inf"))
        higher = tl.maximum(best, tl.max(scores, 1))
        weights = tl.exp(scores - higher[:, None])
        shrink = tl.exp(best - higher)
        total = total * shrink + tl.sum(weights, 1)
        acc = tl.dot(weights.to(latent.dtype), latent, acc * shrink[:, None], input_precision="ieee")
        best = higher
    row = (split * num_seqs + seq) * heads + rows_h
    empty = first >= last
    tl.store(lse + row, tl.where(empty, float("-inf"), best + tl.log(total)), mask=real_h)
    safe = tl.where(empty, 1.0, total)
    tl.store(partial + row[:, None].to(tl.int64) * WIDTH + cols_z, acc / safe[:, None], mask=real_h[:, None])


@triton.jit
def _decode_heads(
    q, cache, tables, lengths, partial, lse, scale, heads, num_seqs, group, value_offset,
    q_stride_s, q_stride_h, stride_block, stride_token, stride_table,
    NUM_SPLITS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    seq, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    cols, tokens = tl.arange(0, WIDTH), tl.arange(0, BLOCK)
    length = tl.load(lengths + seq)
    num_blocks = tl.cdiv(length, BLOCK)
    each = tl.cdiv(num_blocks, NUM_SPLITS)
    first, last = split * each, tl.minimum((split + 1) * each, num_blocks)
    query = tl.load(q + seq * q_stride_s + head * q_stride_h + cols).to(tl.float32)
    offset = head // group * WIDTH
    best, total = float("-inf"), 0.0
    acc = tl.zeros([WIDTH], tl.float32)
    for number in range(first, last):
        block = tl.load(tables + seq * stride_table + number).to(tl.int64)
        real = number * BLOCK + tokens < length
        base = cache + block * stride_block + tokens[:, None] * stride_token + offset
        key = tl.load(base + cols, mask=real[:, None], other=0.0).to(tl.float32)
        value = tl.load(base + value_offset + cols, mask=real[:, None], other=0.0).to(tl.float32)
        scores = tl.where(real, tl.sum(key * query, 1) * scale, float("-inf"))
        higher = tl.maximum(best, tl.max(scores, 0))
        weights = tl.exp(scores - higher)
        shrink = tl.exp(best - higher)
        total = total * shrink + tl.sum(weights, 0)
        acc = acc * shrink + tl.sum(weights[:, None] * value, 0)
        best = higher
    row = (split * num_seqs + seq) * heads + head
    empty = first >= last
    tl.store(lse + row, tl.where(empty, float("-inf"), best + tl.log(total)))
    tl.store(partial + row * WIDTH + cols, acc / tl.where(empty, 1.0, total))


@triton.jit
def _merge_splits(
    partial, lse, out, rows,
    NUM_SPLITS: tl.constexpr, WIDTH: tl.constexpr, PART: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    row = tl.program_id(0)
    cols = tl.program_id(1) * PART + tl.arange(0, PART)
    places = tl.arange(0, NUM_SPLITS) * rows + row
    value = tl.load(partial + places[:, None].to(tl.int64) * WIDTH + cols)
    sums = tl.load(lse + places)
    best = tl.max(sums, 0)
    weights = tl.exp(sums - tl.where(best == float("-inf"), 0.0, best))  # all splits of a row of padding are empty
    total = tl.sum(weights, 0)
    merged = tl.sum(value * weights[:, None], 0) / tl.where(total == 0.0, 1.0, total)
    tl.store(out + row.to(tl.int64) * WIDTH + cols, merged.to(out.dtype.element_ty))


@triton.jit
def _merge_splits_to_values(
    partial, lse, weight, out, heads, stride_h, stride_u,
    NUM_SPLITS: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr, ROWS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    head = tl.program_id(1)
    rows, cols = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    real = rows < VALUES
    matrix = weight + head.to(tl.int64) * stride_h + rows[:, None] * stride_u + cols
    other = tl.load(matrix, mask=real[:, None], other=0.0)
    wait_for_last(OVERLAP)  # weights are nobody's output, so they are under way by now
    places = tl.arange(0, NUM_SPLITS) * heads + head
    value = tl.load(partial + places[:, None] * WIDTH + cols)
    sums = tl.load(lse + places)
    best = tl.max(sums, 0)
    weights = tl.exp(sums - tl.where(best == float("-inf"), 0.0, best))  # all splits of a row of padding are empty
    total = tl.sum(weights, 0)
    merged = tl.sum(value * weights[:, None], 0) / tl.where(total == 0.0, 1.0, total)
    merged = merged.to(out.dtype.element_ty).to(tl.float32)  # rounded as if it had been stored
    tl.store(out + head * VALUES + rows, tl.sum(other.to(tl.float32) * merged, 1).to(out.dtype.element_ty), mask=real)
