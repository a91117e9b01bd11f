"""Where the Triton kernels run: on CUDA tensors, and on any under Triton's interpreter (TRITON_INTERPRET=1)."""

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


def triton_runs(x: Tensor) -> bool:
    """Whether a kernel may be used on this tensor; none of them has a gradient."""
    if not x.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return False
    return _installed() and not torch.is_grad_enabled()
