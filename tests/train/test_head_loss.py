import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vl2.train.head_loss import head_loss

TARGETS, WIDTH, VOCABULARY = 50, 16, 400


def arguments(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(TARGETS, WIDTH, dtype=dtype, generator=generator).requires_grad_()
    head = torch.randn(VOCABULARY, WIDTH, dtype=dtype, generator=generator).requires_grad_()
    targets = torch.randint(0, VOCABULARY, (TARGETS,), generator=generator)
    return hidden, head, targets, torch.rand(TARGETS, dtype=dtype, generator=generator)


@pytest.mark.parametrize("rows", [1, 7, TARGETS, 1000])
def test_equals_cross_entropy_of_all_logits(rows: int) -> None:
    hidden, head, targets, weights = arguments(torch.float64)
    expected_L = F.cross_entropy(hidden @ head.T, targets, reduction="none")
    wanted = torch.autograd.grad(3 * (expected_L * weights).sum(), (hidden, head))
    total, losses_L = head_loss(hidden, head, targets, weights, 8 * rows * VOCABULARY)
    torch.testing.assert_close(losses_L, expected_L.detach())
    torch.testing.assert_close(total, (expected_L * weights).sum())
    torch.testing.assert_close(torch.autograd.grad(3 * total, (hidden, head)), wanted)
    assert not losses_L.requires_grad


def test_bfloat16_products_give_gradients_in_the_dtype_of_the_weights() -> None:
    hidden, head, targets, weights = arguments(torch.float32)
    expected = torch.autograd.grad((F.cross_entropy(hidden @ head.T, targets, reduction="none") * weights).sum(), head)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = head_loss(hidden, head, targets, weights)
    (grad,) = torch.autograd.grad(total, head)
    assert grad.dtype == torch.float32
    torch.testing.assert_close(grad, expected[0], atol=0.03, rtol=0.05)


def test_a_frozen_head_and_no_targets() -> None:
    hidden, head, targets, weights = arguments(torch.float32)
    total, _ = head_loss(hidden, head.detach(), targets, weights)
    total.backward()
    assert hidden.grad is not None
    assert head.grad is None
    total, losses_L = head_loss(hidden[:0], head, targets[:0], weights[:0])
    assert (float(total.detach()), len(losses_L)) == (0.0, 0)
    total.backward()
    assert head.grad is not None
    assert head.grad.abs().sum() == 0  # ranks without targets have a gradient, too


class Largest(TorchDispatchMode):
    """Remembers the most numbers that any tensor had."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return out


def test_logits_of_all_targets_never_exist() -> None:
    hidden, head, targets, weights = arguments(torch.float32)
    with Largest() as largest:
        total, _ = head_loss(hidden, head, targets, weights, 4 * 4 * VOCABULARY)
        total.backward()
    assert largest.numbers == head.numel() < TARGETS * VOCABULARY
