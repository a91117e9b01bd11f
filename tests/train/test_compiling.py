"""Compiled layers: that they are compiled, whatever they repeat, and compute the same."""

import pytest
import torch
from tiny_synth import TINY_SYNTH
from torch import Tensor

from vl2.model.cache import PackedSequences
from vl2.model.rope import rope_table
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.compiling import compile_blocks
from vl2.train.config import read_recipe
from vl2.train.loss import batch_losses
from vl2.train.recompute import CHOICES, recompute


def step(compiled: bool, choice: str) -> tuple[Tensor, list[Tensor], dict[str, int], list[Tensor]]:
    """Loss, gradients, what the compiler counted, and what the forward pass keeps."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    assembly = assemble(read_recipe("debug", ["device=cpu", "stages.0.mixture={line=1, scene=1}"]), TINY_SYNTH, None)
    batch, model = stage_dataset(assembly, 0)[0], assembly.model.requires_grad_(True)
    recompute(model, choice, compile_blocks(model, "all", backend="aot_eager") if compiled else ())
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        losses = batch_losses(model, None, batch, background_weight=0.0, static=False)
    loss = losses.text + losses.balance
    loss.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return loss.detach(), grads, dict(torch._dynamo.utils.counters["stats"]), kept


@pytest.mark.parametrize("choice", CHOICES)
def test_layers_are_compiled_and_compute_the_same(choice: str) -> None:
    plain, compiled = step(False, "none"), step(True, choice)
    assert compiled[2]["unique_graphs"] > 3  # patches, the tower's blocks, a dense layer, a sparse one
    torch.testing.assert_close(compiled[0], plain[0], atol=1e-5, rtol=1e-5)
    for got, wanted in zip(compiled[1], plain[1], strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-3)


def test_compiled_layers_can_keep_their_inputs_only() -> None:
    kept = {choice: sum(tensor.nbytes for tensor in step(True, choice)[3]) for choice in CHOICES}
    assert kept["layers"] < 0.7 * kept["none"]
    assert kept["selective"] == kept["none"]


def test_an_adapter_does_not_break_layers_into_more_graphs_than_experts_do() -> None:
    """On the CPU the host has to know how many tokens experts get, once for every product; nothing else may break."""
    pytest.importorskip("peft", minversion="0.21")
    from vl2.model.lora import TARGETS, attach

    model = assemble(read_recipe("debug", ["device=cpu"]), TINY_SYNTH, None).model
    attach(model, rank=2, alpha=4, dropout=0.0, targets=tuple(TARGETS), base="", seed=1)
    assert len(compile_blocks(model, "all", backend="eager")) > len(model.language.layers)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    dense = model.language.layers[0]
    x_TD = torch.randn(7, model.config.language_config.hidden_size)
    rope = rope_table(model.config.language_config, torch.arange(7))
    dense(x_TD, None, rope, PackedSequences.of_lengths([7], x_TD.device))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert not torch._dynamo.utils.counters["graph_break"]


def test_the_tower_alone() -> None:
    model = assemble(read_recipe("debug", ["device=cpu"]), TINY_SYNTH, None).model
    every = len(compile_blocks(model, "all", backend="eager"))
    assert len(compile_blocks(model, "vision", backend="eager")) == every - len(model.language.layers)
    assert not compile_blocks(model, "none")
