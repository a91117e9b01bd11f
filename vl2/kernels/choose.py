"""The next token of many sequences, chosen on the device: greedy, temperature, top-k, top-p, a seed per sequence.

    logits_SV --top_k, top_p--> a threshold per row --noise of (seed, position, token), argmax--> tokens_S

A draw is an argmax of logits plus Gumbel noise. The noise comes from no generator but from a hash, so the same seed
gives the same token on every device and whatever runs beside it. The trap: noise decides between likely tokens by its
largest values, where log(-log(u)) of a float32 u near 1 is too coarse for a large vocabulary; hence 1 - u is what is
drawn, which is fine near 0.
"""

from typing import TypeVar

import torch
from torch import Tensor

from vl2.kernels.launch import can_run

MULTIPLIERS = (0x21F0AAAD, 0xD35A2D97 - (1 << 32))  # of a published 32-bit mixer, as int32
SECOND_KEY = 0x3C6EF372  # anything: what the second of two keys starts from
_SORT_FIRST = 1 << 10  # this many of the likeliest usually reach top_p, so that the rest need not be sorted

Bits = TypeVar("Bits", int, Tensor)


def choose_reference(
    logits_SV: Tensor, temperature_S: Tensor, top_k_S: Tensor, top_p_S: Tensor, seed_S: Tensor, position_S: Tensor
) -> Tensor:
    """One row after the other.

    Args:
        logits_SV: (S, V) float32; not-a-number counts as minus infinity.
        temperature_S: (S,) float32; 0 takes the largest logit, the first of equal ones.
        top_k_S: (S,) int32 how many of the largest may be drawn, with all that equal the last of them; 0 for all.
        top_p_S: (S,) float32; of those, a token may be drawn if strictly likelier ones have less than this probability.
        seed_S, position_S: (S,) int64 seed of the request and number of tokens it has generated: what noise depends on.

    Returns: (S,) int64.
    """
    options = (options_S.tolist() for options_S in (temperature_S, top_k_S, top_p_S, seed_S, position_S))
    tokens = [_choose_row(logits_V, *row) for logits_V, *row in zip(logits_SV, *options, strict=True)]
    return torch.tensor(tokens, dtype=torch.int64, device=logits_SV.device)


def choose(
    logits_SV: Tensor, temperature_S: Tensor, top_k_S: Tensor, top_p_S: Tensor, seed_S: Tensor, position_S: Tensor
) -> Tensor:
    """As choose_reference; in Triton without sorting, and without waiting for the device."""
    if not can_run(logits_SV):
        return choose_reference(logits_SV, temperature_S, top_k_S, top_p_S, seed_S, position_S)
    from vl2.kernels.choose_triton import launch

    return launch(logits_SV, temperature_S, top_k_S, top_p_S, seed_S, position_S)


def uniform(seed: int, position: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """(V,) float32 in (0, 1), both exclusive, of `count` tokens: a function of the arguments, equal on all devices."""
    low, high, position = (_wrapped(bits) for bits in (seed, seed >> 32, position))
    # two keys: with one of 32 bits, the noise of another sequence would often be this one's, moved along
    first, second = (
        _mixed(_wrapped(_mixed(_wrapped(_mixed(start) + high)) + position)) for start in (low, low ^ SECOND_KEY)
    )
    tokens_V = torch.arange(count, dtype=torch.int32, device=device)
    bits_V = _mixed(_mixed(tokens_V + first) ^ second)
    unsigned_V = bits_V.long() & 0xFFFFFFFF
    return unsigned_V.float().add_(0.5).mul_(2.0**-32).clamp_max_(1 - 2.0**-24)


def _choose_row(logits_V: Tensor, temperature: float, top_k: int, top_p: float, seed: int, position: int) -> int:
    logits_V = logits_V.masked_fill(logits_V.isnan(), -torch.inf)
    if temperature == 0:
        return int(logits_V.argmax())
    # float32 is enough for any temperature: the largest becomes 0, the others at worst minus infinity
    scaled_V = ((logits_V - logits_V.max()) * (1 / temperature)).masked_fill_(logits_V == logits_V.max(), 0.0)
    score_V = scaled_V - (-uniform(seed, position, len(logits_V), logits_V.device)).log1p_().neg_().log_()
    kept = (logits_V >= _threshold(logits_V, scaled_V, top_k, top_p)) if top_k or top_p < 1 else None
    return int((score_V if kept is None else score_V.masked_fill_(~kept, -torch.inf)).argmax())


def _threshold(logits_V: Tensor, scaled_V: Tensor, top_k: int, top_p: float) -> Tensor:
    """The smallest logit that may be drawn."""
    lowest = logits_V.new_tensor(-torch.inf)
    if 0 < top_k < len(logits_V):
        lowest = logits_V.topk(top_k).values[-1]
        kept = logits_V >= lowest
        logits_V, scaled_V = logits_V[kept], scaled_V[kept]
    if top_p < 1:
        enough = top_p * scaled_V.exp().sum(dtype=torch.float64)
        count = _SORT_FIRST
        while True:
            ordered, ids = logits_V.topk(min(count, len(logits_V)))
            mass = scaled_V[ids].exp().cumsum(0, dtype=torch.float64)
            if mass[-1] >= enough or count >= len(logits_V):
                break
            count *= 16
        lowest = ordered[int((mass[:-1] < enough).sum())]  # the likeliest is never asked
    return lowest


def _wrapped(bits: int) -> int:
    """The lowest 32 bits, as int32."""
    return (bits + (1 << 31)) % (1 << 32) - (1 << 31)


def _mixed(bits: Bits) -> Bits:
    """A one-to-one function of int32, every bit of which depends on all bits; tensors wrap by themselves."""
    for shift, multiplier in zip((16, 15), MULTIPLIERS, strict=True):
        bits = (bits ^ (bits >> shift) & ((1 << (32 - shift)) - 1)) * multiplier
        bits = bits if isinstance(bits, Tensor) else _wrapped(bits)
    return bits ^ (bits >> 15) & ((1 << 17) - 1)
