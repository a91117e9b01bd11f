"""What modules with quantised weights have in common, and linear layers whose weights are int8.

    nn.Linear (weight) --fill--> QuantizedLinear (weight_values, weight_scales) --forward--> as before

The trap: a model's dtype is none of theirs. Values and scales keep their own when the model is cast.
"""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from vl2.config import QuantizationConfig
from vl2.kernels.int8 import int8_linear
from vl2.kernels.quantized import Quantized, quantize
from vl2.model.slots import Slot, quantized_slots


class QuantizedModule(nn.Module):
    """Matrices, or stacks of them, as buffers NAME_values and NAME_scales; nothing of them learns.

    Args:
        shapes: of each matrix (rows, width), or of a stack (count, rows, width).
    """

    def __init__(self, quantization: QuantizationConfig, shapes: dict[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.quantization, self.shapes = quantization, shapes
        for name, (*stack, rows, width) in shapes.items():
            for part in quantized_slots(Slot("", name, (rows, width)), quantization):
                self.register_buffer(part.parameter, torch.empty(*stack, *part.shape, dtype=part.dtype))

    def matrix(self, name: str) -> Quantized:
        return Quantized(self.get_buffer(f"{name}_values"), self.get_buffer(f"{name}_scales"))

    def put(self, name: str, weight: Tensor) -> None:
        """Quantise a matrix or a stack."""
        made = quantize(weight.detach(), self.quantization.experts, self.quantization.group_size)
        self.get_buffer(f"{name}_values").copy_(made.values)
        self.get_buffer(f"{name}_scales").copy_(made.scales)

    def fill(self, module: nn.Module) -> None:
        """Quantise the parameters of these names."""
        for name in self.shapes:
            self.put(name, module.get_parameter(name))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What .to(), .cuda() and .to_empty() do to tensors: devices of buffers change, their dtypes do not."""
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, tensor in before.items():
            moved = self.get_buffer(name)
            if moved.dtype != tensor.dtype:
                self.register_buffer(name, tensor.to(moved.device))
        return self


class QuantizedLinear(QuantizedModule):
    """As nn.Linear, without gradients; a bias keeps the dtype of the model."""

    weight_values: Tensor
    weight_scales: Tensor

    def __init__(self, linear: nn.Linear, quantization: QuantizationConfig) -> None:
        super().__init__(quantization, {"weight": (linear.out_features, linear.in_features)})
        self.bias = linear.bias

    def forward(self, x_TD: Tensor) -> Tensor:
        return project_quantized(x_TD, self)[0]


def project_quantized(x_TD: Tensor, *layers: QuantizedLinear) -> list[Tensor]:
    """What several layers make of the same tokens, which are rounded once for all of them."""
    made = int8_linear(x_TD, *(Quantized(layer.weight_values, layer.weight_scales) for layer in layers))
    return [y_TF if layer.bias is None else y_TF + layer.bias for layer, y_TF in zip(layers, made, strict=True)]
