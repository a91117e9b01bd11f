"""Two GPUs hold one model together: sums over memory that both write against NCCL, and tokens against a whole model.

torchrun --standalone --nproc-per-node 2 tests/engine/test_model_on_two_gpus.py              all stages but the last
VL2_PATIENCE=5 torchrun ... tests/engine/test_model_on_two_gpus.py vain                      some of them

Says of every rank what it begins and how long kernels were compiled for, which is most of the time; whoever is silent
for half a minute shows where it is.
"""

import faulthandler
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
from vl2.kernels.team import LostRankError, Team, join, local_rank
from vl2.model.parts import part_of_model
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.sampling import SamplingParams

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
GREEDY = SamplingParams(max_tokens=24)
NARROW = replace(BASE.language_config, kv_lora_rank=128)  # of 512, one float32 kernel takes ten seconds to compile
SHAPES = {
    "nano": NANO,
    "tiny": with_room(TINY, 1500, layers=3),
    "base": with_room(replace(BASE, language_config=NARROW), 1500, layers=3),
}
STAGES = ("sums", *SHAPES, "vain")  # after the last one, devices do nothing more
BEGIN = time.monotonic()
compiled: list[float] = []  # seconds of each kernel since the last report


def report(what: str) -> None:
    """On every rank, for the one that waits is not the one to blame."""
    spent = f"{len(compiled)} kernels compiled in {sum(compiled):.1f} s; " if compiled else ""
    compiled.clear()
    print(f"{time.monotonic() - BEGIN:6.1f} s, rank {os.environ['RANK']}: {spent}{what}", flush=True)
    faulthandler.dump_traceback_later(30, repeat=True)


def count_compilations() -> None:
    knobs: Any = pytest.importorskip("triton").knobs

    def listen(*, times: Any, cache_hit: bool, **_: Any) -> None:
        if not cache_hit:
            compiled.append(times.total / 1e6)

    knobs.compilation.listener = listen


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


def answers(team: Team, name: str) -> None:
    """Greedy and drawn tokens of many requests in float32, of a whole model on each device and of one on both."""
    config: VL2Config = SHAPES[name]
    report(f"{name}: weights")
    whole = random_model(config, torch.device("cuda", team.rank), torch.float32)
    part = part_of_model(whole, team)
    prompts = [text_prompt(config, length, length) for length in (5, 70, 33, 300, 129)]
    prompts += [pictured(config, seed) for seed in (1, 2, 1)]
    params = [GREEDY] * 5 + [replace(GREEDY, temperature=0.8, top_p=0.9, seed=7)] + [GREEDY] * 2
    for options in ({}, {"step_tokens": 200}):
        report(f"{name}: divided, {options}")
        got = tokens(part, prompts, params, **options)
        report(f"{name}: whole, {options}")
        wanted = tokens(whole, prompts, params, **options)
        same = [sum(map(int.__eq__, *pair)) for pair in zip(got, wanted, strict=True)]
        assert got == wanted, f"tokens that are as they should be, of {GREEDY.max_tokens} each: {same} with {options}"


def wait_in_vain(team: Team) -> None:
    """The second rank leaves a step out; the first must not wait for ever."""
    x = torch.ones(3, 320, device="cuda")
    if team.is_first:
        try:
            with torch.inference_mode():
                team.add_rms_norm(x, torch.ones_like(x), x[0], 1e-6)
                torch.cuda.synchronize()
        except RuntimeError as error:
            with pytest.raises(LostRankError, match="rank 0 of 2 waited in vain"):
                team.explain(error, "a sum")
        assert team.is_lost
    assert team.least(1) == 1  # on the host ranks still meet


def main(stages: list[str]) -> None:
    count_compilations()
    report("joining")
    team = join(torch.device("cuda", local_rank() or 0))
    assert team is not None
    assert team.has_mailboxes, "no memory that both devices can write"
    for stage in stages:
        if stage == "sums":
            for dtype in (torch.float32, torch.bfloat16):
                report(f"sums in {dtype}")
                for rows in (1, 3, 64, 256, 1000):
                    sums(team, rows, 2560, dtype)
        elif stage == "vain":
            report("a rank that does not come")
            wait_in_vain(team)
        else:
            answers(team, stage)
            torch.cuda.empty_cache()
    report("alright")
    if "vain" not in stages:
        torch.cuda.synchronize()
    team.least(0)
    os._exit(0)  # NCCL, which the product does not use here, would wait for nothing in particular


@pytest.mark.parametrize("stage", STAGES)
def test_two_gpus(stage: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
    environment = os.environ | {key: str(value) for key, value in place.items()}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "VL2_PATIENCE": "5" if stage == "vain" else "60"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [
        subprocess.Popen(
            [sys.executable, __file__, stage], env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, **pipes
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(text[-3000:] for text in said)
    assert "alright" in said[0]


if __name__ == "__main__":
    main(sys.argv[1:] or list(STAGES[:-1]))
