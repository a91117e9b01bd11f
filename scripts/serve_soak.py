"""Good, bad and aborted traffic together for a while: no good request fails, and everything returns to the start.

    python scripts/serve_soak.py --seconds 120 --drops 10000

Starts `vl2 serve` with Nano, small caches and a short queue in a process of its own. Good clients know what the answers
must be. Others send damaged images, malformed requests and huge bodies, leave in the middle of streams, and open
connections only to drop them. Prints latencies, the memory of the server and its figures before and after; exit code 1
if anything is not as it was. Talks to this machine only.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from loopback_client import (
    EXAMPLES,
    Outcome,
    chat_bytes,
    connection,
    form_bytes,
    request_bytes,
    send,
    server,
    spread,
)

RECEIPT = (EXAMPLES / "receipt.png").read_bytes()
FORM = (EXAMPLES / "form.png").read_bytes()
NOTICE = (EXAMPLES / "notice.pdf").read_bytes()
GOOD = {
    "chat, receipt": chat_bytes("nano", "What is the total?", RECEIPT),
    "chat, form": chat_bytes("nano", "What is the title of the form?", FORM),
    "chat, 2 choices": chat_bytes("nano", "What is the total?", RECEIPT, n=2),
    "ocr, 2 pages": form_bytes("/v1/ocr", NOTICE, format="text"),
    "ground": form_bytes("/v1/ground", RECEIPT, phrase="the total"),
}
REFUSED = {400, 413, 415, 431}


class Soak:
    """What has happened so far."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.random = url, random.Random(seed)
        self.expected: dict[str, str] = {}
        self.seconds: dict[str, list[float]] = {name: [] for name in GOOD}
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def good(self) -> None:
        name = self.random.choice(list(GOOD))
        outcome = await send(self.url, GOOD[name])
        if outcome.status == 429:  # the queue is short; a client would try again
            self.counts["told to wait (429)"] += 1
            await asyncio.sleep(0.2)
            return
        said = said_by(outcome)
        if outcome.status != 200 or not outcome.is_whole or said != self.expected.setdefault(name, said):
            self.wrong.append(f"{name}: status {outcome.status}, {said[:80]!r}")
        self.counts["good"] += 1
        self.seconds[name].append(outcome.seconds)

    async def bad(self) -> None:
        image = bytearray(RECEIPT)
        for _ in range(20):
            image[self.random.randrange(len(image))] = self.random.randrange(256)
        raw = self.random.choice([
            chat_bytes("nano", "?", bytes(image[: self.random.randrange(10, len(image))])),
            chat_bytes("nano", "?", RECEIPT, unknown=1),
            chat_bytes("nano", "word " * 5000),
            form_bytes("/v1/ocr", b"%PDF-1.7\n" + bytes(image[:200])),
            form_bytes("/v1/ground", bytes(image[:100]), phrase="x"),
            request_bytes("/v1/chat/completions", b'{"model": "nano", "messages": [' + b"[" * 10_000),
            request_bytes("/v1/chat/completions", b" " * 3_000_000),
        ])  # fmt: skip
        outcome = await send(self.url, raw)
        self.counts[f"bad: {outcome.status or 'cut off'}"] += 1
        if outcome.status not in {*REFUSED, 429, 0}:
            self.wrong.append(f"a bad request: status {outcome.status}")

    async def leave(self) -> None:
        raw = chat_bytes(
            "nano", "Read all the text.", FORM, temperature=1.5, max_tokens=500, n=self.random.choice([1, 3])
        )
        await send(self.url, raw, leave_after=self.random.uniform(0.01, 1.5))
        self.counts["left"] += 1

    async def drop(self) -> None:
        raw = GOOD["chat, receipt"]
        piece = raw[: self.random.choice([0, 5, 100, len(raw) - 10])]
        try:
            async with connection(self.url) as (_, writer):
                writer.write(piece)
                writer.transport.abort()
        except OSError as error:
            self.wrong.append(f"a connection: {error}")
        self.counts["opened and dropped"] += 1

    async def until(self, deadline: float, act: Callable[[], Awaitable[None]], pause: float = 0.0) -> None:
        while time.monotonic() < deadline:
            await act()
            await asyncio.sleep(pause)

    async def run(self, seconds: float, drops: int) -> None:
        deadline = time.monotonic() + seconds
        dropping = asyncio.create_task(self._drop_many(drops))
        acts = [(self.good, 0.0)] * 4 + [(self.bad, 0.02)] * 2 + [(self.leave, 0.0)] * 3
        await asyncio.gather(*(self.until(deadline, act, pause) for act, pause in acts))
        await dropping

    async def _drop_many(self, count: int) -> None:
        for _ in range(0, count, 20):
            await asyncio.gather(*(self.drop() for _ in range(20)))
            await asyncio.sleep(0.01)


def said_by(outcome: Outcome) -> str:
    if outcome.stamps:
        return "".join(sorted(outcome.text))  # of several choices the pieces come in any order
    try:
        found = json.loads(outcome.body)
    except ValueError:
        return outcome.body.decode(errors="replace")
    return str(found.get("regions", found.get("error")))


async def figures(url: str) -> dict[str, float]:
    body = (await send(url, request_bytes("/metrics", b"", method="GET"))).body.decode()
    return {name: float(value) for name, value in re.findall(r"^(vl2_\w+) (\S+)$", body, re.MULTILINE)}


async def idle(url: str, seconds: float = 60) -> dict[str, float]:
    """Figures once nothing is under way."""
    deadline = time.monotonic() + seconds
    names = ("vl2_requests_admitted", "vl2_running", "vl2_waiting", "vl2_cache_blocks_used")
    while True:
        found = await figures(url)
        if not any(found[name] for name in names) or time.monotonic() > deadline:
            return {name: found[name] for name in (*names, "vl2_requests_open")}
        await asyncio.sleep(0.2)


def memory_mib(process: int) -> float:
    """Resident memory of the server, without its decoders."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


async def soak(url: str, process: int, seconds: float, drops: int) -> int:
    first = Soak(url, 0)
    await first.run(max(seconds / 4, 1), drops // 10)  # caches fill, pools start
    start, before = await idle(url), memory_mib(process)
    main = Soak(url, 1)
    main.expected = first.expected
    await main.run(seconds, drops)
    end, after = await idle(url), memory_mib(process)
    print(f"{seconds:g} seconds: " + ", ".join(f"{count} {what}" for what, count in sorted(main.counts.items())))
    for name, times in main.seconds.items():
        print(f"{name}: {len(times)} answers, ms median / 90 % / 99 %: {spread(times)}")
    print(f"memory of the server: {before:.0f} MiB before, {after:.0f} MiB after")
    print("left: " + ", ".join(f"{name} {value:g}" for name, value in end.items()))
    wrong = first.wrong + main.wrong
    if start != end:
        wrong.append(f"figures: {start} before, {end} after")
    if after > before * 1.1 + 50:
        wrong.append("memory grew")
    for what in wrong[:10]:
        print(f"WRONG: {what}")
    print(f"{len(wrong)} things went wrong")
    return 1 if wrong else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--drops", type=int, default=10_000, help="connections that are opened and dropped")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    options = ["--device", given.device, "--cache-gib", "0.02", "--max-running", "8", "--max-queue", "12"]
    with server(*options, "--max-file-mib", "1") as (url, process):
        status = asyncio.run(soak(url, process, given.seconds, given.drops))
    sys.exit(status)


if __name__ == "__main__":
    main()
