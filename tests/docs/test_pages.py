"""Pages name files that exist, and the page of licences lists what is in the pack."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)\)")
_FILE = re.compile(r"(?<![\w/.])(?:vl2|tests|scripts|examples|docs)/[\w./-]*\w\.(?:py|toml|md|sh|png)\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page: Path):
    text = page.read_text(encoding="utf-8")
    named = [page.parent / link for link in _LINK.findall(text)] + [ROOT / file for file in _FILE.findall(text)]
    assert [str(path) for path in named if not path.exists()] == []


def test_licences_are_up_to_date():
    subprocess.run([sys.executable, ROOT / "scripts" / "list_licences.py", "--check"], check=True)
