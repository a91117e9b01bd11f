"""Fonts made of other fonts: what a character says stays, strokes and slants change, letters may be another font's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vl2.synth import han
from vl2.synth.ingredients import PACK

TTFont = pytest.importorskip("fontTools.ttLib").TTFont
TEXT = "国家图书馆"


@pytest.fixture
def redrawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    import redraw_font  # pyright: ignore[reportMissingImports]

    def make(sources: list[str], characters: str, rest: str = "", **changes: float) -> np.ndarray:
        """The characters, drawn with the font that comes out."""
        fonts, other = [TTFont(path) for path in sources], TTFont(rest) if rest else None
        font = redraw_font.redraw(fonts, characters, "Own", redraw_font.Changes(**changes), other)
        font.save(tmp_path / "own.ttf")
        return drawn(str(tmp_path / "own.ttf"), characters)

    return make


def drawn(path: str, text: str) -> np.ndarray:
    picture = Image.new("L", (900, 240))  # large, since FreeType fits small letters of unhinted fonts to pixels
    ImageDraw.Draw(picture).text((20, 180), text, font=ImageFont.truetype(path, 160), fill=255, anchor="ls")
    return np.asarray(picture, dtype=float) / 255


@pytest.fixture
def source() -> str:
    return han.fonts("train", "serif")[0]


def test_without_changes_it_looks_the_same(redrawn: Any, source: str):
    assert np.abs(redrawn([source], TEXT) - drawn(source, TEXT)).sum() < 0.3 * drawn(source, TEXT).sum()


def test_weight_adds_ink_and_takes_it_away(redrawn: Any, source: str):
    plain = redrawn([source], TEXT).sum()
    assert redrawn([source], TEXT, weight=0.03).sum() > 1.2 * plain
    assert redrawn([source], TEXT, weight=-0.01).sum() < 0.95 * plain


def test_narrow_text_is_shorter_and_unrest_moves_strokes(redrawn: Any, source: str):
    def width(picture: np.ndarray) -> int:
        return int(np.ptp(np.flatnonzero(picture.any(axis=0))))

    plain = redrawn([source], TEXT)
    assert width(redrawn([source], TEXT, narrow=0.8)) == pytest.approx(0.8 * width(plain), abs=12)
    restless = redrawn([source], TEXT, unrest=0.02)
    assert np.abs(restless - plain).mean() > 0.02
    assert restless.sum() == pytest.approx(plain.sum(), rel=0.1)
    assert (redrawn([source], TEXT, unrest=0.02) == restless).all()


def test_slanted_strokes_lean_to_the_right(redrawn: Any, source: str):
    def lean(picture: np.ndarray) -> float:
        rows, columns = np.nonzero(picture > 0.5)
        return float(np.polyfit(rows, columns, 1)[0])

    assert lean(redrawn([source], "中", slant=0.3)) < -0.1


def test_a_character_that_one_font_lacks_comes_from_the_next(redrawn: Any, source: str):
    letters = str(PACK / "fonts" / "patrick-hand-400-normal.ttf")
    both = redrawn([letters, source], "A国")
    assert both[:, 120:].any()
    with pytest.raises(StopIteration):
        redrawn([letters], "A国")


def test_a_rest_draws_signs_letters_and_what_the_first_font_has_empty(redrawn: Any, source: str, tmp_path: Path):
    first = TTFont(source)
    codes, glyphs = first.getBestCmap(), first["glyf"]
    glyphs[codes[ord("家")]] = glyphs[codes[ord(" ")]]  # Japanese fonts have empty glyphs for simplified characters
    first.save(tmp_path / "japanese.ttf")
    japanese, rest = str(tmp_path / "japanese.ttf"), han.fonts("train", "hand")[0]

    def apart(char: str, path: str) -> float:
        """How much of the ink differs from a font's."""
        expected = drawn(path, char)
        return float(np.abs(redrawn([japanese], char, rest=rest) - expected).sum() / expected.sum())

    for char in "家，\\A7":
        assert apart(char, rest) < 0.35 < apart(char, source), char
    assert apart("国", source) < 0.35 < apart("国", rest)
    made = TTFont(tmp_path / "own.ttf")["name"].getDebugName(0)
    assert made == "; ".join(TTFont(path)["name"].getDebugName(0) for path in (source, rest))


def test_a_character_drawn_wrong_is_lent_by_another_font(monkeypatch: pytest.MonkeyPatch, source: str, tmp_path: Path):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    import redraw_font  # pyright: ignore[reportMissingImports]

    def mended(weight: float) -> str:
        font, path = TTFont(source), str(tmp_path / f"{weight}.ttf")
        redraw_font.lend(font, TTFont(lender), "家馆", weight)
        font.save(path)
        return path

    lender = han.fonts("train", "hand")[0]
    alike, bolder = mended(0.0), mended(0.03)
    for char in "家馆":
        expected = drawn(lender, char)
        assert np.abs(drawn(alike, char) - expected).sum() < 0.1 * expected.sum(), char
        assert drawn(bolder, char).sum() > 1.1 * expected.sum(), char
    assert (drawn(alike, "国图书") == drawn(source, "国图书")).all()
    notices = [TTFont(path)["name"].getDebugName(0) for path in (source, lender)]
    assert TTFont(alike)["name"].getDebugName(0) == "; ".join(dict.fromkeys(notices))
