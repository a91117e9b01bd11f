"""What the task "unanswerable" asks is beyond its pictures, and every answer says so."""

import numpy as np
import pytest

from vl2.synth.registry import generate
from vl2.synth.sample import Sample
from vl2.synth.unanswerable import _BEYOND, _NOWHERE

COUNT = 60


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [generate("unanswerable", 4, index) for index in range(COUNT)]


def test_every_answer_refuses(samples: list[Sample]):
    said = set()
    for sample in samples:
        assert 1 <= len(sample.questions) <= 8
        for question in sample.questions:
            assert question.kind in ("ask", "ground")
            assert not question.regions
            if question.kind == "ask":
                said.add(question.answers[0])
    assert said == {"No text.", "没有文字。", "It is not in the image.", "图中没有。"}


def test_half_of_the_pictures_show_nothing_and_some_are_strips(samples: list[Sample]):
    plain = [sample for sample in samples if not len(sample.mark_ids)]
    assert COUNT / 4 < len(plain) < 3 * COUNT / 4
    sides = [sorted(sample.image.size) for sample in plain]
    assert any(short < 30 and long >= 400 for short, long in sides)
    assert any(np.ptp(np.asarray(sample.image, np.int16), axis=(0, 1)).max() == 0 for sample in plain)  # one colour


def test_nonsense_is_asked_of_drawn_pictures_only(samples: list[Sample]):
    nonsense = [s for s in samples if any(q.text in (*_BEYOND, *_NOWHERE) for q in s.questions)]
    assert len(nonsense) > COUNT / 4
    assert all(len(sample.mark_ids) for sample in nonsense)


def test_counts_and_yes_or_no_are_left_out():
    """On a picture without things "how many" has an answer."""
    for index in range(COUNT):
        for question in generate("unanswerable", 5, index).questions:
            assert not question.text.lower().startswith(("how many", "is there", "are there"))


def test_same_index_same_sample():
    first, second = generate("unanswerable", 1, 2), generate("unanswerable", 1, 2)
    assert first.questions == second.questions
    assert first.image.tobytes() == second.image.tobytes()
