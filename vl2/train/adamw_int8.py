"""AdamW whose moments are kept in 8 bits: 2 bytes a parameter instead of 8.

    levels, scales --dequantize--> moments --AdamW--> parameter, moments --quantize with noise--> levels, scales

Moments are rounded up or down by chance (vl2/train/moments.py), for an average over many steps must not lose each of
its small changes, and neither must weights in bfloat16. The chance is a hash of the number and of the step, so a run
that resumes takes the same. The trap: whole parameters would not fit in float32 beside the model, so they go through in
parts.
"""

from collections.abc import Callable, MutableMapping
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vl2.train.moments import BLOCK, dequantize, quantize

_AT_ONCE = 1 << 24  # numbers, of which a dozen float32 copies exist for a moment
_SQUARED = "exp_avg_sq"


class Int8Moment(NamedTuple):
    """levels: (blocks, BLOCK) int8; scale: (blocks,) float32."""

    levels: Tensor
    scale: Tensor


def as_int8(value: Tensor, name: str) -> "Tensor | Int8Moment":
    """A whole moment as it is kept; the number of steps stays what it is."""
    return value if name == "step" else Int8Moment(*quantize(value, squared=name == _SQUARED))


def as_float(value: "Tensor | Int8Moment", parameter: Tensor, name: str) -> Tensor:
    """The inverse; of what is not in 8 bits, itself."""
    if isinstance(value, Tensor):
        return value
    return dequantize(*value, parameter.shape, squared=name == _SQUARED)


@torch.no_grad()
def adamw_int8(group: dict[str, Any], states: MutableMapping[Any, Any], found_inf: Tensor | None) -> None:
    """Change the parameters of a group in place and drop their gradients.

    Args:
        group: params, lr, betas, eps, weight_decay.
        states: moments by parameter; made here the first time.
        found_inf: () 1 to leave everything as it is.
    """
    (beta1, beta2), eps = group["betas"], group["eps"]
    for parameter in group["params"]:
        grad, parameter.grad = parameter.grad, None
        if grad is None or not parameter.numel():
            continue
        state = states[parameter]
        if not state:
            blocks = -(-parameter.numel() // BLOCK)
            state["step"] = torch.zeros((), device=parameter.device)
            for name in ("exp_avg", _SQUARED):
                levels = torch.zeros(blocks, BLOCK, dtype=torch.int8, device=parameter.device)
                state[name] = Int8Moment(levels, torch.zeros(blocks, device=parameter.device))
        take = torch.ones_like(state["step"]) if found_inf is None else 1 - found_inf
        state["step"] += take
        whole, grads = parameter.view(-1), grad.reshape(-1)
        lr, decay = (torch.full((), group[key], device=parameter.device) for key in ("lr", "weight_decay"))
        update = _compiled() if parameter.is_cuda else _update
        for begin in range(0, whole.numel(), _AT_ONCE):
            own, blocks = slice(begin, begin + _AT_ONCE), slice(begin // BLOCK, (begin + _AT_ONCE) // BLOCK)
            first, second = (Int8Moment(*(part[blocks] for part in state[name])) for name in ("exp_avg", _SQUARED))
            update(whole[own], grads[own], first, second, state["step"], take > 0, lr, decay, beta1, beta2, eps)


@cache
def _compiled() -> Callable[..., None]:
    """One pass over memory instead of some thirty; what changes from step to step are tensors, or it would compile
    anew."""
    return torch.compile(_update, dynamic=True)


def _update(
    p: Tensor, grad: Tensor, first: Int8Moment, second: Int8Moment, step: Tensor, take: Tensor,
    lr: Tensor, decay: Tensor, beta1: float, beta2: float, eps: float,
) -> None:  # fmt: skip
    grad, before = grad.float(), p.float()
    mean = dequantize(*first, p.shape, squared=False).lerp(grad, 1 - beta1)
    square = dequantize(*second, p.shape, squared=True).lerp(grad.square(), 1 - beta2)
    scale = (1 - beta2**step).sqrt()
    change = mean / (square.sqrt() / scale + eps) * (lr / (1 - beta1**step))
    after = before * (1 - lr * decay) - change
    p.copy_(torch.where(take, _rounded(after, step) if p.dtype == torch.bfloat16 else after, before))
    for kept, values, squared in ((first, mean, False), (second, square, True)):
        new = quantize(values, squared=squared, noise=_noise(values, step))
        for old, part in zip(kept, new, strict=True):
            old.copy_(torch.where(take, part, old))


def _rounded(values: Tensor, step: Tensor) -> Tensor:
    """To numbers of bfloat16, up or down by chance: most changes are smaller than half the gap between two of them."""
    bits = values.view(torch.int32) + (_noise(values, step) * 65536).to(torch.int32)
    return (bits & ~0xFFFF).view(torch.float32)


def _noise(values: Tensor, step: Tensor) -> Tensor:
    """Numbers in [0, 1) that look like chance: the bits of the values and of the step, mixed."""
    bits = values.view(torch.int32) * -1640531535 + step.to(torch.int32) * -2048144789  # overflows, as hashes do
    bits = (bits ^ (bits >> 15)) * 739982445
    return ((bits ^ (bits >> 12)) & 0xFFFFFF).float() / (1 << 24)
