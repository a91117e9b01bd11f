"""What holds of screenshots, whether a browser drew them or we did."""

import re
from collections.abc import Callable

import numpy as np

from vl2.synth.canvas import character_ids
from vl2.synth.sample import Sample


def check_names(samples: list[Sample], letters: Callable[[Sample], np.ndarray], named: re.Pattern[str]) -> int:
    """Boxes lie in the picture, and those that are asked for by a name hold its letters. Returns how many do.

    Args:
        letters: which marks of a sample are letters.
        named: questions with a name in one of its groups.
    """
    checked = 0
    for sample in samples:
        middles = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
        for question in sample.questions:
            for region in question.regions:
                x0, y0, x1, y1 = region.box
                assert 0 <= x0 < x1 <= sample.image.width
                assert 0 <= y0 < y1 <= sample.image.height
                inside = letters(sample) & (middles > (x0, y0)).all(1) & (middles < (x1, y1)).all(1)
                match = named.fullmatch(question.text)
                if match and "icon" not in question.text:
                    checked += 1
                    name = next(filter(None, match.groups()))
                    assert sample.mark_ids[inside].tolist() == character_ids(name.replace(" ", "")).tolist()
    return checked
