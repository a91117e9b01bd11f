"""What a machine can do, measured: bytes read a second, operations a second; and what it is."""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from vl2.bench.timing import rotated_seconds


@dataclass(frozen=True)
class Machine:
    """bytes_per_sec: moved through memory by one pass; flops_per_sec: of a large matrix product in `dtype`.

    commit: of the checkout, or VL2_COMMIT where there is none. Versions are "" for what is not installed.
    """

    device: str
    threads: int
    dtype: str
    torch: str
    python: str
    commit: str
    bytes_per_sec: float
    flops_per_sec: float
    triton: str = ""
    transformers: str = ""
    cuda: str = ""
    driver: str = ""


def measure(device: torch.device, dtype: torch.dtype) -> Machine:
    """Best of several tries, as ceilings are."""
    cuda = device.type == "cuda"
    bytes_per_sec, flops_per_sec = _bytes_per_sec(device), _flops_per_sec(device, dtype)
    if cuda:
        torch.cuda.empty_cache()
    return Machine(
        device=torch.cuda.get_device_name(device) if cuda else _processor(),
        threads=torch.get_num_threads(),
        dtype=str(dtype).removeprefix("torch."),
        torch=version("torch"),
        python=platform.python_version(),
        commit=_commit(),
        bytes_per_sec=bytes_per_sec,
        flops_per_sec=flops_per_sec,
        triton=_version("triton"),
        transformers=_version("transformers"),
        cuda=(torch.version.cuda or "") if cuda else "",
        driver=_printed(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]) if cuda else "",
    )


def _bytes_per_sec(device: torch.device) -> float:
    """The better of a pass that only reads and, on CUDA, a copy, which reads and writes."""
    cuda = device.type == "cuda"
    large = torch.zeros((1 << 30) if cuda else (1 << 26), device=device, dtype=torch.float32)
    rate = large.nbytes / min(rotated_seconds([large.max], device, 6)[0])
    if cuda:
        other = torch.empty_like(large)
        rate = max(rate, 2 * large.nbytes / min(rotated_seconds([lambda: other.copy_(large)], device, 6)[0]))
    return rate


def _flops_per_sec(device: torch.device, dtype: torch.dtype) -> float:
    edge = 8192 if device.type == "cuda" else 1536
    matrix = torch.randn(edge, edge, device=device, dtype=dtype)
    return 2 * edge**3 / min(rotated_seconds([lambda: matrix @ matrix], device, 8)[0])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """Of the checkout this package lies in; "+" if it was changed; outside one VL2_COMMIT or ""."""
    return _printed(["git", "describe", "--always", "--dirty=+", "--exclude=*"]) or os.environ.get("VL2_COMMIT", "")


def _printed(command: list[str]) -> str:
    """The first line a command prints; "" if there is no such command or it fails."""
    try:
        run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return next(iter(run.stdout.splitlines()), "").strip()
