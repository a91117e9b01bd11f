"""/v1/ocr, /v1/ground and /v1/draw: a file in a form, text, regions or a picture of a page out.

    form --> file, fields --DecoderPool--> pages --> prompts --one_answer--> pages of text, as they are done
                                                                             one JSON object a line, or all at once

A page that cannot be read is a result with an error; the others are read all the same.
"""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from vl2.api import Answer
from vl2.intake.errors import IntakeError
from vl2.processing.documents import Document, choose_pages
from vl2.processing.prompts import READ_PROMPT, ask_message, ground_message
from vl2.processing.render import Prompt
from vl2.sampling import SamplingParams
from vl2.serve.answers import one_answer
from vl2.serve.chat import EVENT_HEADERS, json_response, regions_of, usage_of
from vl2.serve.errors import ApiError, invalid, of_intake, refused, unexpected
from vl2.serve.protocol import (
    DrawForm,
    GroundForm,
    GroundResponse,
    OcrForm,
    OcrResponse,
    Page,
    PromptTokensDetails,
    Usage,
)
from vl2.serve.service import Service

F = TypeVar("F", bound=BaseModel)
_PAGES_AT_ONCE = 8
_HEADINGS = {"text": "--- page {} ---\n", "markdown": "## Page {}\n\n"}
_MEDIA = {"text": "text/plain", "markdown": "text/markdown"}


async def ocr(request: Request) -> Response:
    """The route: all text of an image or a document."""
    service: Service = request.app.state.service
    encoded, form = await read_form(OcrForm, request)
    service.check_model(form.model)
    if form.stream and form.format != "json":
        raise invalid("format", "format: must be json with stream; a stream is one JSON object a line")
    resources: ExitStack = request.state.resources
    with service.admission.enter(1):
        document = await _in_thread(service, lambda: service.decoders.open_document(encoded, "file"))
    most = service.settings.max_pages
    numbers = choose_pages(document, form.pages, min(form.max_pages or most, most))
    resources.enter_context(service.admission.enter(min(_PAGES_AT_ONCE, len(numbers))))
    params = SamplingParams(max_tokens=form.max_tokens or service.settings.default_max_tokens, stop_repetition=True)
    pages = read_pages(service, document, numbers, params, resources)
    if form.stream:
        return StreamingResponse(
            _lines(service, document, numbers, pages), media_type="application/x-ndjson", headers=EVENT_HEADERS
        )
    done = {page.page: page async for page in pages}
    ordered = [done[number] for number in numbers]
    if form.format != "json":
        return PlainTextResponse(_as_text(document, ordered, form.format), media_type=_MEDIA[form.format])
    name = service.settings.model_name
    return json_response(OcrResponse(model=name, num_pages=document.num_pages, pages=ordered, usage=_sum(ordered)))


async def ground(request: Request) -> Response:
    """The route: regions of an image that a phrase describes."""
    service: Service = request.app.state.service
    encoded, form = await read_form(GroundForm, request)
    service.check_model(form.model)
    if not form.phrase.strip():
        raise invalid("phrase", "phrase: says nothing; name what to locate")
    resources: ExitStack = request.state.resources
    resources.enter_context(service.admission.enter(1))

    def render() -> Prompt:
        image = service.decoders.decode(encoded, "file")
        return service.model.renderer.render([ground_message(image, form.phrase)], for_generation=True)

    prompt = await _in_thread(service, render)
    params = SamplingParams(max_tokens=form.max_tokens or service.settings.default_max_tokens)
    service.model.engine.check(prompt, params)
    answer, usage = await _whole(service, prompt, params, resources, request.state.arrived)
    width, height = prompt.images[0].size
    return json_response(
        GroundResponse(
            model=service.settings.model_name, phrase=form.phrase, width=width, height=height,
            regions=regions_of(answer), text=answer.text, finish_reason=answer.finish_reason, usage=usage,
        )
    )  # fmt: skip


async def draw(request: Request) -> Response:
    """The route: a page as the model would see it, for people; the header x-num-pages says how many there are."""
    service: Service = request.app.state.service
    encoded, form = await read_form(DrawForm, request)
    request.state.resources.enter_context(service.admission.enter(1))

    def paint() -> tuple[bytes, int]:
        document = service.decoders.open_document(encoded, "file")
        choose_pages(document, str(form.page))
        out = io.BytesIO()
        document.page(form.page, service.model.config.candidate_resolutions).save(out, "PNG", compress_level=1)
        return out.getvalue(), document.num_pages

    picture, num_pages = await _in_thread(service, paint)
    return Response(picture, media_type="image/png", headers={"x-num-pages": str(num_pages)})


async def read_form(kind: type[F], request: Request) -> tuple[bytes, F]:
    """The file and the other fields. Raises ApiError (400, 415)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise ApiError(415, "content-type: must be multipart/form-data", code="unsupported_media_type")
    encoded: bytes | None = None
    fields: dict[str, Any] = {}
    try:
        async with request.form(max_files=1, max_fields=16, max_part_size=2**16) as form:
            for name, value in form.multi_items():
                if name in fields or (name == "file" and encoded is not None):
                    raise invalid(name, f"{name}: given more than once")
                if isinstance(value, UploadFile) and name == "file":
                    encoded = await value.read()
                elif isinstance(value, UploadFile) or name == "file":
                    raise invalid(name, f"{name}: file must be a file, everything else a plain field")
                else:
                    fields[name] = value
    except (HTTPException, FormParserError):
        raise invalid(None, "the form is malformed, or has more than one file or too many fields") from None
    if encoded is None:
        raise invalid("file", "file: required; an image, a PDF or a TIFF", "missing_parameter")
    request.state.received.release()
    try:
        return encoded, kind.model_validate(fields)
    except ValidationError as error:
        raise refused(error.errors(include_url=False, include_context=False, include_input=False)) from None


async def read_pages(
    service: Service, document: Document, numbers: list[int], params: SamplingParams, resources: ExitStack
) -> AsyncIterator[Page]:
    """Pages in the order in which they are done, several at once."""
    left = iter(numbers)
    done: asyncio.Queue[Page] = asyncio.Queue()

    async def work() -> None:
        for number in left:
            done.put_nowait(await _read_page(service, document, number, params, resources))

    for _ in range(min(_PAGES_AT_ONCE, len(numbers))):
        resources.callback(asyncio.create_task(work()).cancel)
    for _ in numbers:
        yield await done.get()


async def _read_page(
    service: Service, document: Document, number: int, params: SamplingParams, resources: ExitStack
) -> Page:
    begun = time.monotonic()

    def render() -> Prompt:
        image = document.page(number, service.model.config.candidate_resolutions)
        return service.model.renderer.render([ask_message([image], READ_PROMPT)], for_generation=True)

    try:
        prompt = await _in_thread(service, render)
        service.model.engine.check(prompt, params)
        answer, usage = await _whole(service, prompt, params, resources, begun)
    except (ApiError, ValueError) as error:
        return Page(page=number, error=str(error))
    except Exception as error:
        return Page(page=number, error=unexpected(error).message)
    return Page(
        page=number, text=answer.text, regions=regions_of(answer), finish_reason=answer.finish_reason, usage=usage
    )


async def _whole(
    service: Service, prompt: Prompt, params: SamplingParams, resources: ExitStack, arrived: float
) -> tuple[Answer, Usage]:
    num_cached = None
    async for piece in one_answer(service, prompt, params, resources, arrived):
        num_cached = piece.num_cached if num_cached is None else num_cached
        if piece.answer:
            return piece.answer, usage_of(prompt, num_cached or 0, piece.answer.completion_tokens)
    raise AssertionError("an answer ends with a piece that has it")


async def _in_thread(service: Service, work: Any) -> Any:
    try:
        return await asyncio.get_running_loop().run_in_executor(service.preparing, work)
    except IntakeError as error:
        raise of_intake(error, "file") from None


async def _lines(
    service: Service, document: Document, numbers: list[int], pages: AsyncIterator[Page]
) -> AsyncIterator[bytes]:
    yield _line(
        {"type": "start", "model": service.settings.model_name, "num_pages": document.num_pages, "pages": numbers}
    )
    done: list[Page] = []
    async for page in pages:
        done.append(page)
        yield _line({"type": "page", **page.model_dump()})
    yield _line({"type": "done", "usage": _sum(done).model_dump()})


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _as_text(document: Document, pages: list[Page], format: str) -> str:
    if document.is_image:
        return pages[0].text or "[could not be read]"
    return "\n\n".join(_HEADINGS[format].format(page.page) + (page.text or "[could not be read]") for page in pages)


def _sum(pages: list[Page]) -> Usage:
    used = [page.usage for page in pages if page.usage]
    details = [one.prompt_tokens_details for one in used]
    return Usage(
        prompt_tokens=sum(one.prompt_tokens for one in used),
        completion_tokens=sum(one.completion_tokens for one in used),
        total_tokens=sum(one.total_tokens for one in used),
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=sum(one.cached_tokens for one in details),
            image_tokens=sum(one.image_tokens for one in details),
        ),
    )
