"""Tesseract: the real program where it is installed, and a stand-in for its ways to fail."""

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from vl2.data.records import Record
from vl2.eval.runner import evaluate
from vl2.eval.tesseract import TesseractAnswerer, TesseractError

installed = pytest.mark.skipif(shutil.which("tesseract") is None, reason="the tesseract program is not installed")


def page(path: Path, *lines: str) -> str:
    image = Image.new("RGB", (520, 20 + 50 * len(lines)), "white")
    for row, line in enumerate(lines):
        ImageDraw.Draw(image).text((20, 12 + 50 * row), line, fill="black", font=ImageFont.load_default(32))
    image.save(path)
    return str(path)


def stand_in(path: Path, script: str) -> str:
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)
    return str(path)


def reading(picture: str, gold: str = "x", task: str = "line") -> Record:
    return Record(f"{task}/0", (picture,), "", (gold,), "cer", task)


@installed
def test_reads_a_line_and_a_page(tmp_path: Path) -> None:
    line = page(tmp_path / "line.png", "Hello brave new world 42")
    text = page(tmp_path / "page.png", "First line here", "Second line there")
    results = evaluate(
        [
            reading(line, "Hello brave new world 42"),
            reading(text, "First line here\nSecond line there", "paragraph"),
        ],
        TesseractAnswerer(workers=2),
    )
    assert results["tasks"]["line"]["value"] <= 0.05
    assert results["tasks"]["paragraph"]["value"] <= 0.05
    assert TesseractAnswerer().version.startswith("tesseract ")


def test_asks_for_one_line_or_a_block_and_one_thread(tmp_path: Path) -> None:
    program = stand_in(tmp_path / "t", 'cat > /dev/null; echo "$@ $OMP_THREAD_LIMIT"')
    picture = page(tmp_path / "a.png", "a")
    line, block = TesseractAnswerer(program).answer([reading(picture), reading(picture, task="paragraph")])
    assert line.text == "stdin stdout -l eng --psm 7 1"
    assert block.text == "stdin stdout -l eng --psm 6 1"


def test_failures_are_clear(tmp_path: Path) -> None:
    picture = page(tmp_path / "a.png", "a")
    with pytest.raises(TesseractError, match=r"no-such-program: not found; install it"):
        TesseractAnswerer("no-such-program")
    failing = TesseractAnswerer(
        stand_in(tmp_path / "f", "cat > /dev/null; echo loud >&2; echo no such language >&2; exit 1")
    )
    with pytest.raises(TesseractError, match=r"line/0: tesseract failed: no such language"):
        failing.answer([reading(picture)])
    slow = TesseractAnswerer(stand_in(tmp_path / "s", "exec sleep 5"), timeout_sec=0.2)
    with pytest.raises(TesseractError, match=r"line/0: tesseract took longer than 0\.2 s"):
        slow.answer([reading(picture)])
    question = Record("q/0", (picture,), "Why?", ("so",), "exact", "q")
    with pytest.raises(TesseractError, match=r"q/0: metric exact .* only reads"):
        failing.answer([question])
