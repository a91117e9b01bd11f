"""The Triton gate against its reference; without a GPU it runs in test_interpreter.py."""

import pytest
import torch

from vl2.kernels import gated as kernels


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("rows", "width"), [(1, 40), (7, 1100)])
@torch.no_grad()
def test_gated(rows: int, width: int, dtype: torch.dtype, triton_device: str) -> None:
    torch.manual_seed(rows)
    gate, up = torch.randn(rows, 2 * width, device=triton_device, dtype=dtype).chunk(2, -1)
    exact = dtype == torch.float32
    tolerance = 1e-5 if exact else 2e-2
    torch.testing.assert_close(
        kernels.gated(gate, up), kernels.gated_reference(gate, up), atol=tolerance, rtol=tolerance
    )
