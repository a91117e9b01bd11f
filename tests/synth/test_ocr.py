"""Lines and paragraphs: deterministic, readable, questions true to what was drawn."""

import numpy as np
import pytest

from vl2.synth import ocr_questions, writing
from vl2.synth.backgrounds import Background, background, ink, luminance
from vl2.synth.blocks import choose_font
from vl2.synth.ingredients import fonts
from vl2.synth.registry import TASKS, TaskError, generate
from vl2.synth.sample import Sample

TASK_SPLITS = [(task, split) for task in ("line", "paragraph") for split in ("train", "test")]


def drawn_text(sample: Sample) -> str:
    """What the marks say, without spaces."""
    return "".join(chr(31 + label) if label < 96 else "?" for label in sample.mark_ids).replace(" ", "")


@pytest.mark.parametrize(("task", "split"), TASK_SPLITS)
def test_same_index_same_sample(task: str, split: str):
    first, second = generate(task, 1, 7, split), generate(task, 1, 7, split)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    assert (first.mark_boxes == second.mark_boxes).all()
    other = generate(task, 1, 8, split)
    assert first.questions != other.questions


@pytest.mark.parametrize(("task", "split"), TASK_SPLITS)
def test_samples_are_well_formed(task: str, split: str):
    for index in range(60):
        sample = generate(task, 2, index, split)
        read = sample.questions[0]
        assert read.kind == "read"
        assert read.metric == "cer"
        full = read.answers[0]
        assert all(line == line.strip() and line for line in full.split("\n"))
        assert 1 <= len(full.split("\n")) <= 14
        marks = drawn_text(sample)
        plain = full.replace(" ", "").replace("\n", "")
        assert len(marks) == len(plain)
        assert all(a in (b, "?") for a, b in zip(marks, plain, strict=True))
        for question in sample.questions[1:]:
            assert question.kind == "ask"
            assert question.metric == "exact" or question.answers[0] in full
            assert "{" not in question.text or "{" in full
            assert question.text == question.text.strip()
        width, height = sample.image.size
        assert 20 <= height <= 1100
        assert 20 <= width <= 1100
        assert (sample.mark_boxes[:, 2] >= sample.mark_boxes[:, 0]).all()
        centres = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
        assert ((centres >= -2) & (centres <= (width + 2, height + 2))).all()


def test_text_differs_from_its_background():
    for index in range(60):
        sample = generate("line", 3, index, "train")
        grey = np.asarray(sample.image.convert("L"), np.float32)
        height, width = grey.shape
        x0, y0 = np.maximum(sample.mark_boxes[:, :2].min(0).astype(int), 0)
        x1, y1 = sample.mark_boxes[:, 2:].max(0).astype(int)
        inner = grey[y0 : min(y1, height), x0 : min(x1, width)]
        assert np.percentile(inner, 99) - np.percentile(inner, 1) > 25, index


def test_sizes_are_mostly_one_tile():
    sizes = np.array([generate("paragraph", 4, index, "train").image.size for index in range(150)])
    one_tile = (sizes.max(1) <= 384).mean()
    assert 0.5 < one_tile < 0.8
    assert ((sizes.max(1) > 384) & (sizes.max(1) <= 768)).any()


def test_ink_is_readable_on_every_background():
    rng = np.random.default_rng(0)
    for _ in range(200):
        ground = background(rng, 40, 30)
        assert isinstance(ground, Background)
        light = float(luminance(np.array(ink(rng, ground))))
        low, high = min(light, ground.low), max(light, ground.high)
        if ground.low <= light <= ground.high:
            pytest.fail("ink inside the range of the background")
        nearest = ground.high if light > ground.high else ground.low
        assert (max(light, nearest) + 0.05) / (min(light, nearest) + 0.05) > 2.5, (low, high)
        pixels = luminance(np.asarray(ground.image).astype(float))
        assert pixels.min() >= ground.low - 0.03
        assert pixels.max() <= ground.high + 0.03


def test_random_strings_cover_all_characters_evenly():
    rng = np.random.default_rng(1)
    text = "".join(writing.random_string(rng, 24) for _ in range(4000)).replace(" ", "")
    counts = np.array([text.count(char) for char in writing.PRINTABLE])
    assert counts.min() > 0.25 * counts.mean()
    assert not set(writing.random_string(rng, 24, frozenset("Il|0O"))) & set("Il|0O")


@pytest.mark.parametrize("limit", [3, 8, 20, 60])
@pytest.mark.parametrize("split", ["train", "test"])
def test_lines_are_clean(limit: int, split: str):
    rng = np.random.default_rng(limit)
    for _ in range(300):
        text = writing.any_line(rng, split, limit)
        assert text
        assert text == text.strip()
        assert "  " not in text
        assert "\n" not in text
        assert len(text) <= limit + 6  # closing punctuation and quotes may be added


def test_every_question_type_has_many_wordings():
    for name in ("READ", "WHOLE", "FIRST_WORD", "LAST_WORD", "LINE", "WORD_OF_LINE", "VALUE", "AFTER", "COUNT"):
        wordings = getattr(ocr_questions, name)
        assert len(set(wordings)) == len(wordings) >= 15, name


def test_questions_about_lines_and_keys_are_true():
    rng = np.random.default_rng(9)
    lines = ["Alpha one", "Total: 12.50", "beta two three"]
    answers: dict[str, set[str]] = {}
    for _ in range(300):
        for question in ocr_questions.paragraph_questions(rng, lines, numbered=True)[1:]:
            answers.setdefault(question.answers[0], set()).add(question.text)
    assert "12.50" in answers
    assert answers["3"]
    assert any("last line" in text for text in answers["beta two three"])
    assert not any("first line" in text.lower() and "word" not in text for text in answers["beta two three"])
    assert any("after" in text.lower() for text in answers["two"])


def test_fonts_of_a_split_only():
    rng = np.random.default_rng(2)
    allowed = {*fonts("test"), *fonts("test", "caps")}
    assert {choose_font(rng, "test")[0] for _ in range(300)} <= allowed


def test_unknown_task_and_split_are_named():
    with pytest.raises(TaskError, match=r"'lines'.*line, paragraph"):
        generate("lines", 0, 0)
    with pytest.raises(TaskError, match="'dev'"):
        generate("line", 0, 0, "dev")
    with pytest.raises(TaskError, match="-1"):
        generate("line", 0, -1)
    assert len(TASKS) >= 8
