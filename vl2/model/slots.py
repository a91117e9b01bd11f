"""The table of stored tensors: official names on one side, our parameters on the other.

    slots(config) -> Slot(official name, our parameter, where in it, shape), one for every published tensor
    stored_slots(config) -> the same with quantised matrices, each of them as NAME.weight and NAME.weight_scale

The trap: experts are stacked here (gate_up, down) and separate there; only this table knows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from vl2.config import LanguageConfig, QuantizationConfig, VisionConfig, VL2Config
from vl2.kernels.quantized import group_of

# Linear layers of the language model that int8 quantises. The router decides too much, and kv_b_proj is read as views.
PROJECTIONS = frozenset(
    (
        "q_proj", "k_proj", "v_proj", "o_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "gate_proj", "up_proj",
        "down_proj", "lm_head",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Slot:
    """One stored tensor: `parameter[where]` of ours has `shape` and is called `official` in checkpoints.

    dtype: what it is always stored as; None for numbers that take the model's dtype.
    """

    official: str
    parameter: str
    shape: tuple[int, ...]
    where: tuple[int | slice, ...] = ()
    dtype: torch.dtype | None = None

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def of_expert(self) -> bool:
        """Whether it belongs to a routed expert."""
        return bool(self.where)

    def is_quantized(self, quantization: QuantizationConfig) -> bool:
        """Whether such a model keeps it as values and scales."""
        *_, module, kind = f".{self.official}".split(".")
        linear = self.parameter.startswith("language.") and kind == "weight" and module in PROJECTIONS
        return self.of_expert or (quantization.linears and linear)

    def nbytes(self, dtype: torch.dtype) -> int:
        """Bytes in a model of `dtype`."""
        return self.numel * (self.dtype or dtype).itemsize


def slots(config: VL2Config) -> Iterator[Slot]:
    """The two-way table of the official layout, in checkpoint order."""
    yield from _vision_slots(config.vision_config)
    yield from _projector_slots(config)
    hidden = config.language_config.hidden_size
    yield Slot("image_newline", "image_newline", (hidden,))
    yield Slot("view_seperator", "view_seperator", (hidden,))
    yield from _language_slots(config.language_config)


def stored_slots(config: VL2Config) -> Iterator[Slot]:
    """The table of what a checkpoint with this configuration holds: as `slots` unless matrices are quantised."""
    quantization = config.quantization_config
    for slot in slots(config):
        if quantization and slot.is_quantized(quantization):
            yield from quantized_slots(slot, quantization)
        else:
            yield slot


def quantized_slots(slot: Slot, quantization: QuantizationConfig) -> tuple[Slot, Slot]:
    """Values and scales of a matrix."""
    rows, width = slot.shape
    values, scales, kinds = slot.shape, (rows,), (torch.float8_e4m3fn, torch.float32)
    if quantization.experts == "int8":
        kinds = (torch.int8, torch.bfloat16)
    if quantization.group_size:
        values, kinds = (rows, width // 2), (torch.uint8, torch.bfloat16)
        scales = (rows, width // group_of(width, quantization.group_size))
    return (
        Slot(slot.official, f"{slot.parameter}_values", values, slot.where, kinds[0]),
        Slot(f"{slot.official}_scale", f"{slot.parameter}_scales", scales, slot.where, kinds[1]),
    )


def _same(prefix: str, shapes: dict[str, tuple[int, ...]], ours: str | None = None) -> Iterator[Slot]:
    for name, shape in shapes.items():
        yield Slot(f"{prefix}{name}", f"{prefix if ours is None else ours}{name}", shape)


def _affine(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _vision_slots(config: VisionConfig) -> Iterator[Slot]:
    width, mlp, patch = config.width, config.mlp_width, config.patch_size
    yield Slot("vision.pos_embed", "vision.pos_embed", (1, config.grid_side**2, width))
    embed = {"patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,)}
    yield from _same("vision.", embed)
    feed = _affine("mlp.fc1", mlp, width) | _affine("mlp.fc2", width, mlp)
    attention = _affine("attn.qkv", 3 * width, width) | _affine("attn.proj", width, width)
    for block in range(config.layers):
        yield from _same(f"vision.blocks.{block}.", _norm("norm1", width) | attention | _norm("norm2", width) | feed)
    yield from _same("vision.", _norm("norm", width))
    pool = _affine("q", width, width) | _affine("kv", 2 * width, width) | _affine("proj", width, width)
    yield from _same("vision.attn_pool.", {"latent": (1, 1, width)} | pool | _norm("norm", width) | feed)


def _projector_slots(config: VL2Config) -> Iterator[Slot]:
    projector = config.projector_config
    width, into = projector.n_embed * projector.mlp_ratio, projector.input_dim * projector.downsample_ratio**2
    for layer in range(projector.depth):  # odd positions of the published Sequential are activations
        out = projector.n_embed if layer == projector.depth - 1 else width
        yield from _same("projector.", _affine(f"layers.{2 * layer}", out, into))
        into = width


def _language_slots(config: LanguageConfig) -> Iterator[Slot]:
    hidden, vocab = config.hidden_size, config.vocab_size
    embed = ("language.model.embed_tokens.weight", "language.embed_tokens.weight")
    yield Slot(*embed, (vocab, hidden))
    for layer in range(config.num_hidden_layers):
        theirs, ours = f"language.model.layers.{layer}.", f"language.layers.{layer}."
        norms = {"input_layernorm.weight": (hidden,), "post_attention_layernorm.weight": (hidden,)}
        yield from _same(theirs, norms, ours)
        yield from _same(theirs + "self_attn.", _attention_shapes(config), ours + "self_attn.")
        theirs, ours = theirs + "mlp.", ours + "mlp."
        if config.is_moe_layer(layer):
            yield from _expert_slots(config, theirs, ours)
        else:
            yield from _same(theirs, _swiglu(hidden, config.intermediate_size), ours)
    yield Slot("language.model.norm.weight", "language.norm.weight", (hidden,))
    yield Slot("language.lm_head.weight", "language.lm_head.weight", (vocab, hidden))


def _attention_shapes(config: LanguageConfig) -> dict[str, tuple[int, ...]]:
    hidden, heads, head = config.hidden_size, config.num_attention_heads, config.head_dim

    def linear(name: str, out: int, into: int, bias: bool = config.attention_bias) -> dict[str, tuple[int, ...]]:
        return _affine(name, out, into) if bias else {f"{name}.weight": (out, into)}

    if not config.use_mla:
        kv = config.num_key_value_heads * head
        queries = linear("q_proj", heads * head, hidden)
        return (
            queries
            | linear("k_proj", kv, hidden)
            | linear("v_proj", kv, hidden)
            | linear("o_proj", hidden, heads * head)
        )
    assert config.kv_lora_rank is not None
    rank, latent, value = config.q_lora_rank, config.kv_lora_rank, config.v_head_dim
    if rank is None:
        queries = linear("q_proj", heads * head, hidden, False)
    else:
        queries = linear("q_a_proj", rank, hidden) | {"q_a_layernorm.weight": (rank,)}
        queries |= linear("q_b_proj", heads * head, rank, False)
    keys = linear("kv_a_proj_with_mqa", latent + config.qk_rope_head_dim, hidden) | {"kv_a_layernorm.weight": (latent,)}
    keys |= linear("kv_b_proj", heads * (config.qk_nope_head_dim + value), latent, False)
    return queries | keys | linear("o_proj", hidden, heads * value)


def _swiglu(hidden: int, width: int) -> dict[str, tuple[int, ...]]:
    wide = (width, hidden)
    return {"gate_proj.weight": wide, "up_proj.weight": wide, "down_proj.weight": (hidden, width)}


def _expert_slots(config: LanguageConfig, theirs: str, ours: str) -> Iterator[Slot]:
    assert config.n_routed_experts
    hidden, width = config.hidden_size, config.moe_intermediate_size
    yield Slot(theirs + "gate.weight", ours + "router.weight", (config.n_routed_experts, hidden))
    if config.topk_method == "noaux_tc":
        yield Slot(theirs + "gate.e_score_correction_bias", ours + "router.bias", (config.n_routed_experts,))
    for e in range(config.n_routed_experts):
        expert, wide = f"{theirs}experts.{e}.", (width, hidden)
        yield Slot(expert + "gate_proj.weight", ours + "experts.gate_up", wide, (e, slice(0, width)))
        yield Slot(expert + "up_proj.weight", ours + "experts.gate_up", wide, (e, slice(width, 2 * width)))
        yield Slot(expert + "down_proj.weight", ours + "experts.down", (hidden, width), (e,))
    if config.n_shared_experts is not None:
        shared = _swiglu(hidden, width * config.n_shared_experts)
        yield from _same(theirs + "shared_experts.", shared, ours + "shared_experts.")
