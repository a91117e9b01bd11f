"""The engine against the plain loop, whatever else happens at the same time; and what only the engine has."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vl2.bench.ours import text_prompt
from vl2.engine import prompt_graph
from vl2.engine.engine import Engine
from vl2.engine.graphs import Graphs
from vl2.engine.image_cache import ImageCache, digest
from vl2.engine.paged_cache import Continued, PagedCache
from vl2.engine.speculation import PromptLookup
from vl2.engine.types import CapacityError, Chunk
from vl2.generate import embed_prompt, generate
from vl2.model.cache import PackedSequences
from vl2.model.vl2 import VL2
from vl2.processing.prompts import ask_message
from vl2.processing.render import Prompt, Renderer
from vl2.processing.tokenizer import Tokenizer
from vl2.sampling import SamplingParams

MakeModel = Callable[..., VL2]
NEVER = -1  # no token has this id, so nothing ends early
KINDS = ("tiny", "small", "base")
LENGTH = 9
GREEDY = SamplingParams(max_tokens=LENGTH)


def picture(width: int, height: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="session")
def mixed_prompts(byte_tokenizer: Tokenizer, make_model: MakeModel) -> list[Prompt]:
    """Texts with common beginnings, and images: the same one twice, another of its size, several in a prompt."""
    renderer = Renderer(byte_tokenizer, make_model("tiny").config)

    def render(question: str, *images: Image.Image) -> Prompt:
        return renderer.render([ask_message(list(images), question)], for_generation=True)

    one, two, wide = picture(38, 38, 0), picture(38, 38, 1), picture(80, 36, 2)
    return [
        render("what is the total of this receipt?"),
        render("what is the total of this receipt? the total is 42.00"),
        render("what?", one),
        render("what is it?", one),
        render("what?", two),
        render("where?", wide, one),
        render("is", one, two, wide),
    ]


@pytest.fixture(scope="session")
def models(make_model: MakeModel) -> dict[str, VL2]:
    return {kind: make_model(kind, 3) for kind in KINDS}


@pytest.fixture(scope="session")
def expected(models: dict[str, VL2], mixed_prompts: list[Prompt]) -> dict[str, list[list[int]]]:
    """What the plain loop says to each prompt alone."""
    return {
        kind: [[token.token_id for token in generate(model, [p], [GREEDY], NEVER)] for p in mixed_prompts]
        for kind, model in models.items()
    }


def blocks(model: VL2, count: int, size: int) -> int:
    """cache_bytes of an engine of `count` blocks."""
    language = model.config.language_config
    return count * size * language.num_hidden_layers * language.kv_values_per_token * model.dtype.itemsize


def run_all(engine: Engine, prompts: list[Prompt], params: SamplingParams = GREEDY) -> list[list[int]]:
    out: list[list[int]] = [[] for _ in prompts]
    for number, output in engine.stream(prompts, [params] * len(prompts)):
        out[number].append(output.token_id)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_all_at_once(kind: str, models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict) -> None:
    engine = Engine(models[kind], NEVER)
    assert len({tuple(answer) for answer in expected[kind]}) == len(mixed_prompts)
    assert run_all(engine, mixed_prompts) == expected[kind]
    stats = engine.stats()
    assert stats.num_generated_tokens == LENGTH * len(mixed_prompts)
    assert stats.num_steps == LENGTH  # all prompts in the first
    assert stats.num_free_blocks == stats.num_blocks
    assert stats.num_encoded_images == 4  # the wide one is also seen untiled, beside two others
    assert run_all(engine, mixed_prompts) == expected[kind]  # images and prefixes are known now
    assert engine.stats().num_encoded_images == 4


@pytest.mark.parametrize("kind", KINDS)
def test_single_tokens_together(
    kind: str, models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of CUDA, on which the kernels' references stand in."""
    monkeypatch.setattr(PagedCache, "has_kernel", True)
    assert run_all(Engine(models[kind], NEVER, block_size=16, step_tokens=100), mixed_prompts) == expected[kind]


def computed(
    graphs: Graphs, key: object, compute: Callable, inputs: tuple[torch.Tensor, ...], first: object = None
) -> tuple[torch.Tensor, ...]:
    """Instead of Graphs.replay."""
    graphs.num_replays += 1
    return compute(*(given.clone() for given in inputs))


def compute_graphs(engine: Engine, patch: pytest.MonkeyPatch) -> None:
    """Let an engine take the way of CUDA graphs, computing what they hold instead of replaying them."""
    patch.setattr(PagedCache, "has_kernel", True)
    patch.setattr(Graphs, "replay", computed)
    patch.setattr(Graphs, "prepare", lambda graphs, key, compute, inputs: compute(*inputs))
    engine.runner.use_graphs = engine.runner.images.use_graphs = True


def test_more_prompts_than_a_graph_takes(models: dict[str, VL2], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_graph, "MOST_SEQUENCES", 2)
    monkeypatch.setattr(prompt_graph, "MOST_TOKENS", 128)
    model = models["small"]
    texts = [text_prompt(model.config, length, length) for length in (60, 61, 5, 120, 9, 7, 3)]
    expected = [[token.token_id for token in generate(model, [one], [GREEDY], NEVER)] for one in texts]
    engine = Engine(model, NEVER, block_size=16)
    compute_graphs(engine, monkeypatch)
    monkeypatch.setattr(engine.runner, "_run", None)
    assert run_all(engine, texts) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_steps_of_a_graph(
    kind: str, models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of different sequences, drafts, and short ends of prompts after a known prefix."""
    engine = Engine(models[kind], NEVER, block_size=16, speculate=2, max_running=3)
    compute_graphs(engine, monkeypatch)
    engine.prepare()
    ways, find = [], engine.runner._ways
    monkeypatch.setattr(engine.runner, "_ways", lambda chunks: ways.append(find(chunks)) or ways[-1])
    assert run_all(engine, mixed_prompts) == expected[kind]
    assert any(len(one) > 1 for one in ways)  # newest tokens and prompts in one step
    replays, steps = engine.runner.num_replays, engine.stats().num_steps
    assert run_all(engine, mixed_prompts[1:2]) == expected[kind][1:2]  # of this prompt, only the end is new
    assert engine.runner.num_replays - replays == engine.stats().num_steps - steps


@pytest.mark.parametrize("kind", KINDS)
def test_long_chunks_together(
    kind: str, models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of several sequences after known prefixes, in one call."""
    monkeypatch.setattr("vl2.engine.paged_cache.EXPAND_ABOVE", 1)
    begun: list[int] = []
    begin = Continued.__init__

    def counted(self: Continued, cache: PagedCache, chunks: Sequence[Chunk]) -> None:
        begun.append(len(chunks))
        begin(self, cache, chunks)

    monkeypatch.setattr(Continued, "__init__", counted)
    engine = Engine(models[kind], NEVER, block_size=4, step_tokens=100)
    for _ in range(2):
        assert run_all(engine, mixed_prompts) == expected[kind]
    assert max(begun) > 1


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS))
def test_any_interleaving_gives_the_tokens_of_the_plain_loop(
    seed: int, kind: str, models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict
) -> None:
    """Random arrivals and aborts, prompts in chunks, preemption, known prefixes, an image cache that is too small."""
    rng = Random(seed)
    model, size = models[kind], rng.choice([4, 16])
    longest = max(len(prompt.input_ids) for prompt in mixed_prompts) + LENGTH
    engine = Engine(
        model,
        NEVER,
        block_size=size,
        cache_bytes=blocks(model, -(-longest // size) + rng.randint(0, 12), size),
        max_running=rng.randint(1, 6),
        step_tokens=rng.randint(6, 200),
        image_cache_bytes=rng.choice([0, 5000, 1 << 20]),
        prefix_cache=rng.random() < 0.8,
        speculate=rng.choice([0, 1, 4]),
        run_ahead=rng.random() < 0.5,
        encode_beside=rng.random() < 0.5,
    )
    with pytest.MonkeyPatch.context() as patch:
        if rng.random() < 0.5:
            compute_graphs(engine, patch)
        wanted: dict[int, int] = {}
        got: dict[int, list[int]] = {}
        arrivals = 12
        while arrivals or engine.has_work:
            while arrivals and rng.random() < 0.4:
                arrivals -= 1
                number = rng.randrange(len(mixed_prompts))
                request = engine.submit(mixed_prompts[number], GREEDY)
                wanted[request], got[request] = number, []
            if rng.random() < 0.04 and wanted:
                request = rng.choice(list(wanted))
                engine.abort(request)
                aborted = got.pop(request)
                assert aborted == expected[kind][wanted.pop(request)][: len(aborted)]
            for output in engine.step():
                got[output.request_id].append(output.token_id)
                assert (output.finish == "length") == (len(got[output.request_id]) == LENGTH)
        assert got == {request: expected[kind][number] for request, number in wanted.items()}
        assert engine.stats().num_free_blocks == engine.stats().num_blocks


def test_the_random_traffic_meets_what_it_is_for(models: dict[str, VL2], mixed_prompts: list[Prompt]) -> None:
    """A small cache and small steps do preempt, cut prompts into chunks, and find prefixes."""
    model = models["base"]
    longest = max(len(prompt.input_ids) for prompt in mixed_prompts) + LENGTH
    engine = Engine(model, NEVER, block_size=4, cache_bytes=blocks(model, -(-longest // 4), 4), step_tokens=64)
    run_all(engine, mixed_prompts * 2)
    stats = engine.stats()
    assert stats.num_preemptions > 0
    assert stats.num_cached_tokens > 0
    assert stats.num_steps > 2 * LENGTH


@pytest.mark.parametrize("kind", KINDS)
def test_many_tokens_after_a_cached_prefix(kind: str, make_model: MakeModel) -> None:
    """Long chunks expand latents instead of absorbing; logits agree with a full pass."""
    model = make_model(kind, 5, max_position_embeddings=512)
    ids = torch.randint(0, 300, (400,), generator=torch.Generator().manual_seed(0)).tolist()
    prompt = Prompt(ids, ids, (), ())
    hidden, _ = model(embed_prompt(model, prompt), torch.arange(400), PackedSequences.of_lengths([400], "cpu"))
    engine = Engine(model, NEVER, step_tokens=190)
    (output,) = [o for _, o in engine.stream([prompt], [SamplingParams(max_tokens=1, logprobs=20)])]
    assert engine.stats().num_steps == 3
    expected = model.logits(hidden[-1:]).log_softmax(-1)[0].topk(20)
    assert [top.token_id for top in output.top_logprobs] == expected.indices.tolist()
    got = torch.tensor([top.logprob for top in output.top_logprobs])
    torch.testing.assert_close(got, expected.values, atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_drafts_change_nothing_but_the_number_of_steps(kind: str, make_model: MakeModel) -> None:
    """A model that soon repeats itself: drafts are accepted, tokens and limits stay, and blocks come back."""
    model = make_model(kind, 1)
    prompts = [Prompt(ids, ids, (), ()) for ids in ([5, 6, 7, 8] * 6, [9, 10, 11] * 5, list(range(20, 40)))]
    params = SamplingParams(max_tokens=60)
    without, drafting = Engine(model, NEVER, block_size=4), Engine(model, NEVER, block_size=4, speculate=4)
    expected = run_all(without, prompts, params)
    assert run_all(drafting, prompts, params) == expected
    stats = drafting.stats()
    assert 0 < stats.num_accepted_drafts <= stats.num_drafts
    assert stats.num_steps < without.stats().num_steps
    assert stats.num_free_blocks == stats.num_blocks
    assert run_all(drafting, prompts, params) == expected  # what was remembered holds no rejected draft
    sampled = SamplingParams(max_tokens=20, temperature=1.0, seed=3)
    before = drafting.stats().num_drafts
    assert run_all(drafting, prompts, sampled) == run_all(without, prompts, sampled)
    assert drafting.stats().num_drafts == before  # only greedy requests are guessed


@settings(max_examples=8, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS), half=st.booleans())
def test_deterministic_answers_are_the_same_to_the_last_bit(
    seed: int, kind: str, half: bool, make_model: MakeModel, mixed_prompts: list[Prompt]
) -> None:
    """Probabilities of all tokens, alone and among random others, with prompts in pieces and preemption."""
    rng = Random(seed)
    model = make_model(kind, 3, torch.bfloat16 if half else torch.float32)
    params = SamplingParams(max_tokens=LENGTH, logprobs=5)
    longest = max(len(prompt.input_ids) for prompt in mixed_prompts) + LENGTH

    def engine(room: int) -> Engine:
        cache_bytes = blocks(model, -(-longest // 4) + room, 4)
        return Engine(
            model, NEVER, cache_bytes=cache_bytes, block_size=4, max_running=4, step_tokens=40,
            image_cache_bytes=rng.choice([0, 1 << 20]), deterministic=True,
        )  # fmt: skip

    alone = [[output for _, output in engine(9).stream([prompt], [params])] for prompt in mixed_prompts]
    crowd, got = engine(rng.randint(0, 12)), {}
    order = [rng.randrange(len(mixed_prompts)) for _ in range(9)]
    for number, output in crowd.stream([mixed_prompts[n] for n in order], [params] * len(order)):
        got.setdefault(number, []).append(output)
    for place, number in enumerate(order):
        assert [replace(o, request_id=0) for o in got[place]] == [replace(o, request_id=0) for o in alone[number]]


def test_deterministic_engines_do_not_guess(models: dict[str, VL2], mixed_prompts: list[Prompt]) -> None:
    with pytest.raises(ValueError, match="speculate = 4: must be 0 with deterministic"):
        Engine(models["tiny"], NEVER, speculate=4, deterministic=True)
    model = models["tiny"]
    longest = max(len(prompt.input_ids) for prompt in mixed_prompts) + LENGTH
    cache_bytes = blocks(model, -(-longest // 4), 4)
    engine = Engine(model, NEVER, block_size=4, cache_bytes=cache_bytes, step_tokens=70, deterministic=True)
    run_all(engine, mixed_prompts)
    assert engine.stats().num_preemptions > 0  # as in the crowds above
    assert engine.stats().num_cached_tokens == 0


def test_lookup_finds_what_followed_and_gives_up() -> None:
    lookup = PromptLookup(4, ignored=99)
    assert lookup.propose([1, 2, 3, 4, 5, 1, 2, 3], 9) == [4, 5, 1, 2]
    assert lookup.propose([1, 2, 3, 4, 5, 1, 2, 3], 2) == [4, 5]
    assert lookup.propose([7, 8, 1, 5, 6, 7, 8, 2, 7, 8], 9) == [2, 7, 8]  # the latest place
    assert lookup.propose([1, 2, 3], 9) == []
    assert lookup.propose([99, 99, 99, 99, 99], 9) == []
    assert lookup.propose([1, 2, 99, 99, 1, 2], 9) == []
    tokens = [1, 2, 3, 1, 2]
    for _ in range(4):
        lookup.record(tokens, 4, 0)
    assert lookup.propose(tokens, 9) == []  # a pause
    assert lookup.propose([*range(100, 130), 1, 2, 3, 1, 2], 9) != []


def test_images_are_encoded_while_others_decode(
    models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request starts when its image is encoded, not before; alone it does not wait; dropped, it leaves nothing."""
    engine = Engine(models["small"], NEVER, encode_beside=True)
    text, pictured = engine.submit(mixed_prompts[0], GREEDY), None
    got: dict[int, list[int]] = {}
    ready = False
    monkeypatch.setattr(engine.scheduler, "is_ready", lambda _: ready)
    for number in range(2 * LENGTH):
        if number == 1:
            pictured = engine.submit(mixed_prompts[2], GREEDY)
        if number == 4:
            assert engine.runner.images.num_encoded == 1
            assert engine.stats().num_waiting == 1
            ready = True
        for output in engine.step():
            got.setdefault(output.request_id, []).append(output.token_id)
    assert got == {text: expected["small"][0], pictured: expected["small"][2]}
    assert engine.runner.images.num_encoded == 1
    engine.submit(mixed_prompts[0], GREEDY)
    engine.step()
    dropped = engine.submit(mixed_prompts[5], GREEDY)
    ready = False
    engine.step()
    engine.abort(dropped)
    assert not engine.runner.images._begun


def test_two_images_never_mix(models: dict[str, VL2], mixed_prompts: list[Prompt]) -> None:
    """Equal placeholders, other pixels, other tiling: other digests, other answers, whatever is cached."""
    model = models["small"]
    one, two = mixed_prompts[2], mixed_prompts[4]
    assert one.input_ids == two.input_ids
    assert len({digest(image) for prompt in mixed_prompts for image in prompt.images}) == 4
    grid = replace(one.images[0], tiles_NCYX=one.images[0].tiles_NCYX.repeat(2, 0))
    assert digest(grid) == digest(one.images[0])  # what is never encoded does not count
    engine = Engine(model, NEVER, block_size=4)
    first, second = run_all(engine, [one]), run_all(engine, [two])
    assert first != second
    assert run_all(Engine(model, NEVER), [two]) == second
    assert engine.stats().num_cached_tokens < one.spans[0][0] + 4  # only what comes before the image was shared


def test_logprobs_are_those_of_the_logits(models: dict[str, VL2], mixed_prompts: list[Prompt]) -> None:
    model, prompt = models["tiny"], mixed_prompts[3]
    params = SamplingParams(max_tokens=3, logprobs=4, temperature=2.0, seed=5)
    outputs = [output for _, output in Engine(model, NEVER).stream([prompt], [params])]
    ids = prompt.input_ids + [output.token_id for output in outputs]
    x = torch.cat(
        [embed_prompt(model, prompt), model.language.embed_tokens(torch.tensor(ids[len(prompt.input_ids) :]))]
    )
    hidden, _ = model(x, torch.arange(len(x)), PackedSequences.of_lengths([len(x)], "cpu"))
    rows = model.logits(hidden[len(prompt.input_ids) - 1 : -1]).log_softmax(-1)
    for output, row in zip(outputs, rows, strict=True):
        assert output.logprob == pytest.approx(float(row[output.token_id]), abs=1e-4)
        assert [top.token_id for top in output.top_logprobs] == row.topk(4).indices.tolist()
    (silent,) = [o for _, o in Engine(model, NEVER).stream([prompt], [SamplingParams(max_tokens=1)])]
    assert silent.logprob is None
    assert silent.top_logprobs == ()


def test_seeds_belong_to_requests(models: dict[str, VL2], mixed_prompts: list[Prompt]) -> None:
    """A sampled answer is the same alone and among others, and differs with the seed."""
    engine = Engine(models["base"], NEVER)
    params = [SamplingParams(max_tokens=8, temperature=1.5, seed=seed) for seed in (1, 2, 1)]
    out: list[list[int]] = [[], [], []]
    for number, output in engine.stream([mixed_prompts[2]] * 3, params):
        out[number].append(output.token_id)
    assert out[0] == out[2] != out[1]
    assert run_all(engine, [mixed_prompts[2]], params[0]) == [out[0]]


def test_the_end_token_and_limits(models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict) -> None:
    answer = expected["tiny"][0]
    stop = answer.index(answer[4])
    outputs = [o for _, o in Engine(models["tiny"], answer[4]).stream(mixed_prompts[:1], [GREEDY])]
    assert [o.token_id for o in outputs] == answer[: stop + 1]
    assert [o.finish for o in outputs] == [None] * stop + ["stop"]
    ids = [1] * 200
    engine = Engine(models["tiny"], NEVER, block_size=4, cache_bytes=blocks(models["tiny"], 2, 4))
    with pytest.raises(CapacityError, match="answer of up to 56 need 255 tokens of cache, which holds 8"):
        engine.submit(Prompt(ids, ids, (), ()), SamplingParams(max_tokens=65))
    assert not engine.has_work
    with pytest.raises(CapacityError, match="256 tokens leaves no room for an answer: the model's context holds 256"):
        engine.submit(Prompt([1] * 256, [1] * 256, (), ()), GREEDY)
    with pytest.raises(CapacityError, match="cache_bytes = 10: one block of 64 tokens needs"):
        Engine(models["tiny"], NEVER, cache_bytes=10)


def test_the_default_cache(models: dict[str, VL2], monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for everybody's longest request, within what there is to spare; for one in any case."""
    model = models["small"]
    longest = -(-model.config.language_config.max_position_embeddings // 16)
    assert Engine(model, NEVER, block_size=16, max_running=5).stats().num_blocks == 5 * longest
    monkeypatch.setattr("vl2.engine.engine._CPU_BYTES", 10)
    assert Engine(model, NEVER, block_size=16).stats().num_blocks == longest


def test_a_stream_that_is_closed_or_fails_leaves_nothing(models: dict[str, VL2], mixed_prompts: list[Prompt]) -> None:
    engine = Engine(models["tiny"], NEVER)
    stream = engine.stream(mixed_prompts[:3], [GREEDY] * 3)
    next(stream)
    assert engine.stats().num_running == 3
    stream.close()
    assert not engine.has_work
    assert engine.stats().num_free_blocks == engine.stats().num_blocks
    with pytest.raises(ValueError, match="shorter"):
        next(engine.stream(mixed_prompts[:2], [GREEDY]))
    assert not engine.has_work


def test_streams_share_the_engine(models: dict[str, VL2], mixed_prompts: list[Prompt], expected: dict) -> None:
    """Two consumers that take turns get their own outputs, and both sets of requests run in common steps."""
    engine = Engine(models["tiny"], NEVER)
    first, second = (engine.stream([prompt], [GREEDY]) for prompt in mixed_prompts[:2])
    pairs = list(zip(first, second, strict=True))
    assert [one[1].token_id for one, _ in pairs] == expected["tiny"][0]
    assert [other[1].token_id for _, other in pairs] == expected["tiny"][1]
    assert engine.stats().num_steps <= LENGTH + 1


def test_image_cache_drops_the_longest_unused() -> None:
    images = ImageCache(3 * 40)
    for key in (b"a", b"b", b"c"):
        images.put(key, torch.zeros(10))
    assert images.get(b"a") is not None
    images.put(b"d", torch.zeros(10))
    assert images.get(b"b") is None
    assert images.get(b"a") is not None
    assert images.num_bytes == 120
    images.put(b"huge", torch.zeros(100))
    assert images.num_bytes == 0  # larger than all there is room for
