"""Processes as torchrun starts them, each of which runs tests/train/sharded_runs.py; one that dies takes the others."""

import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PORTS = 8  # more than any of them asks for, one a run


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that are free, and not among those that a system gives to connections."""
    while True:
        first = random.randrange(15_000, 30_000)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first


def start(folder: Path, world: int, what: str, device: str = "cpu") -> list[int]:
    """Exit codes of the ranks; -9 is SIGKILL, which all get as soon as one has died."""
    environment = os.environ | {
        "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_ports(PORTS)), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]),
    }  # fmt: skip
    command = [sys.executable, str(HERE / "sharded_runs.py"), str(folder), str(world), what, device]
    running = [
        subprocess.Popen(command, env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(world)
    ]
    deadline = time.monotonic() + 240
    codes: list[int | None] = [None] * world
    try:
        while None in codes and not any(codes):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: ranks ended with {codes} in 240 s")
            time.sleep(0.05)
            codes = [process.poll() for process in running]
    finally:
        for process in running:
            process.kill()
    return [process.wait(timeout=30) for process in running]
