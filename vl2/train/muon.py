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
        x = a * x + (b * square + c * square @ square) @ x
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
    for (rows, columns), numbers in by_shape.items():
        updates = []
        for number in numbers:
            grad, momentum = parameters[number].grad, momenta[number]
            assert grad is not None
            grad = torch.where(keep > 0, grad, momentum)  # a gradient that is not finite must not reach the buffer
            momentum.lerp_(grad, 1 - beta)
            updates.append(torch.lerp(grad, momentum, beta).view(-1, rows, columns))
        directions = orthogonalize(torch.cat(updates))
        scale = keep * (lr * 0.2 * math.sqrt(max(rows, columns)))
        for number, update in zip(numbers, directions.split([len(u) for u in updates]), strict=True):
            parameter = parameters[number]
            parameter.mul_(1 - keep * (lr * weight_decay)).sub_(scale * update.view_as(parameter))
