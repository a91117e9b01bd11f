"""A sheet to write receipts and forms on, which remembers what was written where and what can be asked about it.

    Sheet --write(text, align, region)--> ink, glyph marks, named boxes
          --fact(kind, answers, region)--> what a question can be about
          --sample(task)--> Sample: a few facts become questions, sometimes boxes to find, sometimes the full text

The trap: facts refer to boxes by name; where they end up is known only when the canvas is finished.
"""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFont

from vl2.processing.boxes import Box, Region
from vl2.synth.backgrounds import Background, background, ink, luminance
from vl2.synth.canvas import Canvas, Colour, Rect, text_width
from vl2.synth.damage import noise_field
from vl2.synth.sample import Question, Sample, Value, structure_id
from vl2.synth.values import chance, pick
from vl2.synth.wordings import NOUNS, ask, ask_to_read

MOST_READ_LINES = 24
_FIND = 0.2  # share of facts with a box that become "find this" instead of a question
_TEXT_PHRASES = ('the text "{text}"', 'the words "{text}"', "the text {text}", "where it says {text}", '"{text}"')
_PAPERS: tuple[Colour, ...] = (
    *(((253, 253, 253),) * 5), (248, 248, 246), (240, 240, 240), (228, 229, 231), (214, 214, 212), (251, 247, 234),
    (245, 238, 220), (238, 226, 200), (252, 246, 196), (250, 226, 228), (222, 238, 250), (224, 244, 226),
    (236, 230, 246),
)  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """Something true about the sheet: question kind, answers, box name ("" for none), words for the slots.

    weight: how often it is asked about; phrases: how to call what is in the box, when the kind's nouns do not fit;
    unique: a text that must stand on the sheet exactly once, or the fact is dropped; no answers: it can only be looked
    for.
    """

    kind: str
    answers: tuple[str, ...]
    region: str = ""
    slots: dict[str, object] = field(default_factory=dict)
    weight: float = 1.0
    phrases: tuple[str, ...] = ()
    unique: str = ""


def paper(rng: np.random.Generator, width: int, height: int, calm: float = 1.0) -> Background:
    """White, grey, cream or pale coloured paper: plain, grainy, folded or unevenly lit; `calm` as in `background`."""
    if chance(rng, 0.08):
        ground = background(rng, width, height, calm)
        if ground.low > 0.5:
            return ground
    base = np.clip(np.array(pick(rng, _PAPERS)) + rng.integers(-5, 4, 3), 0, 255)
    kind = rng.random()
    if kind < 0.45:
        shade, most = None, 0
    elif kind < 0.65:
        most = int(rng.integers(3, 5 + int(14 * calm)))
        shade = np.clip(noise_field(rng, height, width, most / 3) + most // 2, 0, most)
    else:
        most = int(rng.integers(8, 40))
        shade = _folds(rng, width, height, most) if kind < 0.8 else _slope(rng, width, height, most)
    if shade is None:
        image = Image.new("RGB", (width, height), tuple(base.tolist()))
    else:
        # three pictures of one channel cost a third of arithmetic on an array of all three
        shade = shade.astype(np.uint8)
        image = Image.merge("RGB", [Image.fromarray(np.uint8(level) - shade) for level in base])
    return Background(image, float(luminance(np.clip(base - most, 0, 255))), float(luminance(base)))


def _slope(rng: np.random.Generator, width: int, height: int, most: int) -> np.ndarray:
    """(height, width) shade from 0 to `most` falling off in a random direction."""
    across, down = rng.uniform(-1, 1, 2)
    # in 128ths of a grey level, which fit 16 bits
    scale = 128 * most / max(1e-6, abs(down) + abs(across))
    down_Y = np.linspace(max(0, -down), max(0, down), height)[:, None] * scale
    across_X = np.linspace(max(0, -across), max(0, across), width) * scale
    return (down_Y.astype(np.int16) + across_X.astype(np.int16)) >> 7


def _folds(rng: np.random.Generator, width: int, height: int, most: int) -> np.ndarray:
    """(height, width) shade beside a few creases."""
    down, across = np.zeros(height), np.zeros(width)
    for _ in range(int(rng.integers(1, 4))):
        profile = down if chance(rng, 0.65) else across
        at = int(rng.integers(len(profile)))
        distance = np.abs(np.arange(len(profile)) - at)
        side = np.arange(len(profile)) >= at if chance(rng, 0.5) else 1.0
        profile += np.exp(-distance / rng.uniform(1.5, 40)) * rng.uniform(0.3, 0.9) * side
    return (
        np.minimum((128 * most * down[:, None]).astype(np.int16) + (128 * most * across).astype(np.int16), 128 * most)
        >> 7
    )


def dark_ink(rng: np.random.Generator, ground: Background) -> Colour:
    """Black or nearly so, the blue-violet of cheap printers, rarely another colour."""
    kind = rng.random()
    if kind < 0.72:
        grey = int(rng.integers(0, 50))
        return grey, grey, grey
    if kind < 0.86:
        return int(rng.integers(20, 70)), int(rng.integers(20, 60)), int(rng.integers(70, 140))
    return ink(rng, ground, 6.0)


def shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text without its last words or letters, so that it is no wider than `width` pixels."""
    while len(text) > 1 and text_width(text, font) > width:
        text = (text.rsplit(" ", 1)[0] if " " in text else text[:-1]).rstrip(" ,&-")
    return text


class Sheet:
    """Paper, its ink and everything written on it so far."""

    def __init__(self, rng: np.random.Generator, split: str, size: tuple[int, int], capital: float):
        self.rng, self.split = rng, split
        self.width, self.height = size
        ground = paper(rng, *size, calm=min(1.0, capital / 22))
        self.canvas = Canvas(*size, ground.image)
        self.ink: Colour = dark_ink(rng, ground)
        self.rows: list[list[tuple[float, str]]] = []
        self.facts: list[Fact] = []
        self.absent: list[str] = []  # phrases for things that this sheet might have but does not
        self.values: list[Value] = []
        self.missing: tuple[str, ...] = ()  # kinds of values that it might have

    def new_row(self) -> None:
        """What is written from here on reads as a line of its own."""
        self.rows.append([])

    def write(
        self,
        xy: tuple[float, float],
        text: str,
        font: ImageFont.FreeTypeFont,
        *,
        align: float = 0.0,
        fill: Colour | None = None,
        region: str = "",
    ) -> Rect:
        """Write with the given share of the text's width left of x (0 left, 0.5 centred, 1 right aligned)."""
        x = round(xy[0] - (align * text_width(text, font) if align else 0))
        box = self.canvas.text((x, round(xy[1])), text, font, self.ink if fill is None else fill)
        if region:
            self.canvas.region(region, box)
        if not self.rows:
            self.new_row()
        self.rows[-1].append((x, text))
        return box

    def fact(
        self,
        kind: str,
        answers: tuple[str, ...],
        region: str = "",
        *,
        weight: float = 1.0,
        phrases: tuple[str, ...] = (),
        unique: str = "",
        **slots: object,
    ) -> None:
        """Note a fact for `sample`."""
        self.facts.append(Fact(kind, answers, region, slots, weight, phrases, unique))

    def landmark(self, text: str, box: Rect, weight: float = 0.15) -> None:
        """A printed text that may be looked for, if it is there only once."""
        if len(text) > 2:
            self.canvas.region(f"text {text}", box)
            self.text_fact(text, f"text {text}", weight)

    def text_fact(self, text: str, region: str, weight: float) -> None:
        """The text in this box may be looked for."""
        self.facts.append(Fact("text", (), region, {"text": text}, weight, _TEXT_PHRASES, unique=text))

    def rule(self, y: float, x0: float, x1: float, dash: int = 0, thick: int = 1, mark: str = "") -> None:
        """A horizontal line, dashed when `dash` is the length of a dash."""
        top = round(y)
        for left in np.arange(x0, x1 - dash / 2, 2 * dash).tolist() if dash else ():
            self.canvas.draw.rectangle((left, top, min(x1, left + dash - 1), top + thick - 1), fill=self.ink)
        if not dash:
            self.canvas.draw.rectangle((x0, top, x1, top + thick - 1), fill=self.ink)
        name = mark or ("dashed rule" if dash else "rule")
        self.canvas.mark(structure_id(name), (x0, top - 2, x1, top + thick + 2))

    def lines(self) -> list[str]:
        """Written lines, cells from left to right."""
        return [" ".join(text for _, text in sorted(row)) for row in self.rows if row]

    def sample(self, task: str, *, readable: bool) -> Sample:
        """Finish the canvas and turn some of the facts into questions; `readable`: the lines have a plain order."""
        rng = self.rng
        finished = self.canvas.finish(rng)
        lines = self.lines()
        text = "\n".join(lines)
        facts = [fact for fact in self.facts if not fact.unique or text.count(fact.unique) == 1]
        weights = np.array([fact.weight for fact in facts])
        count = min(len(facts), int(rng.integers(6, 19)))
        chosen = rng.choice(len(facts), count, replace=False, p=weights / weights.sum())
        questions = [_question(rng, facts[index], finished.regions) for index in chosen.tolist()]
        if self.absent and chance(rng, 0.05):
            questions = [*questions[:-1], Question("ground", pick(rng, self.absent), (), "iou")]
        if readable and len(lines) <= MOST_READ_LINES and chance(rng, 0.35):
            questions = [*questions[:-1], Question("read", ask_to_read(rng), (text,), "cer")]
        values = tuple(self.values)
        return Sample(task, finished.image, tuple(questions), *finished.marks, values=values, absent=self.missing)


def _question(rng: np.random.Generator, fact: Fact, regions: dict[str, Rect]) -> Question:
    """The fact as a question or as something to find."""
    box = regions.get(fact.region)
    phrases = fact.phrases or tuple(NOUNS.get(fact.kind, "").split("|"))
    if box is not None and phrases[0] and (not fact.answers or chance(rng, _FIND)):
        phrase = pick(rng, phrases).format(**fact.slots)
        if chance(rng, 0.15):
            phrase = phrase.removeprefix("the ")
        return Question("ground", phrase, (), "iou", (Region(phrase, Box(*box)),))
    return Question("ask", ask(rng, fact.kind, **fact.slots), fact.answers)
