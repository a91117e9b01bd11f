"""Two GPUs hold one model together: sums over memory that both write against NCCL, and tokens against a whole model."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from pictured_prompts import pictured

from vl2.bench.ours import random_model, text_prompt, with_room
from vl2.config import BASE, NANO, TINY, VL2Config
from vl2.engine.engine import Engine
from vl2.kernels.linear import linear
from vl2.kernels.norm import add_rms_norm
from vl2.kernels.team import Team, join, local_rank
from vl2.model.parts import part_of_model
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.sampling import SamplingParams

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
GREEDY = SamplingParams(max_tokens=24)


def same_on_all(*tensors: torch.Tensor) -> bool:
    """To the last bit."""
    for tensor in tensors:
        bits = tensor.cpu().contiguous().flatten().view(torch.uint8)
        theirs = bits.clone()
        dist.broadcast(theirs, 0)
        if not torch.equal(theirs, bits):
            return False
    return True


@torch.no_grad()
def sums(team: Team, rows: int, width: int, dtype: torch.dtype) -> None:
    """add_rms_norm and gather, launched and in a graph that is replayed, against NCCL."""
    same = torch.Generator("cuda").manual_seed(rows)
    own = torch.Generator("cuda").manual_seed(rows + team.rank + 1)
    x, weight = (torch.randn(*s, generator=same, device="cuda").to(dtype) for s in ((rows, width), (width,)))
    partial, columns = (torch.randn(rows, size, generator=own, device="cuda").to(dtype) for size in (width, 3 * width))
    token, matrix = (torch.randn(size, 768, generator=own, device="cuda").to(dtype) / 9 for size in (1, width))
    share = token.float() @ matrix.float().T if rows == 1 else partial.float()  # of one token, the kernel sends it
    delta = share.clone()  # `share` may be `partial` itself, which is sent later
    parts = [torch.empty_like(columns) for _ in range(team.count)]
    dist.all_reduce(delta)
    dist.all_gather(parts, columns)
    expected = *add_rms_norm(x.float(), delta, weight.float(), 1e-6), torch.cat(parts, 1).float()
    mistakes = {"without any share": x, "without the other's share": x + share, "without ours": x + delta - share}
    mistakes |= {"without the stream": delta, "twice the sum": x + 2 * delta}

    def once() -> tuple[torch.Tensor, ...]:
        mine = linear(token, matrix, team.post(token)) if rows == 1 else partial.clone()
        return *team.add_rms_norm(x, mine, weight, 1e-6), team.gather(columns)

    def check(got: tuple[torch.Tensor, ...]) -> None:
        assert same_on_all(*got), f"ranks differ in {rows} rows of {dtype}"
        tolerance = 1e-4 if dtype == torch.float32 else 5e-2
        close: dict[str, Any] = {"atol": tolerance, "rtol": tolerance / 2}
        looks = [name for name, wrong in mistakes.items() if torch.allclose(got[0].float(), wrong.float(), **close)]
        for name, ours, wanted in zip(("sum", "norm", "columns"), got, expected, strict=True):
            why = f"{name} of {rows} rows of {dtype}, rank {team.rank}; the sum looks like: {looks or None}"
            torch.testing.assert_close(ours.float(), wanted, **close, msg=lambda text, why=why: f"{why}\n{text}")

    check(once())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        chain = [once() for _ in range(5)]
    for _ in range(50):
        graph.replay()
    for got in chain:
        check(got)


def tokens(model: VL2, prompts: list[Prompt], params: list[SamplingParams], **options: Any) -> list[list[int]]:
    engine = Engine(model, -1, cache_bytes=1 << 30, **options)
    out: list[list[int]] = [[] for _ in prompts]
    for number, output in engine.stream(prompts, params):
        out[number].append(output.token_id)
    return out


def answers(team: Team, config: VL2Config) -> None:
    """Greedy and drawn tokens of many requests in float32, of a whole model on each device and of one on both."""
    whole = random_model(config, torch.device("cuda", team.rank), torch.float32)
    part = part_of_model(whole, team)
    prompts = [text_prompt(config, length, length) for length in (5, 70, 33, 300, 129)]
    prompts += [pictured(config, seed) for seed in (1, 2, 1)]
    params = [GREEDY] * 5 + [replace(GREEDY, temperature=0.8, top_p=0.9, seed=7)] + [GREEDY] * 2
    for options in ({}, {"step_tokens": 200}):
        got, wanted = (tokens(model, prompts, params, **options) for model in (part, whole))
        same = [sum(map(int.__eq__, *pair)) for pair in zip(got, wanted, strict=True)]
        assert got == wanted, f"tokens that are as they should be, of {GREEDY.max_tokens} each: {same} with {options}"


def main() -> None:
    index = local_rank()
    team = join(torch.device("cuda", index or 0))
    assert team is not None
    assert team.has_mailboxes, "no memory that both devices can write"
    begin = time.monotonic()

    def report(what: str) -> None:
        if team.is_first:
            print(f"{time.monotonic() - begin:6.1f} s {what}", flush=True)

    for dtype in (torch.float32, torch.bfloat16):
        for rows in (1, 3, 64, 256, 1000):
            sums(team, rows, 2560, dtype)
        report(f"sums in {dtype}")
    shapes = {"nano": NANO, "tiny": with_room(TINY, 1500, layers=3), "base": with_room(BASE, 1500, layers=3)}
    for name, config in shapes.items():
        answers(team, config)
        report(f"answers of {name}'s shape")
        torch.cuda.empty_cache()
    if team.is_first:
        print("alright")
    torch.cuda.synchronize()
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # NCCL, which the product does not use here, would wait for nothing in particular


def test_two_gpus() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
    environment = os.environ | {key: str(value) for key, value in place.items()}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [
        subprocess.Popen(
            [sys.executable, __file__], env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, **pipes
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(text[-3000:] for text in said)
    assert "alright" in said[0]


if __name__ == "__main__":
    main()
