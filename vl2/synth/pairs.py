"""Tasks of two images: "compare" (what changed between two pictures) and "in-context" (find more of the marked kind).

    compare:    one scenery, twice, with one thing added, taken away, exchanged, recoloured or moved
    in-context: a thing marked in a first picture --> boxes of its kind in a second one, drawn by others

Boxes lie in the second picture. The trap: the kind that is looked for must have no rivals in the second picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vl2.processing.boxes import Box, Region
from vl2.synth import scenes
from vl2.synth.dressing import dress, own_generator
from vl2.synth.icons import Color, Concept, Drawing, average_color, drawings_of
from vl2.synth.pointing import MARKERS, choose_colour, choose_thing, draw_marker, marker_name
from vl2.synth.sample import Question, Sample, concept_id
from vl2.synth.scene_phrases import absent_concepts
from vl2.synth.scene_questions import count_answer
from vl2.synth.scene_wordings import article
from vl2.synth.scenery import Plan, Scenery, choose_color, render_thing
from vl2.synth.values import chance, pick

_CHANGED = (
    "What changed between the two images?", "What is different in the second picture?", "Spot the difference.",
    "what has changed",
    "Compare the two images: what is different?", "What is the difference between the first and the second image?",
    "Find the change.", "Which change was made to the picture?", "How do the two pictures differ?",
)  # fmt: skip
_SAME = (
    "Are the two images the same?",
    "Do both pictures show the same?",
    "Are the pictures identical?",
    "are they the same",
)
_WHERE = (
    "the change",
    "what changed",
    "the difference",
    "the thing that is different",
    "the place where the pictures differ",
)
_MORE = (
    "Which image has more things?",
    "In which picture are more objects?",
    "Which of the two images shows more objects?",
)
_THERE = ("Is there {a} in the first image?", "Does the first picture show {a}?", "Can you see {a} in the first image?")
_THERE_TOO = (
    "Is there {a} in the second image?",
    "Does the second picture show {a}?",
    "Can you see {a} in the second image?",
)
_LIKE = (
    "the same kind of thing as in the {marker} of the first image", "what is marked in the first image",
    "more of the marked kind",
    "the marked object of the first image", "the thing from the {marker}",
    "all things of the kind marked with the {marker}",
    "objects like the one marked in the first picture", "the marked kind of object",
)  # fmt: skip
_NAME = ("What is marked in the first image?", "Name the thing marked by the {marker}.", "What does the {marker} mark?")
_COUNT = (
    "How many of the marked kind are in the second image?",
    "How often does the marked thing occur in the second picture?",
)


@dataclass(frozen=True)
class _Extra:
    """A thing that only one picture of a pair has, or has in this way."""

    concept: Concept
    drawing: Drawing
    word: str
    color: Color | None
    side: float

    @property
    def name(self) -> str:
        told = self.drawing.paintable and self.word and self.word not in self.concept.name
        return f"{self.word} {self.concept.names[0][0]}" if told else self.concept.names[0][0]


def _extra(rng: np.random.Generator, scenery: Scenery, concept: Concept | None = None) -> _Extra:
    """A thing of a kind that the picture lacks, or of the given one."""
    bases = [np.asarray(scenery.canvas.image.resize((1, 1)), np.float32).reshape(3)]
    for _ in range(40):
        kind = concept or absent_concepts(rng, scenery, 1)[0]
        pool = [
            d for name in ("emoji", "shape", "interface") for d in drawings_of(scenery.split, name).get(kind.index, ())
        ]
        pool = [d for d in pool if d.paintable or np.linalg.norm(np.array(average_color(d)) - bases[0]) > 48] or pool
        if pool:
            drawing = pick(rng, pool)
            word, color = choose_color(rng, bases)
            painted = drawing.paintable
            if scenery.split == "train":
                drawing = dress(own_generator(rng), drawing, bases)
            return _Extra(
                kind, drawing, word if painted else drawing.color, color if painted else None, rng.uniform(40, 80)
            )
    raise AssertionError("every concept has a drawing in each split")


def _spot(rng: np.random.Generator, scenery: Scenery, side: float, taken: list[Box]) -> tuple[int, int] | None:
    """A free place for something `side` pixels large."""
    placed = np.array([*(thing.box for thing in scenery.things), *taken], np.float32).reshape(-1, 4)
    for _ in range(60):
        x, y = rng.uniform(2, scenery.width - side - 2), rng.uniform(2, scenery.height - side - 2)
        if min(x, y) < 2:
            return None
        apart = (
            (placed[:, 0] > x + side + 3)
            | (placed[:, 2] < x - 3)
            | (placed[:, 1] > y + side + 3)
            | (placed[:, 3] < y - 3)
        )
        if apart.all():
            return int(x), int(y)
    return None


def _put(rng: np.random.Generator, scenery: Scenery, extra: _Extra, spot: tuple[int, int]) -> Box:
    """Draw it on the canvas of the scenery."""
    picture, ink = render_thing(rng, extra.drawing, extra.color, extra.side * 0.8)
    scenery.canvas.image.paste(picture, (spot[0] - ink[0], spot[1] - ink[1]), picture)
    box = Box(float(spot[0]), float(spot[1]), float(spot[0] + ink[2] - ink[0]), float(spot[1] + ink[3] - ink[1]))
    scenery.canvas.mark(concept_id(extra.concept.index), box)
    return box


def _copy(scenery: Scenery) -> Scenery:
    """The same picture on a canvas of its own."""
    return Scenery(
        scenery.width, scenery.height, [*scenery.things], scenery.layout, scenery.rows, scenery.columns,
        scenery.background, scenery.canvas.copy(), scenery.split,
    )  # fmt: skip


@dataclass(frozen=True)
class _Change:
    """What tells the two pictures of a pair apart."""

    sentences: tuple[str, ...]
    more: str  # which picture has more things: first, second, or "" for neither
    box: Box | None  # in the second picture; None if what changed is not there
    gone: _Extra | None = None  # in the first picture only
    new: _Extra | None = None  # in the second picture only


def _added(rng: np.random.Generator, first: Scenery, second: Scenery, at: tuple[int, int], extra: _Extra) -> _Change:
    box = _put(rng, second, extra, at)
    a = article(extra.name)
    return _Change(
        (f"In the second image there is {a} that is not in the first.", f"{a} was added"), "second", box, new=extra
    )


def _removed(rng: np.random.Generator, first: Scenery, second: Scenery, at: tuple[int, int], extra: _Extra) -> _Change:
    _put(rng, first, extra, at)
    return _Change(
        (f"The {extra.name} is missing in the second image.", f"the {extra.name} is gone"), "first", None, gone=extra
    )


def _exchanged(
    rng: np.random.Generator, first: Scenery, second: Scenery, at: tuple[int, int], extra: _Extra
) -> _Change:
    while True:
        other = _extra(rng, first)
        if other.concept.index not in {extra.concept.index, *extra.concept.rivals}:
            break
    _put(rng, first, extra, at)
    other = _Extra(other.concept, other.drawing, other.word, other.color, extra.side)
    box = _put(rng, second, other, at)
    sentence = f"The {extra.name} became {article(other.name)}."
    return _Change((sentence, f"{article(extra.name)} was replaced by {article(other.name)}"), "", box, extra, other)


def _recoloured(
    rng: np.random.Generator, first: Scenery, second: Scenery, at: tuple[int, int], extra: _Extra
) -> _Change:
    if not extra.drawing.paintable:
        return _exchanged(rng, first, second, at, extra)
    bases = [np.asarray(first.canvas.image.resize((1, 1)), np.float32).reshape(3)]
    for _ in range(20):
        word, color = choose_color(rng, bases)
        if word != extra.word:
            break
    else:
        return _exchanged(rng, first, second, at, extra)
    state = rng.bit_generator.state
    _put(rng, first, extra, at)
    rng.bit_generator.state = state  # turned and stretched alike
    box = _put(rng, second, _Extra(extra.concept, extra.drawing, word, color, extra.side), at)
    noun = extra.concept.names[0][0]
    sentence = f"The {noun} changed from {extra.word} to {word}."
    return _Change((sentence, f"the {noun} is now {word}", f"the {extra.word} {noun} became {word}"), "", box)


def _moved(rng: np.random.Generator, first: Scenery, second: Scenery, at: tuple[int, int], extra: _Extra) -> _Change:
    there = _spot(rng, first, extra.side, [Box(at[0], at[1], at[0] + extra.side, at[1] + extra.side)])
    if there is None or abs(there[0] - at[0]) + abs(there[1] - at[1]) < 60:
        return _added(rng, first, second, at, extra)
    state = rng.bit_generator.state
    _put(rng, first, extra, at)
    rng.bit_generator.state = state
    box = _put(rng, second, extra, there)
    return _Change((f"The {extra.name} moved to another place.", f"the {extra.name} is somewhere else"), "", box)


_CHANGES: tuple[Callable[..., _Change], ...] = (_added, _removed, _exchanged, _recoloured, _moved)


def generate_compare(rng: np.random.Generator, split: str) -> Sample:
    """Two pictures of a scenery, with one change or none."""
    while True:
        counts = [int(v) for v in rng.integers(1, 3, int(rng.integers(2, 5)))]
        first = scenes.filled(rng, split, Plan(counts))
        extra = _extra(rng, first)
        spot = _spot(rng, first, extra.side, [])
        if spot is not None:
            break
    second = _copy(first)
    change = None if chance(rng, 0.08) else pick(rng, _CHANGES)(rng, first, second, spot, extra)
    before, after = first.finish(rng), second.finish(rng)
    asked = [Question("ask", pick(rng, _SAME), ("no" if change else "yes",), "exact")]
    if change is None:
        asked.append(Question("ask", pick(rng, _CHANGED), ("Nothing changed.", "nothing", "no difference")))
    else:
        asked += [Question("ask", text, change.sentences) for text in rng.permutation(_CHANGED)[:2].tolist()]
        phrase = pick(rng, _WHERE)
        if change.box is not None:
            asked.append(Question("ground", phrase, (), "iou", (Region(phrase, change.box),)))
        if change.more:
            asked.append(
                Question("ask", pick(rng, _MORE), (f"the {change.more}", change.more, f"the {change.more} image"))
            )
        for thing, answers in ((change.gone, ("yes", "no")), (change.new, ("no", "yes"))):
            if thing is not None:
                a = article(thing.concept.names[0][0])
                asked.append(Question("ask", pick(rng, _THERE).format(a=a), (answers[0],), "exact"))
                asked.append(Question("ask", pick(rng, _THERE_TOO).format(a=a), (answers[1],), "exact"))
    earlier = Sample("compare", before.image, (), *before.marks)
    return Sample("compare", after.image, tuple(asked), *after.marks, earlier=(earlier,))


def generate_in_context(rng: np.random.Generator, split: str) -> Sample:
    """A marked thing in the first picture; none to three of its kind in the second."""
    first = scenes.filled(rng, split, Plan([int(v) for v in rng.integers(1, 3, int(rng.integers(1, 5)))]))
    thing = choose_thing(rng, first)
    near = {thing.concept.index, *thing.concept.rivals}
    while True:
        second = scenes.filled(rng, split, Plan([int(v) for v in rng.integers(1, 3, int(rng.integers(2, 5)))]))
        if not near & set(second.groups):
            break
    boxes: list[Box] = []
    like = _extra(rng, second, thing.concept)
    for _ in range(0 if chance(rng, 0.12) else int(rng.choice([1, 1, 1, 2, 3]))):
        spot = _spot(rng, second, like.side, boxes)
        if spot is not None:
            boxes.append(_put(rng, second, like, spot))
    before, after = first.finish(rng), second.finish(rng)
    kind = pick(rng, MARKERS)
    word, colour = choose_colour(rng, before.image, thing.box, {other.color for other in first.things})
    marker = marker_name(word, kind)
    shown = draw_marker(rng, before.image, thing.box, kind, colour)
    boxes.sort(key=lambda box: (box.x0, box.y0))
    asked = []
    for text in rng.permutation(_LIKE)[:3].tolist():
        phrase = text.format(marker=marker)
        asked.append(Question("ground", phrase, (), "iou", tuple(Region(phrase, box) for box in boxes)))
    names = tuple(pair[0] for pair in thing.concept.names) + thing.concept.the_names
    asked.append(Question("ask", pick(rng, _NAME).format(marker=marker), names))
    asked.append(Question("ask", pick(rng, _COUNT), count_answer(len(boxes)), "exact"))
    earlier = Sample("in-context", shown, (), *before.marks)
    return Sample("in-context", after.image, tuple(asked), *after.marks, earlier=(earlier,))
