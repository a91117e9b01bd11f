"""HTTP connections that do not wait for slow clients for ever, and a server that drains before it stops.

connection made --header_sec--> headers there --(Guard: body_sec)--> response --write_sec--> read by the client
SIGTERM --> /ready says no, unready_sec pass --> no new connections, drain_sec for those there are --> closed
"""

import asyncio
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vl2.serve.service import Service

_BACKLOG = 1024  # connections that the system keeps until they are accepted


class PatientServer(uvicorn.Server):
    """Drains its service first, and ends with the error of a model that cannot be loaded.

    service: what it drains.
    when_ready: called with the server's URL once requests are taken.
    """

    def __init__(self, config: uvicorn.Config, service: Service, sock: socket.socket) -> None:
        super().__init__(config)
        self.service, self._sock = service, sock
        self._is_announced = False
        self.when_ready: Callable[[str], object] = lambda url: None

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._sock.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run_until_stopped(self) -> None:
        """Serve. Raises what loading the model raised."""
        self.run([self._sock])
        if self.service.error:
            raise self.service.error

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.service.state == "draining" or not self.service.settings.unready_sec:
            super().handle_exit(sig, frame)
        else:
            asyncio.get_running_loop().call_later(self.service.settings.unready_sec, super().handle_exit, sig, frame)
        self.service.drain()

    async def on_tick(self, counter: int) -> bool:
        if self.service.is_open and not self._is_announced:
            self._is_announced = True
            self.when_ready(self.url)
        return await super().on_tick(counter) or self.service.state == "failed"


def make_server(app: Any, host: str, port: int, access_log: bool = False) -> PatientServer:
    """A uvicorn server for `create_app`'s application.

    Args:
        port: 0 takes a free one.

    Raises: OSError if it cannot listen there.
    """
    sock = socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
    )
    service: Service = app.state.service
    settings = service.settings

    class Connection(_Connection):
        header_sec, write_sec, most_header_bytes = settings.header_sec, settings.write_sec, settings.max_header_bytes

    config = uvicorn.Config(
        app, http=Connection, ws="none", lifespan="on", access_log=access_log,
        log_level="error", server_header=False, timeout_graceful_shutdown=int(settings.drain_sec), backlog=_BACKLOG,
    )  # fmt: skip
    return PatientServer(config, service, sock)


class _Connection(HttpToolsProtocol):
    """Cuts off clients that are slow with headers, send too many, or do not read what was sent to them."""

    header_sec = write_sec = 60.0
    most_header_bytes = 2**15

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._num_header_bytes = 0
        self._reading: asyncio.TimerHandle | None = self.loop.call_later(self.header_sec, transport.abort)
        self._writing: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # a request is being answered
            self._reading = _stop(self._reading)
            self._num_header_bytes = 0
            return
        if self._reading is None:
            self._reading = self.loop.call_later(self.header_sec, self.transport.abort)
        if self.cycle is None or not self.cycle.more_body:  # not what is left of the body of a refused request
            self._num_header_bytes += len(data)
            if self._num_header_bytes > self.most_header_bytes + 2**16:
                self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle is not None and self.cycle.more_body and self._reading is None:
            self._reading = self.loop.call_later(self.header_sec, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self.write_sec, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._writing = _stop(self._writing)

    def connection_lost(self, exc: Exception | None) -> None:
        self._reading, self._writing = _stop(self._reading), _stop(self._writing)
        super().connection_lost(exc)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
