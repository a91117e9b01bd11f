"""What every request passes before a route sees it: key, limits, its whole body; and its end if its client leaves.

    request --headers, key, room--> body, read within limits --> route in a task of its own
                                                                 cancelled when the client is gone

Whatever a request holds is in `request.state.resources` and is let go here, however the request ends. The trap: a body
is read before the route runs, so that afterwards nothing but a disconnect can come from the client.
"""

import asyncio
import hmac
import time
from contextlib import ExitStack
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vl2.serve.admission import Admission
from vl2.serve.errors import ApiError, unexpected
from vl2.serve.service import Service

_WORK = ("/v1/chat/completions", "/v1/ocr", "/v1/ground", "/v1/draw")
_KNOWN = (*_WORK, "/v1/models", "/v1/tiles", "/health", "/ready", "/metrics", "/openapi.json", "/")


class Received:
    """The body of one request, and its share of the memory for bodies."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self._data, self._held = admission, bytearray(), 0

    def __len__(self) -> int:
        return self._held

    def add(self, piece: bytes) -> None:
        self._admission.hold(len(piece))
        self._held += len(piece)
        self._data += piece

    def take(self) -> bytes:
        """The whole body, once; afterwards it is not kept here."""
        data, self._data = bytes(self._data), bytearray()
        return data

    def release(self) -> None:
        """Its memory is free for others."""
        self._admission.release(self._held)
        self._held = 0


class Guard:
    """ASGI middleware around all routes of a service."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self._service, self._settings = app, service, service.settings
        self._metrics = service.metrics
        self._origins = [origin.encode() for origin in self._settings.cors_origins]
        self._keys = [key.encode() for key in self._settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in _KNOWN else "other"
        sent: list[int] = []

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent.append(message["status"])
                self._metrics.requests.labels(path, str(message["status"])).inc()
            elif not message.get("more_body", False):
                scope["state"]["answered"] = True
            await send(message)

        with self._metrics.open.track_inprogress(), ExitStack() as resources:
            scope.setdefault("state", {})["resources"] = resources
            try:
                await self._serve(scope, receive, note, resources)
            except ApiError as error:
                await error.response(scope, receive, note)
            except asyncio.CancelledError:  # drain_sec are over
                if self._service.state != "draining":
                    raise
                if not sent:
                    await self._service.not_ready().response(scope, receive, note)
            except Exception as error:
                if sent:
                    raise
                await unexpected(error).response(scope, receive, note)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, resources: ExitStack) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        size = sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope["path"])
        if size + len(scope["query_string"]) > self._settings.max_header_bytes:
            most = self._settings.max_header_bytes
            raise ApiError(431, f"headers of more than {most} bytes; send fewer", code="headers_too_large")
        if scope["path"].startswith("/v1/") or scope["path"] == "/metrics":
            self._check_key(headers.get(b"authorization", b""))
            self._check_site(headers)
        if scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        admission = self._service.admission
        if not self._service.is_open:
            raise self._service.not_ready()
        if scope["path"] in _WORK:
            admission.check()
        received = Received(admission)
        resources.callback(received.release)
        if not await self._read(received, receive, headers.get(b"content-length", b"")):
            self._metrics.gone.inc()
            return
        scope["state"] |= {"received": received, "arrived": time.monotonic()}
        await self._run(scope, receive, send, received)

    def _check_key(self, authorization: bytes) -> None:
        kind, _, key = authorization.partition(b" ")
        given = key.strip() if kind.lower() == b"bearer" else b""
        # All keys are compared, each in constant time, so that time tells nothing about any.
        matches = [hmac.compare_digest(given, one) for one in self._keys]
        if self._keys and not any(matches):
            raise ApiError(401, "a valid API key is needed: Authorization: Bearer KEY", code="invalid_api_key")

    def _check_site(self, headers: dict[bytes, bytes]) -> None:
        """Raises ApiError (403) if a browser says that it was told to ask by a page of somebody else."""
        if headers.get(b"sec-fetch-site") == b"cross-site" and headers.get(b"origin", b"") not in self._origins:
            raise ApiError(403, "pages of other sites may not use this server", code="cross_site")

    async def _read(self, received: Received, receive: Receive, declared: bytes) -> bool:
        """Read the body; False if the client left meanwhile. Raises ApiError (400, 408, 413, 429)."""
        most, seconds = self._settings.max_body_bytes, self._settings.body_sec
        too_large = ApiError(413, f"a body of more than {most} bytes; send less", code="body_too_large")
        if declared.isdigit() and int(declared) > most:
            raise too_large
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return False
                    received.add(message.get("body", b""))
                    if len(received) > most:
                        raise too_large
                    if not message.get("more_body", False):
                        return True
        except TimeoutError:
            raise ApiError(408, f"the body took more than {seconds:g} seconds", code="body_timeout") from None

    async def _run(self, scope: Scope, receive: Receive, send: Send, received: Received) -> None:
        forever = asyncio.Event()
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                await forever.wait()
            given = True
            return {"type": "http.request", "body": received.take(), "more_body": False}

        route = asyncio.ensure_future(self.app(scope, replay, send))
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({route, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not route.done() and not scope["state"].get("answered"):
                self._metrics.gone.inc()
        finally:
            await _end(gone)
            if not route.done():
                await _end(route)
        if not route.cancelled():
            route.result()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _end(task: "asyncio.Future[Any]") -> None:
    """Cancel a task and wait until it has let go of everything."""
    task.cancel()
    await asyncio.wait({task})
