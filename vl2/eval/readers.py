"""From the rows of a benchmark's file to items with the prompts of its published evaluation.

    Row --read_vqa, read_choice, read_mmmu, read_mme, ...--> Items

Every reader takes the columns of VLMEvalKit's .tsv and those of the Parquet files that are common on the hub; where
they differ the names stand beside each other below. Prompts are those of VLMEvalKit for this model.

The trap: images come first, each followed by a line end, then the text. MMMU alone has its images side by side, one
line end after all of them, and markers in the text where they belong.
"""

import hashlib
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as PILImage

from vl2.eval.items import Item
from vl2.eval.judges import OCRBENCH_GROUPS
from vl2.eval.rows import Row
from vl2.processing.boxes import Box, Region
from vl2.processing.images import open_image
from vl2.processing.messages import Image, Message, Ref, Text
from vl2.processing.prompts import Source, ask_message

Reader = Callable[[Row], Iterator[Item]]
SHORT_ANSWER = "\nAnswer the question using a single word or phrase."
SELECT = "Please select the correct answer from the options above."
_MMMU_SELECT = (
    "Answer with the option's letter from the given choices directly. "
    "Answer the question using a single word or phrase.\n"
)
_MISSING = "nan"  # pandas' missing value, written as a text
_GROUPS = ("question_type", "question_types", "type", "human_or_machine", "category", "split")
_OPTION = re.compile(r"(?:^|,\s*|\n\s*)\(?([A-H])[).:]\s*")
_MARKER = re.compile(r"<image (\d)>")
_REF = re.compile(r"<(?:\|)?ref(?:\|)?>(.*?)<(?:\|)?/ref(?:\|)?>", re.DOTALL)


def _asking(row: Row, prompt: str) -> Callable[[], Message]:
    return lambda: ask_message(row.images(), prompt)


def _group(row: Row, *names: str) -> str:
    """The first of these fields that is given; of a list its first entry."""
    name = row.name_of(*names)
    return row.texts(name)[0] if name and row.texts(name) else ""


def read_vqa(row: Row) -> Iterator[Item]:
    """DocVQA, InfoVQA, ChartQA, TextVQA: a question, its answers, a short answer asked for."""
    question = row.text("question", "query")
    golds = row.texts("answers", "answer", "label")
    yield Item(row.id, _asking(row, question + SHORT_ANSWER), question, golds, group=_group(row, *_GROUPS))


def read_ocrbench(row: Row) -> Iterator[Item]:
    """OCRBench: the question alone; of ten kinds, in five groups."""
    kind = row.text("category", "question_type")
    if kind not in OCRBENCH_GROUPS:
        raise row.wrong(row.name_of("category", "question_type") or "category", f"one of {', '.join(OCRBENCH_GROUPS)}")
    question, golds = row.text("question"), row.texts("answer", "answers")
    yield Item(row.id, _asking(row, question), question, golds, group=OCRBENCH_GROUPS[kind], kind=(kind,))


def read_mme(row: Row) -> Iterator[Item]:
    """MME: two questions of yes or no about an image, which together are a unit."""
    question, category = row.text("question"), row.text("category")
    gold = row.text("answer").strip().rstrip(".").lower()
    if gold not in ("yes", "no"):
        raise row.wrong("answer", "Yes or No")
    name = row.name_of("question_id")
    image = row.text("question_id") if name else _image_name(row)
    yield Item(row.id, _asking(row, question), question, (gold,), group=category, unit=f"{category}/{image}")


def _image_name(row: Row) -> str:
    """What two rows about the same image have in common: its path, or its bytes."""
    image = row.images()[0]
    return str(image) if isinstance(image, Path) else hashlib.sha256(image).hexdigest()[:16]


def choice_prompt(question: str, choices: Mapping[str, str], hint: str = "") -> str:
    """The form in which options are put."""
    lines = [f"Hint: {hint}\n"] if hint else []
    lines.append(f"Question: {question}\n")
    if choices:
        lines += ["Options:\n", *(f"{letter}. {text}\n" for letter, text in choices.items()), f"{SELECT} \n"]
    return "".join(lines)


def _optional(row: Row, name: str) -> str:
    """A field that a row may lack, such as its hint or option D; "" if it does.

    Parquet files that were made with pandas (lmms-lab/MMBench) hold the text "nan" there.
    """
    text = row.text(name, default="")
    return "" if text.strip() == _MISSING else text


def _choices(row: Row) -> dict[str, str]:
    """Options from columns A, B, ..., or from a list, which has no more than there are."""
    listed = row.texts("options", "choices")
    if listed:
        return dict(zip(string.ascii_uppercase, listed, strict=False))
    return {letter: text for letter in string.ascii_uppercase if (text := _optional(row, letter))}


def _letter(row: Row, choices: Mapping[str, str]) -> tuple[str, ...]:
    """The right letter; some files give its position from 0."""
    gold = _optional(row, "answer").strip()
    if not gold:
        return ()
    letter = string.ascii_uppercase[int(gold)] if gold.isdecimal() and int(gold) < 26 else gold
    if letter not in choices:
        raise row.wrong("answer", f"the letter of an option ({', '.join(choices)}) or its position from 0")
    return (letter,)


def _split_options(question: str) -> tuple[str, dict[str, str]]:
    """MMStar's Parquet writes "... Options: A: cat, B: dog" into the question."""
    asked, found, tail = question.partition("Options:")
    pieces = _OPTION.split(tail.strip()) if found else []
    letters, texts = pieces[1::2], [text.strip().rstrip(",") for text in pieces[2::2]]
    if len(letters) < 2 or letters != list(string.ascii_uppercase[: len(letters)]):
        return question, {}
    return asked.strip(), dict(zip(letters, texts, strict=True))


def _question_and_choices(row: Row) -> tuple[str, dict[str, str]]:
    question, choices = row.text("question"), _choices(row)
    if not choices:
        question, choices = _split_options(question)
    if not choices:
        raise row.wrong(
            "question", "options in columns A, B, ..., a list `options`, or after 'Options:' in the question"
        )
    return question, choices


def read_choice(row: Row) -> Iterator[Item]:
    """MMStar, AI2D, RealWorldQA, MMT-Bench: one pass over the options as they stand."""
    question, choices = _question_and_choices(row)
    prompt = choice_prompt(question, choices, _optional(row, "hint"))
    golds, group = _letter(row, choices), _group(row, "category", "l2_category", "l2-category", "split")
    yield Item(row.id, _asking(row, prompt), question, golds, choices, group)


def read_mmbench(row: Row) -> Iterator[Item]:
    """MMBench: every question once for each rotation of its options; a unit is right if all rotations are.

    Files that hold the rotations already (index + 1,000,000 a rotation) are read as they are: `read_rotated`.
    """
    question, choices = _question_and_choices(row)
    golds, hint = _letter(row, choices), _optional(row, "hint")
    group, texts = _group(row, "category", "l2-category"), list(choices.values())
    for turn in range(len(texts)):
        turned = dict(zip(choices, texts[turn:] + texts[:turn], strict=True))
        right = tuple(letter for letter, text in turned.items() for g in golds if text == choices[g])
        name = row.id if turn == 0 else f"{row.id}+{turn}"
        message = _asking(row, choice_prompt(question, turned, hint))
        yield Item(name, message, question, right, turned, group, unit=row.id)


ROTATION = 1_000_000


def read_rotated(row: Row) -> Iterator[Item]:
    """MMBench from a file with its rotations: rows that agree in index modulo a million are a unit."""
    for item in read_choice(row):
        if not item.id.isdecimal():
            raise row.wrong("index", "a number, as in all files that hold rotations")
        unit = str(int(item.id) % ROTATION)
        yield Item(item.id, item.message, item.question, item.golds, item.choices, item.group, unit)


def read_mmmu(row: Row) -> Iterator[Item]:
    """MMMU: images side by side, markers renumbered as they come in the text, the first image twice as large."""
    choices = _choices(row)
    if row.text("question_type", default="") == "open":
        choices = {}
    golds = _letter(row, choices) if choices else row.texts("answer")
    text = choice_prompt(row.text("question"), choices, _optional(row, "hint"))
    order = [int(number) - 1 for number in _MARKER.findall(text)]
    count = iter(range(1, len(order) + 1))
    text = _MARKER.sub(lambda _: f"<image {next(count)}>", text)
    text = text.replace(SELECT, _MMMU_SELECT).replace("Question:", "").replace("Options:\n", "")
    group = _group(row, "category", "subfield") or row.id.rpartition("_")[0].partition("_")[2]
    message = _mmmu_message(row, text, order)
    yield Item(row.id, message, row.text("question"), golds, choices, group)


def _mmmu_message(row: Row, text: str, order: Sequence[int]) -> Callable[[], Message]:
    def message() -> Message:
        images: Sequence[Source] = row.images()
        if order and max(order) >= len(images):
            raise row.wrong("question", f"markers up to <image {len(images)}>, the number of images")
        shown: list[Source] = [images[i] for i in order] or list(images)
        asked = text if order else "".join(f"<image {i}>" for i in range(1, len(shown) + 1)) + text
        first = open_image(shown[0])
        shown[0] = first.resize((2 * first.width, 2 * first.height), PILImage.Resampling.BILINEAR)
        return Message("user", (*map(Image, shown), Text("\n" + asked)))

    return message


def read_mathvista(row: Row) -> Iterator[Item]:
    """MathVista: the query with its hint, choices and unit; the kind is the type and precision of the answer."""
    metadata: Any = row.fields.get("metadata")
    meta = metadata if isinstance(metadata, Mapping) else {}
    asked = row.text("query", "question")
    texts = row.texts("choices") if row.text("question_type", default="") == "multi_choice" else ()
    precision = row.text("precision", default="0")
    kind = row.text("answer_type", default="text")
    if kind not in ("text", "integer", "float", "list"):
        raise row.wrong("answer_type", "text, integer, float or list")
    digits = str(int(float(precision))) if re.fullmatch(r"\d+(\.\d+)?", precision) else "0"
    if kind == "float" and not row.name_of("precision"):
        digits = str(len(row.text("answer", default="").partition(".")[2]))
    choices = dict(zip(string.ascii_uppercase, texts, strict=False))
    group = row.text("task", default=str(meta.get("task", "")))
    golds = row.texts("answer") if kind != "list" else (row.text("answer"),)
    yield Item(row.id, _asking(row, asked), row.text("question"), golds, choices, group, kind=(kind, digits))


def read_refcoco(row: Row) -> Iterator[Item]:
    """RefCOCO: every phrase is a question of its own; asked in this family's own words."""
    for number, (phrase, box) in enumerate(_phrases(row)):
        name = row.id if number == 0 else f"{row.id}/{number}"
        gold = (Region(phrase, box),)
        yield Item(name, _locating(row, phrase), phrase, gold, group=_group(row, "split", "category", "dataset"))


def _locating(row: Row, phrase: str) -> Callable[[], Message]:
    parts = (Text("\nLocate "), Ref(phrase), Text(" in the given image."))
    return lambda: Message("user", (Image(row.images()[0]), *parts))


def _phrases(row: Row) -> list[tuple[str, Box]]:
    if row.name_of("sent"):  # Qwen-VL's and InternVL's JSONL: corners
        return [(row.text("sent"), _corners(row, row.numbers(4, "bbox")))]
    if row.name_of("bbox"):  # COCO's form: left, top, width, height
        x, y, width, height = row.numbers(4, "bbox")
        box = _corners(row, (x, y, x + width, y + height))
        return [(phrase, box) for phrase in row.texts("answer", "sentences", "caption")]
    asked = row.text("question")  # VLMEvalKit: corners in the answer
    marked = _REF.search(asked)
    phrase = marked[1] if marked else asked.rpartition(": ")[2]
    corners = row.numbers(4, "answer")
    if max(corners) <= 1.5:  # parts of the image's width and height
        width, height = float(row.text("width")), float(row.text("height"))
        corners = tuple(v * s for v, s in zip(corners, (width, height, width, height), strict=True))
    return [(phrase.strip(), _corners(row, corners))]


def _corners(row: Row, values: Sequence[float]) -> Box:
    box = Box(*values)
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise row.wrong(row.name_of("bbox") or "answer", "a box with a width and a height above 0")
    return box
