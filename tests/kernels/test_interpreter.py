"""Where there is no GPU, the tests of Triton kernels run under Triton's interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

triton = pytest.importorskip("triton", reason="Triton is not installed")


NAMES = [
    "paged_attention", "experts", "router", "norm", "rotary", "linear", "gated", "latent", "choose",
    "quantized_experts", "flash", "cross_entropy",
]  # fmt: skip


def interpreter_works() -> bool:
    """Older Tritons interpret loops by asking NumPy for the integer of an array, which newer NumPys refuse."""
    versions = [tuple(int(part) for part in v.split(".")[:2]) for v in (triton.__version__, np.__version__)]
    return versions[0] >= (3, 9) or versions[1] < (2, 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the kernels run on the GPU here")
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="interpreted already")
@pytest.mark.skipif(not interpreter_works(), reason="this Triton cannot interpret with this NumPy")
@pytest.mark.parametrize("name", NAMES)
def test_kernels_interpreted(name: str) -> None:
    """Triton decides when it is imported, hence a process of its own, in which no test may miss the interpreter."""
    path = Path(__file__).with_name(f"test_{name}.py")
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(path)]
    ran = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
    assert "needs CUDA" not in ran.stdout
