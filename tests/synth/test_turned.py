"""Turned pictures: every mark still lies on its letter, boxes still hold their text, questions stay."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from vl2.synth.registry import TURNED, TURNING, generate
from vl2.synth.sample import FIRST_STRUCTURE


@pytest.mark.parametrize("task", TURNING)
def test_same_index_same_picture_and_everything_inside(task: str):
    first, second = generate(task + TURNED, 1, 2), generate(task + TURNED, 1, 2)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.task == task + TURNED
    width, height = first.image.size
    assert first.questions
    for question in first.questions:
        for region in question.regions:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height


def test_lines_slope_by_up_to_ten_degrees():
    slopes = []
    for index in range(40):
        sample = generate("line" + TURNED, 7, index)
        letters = (sample.mark_ids > 1) & (sample.mark_ids < FIRST_STRUCTURE)
        middle = (sample.mark_boxes[letters, :2] + sample.mark_boxes[letters, 2:]) / 2
        if len(middle) > 12:
            slopes.append(np.degrees(np.arctan(np.polyfit(middle[:, 0], middle[:, 1], 1)[0])))
    steep = np.abs(slopes)
    assert len(steep) > 8
    assert 1.0 < steep.min() < 5.0 < steep.max() < 14.0  # with the few degrees that any line may have
    assert min(slopes) < 0 < max(slopes)


def test_marks_lie_on_ink():
    """Where a letter is said to be, the picture differs from its ground."""
    checked = right = 0
    for index in range(30):
        sample = generate("page" + TURNED, 5, index)
        pixels = np.asarray(sample.image.convert("L"), np.int16)
        for mark, (x0, y0, x1, y1) in zip(
            sample.mark_ids.tolist(), sample.mark_boxes.astype(int).tolist(), strict=True
        ):
            if 34 <= mark < 96 and x1 - x0 > 5:  # letters and digits
                cell = pixels[max(y0, 0) : y1, max(x0, 0) : x1]
                checked += 1
                right += int(cell.size and np.ptp(cell) > 40)
    assert checked > 500
    assert right > 0.97 * checked
