"""Downloading what a client names, without letting it reach anything but the public internet.

URL -> host -> every address it resolves to, all public -> connection to one of those -> 200: bytes
 ^                                                                                   -> 30x: a URL again

The trap: a name may resolve differently the next time. It is resolved once a hop, and the socket is opened here, to an
address that was checked; the HTTP client only speaks over it. Proxies of the environment are not used for that reason.
"""

import http.client
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import cast
from urllib.parse import urljoin

from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from vl2.intake.addresses import public_address
from vl2.intake.errors import IntakeError
from vl2.intake.urls import Place, read_data_url, read_url
from vl2.intake.wire import Wire

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_ADDRESSES = 4  # of one host that are tried
_HEADERS = {"User-Agent": "vl2", "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}


@dataclass(frozen=True)
class FetchLimits:
    """What a download may take.

    Args:
        max_bytes: of the file.
        max_redirects: hops after the first.
        seconds: for everything together, names, redirects and body.
        ports: which may be connected to.
        hosts: None for any public host; else exact names, and ".example.com" for all names below example.com.
    """

    max_bytes: int = 20 * 2**20
    max_redirects: int = 3
    seconds: float = 10.0
    ports: frozenset[int] = frozenset((80, 443))
    hosts: frozenset[str] | None = None


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as the system knows them."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """A connection to an address, which is written in numbers."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(seconds)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


class Fetcher:
    """Downloads http(s) and data: URLs within limits. Holds no state; any number of threads may use it.

    Args:
        limits: what a download may take.
        resolve: host and port -> addresses; tests put their own here, as for `dial`.
        dial: address, port, seconds -> connected socket. It is given checked addresses only.
        tls: what certificates are checked with; None: the system's authorities.
    """

    def __init__(
        self,
        limits: FetchLimits | None = None,
        *,
        resolve: Callable[[str, int], list[str]] = resolve,
        dial: Callable[[str, int, float], socket.socket] = dial,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.limits = limits or FetchLimits()
        self._resolve, self._dial = resolve, dial
        self._tls = tls or ssl.create_default_context()

    def fetch(self, url: str, field: str = "image_url") -> bytes:
        """The bytes behind a URL; whether they are an image is for `DecoderPool` to say.

        Args:
            url: http, https or data.
            field: what the client calls it, for messages.

        Raises: IntakeError.
        """
        if url[:5].lower() == "data:":
            return read_data_url(url, self.limits.max_bytes, field)
        deadline = time.monotonic() + self.limits.seconds
        for _ in range(self.limits.max_redirects + 1):
            content, location = self._hop(url, field, deadline)
            if content is not None:
                return content
            try:
                url = urljoin(url, location)
            except ValueError:
                raise IntakeError("bad_url", f"{field}: redirected to what is not a URL") from None
        raise IntakeError(
            "too_many_redirects",
            f"{field}: more than {self.limits.max_redirects} redirects; name the place where the image is",
        )

    def _hop(self, url: str, field: str, deadline: float) -> tuple[bytes | None, str]:
        """The file, or None and where it is said to be, perhaps in relation to this URL."""
        place = read_url(url, field)
        self._check_place(place, field)
        addresses = self._addresses(place, field, deadline)
        with closing(self._connect(place, addresses, field, deadline)) as sock:
            # Headers and sizes of chunks come on top of the file.
            wire = Wire(sock, deadline, 2 * self.limits.max_bytes + 2**18)
            try:
                response = _request(place, wire)
                if response.status in _REDIRECTS and (location := response.headers.get("location")):
                    return None, location.encode("latin-1").decode("utf-8", "replace")  # http.client reads Latin-1
                return self._body(response, field), ""
            except IntakeError:
                raise
            except (HTTPError, http.client.HTTPException, OSError, ValueError):  # ValueError: headers beyond repair
                if wire.stopped == "timeout":
                    raise self._late(field) from None
                if wire.stopped == "too_large":
                    raise self._large(field) from None
                raise _failed(field, "the connection broke or did not speak HTTP") from None

    def _check_place(self, place: Place, field: str) -> None:
        if place.port not in self.limits.ports:
            ports = ", ".join(map(str, sorted(self.limits.ports)))
            raise IntakeError("url_forbidden", f"{field}: a port that is not allowed; allowed are {ports}")
        hosts = self.limits.hosts
        above = place.host.split(".")
        suffixes = {"." + ".".join(above[at:]) for at in range(1, len(above))}
        if hosts is not None and place.host not in hosts and not suffixes & hosts:
            raise IntakeError(
                "url_forbidden", f"{field}: a host that is not on this server's list; send the image as data"
            )

    def _addresses(self, place: Place, field: str, deadline: float) -> list[str]:
        """All public, or an error: one inner address among others shows that the name is not to be trusted."""
        found: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                found.put(self._resolve(place.host, place.port))
            except (OSError, ValueError):  # no such name, or none that can be asked for
                found.put([])

        # The system's resolver knows no timeout; a thread that waits for a dead name server ends later by itself.
        threading.Thread(target=ask, daemon=True).start()
        try:
            answers = found.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise self._late(field) from None
        addresses = [address for answer in answers if (address := public_address(answer))]
        if not addresses or len(addresses) < len(answers):
            # One message for names that do not exist and names inside, so that nobody can list the latter.
            raise IntakeError("url_forbidden", f"{field}: a host without a public address; use a public http(s) URL")
        return list(dict.fromkeys(addresses))[:_MAX_ADDRESSES]

    def _connect(self, place: Place, addresses: list[str], field: str, deadline: float) -> socket.socket:
        for at, address in enumerate(addresses):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            try:
                sock = self._dial(address, place.port, left / (len(addresses) - at))
            except OSError:
                continue
            return self._secure(sock, place, field, deadline) if place.secure else sock
        if time.monotonic() >= deadline:
            raise self._late(field)
        raise _failed(field, "no connection to its host")

    def _secure(self, sock: socket.socket, place: Place, field: str, deadline: float) -> socket.socket:
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))  # for the whole handshake
            return self._tls.wrap_socket(sock, server_hostname=place.host)
        except TimeoutError:
            sock.close()
            raise self._late(field) from None
        except (OSError, ValueError):  # SSLError is an OSError
            sock.close()
            raise _failed(field, "no TLS connection with a valid certificate") from None

    def _body(self, response: HTTPResponse, field: str) -> bytes:
        if response.status != 200:
            raise _failed(field, f"HTTP status {response.status} instead of 200")
        limit = self.limits.max_bytes
        if (response.length_remaining or 0) > limit:  # a short cut; what comes is counted all the same
            raise self._large(field)
        body = bytearray()
        for piece in response.stream(2**16, decode_content=False):
            body += piece
            if len(body) > limit:
                raise self._large(field)
        return bytes(body)

    def _late(self, field: str) -> IntakeError:
        return IntakeError(
            "timeout", f"{field}: a download of more than {self.limits.seconds:g} seconds; send the data"
        )

    def _large(self, field: str) -> IntakeError:
        return IntakeError(
            "too_large", f"{field}: a file of more than {self.limits.max_bytes} bytes; send a smaller one"
        )


def _request(place: Place, wire: Wire) -> HTTPResponse:
    connection = HTTPConnection(place.host, place.port)
    connection.sock = cast("socket.socket", wire)
    connection.request(
        "GET", place.path, headers={"Host": place.host_header, **_HEADERS}, preload_content=False, decode_content=False
    )
    return connection.getresponse()


def _failed(field: str, why: str) -> IntakeError:
    return IntakeError("fetch_failed", f"{field}: the URL could not be downloaded ({why}); check it, or send the data")
