"""Chinese written stroke by stroke: the file is whole, writers differ, letters stay in their cells, training only."""

import tomllib
from typing import Any

import cv2
import numpy as np
import pytest

from vl2.synth import han
from vl2.synth.canvas import HANDS, Canvas, Finished, character_codes
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.penmanship import OVER, written_by
from vl2.synth.penmen import Penman
from vl2.synth.registry import generate
from vl2.synth.strokes import has_strokes, strokes_of
from vl2.synth.styles import Style

TEXT = "国家图书馆说话没有水然"
LACKING = ""  # characters of the pack that nobody knows how to write


def penman(fluency: float, seed: int = 0) -> Penman:
    rng = np.random.default_rng([seed, int(10 * fluency)])
    return Penman(Style.draw(rng, fluency), rng)


def drawn(writer: Penman | None, text: str, size: int, kind: str = "hand") -> tuple[np.ndarray, Finished]:
    """How dark each pixel is, and the finished picture."""
    canvas = Canvas(size * len(text) + 60, 2 * size + 20)
    token = HANDS.set(lambda font: writer)
    canvas.text((30, 10), text, load_font(han.fonts("train", kind)[0], size))
    HANDS.reset(token)
    finished = canvas.finish(np.random.default_rng(0), damage=None)
    return 255 - np.asarray(finished.image.convert("L")), finished


def test_the_file_has_every_character_and_its_licence():
    codes = character_codes(han.characters())
    assert "".join(np.array([*han.characters()])[~has_strokes(codes)]) == LACKING
    with np.load(han.PACK / "strokes.npz") as file:  # without pickle, or this fails
        counts, lengths, points = (file[name] for name in ("counts", "lengths", "points"))
        notice = str(file["notice"])
    assert len(counts) == len(han.characters())
    assert counts.sum() == len(lengths)
    assert lengths.sum() == len(points)
    assert lengths.min() >= 2
    assert points.dtype == np.uint8
    assert (han.PACK / "strokes.npz").stat().st_size < 500_000

    source = tomllib.loads((han.PACK / "sources.toml").read_text(encoding="utf-8"))["strokes"][0]
    assert notice == source["changes"]
    licence = (han.PACK / "licences" / f"{source['package']}.txt").read_text(encoding="utf-8")
    assert licence.strip().startswith("ARPHIC PUBLIC LICENSE")


def test_strokes_come_in_order():
    strokes = strokes_of(character_codes("十三国"))
    assert np.bincount(strokes.letter).tolist() == [2, 3, 8]
    across, down = strokes.points[strokes.last[:2]] - strokes.points[strokes.first[:2]]
    assert across.real > 5 * abs(across.imag)
    assert down.imag > 5 * abs(down.real)
    assert not has_strokes(character_codes("aé。\u3000\uffff😀")).any()


def test_a_plain_style_writes_the_model():
    strokes, rng = strokes_of(character_codes(TEXT)), np.random.default_rng(0)
    moved = strokes.moved(Style(), rng)
    assert np.allclose(moved.points, strokes.points, atol=1e-6)
    trace = moved.traced(Style(), rng)
    assert np.allclose(trace.points, strokes.points, atol=1e-6)
    assert trace.lifted.nonzero()[0].tolist() == strokes.last.tolist()


def test_haste_passes_by_corners_and_makes_dots_of_short_strokes():
    strokes = strokes_of(character_codes(TEXT))
    assert strokes.hastened(Style(), np.random.default_rng(0)) is strokes
    hasty = strokes.hastened(Style(haste=1.0), np.random.default_rng(0))
    assert len(hasty.points) < 0.95 * len(strokes.points)
    for place in ("first", "last"):
        assert np.array_equal(hasty.points[getattr(hasty, place)], strokes.points[getattr(strokes, place)])
    inner = {complex(point) for point in hasty.points}
    assert inner < {complex(point) for point in strokes.points}

    def lengths(style: Style) -> np.ndarray:
        moved = strokes.moved(style, np.random.default_rng(0))
        return np.abs(moved.points[moved.last] - moved.points[moved.first])

    usual, shrunk = lengths(Style()), lengths(Style(haste=1.0))
    assert np.allclose(shrunk[usual > 0.36], usual[usual > 0.36], atol=1e-5)
    assert np.allclose(shrunk[usual < 0.34], 0.5 * usual[usual < 0.34], atol=1e-5)
    many = strokes_of(character_codes(han.characters()[:600]))
    lifts = [
        int(many.traced(Style(joining=0.8, haste=haste), np.random.default_rng(0)).lifted.sum()) for haste in (0, 1)
    ]
    assert lifts[1] < 0.9 * lifts[0]


def test_only_fluent_writers_hurry():
    hastes = [[Style.draw(np.random.default_rng(seed), fluency).haste for seed in range(50)] for fluency in (0.4, 0.9)]
    assert max(hastes[0]) == 0
    assert 0.2 < float(np.mean(hastes[1])) < max(hastes[1]) < 0.7


def test_rounding_keeps_ends_and_stays_near_its_corner():
    strokes, rng = strokes_of(character_codes("口")), np.random.default_rng(0)
    trace = strokes.traced(Style(), rng)
    curved = trace.rounded(0.1, 0.5, 0.0)
    ends = trace.points[trace.lifted]
    assert np.array_equal(curved.points[curved.lifted], ends)
    assert len(curved.points) > len(trace.points)
    away = np.abs(trace.points[:, None] - curved.points[None]).min(1)
    assert 0.01 < away.max() < 0.1


def test_a_seed_writes_the_same_and_another_seed_does_not():
    first, second, other = (drawn(penman(0.7, seed), TEXT, 30)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_who_joins_more_lifts_the_pen_less():
    codes = character_codes(han.characters()[:300])
    strokes = strokes_of(codes)
    lifts = [
        int(strokes.traced(Style(joining=joining), np.random.default_rng(0)).lifted.sum()) for joining in (0, 0.3, 0.8)
    ]
    assert lifts[0] == len(strokes.first)
    assert lifts[2] < 0.8 * lifts[1] < 0.8 * lifts[0]

    def parts(joining: float) -> int:
        writer = Penman(Style(joining=joining, pen=0.03, thin=1.0), np.random.default_rng(0))
        return cv2.connectedComponents((drawn(writer, han.characters()[:60], 48)[0] > 60).astype(np.uint8))[0]

    assert parts(0.8) - 60 < 0.8 * (parts(0.0) - 60)


@pytest.mark.parametrize("size", [16, 33, 60])
@pytest.mark.parametrize("fluency", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["hand", "sans"])
def test_letters_stay_in_their_cells_and_marks_are_those_of_the_font(size: int, fluency: float, kind: str):
    text = "国家3月图A书，馆"
    plain, printed = drawn(None, text, size, kind)
    for seed in range(4):
        dark, finished = drawn(penman(fluency, seed), text, size, kind)
        assert (dark != plain).any()
        assert np.array_equal(finished.mark_boxes, printed.mark_boxes)
        assert np.array_equal(finished.mark_ids, printed.mark_ids)
        ys, xs = np.nonzero(dark > 60)
        extent = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert np.allclose(finished.mark_extents[0], extent, atol=1.5)
        for char, (x0, y0, x1, y1) in zip(text, finished.mark_boxes.tolist(), strict=True):
            alone = drawn(penman(fluency, seed), char, size, kind)[0] > 60
            over = OVER + size / 20
            x0, x1 = 30 - over, 30 + x1 - x0 + over
            ink = np.nonzero(alone)[1]
            assert len(ink), char
            assert ((ink >= x0) & (ink < x1)).mean() > 0.97, char
            rows = np.nonzero(alone)[0]
            font_rows = np.nonzero(drawn(None, "国" if char > "一" else char, size, kind)[0] > 60)[0]
            assert rows.min() > font_rows.min() - 0.15 * size - over
            assert rows.max() < font_rows.max() + 0.15 * size + over
            assert y0 < rows.mean() < y1 + 0.2 * size


def test_what_is_not_chinese_is_the_fonts_but_slanted():
    plain = drawn(None, "Hamburg 47", 30)[0]
    assert np.array_equal(drawn(Penman(Style(), np.random.default_rng(0)), "Hamburg 47", 30)[0], plain)
    leaning = drawn(Penman(Style(slant=0.2), np.random.default_rng(0)), "Hamburg 47", 30)[0]
    assert not np.array_equal(leaning, plain)
    rows = np.nonzero(plain.any(1))[0]
    top, bottom = slice(rows[0], rows[0] + 5), slice(rows[-1] - 4, rows[-1] + 1)

    def middle(dark: np.ndarray, part: slice) -> float:
        return float(np.nonzero(dark[part])[1].mean())

    assert middle(leaning, top) > middle(plain, top) + 1
    assert middle(leaning, bottom) < middle(plain, bottom) - 1


def test_nearly_half_of_handwriting_is_by_pen_and_nothing_of_the_test_split():
    faces = [
        (han.fonts("train", "hand")[0], 0.45),
        (han.fonts("train", "sans")[0], 0.03),
        (han.fonts("test", "hand")[0], 0.0),
        (fonts("train", "hand")[0], 0.0),
    ]
    for path, chance in faces:
        count = 0
        for seed in range(2000):
            with written_by([seed]):
                count += isinstance(HANDS.get()(load_font(path, 20)), Penman)
        assert count / 2000 == pytest.approx(chance, abs=0.02 if chance else 0.0)


def test_test_pictures_are_never_by_pen(monkeypatch: pytest.MonkeyPatch):
    asked, write = 0, Penman.write

    def note(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return write(*args)

    monkeypatch.setattr(Penman, "write", note)
    for index in range(12):
        generate("page-zh", 3, index, "test", penmanship=True)
        generate("page-zh", 3, index, "train")
    assert asked == 0
    for index in range(12):
        generate("page-zh", 3, index, "train", penmanship=True)
    assert asked > 0
