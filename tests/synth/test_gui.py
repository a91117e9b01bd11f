"""Screenshots: boxes come from the page, and the letters drawn in them spell what the question says."""

import asyncio
import re
import shutil
from collections import Counter

import numpy as np
import pytest
from element_checks import check_names

from vl2.synth import gui
from vl2.synth.gui import BrowserError
from vl2.synth.registry import generate
from vl2.synth.sample import FIRST_HAN, FIRST_STRUCTURE, STRUCTURES, Sample

pytest.importorskip("playwright")
needs_browser = pytest.mark.skipif(not any(map(shutil.which, gui._BROWSERS)), reason="no Chromium")
COUNT = 10
BUTTON = re.compile(r"(?:the button that says |press |the tab labelled )(.+)|(?:写着(.+)的按钮|按下(.+))")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [generate(task, 4, index) for task in ("gui", "gui-zh") for index in range(COUNT)]


def letters(sample: Sample) -> np.ndarray:
    return (sample.mark_ids > 1) & (sample.mark_ids < FIRST_STRUCTURE) | (sample.mark_ids >= FIRST_HAN)


@needs_browser
def test_other_event_loops_run_beside_the_browser(samples: list[Sample]):
    asyncio.run(asyncio.sleep(0))


@needs_browser
def test_elements_hold_the_letters_of_their_names(samples: list[Sample]):
    assert check_names(samples, letters, BUTTON) > 3


@needs_browser
def test_letters_are_ink(samples: list[Sample]):
    """Where a letter is marked the picture is not plain."""
    for sample in samples:
        grey = np.asarray(sample.image.convert("L")).astype(int)
        plain = total = 0
        for x0, y0, x1, y1 in sample.mark_boxes[letters(sample)]:
            cut = grey[max(0, int(y0)) : int(y1) + 1, max(0, int(x0)) : int(x1) + 1]
            total += 1
            plain += bool(cut.size == 0 or cut.max() - cut.min() < 14)
        assert total > 10
        assert plain < 0.06 * total


@needs_browser
def test_pages_differ_and_the_same_index_gives_the_same_page(samples: list[Sample]):
    again = generate("gui", 4, 3)
    assert again.image.tobytes() == samples[3].image.tobytes()
    assert again.questions == samples[3].questions
    assert len({sample.image.tobytes() for sample in samples}) == len(samples)
    kinds = Counter(question.kind for sample in samples for question in sample.questions)
    assert kinds["ground"] > 5 * COUNT
    assert kinds["ask"] > COUNT
    drawn = {
        STRUCTURES[i - FIRST_STRUCTURE] for s in samples for i in s.mark_ids.tolist() if FIRST_STRUCTURE <= i < 128
    }
    assert {"button", "input field"} <= drawn


def test_without_a_browser_the_task_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gui, "_WINDOWS", {})
    monkeypatch.setattr(gui, "_BROWSERS", ("no-such-browser",))
    monkeypatch.delenv("VL2_CHROMIUM", raising=False)
    with pytest.raises(BrowserError, match="apt-get install chromium"):
        generate("gui", 0, 0)
