"""The decoding loop: a batch against each request alone, where sequences end, and that images reach the answer."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vl2.generate import Token, embed_prompt, generate
from vl2.model.cache import PackedSequences
from vl2.model.vl2 import VL2
from vl2.processing.prompts import ask_message
from vl2.processing.render import Prompt, Renderer
from vl2.processing.tokenizer import Tokenizer
from vl2.sampling import SamplingParams

MakeModel = Callable[..., VL2]
NEVER = -1  # no token has this id, so nothing ends early


def picture(width: int, height: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def text_prompt(length: int, seed: int) -> Prompt:
    ids = torch.randint(0, 300, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return Prompt(ids, ids, (), ())


@pytest.fixture(scope="session")
def prompts(byte_tokenizer: Tokenizer, make_model: MakeModel) -> list[Prompt]:
    """None, one, two and three images (the last without tiling), of different grids, between plain texts."""
    renderer = Renderer(byte_tokenizer, make_model("tiny").config)
    sizes: list[list[tuple[int, int]]] = [[], [(38, 38)], [(70, 30), (30, 70)], [], [(80, 80)], [(40, 40)] * 3]
    return [
        renderer.render([ask_message([picture(w, h, i) for w, h in images], "what?" * i)], for_generation=True)
        for i, images in enumerate(sizes)
    ] + [text_prompt(31, 0)]


def tokens_of(
    model: VL2, prompts: Sequence[Prompt], eos_id: int = NEVER, params: SamplingParams | None = None, **options: object
) -> list[list[int]]:
    params = params or SamplingParams(**{"max_tokens": 12, **options})  # type: ignore[arg-type]
    out: list[list[int]] = [[] for _ in prompts]
    for token in generate(model, prompts, [params] * len(prompts), eos_id):
        out[token.prompt].append(token.token_id)
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["tiny", "small", "base"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_batch_equals_each_alone(
    kind: str, seed: int, dtype: torch.dtype, prompts: list[Prompt], make_model: MakeModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Tokens, and every logit that chose them bit for bit: not equal by luck."""
    model = make_model(kind, seed, dtype)
    logits: list[Tensor] = []
    plain = model.logits
    monkeypatch.setattr(model, "logits", lambda hidden: logits.append(plain(hidden)) or logits[-1])
    together = tokens_of(model, prompts)
    batch_logits = torch.cat(logits).unflatten(0, (-1, len(prompts)))  # (tokens, prompts, V): all take equally many
    assert len({tuple(row) for row in together}) > 3  # the answers differ
    for number, prompt in enumerate(prompts):
        logits.clear()
        assert tokens_of(model, [prompt])[0] == together[number]
        assert torch.cat(logits).equal(batch_logits[:, number])


@pytest.mark.parametrize("kind", ["tiny", "base"])
def test_tokens_are_those_of_full_passes(kind: str, prompts: list[Prompt], make_model: MakeModel) -> None:
    """Without any cache: each token is the likeliest after everything before it."""
    model = make_model(kind, 4)
    for prompt, answer in zip(prompts, tokens_of(model, prompts), strict=True):
        x = torch.cat([embed_prompt(model, prompt), model.language.embed_tokens(torch.tensor(answer[:-1]))])
        hidden, _ = model(x, torch.arange(len(x)), PackedSequences.of_lengths([len(x)], "cpu"))
        assert model.logits(hidden[len(prompt.input_ids) - 1 :]).argmax(-1).tolist() == answer


def test_images_reach_the_answer(prompts: list[Prompt], make_model: MakeModel) -> None:
    """Every image of a prompt; and only pixels, since the ids stay the same."""
    model = make_model("small")
    two = prompts[2]
    before = embed_prompt(model, two)
    for number, (start, length) in enumerate(two.spans):
        images = list(two.images)
        images[number] = replace(images[number], tiles_NCYX=255 - images[number].tiles_NCYX)
        changed = (embed_prompt(model, replace(two, images=tuple(images))) - before).abs().amax(-1) > 0
        assert changed[start : start + length].sum() >= length - 12  # all but newlines and the separator
        assert not changed[:start].any()
        assert not changed[start + length :].any()


def test_embeddings_agree_with_the_plain_layout(prompts: list[Prompt], make_model: MakeModel) -> None:
    """A 1x1 image is encoded once for both of its views; nothing may show it."""
    model = make_model("tiny")
    for prompt in prompts:
        if prompt.images:
            tiles = np.concatenate([image.tiles_NCYX for image in prompt.images])
            images = model.encode_images(model.pixel_values(torch.from_numpy(tiles)), [i.grid for i in prompt.images])
            positions = torch.cat([torch.arange(start, start + length) for start, length in prompt.spans])
            expected = model.embed(torch.tensor(prompt.input_ids), positions, images)
            torch.testing.assert_close(embed_prompt(model, prompt), expected, atol=1e-5, rtol=0)


def test_wrong_number_of_image_tokens_is_refused(prompts: list[Prompt], make_model: MakeModel) -> None:
    prompt = replace(prompts[1], spans=((3, 24),))
    with pytest.raises(ValueError, match="24 image placeholders but 25 image tokens"):
        embed_prompt(make_model("tiny"), prompt)
    model = make_model("tiny")
    with pytest.raises(ValueError, match="need 2 tiles, got 3"):
        model.encode_images(torch.zeros(3, 3, 38, 38), [prompts[1].images[0].grid])


def test_end_token(make_model: MakeModel) -> None:
    """It is reported and ends its sequence alone."""
    model, prompts = make_model("tiny"), [text_prompt(9, 1), text_prompt(5, 2)]
    free = tokens_of(model, prompts)
    eos = next(token for token in free[0] if token not in free[1])
    end = free[0].index(eos)
    params = [SamplingParams(max_tokens=12)] * 2
    tokens = list(generate(model, prompts, params, eos))
    first = [token for token in tokens if token.prompt == 0]
    assert [token.token_id for token in first] == free[0][: end + 1]
    assert [token.finish for token in first] == [None] * end + ["stop"]
    assert [token.token_id for token in tokens if token.prompt == 1] == free[1]
    assert tokens[-1] == Token(1, free[1][-1], "length")


def test_max_tokens_of_each_request(make_model: MakeModel) -> None:
    model, prompts = make_model("small"), [text_prompt(n, n) for n in (4, 5, 6)]
    params = [SamplingParams(max_tokens=n) for n in (1, 7, 3)]
    tokens = list(generate(model, prompts, params, NEVER))
    for number, wanted in enumerate((1, 7, 3)):
        finishes = [token.finish for token in tokens if token.prompt == number]
        assert finishes == [None] * (wanted - 1) + ["length"]


def test_the_context_ends_a_sequence(make_model: MakeModel) -> None:
    """Position 255 is the last that the model knows; the token chosen there is the answer's last."""
    model = make_model("tiny")
    tokens = list(generate(model, [text_prompt(250, 3), text_prompt(9, 4)], [SamplingParams(max_tokens=20)] * 2, NEVER))
    assert [token.finish for token in tokens if token.prompt == 0] == [None] * 5 + ["length"]
    assert sum(token.prompt == 1 for token in tokens) == 20


def test_tokens_come_as_they_are_made(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first token is out before the second is computed."""
    model = make_model("tiny")
    passes: list[int] = []
    plain = model.forward
    monkeypatch.setattr(model, "forward", lambda x, *rest: passes.append(len(x)) or plain(x, *rest))
    stream = generate(model, [text_prompt(6, 0)], [SamplingParams(max_tokens=3)], NEVER)
    next(stream)
    assert passes == [6]
    next(stream)
    assert passes == [6, 1]


@pytest.mark.parametrize("at", [0, 2])
def test_a_consumer_ends_one_sequence(at: int, make_model: MakeModel) -> None:
    model, prompts = make_model("tiny"), [text_prompt(6, 0), text_prompt(7, 1)]
    free = tokens_of(model, prompts)
    stream = generate(model, prompts, [SamplingParams(max_tokens=12)] * 2, NEVER)
    out: list[list[int]] = [[], []]
    reply: int | None = None
    while True:
        try:
            token = stream.send(reply)
        except StopIteration:
            break
        out[token.prompt].append(token.token_id)
        reply = token.prompt if token.prompt == 0 and len(out[0]) == at + 1 else None
    assert out == [free[0][: at + 1], free[1]]


def test_seeds(make_model: MakeModel) -> None:
    """The same seed gives the same answer, alone and in a batch; another seed another one."""
    model, prompts = make_model("tiny"), [text_prompt(8, 0), text_prompt(9, 1)]
    options = {"temperature": 1.5, "seed": 3}
    together = tokens_of(model, prompts, **options)
    assert together == [tokens_of(model, [prompt], **options)[0] for prompt in prompts]
    assert together != tokens_of(model, prompts, temperature=1.5, seed=4)
    assert together != tokens_of(model, prompts)


def test_repetition_penalty_counts_the_prompt(make_model: MakeModel) -> None:
    model, prompt = make_model("tiny", 1), text_prompt(40, 5)
    answer = tokens_of(model, [prompt], repetition_penalty=1e6, max_tokens=50)[0]
    assert len(set(answer)) == 50
    assert not set(answer) & set(prompt.input_ids)


def test_no_prompts() -> None:
    assert list(generate(None, [], [], NEVER)) == []  # type: ignore[arg-type]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["tiny", "small", "base"])
def test_cuda_gives_the_tokens_of_the_cpu(kind: str, prompts: list[Prompt], make_model: MakeModel) -> None:
    expected = tokens_of(make_model(kind), prompts)
    assert tokens_of(make_model(kind).to("cuda"), prompts) == expected
