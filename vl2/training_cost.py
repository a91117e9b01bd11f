"""What training a member of the family takes, in bytes and operations (`vl2 info --train`).

    slots(config) --counts--> weights, gradients, moments of the optimizer
    one layer of each kind at its real width, on a few tokens --what autograd keeps--> bytes a token, bytes a tile

What a layer keeps for its backward pass is not guessed: layers run on the CPU under autocast, and what autograd
asks to save is counted for two lengths. The difference is what grows with tokens; the rest is weights cast to bfloat16.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from vl2.config import LanguageConfig, VisionConfig, VL2Config
from vl2.family import facts
from vl2.model.cache import PackedSequences
from vl2.model.decoder import Decoder
from vl2.model.slots import slots
from vl2.model.vision import VisionTower

PACK_TOKENS = 4096
PACK_TILES = 10  # an image of nine tiles and its global view
LORA_RANK = 16
GIB = 2**30


@dataclass(frozen=True)
class TrainingCost:
    """One way to train a model on packs of PACK_TOKENS tokens with PACK_TILES tiles, in bytes, on one device.

    method: "AdamW", "AdamW, moments int8", the same with precision "all_bfloat16", or "LoRA".
    weights: float32, and bfloat16 copies of them that products read: of one layer's experts at a time, and of all else.
        Of LoRA the frozen ones, in bfloat16, the adapter, and one layer's experts with it added and their gradient.
    activations: what layers keep; recomputed: if they keep their inputs only and repeat the rest.
    memory: everything, with recomputed activations.
    flops: of a million tokens, forward and backward, without repetition.
    seconds: of a million tokens, at the given speed.
    """

    method: str
    learned: int
    weights: int
    gradients: int
    moments: int
    activations: int
    recomputed: int
    memory: int
    flops: int
    seconds: float

    def to_dict(self) -> dict[str, str | int | float]:
        return asdict(self)


def training_costs(config: VL2Config, tflops: float) -> list[TrainingCost]:
    """All methods. tflops: 10^12 operations a second that the device reaches in training."""
    total = sum(slot.numel for slot in slots(config))
    unused = sum(slot.numel for slot in slots(config) if slot.official.startswith("vision.attn_pool."))
    adapter, language_flops, tower_flops = lora_parameters(config, LORA_RANK), *_forward_flops(config)
    kept, repeated = activation_bytes(config)
    experts = sum(slot.numel for slot in slots(config) if slot.of_expert)
    layers = config.language_config.num_hidden_layers
    layer_experts = experts // sum(config.language_config.is_moe_layer(layer) for layer in range(layers))
    trained, scales = total - unused, 2 * 4 * (total - unused) // 256
    full = 4 * total + 2 * (total - experts + layer_experts)
    all_flops = 3 * (language_flops + tower_flops)
    lora_flops = 2 * language_flops + tower_flops  # frozen weights need no gradients, a frozen tower none at all
    rows = [
        ("AdamW", trained, full, 4 * trained, 8 * trained, all_flops),
        ("AdamW, moments int8", trained, full, 4 * trained, 2 * trained + scales, all_flops),
        ("all_bfloat16, moments int8", trained, 2 * total, 2 * trained, 2 * trained + scales, all_flops),
        ("LoRA", adapter, 2 * total + 4 * adapter + 4 * layer_experts, 4 * adapter, 8 * adapter, lora_flops),
    ]
    return [
        TrainingCost(method, learned, weights, gradients, moments, kept, repeated,
                     weights + gradients + moments + repeated, flops, flops / (tflops * 1e12))
        for method, learned, weights, gradients, moments, flops in rows
    ]  # fmt: skip


def lora_parameters(config: VL2Config, rank: int) -> int:
    """Of an adapter on attention, dense layers and all experts."""
    count, seen = 0, set[str]()
    for slot in slots(config):
        name, _, end = slot.official.rpartition(".")
        inside = slot.official.startswith("language.model.layers.") and end == "weight" and len(slot.shape) == 2
        if not inside or name.endswith(".gate"):
            continue
        rows, width = slot.shape
        if slot.of_expert and name.endswith(("gate_proj", "up_proj")):  # one matrix of both, in our layout
            half = name.replace("up_proj", "gate_proj")
            count += 0 if half in seen else rank * (2 * rows + width)
            seen.add(half)
        else:
            count += rank * (rows + width)
    return count


def _forward_flops(config: VL2Config) -> tuple[int, int]:
    """Of a million tokens in packs: language model, and tower with projector."""
    known, text, packs = facts(config, (384, 384)), config.language_config, 10**6 / PACK_TOKENS
    width = text.num_attention_heads * (text.head_dim + (text.v_head_dim if text.use_mla else text.head_dim))
    products = (
        2 * known.activated_params_language * 10**6
    )  # counts one of embedding and head: the head, which is multiplied
    attention = text.num_hidden_layers * width * PACK_TOKENS**2 * packs
    return int(products + attention), int(known.image_flops / known.tiles * PACK_TILES * packs)


def activation_bytes(config: VL2Config) -> tuple[int, int]:
    """Of a pack: what all layers keep, and what is held if layers keep their inputs only and repeat the rest."""
    text, vision = config.language_config, config.vision_config
    dense, sparse, tower = _kept_by_layer(config)
    num_dense = sum(not text.is_moe_layer(layer) for layer in range(text.num_hidden_layers))
    num_sparse = text.num_hidden_layers - num_dense
    kept = PACK_TOKENS * (num_dense * dense + num_sparse * sparse) + PACK_TILES * vision.layers * tower
    stream, patches = (4 + 2) * text.hidden_size, (4 + 2) * vision.width * vision.grid_side**2  # the stream and a sum
    inputs = PACK_TOKENS * text.num_hidden_layers * stream + PACK_TILES * vision.layers * patches
    return kept, inputs + max(PACK_TOKENS * dense, PACK_TOKENS * sparse, PACK_TILES * tower)


@lru_cache(maxsize=8)
def _kept_by_layer(config: VL2Config) -> tuple[int, int, int]:
    """Bytes a token of a dense and of a sparse layer, and bytes a tile of a block of the tower."""
    active = config.language_config.num_experts_per_tok
    few = {"vocab_size": 8, "n_routed_experts": active, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}
    one, two = (replace(config.language_config, **few, num_hidden_layers=layers) for layers in (1, 2))
    dense, both = (_slope(partial(_run_decoder, text), 8) for text in (one, two))
    vision, side = config.vision_config, 4  # patches along the edge of a small tile: what is kept grows with patches
    small = [replace(vision, layers=layers, image_size=side * vision.patch_size) for layers in (1, 2)]
    short, long = (_slope(partial(_run_tower, tower), 1) for tower in small)
    return dense, both - dense, (long - short) * vision.grid_side**2 // side**2


def _slope(kept: Callable[[int], int], count: int) -> int:
    """Bytes that one more token or tile adds."""
    return (kept(2 * count) - kept(count)) // count


def _run_decoder(text: LanguageConfig, tokens: int) -> int:
    with torch.device("meta"):
        decoder = Decoder(text)
    decoder.to_empty(device="cpu")  # values do not matter
    x_TD = torch.zeros(tokens, text.hidden_size, requires_grad=True)
    packed = PackedSequences.of_lengths([tokens], "cpu")
    return _saved(lambda: decoder(x_TD, torch.arange(tokens), packed)[0])


def _run_tower(vision: VisionConfig, tiles: int) -> int:
    with torch.device("meta"):
        tower = VisionTower(vision)
    tower.to_empty(device="cpu")
    return _saved(lambda: tower(torch.zeros(tiles, 3, vision.image_size, vision.image_size)))


def _saved(forward: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps, each storage once."""
    storages: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        forward()
    return sum(tensor.untyped_storage().nbytes() for tensor in storages.values())


def to_markdown(costs: dict[str, list[TrainingCost]], tflops: float) -> str:
    """A table of several models, memory in GiB."""
    head = ["model", "method", "learned", "weights", "gradients", "moments", "activations, kept", "repeated", "memory"]
    lines = [[*head, f"1M tokens at {tflops:g} TFLOP/s"], ["---", "---", *["---:"] * 8]]
    for model, rows in costs.items():
        for row in rows:
            sizes = (row.weights, row.gradients, row.moments, row.activations, row.recomputed, row.memory)
            gib = (f"{size / GIB:.2f}" if size < 10 * GIB else f"{size / GIB:.1f}" for size in sizes)
            lines.append([model, row.method, f"{row.learned:,}", *gib, f"{row.seconds:,.1f} s"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
