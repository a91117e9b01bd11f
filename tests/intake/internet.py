"""A real server on this machine, which stands for hosts of the internet, for the tests of downloads.

`resolve` and `dial` are ours: names lead to public addresses, and the public address of the server to the server. What
is dialled is written down, so a test sees every connection that would have been made.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from vl2.intake.errors import CODES, IntakeError
from vl2.intake.fetch import Fetcher, FetchLimits, dial

PUBLIC = "93.184.216.34"
OTHER = "2606:4700::1"
IMAGE = b"\x89PNG not decoded here " * 40


class Handler(BaseHTTPRequestHandler):
    """Answers with what PAGES says, byte for byte."""

    pages: ClassVar[dict[str, Callable[["Handler"], None]]] = {}
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.headers["Host"], self.path))
        with suppress(OSError):  # the client hung up, as it should
            self.pages[self.path](self)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


def raw(content: bytes) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.wfile.write(content)

    return answer


def redirect(location: str, status: int = 302) -> Callable[[Handler], None]:
    return raw(f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())


def drip(before: bytes) -> Callable[[Handler], None]:
    """A byte now and then, forever: no read of a socket waits long."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(before)
        for _ in range(100):
            time.sleep(0.05)
            handler.wfile.write(b"x")

    return answer


def pour(before: bytes, piece: bytes) -> Callable[[Handler], None]:
    """Much more than anybody wants."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(before)
        for _ in range(2000):
            handler.wfile.write(piece)

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PAGES = {
    "/a.png": raw(OK + b"Content-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE),
    "/until-close.png": raw(OK + b"\r\n" + IMAGE),
    "/chunked.png": raw(CHUNKED + b"%x\r\n" % len(IMAGE) + IMAGE + b"\r\n0\r\n\r\n"),
    "/gzip.png": raw(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(IMAGE) + IMAGE),
    "/one.png": redirect("/two.png", 301),
    "/two.png": redirect("http://other.example/three.png?a=1", 307),
    "/umlaut.png": redirect("/ü.png"),
    "/%C3%BC.png": raw(OK + b"\r\n" + IMAGE),
    "/three.png?a=1": redirect("//public.example/a.png", 308),
    "/loop.png": redirect("/loop.png"),
    "/nowhere.png": raw(b"HTTP/1.1 302 Found\r\n\r\n"),
    "/private": redirect("http://inner.example/secret"),
    "/loopback": redirect("http://127.0.0.1/secret"),
    "/metadata": redirect("http://169.254.169.254/latest/meta-data/"),
    "/file": redirect("file:///etc/passwd"),
    "/data": redirect("data:,hello"),
    "/port": redirect("http://public.example:22/"),
    "/odd": redirect("http://[::1"),
    "/missing": raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    "/partial": raw(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\nabc"),
    "/says-too-much": raw(OK + b"Content-Length: 99999999999\r\n\r\n" + IMAGE),
    "/says-more": raw(OK + b"Content-Length: 5000\r\n\r\n" + IMAGE),
    "/says-less": pour(OK + b"Content-Length: 4\r\n\r\n", IMAGE),
    "/says-minus": pour(OK + b"Content-Length: -1\r\n\r\n", IMAGE),
    "/says-two": raw(OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    "/endless": pour(OK + b"\r\n", IMAGE),
    "/endless-chunks": pour(CHUNKED, b"%x\r\n" % len(IMAGE) + IMAGE + b"\r\n"),
    "/endless-size": pour(CHUNKED, b"0" * 1000),
    "/endless-line": pour(OK + b"X: ", b"x" * 1000),
    "/endless-headers": pour(OK, b"X: y\r\n" * 200),
    "/endless-continue": pour(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
    "/bad-chunk": raw(CHUNKED + b"zz\r\nabc"),
    "/no-http": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "/nothing": raw(b""),
    "/slow-body": drip(OK + b"Content-Length: 1000\r\n\r\n"),
    "/slow-headers": drip(OK + b"X: "),
    "/slow-chunk": drip(CHUNKED),
}


class World:
    """Names and addresses as the fetcher sees them, and the connections that it makes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.names: dict[str, list[str]] = {
            "public.example": [PUBLIC], "other.example": [OTHER], "inner.example": ["10.0.0.5"],
        }  # fmt: skip
        self.asked: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.names:
            return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)]
        return self.names[host]

    def dial(self, address: str, port: int, seconds: float) -> socket.socket:
        self.dialled.append((address, port))
        return dial("127.0.0.1", self.port, seconds)

    def fetcher(self, tls: ssl.SSLContext | None = None, **limits) -> Fetcher:
        chosen = {"max_bytes": 50_000, "seconds": 5.0} | limits
        return Fetcher(FetchLimits(**chosen), resolve=self.resolve, dial=self.dial, tls=tls)


def start(server: ThreadingHTTPServer) -> Iterator[World]:
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    Handler.pages, Handler.seen[:] = PAGES, []
    yield World(server.server_address[1])
    server.shutdown()
    server.server_close()


def refused(fetcher: Fetcher, url: str) -> IntakeError:
    with pytest.raises(IntakeError) as caught:
        fetcher.fetch(url, "messages[0].image_url")
    message = str(caught.value)
    assert caught.value.code in CODES
    assert message.startswith("messages[0].image_url: ")
    assert "\n" not in message
    for inner in ("127.0.0.1", "10.0.0.5", "169.254", "inner.example", "0x", PUBLIC):
        assert inner not in message
    return caught.value
