"""The only renderer: a conversation to the ids, labels and tiles of one prompt, for training and for generation.

    messages --typed parts--> special ids and runs of text --tokenizer--> Prompt(input_ids, labels, spans, images)

    <bos> [system text] { <|User|>: question \\n\\n <|Assistant|>: answer <eos> } ...

The trap: each turn is tokenised in pieces as published: a question up to and with the colon after <|Assistant|> is one
piece, its answer the next, so the colon never merges with the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image as PILImage

from vl2.config import VL2Config
from vl2.layout import image_token_count
from vl2.processing.boxes import format_box_list, to_thousandths
from vl2.processing.images import open_image
from vl2.processing.messages import Det, Grounding, Image, Message, MessageError, Part, RawDet, Ref, Text
from vl2.processing.tiling import MAX_TILED_IMAGES, TiledImage, tile_image
from vl2.processing.tokenizer import Tokenizer

IGNORE_INDEX = -100


class ContextError(ValueError):
    """A prompt longer than the model's context; gives both numbers."""


@dataclass(frozen=True)
class Prompt:
    """A rendered conversation.

    input_ids: token ids; every image token is a placeholder.
    labels: the same ids where there is loss, IGNORE_INDEX elsewhere; not shifted.
    spans: (start, length) of each image's placeholders.
    images: the tiled images, in the same order.
    """

    input_ids: list[int]
    labels: list[int]
    spans: tuple[tuple[int, int], ...]
    images: tuple[TiledImage, ...]


class Renderer:
    """Renders conversations for one model.

    Args:
        tokenizer: its tokenizer.
        config: gives tile sizes, canvases and the context limit.
        max_pixels: limit on the decoded size of an image.
    """

    def __init__(self, tokenizer: Tokenizer, config: VL2Config, max_pixels: int | None = None) -> None:
        self.tokenizer, self.config, self._max_pixels = tokenizer, config, max_pixels

    def tile(self, source: PILImage.Image | Path | str | bytes, *, tiling: bool = True) -> TiledImage:
        """Open an image and cut it into this model's tiles. Raises ImageError."""
        image = open_image(source, self._max_pixels)
        tile_size = self.config.vision_config.image_size
        return tile_image(image, self.config.candidate_resolutions, tiling=tiling, tile_size=tile_size)

    def render(self, conversation: Sequence[Message], *, for_generation: bool, mask_prompt: bool = True) -> Prompt:
        """Ids, labels and tiles of a conversation.

        Args:
            for_generation: end where the next answer begins; the last message must then be the user's.
            mask_prompt: loss on answers only; otherwise on all text.

        Raises: MessageError, ImageError, ContextError.
        """
        _check_order(conversation, for_generation)
        sources = [part.source for message in conversation for part in message.parts if isinstance(part, Image)]
        tiling = len(sources) <= MAX_TILED_IMAGES
        images = tuple(
            source if isinstance(source, TiledImage) else self.tile(source, tiling=tiling) for source in sources
        )
        writer = _Writer(self.tokenizer, images, self.config.tile_side, mask_prompt)
        for message in conversation:
            writer.write(message)
        prompt = writer.finish()
        limit = self.config.language_config.max_position_embeddings
        if len(prompt.input_ids) > limit - for_generation:
            in_images = sum(length for _, length in prompt.spans)
            raise ContextError(
                f"the prompt has {len(prompt.input_ids)} tokens ({in_images} of them from {len(images)} images) but "
                f"the model's context holds {limit}{', the answer included' if for_generation else ''}; "
                "send fewer or smaller images, or less text"
            )
        return prompt


def _check_order(conversation: Sequence[Message], for_generation: bool) -> None:
    if not conversation:
        raise MessageError("the conversation is empty")
    turns = conversation[1:] if conversation[0].role == "system" else conversation
    for number, message in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        if message.role != expected:
            raise MessageError(f"message {number} has role {message.role!r} where {expected!r} must stand")
    ends_with_user = len(turns) % 2 == 1
    if ends_with_user != for_generation or not turns:
        rule = "end with a message of the user" if for_generation else "end with an answer of the assistant"
        raise MessageError(f"the conversation must {rule}")


class _Writer:
    """Accumulates one prompt. Runs of text are tokenised only where a special token or a turn ends them."""

    def __init__(self, tokenizer: Tokenizer, images: tuple[TiledImage, ...], tile_side: int, mask_prompt: bool) -> None:
        self._tokenizer, self._special = tokenizer, tokenizer.special
        self._images, self._tile_side, self._mask_prompt = images, tile_side, mask_prompt
        self._next_image = 0
        self._ids = [self._special.bos]
        self._labels = [self._special.bos]  # as published; the shift drops it
        self._spans: list[tuple[int, int]] = []
        self._text = ""

    def write(self, message: Message) -> None:
        if message.role == "system":
            self._parts(message.parts, learn=not self._mask_prompt)
            self._end_piece(learn=not self._mask_prompt)
        elif message.role == "user":
            learn = not self._mask_prompt
            self._add(self._special.user, learn)
            self._text = ": "
            self._parts(_strip(message.parts), learn)
            self._text += "\n\n"
            self._add(self._special.assistant, learn)
            self._text = ":"
            self._end_piece(learn)
        else:
            self._parts(_strip(message.parts), learn=True)
            self._add(self._special.eos, learn=True)

    def finish(self) -> Prompt:
        return Prompt(self._ids, self._labels, tuple(self._spans), self._images)

    def _end_piece(self, learn: bool) -> None:
        ids = self._tokenizer.encode(self._text) if self._text else []
        self._text = ""
        self._ids += ids
        self._labels += ids if learn else [IGNORE_INDEX] * len(ids)

    def _add(self, special_id: int, learn: bool) -> None:
        self._end_piece(learn)
        self._ids.append(special_id)
        self._labels.append(special_id if learn else IGNORE_INDEX)

    def _parts(self, parts: Sequence[Part], learn: bool) -> None:
        special = self._special
        for part in parts:
            match part:
                case Text(text):
                    self._text += text
                case Image():
                    self._image(learn)
                case Ref(phrase):
                    self._tagged(special.ref, phrase, special.ref_end, learn)
                case Grounding():
                    self._add(special.grounding, learn)
                case RawDet(text):
                    self._tagged(special.det, text, special.det_end, learn)
                case Det(boxes):
                    if not self._next_image:
                        raise MessageError("boxes need an image before them")
                    size = self._images[self._next_image - 1].size
                    inner = format_box_list([to_thousandths(box, size) for box in boxes])
                    self._tagged(special.det, inner, special.det_end, learn)

    def _tagged(self, start: int, text: str, end: int, learn: bool) -> None:
        self._add(start, learn)
        self._text = text
        self._add(end, learn)

    def _image(self, learn: bool) -> None:
        self._end_piece(learn)
        count = image_token_count(self._images[self._next_image].grid, self._tile_side)
        self._next_image += 1
        self._spans.append((len(self._ids), count))
        self._ids += [self._special.image] * count
        self._labels += [IGNORE_INDEX] * count


def _strip(parts: Sequence[Part]) -> list[Part]:
    """Strip the content of a message as published: white space at its very beginning and end."""
    out = list(parts)
    while out and isinstance(first := out[0], Text):
        if text := first.text.lstrip():
            out[0] = replace(first, text=text)
            break
        out.pop(0)
    while out and isinstance(last := out[-1], Text):
        if text := last.text.rstrip():
            out[-1] = replace(last, text=text)
            break
        out.pop()
    return out
