"""Models whose weights are quantised: the routed experts, and with int8 the linear layers of the language model, too.

    RoutedExperts (gate_up, down) --fill--> QuantizedExperts (values and scales of both) --forward--> as before
    VL2 --put_quantized--> the same with such modules in the places of theirs

Everything else of a model keeps its dtype.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from vl2.config import QUANTIZED, ConfigError, QuantizationConfig, VL2Config, one_of
from vl2.kernels.experts import SharedExperts
from vl2.kernels.int8 import obstacle
from vl2.kernels.quantized import GROUPS, Quantized
from vl2.kernels.quantized_experts import quantized_experts
from vl2.model.moe import RoutedExperts
from vl2.model.quantized_linear import QuantizedLinear, QuantizedModule
from vl2.model.slots import PROJECTIONS
from vl2.model.vl2 import VL2


class QuantizedExperts(QuantizedModule):
    """As RoutedExperts, without gradients: `gate_up` (E, 2F, D) and `down` (E, D, F) as values and scales."""

    gate_up_values: Tensor
    gate_up_scales: Tensor
    down_values: Tensor
    down_scales: Tensor

    def __init__(self, experts: RoutedExperts, quantization: QuantizationConfig) -> None:
        shapes = {"gate_up": tuple(experts.gate_up.shape), "down": tuple(experts.down.shape)}
        super().__init__(quantization, shapes)

    @property
    def gate_up(self) -> Quantized:
        return Quantized(self.gate_up_values, self.gate_up_scales)

    @property
    def down(self) -> Quantized:
        return Quantized(self.down_values, self.down_scales)

    def forward(
        self, x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor, shared: SharedExperts | None = None
    ) -> Tensor:
        return quantized_experts(x_TD, weights_TA, indices_TA, self.gate_up, self.down, shared)


def quantized_config(config: VL2Config, scheme: str, where: object = "config") -> VL2Config:
    """The configuration of the same model with quantised weights. Raises ConfigError, which names `where`."""
    if scheme not in QUANTIZED:
        raise ConfigError(f"quantize = {scheme!r}: must be {one_of(QUANTIZED)}")
    if config.quantization_config:
        kind = config.quantization_config.experts
        raise ConfigError(f"{where}: its weights are quantised ({kind}) already; quantise the original weights")
    most = GROUPS[0] if scheme == "int4" else None
    try:
        return replace(config, quantization_config=QuantizationConfig("vl2", scheme, most))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def check_device(config: VL2Config, device: torch.device | str, where: object = "config") -> None:
    """Raise ConfigError, which names `where`, if a model with this configuration cannot run on a device."""
    quantization = config.quantization_config
    if quantization and quantization.linears and (reason := obstacle(torch.device(device))):
        raise ConfigError(f"{where}: {reason}")


def put_quantized(model: VL2, quantization: QuantizationConfig, fill: bool) -> None:
    """Exchange modules one by one for quantised ones, whose weights are made of theirs if `fill` says so."""
    for name, module in list(model.named_modules()):
        with torch.device(model.device):
            if isinstance(module, RoutedExperts):
                made = QuantizedExperts(module, quantization)
            elif quantization.linears and isinstance(module, nn.Linear) and _is_projection(name):
                made = QuantizedLinear(module, quantization)
            else:
                continue
        if fill:
            made.fill(module)
        place, _, last = name.rpartition(".")
        model.get_submodule(place).register_module(last, made.train(module.training))


def _is_projection(name: str) -> bool:
    return name.startswith("language.") and name.rpartition(".")[2] in PROJECTIONS


def quantize_model(model: VL2, scheme: str) -> VL2:
    """Quantise a built model in place, module by module. Raises ConfigError."""
    config = quantized_config(model.config, scheme)
    check_device(config, model.device)
    assert config.quantization_config
    put_quantized(model, config.quantization_config, fill=True)
    model.config = config
    return model
