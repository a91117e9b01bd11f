"""Intervals and paired tests: tabulated values, and brute force on small cases."""

from itertools import product
from math import comb

import numpy as np
import pytest

from vl2.eval.intervals import bootstrap_ratio, mcnemar, paired_bootstrap, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_wilson_at_the_ends() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(20, 20)[1] == 1.0
    with pytest.raises(ValueError, match="successes = 3: expected 0 to 2"):
        wilson(3, 2)


def test_mcnemar_against_all_coin_flips() -> None:
    for first, second in [(0, 0), (0, 1), (1, 1), (0, 5), (3, 9), (2, 6), (7, 7)]:
        flips = first + second
        likely = [comb(flips, k) for k in range(flips + 1)]
        as_rare = sum(p for p in likely if p <= likely[first]) / 2**flips
        assert mcnemar(first, second) == pytest.approx(min(1.0, as_rare))
        assert mcnemar(first, second) == mcnemar(second, first)
    assert 0 < mcnemar(2000, 2300) < 1e-4  # beyond any float on the way


def test_paired_bootstrap_against_every_resample() -> None:
    first = [(1, 1), (0, 1), (0, 1), (1, 1)]
    second = [(1, 1), (1, 1), (0, 1), (1, 1)]
    pairs = list(zip(first, second, strict=True))
    all_resamples = [sum(b[0] - a[0] for a, b in picks) / 4 for picks in product(pairs, repeat=4)]
    low, high, p = paired_bootstrap(first, second, resamples=20_000)
    assert (low, high) == pytest.approx(tuple(np.percentile(all_resamples, [2.5, 97.5])), abs=0.01)
    ties = sum(d <= 0 for d in all_resamples) / len(all_resamples)
    assert p == pytest.approx(min(1, 2 * ties), abs=0.02)


def test_paired_bootstrap_is_fixed_and_sees_what_is_paired() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    first = [(float(h), 1.0) for h in hard]
    second = [(float(h) + 0.01, 1.0) for h in hard]  # always a little better: unpaired intervals would overlap
    low, high, p = paired_bootstrap(first, second)
    assert low == pytest.approx(0.01)
    assert high == pytest.approx(0.01)
    assert p < 0.01
    assert paired_bootstrap(first, second) == (low, high, p)
    assert paired_bootstrap(first, first)[2] == 1.0
    with pytest.raises(ValueError, match="4 and 3 records"):
        paired_bootstrap(first[:4], second[:3])


def test_bootstrap_of_a_rate_weighs_records() -> None:
    low, high = bootstrap_ratio([1, 0, 5], [10, 10, 10], seed=0, resamples=500)
    assert 0 <= low < 0.2 < high <= 0.5
