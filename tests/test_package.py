"""The wheel carries Nano, the recipes and the data engine's pack, and stays small enough to hand around."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LARGEST_WHEEL = 100_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_carries_every_file_of_the_package(wheel: Path):
    ignored = {"__pycache__"}
    files = [path for path in (ROOT / "vl2").rglob("*") if path.is_file() and not ignored & set(path.parts)]
    carried = set(zipfile.ZipFile(wheel).namelist())
    assert {path.relative_to(ROOT).as_posix() for path in files} <= carried
    for name in ("config.json", "tokenizer.json", "model.safetensors.index.json"):
        assert f"vl2/weights/nano/{name}" in carried


def test_size(wheel: Path):
    assert wheel.stat().st_size < LARGEST_WHEEL


def test_command_and_licences(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        scripts = next(name for name in names if name.endswith("entry_points.txt"))
        assert "vl2 = vl2.cli:main" in archive.read(scripts).decode()
    for licence in ("/LICENSE", "/docs/licences.md", "/licences/fonts.txt", "/licences/wordnet.txt"):
        assert any(".dist-info/licenses/" in name and name.endswith(licence) for name in names), licence
