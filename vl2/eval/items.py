"""What is asked, what is right, and the verdict on an answer: the words that benchmarks, runs and reports share.

    Row --a benchmark's reader--> Item(s) --message()--> the model --> text, regions --judge--> Verdict

The trap: images are opened in `message()`, not when an item is made; a benchmark holds more of them than memory does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vl2.data.dialogue import record_conversation
from vl2.data.records import Record
from vl2.eval.metrics import Score, score
from vl2.processing.boxes import Region
from vl2.processing.messages import Message
from vl2.processing.prompts import READ_PROMPT, ask_message, ground_message


@dataclass(frozen=True)
class Talk(Message):
    """The first message of a conversation, which shows the images, and what was said after it until now."""

    then: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Item:
    """One question.

    id: its name, unique in a run.
    message: builds what the model is asked, images included. Raises ValueError for images that cannot be read.
    question: the same for people to read.
    golds: right answers, or the regions to find; none where the split hides its answers.
    choices: letters to texts of multiple choice.
    group: the part of the benchmark that it belongs to; "" if there are none.
    unit: items with the same unit count once, as right if all of them are; "" stands for the item itself.
    kind: what the judge needs to know of the question, such as MathVista's answer type and precision.
    """

    id: str
    message: Callable[[], Message]
    question: str
    golds: tuple[str, ...] | tuple[Region, ...]
    choices: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    unit: str = ""
    kind: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The golds that are texts."""
        return [gold for gold in self.golds if isinstance(gold, str)]

    @property
    def regions(self) -> list[Region]:
        """The golds that are regions."""
        return [gold for gold in self.golds if isinstance(gold, Region)]


@dataclass(frozen=True)
class Verdict:
    """The score of an answer, and what was read from it ("" where the whole answer counts)."""

    score: Score
    read: str = ""


Judge = Callable[[Item, str, Sequence[Region]], Verdict]


def record_message(record: Record) -> Message:
    """What is asked about a record of the project's own tasks; a `Talk` if something was said earlier."""
    if record.earlier:
        first, *then, _ = record_conversation(record)
        return Talk(first.role, first.parts, tuple(then))
    if record.metric == "iou":
        return ground_message(record.images[-1], record.question, record.images[:-1])
    return ask_message(record.images, record.question or READ_PROMPT)


def record_item(record: Record) -> Item:
    """A record of the project's own tasks; its metric is its kind."""
    earlier = [f"{question} {answer}" for question, answer in record.earlier]
    return Item(
        id=record.id,
        message=lambda: record_message(record),
        question="\n".join([*earlier, record.question or READ_PROMPT]),
        golds=record.answers,  # type: ignore[arg-type] -- strings or regions, by the metric
        group=record.task,
        kind=(record.metric,),
    )


def judge_record(item: Item, text: str, regions: Sequence[Region]) -> Verdict:
    """By the metric of the record."""
    record = Record(item.id, (), item.question, item.golds, item.kind[0], item.group)
    return Verdict(score(record, text, regions))
