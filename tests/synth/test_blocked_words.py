"""The texts of the pack hold no word of scripts/blocked_words.txt."""

import re
from pathlib import Path

import pytest

from vl2.synth.ingredients import PACK

BLOCKED = Path(__file__).parents[2] / "scripts" / "blocked_words.txt"


def pattern() -> re.Pattern[str]:
    """As scripts/build_texts.py reads the list; that script needs packages that tests do not have."""
    lines = [line for line in BLOCKED.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return re.compile("|".join(" ".join(lines).split()))


@pytest.mark.parametrize(
    "path", sorted((PACK / "text").glob("*/*.txt")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_no_text_holds_a_blocked_word(path: Path):
    blocked = pattern()
    for text in path.read_text(encoding="utf-8").splitlines():
        assert not any(blocked.match(word) for word in re.findall(r"[a-z]+", text.lower())), text


def test_the_list_blocks_beginnings_and_whole_words_only():
    blocked = pattern()
    assert all(re.fullmatch(r"[a-z]{3,}\$?", entry) for entry in blocked.pattern.split("|"))
    assert all(blocked.match(word) for word in ("turd", "turds", "foreplay", "killed", "gun"))
    assert not any(
        blocked.match(word)
        for word in ("class", "cocktail", "virginia", "farther", "heroine", "gunnar", "dickens", "bombay", "dungeon")
    )


def test_chinese_words_leave_out_what_the_script_names():
    names = re.findall(r"UNWANTED\w* = (.*)", (BLOCKED.parent / "build_chinese.py").read_text(encoding="utf-8"))
    characters, words = (re.findall(r"[\u4e00-\u9fff]+", one) for one in names)
    for path in (PACK / "chinese" / "text").glob("*/words.txt"):
        found = path.read_text(encoding="utf-8").split()
        assert not {word for word in found if word in words or set(word) & set(characters[0])}
