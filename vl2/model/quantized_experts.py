"""Routed experts whose weights are quantised; everything else of a model keeps its dtype.

    RoutedExperts (gate_up, down) --quantize--> QuantizedExperts (values and scales of both) --forward--> as before

The trap: a model's dtype is none of theirs. Values and scales keep their own when the model is cast.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from vl2.config import QUANTIZED, ConfigError, QuantizationConfig, VL2Config
from vl2.kernels.quantized import GROUPS, Quantized, quantize
from vl2.kernels.quantized_experts import quantized_experts
from vl2.model.moe import MoE, RoutedExperts
from vl2.model.slots import Slot, quantized_slots
from vl2.model.vl2 import VL2


class QuantizedExperts(nn.Module):
    """As RoutedExperts, without gradients: `gate_up` (E, 2F, D) and `down` (E, D, F) as values and scales."""

    gate_up_values: Tensor
    gate_up_scales: Tensor
    down_values: Tensor
    down_scales: Tensor

    def __init__(self, config: VL2Config) -> None:
        super().__init__()
        text, quantization = config.language_config, config.quantization_config
        assert text.n_routed_experts
        assert quantization
        shapes = {
            "gate_up": (2 * text.moe_intermediate_size, text.hidden_size),
            "down": (text.hidden_size, text.moe_intermediate_size),
        }
        for name, shape in shapes.items():
            for part in quantized_slots(Slot("", name, shape), quantization):
                self.register_buffer(part.parameter, torch.empty(text.n_routed_experts, *part.shape, dtype=part.dtype))

    @property
    def gate_up(self) -> Quantized:
        return Quantized(self.gate_up_values, self.gate_up_scales)

    @property
    def down(self) -> Quantized:
        return Quantized(self.down_values, self.down_scales)

    def forward(self, x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor) -> Tensor:
        return quantized_experts(x_TD, weights_TA, indices_TA, self.gate_up, self.down)

    def fill(self, experts: RoutedExperts, quantization: QuantizationConfig) -> None:
        """Quantise what these weights are."""
        for name in ("gate_up", "down"):
            made = quantize(experts.get_parameter(name).detach(), quantization.experts, quantization.group_size)
            self.get_buffer(f"{name}_values").copy_(made.values)
            self.get_buffer(f"{name}_scales").copy_(made.scales)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantizedExperts":
        """What .to(), .cuda() and .to_empty() do to tensors: devices change, dtypes do not."""

        def moved(tensor: Tensor) -> Tensor:
            out = fn(tensor)
            return out if out.dtype == tensor.dtype else tensor.to(out.device)

        return super()._apply(moved, recurse)


def quantized_config(config: VL2Config, scheme: str, where: object = "config") -> VL2Config:
    """The configuration of the same model with quantised experts. Raises ConfigError, which names `where`."""
    if scheme not in QUANTIZED:
        raise ConfigError(f"quantize = {scheme!r}: must be {' or '.join(QUANTIZED)}")
    if config.quantization_config:
        kind = config.quantization_config.experts
        raise ConfigError(f"{where}: its experts are quantised ({kind}) already; quantise the original weights")
    most = GROUPS[0] if scheme == "int4" else None
    try:
        return replace(config, quantization_config=QuantizationConfig("vl2", scheme, most))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def quantize_model(model: VL2, scheme: str) -> VL2:
    """Quantise the routed experts of a built model in place, layer by layer."""
    config = quantized_config(model.config, scheme)
    assert config.quantization_config
    for layer in model.modules():
        if isinstance(layer, MoE):
            with torch.device(model.device):
                made = QuantizedExperts(config)
            made.fill(layer.experts, config.quantization_config)
            layer.register_module("experts", made.eval())
    model.config = config
    return model
