"""Expert products against a loop over rows."""

import shutil

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.kernels.grouped_mm import grouped_mm, grouped_mm_reference, in_order


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any), st.integers(0, 1000))
def test_grouped_mm(counts: list[int], seed: int) -> None:
    """Experts without rows included."""
    generator = torch.Generator().manual_seed(seed)
    x, w = torch.randn(sum(counts), 6, generator=generator), torch.randn(len(counts), 5, 6, generator=generator)
    owner = [expert for expert, count in enumerate(counts) for _ in range(count)]
    expected = torch.stack([w[expert] @ row for expert, row in zip(owner, x, strict=True)])
    for product in (grouped_mm, grouped_mm_reference):
        torch.testing.assert_close(product(x, w, torch.tensor(counts)), expected, atol=1e-5, rtol=0)


def test_gradients() -> None:
    """An expert without rows learns nothing, the others what a plain product gives."""
    counts = torch.tensor([2, 0, 1])
    x, w = torch.randn(3, 4, requires_grad=True), torch.randn(3, 5, 4, requires_grad=True)
    grouped_mm(x, w, counts).sum().backward()
    assert w.grad is not None
    assert x.grad is not None
    assert w.grad[1].eq(0).all()
    torch.testing.assert_close(w.grad[0], x[:2].sum(0).expand(5, -1))
    torch.testing.assert_close(x.grad[2], w[2].sum(0))


def test_autocast_computes_in_its_dtype() -> None:
    x, w = torch.randn(3, 4), torch.randn(1, 5, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert grouped_mm(x, w, torch.tensor([3])).dtype == torch.bfloat16
    assert grouped_mm(x, w, torch.tensor([3])).dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the grouped kernel needs a CUDA device")
def test_cuda_kernel_equals_reference() -> None:
    counts = torch.tensor([5, 0, 130, 1], device="cuda")
    x = torch.randn(136, 64, device="cuda", dtype=torch.bfloat16)
    w = torch.randn(4, 32, 64, device="cuda", dtype=torch.bfloat16)
    expected = grouped_mm_reference(x.float(), w.float(), counts)
    torch.testing.assert_close(grouped_mm(x, w, counts).float(), expected, atol=0.2, rtol=2e-2)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs g++ on a CPU")
def test_the_compiler_leaves_what_is_in_order_in_order() -> None:
    """torch's own product refuses weights of any other layout; without the operator the compiler hands it one."""
    stops = torch.tensor([3, 8], dtype=torch.int32)
    x, b = torch.randn(8, 16), torch.randn(24, 16, 2, requires_grad=True)

    def product(x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        w_EFR = in_order((b.permute(2, 0, 1) * 2).bfloat16())
        return F.grouped_mm(x.bfloat16(), w_EFR.transpose(-2, -1), offs=stops)

    outcomes = []
    for function in (product, torch.compile(product, dynamic=False, fullgraph=True)):
        got = function(x, b)
        (grad,) = torch.autograd.grad(got.float().square().sum(), b)
        outcomes.append((got, grad))
    torch.testing.assert_close(outcomes[1], outcomes[0])
    assert outcomes[0][1].abs().max() > 0
