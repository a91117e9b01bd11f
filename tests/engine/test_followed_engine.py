"""Two processes hold one model together: the engine of the first, and the one that follows, against a whole model."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vl2.bench.ours import text_prompt
from vl2.config import VL2Config
from vl2.engine.engine import Engine
from vl2.engine.lockstep import Lockstep, follow
from vl2.hub import NANO_DIR
from vl2.kernels.team import Team, TeamError, join
from vl2.layout import TileGrid, image_token_count
from vl2.model.cache import PackedSequences
from vl2.model.parts import part_of_model, require_divisible
from vl2.model.weights import load
from vl2.processing.render import Prompt
from vl2.processing.tiling import TiledImage
from vl2.sampling import SamplingParams

GOLDENS = Path(__file__).parent.parent / "goldens"
MODELS = [*(GOLDENS / name for name in ("mini-mha", "mini-mla", "mini-mla-noaux")), NANO_DIR]
GREEDY = SamplingParams(max_tokens=6)
NEVER = -1
OPTIONS: dict[str, Any] = {"step_tokens": 150, "max_running": 3, "cache_bytes": 64 << 20, "block_size": 16}


def pictured(config: VL2Config, seed: int) -> Prompt:
    grid = TileGrid(rows=1, cols=1)
    count, edge = image_token_count(grid, config.tile_side), config.vision_config.image_size
    tiles = np.random.default_rng(seed).integers(0, 256, (2, 3, edge, edge), dtype=np.uint8)
    ids = [3] + [2] * count + text_prompt(config, 6, seed).input_ids
    return Prompt(ids, ids, ((1, count),), (TiledImage(tiles, grid, (100, 50)),))


def requests(config: VL2Config) -> list[tuple[Prompt, SamplingParams]]:
    """Short and long ones, two with the same beginning, two with the same image, drawn and penalised ones."""
    long = text_prompt(config, 200, 5).input_ids
    texts = [text_prompt(config, 7, 1).input_ids, long, [*long[:120], 9, 8, 7]]
    prompts = [*(Prompt(ids, ids, (), ()) for ids in texts), pictured(config, 1), pictured(config, 1)]
    params = [
        GREEDY, GREEDY, replace(GREEDY, temperature=1.0, seed=3, top_p=0.9), GREEDY,
        replace(GREEDY, repetition_penalty=1.3, logprobs=2),
    ]  # fmt: skip
    return list(zip(prompts, params, strict=True))


def answers(engine: Engine, asked: list[tuple[Prompt, SamplingParams]]) -> list[list[int]]:
    """Tokens of all requests; another one is given up halfway."""
    given_up = engine.submit(asked[1][0], replace(GREEDY, max_tokens=50))
    out: list[list[int]] = [[] for _ in asked]
    for number, output in engine.stream([prompt for prompt, _ in asked], [params for _, params in asked]):
        out[number].append(output.token_id)
        if sum(map(len, out)) == 4:
            engine.abort(given_up)
    return out


@torch.inference_mode()
def check(path: Path, team: Team) -> None:
    """Weights, logits and answers of one model; what each process does."""
    whole, divided = load(path), load(path, team=team)
    for name, parameter in part_of_model(whole, team).state_dict().items():
        assert torch.equal(parameter, divided.state_dict()[name]), name
    assert sum(p.numel() for p in divided.language.layers.parameters()) < 0.7 * sum(
        p.numel() for p in whole.language.layers.parameters()
    )
    ids = torch.tensor(text_prompt(whole.config, 50, 0).input_ids)
    logits = []
    for model in (whole, divided):
        hidden, _ = model(model.language.embed_tokens(ids), torch.arange(50), PackedSequences.of_lengths([50], "cpu"))
        logits.append(model.logits(hidden))
    torch.testing.assert_close(logits[1], logits[0], atol=2e-4, rtol=0)

    engines: list[Engine] = []

    def build(lockstep: Lockstep) -> Engine:
        engines.append(Engine(divided, NEVER, **OPTIONS, lockstep=lockstep))
        return engines[0]

    lockstep = Lockstep(team)
    if not team.is_first:
        follow(lockstep, build)
    else:
        lockstep.tell("build")
        lockstep.flush()
        asked = requests(whole.config)
        got, expected = answers(build(lockstep), asked), answers(Engine(whole, NEVER, **OPTIONS), asked)
        assert got == expected, path.name
        free = [output.token_id for _, output in engines[0].stream([asked[0][0]], [asked[0][1]])]
        assert free == expected[0]  # the prompt's beginning is cached by now
        drawn = replace(GREEDY, temperature=1.0)  # no seed: the ranks agree on one
        assert len(list(engines[0].stream([asked[0][0]], [drawn]))) == 6
        lockstep.tell("end")
        lockstep.flush()
    stats = engines[0].stats()
    counts = torch.tensor([stats.num_steps, stats.num_generated_tokens, stats.num_cached_tokens, stats.num_free_blocks])
    assert counts.tolist() == team.share(counts.clone()).tolist()
    assert stats.num_free_blocks == stats.num_blocks
    assert stats.num_reused_images


class Alone(Team):
    """A rank without its others, as one of CUDA that has memory they could write."""

    def __init__(self) -> None:
        boxes: Any = object()
        super().__init__(1, 2, boxes)

    def least(self, number: int) -> int:
        return number


def test_who_waits_in_vain_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Alone()
    engine = Engine(part_of_model(load(MODELS[1]), team), NEVER, **OPTIONS)
    engine.submit(text_prompt(engine.model.config, 5, 0), GREEDY)
    for message, expected in (
        ("CUDA error: unspecified launch failure", "rank 1 of 2 waited in vain for another one in step 0, 1 requests"),
        ("CUDA error: misaligned address", "misaligned"),
    ):
        assert team.is_lost == (expected == "misaligned")

        def fail(_: object, message: str = message) -> None:
            raise RuntimeError(message)

        monkeypatch.setattr(engine.runner, "launch", fail)
        with pytest.raises(RuntimeError, match=expected):
            engine.step()
    Lockstep(team).end()  # which tells nobody


def main() -> None:
    torch.set_num_threads(1)
    team = join(torch.device("cpu"))
    assert team is not None
    for path in MODELS:
        check(path, team)
    team.leave()


def start(command: list[str], rank: int, port: int) -> subprocess.Popen[str]:
    """One of two processes, as torchrun starts them."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    environment = os.environ | {key: str(value) for key, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *command], env=environment, **pipes)


def together(command: list[str]) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of both processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = [start(command, rank, port) for rank in range(2)]
    try:
        ended = [process.communicate(timeout=150) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(running, ended, strict=True)]


def test_two_processes_answer_as_one() -> None:
    for code, _, errors in together([__file__]):
        assert code == 0, errors[-2000:]


def test_the_first_process_talks() -> None:
    """`vl2 ask` in two processes; the second says nothing and ends well."""
    receipt = str(Path(__file__).parents[2] / "examples" / "receipt.png")
    command = ["-m", "vl2", "ask", receipt, "What is the total?", "--device", "cpu", "--max-tokens", "8", "--json"]
    alone = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=100, check=True)
    first, second = together(command)
    assert first[0] == second[0] == 0, first[2] + second[2]
    assert second[1] == ""
    text = alone.stdout.split('"text": ')[1].split(", ")[0]
    assert text in first[1]


def test_the_first_process_measures() -> None:
    command = ["-m", "vl2", "bench", "decode", "--model", "nano", "--random-weights", "--size", "32", "--device", "cpu"]
    (code, printed, errors), second = together([*command, "--repeats", "2", "--layers", "2", "--json"])
    assert code == second[0] == 0, errors
    assert json.loads(printed)["ranks"] == 2
    assert second[1] == ""
    (code, _, errors), _ = together(["-m", "vl2", "bench", "moe"])
    assert code == 2
    assert "bench 'moe': several processes measure decode, prefill, ttft, serve, with --random-weights" in errors


def test_the_first_process_has_nothing_to_do(tmp_path: Path) -> None:
    """All was answered before, or it cannot begin: the second, which waits for it, ends too."""
    requests, results = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    requests.write_text(json.dumps({"custom_id": "1", "body": body}))
    results.write_text(json.dumps({"custom_id": "1", "response": {"status_code": 200}, "error": None}) + "\n")
    command = ["-m", "vl2", "batch", str(requests), str(results), "--device", "cpu"]
    (code, _, errors), second = together(command)
    assert "1 results" in errors
    assert code == second[0] == 0, errors + second[2]
    requests.unlink()
    (code, _, errors), second = together(command)
    assert (code, second[0]) == (2, 0), errors + second[2]
    assert second[1:] == ("", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_attention_heads": 10}, r"num_attention_heads = 10: cannot be divided among 4 ranks; start fewer"),
        ({"moe_intermediate_size": 18}, r"moe_intermediate_size = 18: cannot be divided among 4 ranks"),
        ({"attention_bias": True}, r"attention_bias = true cannot be divided"),
    ],
)
def test_what_cannot_be_divided(changes: dict, message: str, make_config) -> None:
    with pytest.raises(TeamError, match=message):
        require_divisible(make_config("small", **changes), 4)


if __name__ == "__main__":
    main()
