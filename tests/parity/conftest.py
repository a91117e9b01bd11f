"""`pytest tests/parity --goldens DIR` checks any directory in the format of tests/goldens/README.md."""

from pathlib import Path

import pytest

REPOSITORY_GOLDENS = Path(__file__).parent.parent / "goldens"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    root = Path(str(metafunc.config.getoption("--goldens")))
    if "golden_model" in metafunc.fixturenames:
        models = sorted(path.parent for path in root.glob("*/expected.safetensors"))
        if not models and not (root / "processor").exists():
            raise pytest.UsageError(f"--goldens {root}: neither */expected.safetensors nor processor/ there")
        metafunc.parametrize("golden_model", models, ids=[path.name for path in models], scope="module")
