"""A page that remembers, in reading order, what was written on it: for key information, Markdown and questions.

    Folio --text, mark--> ink, named boxes        --entry(key, label, value)--> what a question or a JSON answer holds
          --markdown(block)--> the page as Markdown, block by block
          --sample(task)--> Sample

The trap: an answer says what is printed, character by character; nothing is normalised.
"""

import json
from dataclasses import dataclass

import numpy as np

from vl2.processing.boxes import Box, Region
from vl2.synth import folio_wordings as said
from vl2.synth.canvas import Canvas, Colour, Rect, text_width
from vl2.synth.damage import Damage
from vl2.synth.langs import Font, Language
from vl2.synth.sample import Question, Sample, Value
from vl2.synth.values import chance, pick

MOST_READ = 900  # characters of a page that is read or converted as a whole


@dataclass(frozen=True)
class Entry:
    """A labelled value: `label` as people call it, `region` the name of its box."""

    label: str
    value: str
    region: str


class Folio:
    """A canvas with what is written on it."""

    def __init__(self, lang: Language, canvas: Canvas, ink: Colour):
        self.lang, self.rng, self.canvas, self.ink = lang, lang.rng, canvas, ink
        self.entries: list[Entry] = []
        self.blocks: list[str] = []
        self.lines: list[str] = []
        self.absent: list[str] = []  # labels of what such a page might say but does not
        self.values: list[Value] = []
        self.missing: tuple[str, ...] = ()  # kinds of values that such a page might say
        self.extra: list[Question] = []
        self.portrait = ""  # what the box "portrait" is called, if there is one
        self.places: list[tuple[str, str]] = []  # phrases that may be looked for, and their boxes

    def text(
        self,
        xy: tuple[float, float],
        string: str,
        font: Font,
        *,
        fill: Colour | None = None,
        align: float = 0.0,
        region: str = "",
    ) -> Rect:
        """Write with the given share of the text's width left of x; returns the ink box."""
        x = round(xy[0] - (align * text_width(string, font) if align else 0))
        box = self.canvas.text((x, round(xy[1])), string, font, self.ink if fill is None else fill)
        if region:
            self.canvas.region(region, box)
        return box

    def entry(self, label: str, value: str, box: Rect, kind: str = "", literal: str = "", about: str = "") -> None:
        """Note a labelled value that stands in `box`; kind, literal and about as `Value` knows them."""
        if kind and value:
            self.values.append(Value(kind, (value,), literal, about))
        name = f"entry {len(self.entries)}"
        self.canvas.region(name, box)
        self.entries.append(Entry(label, value, name))

    def height_of(self, font: Font) -> float:
        return self.canvas.measure("国" if self.lang.zh else "x", font)[1]

    def field(
        self, xy: tuple[float, float], label: str, value: str, font: Font, bold: Font, room: float, kind: str = ""
    ) -> str:
        """ "Label: value" on one line, noted as an entry; returns what was written."""
        head = f"{label}{self.lang.colon}"
        gap = 0.0 if self.lang.zh else text_width(" ", font)
        above = font.getmetrics()[0] - bold.getmetrics()[0]  # both stand on one line
        self.text((xy[0], xy[1] + max(0, above)), head, bold)
        start = xy[0] + text_width(head, bold) + gap
        value = self.lang.fit(value, font, max(20.0, room - (start - xy[0])))
        self.entry(label, value, self.text((start, xy[1] + max(0, -above)), value, font), kind)
        return f"{head}{'' if self.lang.zh else ' '}{value}"

    def block(self, markdown: str, *lines: str) -> None:
        """One block of the page in reading order: as Markdown, and as plain lines."""
        self.blocks.append(markdown)
        self.lines += lines or (markdown,)

    def sample(self, task: str, damage: Damage | None = None) -> Sample:
        """Finish the picture and ask."""
        rng = self.rng
        finished = self.canvas.finish(rng, damage if damage is not None else rng.choice([0.0, 0.7, 1.0]))
        questions: list[Question] = []
        labels = [entry.label for entry in self.entries]
        single = [entry for entry in self.entries if entry.value and labels.count(entry.label) == 1]
        for index in rng.permutation(len(single))[: int(rng.integers(3, 9))].tolist():
            questions.append(self._about(single[index], finished.regions[single[index].region]))
        if len(single) > 1:
            questions += [self._as_json(single) for _ in range(2)]
        if self.absent and chance(rng, 0.5):
            missing = pick(rng, self.absent)
            wording = self.lang.choose(said.VALUE, said.VALUE_ZH).format(label=missing)
            questions.append(Question("ask", wording, self._nothing(missing)))
        questions += self.extra
        if self.portrait:
            place = Region(self.portrait, Box(*finished.regions["portrait"]))
            questions.append(Question("ground", self.portrait, (), "iou", (place,)))
        texts = [text for text, _ in self.places]
        for index in rng.permutation(len(texts))[:3].tolist():
            if texts.count(texts[index]) == 1:
                phrase = texts[index]
                place = Region(phrase, Box(*finished.regions[self.places[index][1]]))
                questions.append(Question("ground", phrase, (), "iou", (place,)))
        text, markdown = "\n".join(self.lines), "\n\n".join(self.blocks)
        if self.lines and len(text) < MOST_READ:
            questions.append(Question("read", self.lang.choose(said.READ, said.READ_ZH), (text,), "cer"))
        if self.blocks and len(markdown) < MOST_READ:
            questions.append(Question("convert", self.lang.choose(said.MARKDOWN, said.MARKDOWN_ZH), (markdown,), "cer"))
        asked = {(question.kind, question.text): question for question in questions}
        questions, values = list(asked.values()), tuple(self.values)
        return Sample(task, finished.image, tuple(questions), *finished.marks, values=values, absent=self.missing)

    def _nothing(self, label: str) -> tuple[str, ...]:
        """What is answered when something asked for is not on the page."""
        if self.lang.zh:
            return (f"图中没有{label}。", "没有", "没有提供")
        return (f"There is no {label.lower()} in the image.", "not given", "none")

    def _about(self, entry: Entry, box: Rect) -> Question:
        """Its value, or where it stands."""
        if chance(self.rng, 0.3):
            phrase = self.lang.choose(said.FIND, said.FIND_ZH).format(
                label=_called(self.lang, entry.label), value=entry.value
            )
            return Question("ground", phrase, (), "iou", (Region(phrase, Box(*box)),))
        wording = self.lang.choose(said.VALUE, said.VALUE_ZH)
        return Question("ask", wording.format(label=_called(self.lang, entry.label)), (entry.value,))

    def _as_json(self, entries: list[Entry]) -> Question:
        """Some of the entries, and now and then a key that is not there."""
        count = int(self.rng.integers(2, min(len(entries), 7) + 1))
        chosen = [entries[index] for index in self.rng.permutation(len(entries))[:count].tolist()]
        answer: dict[str, str | None] = {entry.label: entry.value for entry in chosen}
        if self.absent and chance(self.rng, 0.2):
            answer[pick(self.rng, self.absent)] = None
        keys = ("、" if self.lang.zh else ", ").join(answer)
        wording = self.lang.choose(said.JSON, said.JSON_ZH).format(keys=keys)
        return Question("convert", wording, (json.dumps(answer, ensure_ascii=False),), "anls")


def _called(lang: Language, label: str) -> str:
    """A label inside a question: its first letter small, unless it is an abbreviation."""
    return label if lang.zh or label[1:2].isupper() or not label[1:2].isalpha() else label[0].lower() + label[1:]


def plain_paper(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """White or slightly tinted paper."""
    shade = 255 - int(rng.integers(0, 12)) if chance(rng, 0.6) else 255
    tint = (shade, shade, max(215, shade - int(rng.integers(0, 26)))) if chance(rng, 0.3) else (shade, shade, shade)
    return Canvas(width, height, tint)


def accent(rng: np.random.Generator) -> Colour:
    """A dark colour for bars and headings."""
    hue = pick(
        rng, ((26, 58, 108), (120, 28, 36), (20, 88, 72), (60, 60, 66), (92, 40, 120), (160, 84, 16), (16, 96, 140))
    )
    red, green, blue = (int(np.clip(v + rng.integers(-12, 13), 0, 255)) for v in hue)
    return red, green, blue


def pale(colour: Colour, share: float = 0.88) -> Colour:
    """The colour mixed with white."""
    red, green, blue = (round(v + (255 - v) * share) for v in colour)
    return red, green, blue
