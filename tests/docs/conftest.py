import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TIME_LIMIT_SEC = 300


@pytest.fixture(scope="session")
def run() -> Callable[[list[str], Path], str]:
    """Runs a command in a folder, offline, with this interpreter's `vl2` first; returns what it printed."""

    def start(command: list[str], folder: Path) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=TIME_LIMIT_SEC,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return start
