import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPTS = str(Path(__file__).resolve().parents[2] / "scripts")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Models this small are faster on one thread, above all where cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def import_script() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a program of scripts/ by name; they import each other."""
    sys.path.insert(0, SCRIPTS)
    yield importlib.import_module
    sys.path.remove(SCRIPTS)
