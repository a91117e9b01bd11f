"""Presets, the published config.json, and everything a configuration may not say."""

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vl2.config import (
    BASE,
    CANDIDATE_RESOLUTIONS,
    NANO,
    PRESETS,
    SMALL,
    TINY,
    ConfigError,
    LanguageConfig,
    RopeScaling,
    VL2Config,
    read_config,
)

OFFICIAL_BASE = Path(__file__).parent / "goldens" / "official-base" / "config.json"


def official() -> dict[str, Any]:
    return json.loads(OFFICIAL_BASE.read_text())


def error_of(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        VL2Config.from_dict(values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Presets


def test_published_base_is_the_preset() -> None:
    assert read_config(OFFICIAL_BASE) == BASE


def test_published_keys_survive_a_round_trip() -> None:
    """Every key of the published file that describes the architecture comes back with its value."""
    written = BASE.to_dict()
    bookkeeping = {"architectures", "auto_map", "lm_head", "rm_head", "torch_dtype", "transformers_version"}
    for key, value in official().items():
        if isinstance(value, dict):
            assert {k: v for k, v in value.items() if k not in bookkeeping}.items() <= written[key].items()
        elif key not in bookkeeping:
            assert written[key] == value


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_round_trip_through_json(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PRESETS[name].to_dict()))
    assert read_config(tmp_path / "config.json") == PRESETS[name]


def test_rope_scaling_round_trips(make_config: Callable[..., VL2Config]) -> None:
    config = make_config("small", rope_scaling=RopeScaling("yarn", 4, 64, mscale=0.7))
    assert VL2Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_facts_that_tell_the_models_apart() -> None:
    """SPEC A1."""
    languages = {name: PRESETS[name].language_config for name in ("tiny", "small", "base")}
    assert {name: c.vocab_size for name, c in languages.items()} == {"tiny": 129280, "small": 102400, "base": 129280}
    assert {name: c.use_mla for name, c in languages.items()} == {"tiny": False, "small": True, "base": True}
    assert {name: c.topk_method for name, c in languages.items()} == {
        "tiny": "greedy", "small": "greedy", "base": "noaux_tc",
    }  # fmt: skip
    assert {name: c.head_dim for name, c in languages.items()} == {"tiny": 128, "small": 192, "base": 192}
    assert {name: c.kv_values_per_token for name, c in languages.items()} == {"tiny": 2560, "small": 576, "base": 576}
    assert {name: c.eos_token_id for name, c in languages.items()} == {"tiny": 1, "small": 100001, "base": 1}
    assert (SMALL.language_config.norm_topk_prob, BASE.language_config.norm_topk_prob) == (False, True)
    assert (TINY.language_config.routed_scaling_factor, BASE.language_config.routed_scaling_factor) == (1.0, 2.0)


def test_derived_values() -> None:
    assert BASE.vision_config.grid_side == 27
    assert BASE.vision_config.mlp_width == 4304
    assert BASE.tile_side == 14
    assert [BASE.language_config.is_moe_layer(i) for i in range(3)] == [False, True, True]
    dense = LanguageConfig(n_routed_experts=None)
    assert not any(dense.is_moe_layer(i) for i in range(30))
    alternating = LanguageConfig(n_routed_experts=4, num_experts_per_tok=1, moe_layer_freq=2, first_k_dense_replace=1)
    assert [alternating.is_moe_layer(i) for i in range(5)] == [False, False, True, False, True]


def test_nano_is_a_member_of_the_family() -> None:
    """At least 16 routed experts, shared ones, latent attention, dynamic tiling."""
    language = NANO.language_config
    assert language.use_mla
    assert (language.n_routed_experts or 0) >= 16
    assert language.n_shared_experts
    assert NANO.candidate_resolutions == CANDIDATE_RESOLUTIONS == TINY.candidate_resolutions


def test_candidates_are_the_published_ones_in_order() -> None:
    assert [list(pair) for pair in CANDIDATE_RESOLUTIONS] == official()["candidate_resolutions"]
    assert len(CANDIDATE_RESOLUTIONS) == 23


def test_configurations_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        BASE.language_config.hidden_size = 1  # type: ignore[misc]


# What is refused


@pytest.mark.parametrize("section", ["", "language_config", "vision_config", "projector_config"])
def test_unknown_keys(section: str) -> None:
    values = official()
    (values[section] if section else values)["hidden_sise"] = 3
    message = error_of(values)
    assert f"{section + '.' if section else ''}hidden_sise = 3: unknown key; known keys: " in message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("language_config", "hidden_size", "2560"), ("language_config", "hidden_size", 2560.0),
        ("language_config", "hidden_size", True), ("language_config", "hidden_size", None),
        ("language_config", "norm_topk_prob", 1), ("language_config", "rms_norm_eps", "1e-6"),
        ("language_config", "routed_scaling_factor", False), ("language_config", "topk_method", None),
        ("language_config", "q_lora_rank", [1]), ("language_config", "rope_scaling", "yarn"),
        ("vision_config", "layers", {}), ("projector_config", "n_embed", [2560]), ("", "language_config", 7),
        ("", "tile_tag", 2), ("", "candidate_resolutions", 384), ("", "candidate_resolutions", [384, 384]),
        ("", "candidate_resolutions", [[384]]), ("", "candidate_resolutions", [[384, "384"]]),
    ],
)  # fmt: skip
def test_wrong_types(section: str, key: str, value: object) -> None:
    values = official()
    (values[section] if section else values)[key] = value
    message = error_of(values)
    assert message.startswith(f"{section + '.' if section else ''}{key}")
    assert ": expected " in message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("language_config", "vocab_size", 0), ("language_config", "num_hidden_layers", -1),
        ("language_config", "hidden_act", "gelu"), ("language_config", "attention_dropout", 0.1),
        ("language_config", "tie_word_embeddings", True), ("language_config", "kv_lora_rank", None),
        ("language_config", "kv_lora_rank", -512), ("language_config", "routed_scaling_factor", float("inf")),
        ("vision_config", "mlp_ratio", float("-inf")),
        ("language_config", "v_head_dim", 0), ("language_config", "qk_rope_head_dim", 63),
        ("language_config", "q_lora_rank", 0), ("language_config", "topk_method", "gready"),
        ("language_config", "scoring_func", "tanh"), ("language_config", "num_experts_per_tok", 73),
        ("language_config", "num_experts_per_tok", None), ("language_config", "n_routed_experts", 0),
        ("language_config", "n_group", 5), ("language_config", "n_group", None), ("language_config", "topk_group", 2),
        ("language_config", "topk_group", None), ("language_config", "n_shared_experts", 0),
        ("language_config", "moe_intermediate_size", 0), ("language_config", "first_k_dense_replace", -1),
        ("language_config", "rope_theta", 0.0), ("language_config", "rms_norm_eps", float("nan")),
        ("language_config", "max_position_embeddings", 0), ("vision_config", "heads", 7),
        ("vision_config", "patch_size", 500), ("vision_config", "global_pool", "avg"),
        ("vision_config", "ignore_head", False), ("vision_config", "mlp_ratio", 0.0), ("vision_config", "layers", 0),
        ("projector_config", "projector_type", "identity"), ("projector_config", "depth", 1),
        ("projector_config", "token_pooling", True), ("projector_config", "downsample_ratio", 0),
        ("projector_config", "n_embed", 2048), ("projector_config", "input_dim", 1024),
        ("", "tile_tag", "1D"), ("", "global_view_pos", "tail"), ("", "candidate_resolutions", []),
        ("", "candidate_resolutions", [[384, 400]]), ("", "candidate_resolutions", [[0, 384]]),
    ],
)  # fmt: skip
def test_impossible_values(section: str, key: str, value: object) -> None:
    """The message names the key and the value first, then what is allowed."""
    values = official()
    (values[section] if section else values)[key] = value
    message = error_of(values)
    if key == "heads":  # one rule of two keys
        assert message == "vision_config.width = 1152: must divide by heads = 7"
    elif key == "candidate_resolutions":
        assert message.startswith(f"{key} = (")
    else:
        assert message.startswith(f"{section + '.' if section else ''}{key} = {value!r}: ")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"hidden_size": 36, "num_attention_heads": 8}, "hidden_size"),
        ({"hidden_size": 36, "num_attention_heads": 4}, "hidden_size"),  # heads of 9 cannot rotate in pairs
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"rope_scaling": RopeScaling("yarn", 2.0)}, "rope_scaling.type"),
    ],
)
def test_impossible_ordinary_attention(
    changes: dict[str, Any], key: str, make_config: Callable[..., VL2Config]
) -> None:
    with pytest.raises(ConfigError, match=f"^{key} = "):
        make_config("tiny", **changes)


def test_more_experts_than_the_best_groups_hold() -> None:
    values = official()
    values["language_config"] |= {"n_group": 24, "topk_group": 1}
    rule = "must be at most 3, the experts in topk_group = 1 groups"
    assert error_of(values) == f"language_config.num_experts_per_tok = 6: {rule}"


@pytest.mark.parametrize(
    ("scaling", "key"),
    [
        ({"factor": 2.0}, "type is missing"), ({"type": "yarn"}, "factor is missing"),
        ({"type": "dynamic", "factor": 2.0}, "type = 'dynamic'"), ({"type": "yarn", "factor": 0}, "factor = 0"),
        ({"type": "yarn", "factor": 2, "beta_slow": 0}, "beta_slow = 0"),
        ({"type": "yarn", "factor": float("inf")}, "factor = inf"),
        ({"type": "yarn", "factor": 2, "attn_factor": 1}, "attn_factor = 1: unknown key"),
    ],
)  # fmt: skip
def test_rope_scaling_is_checked(scaling: dict[str, Any], key: str) -> None:
    values = official()
    values["language_config"]["rope_scaling"] = scaling
    assert error_of(values).startswith(f"language_config.rope_scaling.{key}")


def test_missing_sections() -> None:
    values = official()
    del values["projector_config"]
    assert error_of(values) == "projector_config is missing"


def test_absent_keys_mean_the_published_defaults() -> None:
    """Base's file says nothing of latent ranks; Tiny's says greedy although the published class default is a typo."""
    language = read_config(OFFICIAL_BASE).language_config
    assert "kv_lora_rank" not in official()["language_config"]
    assert (language.kv_lora_rank, language.num_hidden_layers, language.num_attention_heads) == (512, 30, 32)


@pytest.mark.parametrize("kind", [None, "llava", "deepseek_v2"])
def test_other_model_types(kind: str | None) -> None:
    values = official()
    values["model_type"] = kind
    assert error_of(values) == f'model_type = {kind!r}: expected "deepseek_vl_v2"'


OCR_SIGNS: list[dict[str, Any]] = [
    {"architectures": ["DeepseekOCRForCausalLM"]},
    {"projector_config": {"projector_type": "linear", "input_dim": 2048, "n_embed": 1280}},
    {"vision_config": {"model_name": "deeplip_b_l", "model_type": "vision"}},
    {"vision_config": {"width": {"clip-l-14-224": {}, "sam_vit_b": {}}, "image_size": 1024}},
]


@pytest.mark.parametrize("sign", OCR_SIGNS, ids=["architecture", "projector", "tower", "nested tower"])
def test_deepseek_ocr_is_refused(sign: dict[str, Any]) -> None:
    assert error_of({**official(), **sign}).startswith("this is a DeepSeek-OCR checkpoint")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SECTIONS = ("vision_config", "projector_config", "language_config")
KEYS = [("", "architectures"), ("language_config", "rope_scaling"), *(("", key) for key in official())]
KEYS += [(section, key) for section in SECTIONS for key in official()[section]]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KEYS), JSON), min_size=1, max_size=2))
@example([(("language_config", "rope_scaling"), {"\n": None})])
def test_fuzz(changes: list[tuple[tuple[str, str], Any]]) -> None:
    """Whatever a file says: a configuration that can be written and read again, or one clear error."""
    values = official()
    for (section, key), value in changes:
        target = values[section] if section else values
        if isinstance(target, dict):
            target[key] = value
    try:
        config = VL2Config.from_dict(values)
    except ConfigError as error:
        message = str(error)
    else:
        assert VL2Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config
        return
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "\xff\xfe", "[" * 100_000])
def test_files_that_are_no_configuration(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_errors_name_the_file(tmp_path: Path) -> None:
    values = official()
    values["language_config"]["vocab_size"] = -3
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path / "config.json")
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: language_config.vocab_size = -3: ")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "absent.json")
