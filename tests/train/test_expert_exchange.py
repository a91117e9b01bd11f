"""Divided experts, in a group of one process: what they compute, in which order. Of several, see test_sharding.py."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from vl2.model.cache import PackedSequences
from vl2.model.moe import MoE
from vl2.model.vl2 import VL2
from vl2.train.compiling import compile_blocks
from vl2.train.expert_exchange import DividedExperts, Exchange
from vl2.train.recompute import recompute


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def divide(model: VL2) -> VL2:
    for module in model.modules():
        if isinstance(module, MoE):
            whole = module.experts
            module.experts = DividedExperts(whole, dist.group.WORLD)  # type: ignore[assignment,arg-type]
            module.experts.load_state_dict(whole.state_dict())
    return model


def learn(model: VL2, lengths: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
    """Hidden states of random tokens, and gradients of all that they reach."""
    model.zero_grad(set_to_none=True)
    generator = torch.Generator().manual_seed(0)
    x_TD = torch.randn(sum(lengths), model.config.language_config.hidden_size, generator=generator)
    positions_T = torch.cat([torch.arange(length) for length in lengths])
    hidden_TD = model(x_TD.requires_grad_(), positions_T, PackedSequences.of_lengths(lengths, "cpu"))[0]
    (hidden_TD * torch.randn(hidden_TD.shape, generator=generator)).sum().backward()
    assert x_TD.grad is not None
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return hidden_TD.detach(), grads | {"x": x_TD.grad}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("choice", ["none", "layers"])
@pytest.mark.parametrize("compiled", [False, True])
def test_they_compute_what_whole_experts_do(make_model: Callable[..., VL2], compiled: bool, choice: str) -> None:
    torch._dynamo.reset()
    model = make_model("base").train().requires_grad_(True)
    wanted = learn(model, [5, 6])
    divide(model)
    pieces = compile_blocks(model, "all", backend="aot_eager") if compiled else []
    torch._dynamo.utils.counters.clear()
    recompute(model, choice, pieces)
    for _ in range(2):
        torch.testing.assert_close(learn(model, [5, 6]), wanted, atol=1e-5, rtol=1e-4)
    if compiled:
        assert not torch._dynamo.utils.counters["graph_break"]
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert graphs >= 8  # a dense layer; attention, norms, router, shared experts, four pieces of the exchange
        torch._dynamo.utils.counters.clear()
        experts = next(module for module in model.modules() if isinstance(module, DividedExperts))
        for rows in (40, 50, 60, 70):
            experts.activate(torch.randn(rows, 2 * experts.down.shape[-1]))
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2


@pytest.mark.usefixtures("alone")
def test_shared_experts_are_computed_while_tokens_travel(
    make_model: Callable[..., VL2], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward while the tokens go to their experts, backward while their gradients come back."""
    model = divide(make_model("base").train().requires_grad_(True))
    mlps = [module for module in model.modules() if isinstance(module, MoE)]
    seen: list[str] = []

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args: (seen.append(name), call(*args))[1]

    monkeypatch.setattr(Exchange, "send", noted("send", Exchange.send))
    monkeypatch.setattr(Exchange, "wait", noted("wait", Exchange.wait))
    for mlp in mlps:
        assert mlp.shared_experts is not None
        mlp.shared_experts.register_forward_hook(lambda *_: seen.append("shared"))
        weight = mlp.shared_experts.gate_proj.weight
        weight.register_post_accumulate_grad_hook(lambda _: seen.append("shared"))
    learn(model, [5, 6])
    forward = ["send", "shared", "wait", "send", "wait"] * len(mlps)
    assert seen == [*forward, *["send", "wait", "send", "shared", "wait"] * len(mlps)]
