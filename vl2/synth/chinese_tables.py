"""What stands in Chinese tables: the counterpart of vl2.synth.table_content.

    language --draw_content--> Content

The trap: as in English, rows are named by their key and columns by their header, so neither repeats.
"""

from dataclasses import replace

import numpy as np

from vl2.synth import wordings_tables_zh as said
from vl2.synth.langs import Language
from vl2.synth.table_content import Column, Content, distinct
from vl2.synth.values import chance, digits, pick


def draw_content(lang: Language, rows: int, columns: int) -> Content:
    """A table of that many data rows and columns (2 or more); the second column is numeric."""
    rng = lang.rng
    found = [_key_column(lang, rows)]
    while len(found) < columns:
        column = _numbers(lang, rows) if len(found) == 1 or chance(rng, 0.6) else _texts(lang, rows)
        if chance(rng, 0.2):
            column = replace(column, header=lang.fit_word(4))
        headers = {other.header for other in found}
        if not any(column.header in other or other in column.header for other in headers):
            found.append(column)
    title = ""
    if chance(rng, 0.5):
        title = pick(rng, said.TITLES_ZH).format(
            a=lang.fit_word(4), b=lang.fit_word(2), city=lang.city(), year=int(rng.integers(1990, 2027)),
            n=int(rng.integers(1, 20)),
        )  # fmt: skip
    return Content(title, tuple(found), zh=True)


def _key_column(lang: Language, rows: int) -> Column:
    """What the rows are about."""
    rng = lang.rng
    if chance(rng, 0.15):
        if rows <= 12 and chance(rng, 0.5):
            start = int(rng.integers(12))
            return Column("月份", tuple(f"{(start + i) % 12 + 1}月" for i in range(rows)), None, "key")
        year, unit = int(rng.integers(1960, 2025 - rows)), pick(rng, ("", "年"))
        return Column("年份", tuple(f"{year + i}{unit}" for i in range(rows)), None, "key")
    kind = pick(rng, ("person", "place", "company", "thing", "thing"))
    makers = {"person": lang.person, "place": lang.city, "company": lambda: lang.company()[:8], "thing": lang.thing}
    return Column(pick(rng, said.KEYS_ZH[kind]), distinct(makers[kind], rows), None, "key")


def _numbers(lang: Language, rows: int) -> Column:
    """Numbers, money or percentages."""
    rng, form = lang.rng, lang.rng.random()
    top = pick(rng, (9, 20, 50, 99, 200, 500, 999, 2500, 9999, 60000))
    whole = rng.integers(int(0.05 * top), top + 1, rows)
    if form < 0.5:
        header, unit = pick(rng, said.NUMBERS_ZH).split("/")
        unit = unit if chance(rng, 0.3) else ""
        cells = tuple(f"{int(v)}{unit}" for v in whole)
        return Column(header, cells, tuple(float(v) for v in whole), "number")
    if form < 0.85:
        cents = whole * int(pick(rng, (5, 10, 99, 100)))
        sign = chance(rng, 0.6)
        cells = tuple(lang.money(int(c), sign=sign) for c in cents)
        return Column(pick(rng, said.MONEY_ZH), cells, tuple(float(c) for c in cents), "money")
    amounts = whole % 1000 / 10
    return Column(pick(rng, said.SHARES_ZH), tuple(f"{a:.1f}%" for a in amounts), tuple(map(float, amounts)), "share")


def _texts(lang: Language, rows: int) -> Column:
    """Dates, words, places, people, codes, or one of few marks."""
    rng, form = lang.rng, lang.rng.random()
    if form < 0.25:
        return Column(pick(rng, said.DATES_ZH), tuple(lang.date() for _ in range(rows)), None, "date")
    if form < 0.55:
        return Column(pick(rng, said.WORDS_ZH), tuple(lang.fit_word(5) for _ in range(rows)), None, "word")
    if form < 0.65:
        return Column("所在地", tuple(lang.city() for _ in range(rows)), None, "place")
    if form < 0.75:
        return Column("经办人", tuple(lang.person() for _ in range(rows)), None, "name")
    if form < 0.87:
        pattern = pick(rng, ("###", "####", "@#", "@@-##", "@##", "#####", "@-###"))
        return Column(
            pick(rng, ("编号", "代码", "型号")), tuple(digits(rng, pattern) for _ in range(rows)), None, "code"
        )
    marks = np.array(pick(rng, said.MARKS_ZH))
    return Column(pick(rng, said.WORDS_ZH), tuple(marks[rng.integers(len(marks), size=rows)].tolist()), None, "choice")
