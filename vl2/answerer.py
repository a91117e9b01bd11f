"""Lets evaluation ask a loaded model: records and benchmark questions become what `ask`, `read` or `ground` would say.

Record --record_message--> Message --(tiled, for canvases of a benchmark or by threads)--> chat_batch --> Output
"""

import dataclasses
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from vl2.api import Model
from vl2.data.records import Record
from vl2.eval.items import Talk, record_message
from vl2.eval.runner import Output
from vl2.processing.messages import Image, Message
from vl2.processing.render import Renderer
from vl2.processing.tiling import MAX_TILED_IMAGES, TiledImage, canvases


class ModelAnswerer:
    """Greedy answers of a model of this package.

    Args:
        max_tiles: most local tiles of an image; None leaves the model's own canvases. Others are tried as published:
            all canvases of at most so many tiles.
        stop_repetition: end answers that go round in circles, as `Model.read` does.
        workers: threads that open and tile the images of a batch before it is asked; 0 leaves that to the renderer.
    """

    def __init__(
        self,
        model: Model,
        max_tokens: int = 512,
        max_tiles: int | None = None,
        *,
        stop_repetition: bool = False,
        workers: int = 0,
    ) -> None:
        self._model = model
        self._sampling = {"max_tokens": max_tokens, "stop_repetition": stop_repetition}
        self._workers = workers
        self._tiler: Renderer | None = model.renderer if workers else None
        if max_tiles is not None:
            resolutions = canvases(max_tiles, model.config.vision_config.image_size)
            if set(resolutions) != set(model.config.candidate_resolutions):
                config = dataclasses.replace(model.config, candidate_resolutions=resolutions)
                self._tiler = Renderer(model.tokenizer, config, model.max_pixels)

    def answer(self, records: Sequence[Record]) -> list[Output]:
        """One output for each record; the whole batch is decoded together."""
        return self.answer_messages([record_message(record) for record in records])

    def answer_messages(self, messages: Sequence[Message]) -> list[Output]:
        """One output for each message of a user, or `Talk`; the whole batch is decoded together."""
        if self._workers:
            with ThreadPoolExecutor(self._workers) as pool:
                begun = list(pool.map(self._tiled, messages))
        else:
            begun = [self._tiled(message) for message in messages]
        then = [message.then if isinstance(message, Talk) else () for message in messages]
        conversations = [[first, *rest] for first, rest in zip(begun, then, strict=True)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # malformed boxes count as no boxes, which the score shows
            answers = self._model.chat_batch(conversations, **self._sampling)
        return [Output(a.text, a.regions, a.completion_tokens, a.finish_reason) for a in answers]

    def _tiled(self, message: Message) -> Message:
        if self._tiler is None:
            return message
        count = sum(isinstance(part, Image) for part in message.parts)
        parts = list(message.parts)
        for number, part in enumerate(parts):
            if isinstance(part, Image) and not isinstance(part.source, TiledImage):
                parts[number] = Image(self._tiler.tile(part.source, tiling=count <= MAX_TILED_IMAGES))
        return Message(message.role, tuple(parts))
