"""The Triton kernels of vl2/kernels/router.py, whose functions say what arguments mean.

one program a (block of tokens, block of experts, part of the width): products --> logits, part by part
one program a block of tokens: sums over parts, scores, then A times the best that is left

One launch would leave a whole matrix of weights to one program where there are few tokens.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import let_next_start, wait_for_last

FEW = 8  # up to so many tokens go one by one, since matrix units take no fewer than 16


def launch(
    x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor | None, *, active: int, scoring: str, normalize: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As route_reference."""
    num_tokens, num_experts = x_TD.shape[0], weight_ED.shape[0]
    logits_PTE = _logits(x_TD, weight_ED)
    weights = torch.empty(num_tokens, active, dtype=torch.float32, device=x_TD.device)
    indices = torch.empty(num_tokens, active, dtype=torch.int64, device=x_TD.device)
    scores = torch.empty(num_tokens, num_experts, dtype=torch.float32, device=x_TD.device)
    sizes = config("pick", num_tokens, 4)
    _pick[(triton.cdiv(num_tokens, sizes["BLOCK"]),)](
        logits_PTE, logits_PTE if bias_E is None else bias_E, weights, indices, scores, num_tokens, scale,
        PARTS=len(logits_PTE), EXPERTS=num_experts, ACTIVE=active, PADDED=max(triton.next_power_of_2(num_experts), 16),
        PLACES=triton.next_power_of_2(active), SIGMOID=scoring == "sigmoid", BIASED=bias_E is not None,
        NORMALIZE=normalize, **sizes, **overlapped(x_TD, "pick"),
    )  # fmt: skip
    return weights, indices, scores


def _logits(x_TD: Tensor, weight_ED: Tensor) -> Tensor:
    """Float32 (parts, T, E), to be summed over parts of the width."""
    (num_tokens, hidden), num_experts = x_TD.shape, weight_ED.shape[0]
    assert x_TD.stride(1) == 1
    assert weight_ED.is_contiguous()
    if num_tokens <= FEW:
        logits = torch.empty(1, num_tokens, num_experts, dtype=torch.float32, device=x_TD.device)
        sizes = config("logits_few", num_tokens, weight_ED.itemsize)
        _logits_few[(triton.cdiv(num_experts, sizes["ROWS"]), num_tokens)](
            x_TD, weight_ED, logits, x_TD.stride(0),
            HIDDEN=hidden, EXPERTS=num_experts, COLS=triton.next_power_of_2(hidden), **sizes,
            **overlapped(x_TD, "logits"),
        )  # fmt: skip
        return logits
    sizes = dict(config("logits_many", num_tokens, max(x_TD.itemsize, weight_ED.itemsize)))
    part = triton.cdiv(triton.cdiv(hidden, sizes.pop("PARTS")), sizes["COLS"]) * sizes["COLS"]
    parts = triton.cdiv(hidden, part)
    logits = torch.empty(parts, num_tokens, num_experts, dtype=torch.float32, device=x_TD.device)
    _logits_many[(triton.cdiv(num_tokens, sizes["BLOCK"]), triton.cdiv(num_experts, sizes["ROWS"]), parts)](
        x_TD, weight_ED, logits, num_tokens, x_TD.stride(0),
        HIDDEN=hidden, EXPERTS=num_experts, PART=part, EXACT=x_TD.dtype != weight_ED.dtype,
        **sizes, **overlapped(x_TD),
    )  # fmt: skip
    return logits


@triton.jit
def _logits_few(
    x, weight, logits, stride_x,
    HIDDEN: tl.constexpr, EXPERTS: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    token = tl.program_id(1).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    cols = tl.arange(0, COLS)
    known, here = rows < EXPERTS, cols < HIDDEN
    other = tl.load(weight + rows[:, None] * HIDDEN + cols, mask=known[:, None] & here, other=0.0)
    wait_for_last(OVERLAP)  # weights are nobody's output, so they are under way by now
    value = tl.load(x + token * stride_x + cols, mask=here, other=0.0).to(tl.float32)
    tl.store(logits + token * EXPERTS + rows, tl.sum(other.to(tl.float32) * value, 1), mask=known)


@triton.jit
def _product(value, other, total, EXACT: tl.constexpr):
    if EXACT:
        value, other = value.to(tl.float32), other.to(tl.float32)
    return tl.dot(value, tl.trans(other), total, input_precision="ieee")


@triton.jit(do_not_specialize=["num_tokens"])
def _logits_many(
    x, weight, logits, num_tokens, stride_x,
    HIDDEN: tl.constexpr, EXPERTS: tl.constexpr, PART: tl.constexpr, EXACT: tl.constexpr,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    tokens = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    part = tl.program_id(2)
    real, known = (tokens < num_tokens)[:, None], (rows < EXPERTS)[:, None]
    x_rows, weight_rows = x + tokens[:, None].to(tl.int64) * stride_x, weight + rows[:, None] * HIDDEN
    cols = part * PART + tl.arange(0, COLS)
    other = tl.load(weight_rows + cols, mask=known & (cols < HIDDEN), other=0.0)
    wait_for_last(OVERLAP)
    value = tl.load(x_rows + cols, mask=real & (cols < HIDDEN), other=0.0)
    total = _product(value, other, tl.zeros([BLOCK, ROWS], tl.float32), EXACT)
    for start in range(COLS, PART, COLS):
        here = start + cols < HIDDEN
        value = tl.load(x_rows + start + cols, mask=real & here, other=0.0)
        other = tl.load(weight_rows + start + cols, mask=known & here, other=0.0)
        total = _product(value, other, total, EXACT)
    places = (part * num_tokens + tokens)[:, None].to(tl.int64) * EXPERTS + rows
    tl.store(logits + places, total, mask=real & (rows < EXPERTS))


@triton.jit(do_not_specialize=["num_tokens"])
def _pick(
    logits, bias, weights, indices, scores, num_tokens, scale,
    PARTS: tl.constexpr, EXPERTS: tl.constexpr, ACTIVE: tl.constexpr, PADDED: tl.constexpr, PLACES: tl.constexpr,
    SIGMOID: tl.constexpr, BIASED: tl.constexpr, NORMALIZE: tl.constexpr, BLOCK: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    tokens = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = (tokens < num_tokens)[:, None]
    numbers = tl.arange(0, PADDED)
    known = numbers < EXPERTS
    total = tl.zeros([BLOCK, PADDED], tl.float32)
    for part in tl.static_range(PARTS):
        places = (part * num_tokens + tokens)[:, None].to(tl.int64) * EXPERTS + numbers
        total += tl.load(logits + places, mask=real & known, other=0.0)
    if SIGMOID:
        found = tl.sigmoid(total)
    else:
        total = tl.where(known, total, float("-inf"))
        found = tl.exp(total - tl.max(total, 1)[:, None])
        found = found / tl.sum(found, 1)[:, None]
    tl.store(scores + tokens[:, None].to(tl.int64) * EXPERTS + numbers, found, mask=real & known)
    left = found
    if BIASED:
        left += tl.load(bias + numbers, mask=known, other=0.0).to(tl.float32)
    left = tl.where(known, left, float("-inf"))
    seats = tl.arange(0, PLACES)
    best_of, picked = tl.zeros([BLOCK, PLACES], tl.int32), tl.zeros([BLOCK, PLACES], tl.float32)
    for seat in tl.static_range(ACTIVE):
        best = tl.minimum(tl.argmax(left, 1), EXPERTS - 1)  # scores that are no numbers must not lead outside
        here = numbers == best[:, None]
        best_of = tl.where(seats == seat, best[:, None], best_of)
        picked = tl.where(seats == seat, tl.sum(tl.where(here, found, 0.0), 1)[:, None], picked)
        left = tl.where(here, float("-inf"), left)
    if NORMALIZE:
        picked = picked / (tl.sum(picked, 1)[:, None] + 1e-20)
    out = tokens[:, None].to(tl.int64) * ACTIVE + seats
    inside = real & (seats < ACTIVE)
    tl.store(weights + out, picked * scale, mask=inside)
    tl.store(indices + out, best_of.to(tl.int64), mask=inside)
