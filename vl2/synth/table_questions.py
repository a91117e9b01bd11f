"""Questions about a table: cells by row and column, extremes, look-ups, counts, headers, title, reading, finding.

    Content + named boxes --table_questions--> up to 20 questions, each of another kind or about another cell

The trap: a question is asked only where its answer is unique, so ties and repeated values rule kinds out.
"""

from collections.abc import Callable

import numpy as np

from vl2.processing.boxes import Box, Region
from vl2.synth.canvas import Rect
from vl2.synth.folio_wordings import READ_ZH, TABLE_MARKDOWN_ZH
from vl2.synth.ocr_questions import READ
from vl2.synth.sample import Question
from vl2.synth.table_content import Column, Content, listed
from vl2.synth.values import pick
from vl2.synth.wordings import ask
from vl2.synth.wordings_tables_zh import TABLE_FIND_ZH, TABLE_ZH

_ORDINALS = listed("first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth")
EXTREMES = ("highest", "lowest", "max", "min")  # names of rows, and values
_MOST_READ = 500  # characters of a table that is read as a whole
FIND_CELL = listed(
    """the cell {x}|the cell with {x}|the cell that says {x}|the table cell containing {x}|the cell containing {x}
    the cell where {x} is written|the box with {x} in it|the cell in which {x} stands|the field {x}|{x} (the whole cell)
    the table cell {x}|the cell holding {x}|the cell reading {x}|cell {x}|the grid cell with {x}"""
)
FIND_TEXT = listed(
    """the text {x}|{x}|the word {x}|the entry {x}|where it says {x}|the text that reads {x}|the writing {x}
    the words {x}|the value {x}|the printed {x}|the place where {x} is written|the text "{x}"|"{x}"|the label {x}
    the spot that says {x}"""
)
FIND_ROW = listed(
    """the row of {x}|the row {x}|the {x} row|the row for {x}|the table row of {x}|the whole row with {x}
    the line of {x} in the table|the row that starts with {x}|the row belonging to {x}|the entire row of {x}
    the table line for {x}|the row whose first cell is {x}|the row named {x}|the record of {x}|the data row for {x}"""
)
FIND_COLUMN = listed(
    """the column {x}|the {x} column|the column headed {x}|the column of {x}|the whole {x} column|the column under {x}
    the table column {x}|the column named {x}|the entire column {x}|the column with the header {x}|the column called {x}
    the column that lists {x}|the {x} column with its header|the column titled {x}|the column for {x}"""
)
FIND_HEADER = listed(
    """the header {x}|the column header {x}|the heading {x}|the header cell {x}|the head of the {x} column
    the header cell that says {x}|the top cell of the {x} column|the column heading {x}|the header of the column {x}
    the column title {x}|the cell with the heading {x}|the header field {x}|the column's name {x}|the heading cell {x}
    the header cell of {x}"""
)
FIND_TITLE = listed(
    """the title|the table title|the heading|the title of the table|the title above the table|the heading of the table
    the text above the table|the table's title|the caption of the table|the headline|the table heading|the title text
    the line above the table|the name of the table|the title line"""
)


def table_questions(rng: np.random.Generator, content: Content, regions: dict[str, Rect]) -> list[Question]:
    """Up to 20 questions about a table; `regions` are the boxes that the drawing named."""
    wanted = int(rng.integers(8, 21))
    names = list(MAKERS)
    shares = np.cumsum([chance for chance, _ in MAKERS.values()])
    found: dict[tuple[str, str], Question] = {}
    if rng.random() < 0.12:
        found["find", ""] = _find(rng, content, regions)
    if rng.random() < 0.3:
        text = read_text(content)
        if len(text) <= _MOST_READ:
            found["read", ""] = Question("read", pick(rng, READ_ZH if content.zh else READ), (text,), "cer")
    for _ in range(80):
        if len(found) >= wanted:
            break
        name = names[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
        made = MAKERS[name][1](rng, content)
        if made is None:
            continue
        topic, text, answer = made
        found.setdefault((name, topic), Question("ask", text, (answer,), "exact"))
    if content.zh and rng.random() < 0.4:
        text = markdown(content)
        if len(text) <= _MOST_READ:
            found["markdown", ""] = Question("convert", pick(rng, TABLE_MARKDOWN_ZH), (text,), "cer")
    return list(found.values())


def extreme_questions(rng: np.random.Generator, content: Content, regions: dict[str, Rect]) -> list[Question]:
    """Every question about the highest and the lowest of a column; those of any table where no column has numbers."""
    made = [_extreme(rng, content, kind, column) for column in _measured(content) for kind in EXTREMES]
    found = [Question("ask", text, (answer,), "exact") for _, text, answer in filter(None, made)]
    return found or table_questions(rng, content, regions)


def markdown(content: Content) -> str:
    """The table as Markdown."""
    columns = content.columns
    rows = [[column.cells[row] for column in columns] for row in range(content.num_rows)]
    ruled = [[column.header for column in columns], ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def read_text(content: Content) -> str:
    """Everything in the table row by row, cells joined by a space."""
    lines = [content.title] if content.title else []
    lines.append(" ".join(column.header for column in content.columns))
    lines += [" ".join(column.cells[row] for column in content.columns) for row in range(content.num_rows)]
    return "\n".join(lines)


def _say(rng: np.random.Generator, content: Content, kind: str, **slots: object) -> str:
    """A wording in the language of the table."""
    if not content.zh:
        return ask(rng, kind, **slots)
    return pick(rng, TABLE_ZH[kind.removeprefix("table.")]).format(**slots)


_Made = tuple[str, str, str] | None  # topic (so that none comes twice), question, answer


def _header(rng: np.random.Generator, column: Column) -> str:
    """A header as people write it in a question: as drawn or in lower case."""
    return column.header if rng.random() < 0.6 else column.header.lower()


def _other(rng: np.random.Generator, content: Content) -> Column:
    return content.columns[int(rng.integers(1, len(content.columns)))]


def _key(content: Content) -> str:
    return content.columns[0].header.lower()


def _cell(rng: np.random.Generator, content: Content) -> _Made:
    row, column = int(rng.integers(content.num_rows)), _other(rng, content)
    text = _say(rng, content, "table.cell", row=content.columns[0].cells[row], col=_header(rng, column))
    return f"{row} {column.header}", text, column.cells[row]


def _at(rng: np.random.Generator, content: Content) -> _Made:
    row, column = int(rng.integers(content.num_rows)), content.columns[int(rng.integers(len(content.columns)))]
    text = _say(rng, content, "table.at", i=row + 1, nth=_ORDINALS[row], col=_header(rng, column))
    return f"{row} {column.header}", text, column.cells[row]


def _measured(content: Content) -> list[Column]:
    return [column for column in content.columns if column.amounts is not None]


def _any_extreme(rng: np.random.Generator, content: Content, kind: str) -> _Made:
    columns = _measured(content)
    return _extreme(rng, content, kind, columns[int(rng.integers(len(columns)))]) if columns else None


def _extreme(rng: np.random.Generator, content: Content, kind: str, column: Column) -> _Made:
    amounts = np.array(column.amounts)
    highest = kind in ("highest", "max")
    best = amounts.max() if highest else amounts.min()
    rows = np.flatnonzero(amounts == best)
    if kind in ("highest", "lowest") and len(rows) > 1:
        return None
    answer = content.columns[0].cells[rows[0]] if kind in ("highest", "lowest") else column.cells[rows[0]]
    return column.header, _say(rng, content, f"table.{kind}", key=_key(content), col=_header(rng, column)), answer


def _lookup(rng: np.random.Generator, content: Content) -> _Made:
    row, column = int(rng.integers(content.num_rows)), _other(rng, content)
    if column.cells.count(column.cells[row]) > 1:
        return None
    text = _say(rng, content, "table.lookup", key=_key(content), col=_header(rng, column), value=column.cells[row])
    return f"{row} {column.header}", text, content.columns[0].cells[row]


def _num_rows(rng: np.random.Generator, content: Content) -> _Made:
    return "", _say(rng, content, "table.num_rows", key=_key(content)), str(content.num_rows)


def _num_columns(rng: np.random.Generator, content: Content) -> _Made:
    return "", _say(rng, content, "table.num_columns"), str(len(content.columns))


def _headers(rng: np.random.Generator, content: Content) -> _Made:
    return "", _say(rng, content, "table.headers"), ", ".join(column.header for column in content.columns)


def _title(rng: np.random.Generator, content: Content) -> _Made:
    return ("", _say(rng, content, "table.title"), content.title) if content.title else None


def _end(rng: np.random.Generator, content: Content, kind: str) -> _Made:
    keys = content.columns[0].cells
    return "", _say(rng, content, f"table.{kind}", key=_key(content)), keys[0 if kind == "first" else -1]


# question kind -> how often, and what makes one or says that the table has none
MAKERS: dict[str, tuple[float, Callable[[np.random.Generator, Content], _Made]]] = {
    "cell": (9.0, _cell),
    "at": (1.5, _at),
    "highest": (2.0, lambda rng, content: _any_extreme(rng, content, "highest")),
    "lowest": (1.6, lambda rng, content: _any_extreme(rng, content, "lowest")),
    "max": (1.0, lambda rng, content: _any_extreme(rng, content, "max")),
    "min": (0.8, lambda rng, content: _any_extreme(rng, content, "min")),
    "lookup": (3.0, _lookup),
    "num_rows": (1.2, _num_rows),
    "num_columns": (0.6, _num_columns),
    "headers": (0.9, _headers),
    "title": (1.6, _title),
    "first": (0.5, lambda rng, content: _end(rng, content, "first")),
    "last": (0.5, lambda rng, content: _end(rng, content, "last")),
}


def _find(rng: np.random.Generator, content: Content, regions: dict[str, Rect]) -> Question:
    """A cell, a text, a row, a column or the title, to be located."""
    texts = [text for column in content.columns for text in (column.header, *column.cells)] + [content.title]
    row = int(rng.integers(1, content.num_rows + 1))
    c = int(rng.integers(len(content.columns)))
    column = content.columns[c]
    kind = rng.random()
    if kind < 0.1 and content.title:
        return _found(_phrase(rng, content, "title"), regions["title"])
    if kind < 0.3:
        return _found(_phrase(rng, content, "row").format(x=content.columns[0].cells[row - 1]), regions[f"row {row}"])
    if kind < 0.45:
        return _found(_phrase(rng, content, "column").format(x=column.header), regions[f"column {c}"])
    text = column.cells[row - 1]
    if texts.count(text) > 1 or kind < 0.55:
        return _found(_phrase(rng, content, "header").format(x=column.header), regions[f"cell 0 {c}"])
    if kind < 0.75:
        return _found(_phrase(rng, content, "cell").format(x=text), regions[f"cell {row} {c}"])
    return _found(_phrase(rng, content, "text").format(x=text), regions[f"text {row} {c}"])


_FIND = {
    "cell": FIND_CELL, "text": FIND_TEXT, "row": FIND_ROW, "column": FIND_COLUMN, "header": FIND_HEADER,
    "title": FIND_TITLE,
}  # fmt: skip


def _phrase(rng: np.random.Generator, content: Content, part: str) -> str:
    return pick(rng, TABLE_FIND_ZH[part] if content.zh else _FIND[part])


def _found(phrase: str, box: Rect) -> Question:
    return Question("ground", phrase, (), "iou", (Region(phrase, Box(*box)),))
