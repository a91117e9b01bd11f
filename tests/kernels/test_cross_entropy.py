"""Cross-entropies and their gradients: the kernel against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from vl2.kernels.cross_entropy import cross_entropy, cross_entropy_reference
from vl2.kernels.launch import can_run


def made(rows: int, vocabulary: int, device: str, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(rows + vocabulary)
    wide = torch.randn(rows, vocabulary + 3, generator=generator) * 8
    targets = torch.randint(0, vocabulary, (rows,), generator=generator)
    weights = torch.rand(rows, generator=generator)
    return wide.to(device, dtype)[:, :vocabulary], targets.to(device), weights.to(device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("rows", "vocabulary"), [(1, 7), (3, 4096), (5, 5000), (2, 2048), (0, 11)])
def test_kernel(rows: int, vocabulary: int, dtype: torch.dtype, triton_device: str) -> None:
    logits, targets, weights = made(rows, vocabulary, triton_device, dtype)
    expected = logits.clone()
    losses = cross_entropy_reference(expected, targets, weights)
    with torch.no_grad():
        assert can_run(logits)
        got = cross_entropy(logits, targets, weights)
    torch.testing.assert_close(got, losses, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(logits, expected, atol=2e-6, rtol=1e-4 if dtype == torch.float32 else 2**-7)


def test_extreme_logits(triton_device: str) -> None:
    logits = torch.full((3, 9), -torch.inf, device=triton_device)
    logits[:, 2], logits[0, 5], logits[1, 5], logits[2, 5] = 0.0, 80.0, -1e30, 3e38
    targets = torch.full((3,), 2, device=triton_device)
    with torch.no_grad():
        losses = cross_entropy(logits, targets, torch.ones(3, device=triton_device))
    torch.testing.assert_close(losses.cpu(), torch.tensor([80.0, 0.0, 3e38]))
    assert logits.isfinite().all()


def test_reference_is_torchs() -> None:
    logits, targets, weights = made(6, 50, "cpu", torch.float32)
    wanted = logits.double().requires_grad_()
    losses = F.cross_entropy(wanted, targets, reduction="none")
    (gradient,) = torch.autograd.grad((losses * weights.double()).sum(), wanted)
    got = cross_entropy_reference(logits, targets, weights)
    torch.testing.assert_close(got.double(), losses.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits.double(), gradient, atol=1e-6, rtol=1e-4)
