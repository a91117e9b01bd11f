"""Questions as `Model.extract` asks them, about the values of any document.

    "receipt-fields": generate receipt -> Sample --values--> schemas of one field or several --> Sample with
        "What is the store name?" --> "Harbour Cafe"
        "Read the image.\\nAnswer with JSON of this schema: {...}" --> {"store_name": "Harbour Cafe", "total": 30.90}

The words are those of vl2/processing/fields.py, so that a model is trained on what it will be asked. JSON keeps the
decimals that are printed: 30.90. What a document does not say is null where the schema allows it, else left out; an
amount asked for in words is said not to be there. The trap: a question in words does not tell the type of its field, so
its answer is as printed, and a text that is not there is never asked for in words: extraction would take "There is no
cashier in the image." for the cashier.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vl2.processing.fields import is_one_value, json_question, question_of
from vl2.synth.sample import Question, Sample, Value
from vl2.synth.values import chance, pick
from vl2.synth.wordings_fields import descriptions, names

_WHOLE = "Read the image."  # what a schema as a whole is asked for with
_LEAST, _MOST = 10, 16  # questions
_IN_WORDS = 0.6  # share of questions about one field
_MANY = ("item_price", "item_amount", "item_quantity", "ticked")  # kinds of which three are asked about
_ITEMS = 3
_NUMBERS = ("total", "subtotal", "tax", "tip", "change", "paid")  # kinds that are a number where they are not said
_TITLES = {
    "receipt": ("Receipt", "ReceiptData"),
    "invoice": ("Invoice", "InvoiceData"),
    "card": ("Card", "IdCard"),
    "form": ("Form", "FormData"),
}
# Spellings of a name; the usual ones stand here more than once.
_SPELLINGS = (*(("snake",) * 6), *(("camel",) * 3), "pascal", "kebab", "spaced", "titled")
_LENGTHS = (40, 60, 80, 100, 200)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Asked:
    """A question and what asks it: extraction with this schema, whose result it is if the answer is right."""

    schema: dict[str, Any]
    at_once: bool
    question: Question
    result: dict[str, Any]


@dataclass(frozen=True)
class _Subject:
    """A value of the document, or a kind that it does not say."""

    document: str
    chinese: bool
    kind: str
    value: Value | None

    @property
    def is_typed(self) -> bool:
        return bool(self.value.literal) if self.value else self.kind in _NUMBERS

    @property
    def is_chinese(self) -> bool:
        """Whether a Chinese text is part of its name, which English words would not go with."""
        return self.chinese and self.value is not None and bool(self.value.about)

    def words(self, rng: np.random.Generator, *, chinese: bool, described: bool = False) -> str:
        """What it is called, or how it is described, its slots filled."""
        about = self.value.about if self.value else "receipt"
        document, kind = self.document, self.kind
        text = pick(rng, descriptions(document, kind) if described else names(document, kind, chinese=chinese))
        item = " ".join(_WORD.findall(about.lower()))
        return text.format(item=item, doc=about).replace(" i ", " I ")


@dataclass(frozen=True)
class _Field:
    """A field of a schema and what it should become; `literal` is JSON, "" for a field to leave out."""

    name: str
    schema: dict[str, Any]
    called: str
    literal: str

    @property
    def result(self) -> dict[str, Any]:
        return {self.name: json.loads(self.literal)} if self.literal else {}

    @property
    def written(self) -> str:
        return f"{json.dumps(self.name, ensure_ascii=False)}: {self.literal}"


@dataclass(frozen=True)
class _Manner:
    """How one schema is written: the spelling of its names, the share of fields with a description, titles as well."""

    spelling: str
    described: float
    titled: bool
    chinese: bool


def ask_fields(rng: np.random.Generator, sample: Sample, task: str) -> Sample:
    """The sample with questions of extraction in place of its own."""
    return replace(sample, task=task, questions=tuple(asked.question for asked in draw_asked(rng, sample)))


def draw_asked(rng: np.random.Generator, sample: Sample) -> list[Asked]:
    """Up to sixteen different questions about the values of a sample, fewer where it says little."""
    present, absent = _subjects(rng, sample)
    count = int(rng.integers(_LEAST, _MOST + 1))
    found: dict[str, Asked] = {}
    for wanted, is_whole in ((round(_IN_WORDS * count), False), (count, True)):
        for _ in range(2 * count):  # wordings repeat
            if len(found) == wanted:
                break
            asked = _whole(rng, present, absent) if is_whole else _single(rng, present, absent)
            found.setdefault(asked.question.text, asked)
    return list(found.values())


def _subjects(rng: np.random.Generator, sample: Sample) -> tuple[list[_Subject], list[_Subject]]:
    """What the document says, with some of its items, and what it does not say."""
    document, _, language = sample.task.partition("-")
    chinese = language == "zh"
    alone = [value for value in sample.values if value.kind not in _MANY]
    of_items = [value for value in sample.values if value.kind in _MANY]
    of_items = [of_items[place] for place in rng.permutation(len(of_items))[:_ITEMS].tolist()]
    present = [_Subject(document, chinese, value.kind, value) for value in [*alone, *of_items]]
    absent = [_Subject(document, chinese, kind, None) for kind in sample.absent]
    return present, absent


def _single(rng: np.random.Generator, present: Sequence[_Subject], absent: Sequence[_Subject]) -> Asked:
    """One field, asked for in words, or as JSON if its schema allows nothing else."""
    subject = pick(rng, absent if absent and chance(rng, 0.12) else present)
    field = _field(rng, subject, _manner(rng, subject.chinese, 0.35))
    schema = _object(rng, [field], _TITLES[subject.document])
    asked = question_of(field.name, field.schema)
    if not is_one_value(field.schema):
        text = json_question(asked, field.schema)
        return Asked(schema, False, Question("convert", text, (field.literal or "null",)), field.result)
    if subject.value is not None:
        return Asked(schema, False, Question("ask", asked, subject.value.texts), field.result)
    if not subject.is_typed:
        return _single(rng, present, ())
    return Asked(schema, False, Question("ask", asked, _nothing(field.called, subject.chinese)), field.result)


def _nothing(called: str, chinese: bool) -> tuple[str, ...]:
    """What is answered when something asked for is not on the page."""
    if chinese and not called.isascii():
        return (f"图中没有{called}。", "没有", "没有提供")
    return (f"There is no {called} in the image.", "not given", "none")


def _whole(rng: np.random.Generator, present: Sequence[_Subject], absent: Sequence[_Subject]) -> Asked:
    """Two to six fields as one JSON, one at least of which the document says."""
    count = int(rng.integers(2, 7))
    chosen = [present[place] for place in rng.permutation(len(present))[:count].tolist()]
    for place in range(1, len(chosen)):
        if absent and chance(rng, 0.15):
            chosen[place] = pick(rng, absent)
    manner = _manner(rng, chosen[0].chinese, 0.6 if chance(rng, 0.35) else 0.0)
    fields = {field.name: field for field in (_field(rng, chosen[i], manner) for i in rng.permutation(len(chosen)))}
    schema = _object(rng, [*fields.values()], _TITLES[chosen[0].document])
    said = [field for field in fields.values() if field.literal]
    answer = "{" + ", ".join(field.written for field in said) + "}"
    result = {name: value for field in said for name, value in field.result.items()}
    return Asked(schema, True, Question("convert", json_question(_WHOLE, schema), (answer,)), result)


def _manner(rng: np.random.Generator, chinese: bool, described: float) -> _Manner:
    return _Manner(pick(rng, _SPELLINGS), described, chance(rng, 0.15), chinese and chance(rng, 0.5))


def _field(rng: np.random.Generator, subject: _Subject, manner: _Manner) -> _Field:
    """A field for the subject, with a type that its value has."""
    in_chinese = manner.chinese or subject.is_chinese
    called = subject.words(rng, chinese=in_chinese)
    name = called if in_chinese else _spelled(called, manner.spelling)
    value = subject.value
    is_box = subject.kind == "ticked"  # only yes or no makes a question of it
    as_typed = subject.is_typed and (value is None or is_box or chance(rng, 0.8))
    literal = "null"
    if value is not None:
        literal = value.literal if as_typed else json.dumps(value.texts[0], ensure_ascii=False)
    kind = "string"
    if is_box:
        kind = "boolean"
    elif as_typed:
        kind = "integer" if value and "." not in value.literal and chance(rng, 0.7) else "number"
    schema: dict[str, Any] = {"type": kind}
    if kind == "string" and chance(rng, 0.15):
        schema["maxLength"] = pick(rng, [n for n in _LENGTHS if value is None or n >= len(value.texts[0])])
    if not is_box and chance(rng, 0.15 if value is not None else 0.75):
        schema = _or_null(schema, plain=not manner.titled and chance(rng, 0.7))
    elif value is None:
        literal = ""
    if chance(rng, manner.described):
        described = _described(rng, subject)
        schema = {"description": described, **schema} if chance(rng, 0.3) else {**schema, "description": described}
    if manner.titled:
        schema["title"] = called if in_chinese else called.title()
    return _Field(name, schema, called, literal)


def _or_null(schema: dict[str, Any], *, plain: bool) -> dict[str, Any]:
    """The two ways to write that a value may be null."""
    if plain:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}], "default": None}


def _described(rng: np.random.Generator, subject: _Subject) -> str:
    """As people describe fields: a question, or a noun with a capital, a full stop or neither."""
    if subject.is_chinese or (subject.chinese and chance(rng, 0.5)):
        return subject.words(rng, chinese=True)
    text = subject.words(rng, chinese=False, described=True)
    if text.endswith("?"):
        return text[0].upper() + text[1:]
    text = text if chance(rng, 0.6) else text.removeprefix("the ")
    text = text[0].upper() + text[1:] if chance(rng, 0.6) else text
    return f"{text}." if chance(rng, 0.3) else text


def _object(rng: np.random.Generator, fields: Sequence[_Field], titles: Sequence[str]) -> dict[str, Any]:
    """The schema of an object with these fields, all of which that it can have required, or none."""
    properties = {field.name: field.schema for field in fields}
    needed = [field.name for field in fields if field.literal]
    kept = {"required": needed} if needed and chance(rng, 0.8) else {}
    if chance(rng, 0.15):
        return {"properties": properties, **kept, "title": pick(rng, titles), "type": "object"}
    closed = {"additionalProperties": False} if chance(rng, 0.5) else {}
    return {"type": "object", "properties": properties, **kept, **closed}


def _spelled(words: str, spelling: str) -> str:
    """Words as the name of a field."""
    parts = words.split(" ")
    large = [part[:1].upper() + part[1:] for part in parts]
    return {
        "snake": "_".join(parts),
        "camel": "".join([parts[0], *large[1:]]),
        "pascal": "".join(large),
        "kebab": "-".join(parts),
        "spaced": words,
        "titled": " ".join(large),
    }[spelling]
