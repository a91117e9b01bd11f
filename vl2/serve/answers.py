"""Answers in the making: tokens of the engine to pieces of plain text, with probabilities and figures on the way.

    EngineLoop.generate --tokens--> Reply --text with tags--> PlainStream --> Piece, ... the last with the Answer

Several choices of one prompt: the first begins alone and the others follow its first token, for only then do they find
the prompt in the prefix cache.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from vl2.api import Answer, Reply
from vl2.engine.types import StepOutput
from vl2.processing.boxes import PlainStream
from vl2.processing.render import Prompt
from vl2.sampling import SamplingParams
from vl2.serve.engine_loop import EngineFailure
from vl2.serve.errors import ApiError
from vl2.serve.service import Service

_PATIENCE_SEC = 15.0  # of whoever waits for a first token; proxies give up after a minute without a byte


@dataclass
class Piece:
    """More of one answer.

    text: plain. logprobs: of tokens that now certainly belong to the answer. answer: on the last piece.
    num_cached: tokens of the prompt that were cached already; None on a piece that only says that it takes long.
    """

    text: str = ""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    answer: Answer | None = None
    num_cached: int | None = None


async def one_answer(
    service: Service, prompt: Prompt, params: SamplingParams, resources: ExitStack, arrived: float
) -> AsyncIterator[Piece]:
    """Pieces of one answer.

    Args:
        resources: of the request; closing them ends the answer.
        arrived: when the request was complete, by time.monotonic, for the figures.

    Raises: ApiError if the engine fails.
    """
    reply, plain = service.model.reply(prompt, params), PlainStream()
    probabilities = _Logprobs(service, reply) if params.logprobs is not None else None
    clock = _Clock(service, prompt, arrived)
    generation = service.engine_loop.generate(prompt, params)
    resources.callback(generation.abort)
    patience: float | None = _PATIENCE_SEC
    while True:
        try:
            outputs = await generation.next(patience)
        except EngineFailure as error:
            raise ApiError(500, str(error), code="engine_failed") from None
        if not outputs:
            yield Piece()
            continue
        patience, piece = None, Piece(num_cached=outputs[0].num_found)
        count = 0
        for output in outputs:
            begin = len(reply.raw)
            shown = reply.push(output)
            count += 1
            piece.answer = reply.answer()
            piece.text += plain.push(shown)
            if probabilities:
                probabilities.add(output, begin, len(shown))
            if piece.answer:
                piece.text += plain.finish()
                break
        if probabilities:
            piece.logprobs = probabilities.settled(piece.answer is not None)
        clock.tick(count, piece.answer)
        if piece.answer:
            generation.abort()  # a stop string may have ended it early
        yield piece
        if piece.answer:
            return


async def answers(
    service: Service, prompt: Prompt, params: Sequence[SamplingParams], resources: ExitStack, arrived: float
) -> AsyncIterator[tuple[int, Piece]]:
    """Pieces of several answers to one prompt as they come, each with the number of its answer."""
    if len(params) == 1:
        async for piece in one_answer(service, prompt, params[0], resources, arrived):
            yield 0, piece
        return
    pieces: asyncio.Queue[tuple[int, Piece] | Exception] = asyncio.Queue()
    is_known = asyncio.Event()

    async def run(index: int) -> None:
        if index:
            await is_known.wait()
        try:
            async for piece in one_answer(service, prompt, params[index], resources, arrived):
                if piece.num_cached is not None:
                    is_known.set()
                pieces.put_nowait((index, piece))
        except Exception as error:
            pieces.put_nowait(error)

    for index in range(len(params)):
        resources.callback(asyncio.create_task(run(index)).cancel)
    num_left = len(params)
    while num_left:
        item = await pieces.get()
        if isinstance(item, Exception):
            raise item
        yield item
        num_left -= item[1].answer is not None


class _Clock:
    """Figures of one answer."""

    def __init__(self, service: Service, prompt: Prompt, arrived: float) -> None:
        self._metrics, self._arrived, self._last = service.metrics, arrived, 0.0
        self._metrics.prompt_tokens.inc(len(prompt.input_ids))
        self._metrics.image_tokens.inc(sum(length for _, length in prompt.spans))

    def tick(self, count: int, answer: Answer | None) -> None:
        """So many tokens have come, perhaps the last."""
        now = time.monotonic()
        if self._last:
            for _ in range(count):
                self._metrics.between.observe((now - self._last) / count)
        else:
            self._metrics.first.observe(now - self._arrived)
        self._last = now
        if answer:
            self._metrics.whole.observe(now - self._arrived)
            self._metrics.finished.labels(answer.finish_reason).inc()


class _Logprobs:
    """Probabilities of the tokens of an answer, held back as its text is; what a stop string cuts has none."""

    def __init__(self, service: Service, reply: Reply) -> None:
        self._tokenizer, self._reply = service.model.tokenizer, reply
        self._held: list[tuple[int, dict[str, Any]]] = []
        self._shown = 0

    def add(self, output: StepOutput, begin: int, num_shown: int) -> None:
        """A token whose text begins at a place of the tagged text, of which so much more is certain now."""
        self._shown += num_shown
        if output.token_id != self._tokenizer.special.eos:
            entry = self._entry(output.token_id, output.logprob)
            entry["top_logprobs"] = [self._entry(one.token_id, one.logprob) for one in output.top_logprobs]
            self._held.append((begin, entry))

    def settled(self, is_over: bool) -> list[dict[str, Any]]:
        """Of tokens that begin in what is certain; at the end, of all that were not cut."""
        end = len(self._reply.raw) if is_over else self._shown
        ready = [entry for begin, entry in self._held if begin < end]
        self._held = self._held[len(ready) :]
        return ready

    def _entry(self, token_id: int, logprob: float | None) -> dict[str, Any]:
        data = self._tokenizer.decode_bytes([token_id], skip_special=False)
        # JSON has no infinities; OpenAI's API writes -9999 for what is all but impossible.
        value = max(logprob if logprob is not None else 0.0, -9999.0)
        return {"token": data.decode("utf-8", "replace"), "logprob": value, "bytes": list(data)}
