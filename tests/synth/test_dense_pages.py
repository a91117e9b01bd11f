"""Pages: dense, in reading order, answers and boxes re-derived from the marks of the glyphs."""

import string

import numpy as np
import pytest

from vl2.config import CANDIDATE_RESOLUTIONS
from vl2.processing.tiling import choose_canvas
from vl2.synth import page_questions
from vl2.synth.ingredients import fonts, load_font, words
from vl2.synth.page_questions import Line
from vl2.synth.pages import MOST_CHARACTERS, MOST_LINES
from vl2.synth.registry import generate
from vl2.synth.sample import Question, Sample

SPLITS = ("train", "test")
QUESTIONS = ("BEGINS", "HOLDS", "BEFORE", "BELOW", "ABOVE", "WHICH_NUMBER")
PHRASES = ("WORD_PHRASES", "LINE_PHRASES", "BEGIN_PHRASES")


def drawn_text(sample: Sample) -> str:
    """What the marks say; OTHER_CHARACTER becomes a NUL."""
    return "".join(chr(31 + label) if label < 96 else "\0" for label in sample.mark_ids)


def lines_of(sample: Sample) -> list[str]:
    return sample.questions[0].answers[0].split("\n")


def samples(count: int = 40) -> list[Sample]:
    return [generate("page", 5, index, split) for split in SPLITS for index in range(count)]


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_arguments_give_the_same_sample(split: str):
    first, second, other = (generate("page", 1, index, split) for index in (3, 3, 4))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    np.testing.assert_array_equal(first.mark_boxes, second.mark_boxes)
    assert first.questions != other.questions


def test_reading_is_what_was_drawn_in_that_order():
    for sample in samples():
        read = sample.questions[0]
        assert (read.kind, read.metric) == ("read", "cer")
        full = "".join(lines_of(sample))
        assert len(full) == len(sample.mark_ids)
        assert all(a in (b, "\0") for a, b in zip(drawn_text(sample), full, strict=True))
        assert all(line == line.strip() and line for line in lines_of(sample))
        assert (sample.mark_boxes[:, :2] >= -3).all()
        assert (sample.mark_boxes[:, 2:] <= np.array(sample.image.size) + 3).all()


def test_pages_are_dense_and_need_few_tiles():
    drawn = [generate("page", 6, index, "train") for index in range(150)]
    lines = np.array([len(lines_of(sample)) for sample in drawn])
    lengths = np.array([len(sample.mark_ids) for sample in drawn])
    assert (lines.min() >= 3) & (lines.max() <= MOST_LINES + 2)
    assert 8 < lines.mean() < 14
    assert 150 < lengths.mean() < 300
    assert lengths.max() <= MOST_CHARACTERS + 20
    assert (lengths > 90).mean() > 0.9
    canvases = [choose_canvas(*sample.image.size, CANDIDATE_RESOLUTIONS) for sample in drawn]
    tiles = np.array([width * height // 384**2 for width, height in canvases])
    assert (tiles == 1).mean() > 0.6
    assert tiles.max() <= 4


def test_every_glyph_is_seen_often():
    text = "".join(drawn_text(generate("page", 7, index, "train")) for index in range(150))
    assert min(text.count(char) for char in string.printable[:94]) > 10


def ends_of(sample: Sample) -> list[tuple[int, int]]:
    """(first, one past the last) mark of every line."""
    ends = np.cumsum([len(line) for line in lines_of(sample)]).tolist()
    return list(zip([0, *ends[:-1]], ends, strict=True))


def test_found_words_and_lines_lie_on_their_glyphs():
    found = absent = 0
    for sample in samples():
        full = "".join(lines_of(sample))
        for question in sample.questions:
            if question.kind != "ground":
                continue
            assert question.metric == "iou"
            quoted = question.text[1:-1] if question.text[0] in "\"'" else question.text.split('"')[-2:][0]
            if not question.regions:
                absent += 1
                assert quoted not in "\n".join(lines_of(sample))
                continue
            x0, y0, x1, y1 = question.regions[0].box
            assert 0 <= x0 < x1 <= sample.image.width
            assert 0 <= y0 < y1 <= sample.image.height
            spans = ends_of(sample) if "line" in question.text or "row" in question.text else []
            if full.count(quoted) == 1:
                spans.append((full.index(quoted), full.index(quoted) + len(quoted)))
            assert any(_covers(sample, span, (x0, y0, x1, y1)) for span in spans) or not spans, question
            found += bool(spans)
    assert found > 60
    assert absent > 2


def _covers(sample: Sample, span: tuple[int, int], box: tuple[float, float, float, float]) -> bool:
    """Whether the glyphs of the span have their centres in the box, give or take ink that is narrower than its cell."""
    cells = sample.mark_boxes[slice(*span)]
    x0, y0, x1, y1 = box
    slack = 0.5 * (cells[:, 3] - cells[:, 1]).mean()
    near = abs(cells[:, 0].min() - x0) < slack and abs(cells[:, 2].max() - x1) < slack
    return bool(near and y0 - slack < cells[:, 1::2].mean() < y1 + slack)


class _Lines:
    """Questions about a page of known lines, by their answer."""

    def __init__(self, texts: list[str], *, stacked: bool, count: int = 500) -> None:
        font = load_font(fonts("train", "sans")[0], 20)
        lines = [Line(text, (5, 5 + 30 * number), font, 24) for number, text in enumerate(texts)]
        rng = np.random.default_rng(3)
        self.asked = [page_questions.page_questions(rng, lines, "train", stacked=stacked) for _ in range(count)]
        self.lines = lines

    def asks(self) -> list[Question]:
        return [d for asked in self.asked for d in asked.drafts if isinstance(d, Question) and d.kind == "ask"]


TEXTS = ["Alpha one", "Total: 12.50", "beta two three", "one more"]


def test_questions_about_lines_are_true():
    about = {text: {q.answers[0] for q in _Lines(TEXTS, stacked=True).asks() if text in q.text} for text in TEXTS}
    assert about["Total: 12.50"] <= {"Alpha one", "beta two three"}
    assert about["Alpha one"] == {"Total: 12.50"}
    words = {}
    for question in _Lines(TEXTS, stacked=True).asks():
        for word in ("beta", "three", "Total", "12.50", "Alpha", "more"):
            if word in question.text and not any(text in question.text for text in TEXTS):
                words.setdefault(word, set()).add(question.answers[0])
    assert words["beta"] <= {"two", "beta two three", "3"}
    assert words["three"] <= {"two", "beta two three", "3"}
    assert {"beta two three", "3"} <= words["beta"]
    assert words["more"] <= {"one", "one more", "4"}


def test_a_word_that_is_there_twice_is_not_asked_for():
    for question in _Lines(TEXTS, stacked=True).asks():
        if '"one"' in question.text:
            # only as the first word of a line, which it is once
            assert question.answers[0] == "one more"
    for asked in _Lines(TEXTS, stacked=True).asked:
        assert not any("one" in draft[0].split('"')[1:2] and draft[1].startswith("word") for draft in asked.drafts
                       if isinstance(draft, tuple))  # fmt: skip


def test_blocks_side_by_side_have_no_line_numbers():
    for question in _Lines(TEXTS, stacked=False).asks():
        assert not question.answers[0].isdigit()
        assert not any(name in question.text for name in ("line 1", "line 2", "last line", "third line"))


def test_a_word_box_is_the_ink_of_the_word():
    for asked in _Lines(TEXTS, stacked=True, count=100).asked:
        for name, (x0, y0, x1, y1) in asked.boxes.items():
            assert name.startswith("word")
            assert x1 - x0 > 8
            assert 5 < y1 - y0 < 24


@pytest.mark.parametrize("name", QUESTIONS + PHRASES)
def test_every_question_has_many_wordings(name: str):
    wordings = getattr(page_questions, name)
    assert len(set(wordings)) >= 11
    assert all("{word}" in text or "{line}" in text for text in wordings)


def test_words_belong_to_the_split():
    others = {split: set(words(other)) for split, other in (("train", "test"), ("test", "train"))}
    for split in SPLITS:
        for index in range(25):
            found = " ".join(lines_of(generate("page", 8, index, split))).lower().split(" ")
            whole = [word for word in found if len(word) > 7 and word.isalpha()]
            strange = [word for word in whole if word in others[split]]
            assert not strange, (split, index, strange)
