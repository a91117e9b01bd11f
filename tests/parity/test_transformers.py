"""Our language model and tower against transformers' independent implementations, with copied random weights.

    Tiny  ~ deepseek_ocr2 text model (half-split rope, softmax, greedy)
    Small ~ deepseek_v2 (latent attention, softmax, greedy or group_limited_greedy)
    Base  ~ deepseek_v3 with rope_interleave (latent attention, sigmoid, noaux_tc)
    tower ~ siglip vision model with gelu_pytorch_tanh

Where transformers departs from the official code, the official rule is tested here by hand:
    - deepseek_v2 and deepseek_ocr2 never read norm_topk_prob;
    - deepseek_v3 fills the scores of dropped groups with -inf, the official code with 0.0. Only a bias below minus
      the score, which lets a kept expert fall under 0, can tell them apart;
    - deepseek_v2 has no way to leave out the shared experts: theirs are set to zero.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vl2.config import LanguageConfig, RopeScaling, VisionConfig
from vl2.model.cache import PackedSequences
from vl2.model.decoder import Decoder
from vl2.model.moe import MoE, Router
from vl2.model.vision import VisionTower

transformers = pytest.importorskip("transformers", minversion="5.17")

TOLERANCE = 1e-4
SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "n_routed_experts": 12,
    "n_shared_experts": 2,
    "num_experts_per_tok": 3,
    "first_k_dense_replace": 1,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
}
LATENT: dict[str, Any] = {
    "q_lora_rank": None,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 16,
    "v_head_dim": 10,
}
PLAIN: dict[str, Any] = {}
# A ramp over four of the eight frequencies. With mscale_all_dim = 0 transformers ignores mscale, the official code
# does not; they agree where it is 1.
YARN = {"factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 4.0, "beta_slow": 1.0}
ROPES = {
    "plain rope": PLAIN,
    "yarn": {**YARN, "mscale": 1.2, "mscale_all_dim": 0.7},
    "yarn with its ramp past the last frequency": {
        "factor": 4.0,
        "original_max_position_embeddings": 4096,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    },
    "yarn of defaults": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.0},
}
THETA = 100.0
GROUPED = {"topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.5}


def randomize(model: nn.Module, seed: int) -> None:
    """Weights large enough that every branch shows; norms near 1 so that a forgotten one shows too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith("norm.weight"):
                tensor.copy_(1 + 0.2 * torch.randn(tensor.shape, generator=generator))
            elif name.endswith("e_score_correction_bias"):
                tensor.copy_(0.3 * torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point() and not name.endswith("inv_freq"):
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))


def copy_language(theirs: dict[str, Tensor], ours: Decoder) -> None:
    """Strictly: a name left over on either side is an error."""
    renamed = {}
    for name, tensor in theirs.items():
        name = name.removeprefix("model.").replace("mlp.gate.weight", "mlp.router.weight")
        name = name.replace("mlp.gate.e_score_correction_bias", "mlp.router.bias")
        name = name.replace("mlp.experts.gate_up_proj", "mlp.experts.gate_up")
        name = name.replace("mlp.experts.down_proj", "mlp.experts.down")
        renamed[name] = tensor
    ours.load_state_dict(renamed, strict=True)


def ours_of(seed: int, **changes: Any) -> Decoder:
    decoder = Decoder(LanguageConfig(**{**SIZES, **changes}))
    randomize(decoder, seed)
    return decoder.eval()


def logits_of(decoder: Decoder, ids_BT: Tensor) -> Tensor:
    """Both rows packed end to end, (B, T, V)."""
    batch, length = ids_BT.shape
    positions = torch.arange(length).repeat(batch)
    packed = PackedSequences.of_lengths([length] * batch, "cpu")
    with torch.no_grad():
        hidden, _ = decoder(decoder.embed_tokens(ids_BT.flatten()), positions, packed)
        return decoder.lm_head(hidden).unflatten(0, (batch, length))


def compare(theirs: nn.Module, decoder: Decoder, length: int = 50) -> None:
    ids = torch.randint(0, SIZES["vocab_size"], (2, length), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = theirs.eval()(input_ids=ids, use_cache=False).logits
    assert expected.std() > 0.1  # not a comparison of zeros
    torch.testing.assert_close(logits_of(decoder, ids), expected, atol=TOLERANCE, rtol=0)


def ours_of_rope(seed: int, rope: dict[str, Any], **changes: Any) -> Decoder:
    scaling = {"rope_scaling": RopeScaling(type="yarn", **rope)} if rope else {}
    return ours_of(seed, rope_theta=THETA, **changes, **scaling)


def rope_parameters(rope: dict[str, Any]) -> dict[str, Any]:
    return {"rope_type": "yarn" if rope else "default", "rope_theta": THETA, **rope}


def theirs_of(kind: str, seed: int, rope: dict[str, Any], **changes: Any) -> nn.Module:
    """A transformers causal model with random weights, float32, eager attention."""
    config_class = getattr(transformers, f"{kind}Config")
    tokens = {"pad_token_id": None, "bos_token_id": 0, "eos_token_id": 1}
    config = config_class(**{**SIZES, **changes}, **tokens, rope_parameters=rope_parameters(rope))
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForCausalLM")(config).float()
    randomize(model, seed)
    return model


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="small"),
        pytest.param({"q_lora_rank": 20}, id="low-rank queries"),
        pytest.param({"q_lora_rank": 20, "attention_bias": True}, id="attention bias"),
        pytest.param(GROUPED, id="group limited"),
        pytest.param({**GROUPED, "topk_group": 1, "num_experts_per_tok": 1}, id="one expert of one group"),
        pytest.param({"first_k_dense_replace": 0, "num_hidden_layers": 2}, id="no dense layer"),
        pytest.param({"num_experts_per_tok": 12, "routed_scaling_factor": 0.5}, id="all experts"),
    ],
)
@pytest.mark.parametrize("rope", list(ROPES))
def test_deepseek_v2(changes: dict[str, Any], rope: str) -> None:
    changes = {**LATENT, **changes}
    theirs = theirs_of("DeepseekV2", 1, ROPES[rope], **changes)
    decoder = ours_of_rope(2, ROPES[rope], **changes)
    copy_language(theirs.state_dict(), decoder)
    compare(theirs, decoder)


def test_no_shared_experts() -> None:
    theirs = theirs_of("DeepseekV2", 3, PLAIN, **LATENT)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "shared_experts" in name:
                parameter.zero_()
    decoder = ours_of_rope(4, PLAIN, **LATENT, n_shared_experts=None)
    copy_language({k: v for k, v in theirs.state_dict().items() if "shared_experts" not in k}, decoder)
    compare(theirs, decoder)


@pytest.mark.parametrize("groups", [(1, 1), (3, 2), (6, 2)], ids=str)
@pytest.mark.parametrize("norm", [True, False], ids=["renormalised", "not renormalised"])
@pytest.mark.parametrize("rope", list(ROPES))
def test_deepseek_v3(groups: tuple[int, int], norm: bool, rope: str) -> None:
    changes: dict[str, Any] = {**LATENT, "n_group": groups[0], "topk_group": groups[1], "norm_topk_prob": norm}
    changes |= {"routed_scaling_factor": 2.0, "q_lora_rank": 14 if groups[0] == 3 else None}
    theirs = theirs_of("DeepseekV3", 7, ROPES[rope], rope_interleave=True, **changes)
    decoder = ours_of_rope(8, ROPES[rope], **changes, topk_method="noaux_tc", scoring_func="sigmoid")
    copy_language(theirs.state_dict(), decoder)
    compare(theirs, decoder)


def test_deepseek_ocr2_text() -> None:
    """Tiny: heads of 8, half-split rotation over all of them, softmax and greedy without renormalisation."""
    from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import DeepseekOcr2TextConfig
    from transformers.models.deepseek_ocr2.modeling_deepseek_ocr2 import DeepseekOcr2TextModel

    kinds = ["dense", "sparse", "sparse"]
    sizes = {k: v for k, v in SIZES.items() if k != "first_k_dense_replace"}
    config = DeepseekOcr2TextConfig(
        **sizes, rope_parameters=rope_parameters(PLAIN), mlp_layer_types=kinds, pad_token_id=None, bos_token_id=0,
        eos_token_id=1,
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = DeepseekOcr2TextModel(config).float().eval()
    randomize(theirs, 9)
    decoder = ours_of_rope(10, PLAIN, use_mla=False, q_lora_rank=None, kv_lora_rank=None)
    head = {"lm_head.weight": decoder.lm_head.weight.detach().clone()}
    copy_language({**theirs.state_dict(), **head}, decoder)
    ids = torch.randint(0, 97, (2, 50), generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        expected = theirs(input_ids=ids, use_cache=False).last_hidden_state @ decoder.lm_head.weight.T
    torch.testing.assert_close(logits_of(decoder, ids), expected, atol=TOLERANCE, rtol=0)


def test_siglip_tower() -> None:
    """A tile whose last pixels no patch covers, tanh GELU, the pooling head skipped."""
    sizes: dict[str, Any] = {"image_size": 45, "patch_size": 7}
    config = transformers.SiglipVisionConfig(
        **sizes, hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4,
        hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6,
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = transformers.SiglipVisionModel(config).float().eval()
    randomize(theirs, 11)
    ours = VisionTower(VisionConfig(**sizes, width=32, layers=3, heads=4, mlp_ratio=1.75)).eval()
    ours.load_state_dict(siglip_names(theirs.state_dict(), 3), strict=True)
    tiles = torch.randn(2, 3, 45, 45, generator=torch.Generator().manual_seed(12))
    with torch.no_grad():
        expected = theirs(pixel_values=tiles).last_hidden_state
        torch.testing.assert_close(ours(tiles), expected, atol=TOLERANCE, rtol=0)


def siglip_names(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """SPEC B2: separate q, k, v stacked, embeddings and norms renamed."""
    state = {name.removeprefix("vision_model."): tensor for name, tensor in state.items()}
    out = {"pos_embed": state["embeddings.position_embedding.weight"][None]}
    for end in ("weight", "bias"):
        out[f"patch_embed.proj.{end}"] = state[f"embeddings.patch_embedding.{end}"]
        out[f"norm.{end}"] = state[f"post_layernorm.{end}"]
        for layer in range(layers):
            theirs, ours = f"encoder.layers.{layer}.", f"blocks.{layer}."
            parts = [state[f"{theirs}self_attn.{p}_proj.{end}"] for p in "qkv"]
            out[f"{ours}attn.qkv.{end}"] = torch.cat(parts)
            out[f"{ours}attn.proj.{end}"] = state[f"{theirs}self_attn.out_proj.{end}"]
            for number in (1, 2):
                out[f"{ours}norm{number}.{end}"] = state[f"{theirs}layer_norm{number}.{end}"]
                out[f"{ours}mlp.fc{number}.{end}"] = state[f"{theirs}mlp.fc{number}.{end}"]
        q, kv = state[f"head.attention.in_proj_{end}"].split([32, 64])
        out |= {f"attn_pool.q.{end}": q, f"attn_pool.kv.{end}": kv}
        out[f"attn_pool.proj.{end}"] = state[f"head.attention.out_proj.{end}"]
        out[f"attn_pool.norm.{end}"] = state[f"head.layernorm.{end}"]
        out |= {f"attn_pool.mlp.fc{n}.{end}": state[f"head.mlp.fc{n}.{end}"] for n in (1, 2)}
    out["attn_pool.latent"] = state["head.probe"]
    return out


def official_choice(scores: list[float], bias: list[float], config: LanguageConfig) -> list[float]:
    """What the official code ranks the experts of one token by, in plain Python."""
    noaux = config.topk_method == "noaux_tc"
    choice = [s + b for s, b in zip(scores, bias, strict=True)] if noaux else list(scores)
    if config.topk_method == "greedy":
        return choice
    assert config.n_group
    assert config.topk_group
    size = len(scores) // config.n_group
    groups = [range(g * size, (g + 1) * size) for g in range(config.n_group)]
    rank = [sum(sorted(choice[e] for e in g)[-2:]) if noaux else max(choice[e] for e in g) for g in groups]
    kept = sorted(range(len(groups)), key=lambda g: -rank[g])[: config.topk_group]
    return [c if e // size in kept else 0.0 for e, c in enumerate(choice)]


@pytest.mark.parametrize("scoring", ["softmax", "sigmoid"])
@pytest.mark.parametrize("method", ["greedy", "group_limited_greedy", "noaux_tc"])
@pytest.mark.parametrize(("norm", "active"), [(False, 3), (True, 3), (True, 1)])
@pytest.mark.parametrize("low", [0.0, -2.0], ids=["", "biases below the scores"])
def test_routing_rules(scoring: str, method: str, norm: bool, active: int, low: float) -> None:
    """Every combination against the official rules written out, those included that transformers lacks."""
    config = LanguageConfig(
        **{**SIZES, "num_experts_per_tok": active}, **LATENT, topk_method=method, scoring_func=scoring,
        norm_topk_prob=norm, routed_scaling_factor=1.7, n_group=4, topk_group=2,
    )  # fmt: skip
    router = Router(config)
    randomize(router, 13)
    bias = [0.0] * 12
    if method == "noaux_tc":
        with torch.no_grad():
            router.bias.copy_(torch.randn(12, generator=torch.Generator().manual_seed(14)) + low)
        bias = router.bias.tolist()
    x = torch.randn(40, 32, generator=torch.Generator().manual_seed(15))
    with torch.no_grad():
        weights, indices, scores = router(x)
    for row in range(40):
        chosen, raw = indices[row].tolist(), scores[row].double().tolist()
        choice = official_choice(raw, bias, config)
        assert len(set(chosen)) == active
        # dropped experts all rank as 0.0, so compare ranks and not names
        assert sorted(choice[e] for e in chosen) == pytest.approx(sorted(choice)[-active:], abs=1e-6)
        expected = [raw[e] if method == "noaux_tc" else choice[e] for e in chosen]
        total = sum(expected) + 1e-20 if norm and active > 1 else 1.0
        assert weights[row].tolist() == pytest.approx([w / total * 1.7 for w in expected], abs=1e-5)


def test_mixture_is_a_weighted_sum() -> None:
    """Routed experts weighted, shared experts added as they are."""
    config = LanguageConfig(**SIZES, **LATENT, routed_scaling_factor=1.5)
    mixture = MoE(config, 1)
    randomize(mixture, 16)
    x = torch.randn(9, 32, generator=torch.Generator().manual_seed(17))
    with torch.no_grad():
        y, stats = mixture(x)
        weights, indices, _ = mixture.router(x)
        assert mixture.shared_experts is not None
        expected = mixture.shared_experts(x)
        for token in range(9):
            for expert, weight in zip(indices[token].tolist(), weights[token], strict=True):
                gate, up = (mixture.experts.gate_up[expert] @ x[token]).chunk(2)
                expected[token] += weight * (mixture.experts.down[expert] @ (nn.functional.silu(gate) * up))
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=0)
    assert stats.layer == 1
    assert stats.indices_TA.equal(indices)
