"""Decoding with the cache against one full pass, and packed sequences against each alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vl2.config import RopeScaling
from vl2.model.cache import CachedSequences, PackedSequences
from vl2.model.vl2 import VL2

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny": ("tiny", {}),
    "grouped queries": ("tiny", {"num_key_value_heads": 2, "attention_bias": True}),
    "one key head": ("tiny", {"num_key_value_heads": 1}),
    "small": ("small", {}),
    "base": ("base", {"q_lora_rank": 12}),
    "yarn": ("small", {"rope_scaling": RopeScaling("yarn", 8.0, 16, mscale=0.7, mscale_all_dim=0.7)}),
}


@pytest.fixture(scope="module", params=list(CASES))
def model(request: pytest.FixtureRequest, make_model: Callable[..., VL2]) -> VL2:
    kind, changes = CASES[request.param]
    return make_model(kind, 3, **changes)


def embeddings(model: VL2, lengths: list[int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [model.language.embed_tokens(torch.randint(0, 352, (n,), generator=generator)) for n in lengths]


def full_pass(model: VL2, sequences: list[Tensor]) -> list[Tensor]:
    lengths = [len(x) for x in sequences]
    positions = torch.cat([torch.arange(n) for n in lengths])
    hidden, _ = model(torch.cat(sequences), positions, PackedSequences.of_lengths(lengths, "cpu"))
    return list(model.logits(hidden).split(lengths))


def new_cache(model: VL2, sequences: int, capacity: int) -> CachedSequences:
    return CachedSequences(model.config.language_config, sequences, capacity, "cpu", torch.float32)


def cached_pass(model: VL2, sequences: list[Tensor], steps: list[list[int]], capacity: int) -> list[Tensor]:
    """steps[i][s] tokens of sequence s in step i."""
    cache = new_cache(model, len(sequences), capacity)
    done = [0] * len(sequences)
    out: list[list[Tensor]] = [[] for _ in sequences]
    for counts in steps:
        x = torch.cat([seq[d : d + n] for seq, d, n in zip(sequences, done, counts, strict=True)])
        hidden, _ = model(x, cache.begin_step(counts), cache)
        for s, part in enumerate(model.logits(hidden).split(counts)):
            out[s].append(part)
        done = [d + n for d, n in zip(done, counts, strict=True)]
    assert cache.lengths == done == [len(x) for x in sequences]
    return [torch.cat(parts) for parts in out]


@st.composite
def schedules(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    """Lengths of one to three sequences and steps that bring all their tokens, a few at a time, some none."""
    lengths = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    left, steps = list(lengths), []
    while any(left):
        counts = [draw(st.integers(0, n)) for n in left]
        if not any(counts):
            counts = [min(1, n) for n in left]
        steps.append(counts)
        left = [n - c for n, c in zip(left, counts, strict=True)]
    return lengths, steps


@settings(max_examples=25, deadline=None, derandomize=True)
@given(schedules(), st.integers(0, 1000), st.integers(0, 20))
def test_any_schedule_equals_one_full_pass(
    model: VL2, schedule: tuple[list[int], list[list[int]]], seed: int, spare: int
) -> None:
    lengths, steps = schedule
    sequences = embeddings(model, lengths, seed)
    for got, expected in zip(
        cached_pass(model, sequences, steps, max(lengths) + spare), full_pass(model, sequences), strict=True
    ):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 1000))
def test_packed_equals_each_alone(model: VL2, lengths: list[int], seed: int) -> None:
    sequences = embeddings(model, lengths, seed)
    for packed, sequence in zip(full_pass(model, sequences), sequences, strict=True):
        torch.testing.assert_close(packed, full_pass(model, [sequence])[0], atol=1e-4, rtol=0)


def test_neighbours_change_nothing(model: VL2) -> None:
    """While prefilling and while decoding, up to the rounding of expert products whose row counts change."""
    first, other, late = embeddings(model, [9, 7, 8], 5)
    steps = [[0, 4], [5, 0], [1, 1], [3, 2]]
    together = cached_pass(model, [first, other], steps, 16)
    changed = cached_pass(model, [first, late[:7]], steps, 16)
    torch.testing.assert_close(together[0], changed[0], atol=1e-5, rtol=0)
    assert not together[1].allclose(changed[1], atol=1e-2)


def test_later_tokens_change_nothing(model: VL2) -> None:
    """Causal: up to the rounding of expert products whose row counts change."""
    (x,) = embeddings(model, [14], 6)
    changed = torch.cat([x[:9], x[:5]])
    torch.testing.assert_close(full_pass(model, [x])[0][:9], full_pass(model, [changed])[0][:9], atol=1e-5, rtol=0)
    assert not full_pass(model, [x])[0][9:].allclose(full_pass(model, [changed])[0][9:], atol=1e-3)


def test_prefill_of_a_late_prompt_is_that_of_the_prompt_alone(model: VL2) -> None:
    """In bfloat16 too, where the two forms of latent attention differ: neighbours do not choose between them."""
    half = VL2(model.config).to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.requires_grad_(False)
    first, second = embeddings(half, [6, 9], 7)
    alone = new_cache(half, 1, 16)
    expected, _ = half(second, alone.begin_step([9]), alone)
    shared = new_cache(half, 2, 16)
    half(first, shared.begin_step([6, 0]), shared)
    got, _ = half(second, shared.begin_step([0, 9]), shared)
    assert got.equal(expected)


def test_capacity(model: VL2) -> None:
    cache = new_cache(model, 2, 4)
    (x,) = embeddings(model, [4], 8)
    model(x, cache.begin_step([0, 4]), cache)
    with pytest.raises(ValueError, match=r"sequence 1: 4 cached \+ 1 new tokens exceed the capacity 4"):
        cache.begin_step([0, 1])
    assert cache.lengths == [0, 4]  # the refused step left nothing behind


def test_cache_holds_what_the_configuration_says(model: VL2) -> None:
    config = model.config.language_config
    cache = new_cache(model, 2, 10)
    assert cache._values.numel() == config.kv_values_per_token * config.num_hidden_layers * 20
