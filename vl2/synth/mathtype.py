"""Sets formulas: the LaTeX of vl2.synth.formulas to ink, glyph by glyph, with the mathematical fonts of matplotlib.

    "\\\\frac{a}{b} + x^{2}" --parse, lay out--> glyphs, rules, roots --draw--> Ink: coverage, cells of glyphs

It knows fractions, roots, indices, powers, sums, products and integrals with limits, names of functions and Greek
letters; matplotlib's own parser took most of the time. The trap: y grows downwards and is 0 on the base line.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vl2.synth.sample import OTHER_CHARACTER

_TOKEN = re.compile(r"\\[A-Za-z]+|[{}^_]|\S")
_NAMES = "alpha beta gamma delta epsilon theta lambda mu pi rho sigma tau phi omega".split()  # noqa: SIM905
_GREEK: dict[str, str] = dict(zip(_NAMES, "αβγδεθλμπρστϕω", strict=True))
_SIGNS = {
    "Gamma": "Γ", "Delta": "Δ", "Omega": "Ω", "leq": "≤", "geq": "≥", "approx": "≈", "neq": "≠", "cdot": "⋅",
    "times": "×", "infty": "∞", "sum": "∑", "prod": "∏", "int": "∫", "-": "−",
}  # fmt: skip
_CM_GREEK = (174, 175, 176, 177, 178, 181, 184, 185, 188, 189, 190, 191, 193, 33)
_FUNCTIONS = ("sin", "cos", "tan", "log", "ln", "exp")
_RELATIONS = ("=", "<", ">", "\\leq", "\\geq", "\\approx", "\\neq")
_OPERATORS = ("+", "-", "\\cdot", "\\times")
_LARGE = ("\\sum", "\\prod", "\\int")
# roman, italic and large operators of a typeface
_FILES = {
    "dejavusans": ("DejaVuSans.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSansDisplay.ttf"),
    "dejavuserif": ("DejaVuSerif.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSerifDisplay.ttf"),
    "stix": ("STIXGeneral.ttf", "STIXGeneralItalic.ttf", "STIXSizOneSymReg.ttf"),
}
# Computer Modern has its signs at places of its own
_CM = {
    "-": ("cmsy10", 161), "<": ("cmmi10", 60), ">": ("cmmi10", 62), "\\leq": ("cmsy10", 8729), "\\geq": ("cmsy10", 184),
    "\\approx": ("cmsy10", 188), "\\neq": ("STIXGeneral", 8800), "\\cdot": ("cmsy10", 162), "\\times": ("cmsy10", 163),
    "\\infty": ("cmsy10", 49), "\\sum": ("cmex10", 88), "\\prod": ("cmex10", 89), "\\int": ("cmex10", 90),
    "\\Gamma": ("cmr10", 161), "\\Delta": ("cmr10", 162), "\\Omega": ("cmr10", 173),
    **{"\\" + name: ("cmmi10", code) for name, code in zip(_NAMES, _CM_GREEK, strict=True)},
}  # fmt: skip


class FormulaError(ValueError):
    """LaTeX that this module does not set."""


class Ink(NamedTuple):
    """A drawn formula. grey: (height, width) uint8 coverage; ids: labels of its glyphs; boxes: (M, 4) their cells."""

    grey: np.ndarray
    ids: list[int]
    boxes: np.ndarray


class _Glyph(NamedTuple):
    """A character of a font with its pen at (x, y)."""

    font: ImageFont.FreeTypeFont
    char: str
    label: int
    x: float
    y: float
    cell: tuple[float, float, float, float]  # relative to the pen


class _Root(NamedTuple):
    """A root sign: its hook before x, from `top` to `bottom`, and the bar to x1."""

    x0: float
    x: float
    x1: float
    top: float
    bottom: float
    pen: float


@dataclass
class _Box:
    """What is laid out: how far it reaches above and below the base line, and what is in it."""

    width: float = 0.0
    up: float = 0.0
    down: float = 0.0
    glyphs: list[_Glyph] = field(default_factory=list)
    rules: list[tuple[float, float, float, float]] = field(default_factory=list)
    roots: list[_Root] = field(default_factory=list)

    def put(self, other: "_Box", x: float, y: float) -> None:
        """Add another box with its start at x and its base line at y."""
        self.glyphs += [g._replace(x=g.x + x, y=g.y + y) for g in other.glyphs]
        self.rules += [(x0 + x, y0 + y, x1 + x, y1 + y) for x0, y0, x1, y1 in other.rules]
        self.roots += [
            r._replace(x0=r.x0 + x, x=r.x + x, x1=r.x1 + x, top=r.top + y, bottom=r.bottom + y) for r in other.roots
        ]
        self.width = max(self.width, x + other.width)
        self.up, self.down = max(self.up, other.up - y), max(self.down, other.down + y)


@lru_cache(maxsize=1)
def _folder() -> Path:
    try:
        from matplotlib import get_data_path
    except ImportError as error:
        raise FormulaError(f"task 'formula' needs matplotlib ({error}); pip install 'vl2[synth]'") from error
    return Path(get_data_path()) / "fonts" / "ttf"


@lru_cache(maxsize=1024)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_folder() / file), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=16384)
def _glyph(token: str, typeface: str, size: int, upright: bool) -> _Box:
    """One character."""
    large = token in _LARGE
    char = _SIGNS.get(token.removeprefix("\\")) or _GREEK.get(token.removeprefix("\\")) or token
    if len(char) > 1:
        raise FormulaError(f"LaTeX command {token!r} is not known; the formulas of the data engine do not use it")
    italic = not upright and (char.isalpha() and char not in "ΓΔΩ")
    if typeface == "cm":
        name, code = _CM.get(token, ("cmmi10" if italic else "cmr10", ord(char)))
        font, char = _font(name + ".ttf", size), chr(code)
    else:
        small_integral = typeface == "stix" and token == "\\int"  # no larger one is in its fonts
        file = _FILES[typeface][2 if large and not small_integral else int(italic)]
        font = _font(file, round(1.5 * size) if small_integral else size)
    x0, top, x1, bottom = font.getbbox(char, anchor="ls")
    wide = font.getlength(char)
    label = ord(token) - 31 if len(token) == 1 and 32 < ord(token) < 127 else OTHER_CHARACTER
    cell = (0.0, -0.72 * size, wide, 0.12 * size)
    drop = 0.0
    if large:  # centred on the axis of fractions
        drop = -0.25 * size - (top + bottom) / 2
        cell = (float(x0), float(top), float(x1), float(bottom))
    box = _Box(max(wide, float(x1)) if large or italic else wide, -(top + drop), bottom + drop)
    box.glyphs.append(_Glyph(font, char, label, 0.0, drop, cell))
    return box


class _Setter:
    """Parses and lays out one formula. `level` counts how often things have become smaller."""

    def __init__(self, latex: str, size: float, typeface: str, roomy: bool):
        self.tokens, self.place = _TOKEN.findall(latex), 0
        self.size, self.typeface, self.roomy = size, typeface, roomy

    def em(self, level: int) -> int:
        return max(9, round(self.size * (1.0, 0.7, 0.55)[min(level, 2)]))

    def peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.place += 1
        return token

    def group(self, level: int) -> _Box:
        """{...}, or one token."""
        if self.peek() != "{":
            return self.item(level)
        self.take()
        box = self.row(level)
        if self.take() != "}":
            raise FormulaError("a group of the LaTeX is not closed; write as many } as {")
        return box

    def row(self, level: int) -> _Box:
        """Everything up to the end of the group."""
        row, x, em, before = _Box(), 0.0, self.em(level), "("
        while self.peek() not in ("", "}"):
            token = self.peek()
            box = self.item(level)
            space = 0.0
            if level == 0 or (self.roomy and level == 1):
                if token in _RELATIONS:
                    space = 0.28 * em
                elif token in _OPERATORS and before not in (*_RELATIONS, *_OPERATORS, "("):
                    space = 0.22 * em
                elif token in _LARGE or token.startswith("\\frac"):
                    x += 0.12 * em if before != "(" else 0.0
            if token[1:] in _FUNCTIONS and before != "(":
                x += 0.15 * em
            row.put(box, x + space, 0.0)
            x += space + box.width + space
            if token in _LARGE:
                x += 0.15 * em
            before = token
        row.width = max(row.width, x)
        return row

    def item(self, level: int) -> _Box:
        """One thing with its powers and indices."""
        token, em = self.take(), self.em(level)
        if token == "\\frac":
            box = self.fraction(level)
        elif token == "\\sqrt":
            box = self.root(level)
        elif token[1:] in _FUNCTIONS:
            box = _Box()
            for char in token[1:]:
                box.put(_glyph(char, self.typeface, em, True), box.width, 0.0)
        elif token == "{":
            self.place -= 1
            box = self.group(level)
        else:
            box = _glyph(token, self.typeface, em, False)
        marks: dict[str, _Box] = {}
        while self.peek() in ("^", "_"):
            mark = self.take()
            marks[mark] = self.group(level + 1)
        if not marks:
            return box
        return self.limits(box, marks, em) if token in _LARGE[:2] else self.scripts(box, marks, em, token == "\\int")

    def scripts(self, box: _Box, marks: dict[str, _Box], em: int, integral: bool) -> _Box:
        """Power above, index below, at the right."""
        whole = _Box()
        whole.put(box, 0.0, 0.0)
        x = box.width + 0.04 * em
        if "^" in marks:
            above = marks["^"]
            lift = max(0.36 * em, box.up - 0.35 * em, above.down + 0.2 * em)
            whole.put(above, x + (0.08 * em if integral else 0.0), -lift)
        if "_" in marks:
            below = marks["_"]
            drop = max(0.17 * em, box.down - 0.05 * em, below.up - 0.42 * em)
            whole.put(below, x - (0.25 * em if integral else 0.0), drop)
        return whole

    def limits(self, box: _Box, marks: dict[str, _Box], em: int) -> _Box:
        """Limits above and below a sum."""
        whole = _Box()
        wide = max(box.width, *(mark.width for mark in marks.values()))
        whole.put(box, (wide - box.width) / 2, 0.0)
        if "^" in marks:
            whole.put(marks["^"], (wide - marks["^"].width) / 2, -box.up - 0.12 * em - marks["^"].down)
        if "_" in marks:
            whole.put(marks["_"], (wide - marks["_"].width) / 2, box.down + 0.14 * em + marks["_"].up)
        return whole

    def fraction(self, level: int) -> _Box:
        """Numerator and denominator; the outer ones keep their size where there is room."""
        em = self.em(level)
        inner = level if self.roomy and level == 0 else level + 1
        above, below = self.group(inner), self.group(inner)
        wide = max(above.width, below.width) + 0.16 * em
        pen, axis, gap = max(1.0, round(0.05 * em)), round(-0.26 * em), 0.14 * em
        whole = _Box()
        whole.put(above, (wide - above.width) / 2, axis - gap - above.down)
        whole.put(below, (wide - below.width) / 2, axis + pen + gap + below.up)
        whole.rules.append((0.0, axis, wide, axis + pen))
        whole.width = wide + 0.06 * em
        return whole

    def root(self, level: int) -> _Box:
        """A root sign around a group."""
        em = self.em(level)
        body = self.group(level)
        pen, hook = max(1.0, round(0.05 * em)), 0.55 * em
        top, bottom = -max(body.up, 0.6 * em) - 0.14 * em - pen, max(body.down, 0.0) + 0.05 * em
        whole = _Box()
        whole.put(body, hook + 0.06 * em, 0.0)
        wide = whole.width + 0.06 * em
        whole.roots.append(_Root(0.0, hook, wide, top, bottom, pen))
        whole.width, whole.up, whole.down = wide, max(whole.up, -top), max(whole.down, bottom)
        return whole


def draw_formula(latex: str, size: float, typeface: str, *, roomy: bool = True) -> Ink:
    """The formula in letters of `size` pixels an em; `roomy`: fractions of the first level keep the size.

    Raises FormulaError for LaTeX that it cannot set.
    """
    setter = _Setter(latex, size, typeface, roomy)
    box = setter.row(0)
    if setter.peek():
        raise FormulaError(f"LaTeX {latex!r} closes a group that it did not open; write as many }} as {{")
    pad = 2
    up, left = int(np.ceil(box.up)) + pad, pad + 1
    image = Image.new("L", (int(np.ceil(box.width)) + 2 * left, up + int(np.ceil(box.down)) + pad))
    pen = ImageDraw.Draw(image)
    ids, cells = [], []
    for glyph in box.glyphs:
        x, y = glyph.x + left, glyph.y + up
        pen.text((x, round(y)), glyph.char, font=glyph.font, fill=255, anchor="ls")
        ids.append(glyph.label)
        x0, y0, x1, y1 = glyph.cell
        cells.append((x + x0, y + y0, x + x1, y + y1))
    for x0, y0, x1, y1 in box.rules:
        top = round(y0) + up  # both ends of a thin rule may round to one row
        pen.rectangle((round(x0) + left, top, round(x1) + left - 1, max(top, round(y1) + up - 1)), fill=255)
    for root in box.roots:
        moved = _moved(root, left, up)
        _draw_root(image, moved)
        ids.append(OTHER_CHARACTER)
        cells.append((moved.x0, moved.top, moved.x, moved.bottom))
    return Ink(np.asarray(image), ids, np.array(cells, np.float32).reshape(-1, 4))


def _moved(root: _Root, x: float, y: float) -> _Root:
    """The root moved to the picture, its bar on whole pixels."""
    return _Root(root.x0 + x, root.x + x, root.x1 + x, float(round(root.top + y)), root.bottom + y, root.pen)


def _draw_root(image: Image.Image, root: _Root) -> None:
    """Hook, with smooth edges, and bar."""
    smooth = 4
    x0, y0 = int(root.x0) - 1, int(root.top)
    wide, tall = int(root.x - root.x0) + 4, int(root.bottom - root.top) + 3
    mask = Image.new("L", (wide * smooth, tall * smooth))
    draw = ImageDraw.Draw(mask)
    step, pen = root.x - root.x0, root.pen
    low = root.bottom - root.top - 1

    def at(share: float, y: float) -> tuple[float, float]:
        return ((root.x0 + share * step - x0) * smooth, y * smooth)

    rise = min(low, 1.1 * step)
    draw.line((*at(0.02, low - 0.52 * rise), *at(0.22, low - 0.62 * rise)), fill=255, width=round(pen * smooth))
    draw.line((*at(0.22, low - 0.62 * rise), *at(0.52, low)), fill=255, width=round(1.9 * pen * smooth))
    draw.line((*at(0.52, low), *at(1.0, pen / 2)), fill=255, width=round(pen * smooth))
    small = mask.reduce(smooth)
    image.paste(255, (x0, y0), small)
    ImageDraw.Draw(image).rectangle((round(root.x) - 1, y0, round(root.x1) - 1, y0 + round(pen) - 1), fill=255)
