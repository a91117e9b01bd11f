"""Task "table": tables with a header row, in many looks, and questions about their cells, rows and columns.

    draw_content --> Content --_plan (font, widths, what fits)--> _Layout --_paint--> Canvas --> Sample

The trap: the picture is made to fit the table, so rows, columns and at last the font shrink until both sides fit.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFont

from vl2.synth import chinese_tables
from vl2.synth.backgrounds import Background, background, ink, luminance
from vl2.synth.canvas import Canvas, Colour, glyph_metrics, text_width
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.langs import language
from vl2.synth.sample import Sample, structure_id
from vl2.synth.table_content import Content, draw_content
from vl2.synth.table_questions import extreme_questions, table_questions
from vl2.synth.table_wholes import whole_questions
from vl2.synth.values import pick

Font = ImageFont.FreeTypeFont

_CELL, _HEADER, _RULE = structure_id("cell"), structure_id("header cell"), structure_id("rule")
SMALLEST_FONT = 12
HEADER_FILLS: tuple[Colour, ...] = (
    (31, 78, 121), (68, 114, 196), (54, 96, 60), (112, 48, 160), (192, 80, 77), (60, 60, 60), (0, 128, 128),
    (120, 90, 50), (217, 225, 242), (226, 239, 218), (255, 242, 204), (242, 242, 242), (252, 228, 214), (200, 200, 200),
)  # fmt: skip


@dataclass(frozen=True)
class _Look:
    """How a table is drawn."""

    rules: str  # "grid", "rows", "header", "frame", "columns" or "none"
    rule_width: int
    zebra: bool
    header_fill: Colour | None
    header_bold: bool
    number_align: float  # 0 left, 0.5 centre, 1 right
    text_align: float
    title_align: float
    pad_x: float
    pad_y: float


@dataclass(frozen=True)
class _Layout:
    """A table that fits: what is left of it, its fonts, pixel edges of columns and rows relative to its top left."""

    content: Content
    font: Font
    header_font: Font
    title_font: Font
    widths: list[tuple[float, ...]]  # of the texts of each column, header first
    x_edges: list[float]  # columns + 1
    y_edges: list[float]  # header, rows: rows + 2
    title_height: float

    @property
    def width(self) -> float:
        """Width of title and table in pixels."""
        return max(self.x_edges[-1], text_width(self.content.title, self.title_font))

    @property
    def height(self) -> float:
        """Height of title and table in pixels."""
        return self.title_height + self.y_edges[-1]


def _draw_look(rng: np.random.Generator, size: int) -> _Look:
    rules = ("grid", "rows", "header", "frame", "columns", "none")[
        int(np.searchsorted((0.4, 0.6, 0.75, 0.83, 0.88), rng.random()))
    ]
    fill = HEADER_FILLS[int(rng.integers(len(HEADER_FILLS)))] if rng.random() < 0.45 else None
    text_align = float(rng.choice([0.0, 0.0, 0.0, 0.5]))
    return _Look(
        rules=rules,
        rule_width=1 if rng.random() < 0.75 else 2,
        zebra=bool(rng.random() < 0.3),
        header_fill=fill,
        header_bold=bool(rng.random() < 0.6),
        number_align=float(rng.choice([1.0, 1.0, 0.5, 0.0])) if text_align == 0 else 0.5,
        text_align=text_align,
        title_align=float(rng.choice([0.0, 0.5, 0.5])),
        pad_x=float(rng.uniform(0.25, 0.8) * size) + 2,
        pad_y=float(rng.uniform(0.08, 0.4) * size) + 1,
    )


def _limits(rng: np.random.Generator) -> tuple[int, int]:
    """Largest width and height: two thirds of the tables on one tile."""
    kind = rng.random()
    if kind < 0.67:
        return 384, 384
    if kind < 0.82:
        return 768, 384
    return (384, 768) if kind < 0.88 else (768, 768)


def _pick_fonts(rng: np.random.Generator, split: str, size: int, bold: bool) -> tuple[str, str]:
    """Font files of cells and of headers; headers are another face when they shall stand out."""
    kind = ("sans", "serif", "mono", "hand")[int(np.searchsorted((0.62, 0.86, 0.95), rng.random()))]
    if kind == "hand" and size < 17:
        kind = "sans"
    pool = fonts(split, kind)
    path = pool[int(rng.integers(len(pool)))]
    if not bold:
        return path, path
    heavy = [other for other in fonts(split, "sans") if "bold" in other.lower()] or fonts(split, "sans")
    return path, heavy[int(rng.integers(len(heavy)))]


def _fit(
    content: Content, look: _Look, size: int, paths: tuple[str, str], title_scale: float, limits: tuple[int, int]
) -> _Layout:
    """The largest part of the table that fits into limits (width, height) with fonts of at most `size` pixels."""
    rows, columns = content.num_rows, len(content.columns)
    while True:
        part = content.cut(rows, columns)
        layout = _lay_out(part, look, load_font(paths[0], size), load_font(paths[1], size), paths[1], title_scale)
        if layout.width > limits[0]:
            if columns > 3 or (columns == 3 and size <= 14):
                columns -= 1
            elif size > SMALLEST_FONT:
                size -= 1
            elif text_width(part.title, layout.title_font) > limits[0]:
                content = replace(content, title="")
            elif columns > 2:
                columns -= 1
            else:
                return layout
        elif layout.height > limits[1] and rows > 2:
            rows -= 1
        else:
            return layout


def _lay_out(
    content: Content, look: _Look, font: Font, header_font: Font, title_path: str, title_scale: float
) -> _Layout:
    """Widths and heights of everything at these fonts."""
    inks = [
        (text_width(column.header, header_font), *(text_width(cell, font) for cell in column.cells))
        for column in content.columns
    ]
    widths = [max(of_column) + 2 * look.pad_x for of_column in inks]
    metrics, header_metrics = glyph_metrics(font), glyph_metrics(header_font)
    row = metrics.ascent + metrics.descent + 2 * look.pad_y
    header = header_metrics.ascent + header_metrics.descent + 2 * look.pad_y
    title_font = load_font(title_path, round(font.size * title_scale))
    title_metrics = glyph_metrics(title_font)
    title_height = title_metrics.ascent + title_metrics.descent + 2 * look.pad_y + 3 if content.title else 0.0
    x_edges = [0.0, *np.cumsum(np.round(widths)).tolist()]
    y_edges = [0.0, *(round(header) + round(row) * np.arange(content.num_rows + 1)).tolist()]
    return _Layout(content, font, header_font, title_font, inks, x_edges, y_edges, round(title_height))


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    """The colour `share` of the way from a to b."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _paper(rng: np.random.Generator, width: int, height: int) -> tuple[Background, Colour | None]:
    """A picture to draw on, and its colour when it is plain."""
    kind = rng.random()
    if kind < 0.3:
        return background(rng, width, height, calm=0.5), None
    if kind < 0.65:
        plain: Colour = (255, 255, 255)
    elif kind < 0.88:
        shade = rng.integers(228, 256, 3).tolist()
        plain = (shade[0], shade[1], shade[2])
    else:
        shade = rng.integers(8, 56, 3).tolist()
        plain = (shade[0], shade[1], shade[2])
    light = float(luminance(np.array(plain)))
    return Background(Image.new("RGB", (width, height), plain), light, light), plain


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(rng, split, "table")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(rng, split, "table-zh")


def generate_extremes(rng: np.random.Generator, split: str) -> Sample:
    return _draw(rng, split, "table-extremes")


def _draw(rng: np.random.Generator, split: str, task: str) -> Sample:
    """One table with its questions."""
    lang = language(rng, split, "zh") if task == "table-zh" else None
    limits = _limits(rng)
    wide, tall = limits[0] > 384, limits[1] > 384
    # what may be large is made to be: more columns, more rows, a larger font
    size = int(SMALLEST_FONT + (3 if wide or tall else 0) + 11 * rng.random() ** 1.3)
    look = _draw_look(rng, size)
    if lang is None:
        paths = _pick_fonts(rng, split, size, look.header_bold)
    else:
        kind = pick(rng, ("sans", "sans", "sans", "serif", "serif", "hand" if size > 16 else "sans"))
        size, paths = size + 1, (lang.font_file(kind), lang.font_file("sans"))
        paths = paths if look.header_bold else (paths[0], paths[0])
    shape = int(rng.integers(*((6, 12) if tall else (2, 9)))), int(rng.integers(*((4, 7) if wide else (2, 6))))
    content = draw_content(rng, split, *shape) if lang is None else chinese_tables.draw_content(lang, *shape)
    margin = rng.uniform(4, 20, 2)
    inner = (int(limits[0] - 2 * margin[0]), int(limits[1] - 2 * margin[1]))
    layout = _fit(content, look, size, paths, float(rng.uniform(1.0, 1.4)), inner)
    width, height = (int(np.ceil(layout.width + 2 * margin[0])), int(np.ceil(layout.height + 2 * margin[1])))
    if rng.random() < 0.2:
        width += int(rng.uniform(0, max(0, min(limits[0] - width, 0.6 * width)) + 1))
        height += int(rng.uniform(0, max(0, min(limits[1] - height, 0.6 * height)) + 1))
    ground, plain = _paper(rng, width, height)
    canvas = Canvas(width, height, ground.image)
    left = round((width - layout.x_edges[-1]) * rng.choice([0.5, 0.5, rng.random()]))
    top = round((height - layout.height) * 0.5)
    _paint(rng, canvas, layout, look, (left, top), ground, plain)
    finished = canvas.finish(rng)
    if task == "table-extremes":
        questions = extreme_questions(rng, layout.content, finished.regions)
        return Sample(task, finished.image, tuple(questions), *finished.marks)
    questions = table_questions(rng, layout.content, finished.regions)
    questions += whole_questions(rng.spawn(1)[0], layout.content)
    return Sample(task, finished.image, tuple(questions), *finished.marks)


def _paint(
    rng: np.random.Generator,
    canvas: Canvas,
    layout: _Layout,
    look: _Look,
    corner: tuple[int, int],
    ground: Background,
    plain: Colour | None,
) -> None:
    """Draw title, fills, rules and texts; names the boxes of cells, rows and columns."""
    content, (left, top) = layout.content, corner
    colour = ink(rng, ground, least=5.0)
    if content.title:
        wide = text_width(content.title, layout.title_font)
        x = left + look.title_align * (layout.x_edges[-1] - wide)
        x = max(4.0, min(x, canvas.width - 4 - wide))
        canvas.region("title", canvas.text((round(x), top), content.title, layout.title_font, colour))
    xs = [left + x for x in layout.x_edges]
    ys = [top + layout.title_height + y for y in layout.y_edges]
    header_fill = look.header_fill if plain is not None else None
    if plain is not None:
        _fill_rows(canvas, look, xs, ys, plain, colour, header_fill)
    for row in range(content.num_rows + 1):
        for column in range(len(content.columns)):
            canvas.mark(_CELL if row else _HEADER, (xs[column], ys[row], xs[column + 1], ys[row + 1]))
    _rule(canvas, look, xs, ys, _mix(plain, colour, rng.uniform(0.25, 0.9)) if plain else colour)
    header_ink = colour
    if header_fill is not None:
        light = float(luminance(np.array(header_fill)))
        header_ink = (255, 255, 255) if light < 0.3 else (20, 20, 20)
    _write(canvas, layout, look, xs, ys, colour, header_ink)


def _fill_rows(
    canvas: Canvas,
    look: _Look,
    xs: list[float],
    ys: list[float],
    plain: Colour,
    colour: Colour,
    header_fill: Colour | None,
) -> None:
    """Zebra stripes and the fill of the header."""
    if look.zebra:
        stripe = _mix(plain, colour, 0.09)
        for row in range(2, len(ys) - 1, 2):
            canvas.draw.rectangle((xs[0], ys[row], xs[-1], ys[row + 1]), fill=stripe)
    if header_fill is not None:
        canvas.draw.rectangle((xs[0], ys[0], xs[-1], ys[1]), fill=header_fill)


def _rule(canvas: Canvas, look: _Look, xs: list[float], ys: list[float], colour: Colour) -> None:
    """The lines of the table, and a mark along each."""
    horizontal: list[float] = []
    vertical: list[float] = []
    if look.rules in ("grid", "frame"):
        horizontal, vertical = [ys[0], ys[-1]], [xs[0], xs[-1]]
    if look.rules in ("grid", "rows"):
        horizontal = ys
    if look.rules in ("grid", "columns"):
        vertical = xs if look.rules == "grid" else xs[1:-1]
    if look.rules in ("header", "frame", "columns"):
        horizontal = [*horizontal, ys[1]]
    for y in horizontal:
        canvas.draw.line((xs[0], y, xs[-1], y), fill=colour, width=look.rule_width)
        canvas.mark(_RULE, (xs[0], y - 1, xs[-1], y + 2))
    for x in vertical:
        canvas.draw.line((x, ys[0], x, ys[-1]), fill=colour, width=look.rule_width)
        canvas.mark(_RULE, (x - 1, ys[0], x + 2, ys[-1]))


def _write(
    canvas: Canvas, layout: _Layout, look: _Look, xs: list[float], ys: list[float], colour: Colour, header_ink: Colour
) -> None:
    """The texts of headers and cells; regions "header c", "cell r c", "row r", "column c"."""
    for c, column in enumerate(layout.content.columns):
        align = look.number_align if column.numeric else look.text_align
        for r, text in enumerate((column.header, *column.cells)):
            font = layout.font if r else layout.header_font
            spare = xs[c + 1] - xs[c] - 2 * look.pad_x - layout.widths[c][r]
            place = (round(xs[c] + look.pad_x + align * spare), round(ys[r] + look.pad_y))
            box = canvas.text(place, text, font, colour if r else header_ink)
            canvas.region(f"text {r} {c}", box)
            canvas.region(f"cell {r} {c}", (xs[c], ys[r], xs[c + 1], ys[r + 1]))
        canvas.region(f"column {c}", (xs[c], ys[0], xs[c + 1], ys[-1]))
    for r in range(len(ys) - 1):
        canvas.region(f"row {r}", (xs[0], ys[r], xs[-1], ys[r + 1]))
