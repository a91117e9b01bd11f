"""Choice of tokens: hash and distribution of the reference, and the Triton kernels against it.

Without a GPU the kernels run in test_interpreter.py.
"""

import math
from collections.abc import Iterator

import pytest
import torch

from vl2.kernels import choose as kernels
from vl2.kernels.launch import can_run

MASK = 0xFFFFFFFF
OPTIONS = [  # temperature, top_k, top_p
    (0.0, 0, 1.0), (1.0, 0, 1.0), (0.7, 5, 1.0), (1.3, 0, 0.9), (2.0, 40, 0.5), (1.0, 1, 1.0), (1.0, 0, 1e-30),
    (2.0**-126, 0, 1.0), (2.0**126, 0, 1.0), (0.0, 3, 0.3), (1.0, 2**31 - 1, 0.999), (5.0, 700, 0.99),
]  # fmt: skip


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def arguments(options: list[tuple[float, int, float]], seed: int, device: str = "cpu") -> tuple[torch.Tensor, ...]:
    """Rows of temperature_S, top_k_S, top_p_S, seed_S, position_S; seeds of all 64 bits."""
    generator = torch.Generator().manual_seed(seed)
    temperature, top_k, top_p = zip(*options, strict=True)
    seeds = torch.randint(-(2**63), 2**63 - 1, (len(options),), generator=generator)
    rows = (
        torch.tensor(temperature), torch.tensor(top_k, dtype=torch.int32), torch.tensor(top_p), seeds,
        torch.randint(0, 5000, (len(options),), generator=generator),
    )  # fmt: skip
    return tuple(row.to(device) for row in rows)


def draw(logits: torch.Tensor, count: int, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> list[int]:
    """What `count` requests of different seeds say first."""
    rows = [torch.full((count,), value) for value in (temperature, top_k, top_p)]
    rows += [torch.arange(count), torch.zeros(count, dtype=torch.int64)]
    return kernels.choose_reference(logits.expand(count, -1), *rows).tolist()


def assert_same_tokens(logits: torch.Tensor, rows: tuple[torch.Tensor, ...]) -> list[int]:
    assert can_run(logits)
    got = kernels.choose(logits, *rows)
    assert got.dtype == torch.int64
    assert got.tolist() == kernels.choose_reference(logits, *rows).tolist()
    return got.tolist()


def test_uniform_is_the_hash_that_it_says() -> None:
    """Written out in unsigned integers."""

    def mixed(x: int) -> int:
        x = (x ^ x >> 16) * 0x21F0AAAD & MASK
        x = (x ^ x >> 15) * 0xD35A2D97 & MASK
        return x ^ x >> 15

    for seed, position in ((0, 0), (2**63 + 12345678901, 77), (-5, 2**31 - 1)):
        low, high = seed & MASK, seed >> 32 & MASK
        first, second = (mixed(mixed(mixed(x) + high & MASK) + position & MASK) for x in (low, low ^ 0x3C6EF372))
        expected = [mixed(mixed(token + first & MASK) ^ second) for token in range(3000)]
        got = kernels.uniform(seed, position, 3000)
        assert got.equal(((torch.tensor(expected).float() + 0.5) / 2**32).clamp_max(1 - 2**-24))


def test_uniform_is_uniform_and_independent() -> None:
    """Over tokens; across neighbouring positions and seeds, of which each bit must tell."""
    count = 1 << 16
    base = kernels.uniform(0, 0, count)
    assert base.min() > 0
    assert base.max() < 1
    shares = torch.histc(base, 64, 0, 1) / count * 64
    assert (shares - 1).abs().max() < 5 * math.sqrt(64 / count)
    others = [kernels.uniform(1 << bit, 0, count) for bit in range(0, 64, 7)]
    others += [kernels.uniform(0, position, count) for position in (1, 2, 3, 1 << 16)]
    correlations = torch.corrcoef(torch.stack([base, base.roll(1), base.roll(2), *others])) - torch.eye(len(others) + 3)
    assert correlations.abs().max() < 5 / math.sqrt(count)


def test_no_sequence_repeats_the_noise_of_another() -> None:
    """Not moved along either: numbers that occur in two rows are as rare as chance makes them."""
    rows = torch.stack([kernels.uniform(seed, position, 4096) for seed in range(8) for position in range(8)])
    bits = (rows * 2**32).long().flatten()
    assert len(bits) - len(bits.unique()) < 0.02 * len(bits)


@pytest.mark.parametrize(
    ("options", "kept"),
    [({}, 6), ({"temperature": 0.6}, 6), ({"top_k": 3}, 3), ({"top_p": 0.8}, 3), ({"top_k": 4, "top_p": 0.73}, 2)],
)
def test_frequencies(options: dict, kept: int) -> None:
    logits = torch.tensor([0.5, 2.0, 1.5, -1.0, 0.9, 0.0])
    largest = logits >= logits.sort().values[-kept]
    expected = (logits / options.get("temperature", 1.0)).masked_fill(~largest, -math.inf).softmax(-1)
    count = 4000
    shares = torch.bincount(torch.tensor(draw(logits, count, **options)), minlength=6) / count
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / count).sqrt()).all()


def test_a_large_vocabulary_is_drawn_from_evenly() -> None:
    """The largest of many noises is what counts: their tail must be fine. A likely token keeps its share, too."""
    logits = torch.zeros(20_000)
    logits[7] = math.log(20_000)
    tokens = draw(logits, 1500)
    assert abs(tokens.count(7) / 1500 - 0.5) < 5 * math.sqrt(0.25 / 1500)
    others = [token for token in tokens if token != 7]
    assert len(set(others)) > 0.95 * len(others)
    assert abs(sum(others) / len(others) / 20_000 - 0.5) < 5 * math.sqrt(1 / 12 / len(others))


def test_equal_logits_stay_together() -> None:
    logits = torch.tensor([1.0, 2.0, 0.0, 2.0, 1.0, 1.0])
    assert set(draw(logits, 200, top_k=1)) == {1, 3}
    assert set(draw(logits, 400, top_k=3)) == {0, 1, 3, 4, 5}
    assert set(draw(logits, 200, top_p=0.1)) == {1, 3}
    assert set(draw(logits, 20, temperature=0.0)) == {1}


@pytest.mark.parametrize("spread", [0.01, 3.0, 30.0])
def test_top_p_needs_no_complete_sort(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(20, 3000, generator=torch.Generator().manual_seed(0)) * spread
    rows = arguments([(1.0, 0, 0.9), (1.0, 900, 0.99)] * 10, 1)
    expected = kernels.choose_reference(logits, *rows)
    monkeypatch.setattr(kernels, "_SORT_FIRST", 3)
    assert kernels.choose_reference(logits, *rows).equal(expected)


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0**-126])
def test_what_is_not_finite_is_survived(temperature: float) -> None:
    inf, nan = math.inf, math.nan
    assert set(draw(torch.tensor([nan, 1.0, -inf]), 20, temperature)) == {1}
    assert set(draw(torch.tensor([0.0, inf, 3e38]), 20, temperature)) == {1}
    for nothing in (-inf, nan):
        assert set(draw(torch.full((3,), nothing), 20, temperature, top_k=2, top_p=0.5)) <= {0, 1, 2}


@pytest.mark.parametrize("vocab", [1, 7, 2048, 9001])
def test_kernels_choose_what_the_reference_chooses(vocab: int, triton_device: str) -> None:
    for number, spread in enumerate((0.5, 4.0, 100.0)):
        generator = torch.Generator().manual_seed(vocab + number)
        wide = torch.randn(len(OPTIONS), vocab + 3, generator=generator) * spread
        assert_same_tokens(wide.to(triton_device)[:, :vocab], arguments(OPTIONS, number, triton_device))


def test_kernels_with_ties_and_a_single_row(triton_device: str) -> None:
    """Logits of few values, zeros of both signs among them."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randint(-3, 3, (len(OPTIONS), 5000), generator=generator) * 0.5).to(triton_device)
    logits[:, ::2] *= -1
    rows = arguments(OPTIONS, 5, triton_device)
    together = assert_same_tokens(logits, rows)
    for row in range(len(OPTIONS)):
        alone = tuple(argument[row : row + 1] for argument in rows)
        assert assert_same_tokens(logits[row : row + 1], alone) == together[row : row + 1]
    zeros = torch.tensor([[-1.0, -0.0, 0.0, -0.0]] * 40, device=triton_device)
    few = arguments([(1.0, 1, 1.0), (1.0, 0, 0.1)] * 20, 6, triton_device)
    assert set(assert_same_tokens(zeros, few)) == {1, 2, 3}


def test_kernels_with_what_is_not_finite(triton_device: str) -> None:
    inf, nan = math.inf, math.nan
    logits = torch.zeros(6 * len(OPTIONS), 3000, device=triton_device)
    logits[:, 1::3] = torch.randn(1000, generator=torch.Generator().manual_seed(0)).to(triton_device)
    kinds = logits.view(len(OPTIONS), 6, 3000)
    kinds[:, 0, 5:2900] = -inf
    kinds[:, 1, 1000:] = nan
    kinds[:, 2] = -inf
    kinds[:, 3] = nan
    kinds[:, 4, [3, 2999]] = inf
    kinds[:, 5, 17] = 3e38
    rows = arguments([options for options in OPTIONS for _ in range(6)], 7, triton_device)
    assert all(0 <= token < 3000 for token in assert_same_tokens(logits, rows))


def test_kernels_without_rows(triton_device: str) -> None:
    empty = torch.zeros(0, 9, device=triton_device)
    assert kernels.choose(empty, *(row[:0] for row in arguments(OPTIONS, 0, triton_device))).shape == (0,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a graph needs a GPU")
def test_kernels_in_a_graph() -> None:
    """Nothing waits for the device, and what changes between replays is seen."""
    logits = torch.randn(len(OPTIONS), 129_280, device="cuda") * 3
    rows = arguments(OPTIONS, 1, "cuda")
    assert_same_tokens(logits, rows)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        tokens = kernels.choose(logits, *rows)
    for _ in range(5):
        logits.normal_(0, 3)
        rows[-1].add_(1)
        graph.replay()
        assert tokens.equal(kernels.choose_reference(logits, *rows))
