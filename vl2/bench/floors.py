"""The least time a step can take: bytes that must be read and operations that must be done, on a measured machine.

Bytes count every weight once, of the routed experts those that some token visits, and everything cached of every
sequence. Operations count a multiply and an add as two. Parts of a prompt are bound by one or the other, so each part
takes the larger.
"""

from dataclasses import dataclass

import torch

from vl2.bench.machine import Machine
from vl2.config import VL2Config
from vl2.family import facts
from vl2.model.slots import slots, stored_slots


@dataclass(frozen=True)
class Parts:
    """Numbers of weights: `expert` of one expert of one layer, the others of all layers together."""

    attention: int
    dense: int
    shared: int
    router: int
    expert: int
    head: int
    moe_layers: int
    expert_itemsize: float  # bytes of a quantised expert's weight with its share of scales; 0 as the others

    @classmethod
    def of(cls, config: VL2Config) -> "Parts":
        counts: dict[str, int] = dict.fromkeys(("self_attn", "shared_experts", "gate", "expert", "dense", "head"), 0)
        text = config.language_config
        sparse = {layer for layer in range(text.num_hidden_layers) if text.is_moe_layer(layer)}
        for slot in slots(config):
            names = slot.official.split(".")
            if slot.official == "language.lm_head.weight":
                counts["head"] += slot.numel
            if names[:3] != ["language", "model", "layers"]:
                continue
            if names[4] == "self_attn":
                counts["self_attn"] += slot.numel
            elif names[4] == "mlp" and int(names[3]) not in sparse:
                counts["dense"] += slot.numel
            elif names[4] == "mlp" and names[5] == "experts":
                counts["expert"] += slot.numel
            elif names[4] == "mlp":
                counts[names[5]] += slot.numel
        experts = len(sparse) * (text.n_routed_experts or 0)
        packed = sum(slot.nbytes(torch.float32) for slot in stored_slots(config) if slot.of_expert and slot.dtype)
        return cls(
            attention=counts["self_attn"],
            dense=counts["dense"],
            shared=counts["shared_experts"],
            router=counts["gate"],
            expert=counts["expert"] // experts if experts else 0,
            head=counts["head"],
            moe_layers=len(sparse),
            expert_itemsize=packed / max(counts["expert"], 1),
        )


def decode_floor(
    config: VL2Config, machine: Machine, batch: int, context: float, distinct_experts: float, itemsize: int
) -> float:
    """Seconds of one step of `batch` sequences with `context` cached tokens each, on average.

    Args:
        distinct_experts: visited in a layer, on average; measured, since routers are not uniform.
        itemsize: bytes of a weight and of a cached number.
    """
    text, parts = config.language_config, Parts.of(config)
    common = parts.attention + parts.dense + parts.shared + parts.router + parts.head
    cached = batch * context * text.num_hidden_layers * text.kv_values_per_token
    experts = parts.moe_layers * distinct_experts * parts.expert * (parts.expert_itemsize or itemsize)
    active = common + parts.moe_layers * (text.num_experts_per_tok or 0) * parts.expert
    scores = 2 * text.num_hidden_layers * text.num_attention_heads * context * _pair_width(config, absorbed=True)
    flops = batch * (2 * active + scores)
    return max(((common + cached) * itemsize + experts) / machine.bytes_per_sec, flops / machine.flops_per_sec)


def moe_floor(config: VL2Config, machine: Machine, tokens: int, distinct_experts: float, itemsize: int) -> float:
    """Seconds of one layer of experts on `tokens` tokens that visit `distinct_experts` of them."""
    parts = Parts.of(config)
    every = (parts.shared + parts.router) / parts.moe_layers
    active = every + (config.language_config.num_experts_per_tok or 0) * parts.expert
    read = (every + distinct_experts * parts.expert) * itemsize / machine.bytes_per_sec
    return max(read, 2 * tokens * active / machine.flops_per_sec)


def attention_floor(config: VL2Config, machine: Machine, batch: int, context: int, itemsize: int) -> float:
    """Seconds of one layer's attention of `batch` new tokens to `context` cached ones each."""
    text = config.language_config
    flops = 2 * batch * context * text.num_attention_heads * _pair_width(config, absorbed=True)
    read = batch * context * text.kv_values_per_token * itemsize
    return max(read / machine.bytes_per_sec, flops / machine.flops_per_sec)


def prefill_floor(config: VL2Config, machine: Machine, tokens: int, itemsize: int) -> float:
    """Seconds of one fresh prompt, with logits of its last token."""
    text, parts = config.language_config, Parts.of(config)
    experts, active = text.n_routed_experts or 0, text.num_experts_per_tok or 0
    visited = experts * (1 - (1 - active / experts) ** tokens) if experts else 0.0

    def part(weights: float, uses: float, size: float = itemsize) -> float:
        return max(weights * size / machine.bytes_per_sec, 2 * uses / machine.flops_per_sec)

    time = sum(part(weights, weights * tokens) for weights in (parts.attention, parts.dense, parts.shared))
    expert, size = parts.moe_layers * parts.expert, parts.expert_itemsize or itemsize
    time += part(visited * expert, active * expert * tokens, size)
    pairs = text.num_hidden_layers * text.num_attention_heads * tokens * tokens / 2
    return time + part(parts.head, parts.head) + 2 * pairs * _pair_width(config, absorbed=False) / machine.flops_per_sec


def vision_floor(config: VL2Config, machine: Machine, tiles: int) -> float:
    """Seconds of tower and projector on `tiles` tiles."""
    edge = config.vision_config.image_size
    one = facts(config, (edge, edge))
    return tiles * one.image_flops / one.tiles / machine.flops_per_sec


def _pair_width(config: VL2Config, *, absorbed: bool) -> int:
    """Multiplications of a query with one cached token and of its weight with that token's value, a head."""
    text = config.language_config
    if not text.use_mla:
        return 2 * text.head_dim
    assert text.kv_lora_rank is not None
    return 2 * text.kv_lora_rank + text.qk_rope_head_dim if absorbed else text.head_dim + text.v_head_dim
