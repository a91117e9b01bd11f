"""Where the Triton kernels run, and in what sizes.

Sizes depend on how many tokens there are: with few a program should read little and many should read at once, with
many it should keep what it read. The trap: a kernel is compiled once for every set of sizes, so a table has few rows.
"""

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

ALL = 1 << 62
OVERLAP = True  # for comparisons

# Of a single token: kernels of few programs, during which the next one already reads its weights (overlap_triton.py).
# "project" and "up" can, too: measured faster where two devices hold Base, slower where one does.
EARLY = frozenset(("sum_of_sent", "norm", "rotate", "absorb", "attend", "merge", "values", "logits", "pick"))

# kernel: (up to so many tokens, sizes) in rising order. Rows and columns are those of a weight that one program reads
# at once (BYTES of quantised rows), TILE and BLOCK the tokens beside them; STAGES and num_stages how many reads are
# under way. LEFT: the weight is the left factor, of which the matrix units take 64 rows at a time, and tokens are the
# right one, which may be few. In flash attention ROWS are queries, and KEYS are read at once. WHOLE: the widest row
# that one program reads without a loop.
CONFIGS: dict[str, list[tuple[int, dict[str, int]]]] = {
    "logits_few": [(ALL, {"ROWS": 2, "num_warps": 4})],
    "logits_many": [
        (256, {"BLOCK": 16, "ROWS": 16, "COLS": 256, "PARTS": 8, "num_warps": 2, "num_stages": 3}),
        (ALL, {"BLOCK": 64, "ROWS": 64, "COLS": 64, "PARTS": 4, "num_warps": 4, "num_stages": 4}),
    ],
    "pick": [(256, {"BLOCK": 1, "num_warps": 1}), (ALL, {"BLOCK": 2, "num_warps": 1})],
    "sort": [
        (170, {"CHUNK": 1024, "num_warps": 4}),
        (1024, {"CHUNK": 2048, "num_warps": 8}),
        (ALL, {"CHUNK": 4096, "num_warps": 8}),
    ],
    "up_few": [(ALL, {"ROWS": 4, "COLS": 256, "STAGES": 1, "num_warps": 4})],
    "down_few": [
        (1, {"ROWS": 2, "COLS": 512, "STAGES": 3, "num_warps": 2}),
        (ALL, {"ROWS": 2, "COLS": 512, "STAGES": 1, "num_warps": 2}),
    ],
    "down_one": [(ALL, {"ROWS": 2, "WHOLE": 1024, "num_warps": 4})],
    "up_many": [
        (64, {"TILE": 16, "ROWS": 64, "COLS": 128, "LEFT": 1, "num_warps": 4, "num_stages": 3}),
        (128, {"TILE": 32, "ROWS": 64, "COLS": 128, "LEFT": 0, "num_warps": 4, "num_stages": 3}),
        (ALL, {"TILE": 64, "ROWS": 64, "COLS": 64, "LEFT": 1, "num_warps": 4, "num_stages": 4}),
    ],
    "down_many": [
        (32, {"TILE": 16, "ROWS": 64, "COLS": 128, "LEFT": 1, "num_warps": 4, "num_stages": 4}),
        (128, {"TILE": 32, "ROWS": 64, "COLS": 128, "LEFT": 1, "num_warps": 4, "num_stages": 4}),
        (ALL, {"TILE": 64, "ROWS": 128, "COLS": 64, "LEFT": 0, "num_warps": 8, "num_stages": 4}),
    ],
    "few_fp8": [(ALL, {"UP_ROWS": 4, "DOWN_ROWS": 4, "BYTES": 512, "num_warps": 4})],
    "few_int4": [(ALL, {"UP_ROWS": 2, "DOWN_ROWS": 2, "BYTES": 256, "num_warps": 2})],
    "attend_latent": [(ALL, {"num_warps": 4, "num_stages": 2})],
    "attend_heads": [(ALL, {"num_warps": 4, "num_stages": 3})],
    "heads": [(16, {"BLOCK": 1, "num_warps": 1}), (ALL, {"BLOCK": 8, "num_warps": 4})],
    "latent_few": [(ALL, {"ELEMENTS": 8192, "num_warps": 4})],
    "merge_values": [(ALL, {"ROWS": 16, "num_warps": 8})],
    "absorb_many": [
        (32, {"BLOCK": 16, "ROWS": 32, "COLS": 128, "num_warps": 4, "num_stages": 3}),
        (ALL, {"BLOCK": 64, "ROWS": 64, "COLS": 128, "num_warps": 4, "num_stages": 3}),
    ],
    "values_many": [
        (32, {"BLOCK": 16, "ROWS": 16, "COLS": 512, "num_warps": 4, "num_stages": 2}),
        (ALL, {"BLOCK": 64, "ROWS": 64, "COLS": 128, "num_warps": 4, "num_stages": 3}),
    ],
    "flash_causal": [
        (1024, {"ROWS": 64, "KEYS": 64, "num_warps": 4, "num_stages": 2}),
        (ALL, {"ROWS": 128, "KEYS": 64, "num_warps": 8, "num_stages": 3}),
    ],
    "flash_full": [(ALL, {"ROWS": 128, "KEYS": 64, "num_warps": 4, "num_stages": 3})],
    "linear": [(ALL, {"ELEMENTS": 2048, "WHOLE": 4096, "num_warps": 4})],
    "gate": [(ALL, {"COLS": 1024, "num_warps": 4})],
    "cross_entropy": [(ALL, {"COLS": 4096, "num_warps": 8})],
    "combine": [(ALL, {"COLS": 512, "num_warps": 2})],
}


def config(kernel: str, tokens: int, itemsize: int) -> dict[str, int]:
    """Sizes of a kernel of CONFIGS for so many tokens, whose numbers have so many bytes."""
    sizes = next(sizes for most, sizes in CONFIGS[kernel] if tokens <= most)
    if itemsize == 4 and "COLS" in sizes:  # what is under way lies in shared memory, and would be twice as much
        return {**sizes, "COLS": max(sizes["COLS"] // 2, 16)}
    if itemsize == 4 and kernel == "attend_latent":
        return {**sizes, "num_stages": 1}
    if itemsize == 4 and "KEYS" in sizes:  # without matrix units what is multiplied lies in registers
        return {"ROWS": 32, "KEYS": 32, "num_warps": 8, "num_stages": 1}
    return sizes


def overlapped(x: Tensor, kernel: str = "") -> dict[str, int | bool]:
    """Arguments of a launch that may begin while the kernel before it ends; see overlap_triton.py.

    x: whose first axis is tokens.
    kernel: its name in EARLY, if it calls `let_next_start`.
    """
    if not (OVERLAP and x.is_cuda and _is_hopper(x.get_device())):
        return _ALONE
    return _EARLY if len(x) == 1 and kernel in EARLY else _OVERLAPPED


_ALONE: dict[str, int | bool] = {"OVERLAP": 0}
_OVERLAPPED: dict[str, int | bool] = {"OVERLAP": 1, "launch_pdl": True}
_EARLY: dict[str, int | bool] = {"OVERLAP": 2, "launch_pdl": True}


@cache
def _is_hopper(device: int) -> bool:
    return torch.cuda.get_device_capability(device) >= (9, 0)


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def can_run(x: Tensor) -> bool:
    """Whether the kernels run on this tensor: on CUDA or interpreted, without gradients and without autocast."""
    if torch.is_grad_enabled() or torch.is_autocast_enabled(x.device.type):
        return False
    return (x.is_cuda or os.environ.get("TRITON_INTERPRET") == "1") and _has_triton()
