"""Write a font anew from the outlines of others: slices put together, letters borrowed, strokes changed.

    sources (the first that has a character draws it), characters, Changes --> a TrueType font of polygons

A handwriting font stays the same hand with other strokes: wider ones are a brush, slanted and narrow ones haste.
Polygons a few thousandths of an em off their curves are half the bytes. The trap: every corner is moved on its own, so
only small changes look well; look at every font that comes out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.basePen import BasePen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

STEPS = 4  # straight pieces of a curve before those that matter little are dropped
MIDDLE = 0.38  # of a character, above the baseline, in ems
NAMES = {"copyright": 0, "licenseDescription": 13, "licenseInfoURL": 14}


@dataclass(frozen=True)
class Changes:
    """How outlines differ from the source's; lengths are ems."""

    units: int = 256  # of an em in the file; fewer are fewer bytes
    rough: float = 0.0045  # how far a corner may be off; larger is fewer bytes
    slant: float = 0.0  # to the right, for one upwards
    narrow: float = 1.0  # width over the source's
    weight: float = 0.0  # added to the width of strokes
    unrest: float = 0.0  # how far strokes stray; characters turn and grow as much


def redraw(
    sources: Sequence[TTFont], characters: Sequence[str], name: str, changes: Changes, rest: TTFont | None = None
) -> TTFont:
    """A font with a glyph for each character; notices and heights of lines are the first source's.

    rest: draws what is no Chinese character and what the first source lacks or has empty; its notices count, too.
    """
    if rest is not None:
        keep_chinese(sources[0])
        sources = [*sources, rest]
    maps = [source.getBestCmap() for source in sources]
    sets = [source.getGlyphSet() for source in sources]
    glyphs: dict[str, Any] = {".notdef": _glyph([np.array([[0, 0], [0, 0.7], [0.5, 0.7], [0.5, 0]])], changes)}
    widths, codes = {".notdef": changes.units}, {}
    for char in sorted(set(characters)):
        owner = next(index for index, known in enumerate(maps) if ord(char) in known)
        em = sources[owner]["head"].unitsPerEm  # type: ignore[attr-defined]
        drawn = sets[owner][maps[owner][ord(char)]]
        contours = _outline(sets[owner], drawn, em)
        title = f"u{ord(char):04X}"
        glyphs[title] = _glyph(_changed(contours, char, drawn.width / em, changes), changes)
        widths[title], codes[ord(char)] = round(drawn.width / em * changes.narrow * changes.units), title
    return _assembled(sources[0], glyphs, widths, codes, name, changes.units, rest)


def keep_chinese(font: TTFont) -> None:
    """Leave only Chinese characters in a font's maps, without those that it has as empty glyphs."""
    tables: Any = font
    glyphs = tables["glyf"]
    for table in tables["cmap"].tables:
        table.cmap = {
            code: name
            for code, name in table.cmap.items()
            if table.isUnicode() and 0x4E00 <= code <= 0x9FFF and glyphs[name].numberOfContours
        }


def lend(font: TTFont, lender: TTFont, characters: str, weight: float) -> None:
    """Let another font draw some characters of a font, its strokes wider by `weight` ems; its notices are added."""
    tables: Any = font
    codes, known, glyphs = font.getBestCmap(), lender.getBestCmap(), lender.getGlyphSet()
    em, their_em = tables["head"].unitsPerEm, lender["head"].unitsPerEm  # type: ignore[attr-defined]
    changes = Changes(units=em, rough=0.001, weight=weight)
    for char in characters:
        drawn = glyphs[known[ord(char)]]
        contours, width = _outline(glyphs, drawn, their_em), drawn.width / their_em
        glyph = _glyph(_changed(contours, char, width, changes), changes)
        glyph.recalcBounds(tables["glyf"])
        tables["glyf"][codes[ord(char)]] = glyph
        tables["hmtx"][codes[ord(char)]] = (round(width * em), glyph.xMin)
    for code, notice in zip(NAMES.values(), _notices([font, lender]).values(), strict=True):
        if notice:
            tables["name"].removeNames(nameID=code)
            tables["name"].setName(notice, code, 3, 1, 0x409)


def _notices(owners: Sequence[Any]) -> dict[str, str]:
    """What fonts say of their rights, each notice once."""
    said = {key: [owner["name"].getDebugName(code) or "" for owner in owners] for key, code in NAMES.items()}
    parts = {key: dict.fromkeys(part for text in texts for part in text.split("; ")) for key, texts in said.items()}
    return {key: "; ".join(filter(None, found)) for key, found in parts.items()}


def _outline(glyphs: Any, drawn: Any, em: int) -> list[np.ndarray]:
    """A glyph as polygons in ems."""
    pen = _Corners(glyphs)
    drawn.draw(pen)
    return [np.array(corners) / em for corners in pen.contours if len(corners) > 2]


class _Corners(BasePen):
    """Collects outlines as polygons."""

    def __init__(self, glyphs: Any):
        super().__init__(glyphs)
        self.contours: list[list[tuple[float, float]]] = []

    def _moveTo(self, pt: tuple[float, float]) -> None:
        self.contours.append([pt])

    def _lineTo(self, pt: tuple[float, float]) -> None:
        self.contours[-1].append(pt)

    def _curveToOne(self, *points: tuple[float, float]) -> None:
        """A cubic curve; quadratic ones come here, too."""
        a, b, c, d = np.array([self._getCurrentPoint(), *points], dtype=float)
        t = np.linspace(0, 1, STEPS + 1)[1:, None]
        way = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
        self.contours[-1] += [(x, y) for x, y in way.tolist()]


def _changed(contours: list[np.ndarray], char: str, width: float, changes: Changes) -> list[np.ndarray]:
    """The polygons of one character with its Changes."""
    if changes.weight and contours:
        sign = np.sign(sum(_area(contour) for contour in contours))
        contours = [contour + sign * changes.weight / 2 * _rightwards(contour) for contour in contours]
    if changes.unrest:
        hand = _Hand(char, width, changes.unrest)
        contours = [hand.moved(contour) for contour in contours]
    lean = np.array([[changes.narrow, 0], [changes.narrow * changes.slant, 1]])
    return [(contour - (0, MIDDLE)) @ lean + (0, MIDDLE) for contour in contours]


def _area(contour: np.ndarray) -> float:
    """Positive for an anticlockwise way."""
    (x, y), (next_x, next_y) = contour.T, np.roll(contour, -1, axis=0).T
    return float(np.sum(x * next_y - y * next_x)) / 2


def _rightwards(contour: np.ndarray) -> np.ndarray:
    """(n, 2) a unit step from each corner to the right of the way, longer at sharp corners."""
    ahead = np.roll(contour, -1, axis=0) - contour
    length = np.linalg.norm(ahead, axis=1, keepdims=True)
    ahead = np.where(length > 1e-9, ahead / np.maximum(length, 1e-9), 0)
    middle = ahead + np.roll(ahead, 1, axis=0)
    length = np.linalg.norm(middle, axis=1, keepdims=True)
    middle = np.where(length > 0.3, middle / np.maximum(length, 1e-9), ahead)
    return np.stack([middle[:, 1], -middle[:, 0]], axis=1) / np.clip(length / 2, 0.6, 1)


class _Hand:
    """Where an unsteady hand puts the points of a character: the same places whenever it is drawn."""

    def __init__(self, char: str, width: float, far: float):
        rng = np.random.default_rng(ord(char))
        angle, grown = rng.normal(0, 1.2 * far), 1 + rng.normal(0, far)
        self.turn = grown * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.middle, self.shift, self.far = np.array([width / 2, MIDDLE]), rng.normal(0, far / 2, 2), far
        self.waves = 2 * np.pi * rng.uniform(0.4, 1.1, (2, 2))
        self.phases = rng.uniform(0, 2 * np.pi, 2)

    def moved(self, points: np.ndarray) -> np.ndarray:
        bent = np.sin(points @ self.waves + self.phases)
        return (points + self.far * bent - self.middle) @ self.turn + self.middle + self.shift


def _simple(line: np.ndarray, rough: float) -> np.ndarray:
    """An open line without the points that are less than `rough` from it (Douglas and Peucker)."""
    kept, pieces = {0, len(line) - 1}, [(0, len(line) - 1)]
    while pieces:
        start, end = pieces.pop()
        if end - start < 2:
            continue
        way, inner = line[end] - line[start], line[start + 1 : end] - line[start]
        length = float(np.hypot(*way))
        far = np.abs(inner @ (way[1], -way[0])) / length if length > 1e-9 else np.hypot(*inner.T)
        worst = int(np.argmax(far))
        if far[worst] > rough:
            kept.add(start + 1 + worst)
            pieces += [(start, start + 1 + worst), (start + 1 + worst, end)]
    return line[sorted(kept)]


def _glyph(contours: list[np.ndarray], changes: Changes) -> Any:
    """Polygons in ems as a glyph of few whole-numbered corners."""
    pen = TTGlyphPen(None)
    for contour in contours:
        closed = np.concatenate([contour, contour[:1]])
        half = 1 + int(np.argmax(np.hypot(*(closed[1:-1] - closed[0]).T)))
        corners = np.concatenate([_simple(part, changes.rough)[:-1] for part in (closed[: half + 1], closed[half:])])
        corners = list(dict.fromkeys((round(x), round(y)) for x, y in (corners * changes.units).tolist()))
        if len(corners) > 2:
            pen.moveTo(corners[0])
            for corner in corners[1:]:
                pen.lineTo(corner)
            pen.closePath()
    return pen.glyph()


def _assembled(
    source: TTFont, glyphs: dict[str, Any], widths: Mapping[str, int], codes: dict[int, str], name: str,
    units: int, rest: TTFont | None,
) -> TTFont:  # fmt: skip
    """The tables of a font around its glyphs."""
    tables: Any = source
    em = tables["head"].unitsPerEm
    ascent, descent = (round(getattr(tables["hhea"], key) / em * units) for key in ("ascent", "descent"))
    owners: list[Any] = [source] if rest is None else [source, rest]
    builder = FontBuilder(units, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(codes)
    builder.setupGlyf(glyphs)
    left = {title: getattr(glyph, "xMin", 0) for title, glyph in glyphs.items()}
    builder.setupHorizontalMetrics({title: (wide, left[title]) for title, wide in widths.items()})
    builder.setupHorizontalHeader(ascent=ascent, descent=descent)
    names = {"familyName": name, "styleName": "Regular", "fullName": name, "psName": name.replace(" ", "")}
    builder.setupNameTable({**_notices(owners), **names})
    builder.setupOS2(usWinAscent=ascent, usWinDescent=-descent)
    builder.setupPost(keepGlyphNames=False)
    builder.font["head"].created = 0  # type: ignore[attr-defined]
    return builder.font
