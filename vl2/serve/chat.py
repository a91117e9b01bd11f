"""/v1/chat/completions: a conversation in, one or several answers out, whole or as server-sent events.

    ChatRequest --prompt_of--> Prompt --answers--> pieces --> ChatResponse
                                                      \\--> data: {"object": "chat.completion.chunk", ...}, data: [DONE]

The trap: once a stream has begun its status is 200, so everything that can be refused is refused before; what fails
later is an event with an error.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from hashlib import sha256
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from vl2.api import Answer, Model
from vl2.grammar import JSON_OBJECT, Grammar, GrammarError
from vl2.processing.render import Prompt
from vl2.sampling import SamplingParams
from vl2.serve.answers import Piece, answers
from vl2.serve.conversation import prompt_of
from vl2.serve.errors import ApiError, invalid, log, refused, unexpected
from vl2.serve.protocol import (
    AnswerMessage,
    ChatChoice,
    ChatRequest,
    ChatResponse,
    JsonObjectFormat,
    JsonSchemaFormat,
    Logprobs,
    PromptTokensDetails,
    Region,
    TokenLogprobs,
    Usage,
)
from vl2.serve.service import Service

M = TypeVar("M", bound=BaseModel)
_LARGE = 2**18  # bytes of JSON that are not parsed on the event loop
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
EVENT_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # proxies must not collect events


async def chat(request: Request) -> Response:
    """The route."""
    service: Service = request.app.state.service
    resources: ExitStack = request.state.resources
    body = await parse(ChatRequest, request)
    service.check_model(body.model)
    n, most = body.n or 1, service.settings.max_choices
    if n > most:
        raise invalid("n", f"n: {n} choices exceed the limit of {most}")
    resources.enter_context(service.admission.enter(n))
    params = await sampling_of(body, n, service)
    prompt = await prompt_of(body.messages, service)
    request.state.received.release()
    service.model.engine.check(prompt, params[0])
    maker = _Maker(service, body, prompt)
    pieces = answers(service, prompt, params, resources, request.state.arrived)
    if body.stream:
        return StreamingResponse(maker.events(pieces), media_type="text/event-stream", headers=EVENT_HEADERS)
    return json_response(await maker.whole(pieces, n))


def json_response(model: BaseModel) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")


async def parse(kind: type[M], request: Request) -> M:
    """The body of a request. Raises ApiError (400, 415)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "content-type: must be application/json", code="unsupported_media_type")
    data: bytes = request.state.received.take()
    try:
        if len(data) < _LARGE:
            return kind.model_validate_json(data)
        return await asyncio.to_thread(kind.model_validate_json, data)
    except ValidationError as error:
        raise refused(error.errors(include_url=False, include_context=False, include_input=False)) from None


async def sampling_of(body: ChatRequest, n: int, service: Service) -> list[SamplingParams]:
    """Options of each choice. Raises ApiError."""
    loop = asyncio.get_running_loop()
    grammar = await loop.run_in_executor(service.preparing, grammar_of, body, service.model)
    options = options_of(body, service.settings.default_max_tokens)
    return [SamplingParams(**options, grammar=grammar, seed=seed_of(body.seed, index)) for index in range(n)]


def options_of(body: ChatRequest, default_max_tokens: int) -> dict[str, Any]:
    """What the request says of SamplingParams, without seed and grammar."""
    options: dict[str, Any] = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "top_k": body.top_k,
        "repetition_penalty": body.repetition_penalty,
        "stop": tuple(body.stop) if body.stop else None,
        "stop_repetition": body.stop_repetition,
        "max_tokens": body.max_completion_tokens or body.max_tokens or default_max_tokens,
        "logprobs": (body.top_logprobs or 0) if body.logprobs else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def grammar_of(body: ChatRequest, model: Model) -> Grammar | None:
    """What the answer must be like. Raises ApiError."""
    if isinstance(body.response_format, JsonSchemaFormat):
        wanted, param = body.response_format.json_schema.json_schema, "response_format.json_schema.schema"
    elif isinstance(body.response_format, JsonObjectFormat):
        wanted, param = dict(JSON_OBJECT), "response_format"
    else:
        return None
    try:
        return model.grammar(wanted)
    except GrammarError as error:
        raise invalid(param, f"{param}: {str(error).removeprefix('json_schema: ')}") from None


def seed_of(seed: int | None, index: int) -> int | None:
    """Seeds of choices: the first has the request's own, so that one choice alone is the same."""
    if seed is None or index == 0:
        return seed
    return int.from_bytes(sha256(f"{seed} {index}".encode()).digest()[:8], "little")


def usage_of(prompt: Prompt, num_cached: int, num_completion: int) -> Usage:
    num_prompt = len(prompt.input_ids)
    details = PromptTokensDetails(cached_tokens=num_cached, image_tokens=sum(length for _, length in prompt.spans))
    return Usage(
        prompt_tokens=num_prompt, completion_tokens=num_completion, total_tokens=num_prompt + num_completion,
        prompt_tokens_details=details,
    )  # fmt: skip


def regions_of(answer: Answer) -> list[Region]:
    return [
        Region(label=region.label, box=tuple(round(v, 1) for v in region.box))  # type: ignore[arg-type]
        for region in answer.regions
    ]


class _Maker:
    """Makes the response to one request of pieces."""

    def __init__(self, service: Service, body: ChatRequest, prompt: Prompt) -> None:
        self._body, self._prompt = body, prompt
        self._head = {
            "id": f"chatcmpl-{uuid4().hex}",
            "created": int(time.time()),
            "model": service.settings.model_name,
        }
        self._num_cached: int | None = None
        self._num_completion = 0

    def _note(self, piece: Piece) -> None:
        if self._num_cached is None:
            self._num_cached = piece.num_cached
        if piece.answer:
            self._num_completion += piece.answer.completion_tokens
            user = f" for {self._body.user!r}" if self._body.user else ""
            log.info("answered%s: %s, %d tokens", user, piece.answer.finish_reason, piece.answer.completion_tokens)

    @property
    def _usage(self) -> Usage:
        return usage_of(self._prompt, self._num_cached or 0, self._num_completion)

    async def whole(self, pieces: AsyncIterator[tuple[int, Piece]], count: int) -> ChatResponse:
        done: dict[int, Answer] = {}
        logprobs: dict[int, list[dict[str, Any]]] = {index: [] for index in range(count)}
        async for index, piece in pieces:
            self._note(piece)
            logprobs[index] += piece.logprobs
            if piece.answer:
                done[index] = piece.answer
        choices = [
            ChatChoice(
                index=index,
                message=AnswerMessage(content=done[index].text),
                finish_reason=done[index].finish_reason,
                logprobs=Logprobs(content=[TokenLogprobs(**one) for one in logprobs[index]])
                if self._body.logprobs
                else None,
                regions=regions_of(done[index]),
            )
            for index in range(count)
        ]
        return ChatResponse(**self._head, choices=choices, usage=self._usage)  # type: ignore[arg-type]

    async def events(self, pieces: AsyncIterator[tuple[int, Piece]]) -> AsyncIterator[bytes]:
        options = self._body.stream_options
        with_usage = bool(options and options.include_usage)
        begun: set[int] = set()
        try:
            async for index, piece in pieces:
                self._note(piece)
                if piece.num_cached is None:
                    yield b": waiting\n\n"
                    continue
                if index not in begun:
                    begun.add(index)
                    yield self._chunk(with_usage, index, {"role": "assistant", "content": ""})
                if piece.text or piece.logprobs:
                    yield self._chunk(with_usage, index, {"content": piece.text}, piece.logprobs)
                if piece.answer:
                    yield self._chunk(with_usage, index, {}, answer=piece.answer)
        except ApiError as error:
            yield event(error.body)
            return
        except Exception as error:
            yield event(unexpected(error).body)
            return
        if with_usage:
            last = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage.model_dump()}
            yield event(last)
        yield b"data: [DONE]\n\n"

    def _chunk(
        self, with_usage: bool, index: int, delta: dict[str, Any], logprobs: list[dict[str, Any]] | None = None,
        answer: Answer | None = None,
    ) -> bytes:  # fmt: skip
        choice: dict[str, Any] = {
            "index": index,
            "delta": delta,
            "logprobs": {"content": logprobs, "refusal": None} if logprobs else None,
            "finish_reason": answer.finish_reason if answer else None,
        }
        if answer:
            choice["regions"] = [region.model_dump() for region in regions_of(answer)]
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": [choice]}
        return event({**chunk, "usage": None} if with_usage else chunk)


def event(content: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + _compact(content).encode() + b"\n\n"
