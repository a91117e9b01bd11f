"""Reading URLs of clients: where an http(s) URL leads to, and what a data: URL holds.

What is read here is also what is connected to and sent, so no second parser can understand a URL differently.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote, unquote_to_bytes, urlsplit

from vl2.intake.errors import IntakeError

MAX_URL = 8192  # characters of an http(s) URL
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?")
_KEEP = "%/?:@!$&'()*+,;=~-._"  # what stays as it is in a path and a query
_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNSEEN = re.compile(r"[\x00-\x20\x7f\\]")  # urlsplit drops some of these silently; no URL needs them


@dataclass(frozen=True)
class Place:
    """Where an http(s) URL leads to."""

    secure: bool
    host: str  # ASCII, lower case, without a final dot; an IPv6 address without brackets
    port: int
    path: str  # with the query, percent-encoded

    @property
    def host_header(self) -> str:
        """The host, and the port unless it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def read_url(url: str, field: str) -> Place:
    """Where an http(s) URL leads to.

    Raises: IntakeError (bad_url).
    """
    if len(url) > MAX_URL:
        raise IntakeError("bad_url", f"{field}: a URL of more than {MAX_URL} characters; send the image as data")
    if _UNSEEN.search(url):
        raise IntakeError(
            "bad_url", f"{field}: a URL with spaces, control characters or backslashes; encode them as %XX"
        )
    try:
        parts = urlsplit(url)
        port, host = parts.port, _ascii_host(parts.hostname or "")
    except ValueError:  # brackets, ports and labels that are none
        raise IntakeError("bad_url", f"{field}: not a URL; write http://, https:// or data: and what follows") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise IntakeError("bad_url", f"{field}: a URL of another kind than http, https and data")
    if "@" in parts.netloc:
        raise IntakeError("bad_url", f"{field}: a URL with a user name or password; leave them out")
    path = quote(parts.path or "/", _KEEP.replace("?", "")) + (f"?{quote(parts.query, _KEEP)}" if parts.query else "")
    return Place(parts.scheme == "https", host, _DEFAULT_PORTS[parts.scheme] if port is None else port, path)


def _ascii_host(host: str) -> str:
    if ":" in host and "%" not in host:  # % begins the name of a local link
        return str(IPv6Address(host))
    host = (host if host.isascii() else host.encode("idna").decode("ascii").lower()).removesuffix(".")
    if not _HOST.fullmatch(host):
        raise ValueError("not a host")
    return host


def read_data_url(url: str, max_bytes: int, field: str) -> bytes:
    """What a data: URL holds, base64 or percent-encoded; its size is known, and limited, before it is decoded.

    Raises: IntakeError (bad_url, too_large).
    """
    head, comma, text = url.partition(",")
    if head[:5].lower() != "data:" or not comma or not text.isascii():
        raise IntakeError("bad_url", f"{field}: not a data URL; write data:image/png;base64, and the file in base64")
    in_base64 = head.lower().rstrip().endswith(";base64")
    size = len(text) - 2 * text.count("%")
    if (size // 4 * 3 - 2 if in_base64 else size) > max_bytes:
        raise IntakeError("too_large", f"{field}: data of more than {max_bytes} bytes; send a smaller file")
    content = unquote_to_bytes(text)
    if not in_base64:
        return content
    content = content.translate(None, b" \t\r\n\f")
    try:
        content = base64.b64decode(content + b"=" * (-len(content) % 4), validate=True)
    except binascii.Error:
        raise IntakeError("bad_url", f"{field}: data that are not base64; send the file in base64") from None
    if len(content) > max_bytes:  # the estimate allows for padding
        raise IntakeError("too_large", f"{field}: data of more than {max_bytes} bytes; send a smaller file")
    return content
