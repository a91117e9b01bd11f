"""Drawn screenshots: boxes hold the letters of their names, switches show their state, nothing covered is asked for."""

import re
from collections import Counter

import numpy as np
import pytest
from element_checks import check_names

from vl2.synth.gui_pages import draw_size
from vl2.synth.langs import language
from vl2.synth.registry import generate
from vl2.synth.sample import BACKGROUND, FIRST_HAN, FIRST_STRUCTURE, STRUCTURES, Sample
from vl2.synth.screen_pages import PageDrawer

COUNT = 30
NAMED = re.compile(
    r"(?:the button that says |press |the tab labelled |go to )(.+)|(?:写着(.+)的按钮|按下(.+)|进入(.+))"
)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [
        generate(task, 4, index, ("train", "test")[index % 2])
        for task in ("screen", "screen-zh")
        for index in range(COUNT)
    ]


def letters(sample: Sample) -> np.ndarray:
    """Which marks are letters that nothing covers."""
    found = (sample.mark_ids > 1) & (sample.mark_ids < FIRST_STRUCTURE) | (sample.mark_ids >= FIRST_HAN)
    middles = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
    for number in np.flatnonzero(sample.mark_ids == BACKGROUND):
        low, high = sample.mark_boxes[number, :2], sample.mark_boxes[number, 2:]
        found[:number] &= ~((middles[:number] > low) & (middles[:number] < high)).all(1)
    return found


def test_elements_hold_the_letters_of_their_names(samples: list[Sample]):
    assert check_names(samples, letters, NAMED) > COUNT / 2


def test_letters_are_ink(samples: list[Sample]):
    for sample in samples:
        grey = np.asarray(sample.image.convert("L")).astype(int)
        plain = total = 0
        for x0, y0, x1, y1 in sample.mark_boxes[letters(sample)]:
            cut = grey[max(0, int(y0)) : int(y1) + 1, max(0, int(x0)) : int(x1) + 1]
            total += 1
            plain += bool(cut.size == 0 or np.ptp(cut) < 14)
        assert total > 5
        assert plain < 0.05 * total


def pages(code: str) -> list[PageDrawer]:
    found = []
    for seed in range(COUNT):
        rng = np.random.default_rng(seed)
        found.append(PageDrawer(language(rng, "train", code), *draw_size(rng)))
        found[-1].draw()
    return found


@pytest.mark.parametrize("code", ["en", "zh"])
def test_states_are_drawn_and_boxes_are_on_the_page(code: str):
    seen = Counter()
    for page in pages(code):
        pixels = np.asarray(page.canvas.image).astype(int)
        for kind, name, state, *box in page.elements:
            seen[kind] += 1
            x0, y0, x1, y1 = (round(value) for value in box)
            assert name
            assert 0 <= x0 < x1 <= page.width
            assert 0 <= y0 < y1 <= page.height
            cut = pixels[y0:y1, x0:x1]
            if kind == "switch":  # the knob is white
                half = (x1 - x0) // 2
                white = (cut[2:-2] > 250).all(-1).sum(0)
                assert (white[half:].sum() > white[:half].sum()) == (state == "on")
            if kind == "checkbox":  # the tick is white on the accent colour
                corner, middle = cut[2, 2], cut[3:-3, 3:-3]
                ticked = np.abs(middle - corner).sum(-1).max() > 60
                assert ticked == (state == "on")
            if kind in ("button", "icon", "menu", "title", "price"):
                assert np.ptp(cut.sum(-1)) > 60
    words = "button icon menu title brand tab input checkbox switch cell price picture mail figure search"
    names = (*words.split(), "row link", "title of the dialogue")
    assert {*names} <= {*seen}


def test_what_lies_over_the_page_hides_it():
    rng = np.random.default_rng(0)
    page = PageDrawer(language(rng, "train", "en"), 600, 400)
    page.note("button", "Save", (10, 10, 60, 30))
    page.note("button", "Send", (300, 300, 360, 330))
    page.note("button", "Print", (580, 300, 640, 330))  # not whole
    page.cover((40, 20, 100, 100))
    assert [name for _, name, *_ in page.elements] == ["Send"]


def test_many_questions_of_all_kinds_and_the_same_page_again(samples: list[Sample]):
    again = generate("screen", 4, 2)
    assert again.image.tobytes() == samples[2].image.tobytes()
    assert again.questions == samples[2].questions
    assert np.mean([len(sample.questions) for sample in samples]) > 9
    assert max(len(sample.questions) for sample in samples) <= 20
    kinds = Counter(question.kind for sample in samples for question in sample.questions)
    assert kinds["ask"] > COUNT
    assert any(
        question.kind == "ground" and not question.regions for sample in samples for question in sample.questions
    )
    drawn = {
        STRUCTURES[i - FIRST_STRUCTURE] for s in samples for i in s.mark_ids.tolist() if FIRST_STRUCTURE <= i < 128
    }
    assert {"button", "input field", "checkbox", "radio button", "selected radio"} <= drawn
