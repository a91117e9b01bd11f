"""A connected socket as an HTTP client sees it, with an end: a moment, and a number of bytes.

Timeouts of sockets are for one call, and a server that sends a byte now and then never meets them. Here every call gets
what is left of the whole, and headers and chunk sizes count as bytes, too.
"""

import io
import socket
import time
from typing import Any, Literal


class Wire:
    """What http.client uses of a socket. `stopped` says afterwards which limit it met."""

    def __init__(self, sock: socket.socket, deadline: float, max_bytes: int) -> None:
        self._sock, self._deadline, self._bytes_left = sock, deadline, max_bytes
        self.stopped: Literal["", "timeout", "too_large"] = ""

    def sendall(self, data: bytes) -> None:
        """Send before the deadline."""
        try:
            self._sock.settimeout(self._seconds_left())
            self._sock.sendall(data)
        except TimeoutError:
            self.stopped = "timeout"
            raise

    def receive_into(self, buffer: Any) -> int:
        """Some bytes, 0 at the end."""
        try:
            self._sock.settimeout(self._seconds_left())
            count = self._sock.recv_into(buffer)
        except TimeoutError:
            self.stopped = "timeout"
            raise
        self._bytes_left -= count
        if self._bytes_left < 0:
            self.stopped = "too_large"
            raise OSError("more bytes than wanted")
        return count

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """What responses are read from."""
        return io.BufferedReader(_Reader(self))

    def settimeout(self, _: Any) -> None:
        """The deadline decides."""

    def close(self) -> None:
        """Who opened the socket closes it; http.client would do so before the body is read."""

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Reader(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.receive_into(buffer)
