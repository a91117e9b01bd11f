"""Pictures turned by several degrees, as screenshots of photographs and bad scans are: nothing else happens to them.

    "line-turned": generate line -> Sample --Lens that only rolls--> on the ground of the picture's own corner

All tasks turn a little (vl2/synth/damage.py), at most as far as their text has room. Here the picture grows instead.
"""

import cv2
import numpy as np

from vl2.synth.camera import seen_through
from vl2.synth.lens import Bend, fit_lens
from vl2.synth.sample import Sample

MOST = 10.0  # degrees
_LEAST = 1.5


def turn(rng: np.random.Generator, sample: Sample, task: str) -> Sample:
    """The sample, turned."""
    cv2.setNumThreads(1)  # workers are processes already
    angle = rng.uniform(_LEAST, MOST) * rng.choice([-1, 1])
    page = (sample.image.width, sample.image.height)
    margins = np.full(4, rng.uniform(0.0, 0.03))
    lens, frame = fit_lens(page, Bend.flat(), np.array([angle, 0.0, 0.0]), 2.0, 1.0, margins)
    columns, rows = lens.pixel_map(*frame)
    pixels = np.asarray(sample.image.convert("RGB"))
    corner = tuple(map(int, np.median(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], 0)))
    turned = cv2.remap(pixels, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=corner)
    return seen_through(sample, task, lens, turned)
