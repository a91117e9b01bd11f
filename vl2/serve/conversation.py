"""Messages of a request to a prompt: images fetched, decoded and tiled, then rendered, none of it on the event loop.

    ImagePart --data: or Fetcher--> bytes --DecoderPool--> RGB --Renderer.tile--> TiledImage   in threads
    messages with those --Renderer.render--> Prompt                                            in a thread

Text stays text: only parts become special tokens. Images stand on lines of their own, as the model learned them.
"""

import asyncio
from collections.abc import Iterator, Sequence

from vl2.intake.errors import IntakeError
from vl2.processing.messages import Grounding, Image, Message, Part, Ref, Text
from vl2.processing.render import Prompt
from vl2.processing.tiling import MAX_TILED_IMAGES, TiledImage
from vl2.serve.errors import invalid, of_intake
from vl2.serve.protocol import AssistantMessage, GroundingPart, ImagePart, ImageUrl, RefPart, SystemMessage, UserMessage
from vl2.serve.service import Service

Messages = Sequence[SystemMessage | UserMessage | AssistantMessage]


async def prompt_of(messages: Messages, service: Service) -> Prompt:
    """The prompt of a conversation. Raises ApiError, or a ValueError of the renderer."""
    found = images_of(messages)
    if len(found) > service.settings.max_images:
        most = service.settings.max_images
        raise invalid("messages", f"messages: {len(found)} images exceed the limit of {most}", "too_many_images")
    tasks = [asyncio.ensure_future(tiled(url, len(found), param, service)) for param, url in found]
    try:
        images = iter(await asyncio.gather(*tasks))
    finally:  # if one is bad, those that have not begun are dropped
        for task in tasks:
            task.cancel()
    conversation = [message_of(message, images) for message in messages]
    render = service.model.renderer.render
    return await asyncio.get_running_loop().run_in_executor(
        service.preparing, lambda: render(conversation, for_generation=True)
    )


def is_tiled(image: ImageUrl, num_images: int, param: str) -> bool:
    """Whether an image of a conversation with so many is cut into tiles. Raises ApiError."""
    if image.detail == "high" and num_images > MAX_TILED_IMAGES:
        raise invalid(
            f"{param}.detail", f"{param}.detail: high is for at most {MAX_TILED_IMAGES} images, this model gives more "
            "images one tile each; leave it out, or send fewer images",
        )  # fmt: skip
    return num_images <= MAX_TILED_IMAGES and image.detail != "low"


def images_of(messages: Messages) -> list[tuple[str, ImageUrl]]:
    """The images of a conversation, each with the name of its field."""
    return [
        (f"messages.{at}.content.{number}.image_url", part.image_url)
        for at, message in enumerate(messages)
        for number, part in enumerate(message.content)
        if isinstance(part, ImagePart)
    ]


async def tiled(image: ImageUrl, num_images: int, param: str, service: Service) -> TiledImage:
    """One image of a conversation with so many. Raises ApiError."""
    tiling = is_tiled(image, num_images, param)
    loop = asyncio.get_running_loop()
    url, field = image.url, f"{param}.url"
    if url[:5].lower() != "data:" and not service.settings.fetch_urls:
        raise invalid(field, f"{field}: this server downloads nothing; send the image as a data URL", "url_forbidden")

    def tile(encoded: bytes) -> TiledImage:
        return service.model.renderer.tile(service.decoders.decode(encoded, field), tiling=tiling)

    try:
        if url[:5].lower() == "data:":
            return await loop.run_in_executor(service.preparing, lambda: tile(service.fetcher.fetch(url, field)))
        encoded = await loop.run_in_executor(service.fetching, service.fetcher.fetch, url, field)
        return await loop.run_in_executor(service.preparing, tile, encoded)
    except IntakeError as error:
        raise of_intake(error, field) from None


def message_of(message: SystemMessage | UserMessage | AssistantMessage, images: Iterator[TiledImage]) -> Message:
    """A message with its images, each on a line of its own."""
    if isinstance(message, SystemMessage):
        return Message("system", (Text("\n".join(part.text for part in message.content)),))
    if isinstance(message, AssistantMessage):
        return Message("assistant", (Text("\n".join(part.text for part in message.content)),))
    parts: list[Part] = []
    for part in message.content:
        if isinstance(part, ImagePart):
            _break_line(parts)
            parts.append(Image(next(images)))
        elif isinstance(part, RefPart):
            _after_image(parts)
            parts.append(Ref(part.phrase))
        elif isinstance(part, GroundingPart):
            _after_image(parts)
            parts.append(Grounding())
        else:
            if parts and isinstance(parts[-1], Text | Image) and not part.text.startswith("\n"):
                _break_line(parts)
            parts.append(Text(part.text))
    return Message("user", tuple(parts))


def _after_image(parts: list[Part]) -> None:
    if parts and isinstance(parts[-1], Image):
        parts.append(Text("\n"))


def _break_line(parts: list[Part]) -> None:
    """Begin a new line, unless the message or a line has just begun."""
    last = parts[-1] if parts else None
    if last is not None and not (isinstance(last, Text) and last.text.endswith("\n")):
        parts.append(Text("\n"))
