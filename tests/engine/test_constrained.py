"""Requests with grammars among others: the engine says what the plain loop says, whatever else happens."""

from collections.abc import Callable
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.engine.engine import Engine
from vl2.generate import generate
from vl2.grammar import Grammars
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.processing.tokenizer import Tokenizer
from vl2.sampling import SamplingParams

LENGTH = 24
SCHEMAS = (
    None,
    {"type": "array", "items": {"enum": ["the", 4, None]}},
    {"type": "object", "properties": {"total": {"type": "number"}, "of": {"type": "boolean"}}, "required": ["total"]},
    {"type": "array", "items": {"const": "what is the total of this receipt?"}, "minItems": 2},  # drafts find it
)
Answer = list[tuple[int, str | None]]


@pytest.fixture(scope="module")
def model(make_model: Callable[..., VL2]) -> VL2:
    return make_model("base", 3)


@pytest.fixture(scope="module")
def requests(byte_tokenizer: Tokenizer) -> list[tuple[Prompt, SamplingParams]]:
    """Greedy and sampled, with and without grammar, penalty and probabilities."""
    grammars = Grammars(byte_tokenizer)
    options = [{}, {"temperature": 1.5, "seed": 5, "top_p": 0.9}, {"repetition_penalty": 1.3}, {"logprobs": 2}]
    out = []
    for number, schema in enumerate(SCHEMAS):
        ids = byte_tokenizer.encode("what is the total of this receipt? " + "a" * number)
        grammar = grammars.of(schema) if schema else None
        out += [(Prompt(ids, ids, (), ()), SamplingParams(max_tokens=LENGTH, grammar=grammar, **o)) for o in options]
    return out


@pytest.fixture(scope="module")
def expected(model: VL2, requests: list[tuple[Prompt, SamplingParams]], byte_tokenizer: Tokenizer) -> list[Answer]:
    """What the plain loop says to each alone."""
    eos = byte_tokenizer.special.eos
    return [[(t.token_id, t.finish) for t in generate(model, [p], [options], eos)] for p, options in requests]


def test_the_requests_are_what_they_should_be(expected: list[Answer], byte_tokenizer: Tokenizer) -> None:
    """Some end by themselves, some are cut, and the grammar makes the difference."""
    finishes = {answer[-1][1] for answer in expected[4:]}
    assert finishes == {"stop", "length"}
    texts = [byte_tokenizer.decode([token for token, _ in answer]) for answer in expected]
    assert not any(text[0] in "[{" for text in texts[:4])
    assert {text[0] for text in texts[4:]} == {"[", "{"}
    assert len(set(texts)) > 6


def test_a_batch_of_the_plain_loop(
    model: VL2, requests: list[tuple[Prompt, SamplingParams]], expected: list[Answer], byte_tokenizer: Tokenizer
) -> None:
    got: list[Answer] = [[] for _ in requests]
    prompts, params = zip(*requests, strict=True)
    for token in generate(model, prompts, params, byte_tokenizer.special.eos):
        got[token.prompt].append((token.token_id, token.finish))
    assert got == expected


@pytest.mark.parametrize("deterministic", [False, True])
def test_all_at_once(
    deterministic: bool, model: VL2, requests: list[tuple[Prompt, SamplingParams]], expected: list[Answer],
    byte_tokenizer: Tokenizer,
) -> None:  # fmt: skip
    engine = Engine(model, byte_tokenizer.special.eos, deterministic=deterministic)
    got: list[Answer] = [[] for _ in requests]
    for number, output in engine.stream(*map(list, zip(*requests, strict=True))):
        got[number].append((output.token_id, output.finish))
    assert got == expected


def test_drafts_that_the_grammar_forbids_are_not_accepted(
    model: VL2, requests: list[tuple[Prompt, SamplingParams]], expected: list[Answer], byte_tokenizer: Tokenizer
) -> None:
    """And those that it allows are."""
    eos = byte_tokenizer.special.eos
    prompt, params = requests[12]
    engine = Engine(model, eos, block_size=4, speculate=4)
    got = [(output.token_id, output.finish) for _, output in engine.stream([prompt], [params])]
    assert got == expected[12]
    stats = engine.stats()
    assert 0 < stats.num_accepted_drafts < stats.num_drafts
    assert stats.num_steps < len(got)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32))
def test_any_interleaving_gives_the_tokens_of_the_plain_loop(
    seed: int, model: VL2, requests: list[tuple[Prompt, SamplingParams]], expected: list[Answer],
    byte_tokenizer: Tokenizer,
) -> None:  # fmt: skip
    """Random arrivals and aborts, prompts in chunks, preemption, known prefixes, drafts, a host that runs ahead."""
    rng = Random(seed)
    language = model.config.language_config
    size = rng.choice([4, 16])
    longest = max(len(prompt.input_ids) for prompt, _ in requests) + LENGTH
    token_bytes = language.num_hidden_layers * language.kv_values_per_token * model.dtype.itemsize
    engine = Engine(
        model, byte_tokenizer.special.eos, block_size=size,
        cache_bytes=(-(-longest // size) + rng.randint(0, 12)) * size * token_bytes, max_running=rng.randint(1, 6),
        step_tokens=rng.randint(6, 200), prefix_cache=rng.random() < 0.8, speculate=rng.choice([0, 1, 4]),
        run_ahead=rng.random() < 0.5,
    )  # fmt: skip
    wanted: dict[int, int] = {}
    got: dict[int, Answer] = {}
    arrivals = 14
    while arrivals or engine.has_work:
        while arrivals and rng.random() < 0.4:
            arrivals -= 1
            number = rng.randrange(len(requests))
            request = engine.submit(*requests[number])
            wanted[request], got[request] = number, []
        if rng.random() < 0.03 and wanted:
            request = rng.choice(list(wanted))
            engine.abort(request)
            aborted = got.pop(request)
            assert aborted == expected[wanted.pop(request)][: len(aborted)]
        for output in engine.step():
            got[output.request_id].append((output.token_id, output.finish))
    assert got == {request: expected[number] for request, number in wanted.items()}
    assert engine.stats().num_free_blocks == engine.stats().num_blocks


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_says_the_same(
    make_model: Callable[..., VL2], requests: list[tuple[Prompt, SamplingParams]], expected: list[Answer],
    byte_tokenizer: Tokenizer,
) -> None:  # fmt: skip
    """Greedy requests, while others of the same step are chosen on the device."""
    engine = Engine(make_model("base", 3).to("cuda"), byte_tokenizer.special.eos)
    greedy = [number for number, (_, params) in enumerate(requests) if params.temperature == 0]
    got: list[Answer] = [[] for _ in greedy]
    for number, output in engine.stream(*map(list, zip(*[requests[number] for number in greedy], strict=True))):
        got[number].append((output.token_id, output.finish))
    assert got == [expected[number] for number in greedy]
