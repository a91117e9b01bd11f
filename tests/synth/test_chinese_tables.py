"""Chinese tables: cells, extremes and Markdown are what was drawn, in characters that the fonts have."""

import re

import pytest
from whole_cells import cells_of

from vl2.synth import han, wordings_tables_zh
from vl2.synth.canvas import character_ids
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_HAN, FIRST_STRUCTURE, Sample

COUNT = 40


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [generate("table-zh", 5, index, ("train", "test")[index % 2]) for index in range(COUNT)]


def drawn(sample: Sample) -> str:
    ids = [i for i in sample.mark_ids.tolist() if 1 < i < FIRST_STRUCTURE or i >= FIRST_HAN]
    return f",{','.join(map(str, ids))},"


def labels(text: str) -> str:
    return f",{','.join(map(str, character_ids(text.replace(' ', ''))))},"


def test_answers_are_drawn(samples: list[Sample]):
    checked = 0
    for sample in samples:
        ink = drawn(sample)
        assert 2 <= len(sample.questions) <= 25
        for question in sample.questions:
            assert "{" not in question.text
            if question.kind == "ask" and not re.search("几|多少个|多少列|列数|表头|列名|各列", question.text):
                checked += 1
                assert labels(question.answers[0]) in ink, question
            if question.kind == "convert":
                assert all(labels(cell) in ink for cell in cells_of(question)), question
            for region in question.regions:
                x0, y0, x1, y1 = region.box
                assert 0 <= x0 < x1 <= sample.image.width
                assert 0 <= y0 < y1 <= sample.image.height
    assert checked > 4 * COUNT


def test_the_markdown_says_which_is_the_highest(samples: list[Sample]):
    checked = 0
    for sample in samples:
        tables = [q.answers[0] for q in sample.questions if q.kind == "convert" and q.answers[0].startswith("|")]
        if not tables:
            continue
        rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in tables[0].splitlines()]
        for question in sample.questions:
            found = re.fullmatch(r"(?:谁的|哪个(?:.+)的)(.+)最(高|低)？", question.text)
            if found and found[1] in rows[0]:
                numbers = [float(re.sub(r"[^\d.]", "", row[rows[0].index(found[1])])) for row in rows[2:]]
                best = max(numbers) if found[2] == "高" else min(numbers)
                assert rows[2 + numbers.index(best)][0] == question.answers[0]
                checked += 1
    assert checked > 3


def test_texts_can_be_drawn():
    known = {*han.characters(), *"，。、；：？！“”（）％"}
    drawn_texts = [
        *wordings_tables_zh.NUMBERS_ZH, *wordings_tables_zh.MONEY_ZH, *wordings_tables_zh.SHARES_ZH,
        *wordings_tables_zh.DATES_ZH, *wordings_tables_zh.WORDS_ZH, *wordings_tables_zh.TITLES_ZH,
        *(text for texts in wordings_tables_zh.KEYS_ZH.values() for text in texts),
        *(text for texts in wordings_tables_zh.MARKS_ZH for text in texts),
    ]  # fmt: skip
    assert {char for text in drawn_texts for char in text if ord(char) > 127} <= known
    assert len(wordings_tables_zh.TABLE_ZH) == 13
