"""Questions that read many cells of a table at once: all of it, a column, a row, the rows in the order of a column.

    Content --whole_questions--> up to three questions of kind "convert"

To say which row has most, a model must read every row; being asked for the whole order teaches what being asked for
the first one does not. The trap: no metric is that of questions about one cell, so that what is measured by those
stays what it was.
"""

from collections.abc import Callable

import numpy as np

from vl2.synth.chart_tables import written
from vl2.synth.sample import Question
from vl2.synth.table_content import Column, Content, listed
from vl2.synth.values import pick

MOST_CELLS = 60
_ASKED = 3  # at most
_WORDINGS = {
    "markdown": listed(
        """Convert the table to Markdown.|table to markdown|Give me the table as a Markdown table.
        Write this table in Markdown|Transcribe the table as Markdown.|What does the table look like in Markdown?
        Output the table in Markdown format.|Turn the table into Markdown|Extract the table as Markdown.
        the whole table, in Markdown please|Reproduce the table in Markdown.|Read the table and answer in Markdown."""
    ),
    "csv": listed(
        """Convert the table to CSV.|table to csv|Give me the table as CSV.|Write this table as comma-separated values
        Extract the table in CSV format.|Turn the table into a CSV file.|Output all rows as CSV with a header line.
        Transcribe the table as CSV.|i need the table as csv|Export the table to CSV.|CSV of the table, please
        Read the table and answer in CSV."""
    ),
    "json": listed(
        """Convert the table to JSON.|table to json|Give me the table as JSON.|Extract the table as a JSON object.
        Write this table as JSON, one entry a row.|Turn the table into JSON.|Output all rows as JSON.
        Transcribe the table as JSON.|i need the table as json|Return the table in JSON format.
        JSON of the table, please|Read the table and answer in JSON."""
    ),
    "column": listed(
        """List the column {x}, one entry per line.|Read the {x} column from top to bottom.|all entries under {x}
        Everything in the column {x}, line by line.|Write out the column {x}.|What stands in the column {x}, row by row?
        Give me all values of {x} in order.|copy the {x} column|Transcribe the column {x}.|List every {x} in the table.
        the whole column {x}, please|Read out {x} for all rows."""
    ),
    "row": listed(
        """Give the row {x} as JSON.|Return everything about {x} as JSON.|the row of {x} as JSON
        All cells of {x}, in JSON.|Extract the row {x} as a JSON object.
        What does the table say about {x}? Answer in JSON.
        Read the row {x} as JSON.|{x}: the whole row as JSON|Write the row of {x} as JSON.|json for {x}
        Turn the row {x} into JSON.|Every value of {x} as a JSON object."""
    ),
    "order": listed(
        """List each {key} from the highest to the lowest {x}, one per line.|Sort by {x}, largest first.
        Order the rows by {x}, descending; name the {key} of each.|Rank every {key} by {x}.|ranking by {x}
        Which {key} comes first, second, and so on by {x}?|From most to least {x}: list the {key} of every row.
        Sort the table by {x} from high to low.|Put every {key} in the order of falling {x}.
        Name the rows by falling {x}.|Rank the rows by {x}, the biggest on top.|sort descending by {x}"""
    ),
}
_WORDINGS_ZH = {
    "column": listed(
        """逐行列出“{x}”这一列。|从上到下读出{x}列。|{x}列的全部内容，每行一个。|把{x}这一列抄写出来。|列出所有的{x}。
        {x}一栏都写了什么？逐行回答。|按顺序给出{x}的所有值。|读出每一行的{x}。"""
    ),
    "row": listed(
        """用JSON给出{x}这一行。|把{x}这一行提取为JSON。|{x}的全部信息，以JSON回答。|读取{x}一行，输出JSON。
        以JSON格式返回{x}的各项内容。|{x}这一行写了什么？用JSON回答。|将{x}的数据整理成JSON。|输出{x}对应的JSON。"""
    ),
    "order": listed(
        """按{x}从高到低列出{key}，每行一个。|按{x}从大到小排序。|将各行按{x}降序排列。|按{x}给所有{key}排名。
        {x}由多到少的顺序是什么？|从最高到最低，按{x}列出每个{key}。|按{x}排序，最大的在前。|依{x}递减列出各行的{key}。"""
    ),
}


def whole_questions(rng: np.random.Generator, content: Content) -> list[Question]:
    """Some of: the table in one of three forms, a column, a row, and the names of the rows in the order of a column."""
    makers: list[Callable[[np.random.Generator, Content], Question | None]] = [_column, _row, _order, _order]
    if not content.zh and content.num_rows * len(content.columns) <= MOST_CELLS:  # Chinese ones have Markdown
        makers = [_table, *makers]
    made = [makers[place](rng, content) for place in rng.permutation(len(makers)).tolist()]
    once = {question.text: question for question in made if question}
    return list(once.values())[:_ASKED]


def _ask(rng: np.random.Generator, content: Content, kind: str, answer: str, **slots: str) -> Question:
    wordings = (_WORDINGS_ZH if content.zh else _WORDINGS)[kind]
    return Question("convert", pick(rng, wordings).format(**slots), (answer,), "cer")


def _table(rng: np.random.Generator, content: Content) -> Question:
    rows = [[column.header for column in content.columns]]
    rows += [[column.cells[row] for column in content.columns] for row in range(content.num_rows)]
    form = pick(rng, ("markdown", "csv", "json"))
    return _ask(rng, content, form, written(rows, form, nested=True))


def _any(rng: np.random.Generator, columns: tuple[Column, ...] | list[Column]) -> Column:
    return columns[int(rng.integers(len(columns)))]


def _column(rng: np.random.Generator, content: Content) -> Question:
    column = _any(rng, content.columns)
    return _ask(rng, content, "column", "\n".join(column.cells), x=column.header)


def _row(rng: np.random.Generator, content: Content) -> Question:
    row, name = int(rng.integers(content.num_rows)), content.columns[0].cells
    cells = [[column.header for column in content.columns], [column.cells[row] for column in content.columns]]
    inner = written(cells, "json", nested=True)
    return _ask(rng, content, "row", inner[inner.index("{", 1) : -1], x=name[row])


def _order(rng: np.random.Generator, content: Content) -> Question | None:
    """None where two rows are equal."""
    columns = [column for column in content.columns if column.amounts and len(set(column.amounts)) == content.num_rows]
    if not columns or content.num_rows < 2:
        return None
    column = _any(rng, columns)
    ranked = np.argsort(-np.array(column.amounts)).tolist()
    names = "\n".join(content.columns[0].cells[row] for row in ranked)
    key = content.columns[0].header if content.zh else content.columns[0].header.lower()
    return _ask(rng, content, "order", names, x=column.header, key=key)
