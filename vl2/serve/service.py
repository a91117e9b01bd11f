"""What all requests of a server share: the model, the engine's thread, room, figures, threads and processes for images.

loading --start--> open --drain--> draining --close--> closed
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar, cast

from vl2.api import Model
from vl2.engine.types import EngineStats
from vl2.intake.decode import DecodeLimits, DecoderPool
from vl2.intake.fetch import Fetcher, FetchLimits
from vl2.serve.admission import Admission
from vl2.serve.engine_loop import EngineLoop
from vl2.serve.errors import ApiError
from vl2.serve.metrics import Metrics
from vl2.serve.settings import Settings

log = logging.getLogger("vl2.serve")
T = TypeVar("T")
_FETCHES = 16  # downloads at a time


class Service:
    """The state of one server.

    Args:
        load: makes the model; called in a thread when the server starts.
    """

    def __init__(self, load: Callable[[], Model], settings: Settings) -> None:
        self.settings, self._load = settings, load
        self.state: Literal["loading", "open", "draining", "closed", "failed"] = "loading"
        self.error: BaseException | None = None  # why loading failed
        self.created = int(time.time())
        self.admission = Admission(settings.max_queue, settings.max_bodies_bytes)
        self.metrics = Metrics(self.stats, lambda: self.admission.num_admitted)
        self.fetcher = Fetcher(
            FetchLimits(max_bytes=settings.max_file_bytes, hosts=frozenset(settings.image_hosts) or None)
        )
        limits = DecodeLimits(max_bytes=settings.max_file_bytes, max_pixels=settings.max_pixels)
        self.decoders = DecoderPool(settings.decoders, limits)
        # Each preparing thread holds at most one decoded image, so their number bounds the memory for pixels.
        self.preparing = ThreadPoolExecutor(settings.decoders + min(4, os.cpu_count() or 1), "vl2-prepare")
        self.fetching = ThreadPoolExecutor(_FETCHES, "vl2-fetch")
        self._model: Model | None = None
        self._engine_loop: EngineLoop | None = None

    @property
    def model(self) -> Model:
        """Raises ApiError (503) while it loads."""
        if self._model is None:
            raise self.not_ready()
        return self._model

    @property
    def engine_loop(self) -> EngineLoop:
        assert self._engine_loop is not None, "requests for work are refused while the model loads"
        return self._engine_loop

    @property
    def is_open(self) -> bool:
        """Whether requests for work are taken."""
        return self.state == "open" and self.is_healthy

    @property
    def is_healthy(self) -> bool:
        """Whether the process does what it should; loading is healthy, an engine that does not step is not."""
        return self.state != "failed" and (self._engine_loop is None or self._engine_loop.is_healthy)

    def stats(self) -> EngineStats | None:
        """Where the engine stands; None while it loads."""
        return self._engine_loop.stats() if self._engine_loop else None

    async def start(self) -> None:
        """Load the model and open."""
        try:
            model = await _in_daemon(self._load)
            await _in_daemon(model.engine.prepare)
        except Exception as error:
            self.state, self.error = "failed", error
            return
        self._model, self._engine_loop = model, EngineLoop(model.engine, self.settings.stall_sec)
        self.admission.most += model.engine.scheduler.max_running
        if self.state == "loading":  # and not told to stop meanwhile
            self.state = "open"

    def drain(self) -> None:
        """Take no more requests for work."""
        if self.state in ("loading", "open"):
            self.state = "draining"

    async def close(self) -> None:
        """End everything; what is still under way fails."""
        self.state = "closed"
        if self._engine_loop:
            await self._engine_loop.close()
        self.decoders.close()
        self.preparing.shutdown(wait=False, cancel_futures=True)
        self.fetching.shutdown(wait=False, cancel_futures=True)

    def not_ready(self) -> ApiError:
        """Why requests for work are refused."""
        return ApiError(
            503, f"the server takes no requests now ({self.state}); try again later", code="not_ready", retry_sec=5
        )

    def check_model(self, name: str | None) -> None:
        """Raises ApiError (404) if a request names another model."""
        if name not in (None, self.settings.model_name):
            raise ApiError(
                404, f"model: this server has {self.settings.model_name!r}; /v1/models lists it", param="model",
                code="model_not_found",
            )  # fmt: skip


async def _in_daemon(work: Callable[[], T]) -> T:
    """The result of work in a thread that nobody waits for when the process is told to stop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(cast("T", result))

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the event loop may be gone
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="vl2-load", daemon=True).start()
    return await future
