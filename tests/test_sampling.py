"""How the next token is chosen."""

import math
from collections import Counter
from typing import Any

import pytest
import torch

from vl2.kernels.choose import choose_reference
from vl2.sampling import Sampler, SamplingError, SamplingParams, on_device

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0, 0.5])


def draws(count: int, logits: torch.Tensor = LOGITS, **options: Any) -> Counter[int]:
    sampler = Sampler(SamplingParams(**{"temperature": 1.0, "seed": 0, **options}), [])
    return Counter(sampler.choose(logits) for _ in range(count))


def test_greedy_takes_the_largest_and_is_the_default() -> None:
    assert SamplingParams().temperature == 0
    assert SamplingParams().repetition_penalty == 1  # a penalty damages boxes, which repeat digits by nature
    assert draws(5, temperature=0.0) == {1: 5}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_follows_the_softmax(temperature: float) -> None:
    counts = draws(4000, temperature=temperature)
    for token, probability in enumerate((LOGITS / temperature).softmax(-1).tolist()):
        spread = math.sqrt(probability * (1 - probability) / 4000)
        assert abs(counts[token] / 4000 - probability) < 5 * spread


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-300])
def test_tiny_temperatures_do_not_overflow(temperature: float) -> None:
    assert draws(20, temperature=temperature) == {1: 20}
    assert set(draws(200, torch.tensor([2.0, 2.0, 1.0]), temperature=temperature)) == {0, 1}


def test_top_k() -> None:
    assert set(draws(500, top_k=2)) == {1, 2}
    assert draws(50, top_k=1) == {1: 50}
    assert set(draws(2000, top_k=99)) == {0, 1, 2, 3, 4}


def test_top_p_is_the_smallest_set_that_reaches_it() -> None:
    first, second = LOGITS.softmax(-1).sort(descending=True).values[:2].tolist()
    assert set(draws(500, top_p=first - 0.01)) == {1}
    assert set(draws(500, top_p=first + 0.01)) == {1, 2}
    assert set(draws(500, top_p=first + second + 0.01)) == {1, 2, 0}
    assert draws(50, top_p=1e-9) == {1: 50}


def test_top_p_counts_what_top_k_left() -> None:
    """Token 1 holds 0.73 of the two kept ones but 0.61 of all."""
    assert set(draws(500, top_k=2, top_p=0.7)) == {1}
    assert set(draws(500, top_p=0.7)) == {1, 2}


def test_seed() -> None:
    def sequence(seed: int | None) -> list[int]:
        sampler = Sampler(SamplingParams(temperature=2.0, seed=seed), [])
        return [sampler.choose(LOGITS) for _ in range(40)]

    assert sequence(7) == sequence(7)
    assert sequence(7) != sequence(8)
    assert sequence(None) != sequence(None)


def test_seed_does_not_touch_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    draws(3, seed=5)
    assert torch.get_rng_state().equal(before)


def test_top_p_stops_where_it_is_reached() -> None:
    """The first token holds exactly one half and alone reaches 0.5; equal ones stay together."""
    logits = torch.tensor([0.0, -math.log(2), -math.log(2)])
    assert logits.exp().tolist() == [1.0, 0.5, 0.5]
    assert set(draws(50, logits, top_p=0.5)) == {0}
    assert set(draws(50, torch.tensor([0.0, 0.0, -1e9]), top_p=0.5)) == {0, 1}


@pytest.mark.parametrize("temperature", [0.0, 1e-300, 0.8, 1e300])
@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (10**12, 0.9), (20, 1e-300)])
@pytest.mark.parametrize("seed", [3, 2**64 - 1, None])
def test_choose_of_the_kernels_says_the_same(temperature: float, top_k: int, top_p: float, seed: int | None) -> None:
    """From a Sampler's draw and position, whatever the request asks for."""
    sampler = Sampler(SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed), [])
    assert 0 <= sampler.seed < 2**64
    again = Sampler(SamplingParams(temperature=temperature, top_k=top_k, top_p=top_p, seed=sampler.seed), [])
    logits = torch.randn(12, 50, generator=torch.Generator().manual_seed(1))
    dtypes = (torch.float32, torch.int32, torch.float32, torch.int64)
    rows = [torch.tensor([value] * 12, dtype=dtype) for value, dtype in zip(sampler.draw, dtypes, strict=True)]
    rows.append(torch.arange(12))
    expected = choose_reference(logits, *rows).tolist()
    assert [sampler.choose(row) for row in logits] == expected
    assert sampler.position == 12
    again.position = 4  # the first were chosen elsewhere
    assert [again.choose(row) for row in logits[4:]] == expected[4:]


def test_what_the_device_can_choose() -> None:
    assert on_device(SamplingParams(temperature=1.0, top_k=3, top_p=0.5, seed=1))
    assert not on_device(SamplingParams(repetition_penalty=1.1))
    assert not on_device(SamplingParams(logprobs=0))


def test_repetition_penalty() -> None:
    """Positive logits are divided, negative ones multiplied; prompt and answer both count; once, however often said."""
    sampler = Sampler(SamplingParams(repetition_penalty=2.0), [1, 1])
    assert sampler.choose(torch.tensor([1.0, 3.9, 2.0])) == 2  # 1: 3.9 / 2 = 1.95
    assert sampler.choose(torch.tensor([1.1, 3.9, 2.0])) == 1  # 2 has been said: 2.0 / 2
    assert sampler.choose(torch.tensor([-1.5, -1.0, -1.0])) == 0  # the others: -2
    assert Sampler(SamplingParams(repetition_penalty=2.0), [0]).choose(torch.tensor([0.0, -0.1])) == 0
    assert Sampler(SamplingParams(), [1, 1]).choose(torch.tensor([1.0, 3.9, 3.8])) == 1


def test_logits_are_left_as_they_were() -> None:
    logits = LOGITS.clone()
    Sampler(SamplingParams(repetition_penalty=3.0, temperature=1.0, top_k=2, top_p=0.5), [0, 1, 2]).choose(logits)
    assert logits.equal(LOGITS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1), ("temperature", math.nan), ("temperature", math.inf), ("top_p", 0.0), ("top_p", 1.1),
        ("top_p", math.nan), ("top_k", -1), ("repetition_penalty", 0.0), ("repetition_penalty", math.inf),
        ("repetition_penalty", math.nan), ("repetition_penalty", 1e-7), ("repetition_penalty", 1e7), ("seed", -1),
        ("seed", 2**64), ("max_tokens", 0), ("stop", "one string"), ("stop", ("a", "")),
    ],
)  # fmt: skip
def test_options_out_of_range(name: str, value: object) -> None:
    with pytest.raises(SamplingError, match=f"^{name} = ") as caught:
        SamplingParams(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)
