"""A twenty-line stand-in for vl2.synth: one to three coloured squares on white, asked about in three ways."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vl2.data.mixture import SynthSource
from vl2.processing.boxes import Box, Region
from vl2.processing.tiling import TiledImage

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class TinyQuestion:
    kind: str
    text: str
    answers: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class TinySample:
    image: Image.Image
    questions: tuple[TinyQuestion, ...]
    mark_ids: np.ndarray
    mark_boxes: np.ndarray


def generate(task: str, seed: int, index: int, split: str) -> TinySample:
    rng = np.random.default_rng([seed, index, len(task)])
    assert split == "train"
    image = Image.new("RGB", (96, 96 if task == "line" else 180), "white")
    x, colour = int(rng.integers(0, 64)), COLOURS[rng.integers(3)]
    box = Box(x, 30, x + 30, 60)
    ImageDraw.Draw(image).rectangle(tuple(box), fill=colour)
    region = Region(f"{colour} square", box)
    questions = (
        TinyQuestion("ask", "Which colour?", (colour,)),
        TinyQuestion("ground", f"{colour} square", regions=(region,)),
        TinyQuestion("describe", "Describe it.", (f"A {colour} square on white.",), (region,)),
    )
    marks = np.array([1], np.int16), np.array([box], np.float32)
    return TinySample(image, questions[:1] if task == "line" else questions, *marks)


def patch_labels(ids: np.ndarray, boxes: np.ndarray, size: tuple[int, int], image: TiledImage) -> np.ndarray:
    """The one mark's class where a patch's centre is not white or grey."""
    assert boxes.shape == (1, 4)
    assert size == image.size
    centres = image.unique_tiles_NCYX[:, :, 6::12, 6::12].astype(np.int16)
    return (ids[0] * (centres.max(1) - centres.min(1) > 60)).reshape(len(centres), -1).astype(np.int16)


TINY_SYNTH = SynthSource(generate, patch_labels, ("line", "scene"), 4)
