"""The Triton kernel of vl2/kernels/flash.py, whose functions say what arguments mean.

one program a (head, block of queries, sequence): blocks of keys, online softmax --> output

Of a sequence the last queries go first: they see most keys, and short programs at the end fill up what is left of the
processors. Widths of heads are cut into two powers of two, which the matrix units take: 192 = 128 + 64, and 72 is
64 + 16 of which 8 are not read.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import wait_for_last


def launch(
    q_THK: Tensor, k_LGK: Tensor, v_LGU: Tensor, starts_q_S1: Tensor, starts_k_S1: Tensor, most_q: int, scale: float,
    causal: bool, q_rope_THR: Tensor | None, k_rope_LR: Tensor | None,
) -> Tensor:  # fmt: skip
    """As attend_varlen_reference."""
    assert scale > 0  # the greatest product is taken for the greatest score
    assert all(x.stride(-1) == 1 for x in (q_THK, k_LGK, v_LGU))
    (num_queries, heads, key), (_, kv_heads, value) = q_THK.shape, v_LGU.shape
    if q_rope_THR is None or k_rope_LR is None:  # the second piece is the rest of the first
        key, more = _cut(key)
        q_more, k_more = q_THK[..., key:], k_LGK[..., key:]
    else:
        more = q_rope_THR.shape[-1]
        q_more, k_more = q_rope_THR, k_rope_LR[:, None].expand(-1, kv_heads, -1)
        assert q_more.stride(-1) == k_more.stride(-1) == 1
    value, rest = _cut(value)
    out = torch.empty(num_queries, heads, value + rest, dtype=v_LGU.dtype, device=v_LGU.device)
    sizes = config("flash_causal" if causal else "flash_full", most_q, v_LGU.itemsize)
    _flash[(heads, triton.cdiv(most_q, sizes["ROWS"]), len(starts_q_S1) - 1)](
        q_THK, k_LGK, v_LGU, q_more, k_more, out, starts_q_S1, starts_k_S1, scale * math.log2(math.e),
        q_THK.stride(0), k_LGK.stride(0), v_LGU.stride(0), q_more.stride(0), k_more.stride(0), out.stride(0),
        GROUP=heads // kv_heads, Q_HEAD=q_THK.stride(1), K_HEAD=k_LGK.stride(1), V_HEAD=v_LGU.stride(1),
        Q_MORE_HEAD=q_more.stride(1), K_MORE_HEAD=k_more.stride(1), KEY=key, MORE=more, VALUE=value, REST=rest,
        KEY_PAD=_padded(key), MORE_PAD=_padded(more), VALUE_PAD=_padded(value), REST_PAD=_padded(rest),
        CAUSAL=causal, **sizes, **overlapped(out),
    )  # fmt: skip
    return out


def _cut(width: int) -> tuple[int, int]:
    """The largest power of two in a width, and the rest; widths up to 16 stay whole."""
    first = 1 << (width.bit_length() - 1)
    return (width, 0) if width <= 16 else (first, width - first)


def _padded(width: int) -> int:
    return max(triton.next_power_of_2(width), 16)


@triton.jit
def _rows(base, stride, first, count, WIDTH: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, ALL: tl.constexpr):
    """Rows from `first`, 0 past `count` unless ALL are there, and past WIDTH."""
    rows, cols = first + tl.arange(0, ROWS), tl.arange(0, PADDED)
    places = base + rows[:, None] * stride + cols
    if WIDTH == PADDED and ALL:
        return tl.load(places)
    elif WIDTH == PADDED:
        return tl.load(places, mask=(rows < count)[:, None], other=0.0)
    elif ALL:
        return tl.load(places, mask=(cols < WIDTH)[None, :], other=0.0)
    else:
        return tl.load(places, mask=(rows < count)[:, None] & (cols < WIDTH)[None, :], other=0.0)


@triton.jit
def _over_keys(
    acc, acc_rest, best, total, query, query_more, last_seen, k, k_more, v, scale, length, begin, end,
    k_stride, k_more_stride, v_stride,
    KEY: tl.constexpr, MORE: tl.constexpr, VALUE: tl.constexpr, REST: tl.constexpr,
    KEY_PAD: tl.constexpr, MORE_PAD: tl.constexpr, VALUE_PAD: tl.constexpr, REST_PAD: tl.constexpr,
    KEYS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Online softmax over keys from `begin` to `end`; those past last_seen of a row are hidden if MASKED."""
    for first in range(begin, end, KEYS):
        scores = tl.dot(query, tl.trans(_rows(k, k_stride, first, length, KEY, KEY_PAD, KEYS, not MASKED)),
                        input_precision="ieee")  # fmt: skip
        if MORE:
            key = _rows(k_more, k_more_stride, first, length, MORE, MORE_PAD, KEYS, not MASKED)
            scores = tl.dot(query_more, tl.trans(key), scores, input_precision="ieee")
        if MASKED:
            seen = (first + tl.arange(0, KEYS))[None, :] <= last_seen[:, None]
            scores = tl.where(seen, scores, float("-inf"))
        higher = tl.maximum(best, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - higher[:, None])
        shrink = tl.exp2(best - higher)
        total = total * shrink + tl.sum(weights, 1)
        best = higher
        weights = weights.to(v.dtype.element_ty)
        value = _rows(v, v_stride, first, length, VALUE, VALUE_PAD, KEYS, not MASKED)
        acc = tl.dot(weights, value, acc * shrink[:, None], input_precision="ieee")
        if REST:
            value = _rows(v + VALUE, v_stride, first, length, REST, REST_PAD, KEYS, not MASKED)
            acc_rest = tl.dot(weights, value, acc_rest * shrink[:, None], input_precision="ieee")
    return acc, acc_rest, best, total


@triton.jit
def _flash(
    q, k, v, q_more, k_more, out, starts_q, starts_k, scale,
    q_stride, k_stride, v_stride, q_more_stride, k_more_stride, out_stride,
    GROUP: tl.constexpr, Q_HEAD: tl.constexpr, K_HEAD: tl.constexpr, V_HEAD: tl.constexpr,
    Q_MORE_HEAD: tl.constexpr, K_MORE_HEAD: tl.constexpr,  # constants, so that 72 is known to keep loads aligned
    KEY: tl.constexpr, MORE: tl.constexpr, VALUE: tl.constexpr, REST: tl.constexpr,
    KEY_PAD: tl.constexpr, MORE_PAD: tl.constexpr, VALUE_PAD: tl.constexpr, REST_PAD: tl.constexpr,
    CAUSAL: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    wait_for_last(OVERLAP)
    head, seq = tl.program_id(0), tl.program_id(2)
    start_q, start_k = tl.load(starts_q + seq).to(tl.int64), tl.load(starts_k + seq).to(tl.int64)
    num_q = (tl.load(starts_q + seq + 1) - start_q).to(tl.int32)
    num_k = (tl.load(starts_k + seq + 1) - start_k).to(tl.int32)
    first = (tl.cdiv(num_q, ROWS) - 1 - tl.program_id(1)) * ROWS
    if first < 0:
        return
    q += start_q * q_stride + head * Q_HEAD
    q_more += start_q * q_more_stride + head * Q_MORE_HEAD
    k += start_k * k_stride + head // GROUP * K_HEAD
    k_more += start_k * k_more_stride + head // GROUP * K_MORE_HEAD
    v += start_k * v_stride + head // GROUP * V_HEAD
    query = _rows(q, q_stride, first, num_q, KEY, KEY_PAD, ROWS, False)
    query_more = query
    if MORE:
        query_more = _rows(q_more, q_more_stride, first, num_q, MORE, MORE_PAD, ROWS, False)
    rows = first + tl.arange(0, ROWS)
    if CAUSAL:
        last_seen = num_k - num_q + rows
        seen_by_all, stop = num_k - num_q + first + 1, tl.minimum(num_k - num_q + first + ROWS, num_k)
    else:
        last_seen = num_k - 1 + tl.zeros_like(rows)
        seen_by_all, stop = num_k, num_k
    unmasked = seen_by_all // KEYS * KEYS
    best = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    acc = tl.zeros([ROWS, VALUE_PAD], tl.float32)
    acc_rest = tl.zeros([ROWS, REST_PAD], tl.float32)
    acc, acc_rest, best, total = _over_keys(
        acc, acc_rest, best, total, query, query_more, last_seen, k, k_more, v, scale, num_k, 0, unmasked,
        k_stride, k_more_stride, v_stride,
        KEY, MORE, VALUE, REST, KEY_PAD, MORE_PAD, VALUE_PAD, REST_PAD, KEYS, False,
    )  # fmt: skip
    acc, acc_rest, best, total = _over_keys(
        acc, acc_rest, best, total, query, query_more, last_seen, k, k_more, v, scale, num_k, unmasked, stop,
        k_stride, k_more_stride, v_stride,
        KEY, MORE, VALUE, REST, KEY_PAD, MORE_PAD, VALUE_PAD, REST_PAD, KEYS, True,
    )  # fmt: skip
    out += start_q * out_stride + head * (VALUE + REST)
    places, real = out + rows[:, None] * out_stride, (rows < num_q)[:, None]
    cols = tl.arange(0, VALUE_PAD)
    tl.store(places + cols, (acc / total[:, None]).to(out.dtype.element_ty), mask=real & (cols < VALUE)[None, :])
    if REST:
        cols = tl.arange(0, REST_PAD)
        acc_rest = (acc_rest / total[:, None]).to(out.dtype.element_ty)
        tl.store(places + VALUE + cols, acc_rest, mask=real & (cols < REST)[None, :])
