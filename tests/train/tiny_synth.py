"""A twenty-line stand-in for vl2.synth: one to three coloured squares on white, asked about in three ways."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vl2.data.mixture import SynthSource
from vl2.data.packing import BOX_BINS, NO_LABEL, PatchTargets
from vl2.processing.boxes import Box, Region
from vl2.processing.tiling import TiledImage

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class TinyQuestion:
    kind: str
    text: str
    answers: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    then: tuple["TinyQuestion", ...] = ()


@dataclass(frozen=True)
class TinySample:
    image: Image.Image
    questions: tuple[TinyQuestion, ...]
    earlier: tuple["TinySample", ...] = ()


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
    return TinySample(image, questions[:1] if task == "line" else questions)


def patch_targets(sample: TinySample, image: TiledImage) -> PatchTargets:
    """Class 1 and the square's left and upper edge where a patch's centre is not white or grey."""
    centres = image.unique_tiles_NCYX[:, :, 6::12, 6::12].astype(np.int16)
    classes = (centres.max(1) - centres.min(1) > 60).reshape(len(centres), -1).astype(np.int16)
    (region,) = sample.questions[-1].regions if len(sample.questions) > 1 else (None,)
    edges = [0, 0, 0, 0] if region is None else [int(v / max(sample.image.size) * BOX_BINS) for v in region.box]
    boxes = np.where(classes[..., None] > 0, np.array(edges, np.int16), np.int16(NO_LABEL))
    return PatchTargets(classes, boxes)


TINY_SYNTH = SynthSource(generate, patch_targets, ("line", "scene"), 4)
