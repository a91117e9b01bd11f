"""What tests of the server send it."""

import base64
import http.client
import io
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from PIL import Image


def data_url(encoded: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(encoded).decode()}"


def picture(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int = 40, height: int = 30, seed: int = 0) -> bytes:
    return encoded(picture(width, height, seed))


def user(text: str, *images: bytes, detail: str | None = None) -> Any:
    """A conversation of one message."""
    extra = {"detail": detail} if detail else {}
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(image), **extra}} for image in images
    ]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: http.client.HTTPMessage

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


def send(
    url: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
) -> Reply:
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.read(), response.headers)
    finally:
        connection.close()


def chat(url: str, messages: Any = None, headers: dict[str, str] | None = None, **fields: Any) -> Reply:
    """A chat completion, of whatever fields."""
    body = {"model": "nano", "messages": user("What?") if messages is None else messages, **fields}
    return send(
        url, "/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}
    )


def form(url: str, path: str, file: bytes | None = None, headers: dict[str, str] | None = None, **fields: str) -> Reply:
    """A form with a file and plain fields."""
    edge = "----edge"
    parts = [
        f'--{edge}\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    if file is not None:
        head = f'--{edge}\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n'
        parts.append(head.encode() + file + b"\r\n")
    kind = {"content-type": f"multipart/form-data; boundary={edge}"}
    return send(url, path, b"".join(parts) + f"--{edge}--\r\n".encode(), {**kind, **(headers or {})})


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
