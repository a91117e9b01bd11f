"""Facts of a model derived from its configuration alone: parameters, bytes, cache, image tokens, operations."""

from dataclasses import dataclass

from vl2.config import VL2Config
from vl2.layout import image_token_count
from vl2.model.slots import slots
from vl2.processing.tiling import choose_views

BF16_BYTES = 2


@dataclass(frozen=True)
class Facts:
    """What `vl2 info` prints. Bytes are for bfloat16; operations count a multiply and an add as two."""

    total_params: int
    activated_params_language: int
    activated_params: int
    weight_bytes: int
    kv_bytes_per_token: int
    image_size: tuple[int, int]
    canvas: tuple[int, int]
    tiles: int
    image_tokens: int
    image_flops: int
    prefill_flops: int
    memory_bytes_bf16: int


def facts(config: VL2Config, image_size: tuple[int, int]) -> Facts:
    """Derive the facts for one image of (width, height) pixels."""
    total, language, vision = _count(config)
    pool = sum(slot.numel for slot in slots(config) if slot.official.startswith("vision.attn_pool."))
    width, height = image_size
    edge = config.vision_config.image_size
    canvas, grid = choose_views(width, height, config.candidate_resolutions, tile_size=edge)
    tokens = image_token_count(grid, config.tile_side)
    text = config.language_config
    kv_bytes = text.kv_values_per_token * text.num_hidden_layers * BF16_BYTES
    image_flops = grid.num_tiles * _tile_flops(config, vision - pool)
    heads_width = text.num_attention_heads * (text.head_dim + (text.v_head_dim if text.use_mla else text.head_dim))
    attention = text.num_hidden_layers * heads_width * tokens * tokens  # causal: half of 2 * T * T per width
    embedding = text.vocab_size * text.hidden_size
    prefill_flops = 2 * (language - embedding) * tokens + attention
    return Facts(
        total_params=total,
        activated_params_language=language,
        activated_params=language + vision + _projector(config),
        weight_bytes=total * BF16_BYTES,
        kv_bytes_per_token=kv_bytes,
        image_size=image_size,
        canvas=canvas,
        tiles=grid.num_tiles,
        image_tokens=tokens,
        image_flops=image_flops,
        prefill_flops=prefill_flops,
        memory_bytes_bf16=total * BF16_BYTES + text.max_position_embeddings * kv_bytes,
    )


def _count(config: VL2Config) -> tuple[int, int, int]:
    """Stored parameters; activated ones of the language model (one of embedding and head, top-k of the routed
    experts); the tower as stored, as the published figures count it."""
    text = config.language_config
    total = language = vision = 0
    for slot in slots(config):
        total += slot.numel
        if slot.official.startswith("vision."):
            vision += slot.numel
        elif slot.official.startswith("language.") and slot.official != "language.lm_head.weight":
            expert = slot.where[0] if slot.where else 0
            if isinstance(expert, int) and expert < (text.num_experts_per_tok or 1):
                language += slot.numel
    return total, language, vision


def _projector(config: VL2Config) -> int:
    return sum(slot.numel for slot in slots(config) if slot.official.startswith("projector."))


def _tile_flops(config: VL2Config, vision_params: int) -> int:
    """Tower and projector on one tile; position embeddings are added, not multiplied."""
    vision = config.vision_config
    patches = vision.grid_side**2
    matrices = vision_params - patches * vision.width
    attention = vision.layers * 4 * patches * patches * vision.width
    return 2 * matrices * patches + attention + 2 * _projector(config) * config.tile_side**2
