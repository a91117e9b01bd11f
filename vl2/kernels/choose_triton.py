"""The Triton kernels of vl2/kernels/choose.py, whose functions say what arguments mean.

one program a row            its largest logit; where top_k or top_p is on, the smallest one that may be drawn
one program a (row, chunk)   noise on the logits that may be drawn --> the best of the chunk
one program a row            the best of all chunks

Nothing is sorted: logits become integers of the same order ("keys"), among which a threshold is found by bisection.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from vl2.kernels.choose import MULTIPLIERS, SECOND_KEY

_BLOCK = 8192  # of the passes over a whole row
_CHUNK = 2048
_M0, _M1 = (tl.constexpr(multiplier & 0xFFFFFFFF) for multiplier in MULTIPLIERS)
_SECOND_KEY = tl.constexpr(SECOND_KEY)
_KEY_OF_MINUS_INFINITY = tl.constexpr(-0x7F800001)


def launch(
    logits_SV: Tensor, temperature_S: Tensor, top_k_S: Tensor, top_p_S: Tensor, seed_S: Tensor, position_S: Tensor
) -> Tensor:
    """As choose_reference."""
    num_seqs, vocab = logits_SV.shape
    device = logits_SV.device
    assert logits_SV.dtype == torch.float32
    assert logits_SV.stride(1) == 1
    assert all(option_S.is_contiguous() for option_S in (temperature_S, top_k_S, top_p_S, seed_S, position_S))
    tokens_S = torch.empty(num_seqs, dtype=torch.int64, device=device)
    if num_seqs == 0:
        return tokens_S
    chunks = triton.cdiv(vocab, _CHUNK)
    largest = torch.empty(num_seqs, dtype=torch.float32, device=device)
    lowest = torch.empty(num_seqs, dtype=torch.int32, device=device)
    scores = torch.empty(num_seqs, chunks, dtype=torch.float32, device=device)
    places = torch.empty(num_seqs, chunks, dtype=torch.int32, device=device)
    _find_threshold[(num_seqs,)](
        logits_SV, temperature_S, top_k_S, top_p_S, largest, lowest, vocab, logits_SV.stride(0),
        BLOCK=min(_BLOCK, triton.next_power_of_2(vocab)), num_warps=16,
    )  # fmt: skip
    _choose_in_chunk[(num_seqs, chunks)](
        logits_SV, temperature_S, seed_S, position_S, largest, lowest, scores, places, vocab, logits_SV.stride(0),
        chunks, CHUNK=_CHUNK, num_warps=4,
    )  # fmt: skip
    _choose_chunk[(num_seqs,)](
        scores, places, tokens_S, chunks, BLOCK=triton.next_power_of_2(chunks), num_warps=1
    )  # fmt: skip
    return tokens_S


@triton.jit
def _load(row, cols, vocab):
    """Logits; minus infinity for those past the end and for not-a-number, 0 for minus 0."""
    value = tl.load(row + cols, mask=cols < vocab, other=float("-inf"))
    value = tl.where(value == value, value, float("-inf"))
    return tl.where(value == 0.0, 0.0, value)


@triton.jit
def _key(value):
    """int32 in the order of the floats."""
    bits = value.to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def _scaled(value, largest, inverse):
    """Divided by the temperature; the largest becomes 0, even if it is infinite."""
    return tl.where(value == largest, 0.0, (value - largest) * inverse)


@triton.jit
def _bisect(row, vocab, low, high, wanted, largest, inverse, MASS: tl.constexpr, BLOCK: tl.constexpr):
    """The smallest key from `low` to `high` above which less than `wanted` lies: MASS or number of logits."""
    cols = tl.arange(0, BLOCK)
    while low < high:
        middle = (low & high) + ((low ^ high) >> 1)  # their mean, which cannot overflow
        total = tl.zeros([BLOCK], tl.float32)
        next_up, next_down = tl.zeros([BLOCK], tl.int32) + high, tl.zeros([BLOCK], tl.int32) + low
        for start in range(0, vocab, BLOCK):
            value = _load(row, start + cols, vocab)
            key = _key(value)
            above = key > middle
            if MASS:
                total += tl.where(above, tl.exp(_scaled(value, largest, inverse)), 0.0)
            else:
                total += tl.where(above, 1.0, 0.0)
            next_up = tl.minimum(next_up, tl.where(above, key, high))
            next_down = tl.maximum(next_down, tl.where(above, low, key))
        # to the next key that occurs: between those that do, nothing changes
        enough = tl.sum(total, 0) < wanted
        nearest_up, nearest_down = tl.min(next_up, 0), tl.max(next_down, 0)
        high = tl.where(enough, nearest_down, high)
        low = tl.where(enough, low, nearest_up)
    return low


@triton.jit
def _find_threshold(logits, temperatures, top_ks, top_ps, largests, lowests, vocab, stride, BLOCK: tl.constexpr):
    seq = tl.program_id(0)
    temperature = tl.load(temperatures + seq)
    if temperature != 0.0:
        row = logits + seq.to(tl.int64) * stride
        cols = tl.arange(0, BLOCK)
        best = tl.full([BLOCK], float("-inf"), tl.float32)
        for start in range(0, vocab, BLOCK):
            best = tl.maximum(best, _load(row, start + cols, vocab))
        largest = tl.max(best, 0)
        inverse = tl.div_rn(1.0, temperature)
        low, high = tl.full([], _KEY_OF_MINUS_INFINITY, tl.int32), _key(largest)
        top_k, top_p = tl.load(top_ks + seq), tl.load(top_ps + seq)
        if (top_k > 0) & (top_k < vocab):
            low = _bisect(row, vocab, low, high, top_k.to(tl.float32), largest, inverse, False, BLOCK)
        if top_p < 1.0:
            mass = tl.zeros([BLOCK], tl.float32)
            for start in range(0, vocab, BLOCK):
                value = _load(row, start + cols, vocab)
                mass += tl.where(_key(value) >= low, tl.exp(_scaled(value, largest, inverse)), 0.0)
            low = _bisect(row, vocab, low, high, top_p * tl.sum(mass, 0), largest, inverse, True, BLOCK)
        tl.store(largests + seq, largest)
        tl.store(lowests + seq, low)


@triton.jit
def _mixed(bits):
    bits = (bits ^ (bits >> 16)) * _M0
    bits = (bits ^ (bits >> 15)) * _M1
    return bits ^ (bits >> 15)


@triton.jit
def _uniform(seed, position, tokens):
    """As choose.uniform, bit for bit."""
    low, high, place = seed.to(tl.uint32), (seed >> 32).to(tl.uint32), position.to(tl.uint32)
    first = _mixed(_mixed(_mixed(low) + high) + place)
    second = _mixed(_mixed(_mixed(low ^ _SECOND_KEY) + high) + place)
    bits = _mixed(_mixed(tokens.to(tl.uint32) + first) ^ second)
    return tl.minimum((bits.to(tl.float32) + 0.5) * 2.3283064365386963e-10, 0.99999994039535522)


@triton.jit
def _minus_log1p(u):
    """-log(1 - u). Near 0 a series, whose relative error is below that of float32: there log(1 - u) has lost digits."""
    series = 1.0 / 8
    series = 1.0 / 7 + u * series
    series = 1.0 / 6 + u * series
    series = 1.0 / 5 + u * series
    series = 1.0 / 4 + u * series
    series = 1.0 / 3 + u * series
    series = 1.0 / 2 + u * series
    return tl.where(u < 0.125, u + u * u * series, -tl.log(1.0 - u))


@triton.jit
def _choose_in_chunk(
    logits, temperatures, seeds, positions, largests, lowests, scores, places, vocab, stride, chunks,
    CHUNK: tl.constexpr,
):  # fmt: skip
    seq, chunk = tl.program_id(0), tl.program_id(1)
    cols = chunk * CHUNK + tl.arange(0, CHUNK)
    score = _load(logits + seq.to(tl.int64) * stride, cols, vocab)
    temperature = tl.load(temperatures + seq)
    if temperature != 0.0:
        kept = _key(score) >= tl.load(lowests + seq)
        noise = -tl.log(_minus_log1p(_uniform(tl.load(seeds + seq), tl.load(positions + seq), cols)))
        score = _scaled(score, tl.load(largests + seq), tl.div_rn(1.0, temperature)) + noise
        score = tl.where(kept & (cols < vocab), score, float("-inf"))
    # of equal ones the first: a column past the end never wins
    best, place = tl.max(score, 0, return_indices=True)
    tl.store(scores + seq * chunks + chunk, best)
    tl.store(places + seq * chunks + chunk, chunk * CHUNK + place)


@triton.jit
def _choose_chunk(scores, places, tokens, chunks, BLOCK: tl.constexpr):
    seq = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    score = tl.load(scores + seq * chunks + cols, mask=cols < chunks, other=float("-inf"))
    _, chunk = tl.max(score, 0, return_indices=True)
    tl.store(tokens + seq, tl.load(places + seq * chunks + chunk).to(tl.int64))
