"""The engine in a thread of its own, its tokens on the event loop.

    event loop   generate, abort --commands-->  engine thread   take commands, step, take commands, step, ...
                 Generation.next  <--outputs--                  one call back a step, for all requests together

A step that fails ends the requests that ran in it; those that wait go on. If the device does not compute any more, or
many steps in a row failed, everything fails and `is_healthy` says so. The trap: only the engine's thread touches the
engine, apart from `Engine.check` and `Engine.stats`, which only read.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable

from vl2.engine.engine import Engine
from vl2.engine.types import EngineStats, StepOutput
from vl2.processing.render import Prompt
from vl2.sampling import SamplingParams

log = logging.getLogger("vl2.serve")
_MOST_FAILURES = 8
_JOIN_SEC = 10.0  # a step may hang; the thread ends with the process


class EngineFailure(Exception):
    """The engine could not finish a request, through no fault of the client."""


class Generation:
    """The tokens of one request. Belongs to the event loop; `abort` it in the end, done or not."""

    def __init__(self, engine_loop: "EngineLoop") -> None:
        self._engine_loop = engine_loop
        self._outputs: list[StepOutput] = []
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self.is_over = False

    async def next(self, patience_sec: float | None = None) -> list[StepOutput]:
        """All tokens since the last call; none if nothing came for so long.

        Raises: EngineFailure, or what `Engine.submit` raises.
        """
        try:
            async with asyncio.timeout(patience_sec):
                await self._news.wait()
        except TimeoutError:
            return []
        if self._outputs:
            outputs, self._outputs = self._outputs, []
            if self._error is None:
                self._news.clear()
            return outputs
        assert self._error is not None
        raise self._error

    def abort(self) -> None:
        """Nobody wants more of it."""
        if not self.is_over:
            self._end()
            self._engine_loop.forget(self)

    def take(self, outputs: list[StepOutput]) -> None:
        """From the engine: more tokens."""
        self._outputs += outputs
        self._news.set()
        if outputs[-1].finish and not self.is_over:
            self._end()

    def fail(self, error: Exception) -> None:
        """From the engine: there will be no more."""
        if not self.is_over:
            self._error = error
            self._news.set()
            self._end()

    def _end(self) -> None:
        self.is_over = True
        self._engine_loop.num_live -= 1


class EngineLoop:
    """Runs an engine. Build it on the event loop.

    num_live: generations that are neither done nor aborted.

    Args:
        stall_sec: how long a step may take until the engine counts as hanging.
    """

    def __init__(self, engine: Engine, stall_sec: float = 120.0) -> None:
        self._engine, self._stall_sec = engine, stall_sec
        self._event_loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._generations: dict[int, Generation] = {}  # both are the engine thread's
        self._numbers: dict[Generation, int] = {}
        self._num_failures = 0
        self._is_lost = self._is_closed = False
        self._beat = time.monotonic()
        self.num_live = 0
        self._thread = threading.Thread(target=self._run, name="vl2-engine", daemon=True)
        self._thread.start()

    @property
    def is_healthy(self) -> bool:
        """Whether the engine steps when it has something to do."""
        if self._is_lost or not self._thread.is_alive():
            return False
        return not self.num_live or time.monotonic() - self._beat < self._stall_sec

    def stats(self) -> EngineStats:
        """Where the engine stands, as far as another thread can see it."""
        return self._engine.stats()

    def generate(self, prompt: Prompt, params: SamplingParams) -> Generation:
        """Begin to answer a prompt."""
        generation = Generation(self)
        if not self.num_live:
            self._beat = time.monotonic()
        self.num_live += 1
        if self._is_closed:
            generation.fail(EngineFailure("the engine does not run"))
        else:
            self._commands.put(lambda: self._submit(generation, prompt, params))
        return generation

    def forget(self, generation: Generation) -> None:
        """Free what a generation holds."""
        self._commands.put(lambda: self._abort(generation))

    async def close(self) -> None:
        """Stop after the step under way; what is not done fails."""
        self._is_closed = True
        self._commands.put(lambda: self._drop(list(self._numbers), "the server is shutting down"))
        await asyncio.to_thread(self._thread.join, _JOIN_SEC)

    # On the engine's thread

    def _run(self) -> None:
        while not (self._is_closed and self._commands.empty()):
            self._beat = time.monotonic()
            try:
                if self._engine.has_work and self._commands.empty() and not self._is_lost:
                    self._step()
                else:
                    self._commands.get()()
            except Exception:  # not of a step, so the engine is no longer what it should be
                log.exception("the engine is lost")
                self._lose()

    def _step(self) -> None:
        try:
            outputs = self._engine.step()
        except Exception:
            log.exception("a step of the engine failed")
            self._num_failures += 1
            if self._num_failures >= _MOST_FAILURES or not self._engine.is_alive():
                self._lose()
                return
            running = {sequence.request_id for sequence in self._engine.scheduler.running}
            hit = [generation for generation, number in self._numbers.items() if number in running]
            self._drop(hit, "the engine failed while it worked on this request")
            return
        self._num_failures = 0
        news: dict[Generation, list[StepOutput]] = {}
        for output in outputs:
            if generation := self._generations.get(output.request_id):
                news.setdefault(generation, []).append(output)
                if output.finish:
                    del self._generations[output.request_id], self._numbers[generation]
        if news:
            self._call(lambda: [generation.take(tokens) for generation, tokens in news.items()])

    def _submit(self, generation: Generation, prompt: Prompt, params: SamplingParams) -> None:
        if self._is_lost:
            self._fail([generation], "the engine does not run")
            return
        try:
            number = self._engine.submit(prompt, params)
        except Exception as error:
            failure = error  # the name of an except clause is gone when the call is made
            self._call(lambda: generation.fail(failure))
        else:
            self._generations[number], self._numbers[generation] = generation, number

    def _abort(self, generation: Generation) -> None:
        number = self._numbers.pop(generation, None)
        if number is not None:
            del self._generations[number]
            self._engine.abort(number)

    def _drop(self, generations: list[Generation], message: str) -> None:
        for generation in generations:
            self._abort(generation)
        self._fail(generations, message)

    def _lose(self) -> None:
        """Nothing works any more; the engine is not touched again."""
        self._is_lost = True
        generations = list(self._numbers)
        self._numbers.clear()
        self._generations.clear()
        self._fail(generations, "the engine does not run")

    def _fail(self, generations: list[Generation], message: str) -> None:
        self._call(lambda: [generation.fail(EngineFailure(message)) for generation in generations])

    def _call(self, function: Callable[[], object]) -> None:
        try:
            self._event_loop.call_soon_threadsafe(function)
        except RuntimeError:  # the event loop is closed: nobody listens any more
            log.warning("the event loop ended before the engine")
