"""The Triton product of one token against its reference; without a GPU it runs in test_interpreter.py."""

import pytest
import torch

from vl2.kernels import linear as kernels


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("rows", "width"), [(5, 7), (33, 512), (64, 1280), (9, 2560), (9, 4096)])
@torch.no_grad()
def test_one_token(rows: int, width: int, dtype: torch.dtype, triton_device: str) -> None:
    torch.manual_seed(rows)
    x = torch.randn(1, width, device=triton_device, dtype=dtype)
    weight = (torch.randn(rows, 3 + width, device=triton_device, dtype=dtype) * 0.1)[:, 3:]
    expected = kernels.linear_reference(x.double(), weight.double()).to(dtype)
    exact = dtype == torch.float32
    torch.testing.assert_close(
        kernels.linear(x, weight), expected, atol=1e-4 if exact else 2e-2, rtol=1e-4 if exact else 2e-2
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@torch.no_grad()
def test_gelu(dtype: torch.dtype, triton_device: str) -> None:
    """The tanh form, which differs from the exact one by up to 5e-4."""
    torch.manual_seed(0)
    x = torch.randn(2, 27, 48, device=triton_device, dtype=dtype)
    weight, bias = torch.randn(72, 48, device=triton_device, dtype=dtype) * 0.2, torch.randn(72).to(x)
    expected = kernels.linear_gelu_reference(x.double(), weight.double(), bias.double()).to(dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(kernels.linear_gelu(x, weight, bias), expected, atol=tolerance, rtol=tolerance)


def test_a_row_is_read_whole_where_it_fits_and_programs_stay_few() -> None:
    pytest.importorskip("triton")
    from vl2.kernels.linear_triton import _tile

    tiles = {size: _tile(*size, 2048, 4096) for size in ((3648, 2560), (2560, 2048), (64640, 2560), (2560, 6144))}
    assert list(tiles.values()) == [(4096, 1), (2048, 1), (512, 4), (2048, 1)]
