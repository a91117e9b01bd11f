"""Samples and records to conversations: what the user says and what the model should answer.

    synthetic sample: image + several questions --> user (image, question), assistant, user (question), assistant, ...
                      in one conversation or several
    record:           images + one question     --> user (images, question), assistant

The trap: phrases and boxes go in as typed parts (Ref, Det), never as tagged text.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image as PILImage

from vl2.data.records import Record
from vl2.processing.boxes import Box, Region
from vl2.processing.messages import Det, Grounding, Image, Message, Part, Ref, Text
from vl2.processing.prompts import READ_PROMPT
from vl2.processing.tiling import TiledImage

# Words around a phrase to locate. The first is what `ground` asks, so it is drawn as often as all others together.
GROUND_WORDINGS: tuple[tuple[str, str], ...] = (
    ("Locate ", " in the image."),
    ("Locate ", " in the given image."),
    ("Find ", " in the image."),
    ("Find ", "."),
    ("Find all the ", ""),
    ("Where is ", "?"),
    ("where is ", ""),
    ("Where are ", " in this picture?"),
    ("Point out ", "."),
    ("Show me ", "."),
    ("Mark ", " with a box."),
    ("Give the bounding box of ", "."),
    ("Detect ", "."),
    ("Can you see ", "?"),
    ("Please locate ", "."),
    ("", "."),
    ("", ""),
)


class Question(Protocol):
    """What `vl2.synth.sample.Question` offers; data does not import synth."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def answers(self) -> tuple[str, ...]: ...
    @property
    def regions(self) -> tuple[Region, ...]: ...
    @property
    def then(self) -> Sequence["Question"]: ...


class Picture(Protocol):
    """An image to show."""

    @property
    def image(self) -> PILImage.Image | TiledImage: ...


class Sample(Picture, Protocol):
    """What `vl2.synth.sample.Sample` offers."""

    @property
    def earlier(self) -> Sequence[Picture]: ...
    @property
    def questions(self) -> Sequence[Question]: ...


_TELLS_ALL = ("read", "describe", "convert")  # answers that other answers could be copied from
_ALONE = 0.3  # how often such a question is the only one


def sample_conversations(
    sample: Sample, rng: np.random.Generator, max_questions: int, most: int = 1
) -> list[list[Message]]:
    """Up to `max_questions` of the sample's questions in random order, in up to `most` conversations.

    Each begins with the images. What may follow a question follows it at once, and is not counted.

    A full reading comes last or alone: what it says need not be looked up in the image again. Other answers
    tell part of each other, too (boxes and counts most of all): asked first, as people ask, a question is harder than
    as the ninth of a conversation (docs/nano-log.md), hence several.
    """
    order = [sample.questions[number] for number in rng.permutation(len(sample.questions))[:max_questions]]
    telling = [question for question in order if question.kind in _TELLS_ALL]
    if telling and rng.random() < _ALONE:
        order = telling[:1]
    else:
        order = [question for question in order if question.kind not in _TELLS_ALL] + telling
    count = max(1, min(most, len(order)))
    return [_conversation(sample, order[number::count], rng) for number in range(count)]


def _conversation(sample: Sample, order: Sequence[Question], rng: np.random.Generator) -> list[Message]:
    messages: list[Message] = []
    for question in (asked for first in order for asked in (first, *first.then)):
        asked, answer = _turn(question, rng)
        if not messages:
            shown = [part for picture in (*sample.earlier, sample) for part in (Image(picture.image), Text("\n"))]
            asked = (*shown, *asked)
        messages += [Message("user", asked), Message("assistant", answer)]
    return messages


def _turn(question: Question, rng: np.random.Generator) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    if question.kind == "ground":
        boxes = tuple(region.box for region in question.regions)
        return _locate(question.text, rng), (Ref(question.text), Det(boxes))
    if question.kind == "describe":
        return (Grounding(), Text(question.text)), grounded_caption(question.answers[0], question.regions)
    return (Text(question.text),), (Text(question.answers[0]),)


def _locate(phrase: str, rng: np.random.Generator) -> tuple[Part, ...]:
    number = 0 if rng.random() < 0.5 else int(rng.integers(1, len(GROUND_WORDINGS)))
    before, after = GROUND_WORDINGS[number]
    parts: list[Part] = [Ref(phrase)]
    if before:
        parts.insert(0, Text(before))
    if after:
        parts.append(Text(after))
    return tuple(parts)


def grounded_caption(caption: str, regions: Sequence[Region]) -> tuple[Part, ...]:
    """The caption with every phrase of `regions` marked and followed by its boxes.

    Regions come in the order of their phrases in the caption; a region whose label does not occur again belongs to
    the phrase before it, so one phrase may have several boxes.
    """
    found: list[tuple[int, str, list[Box]]] = []
    cursor = 0
    for region in regions:
        start = caption.find(region.label, cursor)
        if start >= 0:
            found.append((start, region.label, [region.box]))
            cursor = start + len(region.label)
        elif found and found[-1][1] == region.label:
            found[-1][2].append(region.box)
        else:
            raise ValueError(
                f"region {region.label!r} does not occur in the caption {caption!r} after the one before it"
            )
    parts: list[Part] = []
    cursor = 0
    for start, label, boxes in found:
        if start > cursor:
            parts.append(Text(caption[cursor:start]))
        parts += [Ref(label), Det(tuple(boxes))]
        cursor = start + len(label)
    if cursor < len(caption):
        parts.append(Text(caption[cursor:]))
    return tuple(parts)


def record_conversation(record: Record, images: Sequence[Path | bytes] | None = None) -> list[Message]:
    """One record as people write them: its images, its question, its first answer (or, for "iou", all its boxes).

    What was said earlier comes between images and question.

    Args:
        images: to be shown instead of the files that the record names.
    """
    shown = record.images if images is None else images
    asked: list[Part] = [part for image in shown for part in (Image(image), Text("\n"))]
    said: list[Message] = []
    for question, answer in record.earlier:
        said += [Message("user", (*asked, Text(question))), Message("assistant", (Text(answer),))]
        asked = []
    if record.metric == "iou":
        before, after = GROUND_WORDINGS[0]
        asked += [Text(before), Ref(record.question), Text(after)]
        boxes = tuple(answer.box for answer in record.answers if isinstance(answer, Region))
        return [*said, Message("user", tuple(asked)), Message("assistant", (Ref(record.question), Det(boxes)))]
    question = record.question or READ_PROMPT
    answer = str(record.answers[0])
    return [*said, Message("user", (*asked, Text(question))), Message("assistant", (Text(answer),))]
