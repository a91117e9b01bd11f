"""What is said: messages made of typed parts. Only parts become special tokens; text never does.

"<image>\\n<|ref|>cat<|/ref|>" --parse_tagged(images)--> (Image, Text, Ref) --Message--> render
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image as PILImage

from vl2.processing.boxes import LAST, Box, parse_box_list
from vl2.processing.tiling import TiledImage


class MessageError(ValueError):
    """A conversation that cannot be rendered; says which message and why."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Image:
    """A picture: a path, encoded bytes, a decoded PIL image, or one that `Renderer.tile` has tiled already."""

    source: PILImage.Image | Path | str | bytes | TiledImage


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
    """Boxes of an answer as they stand in tagged text: "[[x1, y1, x2, y2], ...]", integers 0..999."""

    text: str


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


_MARK = r"<image>|<\|/?(?:ref|det)\|>"
_TAG = re.compile(
    rf"<image>|<\|grounding\|>|<\|ref\|>(?P<phrase>(?:(?!{_MARK}).)*)<\|/ref\|>|<\|det\|>(?P<boxes>[^<]*)<\|/det\|>|{_MARK}",
    re.DOTALL,
)


def parse_tagged(text: str, images: Sequence[PILImage.Image | Path | str | bytes] = ()) -> tuple[Part, ...]:
    """Parts of a string in the tagged form of the official examples; never call it on text of a user.

    Args:
        text: may hold <image>, <|ref|>phrase<|/ref|>, <|det|>[[x1, y1, x2, y2]]<|/det|> and <|grounding|>.
        images: one per <image> tag, in order.

    Raises: MessageError on a wrong number of images, a tag without its partner, or boxes that are none.
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
        parts.append(Image(next(remaining)) if match.group() == "<image>" else _tagged_part(match))
    if cursor < len(text):
        parts.append(Text(text[cursor:]))
    return tuple(parts)


def _tagged_part(match: re.Match[str]) -> Part:
    if match["phrase"] is not None:
        return Ref(match["phrase"])
    if match["boxes"] is not None:
        if parse_box_list(match["boxes"]) is None:
            raise MessageError(f"{match.group()[:80]!r}: expected [[x1, y1, x2, y2], ...] with integers 0..{LAST}")
        return RawDet(match["boxes"])
    if match.group() == "<|grounding|>":
        return Grounding()
    raise MessageError(f"{match.group()} at character {match.start()} has no partner; write <|ref|>phrase<|/ref|>")
