"""Shapes of one training example: what people write, as messages for the renderer.

    records   {"id", "images", "question", "answers", "metric"}                        vl2.data.records
    LLaVA     {"image": path or list, "conversations": [{"from": "human", "value": "<image>\\n..."}, ...]}
    messages  {"messages": [{"role": "user", "content": text or [{"type": "text" | "image_url" | "image", ...}]}, ...]}
    captions  an image and a text that answers "question", or else a request to describe it (only in .tar files)

    values --recognise--> shape --to_messages(find)--> user (images, text), assistant (text), ...

`find` turns a reference (path, URL, bytes) into what `open_image` takes, so nothing is decoded here.

The trap: <image> in a question stands for an image; every other tag is refused, since text never becomes a special
token.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vl2.data.dialogue import record_conversation
from vl2.data.records import RecordError, check_characters, parse_record, shown
from vl2.processing.messages import Image, Message, Part, Role, Text
from vl2.processing.prompts import DESCRIBE_PROMPT

RECORDS, LLAVA, MESSAGES, CAPTIONS = "records", "LLaVA", "messages", "captions"
FIELDS = ("id", "image", "images", "conversations", "messages", "question", "answers", "metric", "task", "earlier")
MARK = "<image>"

ImageSource = Path | bytes
Find = Callable[[Sequence[tuple[Any, str]]], list[ImageSource]]  # (reference, name of its field), ... to images

_SPEAKERS: dict[Any, Role] = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
_SPEAKERS["system"] = "system"
_TAG = re.compile(r"<\|/?(?:ref|det|grounding)\|>")


@dataclass(frozen=True)
class Row:
    """One example as it lies in its file.

    values: its fields.
    images: of a .tar file, (name, bytes) of the image members.
    text: of a .tar file, the content of the .txt member.
    """

    values: Any
    images: tuple[tuple[str, bytes], ...] | None = None
    text: str | None = None


@dataclass(frozen=True)
class _Turn:
    role: Role
    content: Any  # text, or a list of parts
    field: str


def recognise(row: Row) -> str | None:
    """The shape of an example by its fields, None if it has none."""
    keys = row.values.keys() if isinstance(row.values, Mapping) else set()
    if "conversations" in keys:
        return LLAVA
    if "messages" in keys:
        return MESSAGES
    if len(keys & {"question", "answers", "metric"}) > 1:
        return RECORDS
    return CAPTIONS if row.text is not None and row.images else None


def to_messages(row: Row, shape: str, base: Path, find: Find) -> list[Message]:
    """The conversation of an example. Raises RecordError naming the field."""
    values = row.values
    if not isinstance(values, Mapping):
        raise RecordError(f"expected an object, got {type(values).__name__}")
    if shape == RECORDS:
        return _record(values, base, find)
    if shape == CAPTIONS:
        question = values.get("question") or DESCRIBE_PROMPT
        turns = [_Turn("user", MARK * len(row.images or ()) + f"\n{question}", "question")]
        return _conversation([*turns, _Turn("assistant", row.text, "txt")], find([]), find)
    turns = _llava_turns(values) if shape == LLAVA else _message_turns(values)
    return _conversation(turns, _pool(values, turns, find), find)


def _record(values: Mapping[str, Any], base: Path, find: Find) -> list[Message]:
    given = {key: value for key, value in values.items() if value is not None}  # columns that a row leaves empty
    images = given.get("images")
    if isinstance(images, list):  # bytes have no path; parse_record gets a name for them
        given["images"] = [f"images[{i}]" if isinstance(v, Mapping | bytes) else v for i, v in enumerate(images)]
    record = parse_record(given, base)
    assert isinstance(images, list)
    return record_conversation(record, find([(image, f"images[{i}]") for i, image in enumerate(images)]))


def _llava_turns(values: Mapping[str, Any]) -> list[_Turn]:
    turns = []
    for number, entry in enumerate(_entries(values, "conversations", "from")):
        field = f"conversations[{number}]"
        speaker = entry.get("from")
        role = _SPEAKERS.get(speaker) if isinstance(speaker, str) else None
        if role is None:
            raise RecordError(f"{field}.from = {shown(speaker)}: must be human, gpt or system", "roles")
        turns.append(_Turn(role, _text(entry.get("value"), f"{field}.value"), field))
    return turns


def _message_turns(values: Mapping[str, Any]) -> list[_Turn]:
    turns = []
    for number, entry in enumerate(_entries(values, "messages", "role")):
        field = f"messages[{number}]"
        role = entry.get("role")
        if role not in ("system", "user", "assistant"):
            raise RecordError(
                f"{field}.role = {shown(role)}: must be system, user or assistant; tools are not supported", "roles"
            )
        for key in ("tool_calls", "function_call"):
            if entry.get(key):
                raise RecordError(f"{field}.{key}: calls of tools are not supported; leave the record out")
        if entry.get("weight") is not None and entry["weight"] != 1:
            raise RecordError(f"{field}.weight = {shown(entry['weight'])}: every answer is learned; leave it out")
        content = entry.get("content")
        turns.append(_Turn(role, content if isinstance(content, list) else _text(content, f"{field}.content"), field))
    return turns


def _entries(values: Mapping[str, Any], key: str, speaker: str) -> Sequence[Mapping[str, Any]]:
    entries = values.get(key)
    if isinstance(entries, Mapping) and all(isinstance(column, list) for column in entries.values()):
        # Hugging Face datasets write a Sequence of dicts as a dict of lists
        rows = zip(*entries.values(), strict=False)
        entries = [dict(zip(entries, row, strict=True)) for row in rows]
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        raise RecordError(f'{key} = {shown(entries)}: expected a list of {{"{speaker}": ..., ...}}')
    return entries


def _pool(values: Mapping[str, Any], turns: Sequence[_Turn], find: Find) -> list[ImageSource]:
    """The images that marks stand for, in order."""
    given = [(key, values[key]) for key in ("image", "images") if values.get(key) is not None]
    if len(given) > 1:
        raise RecordError("image and images: give one of them")
    if given:
        key, images = given[0]
        if isinstance(images, list):
            return find([(image, f"{key}[{number}]") for number, image in enumerate(images)]) if images else []
        return find([(images, key)])
    parts = (part for turn in turns if isinstance(turn.content, list) for part in turn.content)
    return [] if any(_url(part) is not None for part in parts) else find([])


def _conversation(turns: Sequence[_Turn], pool: Sequence[ImageSource], find: Find) -> list[Message]:
    _check_roles(turns)
    marks = sum(_count_marks(turn.content) for turn in turns if turn.role == "user")
    if marks != len(pool):
        raise RecordError(
            f"{marks} {MARK} marks in the questions but {len(pool)} images; each image needs one mark", "image marks"
        )
    remaining = iter(pool)
    return [Message(turn.role, tuple(_parts(turn, remaining, find))) for turn in turns]


def _check_roles(turns: Sequence[_Turn]) -> None:
    if not any(turn.role == "assistant" for turn in turns):
        raise RecordError("no answer to learn from", "no answer")
    for number, turn in enumerate(turns[1:] if turns[0].role == "system" else turns):
        expected = ("user", "assistant")[number % 2]
        if turn.role != expected:
            rule = "questions and answers alternate, a system message may stand before them"
            raise RecordError(f"{turn.field}: {turn.role} speaks where {expected} must; {rule}", "roles")
    if turns[-1].role != "assistant":
        raise RecordError(f"{turns[-1].field}: the last message must be an answer", "roles")


def _parts(turn: _Turn, pool: Iterator[ImageSource], find: Find) -> list[Part]:
    """Typed parts of one turn; of a list of parts, every image stands on its own line, as when asking."""
    parts: list[Part] = []
    content = turn.content if isinstance(turn.content, list) else [{"type": "text", "text": turn.content}]
    for number, part in enumerate(content):
        field = f"{turn.field}.content[{number}]" if isinstance(turn.content, list) else turn.field
        if _is_text(part, field):
            text = _text(part.get("text"), f"{field}.text" if isinstance(turn.content, list) else field)
            if turn.role != "user" and MARK in text:
                raise RecordError(f"{field}: {MARK} in a message of the {turn.role}; only users show images", "roles")
            if isinstance(turn.content, list) and parts and isinstance(parts[-1], Image) and text[:1] != "\n":
                text = "\n" + text
            parts += _split(text, pool)
            continue
        if turn.role != "user":
            raise RecordError(f"{field}: an image in a message of the {turn.role}; only users show images", "roles")
        url = _url(part)
        if parts and isinstance(parts[-1], Image):
            parts.append(Text("\n"))
        parts.append(Image(next(pool) if url is None else find([(url, field)])[0]))
    if not any(isinstance(part, Image) or part.text.strip() for part in parts if isinstance(part, Image | Text)):
        reason = "no answer" if turn.role == "assistant" else "fields"
        raise RecordError(f"{turn.field}: an empty message of the {turn.role}", reason)
    return parts


def _is_text(part: Any, field: str) -> bool:
    """Whether a part is text rather than an image."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in ("text", "image_url", "image"):
        raise RecordError(f"{field}.type = {shown(kind)}: only text, image_url and image are read")
    if kind == "image_url" and _url(part) is None:
        raise RecordError(f'{field}.image_url = {shown(part.get("image_url"))}: expected {{"url": "..."}}')
    return kind == "text"


def _url(part: Any) -> Any:
    """What an image part names; None if it is a mark for one of the record's images."""
    if not isinstance(part, Mapping) or part.get("type") not in ("image_url", "image"):
        return None
    named = part.get("image_url") if part["type"] == "image_url" else part.get("image") or part.get("url")
    return named.get("url") if isinstance(named, Mapping) and "url" in named else named


def _count_marks(content: Any) -> int:
    if isinstance(content, str):
        return content.count(MARK)
    texts = (part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text")
    marks = sum(text.count(MARK) for text in texts if isinstance(text, str))
    return marks + sum(isinstance(p, Mapping) and p.get("type") == "image" and _url(p) is None for p in content)


def _split(text: str, pool: Iterator[ImageSource]) -> list[Part]:
    parts: list[Part] = []
    for number, piece in enumerate(text.split(MARK)):
        if number:
            parts.append(Image(next(pool)))
        if piece:
            parts.append(Text(piece))
    return parts


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise RecordError(f"{field} = {shown(value)}: expected a text")
    check_characters(field, value)
    if tag := _TAG.search(value):
        raise RecordError(f"{field} holds {tag.group()}: tags are not read; records of metric iou teach boxes", "tags")
    return value
