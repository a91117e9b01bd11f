"""Standard questions: the wordings that `ask`, `read`, `ground` and evaluation use."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image as PILImage

from vl2.processing.messages import Grounding, Image, Message, MessageError, Part, Ref, Text

Source = PILImage.Image | Path | str | bytes

READ_PROMPT = "Read all the text in the image."
DESCRIBE_PROMPT = "Describe the image."


def _images(images: Sequence[Source]) -> list[Part]:
    return [part for image in images for part in (Image(image), Text("\n"))]


def ask_message(images: Sequence[Source], question: str) -> Message:
    """Images, each on its own line, then the question."""
    return Message("user", (*_images(images), Text(question)))


def ground_message(image: Source, phrase: str, earlier: Sequence[Source] = ()) -> Message:
    """Asks where `phrase` is in an image, which may come after others. Raises MessageError if it says nothing."""
    if not phrase.strip():
        raise MessageError("the phrase to locate is empty")
    asked = (Image(image), Text("\nLocate "), Ref(phrase), Text(" in the image."))
    return Message("user", (*_images(earlier), *asked))


def describe_message(image: Source, question: str = DESCRIBE_PROMPT) -> Message:
    """Asks for a description that locates what it mentions."""
    return Message("user", (Image(image), Text("\n"), Grounding(), Text(question)))
