"""Decoding images and documents that nobody trusts, in processes that may die of them.

bytes --socket--> worker: header checked, decoded, turned upright --socket--> RGB bytes --> PIL image

A decoder is a large program in C that meets hostile input. What it can do wrong here is to die, to hang or to eat
memory up to its limit; then its worker is killed, its request fails, and the next one gets a new worker. No answer of
a worker is believed further than its size.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import NamedTuple, Self

from PIL import Image

from vl2.intake.errors import IntakeError
from vl2.intake.worker import CANVAS, COUNT, READY, REQUEST, RESPONSE, WHOLE, Status
from vl2.processing.documents import Document, is_pdf

_START_SECONDS = 60.0  # a machine under load may take long to start Python
# The rest of the environment, with the server's keys and tokens, is none of a decoder's business.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


@dataclass(frozen=True)
class DecodeLimits:
    """What decoding an image may take.

    Args:
        max_bytes: of the file.
        max_pixels: width * height, as its header says; checked before anything is decoded.
        seconds: from sending the file to having all pixels.
        cpu_seconds: of the worker (within one second), where the system can limit it.
        memory_mib: address space of the worker, where the system can limit it. Python takes 150 of it, and 16-bit
            greys, the worst case, some 32 bytes a pixel.
        queue_seconds: how long to wait for a free worker.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 40_000_000
    seconds: float = 10.0
    cpu_seconds: int = 10
    memory_mib: int = 2048
    queue_seconds: float = 30.0


class DecoderPool:
    """A few workers that decode for any number of threads. Close it, or use it with `with`.

    Workers start when they are first needed and stay until they misbehave.

    Args:
        workers: how many images are decoded at once.
        limits: what each may take.
        command: what to start as a worker; tests put something worse here.
    """

    def __init__(
        self, workers: int = 2, limits: DecodeLimits | None = None, *, command: Sequence[str] | None = None
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers = {workers}: must be at least 1")
        self.limits = limits or DecodeLimits()
        arguments = (str(self.limits.memory_mib), str(self.limits.cpu_seconds))
        self._command = command or (sys.executable, "-P", "-m", "vl2.intake.worker", *arguments)
        # One entry for every worker that there may be; the last one used comes first, so that few need to start.
        self._free: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._free.put(None)
        self._lock = threading.Lock()
        self._live: set[_Worker] = set()
        self._closed = False

    def decode(self, encoded: bytes, field: str = "image") -> Image.Image:
        """The upright RGB image that a file holds; of several frames or pages the first.

        Args:
            encoded: the file: PNG, JPEG, WebP, GIF, BMP or TIFF.
            field: what the client calls it, for messages.

        Raises: IntakeError.
        """
        outcome = self._run(encoded, field)
        return _image_of(outcome, self.limits, field)

    def open_document(self, encoded: bytes, field: str = "file") -> Document:
        """A PDF, a TIFF of any number of pages or an image, whose pages are drawn by workers when asked for.

        Args: as for `decode`; PDFs need pypdfium2.

        Raises: IntakeError, and so does `Document.page`.
        """
        if is_pdf(encoded) and find_spec("pypdfium2") is None:
            raise IntakeError("not_an_image", f"{field}: a PDF, which this server does not read (extra vl2[pdf])")
        outcome = self._run(encoded, field, COUNT)
        if outcome.status == Status.NOT_AN_IMAGE:
            raise IntakeError("not_an_image", f"{field}: no document, or a damaged one; send a whole PDF or image")
        if outcome.status != Status.COUNTED:
            _image_of(outcome, self.limits, field)
        return Document(field, _Pages(self, encoded, field, outcome.width), is_image=bool(outcome.height))

    def draw_page(self, encoded: bytes, number: int, canvases: Sequence[tuple[int, int]], field: str) -> Image.Image:
        """A page of a document, from 1, for these (width, height). Raises IntakeError."""
        return _image_of(self._run(encoded, field, number, canvases), self.limits, field)

    def _run(
        self, encoded: bytes, field: str, page: int = WHOLE, canvases: Sequence[tuple[int, int]] = ()
    ) -> "_Outcome":
        limits = self.limits
        if len(encoded) > limits.max_bytes:
            raise IntakeError("too_large", f"{field}: a file of more than {limits.max_bytes} bytes; send a smaller one")
        try:
            worker = self._free.get(timeout=limits.queue_seconds)
        except queue.Empty:
            raise IntakeError(
                "busy", f"{field}: no decoder free for {limits.queue_seconds:g} seconds; try later"
            ) from None
        try:
            worker = self._ready(worker, field)
            outcome = worker.decode(encoded, limits, page, canvases)
        except BaseException as error:  # a request that is interrupted leaves its worker in the middle of an answer
            raise self._drop(worker, error, field) from None
        else:
            self._put_back(worker)
        return outcome

    def close(self) -> None:
        """End all workers. Requests under way fail, and so do later ones."""
        with self._lock:
            self._closed = True
            workers = list(self._live)
        for worker in workers:
            worker.kill()
        free: list[_Worker | None] = []
        while not self._free.empty():
            try:
                free.append(self._free.get_nowait())
            except queue.Empty:
                break
        for worker in free:
            self._put_back(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _ready(self, worker: "_Worker | None", field: str) -> "_Worker":
        """The worker, or a new one if there is none or it died meanwhile."""
        if worker is not None and worker.alive():
            return worker
        self._forget(worker)
        with self._lock:
            if self._closed:
                raise IntakeError("closed", f"{field}: the server is shutting down; try again later")
            worker = _Worker(self._command)
            self._live.add(worker)
        try:
            worker.wait_until_ready()
        except BaseException:
            self._forget(worker)
            raise
        return worker

    def _drop(self, worker: "_Worker | None", error: BaseException, field: str) -> BaseException:
        """Make room for a new worker; the error for the client."""
        code = self._forget(worker)
        self._free.put(None)
        if isinstance(error, TimeoutError) or code == -getattr(signal, "SIGXCPU", 0):
            seconds = self.limits.seconds
            return IntakeError("timeout", f"{field}: decoding took more than {seconds:g} seconds; send a simpler image")
        if not isinstance(error, OSError):
            return error
        if self._closed:
            return IntakeError("closed", f"{field}: the server is shutting down; try again later")
        return IntakeError("decoder_failed", f"{field}: the decoder died of it; send the image in another format")

    def _put_back(self, worker: "_Worker | None") -> None:
        if self._closed:
            self._forget(worker)
            worker = None
        self._free.put(worker)

    def _forget(self, worker: "_Worker | None") -> int | None:
        """End a worker; its exit code."""
        if worker is None:
            return None
        with self._lock:
            self._live.discard(worker)
        return worker.end()


class _Pages:
    """Pages of a document that workers draw, each from the whole file, since they keep nothing."""

    def __init__(self, pool: DecoderPool, encoded: bytes, field: str, count: int) -> None:
        self._pool, self._encoded, self._field, self._count = pool, encoded, field, count

    def __len__(self) -> int:
        return self._count

    def render(self, index: int, canvases: Sequence[tuple[int, int]]) -> Image.Image:
        return self._pool.draw_page(self._encoded, index + 1, canvases, self._field)

    def close(self) -> None:
        pass


class _Outcome(NamedTuple):
    """The answer of a worker."""

    status: Status
    width: int
    height: int
    image: Image.Image | None = None


def _image_of(outcome: _Outcome, limits: DecodeLimits, field: str) -> Image.Image:
    """The image, or what went wrong as an IntakeError."""
    if outcome.image is not None:
        return outcome.image
    if outcome.status == Status.TOO_MANY_PIXELS:
        most = limits.max_pixels
        raise IntakeError(
            "too_many_pixels", f"{field}: width x height of more than {most} pixels; scale the image down"
        )
    if outcome.status == Status.NO_MEMORY:
        most = limits.memory_mib
        raise IntakeError("too_large", f"{field}: decoding takes more than {most} MiB of memory; scale the image down")
    if outcome.status == Status.NEEDS_PASSWORD:
        raise IntakeError("needs_password", f"{field}: an encrypted PDF; send a copy without a password")
    raise IntakeError(
        "not_an_image", f"{field}: not an image, or a damaged one; send a whole PNG, JPEG, WebP, GIF, BMP or TIFF file"
    )


class _Worker:
    """One process and the socket to it. OSError means that it is of no further use."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path)
        environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"  # threads reserve address space
        self._sock, theirs = socket.socketpair()
        self._at_end = False
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
                start_new_session=True,  # Ctrl-C is for the server, which closes its pool
            )  # fmt: skip

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process; whoever waits for its answer finds the socket at its end."""
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """End the process and close the socket; the exit code, negative for a signal."""
        # One that closed its socket is about to die by itself, and how it dies tells why.
        try:
            self._process.wait(timeout=0.2 if self._at_end else 0)
        except subprocess.TimeoutExpired:
            self.kill()
        self._sock.close()
        return self._process.wait()

    def wait_until_ready(self) -> None:
        """Until the worker has loaded its decoders."""
        try:
            hello = self._read(len(READY), time.monotonic() + _START_SECONDS)
        except TimeoutError as error:
            raise ConnectionError("did not start") from error
        if hello != READY:
            raise ConnectionError("not a worker")

    def decode(self, encoded: bytes, limits: DecodeLimits, page: int, canvases: Sequence[tuple[int, int]]) -> _Outcome:
        """What became of a file, and the image if one was decoded."""
        deadline = time.monotonic() + limits.seconds
        header = REQUEST.pack(limits.max_pixels, len(encoded), page, len(canvases))
        for data in (header + b"".join(CANVAS.pack(*canvas) for canvas in canvases), encoded):
            self._sock.settimeout(_seconds_until(deadline))
            self._sock.sendall(data)
        number, width, height = RESPONSE.unpack(self._read(RESPONSE.size, deadline))
        if number == Status.COUNTED and page == COUNT and width > 0 and height < 2:
            return _Outcome(Status.COUNTED, width, height)
        if number not in (Status.DECODED, Status.COUNTED):
            if number not in list(Status) or width or height:
                raise ConnectionError("an answer without sense")
            return _Outcome(Status(number), 0, 0)
        if number == Status.COUNTED or page == COUNT or not 0 < width * height <= limits.max_pixels:
            raise ConnectionError("an answer without sense")
        pixels = self._read(width * height * 3, deadline)
        return _Outcome(Status.DECODED, width, height, Image.frombytes("RGB", (width, height), bytes(pixels)))

    def _read(self, count: int, deadline: float) -> bytearray:
        data = bytearray(count)
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(_seconds_until(deadline))
            got = self._sock.recv_into(rest)
            if not got:
                self._at_end = True
                raise ConnectionError("the worker is gone")
            rest = rest[got:]
        return data


def _seconds_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
