"""Facts of a model from its configuration alone, against the published figures."""

from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vl2.config import PRESETS, VL2Config
from vl2.family import facts
from vl2.model.cache import CachedSequences
from vl2.model.vl2 import VL2

SIZE = (1024, 1024)


@pytest.mark.parametrize(
    ("name", "total", "language", "activated"),
    [
        ("tiny", 3_370_501_440, "0.574", "1.010"),
        ("small", 16_148_349_504, "2.451", "2.893"),
        ("base", 27_480_134_248, "4.124", "4.571"),
    ],
)
def test_published_parameters(name: str, total: int, language: str, activated: str) -> None:
    """SPEC A7: stored ones exactly, activated ones in billions."""
    found = facts(PRESETS[name], SIZE)
    assert found.total_params == total
    assert found.weight_bytes == 2 * total
    assert f"{found.activated_params_language / 1e9:.3f}" == language
    assert f"{found.activated_params / 1e9:.3f}" == activated


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [("tiny", 12 * 2 * 1280 * 2), ("small", 27 * 576 * 2), ("base", 30 * 576 * 2), ("nano", 6 * 144 * 2)],
)
def test_cache_bytes(name: str, bytes_per_token: int) -> None:
    """Keys and values of every head, or 512 + 64 latent numbers, in each layer."""
    found = facts(PRESETS[name], SIZE)
    assert found.kv_bytes_per_token == bytes_per_token
    context = PRESETS[name].language_config.max_position_embeddings
    assert found.memory_bytes_bf16 == found.weight_bytes + context * bytes_per_token


@pytest.mark.parametrize("kind", ["tiny", "small"])
def test_cache_bytes_are_what_the_cache_takes(kind: str, make_config: Callable[..., VL2Config]) -> None:
    config = make_config(kind)
    cache = CachedSequences(config.language_config, 2, 10, "cpu", torch.bfloat16)
    assert cache._values.nbytes == 20 * facts(config, SIZE).kv_bytes_per_token


@pytest.mark.parametrize(
    ("size", "canvas", "tiles", "tokens"),
    [
        ((100, 100), (384, 384), 2, 421),
        ((385, 384), (768, 384), 3, 617),
        ((640, 480), (768, 768), 5, 1023),
        ((1280, 720), (1536, 768), 9, 1807),
        ((720, 1280), (768, 1536), 9, 1835),
        ((300, 3000), (384, 3072), 9, 1891),
        ((1024, 1024), (1152, 1152), 10, 2017),
    ],
)
def test_image_tokens(size: tuple[int, int], canvas: tuple[int, int], tiles: int, tokens: int) -> None:
    """SPEC D, for a size given as width and height."""
    found = facts(PRESETS["tiny"], size)
    assert (found.image_size, found.canvas, found.tiles, found.image_tokens) == (size, canvas, tiles, tokens)


def test_operations_of_the_tower() -> None:
    """27 blocks of 12 W^2-like matrices over 729 patches: about 0.7 TFLOP a tile at 2 per multiply and add."""
    one, two = facts(PRESETS["tiny"], (384, 384)), facts(PRESETS["tiny"], (768, 384))
    per_tile = one.image_flops / 2
    assert two.image_flops == pytest.approx(3 * per_tile)
    assert 0.6e12 < per_tile < 0.75e12


def test_operations_of_the_tower_as_torch_counts_them() -> None:
    """Products only; ours also counts biases and norms, under one percent. The pooling head must not be in it."""
    with torch.device("meta"):
        model = VL2(PRESETS["tiny"])
        with FlopCounterMode(display=False) as counter:
            model.encode_tiles(torch.empty(1, 3, 384, 384))
    per_tile = facts(PRESETS["tiny"], (384, 384)).image_flops / 2
    assert counter.get_total_flops() <= per_tile <= 1.01 * counter.get_total_flops()


@pytest.mark.parametrize("name", list(PRESETS))
def test_operations_of_the_language_model(name: str) -> None:
    """Two per activated parameter and token, and the attention scores and sums on top."""
    config = PRESETS[name]
    found = facts(config, SIZE)
    language = config.language_config
    matrices = found.activated_params_language - language.vocab_size * language.hidden_size
    products = 2 * matrices * found.image_tokens
    widths = language.head_dim + (language.v_head_dim if language.use_mla else language.head_dim)
    scores = language.num_hidden_layers * language.num_attention_heads * widths * found.image_tokens**2
    assert found.prefill_flops == products + scores


def test_activated_parameters_by_hand(make_config: Callable[..., VL2Config]) -> None:
    """Counted on a built model: everything except the head, the tower's part added, and experts beyond the top k."""
    config = make_config("base")
    with torch.device("meta"):
        model = VL2(config)
    count = {name: parameter.numel() for name, parameter in model.named_parameters()}
    routed = sum(n for name, n in count.items() if ".experts.gate_up" in name or ".experts.down" in name)
    language = sum(n for name, n in count.items() if name.startswith("language.")) - count["language.lm_head.weight"]
    rest = sum(n for name, n in count.items() if name.startswith(("vision.", "projector.")))
    found = facts(config, (38, 38))
    assert found.total_params == sum(count.values())
    assert found.activated_params_language == language - routed + routed * 2 // 6
    assert found.activated_params == found.activated_params_language + rest


def test_a_dense_model_activates_everything(make_config: Callable[..., VL2Config]) -> None:
    config = make_config("tiny", n_routed_experts=None)
    found = facts(config, (38, 38))
    language = config.language_config
    edges = 2 * language.hidden_size  # newline and separator
    assert found.total_params - found.activated_params == language.vocab_size * language.hidden_size + edges


def test_everything_is_a_plain_number() -> None:
    """`vl2 info --json` prints exactly these."""
    values = asdict(facts(PRESETS["nano"], SIZE))
    wanted = "total_params activated_params_language activated_params kv_bytes_per_token image_tokens weight_bytes"
    assert set(wanted.split()) <= set(values)
    assert all(isinstance(values[key], int) for key in wanted.split())
