"""Normalisation and feed-forward layers of the language model."""

import torch
from torch import Tensor, nn

from vl2.kernels.gated import gated
from vl2.kernels.linear import linear
from vl2.kernels.norm import add_rms_norm, rms_norm
from vl2.kernels.team import Team
from vl2.model.quantized_linear import QuantizedLinear, project_quantized


class RMSNorm(nn.Module):
    """Root-mean-square norm computed in float32; the weight multiplies after the cast back, as published."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x_TD: Tensor) -> Tensor:
        return rms_norm(x_TD, self.weight, self.eps)

    def after_adding(self, x_TD: Tensor, delta_TD: Tensor | None, team: Team | None = None) -> tuple[Tensor, Tensor]:
        """x + delta, and the norm of that; of a team, the sum of all ranks' deltas."""
        if delta_TD is None:
            return x_TD, self(x_TD)
        if team is not None:
            return team.add_rms_norm(x_TD, delta_TD, self.weight, self.eps)
        return add_rms_norm(x_TD, delta_TD, self.weight, self.eps)


class SwiGLU(nn.Module):
    """down(silu(gate x) * up x): the dense layers and the shared experts. `team`: of a width that ranks divide."""

    def __init__(self, hidden: int, width: int, team: Team | None = None) -> None:
        super().__init__()
        self._team = team
        self.gate_proj = nn.Linear(hidden, width, bias=False)
        self.up_proj = nn.Linear(hidden, width, bias=False)
        self.down_proj = nn.Linear(width, hidden, bias=False)

    def forward(self, x_TD: Tensor) -> Tensor:
        gate_TF, up_TF = project(x_TD, self.gate_proj, self.up_proj)
        return project_part(gated(gate_TF, up_TF), self.down_proj, self._team)


def project_part(x_TD: Tensor, layer: nn.Linear | QuantizedLinear, team: Team | None) -> Tensor:
    """What a layer makes of x_TD; of a team, a rank's part of a sum, which `RMSNorm.after_adding` completes."""
    post = None if team is None else team.post(x_TD)
    if post is None:
        return project(x_TD, layer)[0]
    assert isinstance(layer, nn.Linear)
    return linear(x_TD, layer.weight, post)


def project(x_TD: Tensor, *layers: nn.Linear | QuantizedLinear) -> list[Tensor]:
    """What several layers make of the same tokens; one product if `join` laid their weights side by side."""
    quantized = [layer for layer in layers if isinstance(layer, QuantizedLinear)]
    if quantized:
        assert len(quantized) == len(layers)
        return project_quantized(x_TD, *quantized)
    plain = [layer for layer in layers if type(layer) is nn.Linear and layer.bias is None]
    if torch.is_grad_enabled() or len(plain) < len(layers):
        return [layer(x_TD) for layer in layers]  # learning, or something else in the place of a layer
    joined: object = plain[0].__dict__.get("joined")
    if len(plain) == 1 or not isinstance(joined, Tensor) or joined.data_ptr() != plain[0].weight.data_ptr():
        return [linear(x_TD, layer.weight) for layer in plain]  # never joined, or moved since
    return list(linear(x_TD, joined).split([layer.out_features for layer in plain], -1))


def join(*layers: nn.Linear) -> None:
    """Move the weights of layers without biases side by side, so that `project` reads them in one product."""
    assert all(layer.bias is None for layer in layers)
    joined = torch.cat([layer.weight.data for layer in layers])
    for layer, part in zip(layers, joined.split([layer.out_features for layer in layers]), strict=True):
        layer.weight.data = part
    layers[0].__dict__["joined"] = joined
