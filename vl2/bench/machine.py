"""What a machine can do, measured: bytes read a second, operations a second; and what it is."""

import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch


@dataclass(frozen=True)
class Machine:
    """bytes_per_sec: read from memory by one pass; flops_per_sec: of a large matrix product in `dtype`."""

    device: str
    threads: int
    dtype: str
    torch: str
    python: str
    commit: str
    bytes_per_sec: float
    flops_per_sec: float


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def measure(device: torch.device, dtype: torch.dtype) -> Machine:
    """Best of several tries, as ceilings are."""
    cuda = device.type == "cuda"
    large = torch.zeros((1 << 30) if cuda else (1 << 26), device=device, dtype=torch.float32)
    read = min(seconds(large.max, device) for _ in range(6))
    edge = 8192 if cuda else 1536
    matrix = torch.randn(edge, edge, device=device, dtype=dtype)
    product = min(seconds(lambda: matrix @ matrix, device) for _ in range(8))
    return Machine(
        device=torch.cuda.get_device_name(device) if cuda else _processor(),
        threads=torch.get_num_threads(),
        dtype=str(dtype).removeprefix("torch."),
        torch=version("torch"),
        python=platform.python_version(),
        commit=_commit(),
        bytes_per_sec=large.nbytes / read,
        flops_per_sec=2 * edge**3 / product,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """Of the checkout this package lies in; "+" if it was changed; "" outside one."""
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip()
