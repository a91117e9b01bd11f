"""What is said: messages made of typed parts. Only parts become special tokens; text never does.

"<image>\\n<|ref|>cat<|/ref|>" --parse_tagged(images)--> (Image, Text, Ref) --Message--> render
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image as PILImage

from vl2.processing.boxes import Box, parse_box_list


class MessageError(ValueError):
    """A conversation that cannot be rendered; says which message and why."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Image:
    """A picture: a path, encoded bytes, or a decoded PIL image."""

    source: PILImage.Image | Path | str | bytes


@dataclass(frozen=True)
class Ref:
    """A phrase to locate, or one that an answer locates."""

    phrase: str


@dataclass(frozen=True)
class Grounding:
    """Asks for an answer that locates what it mentions."""


@dataclass(frozen=True)
class Det:
    """Boxes of an answer, in pixels of the conversation's last image."""

    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class RawDet:
    """Boxes of an answer as integers 0..999, as they stand in tagged text."""

    boxes: tuple[tuple[int, int, int, int], ...]


Part = Text | Image | Ref | Grounding | Det | RawDet
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.role not in ("system", "user", "assistant"):
            raise MessageError(f"role = {self.role!r}: must be system, user or assistant")
        allowed = {"system": (Text,), "user": (Text, Image, Ref, Grounding), "assistant": (Text, Ref, Det, RawDet)}
        for part in self.parts:
            if not isinstance(part, allowed[self.role]):
                raise MessageError(f"a {self.role} message cannot hold a part of type {type(part).__name__}")


_TAG = re.compile(r"<image>|<\|grounding\|>|<\|ref\|>(.*?)<\|/ref\|>|<\|det\|>(.*?)<\|/det\|>", re.DOTALL)


def parse_tagged(text: str, images: Sequence[PILImage.Image | Path | str | bytes] = ()) -> tuple[Part, ...]:
    """Parts of a string in the tagged form of the official examples; never call it on text of a user.

    Args:
        text: may hold <image>, <|ref|>phrase<|/ref|>, <|det|>[[x1, y1, x2, y2]]<|/det|> and <|grounding|>.
        images: one per <image> tag, in order.
    """
    tags = text.count("<image>")
    if tags != len(images):
        raise MessageError(f"the text holds {tags} <image> tags but {len(images)} images were given")
    parts: list[Part] = []
    remaining = iter(images)
    cursor = 0
    for match in _TAG.finditer(text):
        if match.start() > cursor:
            parts.append(Text(text[cursor : match.start()]))
        cursor = match.end()
        tag = match.group()
        if tag == "<image>":
            parts.append(Image(next(remaining)))
        elif tag == "<|grounding|>":
            parts.append(Grounding())
        elif match.group(1) is not None:
            parts.append(Ref(match.group(1)))
        else:
            boxes = parse_box_list(match.group(2))
            if boxes is None:
                raise MessageError(f"{tag!r}: expected [[x1, y1, x2, y2], ...] with integers 0..999")
            parts.append(RawDet(tuple(boxes)))
    if cursor < len(text):
        parts.append(Text(text[cursor:]))
    return tuple(parts)
