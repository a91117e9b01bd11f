"""How many answers a server gives a second, and how long clients wait for them.

    python scripts/serve_load.py --clients 1,4,16                                     Nano, questions of examples/
    python scripts/serve_load.py --model small --random-weights --device cuda --clients 1,16,64,256

Starts `vl2 serve` in a process of its own and lets so many clients ask, each one thing after the other. With random
weights prompts have about --prompt tokens, a third of them with an image of one tile, and answers --answer tokens, both
varied by half. Talks to this machine only.
"""

import argparse
import asyncio
import io
import itertools
import json
import os
import random
import time
from collections.abc import Iterator

from loopback_client import EXAMPLES, Outcome, chat_bytes, percentile, send, server, spread
from PIL import Image


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def questions(model: str) -> Iterator[bytes]:
    """Questions about the pictures of examples/, over and over; one pixel differs each time, so none is cached."""
    records = [json.loads(line) for line in (EXAMPLES / "records.jsonl").read_text("utf-8").splitlines()]
    plain = [record for record in records if record["metric"] != "iou"]
    for number in itertools.count():
        record = plain[number % len(plain)]
        with Image.open(EXAMPLES / record["images"][0]) as picture:
            changed = picture.convert("RGB")
        changed.putpixel((number % changed.width, 0), (number * 7 % 256, number // 256, 9))
        yield chat_bytes(model, record["question"], png(changed))


def made_up(model: str, prompt: int, answer: int) -> Iterator[bytes]:
    """Prompts of random words; each image is another one."""
    draw = random.Random(0)
    words = [
        "the",
        "total",
        "of",
        "this",
        "receipt",
        "is",
        "what",
        "there",
        "was",
        "to",
        "pay",
        "on",
        "a",
        "table",
        "with",
        "two",
        "columns",
        "and",
        "a",
        "chart",
    ]
    for number in itertools.count(1):
        image = None
        length = round(prompt * draw.uniform(0.5, 1.5))
        if number % 3 == 0:
            image, length = png(Image.frombytes("RGB", (64, 64), draw.randbytes(3 * 64**2))), max(length - 421, 16)
        text = " ".join(draw.choice(words) for _ in range(length))
        yield chat_bytes(
            model, text, image, max_tokens=round(answer * draw.uniform(0.5, 1.5)), temperature=1, seed=number
        )


async def run(url: str, requests: Iterator[bytes], clients: int, count: int) -> tuple[list[Outcome], float]:
    """So many requests by so many clients, and the seconds that they took."""
    outcomes: list[Outcome] = []
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            outcomes.append(await send(url, next(requests)))

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return outcomes, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--random-weights", action="store_true")
    parser.add_argument("--clients", default="1,4,16", help="numbers of clients, one after the other")
    parser.add_argument("--requests", type=int, default=0, help="else 6 a client, at least 24")
    parser.add_argument("--prompt", type=int, default=1024)
    parser.add_argument("--answer", type=int, default=512)
    parser.add_argument(
        "--option", action="append", default=[], help="more for vl2 serve, as --option=--max-running=256"
    )
    given = parser.parse_args()
    numbers = [int(part) for part in given.clients.split(",")]
    options = ["--model", given.model, "--device", given.device, "--max-queue", str(2 * max(numbers)), *given.option]
    options += ["--max-running", str(max(numbers))] if not any("max-running" in one for one in given.option) else []
    options += ["--random-weights"] if given.random_weights else []
    with server(*options) as (url, _):
        requests = made_up(given.model, given.prompt, given.answer) if given.random_weights else questions(given.model)
        asyncio.run(run(url, requests, numbers[-1], 2 * numbers[-1]))  # warm up
        print(f"{given.model}, {given.device}, {os.cpu_count()} cores; times in ms: median / 90 % / 99 %")
        print("| clients | requests/s | tokens/s | first token | a token | whole answer | failed |")
        print("|---:|---:|---:|---:|---:|---:|---:|")
        for clients in numbers:
            outcomes, seconds = asyncio.run(run(url, requests, clients, given.requests or max(24, 6 * clients)))
            print(row(clients, outcomes, seconds), flush=True)


def row(clients: int, outcomes: list[Outcome], seconds: float) -> str:
    good = [one for one in outcomes if one.is_whole and one.status == 200]
    first = [one.stamps[0] for one in good if one.stamps]
    between = [(one.stamps[-1] - one.stamps[0]) / (one.num_tokens - 1) for one in good if one.num_tokens > 1]
    cells = [
        str(clients), f"{len(good) / seconds:.1f}", f"{sum(one.num_tokens for one in good) / seconds:,.0f}",
        spread(first), " / ".join(f"{1000 * percentile(between, share):.1f}" for share in (0.5, 0.9, 0.99)),
        spread([one.seconds for one in good]), str(len(outcomes) - len(good)),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
