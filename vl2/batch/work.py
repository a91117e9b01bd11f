"""Works through the requests of a batch on the engine, as many at a time as it takes.

    Job --prepare, in threads a few ahead--> Prompt, SamplingParams --Engine.stream_lazily--> tokens --Reply--> result
        --what is wrong with it--> a result, too

A body means what it means to the server (`vl2.serve.protocol`), but an image may also be a path beside the input file.
The trap: nothing is kept of what is done; memory stays the same however long the file is.
"""

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from vl2.api import Model, Reply
from vl2.batch.lines import Job, Results, read_body
from vl2.intake.errors import IntakeError
from vl2.intake.fetch import Fetcher
from vl2.processing.render import Prompt
from vl2.processing.tiling import TiledImage
from vl2.sampling import SamplingParams
from vl2.serve.chat import grammar_of, options_of, regions_of, usage_of
from vl2.serve.conversation import images_of, is_tiled, message_of
from vl2.serve.errors import ApiError, invalid, of_intake, refused
from vl2.serve.protocol import AnswerMessage, ChatChoice, ChatRequest, ChatResponse, ImageUrl

_THREADS = 4
_AHEAD = 8  # prepared requests that wait; some 40 MB of tiles
_NOT_HERE = {  # field: the value that is as good as none, what to do
    "stream": (False, "results are whole lines"),
    "n": (1, "repeat the line with other seeds"),
    "logprobs": (False, "leave it out"),
}


@dataclass(frozen=True)
class Batch:
    """What is worked through.

    path: of the input; images lie beside it.
    name: what requests call the model.
    max_tokens: of an answer, if the request does not say.
    fetch: whether http(s) URLs of images are downloaded, from public addresses.
    """

    model: Model
    path: Path
    name: str
    max_tokens: int = 1024
    fetch: bool = False


def work(batch: Batch, jobs: Iterable[Job], results: Results) -> Iterator[Job]:
    """Yields each job whose result has been written, in the order in which they are done."""
    engine = batch.model.engine
    under_way: dict[int, tuple[Job, Prompt, Reply]] = {}  # request of the stream -> what becomes of it
    failed: deque[Job] = deque()

    def requests() -> Generator[tuple[Prompt, SamplingParams], None, None]:
        count = itertools.count()
        for job, prepared in _ahead(batch, jobs):
            try:
                prompt, params = prepared.result()
                engine.check(prompt, params)
            except (ApiError, ValueError) as error:
                results.add(job.custom_id, _failure(error))
                failed.append(job)
            else:
                under_way[next(count)] = job, prompt, batch.model.reply(prompt, params)
                yield prompt, params

    most = engine.scheduler.max_running
    with contextlib.closing(requests()) as queue, contextlib.closing(engine.stream_lazily(queue, most)) as outputs:
        for request, output in outputs:
            if request not in under_way:  # drafts may bring more tokens after the end
                continue
            job, prompt, reply = under_way[request]
            reply.push(output)
            if answer := reply.answer():
                engine.abort(output.request_id)
                del under_way[request]
                choice = ChatChoice(
                    index=0, message=AnswerMessage(content=answer.text), finish_reason=answer.finish_reason,
                    logprobs=None, regions=regions_of(answer),
                )  # fmt: skip
                body = ChatResponse(
                    id=f"chatcmpl-{uuid4().hex}", created=int(time.time()), model=batch.name, choices=[choice],
                    usage=usage_of(prompt, output.num_found, answer.completion_tokens),
                )  # fmt: skip
                results.add(job.custom_id, _row(200, body.model_dump(mode="json")))
                yield job
            while failed:
                yield failed.popleft()
    yield from failed


def _ahead(batch: Batch, jobs: Iterable[Job]) -> Iterator[tuple[Job, Future[tuple[Prompt, SamplingParams]]]]:
    """Jobs in their order, prepared by threads while others decode."""
    pool, fetcher = ThreadPoolExecutor(_THREADS, "vl2-batch"), Fetcher()
    waiting: deque[tuple[Job, Future[tuple[Prompt, SamplingParams]]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, pool.submit(_prepare, batch, fetcher, job)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare(batch: Batch, fetcher: Fetcher, job: Job) -> tuple[Prompt, SamplingParams]:
    """Raises ApiError, or a ValueError of the renderer."""
    try:
        body = ChatRequest.model_validate({"model": batch.name, **read_body(batch.path, job)})
    except ValidationError as error:
        raise refused(error.errors(include_url=False, include_context=False, include_input=False)) from None
    for field, (nothing, advice) in _NOT_HERE.items():
        if getattr(body, field) not in (None, nothing):
            raise invalid(field, f"{field}: not in batches; {advice}", "unsupported_parameter")
    params = SamplingParams(**options_of(body, batch.max_tokens), grammar=grammar_of(body, batch.model), seed=body.seed)
    found = images_of(body.messages)
    images = iter([_image(batch, fetcher, url, param, len(found)) for param, url in found])
    conversation = [message_of(message, images) for message in body.messages]
    return batch.model.renderer.render(conversation, for_generation=True), params


def _image(batch: Batch, fetcher: Fetcher, image: ImageUrl, param: str, num_images: int) -> TiledImage:
    tiling, url = is_tiled(image, num_images, param), image.url
    kind = url.partition(":")[0].lower()
    if kind in ("http", "https") and not batch.fetch:
        raise invalid(f"{param}.url", f"{param}.url: nothing is downloaded without --fetch", "url_forbidden")
    source: Path | bytes = batch.path.parent / url
    if kind in ("data", "http", "https"):
        try:
            source = fetcher.fetch(url, f"{param}.url")
        except IntakeError as error:
            raise of_intake(error, f"{param}.url") from None
    try:
        return batch.model.renderer.tile(source, tiling=tiling)
    except ValueError as error:
        raise invalid(f"{param}.url", f"{param}.url: {error}", "invalid_image") from None


def _failure(error: ApiError | ValueError) -> dict[str, Any]:
    refusal = error if isinstance(error, ApiError) else invalid(None, str(error))
    return _row(refusal.status, refusal.body)


def _row(status: int, body: dict[str, Any]) -> dict[str, Any]:
    response = {"status_code": status, "request_id": uuid4().hex, "body": body}
    return {"id": f"batch_req_{uuid4().hex}", "response": response, "error": None}
