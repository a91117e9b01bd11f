import os

import pytest
import torch


@pytest.fixture
def triton_device() -> str:
    """Where Triton kernels run: "cuda", or "cpu" under Triton's interpreter; skips where neither is to be had."""
    pytest.importorskip("triton", reason="Triton is not installed")
    if os.environ.get("TRITON_INTERPRET") == "1":
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA or TRITON_INTERPRET=1")
    return "cuda"
