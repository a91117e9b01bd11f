"""Muon: momentum whose direction is made orthogonal, for the matrices of tower, projector and decoder.

    gradient --momentum--> (rows, columns) --five Newton-Schulz steps--> nearly orthogonal --scaled--> update

Every direction of a matrix learns at the same pace, where Adam follows the few that dominate (Jordan et al. 2024; the
scale that lets it share AdamW's learning rate and weight decay is that of Liu et al., arXiv 2502.16982, section 2.2).
torch.optim.Muon takes single matrices only; experts are stacks of matrices, and all of one shape go together here.
"""

import math

import torch
from torch import Tensor, nn

_STEPS = ((3.4445, -4.7750, 2.0315),) * 5  # the coefficients of the published iteration, five times
_EPS = 1e-7


def orthogonalize(matrices: Tensor) -> Tensor:
    """(count, rows, columns) matrices to ones with the same singular vectors and singular values near 1."""
    x = matrices.bfloat16() if matrices.is_cuda else matrices  # the iteration forgives rounding
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + _EPS)
    for a, b, c in _STEPS:
        square = x @ x.mT
        mixed = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, mixed, x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


@torch.no_grad()
def muon_step(
    parameters: list[nn.Parameter], momenta: list[Tensor], lr: float, weight_decay: float, beta: float, keep: Tensor
) -> None:
    """Change parameters in place.

    Args:
        parameters: of two or more dimensions, the last two of which are the matrix; with gradients.
        momenta: one buffer for each.
        keep: () 1 to take the step, 0 to leave everything as it is.
    """
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, parameter in enumerate(parameters):
        by_shape.setdefault(tuple(parameter.shape[-2:]), []).append(number)
    shrunk = 1 - keep * (lr * weight_decay)
    for shape, numbers in by_shape.items():  # few launches: a small model's step is as fast as the host can launch
        params = [parameters[number] for number in numbers]
        grads = torch.cat([p.grad.view(-1, *shape) for p in params if p.grad is not None])
        own = [momenta[number].view(-1, *shape) for number in numbers]
        before = torch.cat(own)
        grads = torch.where(keep > 0, grads, before)  # what is not finite must not reach the momentum
        after = torch.lerp(before, grads, 1 - beta)
        sizes = [len(momentum) for momentum in own]
        torch._foreach_copy_(own, after.split(sizes))  # pyright: ignore[reportPrivateImportUsage]
        scale = keep * (lr * 0.2 * math.sqrt(max(shape)))
        updates = (orthogonalize(torch.lerp(grads, after, beta)) * scale).split(sizes)
        torch._foreach_mul_(params, shrunk)  # type: ignore[reportPrivateImportUsage]
        steps = [u.view_as(p) for u, p in zip(updates, params, strict=True)]
        torch._foreach_sub_(params, steps)  # type: ignore[reportPrivateImportUsage]
