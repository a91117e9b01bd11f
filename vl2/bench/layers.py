"""One layer's experts and one layer's decoding attention, alone.

The trap: a layer that is timed again and again finds its weights in the cache, which no step of a model does. Copies
take turns, so many that the cache has forgotten the first when it comes again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from vl2.bench.timing import BenchError, Timing, copies_for, rotated_seconds
from vl2.config import LanguageConfig
from vl2.kernels.paged_attention import can_decode, decode_heads, decode_latent
from vl2.model.moe import MoE

GRAPH_TOKENS = 256  # up to here launching a layer takes longer than computing it, and decoding replays graphs
BLOCK = 64  # tokens of a block of the cache


@dataclass(frozen=True)
class Measured:
    """facts: what else was seen, by name."""

    timing: Timing
    facts: dict[str, float]


@torch.inference_mode()
def moe(text: LanguageConfig, tokens: int, repeats: int, device: torch.device, dtype: torch.dtype) -> Measured:
    """A layer of experts with random weights on random tokens."""
    if not text.n_routed_experts:
        raise BenchError("moe: this model has no experts")
    x_TD = random_tokens(text, tokens, device, dtype)
    first = random_layer(lambda: MoE(text, 0), text, 0, device, dtype)
    copies = copies_for(visited_bytes(text, distinct(first, x_TD), dtype), device)
    layers = [first]
    layers += [random_layer(lambda: MoE(text, 0), text, number, device, dtype) for number in range(1, copies)]
    visited = sum(distinct(layer, x_TD) for layer in layers) / copies
    times, in_graph = time_layers(layers, x_TD, repeats)
    return Measured(Timing.of(times), {"distinct_experts": visited, "copies": copies, "in_graph": float(in_graph)})


def time_layers(layers: list[nn.Module], x_TD: Tensor, repeats: int) -> tuple[list[float], bool]:
    """Seconds of one layer, and whether a graph was replayed."""
    calls = [partial(layer, x_TD) for layer in layers]
    return rotated_seconds(calls, x_TD.device, repeats, graph=x_TD.shape[-2] <= GRAPH_TOKENS)


def random_layer(
    make: Callable[[], nn.Module], text: LanguageConfig, seed: int, device: torch.device, dtype: torch.dtype
) -> nn.Module:
    """Normal weights as `VL2.initialize` draws them."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            layer = make()
    finally:
        torch.set_default_dtype(before)
    generator = torch.Generator(device).manual_seed(seed)
    for weight in layer.requires_grad_(False).parameters():
        if weight.dim() == 1:
            weight.zero_()  # a router's bias
        else:
            weight.normal_(std=text.initializer_range, generator=generator)
    return layer.eval()


def random_tokens(text: LanguageConfig, tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator(device).manual_seed(tokens)
    return torch.randn(tokens, text.hidden_size, device=device, dtype=dtype, generator=generator)


def distinct(layer: nn.Module, x_TD: Tensor) -> int:
    return len(layer(x_TD)[1].indices_TA.unique())


def visited_bytes(text: LanguageConfig, distinct_experts: float, dtype: torch.dtype) -> float:
    """Of the experts that a call reads, the shared ones included."""
    expert = 3 * text.hidden_size * text.moe_intermediate_size * dtype.itemsize
    return (distinct_experts + (text.n_shared_experts or 0)) * expert


@torch.inference_mode()
def attention(
    text: LanguageConfig, batch: int, context: int, repeats: int, device: torch.device, dtype: torch.dtype
) -> Measured:
    """One new token of `batch` sequences against `context` cached tokens each, in blocks that lie anywhere."""
    generator = torch.Generator(device).manual_seed(batch)
    width, heads = text.kv_values_per_token, text.num_attention_heads
    copies = copies_for(batch * context * width * dtype.itemsize, device)
    blocks = -(-context // BLOCK)
    cache_OBJ = torch.empty(copies * batch * blocks, BLOCK, width, device=device, dtype=dtype)
    cache_OBJ.normal_(generator=generator)
    order = torch.randperm(len(cache_OBJ), generator=torch.Generator().manual_seed(0)).to(torch.int32)
    lengths_S = torch.full((batch,), context, dtype=torch.int32, device=device)

    def queries(size: int) -> Tensor:
        return torch.randn(batch, heads, size, device=device, dtype=dtype, generator=generator)

    if text.use_mla:
        assert text.kv_lora_rank
        kernel = partial(decode_latent, queries(text.kv_lora_rank), queries(text.qk_rope_head_dim))
    else:
        kernel = partial(decode_heads, queries(text.head_dim))
    calls = [
        partial(kernel, cache_OBJ, tables_SO, lengths_S, text.head_dim**-0.5)
        for tables_SO in order.to(device).view(copies, batch, blocks)
    ]
    times, in_graph = rotated_seconds(calls, device, repeats, graph=True)
    facts = {"copies": copies, "in_graph": float(in_graph), "triton": float(can_decode(cache_OBJ))}
    return Measured(Timing.of(times), facts)
