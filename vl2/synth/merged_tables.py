"""Tasks "merged-table" and "merged-table-zh": tables whose cells span columns and rows, to Markdown and to HTML.

    groups of columns, groups of rows --> a grid of Cell(text, rows, columns) --draw--> picture, HTML, Markdown

Markdown has no spans: there a spanning cell is written once, at its upper left; the others it covers are empty.
The trap: reading order is row by row, a cell that spans rows belongs to its first.
"""

import html
from dataclasses import dataclass

import numpy as np

from vl2.synth import folio_wordings as said
from vl2.synth.canvas import text_width
from vl2.synth.folio import Folio, accent, pale, plain_paper
from vl2.synth.langs import Font, Language, language
from vl2.synth.sample import Question, Sample, structure_id
from vl2.synth.values import chance, pick

_VALUE = (
    "What is {column} of {row} under {group}?",
    "{group}, {column}, {row}: what is the value?",
    "Value for {row} in {column} ({group})?",
)
_VALUE_ZH = ("{group}下{row}的{column}是多少？", "{row}在{group}的{column}是多少？", "查一下{row}的{group}{column}")
_ROWS = ("How many rows belong to {group}?", "how many entries does {group} have?")
_ROWS_ZH = ("{group}有几行？", "{group}包含几项？")


@dataclass(frozen=True)
class Cell:
    """A cell at (row, column) that is `high` rows high and `wide` columns wide."""

    row: int
    column: int
    text: str
    high: int = 1
    wide: int = 1
    head: bool = False


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "merged-table")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "merged-table-zh")


def to_html(cells: list[Cell]) -> str:
    """The table as HTML, a row a line."""
    lines = ["<table>"]
    for row in range(1 + max(cell.row for cell in cells)):
        line = "<tr>"
        for cell in sorted((cell for cell in cells if cell.row == row), key=lambda cell: cell.column):
            tag = "th" if cell.head else "td"
            spans = (f' rowspan="{cell.high}"' if cell.high > 1 else "") + (
                f' colspan="{cell.wide}"' if cell.wide > 1 else ""
            )
            line += f"<{tag}{spans}>{html.escape(cell.text, quote=False)}</{tag}>"
        lines.append(line + "</tr>")
    return "\n".join([*lines, "</table>"])


def to_markdown(cells: list[Cell], columns: int) -> str:
    """The table as Markdown; the first row is the header, what a span covers is empty."""
    rows = [[""] * columns for _ in range(max(cell.row + cell.high for cell in cells))]
    for cell in cells:
        rows[cell.row][cell.column] = cell.text
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ["---"] * columns, *rows[1:]))


def _names(lang: Language, count: int) -> list[str]:
    """Different short names, none part of another."""
    found: list[str] = []
    while len(found) < count:
        name = lang.thing() if chance(lang.rng, 0.3) else lang.fit_word(10)
        if not any(name in other or other in name for other in found):
            found.append(name)
    return found


def _plan(lang: Language) -> tuple[list[Cell], int, list[Question]]:
    """Cells, number of columns, questions."""
    rng = lang.rng
    groups = [int(v) for v in rng.integers(1, 4, int(rng.integers(1, 3)))]
    if max(groups) == 1:
        groups[0] = 2
    sections = [int(v) for v in rng.integers(1, 4, int(rng.integers(1, 4)))]
    sectioned = chance(rng, 0.6)
    first = 2 if sectioned else 1
    names = _names(lang, sum(groups) + len(groups) + sum(sections) + len(sections) + 3)
    cells = [Cell(0, 0, names.pop(), 2, 1, True)]
    if sectioned:
        cells.append(Cell(0, 1, names.pop(), 2, 1, True))
    heads: list[tuple[str, str]] = []
    column = first
    for size in groups:
        group = names.pop()
        if size == 1:
            cells.append(Cell(0, column, group, 2, 1, True))
            heads.append((group, group))
        else:
            cells.append(Cell(0, column, group, 1, size, True))
            for place in range(size):
                below = names.pop()
                cells.append(Cell(1, column + place, below, 1, 1, True))
                heads.append((group, below))
        column += size
    asked: list[Question] = []
    row = 2
    for size in sections:
        section = names.pop()
        if sectioned:
            cells.append(Cell(row, 0, section, size, 1))
            if size > 1:
                asked.append(Question("ask", lang.choose(_ROWS, _ROWS_ZH).format(group=section), (str(size),), "exact"))
        for place in range(size):
            key = names.pop()
            cells.append(Cell(row + place, first - 1, key))
            for number, (group, below) in enumerate(heads):
                value = (
                    lang.money(int(10 ** rng.uniform(2, 6)), sign=False)
                    if chance(rng, 0.5)
                    else str(int(rng.integers(1, 999)))
                )
                cells.append(Cell(row + place, first + number, value))
                if group != below:
                    asked.append(
                        Question(
                            "ask", lang.choose(_VALUE, _VALUE_ZH).format(row=key, column=below, group=group), (value,)
                        )
                    )
        row += size
    return cells, column, asked


def _edges(cells: list[Cell], columns: int, font: Font, bold: Font, pad: float) -> np.ndarray:
    """Edges of columns, from 0; a spanning cell widens the last column it covers."""
    widths = np.full(columns, 30.0)
    for cell in sorted(cells, key=lambda cell: cell.wide):
        need = text_width(cell.text, bold if cell.head else font) + 2 * pad
        have = widths[cell.column : cell.column + cell.wide].sum()
        widths[cell.column + cell.wide - 1] += max(0.0, need - have)
    return np.concatenate([[0.0], np.cumsum(np.round(widths))])


def _draw(lang: Language, task: str) -> Sample:
    rng = lang.rng
    path = lang.font_file(pick(rng, ("sans", "sans", "serif")))
    line = float(rng.uniform(12, 17))
    pad = rng.uniform(5, 10)
    while True:
        cells, columns, asked = _plan(lang)
        font = lang.font(path, line)
        edges = _edges(cells, columns, font, font, pad)
        if edges[-1] <= 740:
            break
    left, top = rng.uniform(6, 30, 2)
    rows = max(cell.row + cell.high for cell in cells)
    canvas = plain_paper(rng, int(edges[-1] + left + rng.uniform(6, 30)), 100)
    folio = Folio(lang, canvas, (24, 24, 28))
    pitch = round(folio.height_of(font) * rng.uniform(1.2, 1.6))
    canvas = plain_paper(rng, canvas.width, int(rows * pitch + 2 * top))
    folio.canvas = canvas
    colour = accent(rng)
    look = pick(rng, ("grid", "grid", "head", "rules"))
    centred = chance(rng, 0.4)
    for number, cell in enumerate(cells):
        x0, x1 = left + edges[cell.column], left + edges[cell.column + cell.wide]
        y0, y1 = top + pitch * cell.row, top + pitch * (cell.row + cell.high)
        box = (round(x0), round(y0), round(x1), round(y1))
        if cell.head and look == "head":
            canvas.draw.rectangle(box, fill=pale(colour, 0.75), outline=colour)
        elif look == "rules":
            canvas.draw.line((box[0], box[3], box[2], box[3]), fill=colour)
        else:
            canvas.draw.rectangle(box, outline=(60, 60, 66) if look == "grid" else colour)
        canvas.mark(structure_id("header cell" if cell.head else "cell"), (x0, y0, x1, y1))
        middle = cell.head or cell.high > 1 or (centred and cell.column > 0)
        x, align = ((x0 + x1) / 2, 0.5) if middle else (x0 + pad, 0.0)
        folio.text((x, (y0 + y1 - folio.height_of(font)) / 2), cell.text, font, align=align, region=f"text {number}")
    folio.extra = [asked[i] for i in rng.permutation(len(asked))[:5].tolist()]
    folio.extra.append(Question("convert", lang.choose(said.HTML, said.HTML_ZH), (to_html(cells),), "cer"))
    wording = lang.choose(said.TABLE_MARKDOWN, said.TABLE_MARKDOWN_ZH)
    folio.extra.append(Question("convert", wording, (to_markdown(cells, columns),), "cer"))
    texts = [cell.text for cell in cells]
    for number, text in enumerate(texts):
        if len(text) > 2 and texts.count(text) == 1:
            folio.places.append((lang.choose(said.TEXT, said.TEXT_ZH).format(value=text), f"text {number}"))
    return folio.sample(task)
