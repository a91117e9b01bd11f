"""The Triton kernel of vl2/kernels/router.py, whose functions say what arguments mean.

One program a block of tokens: logits of all experts, scores, then A times the best that is left.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.launch import config, overlapped
from vl2.kernels.overlap_triton import let_next_start, wait_for_last


def launch(
    x_TD: Tensor, weight_ED: Tensor, bias_E: Tensor | None, *, active: int, scoring: str, normalize: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As route_reference."""
    (num_tokens, hidden), num_experts = x_TD.shape, weight_ED.shape[0]
    assert x_TD.stride(1) == 1
    assert weight_ED.is_contiguous()
    weights = torch.empty(num_tokens, active, dtype=torch.float32, device=x_TD.device)
    indices = torch.empty(num_tokens, active, dtype=torch.int64, device=x_TD.device)
    scores = torch.empty(num_tokens, num_experts, dtype=torch.float32, device=x_TD.device)
    sizes = config("route", num_tokens, max(x_TD.itemsize, weight_ED.itemsize))
    _route[(triton.cdiv(num_tokens, sizes["BLOCK"]),)](
        x_TD, weight_ED, weight_ED if bias_E is None else bias_E, weights, indices, scores,
        num_tokens, x_TD.stride(0), scale,
        HIDDEN=hidden, EXPERTS=num_experts, ACTIVE=active, PADDED=max(triton.next_power_of_2(num_experts), 16),
        PLACES=triton.next_power_of_2(active), SIGMOID=scoring == "sigmoid", BIASED=bias_E is not None,
        NORMALIZE=normalize, EXACT=x_TD.dtype != weight_ED.dtype, **sizes, **overlapped(x_TD),
    )  # fmt: skip
    return weights, indices, scores


@triton.jit(do_not_specialize=["num_tokens"])
def _route(
    x, weight, bias, weights, indices, scores, num_tokens, stride_x, scale,
    HIDDEN: tl.constexpr, EXPERTS: tl.constexpr, ACTIVE: tl.constexpr, PADDED: tl.constexpr, PLACES: tl.constexpr,
    SIGMOID: tl.constexpr, BIASED: tl.constexpr, NORMALIZE: tl.constexpr, EXACT: tl.constexpr,
    BLOCK: tl.constexpr, COLS: tl.constexpr, STAGES: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    let_next_start(OVERLAP)
    wait_for_last(OVERLAP)
    tokens = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    real = (tokens < num_tokens)[:, None]
    numbers = tl.arange(0, PADDED)
    known = numbers < EXPERTS
    rows = weight + numbers[:, None] * HIDDEN
    if BLOCK == 1:  # matrix units take no fewer than 16 tokens
        sums = tl.zeros([PADDED, COLS], tl.float32)
        for start in tl.range(0, HIDDEN, COLS, num_stages=STAGES):
            cols = start + tl.arange(0, COLS)
            here = cols < HIDDEN
            value = tl.load(x + tl.program_id(0).to(tl.int64) * stride_x + cols, mask=here, other=0.0).to(tl.float32)
            sums += tl.load(rows + cols, mask=known[:, None] & here, other=0.0).to(tl.float32) * value
        logits = tl.sum(sums, 1)[None, :]
    else:
        logits = tl.zeros([BLOCK, PADDED], tl.float32)
        for start in tl.range(0, HIDDEN, COLS, num_stages=STAGES):
            cols = start + tl.arange(0, COLS)
            here = cols < HIDDEN
            value = tl.load(x + tokens[:, None].to(tl.int64) * stride_x + cols, mask=real & here, other=0.0)
            other = tl.load(rows + cols, mask=known[:, None] & here, other=0.0)
            if EXACT:
                value, other = value.to(tl.float32), other.to(tl.float32)
            logits = tl.dot(value, tl.trans(other), logits, input_precision="ieee")
    if SIGMOID:
        found = tl.sigmoid(logits)
    else:
        logits = tl.where(known, logits, float("-inf"))
        found = tl.exp(logits - tl.max(logits, 1)[:, None])
        found = found / tl.sum(found, 1)[:, None]
    tl.store(scores + tokens[:, None].to(tl.int64) * EXPERTS + numbers, found, mask=real & known)
    left = found
    if BIASED:
        left += tl.load(bias + numbers, mask=known, other=0.0).to(tl.float32)
    left = tl.where(known, left, float("-inf"))
    places = tl.arange(0, PLACES)
    best_of, picked = tl.zeros([BLOCK, PLACES], tl.int32), tl.zeros([BLOCK, PLACES], tl.float32)
    for place in tl.static_range(ACTIVE):
        best = tl.minimum(tl.argmax(left, 1), EXPERTS - 1)  # scores that are no numbers must not lead outside
        here = numbers == best[:, None]
        best_of = tl.where(places == place, best[:, None], best_of)
        picked = tl.where(places == place, tl.sum(tl.where(here, found, 0.0), 1)[:, None], picked)
        left = tl.where(here, float("-inf"), left)
    if NORMALIZE:
        picked = picked / (tl.sum(picked, 1)[:, None] + 1e-20)
    out = tokens[:, None].to(tl.int64) * ACTIVE + places
    inside = real & (places < ACTIVE)
    tl.store(weights + out, picked * scale, mask=inside)
    tl.store(indices + out, best_of.to(tl.int64), mask=inside)
