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
from vl2.synth.backgrounds import Background, background, ink
from vl2.synth.canvas import Canvas, Colour, Rect, text_width
from vl2.synth.sample import Question, Sample, structure_id
from vl2.synth.values import chance, pick
from vl2.synth.wordings import NOUNS, ask, ask_to_read

MOST_READ_LINES = 12


@dataclass(frozen=True)
class Fact:
    """Something true about the sheet: question kind, answers, box name ("" for none), words for the slots."""

    kind: str
    answers: tuple[str, ...]
    region: str = ""
    slots: dict[str, object] = field(default_factory=dict)
    weight: float = 1.0
    phrases: tuple[str, ...] = ()


def paper(rng: np.random.Generator, width: int, height: int, calm: float) -> Background:
    """A light background."""
    for _ in range(3):
        ground = background(rng, width, height, calm)
        if ground.low > 0.5:
            return ground
    return Background(Image.new("RGB", (width, height), (250, 249, 245)), 0.93, 0.96)


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
        self.ground = ground
        self.canvas = Canvas(*size, ground.image)
        self.ink: Colour = ink(rng, ground, 6.0)
        self.rows: list[list[tuple[float, str]]] = []
        self.facts: list[Fact] = []

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
        x = round(xy[0] - align * text_width(text, font))
        box = self.canvas.text((x, round(xy[1])), text, font, fill or self.ink)
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
        **slots: object,
    ) -> None:
        """Note a fact for `sample`."""
        self.facts.append(Fact(kind, answers, region, slots, weight, phrases))

    def rule(self, y: float, x0: float, x1: float, dash: int = 0, thick: int = 1, mark: str = "") -> None:
        """A horizontal line, dashed when `dash` is the length of a dash."""
        top = round(y)
        if dash:
            for left in np.arange(x0, x1 - dash / 2, 2 * dash).tolist():
                self.canvas.draw.rectangle((left, top, min(x1, left + dash - 1), top + thick - 1), fill=self.ink)
        else:
            self.canvas.draw.rectangle((x0, top, x1, top + thick - 1), fill=self.ink)
        name = mark or ("dashed rule" if dash else "rule")
        self.canvas.mark(structure_id(name), (x0, top - 2, x1, top + thick + 2))

    def lines(self) -> list[str]:
        """Written lines, cells from left to right."""
        return [" ".join(text for _, text in sorted(row)) for row in self.rows if row]

    def sample(self, task: str, *, readable: bool, damage: float = 1.0) -> Sample:
        """Finish the canvas and turn some of the facts into questions."""
        rng = self.rng
        finished = self.canvas.finish(rng, damage)
        questions: list[Question] = []
        count = min(len(self.facts), int(rng.integers(2, 6)))
        weights = np.array([fact.weight for fact in self.facts])
        chosen = rng.choice(len(self.facts), count, replace=False, p=weights / weights.sum())
        for index in chosen.tolist():
            fact = self.facts[index]
            box = finished.regions.get(fact.region)
            if box is not None and (fact.phrases or fact.kind in NOUNS) and chance(rng, 0.22):
                phrase = pick(rng, fact.phrases or NOUNS[fact.kind].split("|")).format(**fact.slots)
                if chance(rng, 0.15):
                    phrase = phrase.removeprefix("the ")
                questions.append(Question("ground", phrase, (), "iou", (Region(phrase, Box(*box)),)))
            elif fact.answers:
                questions.append(Question("ask", ask(rng, fact.kind, **fact.slots), fact.answers))
        lines = self.lines()
        if readable and (len(lines) <= MOST_READ_LINES and chance(rng, 0.35) or not questions):
            questions = questions[:4] + [Question("read", ask_to_read(rng), ("\n".join(lines),), "cer")]
        return Sample(task, finished.image, tuple(questions), finished.mark_ids, finished.mark_boxes)
