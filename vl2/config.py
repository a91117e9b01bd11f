"""Configuration of the family: frozen dataclasses whose fields keep the published config.json names.

    config.json --VL2Config.from_dict--> VL2Config(vision, projector, language) --to_dict--> config.json

Field defaults are those of the published configuration classes, so an absent key means here what it means there.
Derived values are properties and are never written back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vl2.section import ConfigError, Section, require

# (columns, rows) of tiles, all with columns * rows <= 9; the order decides ties (SPEC A4).
_CANVASES = (
    (1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (4, 1), (2, 2), (1, 5), (5, 1), (1, 6), (6, 1),
    (2, 3), (3, 2), (1, 7), (7, 1), (1, 8), (8, 1), (2, 4), (4, 2), (1, 9), (9, 1), (3, 3),
)  # fmt: skip
QUANTIZED = ("fp8", "int4", "int8")
CANDIDATE_RESOLUTIONS: tuple[tuple[int, int], ...] = tuple((384 * m, 384 * n) for m, n in _CANVASES)


@dataclass(frozen=True)
class VisionConfig(Section):
    """SigLIP tower (SPEC A2). `width` and the tower's hidden size are the same thing."""

    model_name: str = "siglip_so400m_patch14_384"
    image_size: int = 384
    patch_size: int = 16
    width: int = 1024
    layers: int = 24
    heads: int = 16
    mlp_ratio: float = 4.0
    global_pool: str = "map"
    ignore_head: bool = True

    def __post_init__(self) -> None:
        for key in ("image_size", "patch_size", "width", "layers", "heads"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        require(self.width % self.heads == 0, "width", self.width, f"must divide by heads = {self.heads}")
        require(self.patch_size <= self.image_size, "patch_size", self.patch_size, "larger than image_size")
        require(self.mlp_ratio * self.width >= 1, "mlp_ratio", self.mlp_ratio, "must be positive")
        require(self.global_pool == "map", "global_pool", self.global_pool, 'only "map" (a stored, unused pool head)')
        require(self.ignore_head, "ignore_head", self.ignore_head, "only true: image tokens come from patches")

    @property
    def grid_side(self) -> int:
        """Patches along a tile's edge; the remainder of image_size / patch_size pixels is never seen."""
        return self.image_size // self.patch_size

    @property
    def mlp_width(self) -> int:
        return int(self.width * self.mlp_ratio)


@dataclass(frozen=True)
class ProjectorConfig(Section):
    """2x2 merge and MLP from the tower to the language model (SPEC A3)."""

    projector_type: str = "downsample_mlp_gelu"
    input_dim: int = 1152
    n_embed: int = 2048
    depth: int = 2
    mlp_ratio: int = 1
    downsample_ratio: int = 2
    token_pooling: bool = False

    def __post_init__(self) -> None:
        kind = self.projector_type
        require(
            kind == "downsample_mlp_gelu", "projector_type", kind, 'only "downsample_mlp_gelu" exists in this family'
        )
        require(not self.token_pooling, "token_pooling", self.token_pooling, "not used by this family")
        require(self.depth >= 2, "depth", self.depth, "must be at least 2")
        for key in ("input_dim", "n_embed", "mlp_ratio", "downsample_ratio"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")


@dataclass(frozen=True)
class RopeScaling(Section):
    """Long-context scaling of the rotary embedding: linear or YaRN."""

    type: str
    factor: float
    original_max_position_embeddings: int = 4096
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 1.0
    mscale_all_dim: float = 0.0

    def __post_init__(self) -> None:
        require(self.type in ("linear", "yarn"), "type", self.type, 'only "linear" and "yarn" are implemented')
        for key in ("factor", "original_max_position_embeddings", "beta_fast", "beta_slow"):
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")


@dataclass(frozen=True)
class LanguageConfig(Section):
    """DeepSeekMoE language model (SPEC A1)."""

    vocab_size: int = 102400
    hidden_size: int = 4096
    intermediate_size: int = 11008
    moe_intermediate_size: int = 1407
    num_hidden_layers: int = 30
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    use_mla: bool = True
    q_lora_rank: int | None = 1536
    kv_lora_rank: int | None = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    n_routed_experts: int | None = None
    n_shared_experts: int | None = None
    num_experts_per_tok: int | None = None
    first_k_dense_replace: int = 0
    moe_layer_freq: int = 1
    topk_method: str = "greedy"
    scoring_func: str = "softmax"
    n_group: int | None = None
    topk_group: int | None = None
    norm_topk_prob: bool = False
    routed_scaling_factor: float = 1.0
    aux_loss_alpha: float = 0.001
    seq_aux: bool = True
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    rms_norm_eps: float = 1e-6
    attention_bias: bool = False
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    tie_word_embeddings: bool = False
    bos_token_id: int = 100000
    eos_token_id: int = 100001
    pad_token_id: int | None = None

    def __post_init__(self) -> None:
        for key in (
            "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
            "moe_layer_freq", "max_position_embeddings", "intermediate_size", "rope_theta", "rms_norm_eps",
        ):  # fmt: skip
            require(getattr(self, key) > 0, key, getattr(self, key), "must be positive")
        require(
            self.first_k_dense_replace >= 0, "first_k_dense_replace", self.first_k_dense_replace, "must be 0 or more"
        )
        require(self.hidden_act == "silu", "hidden_act", self.hidden_act, 'only "silu"')
        require(self.attention_dropout == 0, "attention_dropout", self.attention_dropout, "only 0: the family has none")
        require(not self.tie_word_embeddings, "tie_word_embeddings", True, "only false: lm_head is stored separately")
        self._check_attention()
        if self.n_routed_experts is not None:
            self._check_experts(self.n_routed_experts)

    def _check_attention(self) -> None:
        heads, kv_heads = self.num_attention_heads, self.num_key_value_heads
        if self.use_mla:
            latent = self.kv_lora_rank
            require(latent is not None and latent > 0, "kv_lora_rank", latent, "must be positive when use_mla is true")
            for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"):
                require(getattr(self, key) > 0, key, getattr(self, key), "must be positive when use_mla is true")
            require(self.qk_rope_head_dim % 2 == 0, "qk_rope_head_dim", self.qk_rope_head_dim, "must be even")
            rank = self.q_lora_rank
            require(rank is None or rank > 0, "q_lora_rank", rank, "must be positive (or null for full-rank queries)")
        else:
            require(self.hidden_size % heads == 0, "hidden_size", self.hidden_size, f"must divide by {heads} heads")
            require(self.head_dim % 2 == 0, "hidden_size", self.hidden_size, "hidden_size / heads must be even")
            require(heads % kv_heads == 0, "num_key_value_heads", kv_heads, f"must divide {heads} attention heads")
            kind = self.rope_scaling.type if self.rope_scaling else None
            require(kind in (None, "linear"), "rope_scaling.type", kind, "only linear when use_mla is false")

    def _check_experts(self, experts: int) -> None:
        active, method, scoring = self.num_experts_per_tok, self.topk_method, self.scoring_func
        width, shared = self.moe_intermediate_size, self.n_shared_experts
        require(width > 0, "moe_intermediate_size", width, "must be positive")
        require(shared is None or shared > 0, "n_shared_experts", shared, "must be positive (or null for none)")
        require(experts > 0, "n_routed_experts", experts, "must be positive (or null for a dense model)")
        require(active is not None and 0 < active <= experts, "num_experts_per_tok", active, f"must be 1..{experts}")
        methods = ("greedy", "group_limited_greedy", "noaux_tc")
        require(method in methods, "topk_method", method, f"must be one of {', '.join(methods)}")
        require(scoring in ("softmax", "sigmoid"), "scoring_func", scoring, "must be softmax or sigmoid")
        if method != "greedy":
            groups, kept = self.n_group, self.topk_group
            require(groups is not None and groups > 0, "n_group", groups, f"must be positive for {method}")
            assert groups is not None
            require(experts % groups == 0, "n_group", groups, f"must divide n_routed_experts = {experts}")
            require(kept is not None and 0 < kept <= groups, "topk_group", kept, f"must be 1..n_group = {groups}")
            assert kept is not None
            assert active is not None
            per_group = experts // groups
            rule = f"must be at most {kept * per_group}, the experts in topk_group = {kept} groups"
            require(active <= kept * per_group, "num_experts_per_tok", active, rule)
            require(method != "noaux_tc" or per_group >= 2, "n_group", groups, "noaux_tc needs two experts in a group")

    def is_moe_layer(self, index: int) -> bool:
        """Whether decoder layer `index` routes its tokens to experts."""
        late = index >= self.first_k_dense_replace
        return self.n_routed_experts is not None and late and index % self.moe_layer_freq == 0

    @property
    def head_dim(self) -> int:
        """Width of one query/key head: all of it rotated for MHA, nope + rope for MLA."""
        if self.use_mla:
            return self.qk_nope_head_dim + self.qk_rope_head_dim
        return self.hidden_size // self.num_attention_heads

    @property
    def kv_values_per_token(self) -> int:
        """Numbers cached for one token in one layer."""
        if self.use_mla:
            assert self.kv_lora_rank is not None
            return self.kv_lora_rank + self.qk_rope_head_dim
        return 2 * self.num_key_value_heads * self.head_dim


@dataclass(frozen=True)
class QuantizationConfig(Section):
    """How routed experts are stored: "fp8", "int8", or "int4" with a scale for group_size columns or fewer.

    With "int8", linear layers of the language model are, too.
    """

    quant_method: str = "vl2"
    experts: str = "int4"
    group_size: int | None = None

    def __post_init__(self) -> None:
        require(self.quant_method == "vl2", "quant_method", self.quant_method, 'only "vl2", what `vl2 quantize` writes')
        require(self.experts in QUANTIZED, "experts", self.experts, f"must be {one_of(QUANTIZED)}")
        sizes = (128, 64, 32) if self.experts == "int4" else (None,)
        require(self.group_size in sizes, "group_size", self.group_size, f"must be one of {sizes} for {self.experts}")

    @property
    def linears(self) -> bool:
        """Whether linear layers are quantised as experts are."""
        return self.experts == "int8"


def one_of(names: Sequence[str]) -> str:
    """a, b or c."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


@dataclass(frozen=True)
class VL2Config(Section):
    """A whole model: tower, projector, language model and the canvases images are fitted to."""

    vision_config: VisionConfig
    projector_config: ProjectorConfig
    language_config: LanguageConfig
    tile_tag: str = "2D"
    global_view_pos: str = "head"
    candidate_resolutions: tuple[tuple[int, int], ...] = CANDIDATE_RESOLUTIONS
    quantization_config: QuantizationConfig | None = None

    def __post_init__(self) -> None:
        vision, projector, language = self.vision_config, self.projector_config, self.language_config
        require(self.tile_tag == "2D", "tile_tag", self.tile_tag, 'only "2D", as every published model')
        require(self.global_view_pos == "head", "global_view_pos", self.global_view_pos, 'only "head", as published')
        n_embed, hidden = projector.n_embed, language.hidden_size
        require(n_embed == hidden, "projector_config.n_embed", n_embed, f"must equal language hidden_size = {hidden}")
        rule = f"must equal vision_config.width = {vision.width}"
        require(projector.input_dim == vision.width, "projector_config.input_dim", projector.input_dim, rule)
        require(bool(self.candidate_resolutions), "candidate_resolutions", self.candidate_resolutions, "is empty")
        for pair in self.candidate_resolutions:
            fits = all(side > 0 and side % vision.image_size == 0 for side in pair)
            require(fits, "candidate_resolutions", pair, f"both sides must be multiples of {vision.image_size}")
        if self.quantization_config:
            self._check_quantization(self.quantization_config)

    def _check_quantization(self, quantization: QuantizationConfig) -> None:
        text, linears = self.language_config, quantization.linears
        experts = bool(text.n_routed_experts)
        require(experts or linears, "n_routed_experts", None, "no experts that could be quantised; int8 needs none")
        if quantization.group_size:
            for key in ("hidden_size", "moe_intermediate_size"):
                require(getattr(text, key) % 32 == 0, key, getattr(text, key), "int4 needs multiples of 32; use fp8")
        if linears:  # what reads them takes 16 columns at a time
            keys = ["hidden_size", "intermediate_size", *(["moe_intermediate_size"] if experts else [])]
            keys += ["q_lora_rank"] if text.use_mla and text.q_lora_rank else []
            for key in keys:
                require(getattr(text, key) % 16 == 0, key, getattr(text, key), "int8 needs multiples of 16; use fp8")
            if text.use_mla:
                rule = f"times {text.num_attention_heads} heads must be a multiple of 16 for int8; use fp8"
                require(text.v_head_dim * text.num_attention_heads % 16 == 0, "v_head_dim", text.v_head_dim, rule)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "") -> Self:
        _refuse_deepseek_ocr(values)
        kind = values.get("model_type")
        require(kind == "deepseek_vl_v2", "model_type", kind, 'expected "deepseek_vl_v2"')
        return super().from_dict(values, where)

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"model_type": "deepseek_vl_v2", **super().to_dict()}
        out["vision_config"]["model_type"] = "vision"
        out["projector_config"]["model_type"] = "mlp_projector"
        out["language_config"]["model_type"] = "deepseek_v2"
        if self.quantization_config is None:
            del out["quantization_config"]  # published files have no such key
        return out

    @property
    def tile_side(self) -> int:
        """Tile tokens along a tile's edge, after padding the patch grid to a multiple of downsample_ratio."""
        return -(-self.vision_config.grid_side // self.projector_config.downsample_ratio)


def _refuse_deepseek_ocr(values: Mapping[str, Any]) -> None:
    """DeepSeek-OCR shares `model_type` but has another tower; loading it as VL2 would give garbage."""
    vision = values.get("vision_config") or {}
    projector = values.get("projector_config") or {}
    tower = str(vision.get("model_name", "")) if isinstance(vision, Mapping) else ""
    nested = isinstance(vision, Mapping) and isinstance(vision.get("width"), Mapping)
    linear = isinstance(projector, Mapping) and projector.get("projector_type") == "linear"
    named = "OCR" in str(values.get("architectures"))
    if tower.startswith("deeplip") or nested or linear or named:
        raise ConfigError(
            "this is a DeepSeek-OCR checkpoint: it shares model_type = 'deepseek_vl_v2' with DeepSeek-VL2 but has a "
            "different vision encoder, which vl2 does not implement; use a DeepSeek-VL2 checkpoint"
        )


def read_config(path: Path) -> VL2Config:
    """Read a published config.json."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object, got {type(values).__name__}")
    try:
        return VL2Config.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _family(hidden: int, **language: Any) -> VL2Config:
    return VL2Config(
        vision_config=VisionConfig(patch_size=14, width=1152, layers=27, mlp_ratio=3.7362),
        projector_config=ProjectorConfig(n_embed=hidden),
        language_config=LanguageConfig(
            hidden_size=hidden,
            q_lora_rank=None,
            n_shared_experts=2,
            num_experts_per_tok=6,
            first_k_dense_replace=1,
            n_group=1,
            topk_group=1,
            max_position_embeddings=4096,
            **language,
        ),
    )


TINY = _family(
    1280, vocab_size=129280, intermediate_size=6848, moe_intermediate_size=896, num_hidden_layers=12,
    num_attention_heads=10, num_key_value_heads=10, use_mla=False, kv_lora_rank=None, qk_nope_head_dim=0,
    qk_rope_head_dim=0, v_head_dim=0, n_routed_experts=64, bos_token_id=0, eos_token_id=1,
)  # fmt: skip

SMALL = _family(
    2048, vocab_size=102400, intermediate_size=10944, moe_intermediate_size=1408, num_hidden_layers=27,
    num_attention_heads=16, num_key_value_heads=16, n_routed_experts=64,
)  # fmt: skip

BASE = _family(
    2560, vocab_size=129280, intermediate_size=12288, moe_intermediate_size=1536, n_routed_experts=72,
    topk_method="noaux_tc", scoring_func="sigmoid", norm_topk_prob=True, routed_scaling_factor=2.0,
    bos_token_id=0, eos_token_id=1,
)  # fmt: skip

# The model that ships with the package: Base's router and latent attention at laptop size.
NANO = VL2Config(
    vision_config=VisionConfig(
        model_name="vl2_nano_patch14_384", patch_size=14, width=384, layers=7, heads=6, mlp_ratio=4.0
    ),
    projector_config=ProjectorConfig(input_dim=384, n_embed=320),
    language_config=LanguageConfig(
        vocab_size=9728,
        hidden_size=320,
        intermediate_size=1024,
        moe_intermediate_size=64,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=8,
        q_lora_rank=None,
        kv_lora_rank=128,
        qk_nope_head_dim=32,
        qk_rope_head_dim=16,
        v_head_dim=32,
        n_routed_experts=16,
        n_shared_experts=2,
        num_experts_per_tok=4,
        first_k_dense_replace=1,
        n_group=1,
        topk_group=1,
        topk_method="noaux_tc",
        scoring_func="sigmoid",
        norm_topk_prob=True,
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=1,
    ),
)

PRESETS: dict[str, VL2Config] = {"nano": NANO, "tiny": TINY, "small": SMALL, "base": BASE}
