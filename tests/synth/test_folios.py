"""Invoices, cards, pages and merged tables: answers are what was drawn, JSON and HTML parse, nothing is cut off."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

from vl2.synth import cards, chinese_documents, flows, folio_wordings, han, langs, science
from vl2.synth.canvas import character_ids
from vl2.synth.merged_tables import Cell, to_html, to_markdown
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_HAN, FIRST_STRUCTURE, Sample

NAMES = ("invoice", "card", "flow", "merged-table", "science")
TASKS = (*(name + ending for name in NAMES for ending in ("", "-zh")), "receipt-zh", "form-zh")
COUNT = 14


@pytest.fixture(scope="module", params=[(task, split) for task in TASKS for split in ("train", "test")])
def samples(request: pytest.FixtureRequest) -> list[Sample]:
    task, split = request.param
    return [generate(task, 9, index, split) for index in range(COUNT)]


def drawn(sample: Sample) -> list[int]:
    """Labels of the drawn characters but spaces, in drawing order."""
    return [i for i in sample.mark_ids.tolist() if 1 < i < FIRST_STRUCTURE or i >= FIRST_HAN]


def labels(text: str) -> list[int]:
    return character_ids(text.replace(" ", "").replace("\n", "")).tolist()


def holds(whole: list[int], part: list[int]) -> bool:
    return f",{','.join(map(str, part))}," in f",{','.join(map(str, whole))},"


def test_answers_are_drawn(samples: list[Sample]):
    for sample in samples:
        ink = drawn(sample)
        for question in sample.questions:
            if question.kind == "ask" and question.metric == "anls":
                answer = question.answers[0]
                if (
                    answer.startswith(("There is no", "图中没有"))
                    or "LaTeX" in question.text
                    or "latex" in question.text
                ):
                    continue
                assert holds(ink, labels(answer)), (question.text, answer)
            if question.kind == "read":
                assert (
                    Counter(labels(question.answers[0])) <= Counter(ink)
                    or "^" in question.answers[0]
                    or "_" in question.answers[0]
                )


def test_json_holds_what_was_asked_and_drawn(samples: list[Sample]):
    found = 0
    for sample in samples:
        for question in sample.questions:
            if question.kind == "convert" and question.answers[0].startswith("{"):
                answer = json.loads(question.answers[0])
                found += 1
                for key, value in answer.items():
                    assert key in question.text
                    assert value is None or holds(drawn(sample), labels(value))
    assert found > COUNT or samples[0].task.startswith(("flow", "merged", "science"))


def test_html_parses_and_fills_its_grid(samples: list[Sample]):
    for sample in samples:
        for question in sample.questions:
            if question.answers and question.answers[0].startswith("<table>"):
                table = ElementTree.fromstring(question.answers[0])
                area = sum(int(c.get("rowspan", 1)) * int(c.get("colspan", 1)) for row in table for c in row)
                assert area % len(table) == 0
                texts = [c.text for row in table for c in row]
                assert all(holds(drawn(sample), labels(text or "")) for text in texts)


def test_marks_and_boxes_lie_on_the_picture(samples: list[Sample]):
    for sample in samples:
        width, height = sample.image.size
        assert max(width, height) <= 780
        letters = (sample.mark_ids > 1) & (sample.mark_ids < FIRST_STRUCTURE) | (sample.mark_ids >= FIRST_HAN)
        middles = (sample.mark_boxes[letters, :2] + sample.mark_boxes[letters, 2:]) / 2
        assert (middles > -2).all()
        assert (middles < (width + 2, height + 2)).all()
        assert len(sample.questions) >= 1
        for question in sample.questions:
            assert question.text == question.text.strip() != ""
            assert not re.search(r"\{(label|value|keys|item|row|column|group)\}", question.text)
            for region in question.regions:
                x0, y0, x1, y1 = region.box
                assert 0 <= x0 < x1 <= width
                assert 0 <= y0 < y1 <= height


def test_same_index_same_sample():
    for task in TASKS[:6:2]:
        first, second = generate(task, 1, 3), generate(task, 1, 3)
        assert first.image.tobytes() == second.image.tobytes()
        assert first.questions == second.questions


def test_labels_of_documents_can_be_drawn():
    known = {*han.characters(), *"，。、；：？！“”‘’（）《》【】…￥％"}
    texts = [text for _, chinese in langs.LABELS.values() for text in chinese]
    for module in (cards, flows, chinese_documents, science):
        for name, value in vars(module).items():
            drawn_here = name in ("_THANKS", "_PAYMENTS", "_HEADS", "_TITLES") and module is chinese_documents
            if drawn_here or (
                name.endswith("_ZH") and name not in ("_KIND_ZH", "_PRICE_ZH", "_TITLE_ZH", "_PORTRAIT_ZH", "_SAYS_ZH")
            ):
                texts += value
    texts += [label for label, _ in chinese_documents._FIELDS]
    texts += [text for group, options in chinese_documents._GROUPS for text in (group, *options)]
    assert {char for text in texts for char in text if ord(char) > 127} <= known
    assert len(folio_wordings.VALUE) >= 15


def test_spans_in_html_and_markdown():
    cells = [Cell(0, 0, "a", 2, 1, True), Cell(0, 1, "b & c", 1, 2, True), Cell(1, 1, "d"), Cell(1, 2, "e")]
    assert to_html(cells) == (
        '<table>\n<tr><th rowspan="2">a</th><th colspan="2">b &amp; c</th></tr>\n'
        "<tr><td>d</td><td>e</td></tr>\n</table>"
    )
    assert to_markdown(cells, 3) == "| a | b & c |  |\n| --- | --- | --- |\n|  | d | e |"
