"""Tasks "pointing" and "pointing-zh": an arrow, a circle or a box drawn by hand shows what is meant, a thing or a line
of text; in Chinese a line.

    scenery or page --finish--> picture --marker at a known box--> "What is in the red circle?"
    draw_marker is also how the first image of an in-context question says which thing is meant

The trap: a marker has a colour that its surroundings lack, or nobody would see it.
"""

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from vl2.processing.boxes import Box, Region
from vl2.synth import chinese_ocr, pages, scenes
from vl2.synth.canvas import Colour
from vl2.synth.han import character_of
from vl2.synth.sample import Question, Sample
from vl2.synth.scene_questions import thing_answers
from vl2.synth.scenery import Plan, Scenery, Thing
from vl2.synth.values import chance, pick

MARKERS = ("box", "circle", "arrow")
_COLOURS: dict[str, Colour] = {
    "red": (230, 20, 30), "green": (0, 190, 60), "blue": (20, 80, 240), "yellow": (250, 220, 0),
    "purple": (150, 20, 200),
    "orange": (255, 130, 0),
}  # fmt: skip
_INSIDE = (
    "What is in the {marker}?", "What is inside the {marker}?", "What does the {marker} show?",
    "what is in the {marker}",
    "Name the thing in the {marker}.", "Which object is marked by the {marker}?",
    "What has been marked with a {marker}?",
    "What thing is inside the {marker}?", "Identify what the {marker} marks.",
)  # fmt: skip
_AT = (
    "What does the {marker} point at?", "What is the {marker} pointing to?", "Which object does the {marker} show?",
    "what does the {marker} point to", "Name the thing the {marker} points at.", "The {marker} points at what?",
    "What is at the tip of the {marker}?", "Identify the object at the end of the {marker}.",
)  # fmt: skip
_COLOUR = (
    "What colour is the marked thing?",
    "which colour does the marked object have",
    "What is the color of the object that is marked?",
)
_HOW_MANY = (
    "How many more of the marked kind are there?",
    "Apart from the marked one, how many of its kind are in the picture?",
)
_FIND_IN = (
    "the thing in the {marker}",
    "the object inside the {marker}",
    "what is in the {marker}",
    "the marked object",
)
_FIND_AT = (
    "the thing the {marker} points at",
    "the object at the tip of the {marker}",
    "what the {marker} points to",
    "the marked object",
)
_TEXT = (
    "What is written in the {marker}?", "Read the text in the {marker}.", "What does the marked line say?",
    "text in the {marker}?",
    "Transcribe what the {marker} marks.", "Which words are marked with the {marker}?",
    "What does it say inside the {marker}?",
)  # fmt: skip
_TEXT_AT = (
    "What does the line at the {marker} say?",
    "Read the line that the {marker} points at.",
    "Which text does the {marker} point to?",
)
_FIND_TEXT = ("the marked line", "the text in the {marker}", "the marked text")
_TEXT_ZH = (
    "{marker}里写的是什么？", "读出{marker}中的文字。", "标出的那一行写了什么？", "{marker}里的文字？",
    "请抄写{marker}标出的文字。",
    "{marker}标出了哪些字？",
)  # fmt: skip
_TEXT_AT_ZH = ("{marker}指着的那一行写了什么？", "读出{marker}所指的文字。", "{marker}指向的文字是什么？")
_FIND_TEXT_ZH = ("标出的那一行", "{marker}标出的文字", "标出的文字")
_ZH = {
    "red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "orange": "橙色",
    "box": "方框", "circle": "圆圈", "arrow": "箭头",
}  # fmt: skip


def choose_colour(
    rng: np.random.Generator, image: Image.Image, box: Box, taken: Collection[str] = ()
) -> tuple[str, Colour]:
    """A colour far from those around the box; "the red circle" must not be a thing of the picture: none of `taken`."""
    x0, y0, x1, y1 = box
    around = image.crop((max(0, int(x0) - 12), max(0, int(y0) - 12), int(x1) + 12, int(y1) + 12)).resize((12, 12))
    pixels = np.asarray(around, np.int16).reshape(-1, 3)
    names = [name for name in _COLOURS if name not in taken] or list(_COLOURS)
    distance = [np.abs(pixels - np.array(_COLOURS[name])).sum(1).min() for name in names]
    far = [name for name, d in zip(names, distance, strict=True) if d > 170] or [names[int(np.argmax(distance))]]
    name = pick(rng, far)
    return name, _COLOURS[name]


def draw_marker(rng: np.random.Generator, image: Image.Image, box: Box, kind: str, colour: Colour) -> Image.Image:
    """A copy of the image with a marker around the box, or an arrow whose tip touches it."""
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    thick = int(rng.integers(2, 5))
    x0, y0, x1, y1 = box
    pad = rng.uniform(2, 6)
    if kind == "box":
        draw.rectangle((x0 - pad, y0 - pad, x1 + pad, y1 + pad), outline=colour, width=thick)
    elif kind == "circle":
        middle, half = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), np.array([(x1 - x0) / 2, (y1 - y0) / 2])
        steps = np.linspace(0, 2 * math.pi * rng.uniform(1.0, 1.08), 48) + rng.uniform(0, 6)
        wobble = 1.0 + 0.03 * np.sin(steps * rng.uniform(0.8, 2.2))
        reach = (half * (1.25 if max(half) < 4 * min(half) else 1.06) + pad + 3) * wobble[:, None]
        points = middle + reach * np.stack([np.cos(steps), np.sin(steps)], 1)
        draw.line([tuple(point) for point in points.tolist()], fill=colour, width=thick, joint="curve")
    else:
        _draw_arrow(rng, draw, box, image.size, thick, colour)
    return marked


def _draw_arrow(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, box: Box, size: tuple[int, int], thick: int, colour: Colour
) -> None:
    """An arrow from the roomiest side to the middle of that side of the box, its tip a little inside."""
    x0, y0, x1, y1 = box
    room = {(-1, 0): x0, (1, 0): size[0] - x1, (0, -1): y0, (0, 1): size[1] - y1}
    side = max(room, key=lambda key: room[key])
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    half = np.array([(x1 - x0) / 2, (y1 - y0) / 2])
    tip = middle + np.array(side) * half * 0.8
    length = float(np.clip(room[side] + 0.2 * (half @ np.abs(side)), 24, rng.uniform(40, 90)))
    turn = rng.uniform(-0.5, 0.5)
    out = np.array(
        [side[0] * math.cos(turn) - side[1] * math.sin(turn), side[0] * math.sin(turn) + side[1] * math.cos(turn)]
    )
    tail = np.clip(tip + out * length, 2, np.array(size) - 3)
    along = (tip - tail) / max(1.0, float(np.hypot(*(tip - tail))))
    across = np.array([-along[1], along[0]])
    head = 5.0 + 2.2 * thick
    draw.line([tuple(tail.tolist()), tuple((tip - along * head * 0.8).tolist())], fill=colour, width=thick)
    corners = (tip, tip - along * head + across * head * 0.55, tip - along * head - across * head * 0.55)
    draw.polygon([tuple(corner.tolist()) for corner in corners], fill=colour)


def marker_name(colour: str, kind: str) -> str:
    return f"{colour} {kind}"


def generate(rng: np.random.Generator, split: str) -> Sample:
    """One marked thing, or one marked line."""
    return _marked_text(rng, split) if chance(rng, 0.35) else _marked_thing(rng, split)


def choose_thing(rng: np.random.Generator, scenery: Scenery) -> Thing:
    """A thing that is not hidden by its neighbours."""
    return scenery.things[int(rng.integers(len(scenery.things)))]


def _marked_thing(rng: np.random.Generator, split: str) -> Sample:
    counts = [int(v) for v in rng.integers(1, 4, int(rng.integers(2, 5)))]
    scenery = scenes.filled(rng, split, Plan(counts, "free" if chance(rng, 0.7) else "grid"))
    thing = choose_thing(rng, scenery)
    finished = scenery.finish(rng)
    kind = pick(rng, MARKERS)
    word, colour = choose_colour(rng, finished.image, thing.box, {other.color for other in scenery.things})
    image = draw_marker(rng, finished.image, thing.box, kind, colour)
    marker = marker_name(word, kind)
    asked = [
        Question("ask", text.format(marker=marker), thing_answers(thing))
        for text in rng.permutation(_AT if kind == "arrow" else _INSIDE)[:2].tolist()
    ]
    if thing.color:
        asked.append(Question("ask", pick(rng, _COLOUR), (thing.color,), "exact"))
    more = len(scenery.groups[thing.concept.index]) - 1
    asked.append(Question("ask", pick(rng, _HOW_MANY), (str(more),), "exact"))
    phrase = pick(rng, _FIND_AT if kind == "arrow" else _FIND_IN).format(marker=marker)
    asked.append(Question("ground", phrase, (), "iou", (Region(phrase, thing.box),)))
    return Sample("pointing", image, tuple(asked), *finished.marks)


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    """One marked line of a Chinese page."""
    return _marked_text(rng, split, zh=True)


def _lines(sample: Sample) -> list[tuple[str, Box]]:
    """Lines of a page with their boxes, put together again from its marks; those with a character of no class not."""
    found: dict[tuple[float, ...], list[str]] = {}
    for label, extent in zip(sample.mark_ids.tolist(), sample.mark_extents.tolist(), strict=True):
        found.setdefault(tuple(extent), []).append(character_of(label))
    return [("".join(chars), Box(*extent)) for extent, chars in found.items() if all(chars) and len(chars) > 2]


def _marked_text(rng: np.random.Generator, split: str, *, zh: bool = False) -> Sample:
    while True:
        sample = chinese_ocr.generate_page(rng, split) if zh else pages.generate(rng, split)
        if lines := _lines(sample):
            break
    text, box = lines[int(rng.integers(len(lines)))]
    kind = pick(rng, MARKERS)
    word, colour = choose_colour(rng, sample.image, box)
    image = draw_marker(rng, sample.image, box, kind, colour)
    marker = _ZH[word] + _ZH[kind] if zh else marker_name(word, kind)
    at, inside, phrases = (_TEXT_AT_ZH, _TEXT_ZH, _FIND_TEXT_ZH) if zh else (_TEXT_AT, _TEXT, _FIND_TEXT)
    asked = [
        Question("ask", wording.format(marker=marker), (text.strip(),))
        for wording in rng.permutation(at if kind == "arrow" else inside)[:2].tolist()
    ]
    phrase = pick(rng, phrases).format(marker=marker)
    asked.append(Question("ground", phrase, (), "iou", (Region(phrase, box),)))
    return replace(sample, task="pointing-zh" if zh else "pointing", image=image, questions=tuple(asked))
