import pytest
import torch

from vl2.kernels.dispatch import combine, combine_reference, dispatch, dispatch_reference


@pytest.mark.parametrize(("tokens", "active", "width"), [(1, 1, 3), (7, 4, 5), (40, 2, 8)])
def test_values_and_gradients_equal_plain_indexing(tokens: int, active: int, width: int) -> None:
    order = torch.randperm(tokens * active)
    inverse = order.argsort()
    for function, reference, rows in (
        (dispatch, dispatch_reference, tokens),
        (combine, combine_reference, tokens * active),
    ):
        x = torch.randn(rows, width, dtype=torch.float64, requires_grad=True)
        y = torch.randn(tokens * active, width, dtype=torch.float64)
        out, expected = function(x, order, inverse), reference(x, order, inverse)
        assert torch.equal(out, expected)
        torch.testing.assert_close(*(torch.autograd.grad((o * y).sum(), x)[0] for o in (out, expected)))


def test_there_and_back() -> None:
    x, order = torch.randn(6, 2), torch.randperm(12)
    inverse = order.argsort()
    back = combine(dispatch(x, order, inverse), order, inverse)
    assert torch.equal(back, x.repeat_interleave(2, 0))
