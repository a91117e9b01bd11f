"""The Triton flash attention against its reference; without a GPU it runs in test_interpreter.py."""

import pytest
import torch
from torch import Tensor

from vl2.kernels.flash import attend_varlen, attend_varlen_reference, join_pieces

FRESH = [(1, 1), (37, 37), (64, 64)]
CONTINUED = [(1, 40), (33, 97), (2, 3)]
WIDTHS = [(128, 64, 128), (192, 0, 128), (128, 0, 128), (72, 0, 72), (48, 0, 32), (32, 16, 32), (64, 0, 64), (6, 4, 5)]


def offsets(counts: list[int]) -> Tensor:
    return torch.tensor([0, *counts]).cumsum(0).to(torch.int32)


def inputs(
    lengths: list[tuple[int, int]], heads: int, groups: int, widths: tuple[int, int, int], device: str,
    dtype: torch.dtype = torch.float32,
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor] | tuple[()]]:  # fmt: skip
    """q, k, v, offsets of queries and of keys; second pieces, if any. All lie within wider rows of NaN."""
    generator = torch.Generator().manual_seed(len(lengths) + sum(widths))

    def beside(*shape: int) -> Tensor:
        rows, heads, width = shape
        wide = torch.full((rows + 2, heads, width + 16), float("nan"))
        wide[1:-1, :, 8:-8] = torch.randn(shape, generator=generator)
        return wide.to(device, dtype)[1:-1, :, 8:-8]

    num_q, num_k = (sum(pair[i] for pair in lengths) for i in (0, 1))
    key, rope, value = widths
    q, k, v = beside(num_q, heads, key), beside(num_k, groups, key), beside(num_k, groups, value)
    starts_q, starts_k = (offsets([pair[i] for pair in lengths]).to(device) for i in (0, 1))
    return (q, k, v, starts_q, starts_k), (beside(num_q, heads, rope), beside(num_k, 1, rope)[:, 0]) if rope else ()


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is never written shows."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **options: empty(*args, **options).fill_(float("nan")))


@pytest.mark.parametrize(
    ("causal", "widths"), [*((True, widths) for widths in WIDTHS), (False, (72, 0, 72)), (False, (32, 16, 32))], ids=str
)
@pytest.mark.usefixtures("poisoned")
@torch.no_grad()
def test_attend_varlen(causal: bool, widths: tuple[int, int, int], triton_device: str) -> None:
    args, pieces = inputs(FRESH + CONTINUED, 4, 2, widths, triton_device)
    scale = (widths[0] + widths[1]) ** -0.5
    expected = attend_varlen_reference(*args, 64, scale, causal, *pieces)
    got = attend_varlen(*args, 99, scale, causal, *pieces)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("sizes", [(16, 64), (64, 16), (64, 64)])
@torch.no_grad()
def test_any_sizes(sizes: tuple[int, int], triton_device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More queries than keys at once and the other way round, and sequences without queries."""
    chosen = {"ROWS": sizes[0], "KEYS": sizes[1], "num_warps": 4, "num_stages": 1}
    monkeypatch.setattr("vl2.kernels.flash_triton.config", lambda *_: chosen)
    args, _ = inputs([(0, 5), *FRESH, (0, 0), *CONTINUED], 2, 2, (32, 0, 32), triton_device)
    expected = attend_varlen_reference(*args, 64, 0.3, True)
    torch.testing.assert_close(attend_varlen(*args, 64, 0.3, True), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_neighbours_do_not_leak(causal: bool, triton_device: str) -> None:
    """Keys and values of other sequences may be anything."""
    args, _ = inputs([(3, 3), (37, 50), (40, 40)], 2, 2, (32, 0, 32), triton_device)
    expected = attend_varlen_reference(*args, 40, 0.3, causal)
    for x in args[1:3]:
        x[:3], x[53:] = float("nan"), float("nan")
    got = attend_varlen(*args, 40, 0.3, causal)
    torch.testing.assert_close(got[3:40], expected[3:40], atol=1e-4, rtol=0)


def test_reference_is_plain_attention() -> None:
    args, pieces = inputs([(2, 2), (3, 7)], 4, 2, (8, 4, 6), "cpu")
    got = attend_varlen_reference(*args, 3, 0.4, True, *pieces)
    assert pieces
    q, k, v = (x.double() for x in (*join_pieces(*args[:2], *pieces), args[2]))
    for row, seen in zip(range(5), [range(1), range(2), range(2, 7), range(2, 8), range(2, 9)], strict=True):
        for head in range(4):
            keys, values = k[list(seen), head // 2], v[list(seen), head // 2]
            expected = ((keys @ q[row, head]) * 0.4).softmax(0) @ values
            torch.testing.assert_close(got[row, head].double(), expected, atol=1e-5, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the interpreter has no products of bfloat16")
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_half_precision(causal: bool, widths: tuple[int, int, int]) -> None:
    """With as few queries as choose the first sizes of the table, and with many."""
    few = [*FRESH, *CONTINUED]
    for lengths in (few, [*few, (1500, 1500), (300, 2000)]):
        args, pieces = inputs(lengths, 4, 2, widths, "cuda", torch.bfloat16)
        scale, most = (widths[0] + widths[1]) ** -0.5, max(count for count, _ in lengths)
        q, k, v = (x.float() for x in args[:3])
        exact_pieces = [x.float() for x in pieces] or [None, None]
        expected = attend_varlen_reference(q, k, v, *args[3:], most, scale, causal, *exact_pieces)
        got = attend_varlen(*args, most, scale, causal, *pieces)
        torch.testing.assert_close(got.float(), expected, atol=3e-2, rtol=0)
