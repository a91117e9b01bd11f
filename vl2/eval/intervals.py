"""How sure a number is: intervals of one run, and whether two runs on the same records differ.

    right or wrong   --wilson-->            interval of a share          both runs --mcnemar-->           p
    any other score  --bootstrap_ratio-->   interval of a mean or rate   both runs --paired_bootstrap-->  interval, p

The trap: records answered by both runs are paired. Two overlapping intervals do not show that runs are equal; the
paired tests do not look at records on which both agree, and see far smaller differences.
"""

import math
from collections.abc import Sequence

import numpy as np

_Z = 1.959963984540054  # of the standard normal distribution, for 95 %


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share (Wilson 1927); of no trials at all it is 0 to 1."""
    if not 0 <= successes <= trials:
        raise ValueError(f"successes = {successes}: expected 0 to {trials}, the number of trials")
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, _Z * _Z / trials
    centre = share + square / 2
    spread = _Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return max(0.0, (centre - spread) / (1 + square)), min(1.0, (centre + spread) / (1 + square))


def bootstrap_ratio(
    numerators: Sequence[float], denominators: Sequence[float], *, seed: int, resamples: int
) -> tuple[float, float]:
    """95 % percentile interval of sum(numerators) / sum(denominators), records drawn with replacement."""
    top, bottom = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    rng = np.random.default_rng(seed)
    values = np.empty(resamples)
    for i in range(resamples):
        picks = rng.integers(len(top), size=len(top))
        values[i] = top[picks].sum() / max(bottom[picks].sum(), 1)
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p of McNemar's test.

    Args:
        only_first, only_second: records that only the one run got right; those on which both agree do not matter.
    """
    flips = only_first + only_second
    if flips == 0:
        return 1.0
    tail = sum(math.comb(flips, k) for k in range(min(only_first, only_second) + 1))
    # Integers, since 2**flips is beyond any float from 1024 flips on.
    return min(1.0, (2 * tail << 64) // (1 << flips) / 2**64)


def paired_bootstrap(
    first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]], *, seed: int = 0, resamples: int = 2000
) -> tuple[float, float, float]:
    """95 % interval of the second run's value minus the first's, and a two-sided p.

    Args:
        first, second: (numerator, denominator) of every record, in the same order.

    Returns: low, high, p. p is twice the share of resamples on the rarer side of zero, with ties on both.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"first, second: {len(first)} and {len(second)} records; expected the same, at least one")
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    rng = np.random.default_rng(seed)
    differences = np.empty(resamples)
    for i in range(resamples):
        picks = rng.integers(len(a), size=len(a))
        sums = a[picks].sum(0), b[picks].sum(0)
        differences[i] = sums[1][0] / max(sums[1][1], 1) - sums[0][0] / max(sums[0][1], 1)
    low, high = np.percentile(differences, [2.5, 97.5])
    rarer = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(low), float(high), min(1.0, 2 * (int(rarer) + 1) / (resamples + 1))
