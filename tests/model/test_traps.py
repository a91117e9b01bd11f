"""The places where ports of this family diverge (SPEC E5): every test fails for an implementation that falls in."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import vl2.model.decoder
from vl2.config import LanguageConfig, RopeScaling, VL2Config
from vl2.model.attention import MHA, MLA, LatentWeights
from vl2.model.cache import PackedSequences, split_heads
from vl2.model.layers import RMSNorm
from vl2.model.moe import MoE, Router
from vl2.model.rope import RopeTable, rope_table
from vl2.model.vl2 import VL2

KINDS = ["tiny", "small", "base"]


def exact_table(config: LanguageConfig, positions: int) -> tuple[Tensor, Tensor]:
    """cos and sin (positions, R / 2) in float64."""
    width = config.qk_rope_head_dim if config.use_mla else config.head_dim
    frequency = torch.tensor([config.rope_theta ** (-2 * j / width) for j in range(width // 2)], dtype=torch.float64)
    angle = torch.outer(torch.arange(positions, dtype=torch.float64), frequency)
    return angle.cos(), angle.sin()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("autocast", [False, True])
def test_rope_tables_stay_float32(
    kind: str, autocast: bool, make_model: Callable[..., VL2], monkeypatch: pytest.MonkeyPatch
) -> None:
    """E5.2: a model cast to bfloat16 must still tell positions above 256 apart."""
    tables: list[RopeTable] = []

    def spy(config: LanguageConfig, positions_T: Tensor) -> RopeTable:
        tables.append(rope_table(config, positions_T))
        return tables[-1]

    monkeypatch.setattr(vl2.model.decoder, "rope_table", spy)
    model = make_model(kind).to(torch.bfloat16)
    length = 1000
    x = model.language.embed_tokens(torch.zeros(length, dtype=torch.long))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        model(x, torch.arange(length), PackedSequences.of_lengths([length], "cpu"))
    (table,) = tables
    assert table.cos_TR.dtype == table.sin_TR.dtype == torch.float32
    assert len(table.sin_TR.unique(dim=0)) == length
    cos, sin = exact_table(model.config.language_config, length)
    half = cos.shape[1]
    for ours, exact in ((table.cos_TR, cos), (table.sin_TR, sin)):
        assert (ours[:, :half].double() - exact).abs().max() < 2e-4
        assert ours[:, :half].equal(ours[:, half:])


@pytest.mark.parametrize("kind", KINDS)
def test_no_table_is_stored_in_the_model(kind: str, make_model: Callable[..., VL2]) -> None:
    """E5.2: what is not in the model cannot be rounded with it, nor saved with it."""
    assert list(make_model(kind).named_buffers()) == []


class Capture:
    """An attention context that keeps the rotated queries and keys."""

    def place(self, layer: int) -> None:
        return None

    def attend_heads(self, layer: int, q_THK: Tensor, rows_TJ: Tensor, scale: float) -> Tensor:
        self.q, self.k, self.scale = q_THK, split_heads(rows_TJ, q_THK.shape[-1])[0], scale
        return torch.zeros_like(q_THK)

    def attend_latent(
        self, layer: int, q_nope_THK: Tensor, q_rope_THR: Tensor, rows_TJ: Tensor, weights: LatentWeights, scale: float
    ) -> Tensor:
        self.q, self.k, self.scale = q_rope_THR, rows_TJ[:, None, weights.latent :], scale
        return torch.zeros(*q_nope_THK.shape[:2], weights.w_v_HUZ.shape[1])


def rotated_products(q: Tensor, k: Tensor, config: LanguageConfig, pairs: str) -> Tensor:
    """Scores (H, T, T) of unrotated queries and keys (T, H, R), rotated here as complex numbers in float64."""

    def turn(x: Tensor) -> Tensor:
        x = x.double()
        real, imaginary = (x[..., 0::2], x[..., 1::2]) if pairs == "interleaved" else x.chunk(2, -1)
        cos, sin = exact_table(config, len(x))
        return torch.complex(real, imaginary) * torch.complex(cos, sin)[:, None]

    turned_q, turned_k = turn(q), turn(k).expand(-1, q.shape[1], -1)
    return torch.einsum("thr,shr->hts", turned_q, turned_k.conj()).real


@pytest.mark.parametrize(("kind", "pairs"), [("tiny", "half-split"), ("small", "interleaved"), ("base", "interleaved")])
def test_which_dimensions_rotate_together(kind: str, pairs: str, make_model: Callable[..., VL2]) -> None:
    """E5.1: Tiny pairs (j, j + 64) over the whole head, latent attention (2j, 2j + 1)."""
    model = make_model(kind)
    config, attention, capture, length = model.config.language_config, model.language.layers[0], Capture(), 30
    attention = model.language.layers[0].get_submodule("self_attn")
    x = torch.randn(length, 32, generator=torch.Generator().manual_seed(0))
    attention(x, rope_table(config, torch.arange(length)), capture)
    ours = torch.einsum("thr,shr->hts", capture.q, capture.k.expand(-1, capture.q.shape[1], -1))
    if isinstance(attention, MHA):
        q, k = (p(x).unflatten(-1, (4, -1)) for p in (attention.q_proj, attention.k_proj))
        assert capture.scale == pytest.approx(8**-0.5)
    else:
        assert isinstance(attention, MLA)
        q = attention.q_proj(x).unflatten(-1, (4, -1))[..., 8:]
        k = attention.kv_a_proj_with_mqa(x)[:, None, 16:]
        assert capture.scale == pytest.approx(12**-0.5)
    expected = rotated_products(q, k, config, pairs)
    other = rotated_products(q, k, config, "interleaved" if pairs == "half-split" else "half-split")
    torch.testing.assert_close(ours.double(), expected, atol=1e-4, rtol=0)
    assert (other - expected).abs().max() > 0.1


def test_use_mla_alone_decides(make_model: Callable[..., VL2]) -> None:
    """E5.1: not the placeholders in the head sizes."""
    sizes = {"qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "kv_lora_rank": 16}
    assert isinstance(make_model("tiny", **sizes).language.layers[0].get_submodule("self_attn"), MHA)
    assert isinstance(make_model("small").language.layers[0].get_submodule("self_attn"), MLA)


def test_norms_compute_in_float32_and_weigh_in_the_dtype() -> None:
    """SPEC E: the sum of squares in float32, a cast back, then the weight."""
    norm = RMSNorm(512, 1e-6).to(torch.bfloat16)
    generator = torch.Generator().manual_seed(9)
    norm.weight.data = torch.randn(512, generator=generator).to(torch.bfloat16)
    x = torch.randn(20, 512, generator=generator).to(torch.bfloat16)
    normed = x.float() / (x.float().square().mean(-1, keepdim=True) + 1e-6).sqrt()
    expected = norm.weight * normed.to(torch.bfloat16)
    assert not expected.equal((norm.weight.float() * normed).to(torch.bfloat16))  # rounded once, not twice
    assert (norm(x) != expected).float().mean() < 0.002  # the root may round otherwise once in a while


def test_logits_are_float32(make_model: Callable[..., VL2]) -> None:
    """SPEC E: sampling and comparisons must not see the steps of bfloat16."""
    model = make_model("tiny", dtype=torch.bfloat16)
    assert model.logits(torch.ones(1, 32, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize("kind", ["tiny", "small"])
def test_linear_scaling_stretches_positions(kind: str, make_config: Callable[..., VL2Config]) -> None:
    plain, scaled = make_config(kind), make_config(kind, rope_scaling=RopeScaling("linear", 4.0))
    positions = torch.arange(20)
    wide, narrow = rope_table(scaled.language_config, 4 * positions), rope_table(plain.language_config, positions)
    torch.testing.assert_close(wide.cos_TR, narrow.cos_TR)
    torch.testing.assert_close(wide.sin_TR, narrow.sin_TR)


def test_latents_are_normed_with_the_default_epsilon(make_model: Callable[..., VL2]) -> None:
    """Whatever rms_norm_eps says, as in the published code; it shows where latents are small."""
    model = make_model("small", q_lora_rank=12, rms_norm_eps=0.1)
    attention = model.language.layers[0].get_submodule("self_attn")
    for name in ("q_a_layernorm", "kv_a_layernorm"):
        norm = attention.get_submodule(name)
        x = 1e-3 * torch.randn(5, norm.get_parameter("weight").numel(), generator=torch.Generator().manual_seed(8))
        expected = norm.get_parameter("weight") * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        torch.testing.assert_close(norm(x), expected)


def router_of(model: VL2, layer: int = 1) -> Router:
    mixture = model.language.layers[layer].get_submodule("mlp")
    assert isinstance(mixture, MoE)
    return mixture.router


@pytest.mark.parametrize("kind", ["small", "base"])
@pytest.mark.parametrize("autocast", [False, True])
def test_router_computes_in_float32(kind: str, autocast: bool, make_model: Callable[..., VL2]) -> None:
    """E5.5: weights, bias and input may be bfloat16, scores may not."""
    router = router_of(make_model(kind, dtype=torch.bfloat16))
    x = torch.randn(2000, 32, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        weights, indices, scores = router(x)
    assert weights.dtype == scores.dtype == torch.float32
    logits = x.float() @ router.weight.float().T
    exact = logits.softmax(-1) if kind == "small" else logits.sigmoid()
    torch.testing.assert_close(scores, exact, atol=1e-6, rtol=0)
    rounded = (x @ router.weight.T).float()
    rounded = rounded.softmax(-1) if kind == "small" else rounded.sigmoid()
    choice = exact + router.bias.float() if kind == "base" else exact
    choice_rounded = rounded + router.bias.float() if kind == "base" else rounded
    expected = choice.topk(2).indices.sort().values
    assert indices.sort().values.equal(expected)
    assert not choice_rounded.topk(2).indices.sort().values.equal(expected)  # 2000 tokens are enough to tell


def test_expert_sum_is_float32(make_model: Callable[..., VL2]) -> None:
    """E3: the weighted sum of experts is taken in float32 and rounded once."""
    mixture = make_model("base", dtype=torch.bfloat16, num_experts_per_tok=6).language.layers[1].get_submodule("mlp")
    assert isinstance(mixture, MoE)
    x = torch.randn(50, 32, generator=torch.Generator().manual_seed(2)).to(torch.bfloat16)
    weights, indices, _ = mixture.router(x)
    terms = torch.zeros(50, 6, 32)
    for expert in range(6):
        gate, up = F.linear(x, mixture.experts.gate_up[expert]).chunk(2, -1)
        value = F.linear(F.silu(gate) * up, mixture.experts.down[expert]).float()
        rows, slots = (indices == expert).nonzero(as_tuple=True)
        terms[rows, slots] = value[rows] * weights[rows, slots, None]
    assert mixture.experts(x, weights, indices).equal(terms.sum(1).to(torch.bfloat16))


def test_bias_selects_and_only_selects() -> None:
    """E5.4: ranks by score + bias; weighs by the bare score, renormalised, then scaled."""
    config = LanguageConfig(
        hidden_size=4, num_attention_heads=2, num_key_value_heads=2, n_routed_experts=4, num_experts_per_tok=2,
        topk_method="noaux_tc", scoring_func="sigmoid", norm_topk_prob=True, routed_scaling_factor=2.0, n_group=1,
        topk_group=1,
    )  # fmt: skip
    router = Router(config)
    with torch.no_grad():
        router.weight.copy_(torch.eye(4))
        router.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.9]))
        weights, indices, _ = router(torch.tensor([[2.0, 1.0, 0.0, -1.0]]))
    got = dict(zip(indices[0].tolist(), weights[0].tolist(), strict=True))
    first, last = (1 / (1 + math.exp(-logit)) for logit in (2.0, -1.0))
    assert got == pytest.approx({0: 2 * first / (first + last), 3: 2 * last / (first + last)}, abs=1e-6)
    assert sum(got.values()) == pytest.approx(2.0)


def test_softmax_weights_are_not_renormalised(make_model: Callable[..., VL2]) -> None:
    """E3: Tiny and Small weigh by the probabilities as they are."""
    router = router_of(make_model("small"))
    x = torch.randn(20, 32, generator=torch.Generator().manual_seed(3))
    weights, indices, _ = router(x)
    probabilities = (x @ router.weight.T).softmax(-1)
    torch.testing.assert_close(weights, probabilities.gather(-1, indices))
    assert weights.sum(-1).max() < 0.999


def test_tower_gelu_is_tanh_and_projector_gelu_is_exact(make_model: Callable[..., VL2]) -> None:
    """SPEC C: the two approximations differ by up to 5e-4, far above float64 noise."""
    model = make_model("tiny").double()
    x = torch.linspace(-6, 6, 5 * 24, dtype=torch.float64).view(1, 5, 24)
    mlp = model.vision.blocks[0].get_submodule("mlp")
    fc1, fc2 = mlp.get_submodule("fc1"), mlp.get_submodule("fc2")
    wide = fc1(x)
    inner = math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
    torch.testing.assert_close(mlp(x), fc2(0.5 * wide * (1 + inner.tanh())), atol=1e-12, rtol=0)

    cells = torch.linspace(-3, 3, 2 * 96, dtype=torch.float64).view(2, 96)
    first, last = model.projector.layers[0], model.projector.layers[2]
    wide = first(cells)
    exact = last(0.5 * wide * (1 + torch.erf(wide / math.sqrt(2))))
    torch.testing.assert_close(model.projector.layers(cells), exact, atol=1e-12, rtol=0)
    assert (F.gelu(wide) - F.gelu(wide, approximate="tanh")).abs().max() > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_pixels(dtype: torch.dtype, make_model: Callable[..., VL2]) -> None:
    """SPEC C: (value / 255 - 0.5) / 0.5, in float32 before it is rounded to the model's dtype."""
    values = torch.arange(256, dtype=torch.uint8)
    pixels = make_model("tiny", dtype=dtype).pixel_values(values)
    assert torch.equal(pixels, (values.float() / 127.5 - 1.0).to(dtype))


def merged_cells(model: VL2, patches: Tensor) -> Tensor:
    """What the projector's first layer reads, (N, Q, 4 W)."""
    seen: list[Tensor] = []
    hook = model.projector.layers[0].register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    model.projector(patches)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("side", [2, 3, 5, 6])
def test_cells_are_channel_major(side: int, make_model: Callable[..., VL2]) -> None:
    """E5.6: the order of torch's unfold, 4 * channel + 2 * dy + dx, after padding right and bottom with zeros."""
    model = make_model("tiny")
    patches = torch.randn(2, side * side, 24, generator=torch.Generator().manual_seed(4))
    image = patches.transpose(1, 2).unflatten(-1, (side, side))
    padded = F.pad(image, (0, side % 2, 0, side % 2))
    assert merged_cells(model, patches).equal(F.unfold(padded, 2, stride=2).transpose(1, 2))


def test_padding_comes_after_the_final_norm(make_model: Callable[..., VL2]) -> None:
    """E5.6: padded features are zeros, not the norm's bias; the tower itself sees 5 x 5 patches."""
    model = make_model("tiny")
    assert model.vision.norm.bias.abs().min() > 0
    tiles = torch.randn(1, 3, 38, 38, generator=torch.Generator().manual_seed(5))
    patches, tokens = model.encode_tiles(tiles)
    assert patches.shape == (1, 25, 24)
    assert tokens.shape == (1, 9, 32)
    cells = merged_cells(model, patches).view(3, 3, 24, 2, 2)  # y, x, channel, dy, dx
    assert cells[2, :, :, 1].eq(0).all()
    assert cells[:, 2, :, :, 1].eq(0).all()
    assert cells[:2, :2].ne(0).all()
    mean, variance = patches[0].mean(-1), patches[0].var(-1)
    assert mean.abs().max() < 0.5
    assert (variance - 1).abs().max() < 0.5  # they are normed


def test_last_pixels_are_never_seen(make_model: Callable[..., VL2]) -> None:
    """SPEC C2: 38 = 5 * 7 + 3."""
    model = make_model("tiny")
    tiles = torch.randn(1, 3, 38, 38, generator=torch.Generator().manual_seed(6))
    changed = tiles.clone()
    changed[..., 35:, :] = changed[..., :, 35:] = 9.0
    assert model.vision(tiles).equal(model.vision(changed))
    changed[..., 34, 0] = 9.0
    assert not model.vision(tiles).equal(model.vision(changed))


def test_pooling_head_is_stored_and_never_runs(make_model: Callable[..., VL2]) -> None:
    """E5.7."""
    model = make_model("tiny")
    tiles = torch.randn(1, 3, 38, 38, generator=torch.Generator().manual_seed(7))
    before = model.encode_tiles(tiles)[1]
    for parameter in model.vision.attn_pool.parameters():
        parameter.fill_(float("nan"))
    assert model.encode_tiles(tiles)[1].equal(before)
    assert sum(p.numel() for p in model.vision.attn_pool.parameters()) > 0
