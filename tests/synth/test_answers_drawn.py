"""Documents, tables and charts: what is asked for stands on the picture, inside it, and is the same each time."""

import re

import numpy as np
import pytest

from vl2.synth.registry import generate
from vl2.synth.sample import NUM_LABELS, OTHER_CHARACTER, Sample, Split

TASKS = ("receipt", "form", "table", "chart")
METRICS = {"anls", "exact", "relaxed_accuracy", "cer", "iou"}
NUMBER = re.compile(r"-?[\d.,\s]+%?")
COLOURS = {
    "red", "green", "blue", "orange", "purple", "yellow", "brown", "pink", "gray", "grey", "black", "cyan",
    "teal", "white",
}  # fmt: skip
CHART_KINDS = re.compile(r"(\w+ )*(bar|line|pie|donut)( \w+)*")


def samples(task: str) -> list[tuple[Split, int, Sample]]:
    splits: tuple[Split, ...] = ("train", "test")
    return [(split, index, generate(task, 3, index, split)) for split in splits for index in range(20)]


def drawn_text(sample: Sample) -> str:
    """Every character marked on the picture in drawing order; NUL stands for anything that is no character."""
    ids = sample.mark_ids.tolist()
    return "".join(chr(31 + i) if 0 < i < OTHER_CHARACTER else "\1" if i == OTHER_CHARACTER else "\0" for i in ids)


def as_marked(answer: str) -> str:
    return "".join(char if " " <= char <= "~" else "\1" for char in answer)


def may_be_undrawn(task: str, answer: str) -> bool:
    """Counts, a tick, a list of headers, a colour, a value read off an axis."""
    if task == "receipt":
        return answer.isdigit() and int(answer) < 30
    if task == "form":
        return answer in ("Yes", "No")
    if task == "table":
        return answer.isdigit() and int(answer) <= 12
    return bool(NUMBER.fullmatch(answer) or CHART_KINDS.fullmatch(answer)) or answer in COLOURS


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_drawn_on_the_picture(task: str) -> None:
    for split, index, sample in samples(task):
        text = drawn_text(sample)
        for question in sample.questions:
            if question.kind == "ask":
                answer = question.answers[0]
                parts = answer.split(", ") if task != "receipt" and as_marked(answer) not in text else [answer]
                for part in parts:
                    assert as_marked(part) in text or may_be_undrawn(task, part), (split, index, question.text, part)
            elif question.kind == "read":
                flat = text.replace(" ", "")
                assert all(as_marked(word) in flat for word in question.answers[0].split()), (split, index)


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_well_formed(task: str) -> None:
    for split, index, sample in samples(task):
        where = (split, index)
        width, height = sample.image.size
        assert sample.image.mode == "RGB", where
        assert len(sample.questions) >= 1, where
        assert sample.mark_ids.dtype == np.int16, where
        assert sample.mark_boxes.shape == (len(sample.mark_ids), 4), where
        assert 0 < sample.mark_ids.min() <= sample.mark_ids.max() < NUM_LABELS, where
        centres = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
        assert (centres >= -2).all(), where
        assert (centres <= np.array([width, height]) + 2).all(), where
        for question in sample.questions:
            assert question.metric in METRICS, where
            assert question.kind == "ground" or question.answers[0], where
            for region in question.regions:
                x0, y0, x1, y1 = region.box
                assert 0 <= x0 < x1 <= width, where
                assert 0 <= y0 < y1 <= height, where


@pytest.mark.parametrize("task", TASKS)
def test_the_same_arguments_give_the_same_sample(task: str) -> None:
    first, second, other = (generate(task, 4, index, "train") for index in (7, 7, 8))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    np.testing.assert_array_equal(first.mark_boxes, second.mark_boxes)
    assert other.questions != first.questions


@pytest.mark.parametrize("task", TASKS)
def test_most_pictures_need_one_or_two_tiles(task: str) -> None:
    sizes = [sample.image.size for _, _, sample in samples(task)]
    small = [max(size) <= 384 for size in sizes]
    assert np.mean(small) > 0.4
    assert np.mean([min(size) <= 384 and max(size) <= 768 for size in sizes]) > 0.7
    assert len(set(sizes)) > 20, "layouts differ in size"
