"""The least time a step can take: bytes that must be read and operations that must be done, on a measured machine.

Bytes count every weight once, of the routed experts those that some token visits, and everything cached of every
sequence. Operations count a multiply and an add as two. Parts of a prompt are bound by one or the other, so each part
takes the larger.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vl2.bench.machine import Machine
from vl2.config import VL2Config
from vl2.engine.paged_cache import cached_width
from vl2.family import facts
from vl2.model.parts import divided_axis
from vl2.model.slots import Slot, slots, stored_slots


@dataclass(frozen=True)
class Parts:
    """Sizes, in weights or bytes: `expert` of one expert of one layer, the others of all layers together.

    Of several ranks that hold a model together, those of one rank.
    """

    attention: int
    dense: int
    shared: int
    router: int
    expert: int
    head: int
    moe_layers: int

    @classmethod
    def of(cls, config: VL2Config, ranks: int = 1) -> "Parts":
        """Numbers of weights."""
        return cls._sum(config, slots(config), lambda slot: slot.numel // _holders(slot, ranks))

    @classmethod
    def stored(cls, config: VL2Config, itemsize: int, ranks: int = 1) -> "Parts":
        """Bytes: `itemsize` a weight, and of what is quantised its small numbers and their scales."""

        def size(slot: Slot) -> int:
            return slot.numel * (slot.dtype.itemsize if slot.dtype else itemsize) // _holders(slot, ranks)

        return cls._sum(config, stored_slots(config), size)

    @classmethod
    def _sum(cls, config: VL2Config, table: Iterator[Slot], size: Callable[[Slot], int]) -> "Parts":
        counts: dict[str, int] = dict.fromkeys(("self_attn", "shared_experts", "gate", "expert", "dense", "head"), 0)
        text = config.language_config
        sparse = {layer for layer in range(text.num_hidden_layers) if text.is_moe_layer(layer)}
        for slot in table:
            names = slot.official.split(".")
            if names[:2] == ["language", "lm_head"]:
                counts["head"] += size(slot)
            if names[:3] != ["language", "model", "layers"]:
                continue
            if names[4] == "self_attn":
                counts["self_attn"] += size(slot)
            elif names[4] == "mlp" and int(names[3]) not in sparse:
                counts["dense"] += size(slot)
            elif names[4] == "mlp" and names[5] == "experts":
                counts["expert"] += size(slot)
            elif names[4] == "mlp":
                counts[names[5]] += size(slot)
        experts = len(sparse) * (text.n_routed_experts or 0)
        return cls(
            attention=counts["self_attn"],
            dense=counts["dense"],
            shared=counts["shared_experts"],
            router=counts["gate"],
            expert=counts["expert"] // experts if experts else 0,
            head=counts["head"],
            moe_layers=len(sparse),
        )


def _holders(slot: Slot, ranks: int) -> int:
    """Ranks that divide a tensor."""
    return 1 if ranks == 1 or divided_axis(slot) is None else ranks


def decode_floor(
    config: VL2Config, machine: Machine, batch: int, context: float, distinct_experts: float, itemsize: int,
    ranks: int = 1,
) -> float:  # fmt: skip
    """Seconds of one step of `batch` sequences with `context` cached tokens each, on average.

    Args:
        distinct_experts: visited in a layer, on average; measured, since routers are not uniform.
        itemsize: bytes of a weight that is not quantised and of a cached number.
        ranks: that hold the model together; the floor is of what one of them does, without sending anything.
    """
    text, parts, stored = config.language_config, Parts.of(config, ranks), Parts.stored(config, itemsize, ranks)
    common = parts.attention + parts.dense + parts.shared + parts.router + parts.head
    read = stored.attention + stored.dense + stored.shared + stored.router + stored.head
    read += stored.moe_layers * distinct_experts * stored.expert
    read += batch * context * text.num_hidden_layers * cached_width(text, ranks) * itemsize
    active = common + parts.moe_layers * (text.num_experts_per_tok or 0) * parts.expert
    heads = text.num_hidden_layers * text.num_attention_heads // ranks
    scores = 2 * heads * context * pair_width(config, absorbed=True)
    flops = batch * (2 * active + scores)
    return max(read / machine.bytes_per_sec, flops / machine.flops_per_sec)


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
    flops = 2 * batch * context * text.num_attention_heads * pair_width(config, absorbed=True)
    read = batch * context * text.kv_values_per_token * itemsize
    return max(read / machine.bytes_per_sec, flops / machine.flops_per_sec)


def prefill_floor(config: VL2Config, machine: Machine, tokens: int, itemsize: int, ranks: int = 1) -> float:
    """Seconds of one fresh prompt, with logits of its last token; `ranks` as for `decode_floor`."""
    text, parts, stored = config.language_config, Parts.of(config, ranks), Parts.stored(config, itemsize, ranks)
    experts, active = text.n_routed_experts or 0, text.num_experts_per_tok or 0
    visited = experts * (1 - (1 - active / experts) ** tokens) if experts else 0.0

    def part(num_bytes: float, uses: float) -> float:
        return max(num_bytes / machine.bytes_per_sec, 2 * uses / machine.flops_per_sec)

    time = part(stored.attention, parts.attention * tokens)
    time += part(stored.dense, parts.dense * tokens) + part(stored.shared, parts.shared * tokens)
    time += part(parts.moe_layers * visited * stored.expert, parts.moe_layers * active * parts.expert * tokens)
    pairs = text.num_hidden_layers * text.num_attention_heads // ranks * tokens * tokens / 2
    return time + part(stored.head, parts.head) + 2 * pairs * pair_width(config, absorbed=False) / machine.flops_per_sec


def vision_floor(config: VL2Config, machine: Machine, tiles: int) -> float:
    """Seconds of tower and projector on `tiles` tiles."""
    edge = config.vision_config.image_size
    one = facts(config, (edge, edge))
    return tiles * one.image_flops / one.tiles / machine.flops_per_sec


def pair_width(config: VL2Config, *, absorbed: bool) -> int:
    """Multiplications of a query with one cached token and of its weight with that token's value, a head."""
    text = config.language_config
    if not text.use_mla:
        return 2 * text.head_dim
    assert text.kv_lora_rank is not None
    return 2 * text.kv_lora_rank + text.qk_rope_head_dim if absorbed else text.head_dim + text.v_head_dim
