from collections import Counter
from pathlib import Path

import pytest
import torch
from tiny_synth import TINY_SYNTH
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vl2.config import ConfigError
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.config import read_recipe
from vl2.train.loss import batch_losses
from vl2.train.recompute import CHOICES, recompute


class Calls(TorchDispatchMode):
    """Counts operators."""

    def __init__(self) -> None:
        super().__init__()
        self.number = Counter[str]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number[func.overloadpacket._qualified_op_name] += 1
        return func(*args, **(kwargs or {}))


def measure(choice: str) -> tuple[Tensor, list[Tensor], int, Counter[str]]:
    """Loss, gradients, bytes that the forward pass keeps for autograd, and calls of operators."""
    assembly = assemble(read_recipe("debug", ["stages.0.mixture={line=1, scene=1}"]), TINY_SYNTH, None)
    batch, model = stage_dataset(assembly, 0)[0], assembly.model.requires_grad_(True)
    recompute(model, choice)
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with Calls() as calls:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = batch_losses(model, None, batch, background_weight=0.0, static=False)
        loss = losses.text + losses.balance
        loss.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return loss.detach(), grads, sum(kept.values()), calls.number


def test_the_numbers_are_the_same_and_what_is_repeated_is_what_was_chosen() -> None:
    loss, grads, kept, calls = measure("none")
    for choice in ("layers", "selective"):
        again = measure(choice)
        assert torch.equal(again[0], loss)
        assert all(torch.equal(a, b) for a, b in zip(again[1], grads, strict=True))
        assert again[2] < 0.7 * kept
        assert again[3]["aten::silu"] > calls["aten::silu"]
        products = again[3]["aten::mm"] - calls["aten::mm"]
        assert products > 0 if choice == "layers" else products == 0


def test_the_recipe_knows_the_choices(tmp_path: Path) -> None:
    assert [read_recipe("debug", [f"recompute={choice}"]).recompute for choice in CHOICES] == list(CHOICES)
    with pytest.raises(ConfigError, match="recompute = 'some': must be one of none, layers, selective"):
        read_recipe("debug", ["recompute=some"])
