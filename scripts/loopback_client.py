"""A server of our own in a process beside this one, and a small client that times its streams; for load and soak.

Nothing but the standard library, so that the client costs little and runs anywhere. It talks to this machine only.
"""

import asyncio
import base64
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass
class Outcome:
    """What became of one request. Seconds are from sending it; `stamps` of every event with text."""

    status: int = 0
    text: str = ""
    is_whole: bool = False
    num_tokens: int = 0
    seconds: float = 0.0
    stamps: list[float] = field(default_factory=list)
    body: bytes = b""


@contextlib.contextmanager
def server(*options: str, start_sec: float = 600) -> Iterator[tuple[str, int]]:
    """`vl2 serve` with these options on a free port of 127.0.0.1: its URL and process id."""
    command = [sys.executable, "-m", "vl2", "serve", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            for line in process.stderr:
                if line.startswith("serving "):
                    break
                print(line, end="", file=sys.stderr)
            else:
                raise SystemExit("the server did not start")
            yield line.split()[-1], process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(90)
            process.kill()


@contextlib.asynccontextmanager
async def connection(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    place = urlsplit(url)
    assert place.hostname in ("127.0.0.1", "::1", "localhost"), "loopback only"
    reader, writer = await asyncio.open_connection(place.hostname, place.port, limit=2**24)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def request_bytes(path: str, body: bytes, kind: str = "application/json", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    return f"{head}content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def send(url: str, raw: bytes, leave_after: float | None = None) -> Outcome:
    """Send a request and read its whole response, or leave after so many seconds."""
    start = time.perf_counter()
    outcome = Outcome()
    with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
        async with asyncio.timeout(leave_after), connection(url) as (reader, writer):
            writer.write(raw)
            await writer.drain()
            outcome.status = int((await reader.readline()).split()[1])
            is_stream = False
            while (line := (await reader.readline()).strip().lower()) != b"":
                is_stream |= line.startswith(b"content-type: text/event-stream")
            if is_stream:
                await _read_events(reader, outcome, start)
            else:
                outcome.body = await reader.read()
                outcome.is_whole = True
    outcome.seconds = time.perf_counter() - start
    return outcome


async def _read_events(reader: asyncio.StreamReader, outcome: Outcome, start: float) -> None:
    async for line in reader:
        if not line.startswith(b"data: "):  # sizes of chunks, empty lines
            continue
        if line.startswith(b"data: [DONE]"):
            outcome.is_whole = True
            return
        event = json.loads(line[6:])
        if event.get("usage"):
            outcome.num_tokens = event["usage"]["completion_tokens"]
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                outcome.text += text
                outcome.stamps.append(time.perf_counter() - start)


def chat_bytes(model: str, text: str, image: bytes | None = None, **fields: Any) -> bytes:
    """A streamed chat completion."""
    parts: list[Any] = [{"type": "text", "text": text}]
    if image is not None:
        url = "data:image/png;base64," + base64.b64encode(image).decode()
        parts.insert(0, {"type": "image_url", "image_url": {"url": url}})
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    body = {"model": model, "messages": [{"role": "user", "content": parts}], **stream, **fields}
    return request_bytes("/v1/chat/completions", json.dumps(body).encode())


def form_bytes(path: str, file: bytes, **fields: str) -> bytes:
    start = "--edge\r\ncontent-disposition: form-data; name="
    parts = [f'{start}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    parts.append(f'{start}"file"; filename="f"\r\n\r\n'.encode() + file + b"\r\n--edge--\r\n")
    return request_bytes(path, b"".join(parts), "multipart/form-data; boundary=edge")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def spread(values: list[float]) -> str:
    """Median, 90 and 99 in a hundred, in milliseconds."""
    return " / ".join(f"{1000 * percentile(values, share):,.0f}" for share in (0.5, 0.9, 0.99))
