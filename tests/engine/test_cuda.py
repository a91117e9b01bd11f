"""The engine on a GPU: graphs, kernels and running ahead against the plain loop."""

import numpy as np
import pytest
import torch
from pictured_prompts import pictured

from vl2.bench.ours import random_model, text_prompt, with_room
from vl2.config import NANO, TINY, VL2Config
from vl2.engine.engine import Engine
from vl2.generate import embed_prompt, generate
from vl2.model.cache import PackedSequences
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.sampling import SamplingParams

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
NEVER = -1
GREEDY = SamplingParams(max_tokens=24)
WAYS = [
    {}, {"graphs": False}, {"run_ahead": False}, {"encode_beside": False}, {"step_tokens": 200}, {"speculate": 4},
    {"step_tokens": 400, "max_running": 3}, {"deterministic": True},
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> VL2:
    return random_model(with_room(NANO, 1500), torch.device("cuda"), torch.float32)


@pytest.fixture(scope="module")
def prompts(model: VL2) -> list[Prompt]:
    texts = [text_prompt(model.config, length, length) for length in (5, 70, 33, 300, 129)]
    return texts + [pictured(model.config, seed) for seed in (1, 2, 1)]


@pytest.fixture(scope="module")
def expected(model: VL2, prompts: list[Prompt]) -> list[list[int]]:
    return [[token.token_id for token in generate(model, [one], [GREEDY], NEVER)] for one in prompts]


def run(engine: Engine, prompts: list[Prompt], params: list[SamplingParams]) -> list[list[int]]:
    out: list[list[int]] = [[] for _ in prompts]
    for number, output in engine.stream(prompts, params):
        out[number].append(output.token_id)
    return out


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_tokens_of_the_plain_loop(
    options: dict, model: VL2, prompts: list[Prompt], expected: list[list[int]]
) -> None:  # fmt: skip
    engine = Engine(model, NEVER, **options)
    assert run(engine, prompts, [GREEDY] * len(prompts)) == expected
    if not options:
        assert engine.runner.num_replays > 20
        assert run(engine, prompts, [GREEDY] * len(prompts)) == expected  # prefixes and images are known now


def test_a_seed_gives_one_answer_however_it_is_computed(model: VL2, prompts: list[Prompt]) -> None:
    params = [SamplingParams(max_tokens=24, temperature=1.2, top_p=0.9, top_k=3 * seed, seed=seed) for seed in range(8)]
    ahead, waiting = Engine(model, NEVER), Engine(model, NEVER, graphs=False, run_ahead=False)
    ahead.prepare()
    assert run(ahead, prompts, params) == run(waiting, prompts, params)


@pytest.mark.parametrize("config", [NANO, TINY], ids=["nano", "tiny"])
def test_bfloat16_logits(config: VL2Config) -> None:
    """As far from float32 as those of the plain pass in bfloat16 are, or twice, on average."""
    config = with_room(config, 600, layers=4)
    half = random_model(config, torch.device("cuda"), torch.bfloat16)
    exact = random_model(config, torch.device("cuda"), torch.float32)
    exact.load_state_dict({name: value.float() for name, value in half.state_dict().items()})
    prompt = text_prompt(config, 300, 0)
    outputs = [o for _, o in Engine(half, NEVER).stream([prompt], [SamplingParams(max_tokens=8, logprobs=20)])]
    ids = prompt.input_ids + [output.token_id for output in outputs]

    def plain(network: VL2) -> torch.Tensor:
        whole = Prompt(ids, ids, (), ())
        packed = PackedSequences.of_lengths([len(ids)], "cuda")
        hidden, _ = network(embed_prompt(network, whole), torch.arange(len(ids), device="cuda"), packed)
        return network.logits(hidden[len(prompt.input_ids) - 1 : -1]).log_softmax(-1)

    with torch.enable_grad():  # no kernels of ours
        reference, rounded = plain(exact), plain(half)
    allowed = 2 * (rounded - reference).abs().median().item()
    off = [
        abs(top.logprob - row[top.token_id].item())
        for output, row in zip(outputs, reference, strict=True)
        for top in output.top_logprobs
    ]
    assert np.median(off) < allowed  # not the largest: rounding may let a token visit another expert
