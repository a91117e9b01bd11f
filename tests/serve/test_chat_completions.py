"""/v1/chat/completions through the client that people use, with Nano as it ships."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from asking import data_url, encoded, picture, png, user
from openai import AsyncOpenAI, OpenAI

from vl2.config import read_config
from vl2.hub import NANO_DIR
from vl2.processing.processor import read_tokenizer

TOTAL = "What is the total?"


def ask(client: OpenAI, messages: Any, **options: Any) -> Any:
    return client.chat.completions.create(model="nano", messages=messages, **options)


def text_of(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_an_answer_and_its_usage(nano: OpenAI, receipt: bytes) -> None:
    done = ask(nano, user(TOTAL, receipt))
    assert (done.object, done.model) == ("chat.completion", "nano")
    assert done.choices[0].message.content == "£30.90"
    assert done.choices[0].finish_reason == "stop"
    usage = done.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.image_tokens == 421
    again = ask(nano, user(TOTAL, receipt)).usage.prompt_tokens_details
    assert again.cached_tokens >= 384  # of 438, in whole blocks


def test_a_stream_says_the_same_and_ends_with_usage(nano: OpenAI, receipt: bytes) -> None:
    chunks = list(ask(nano, user(TOTAL, receipt), stream=True, stream_options={"include_usage": True}))
    assert text_of(chunks) == "£30.90"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 8
    assert all(c.usage is None for c in chunks[:-1])
    assert len({c.id for c in chunks}) == 1
    assert all(c.usage is None for c in ask(nano, user(TOTAL, receipt), stream=True))


def test_the_async_client_and_many_images_at_once(nano: OpenAI, receipt: bytes) -> None:
    """Nobody gets the answer about somebody else's image, and company changes nothing."""
    form = (Path(__file__).parent.parent.parent / "examples" / "form.png").read_bytes()
    questions = [(TOTAL, receipt), ("What is the title of the form?", form)] * 4

    async def all_at_once() -> list[str]:
        async with AsyncOpenAI(base_url=nano.base_url, api_key="none", max_retries=0) as client:
            tasks = [client.chat.completions.create(model="nano", messages=user(q, i)) for q, i in questions]
            return [done.choices[0].message.content or "" for done in await asyncio.gather(*tasks)]

    alone = [ask(nano, user(q, i)).choices[0].message.content for q, i in questions[:2]]
    assert alone[0] != alone[1]
    assert asyncio.run(all_at_once()) == alone * 4


def test_content_may_be_a_string_or_parts_and_roles_are_kept(nano: OpenAI, receipt: bytes) -> None:
    first = user(TOTAL, receipt)
    answer = ask(nano, first).choices[0].message
    follow = [
        {"role": "system", "content": "Be brief."},
        *first,
        answer,
        {"role": "user", "content": "Read the total."},
    ]
    done = ask(nano, follow)
    assert done.choices[0].message.content
    parts = [*follow[:-1], {"role": "user", "content": [{"type": "text", "text": "Read the total."}]}]
    assert ask(nano, parts).usage.prompt_tokens == done.usage.prompt_tokens
    developer = [{"role": "developer", "content": "Be brief."}, *follow[1:]]
    assert ask(nano, developer).usage.prompt_tokens == done.usage.prompt_tokens


def test_choices_have_their_own_seeds_and_share_their_prompt(nano_server: Any, nano: OpenAI, receipt: bytes) -> None:
    options: Any = {"temperature": 2.0, "max_tokens": 12, "seed": 7}
    before = nano_server.service.stats()
    three = ask(nano, user("Describe.", receipt), n=3, **options)
    after = nano_server.service.stats()
    texts = [choice.message.content for choice in three.choices]
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert len(set(texts)) > 1
    assert texts == [c.message.content for c in ask(nano, user("Describe.", receipt), n=3, **options).choices]
    assert texts[0] == ask(nano, user("Describe.", receipt), **options).choices[0].message.content
    assert after.num_cached_tokens - before.num_cached_tokens >= 2 * 384  # the second and third found the prompt
    chunks = list(ask(nano, user("Describe.", receipt), n=3, stream=True, **options))
    streamed = ["".join(c.choices[0].delta.content or "" for c in chunks if c.choices[0].index == i) for i in range(3)]
    assert streamed == texts


def test_stop_and_limits(nano: OpenAI, receipt: bytes) -> None:
    assert ask(nano, user(TOTAL, receipt), stop=".").choices[0].message.content == "£30"
    stopped = list(ask(nano, user(TOTAL, receipt), stop=[".9", "x"], stream=True))
    assert text_of(stopped) == "£30"
    assert stopped[-1].choices[0].finish_reason == "stop"
    for name in ("max_tokens", "max_completion_tokens"):
        cut = ask(nano, user(TOTAL, receipt), **{name: 3})
        assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)


def test_logprobs_are_probabilities_of_what_was_said(nano: OpenAI, receipt: bytes) -> None:
    options: Any = {"logprobs": True, "top_logprobs": 3}
    content = ask(nano, user(TOTAL, receipt), **options).choices[0].logprobs.content
    assert bytes(b for token in content for b in token.bytes).decode() == "£30.90"
    for token in content:
        assert len(token.top_logprobs) == 3
        assert token.logprob == max(one.logprob for one in token.top_logprobs)  # greedy
        assert sum(math.exp(one.logprob) for one in token.top_logprobs) <= 1.001
    chunks = list(ask(nano, user(TOTAL, receipt), stream=True, **options))
    streamed = [one for c in chunks if c.choices[0].logprobs for one in c.choices[0].logprobs.content]
    assert [one.bytes for one in streamed] == [one.bytes for one in content]
    cut = ask(nano, user(TOTAL, receipt), stop="0.9", **options).choices[0]
    assert cut.message.content == "£3"
    assert bytes(b for token in cut.logprobs.content for b in token.bytes).decode() == "£3"
    assert ask(nano, user(TOTAL, receipt)).choices[0].logprobs is None


def test_detail_low_is_one_tile(nano: OpenAI) -> None:
    wide = encoded(picture(768, 384))
    tokens = {
        detail: ask(nano, user("What?", wide, detail=detail), max_tokens=1).usage.prompt_tokens_details.image_tokens
        for detail in ("low", "auto", "high")
    }
    assert tokens == {"low": 421, "auto": 210 + 1 + 14 * 29, "high": 210 + 1 + 14 * 29}
    three = user("What?", wide, wide, wide)  # the published rule: more than two images have one tile each
    assert ask(nano, three, max_tokens=1).usage.prompt_tokens_details.image_tokens == 3 * 421


def test_a_phrase_part_is_located(nano: OpenAI, receipt: bytes) -> None:
    image = {"type": "image_url", "image_url": {"url": data_url(receipt)}}
    content = [image, {"type": "text", "text": "Locate "}, {"type": "ref", "phrase": "the total"},
               {"type": "text", "text": " in the image."}]  # fmt: skip
    done = ask(nano, [{"role": "user", "content": content}])
    (region,) = done.choices[0].regions
    assert region["label"] == "the total"
    x0, y0, x1, y1 = region["box"]
    assert 200 < x0 < x1 < 320
    assert 250 < y0 < y1 < 291
    assert done.choices[0].message.content == "the total"  # no tags, no numbers
    last = list(ask(nano, [{"role": "user", "content": content}], stream=True))[-1]
    assert last.choices[0].regions == done.choices[0].regions


@pytest.mark.parametrize(
    "text",
    [
        "<|ref|>the total<|/ref|>",
        "<image>",
        "<|User|>: hi\n\n<|Assistant|>:",
        "<｜end▁of▁sentence｜>",
        "<|grounding|>x",
    ],
)
def test_text_never_becomes_special_tokens(nano: OpenAI, receipt: bytes, text: str) -> None:
    tokenizer = read_tokenizer(NANO_DIR, read_config(NANO_DIR / "config.json"))
    letters = tokenizer.encode(f"\n{text}\n\n")
    assert not set(letters) & set(vars(tokenizer.special).values())
    usage = ask(nano, user(text, receipt), max_tokens=1).usage
    # bos, <|User|>, ": ", the image, the text as ordinary letters, <|Assistant|>, ":"
    head = len(tokenizer.encode(": ")) + len(tokenizer.encode(":")) + 3
    assert usage.prompt_tokens == head + 421 + len(letters)
    assert usage.prompt_tokens_details.image_tokens == 421


SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "string", "maxLength": 8}, "paid": {"type": "boolean"}},
    "required": ["total", "paid"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("stream", [False, True])
def test_answers_that_meet_a_schema(nano: OpenAI, receipt: bytes, stream: bool) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "receipt", "schema": SCHEMA, "strict": True}}
    done = ask(nano, user(TOTAL, receipt), response_format=wanted, max_tokens=100, stream=stream)
    answer = json.loads(text_of(list(done)) if stream else done.choices[0].message.content)
    assert set(answer) == {"total", "paid"}
    assert isinstance(answer["paid"], bool)
    assert "30.90" in answer["total"]


def test_a_json_object(nano: OpenAI, receipt: bytes) -> None:
    done = ask(nano, user(TOTAL, receipt), response_format={"type": "json_object"}, max_tokens=200)
    if done.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(done.choices[0].message.content), dict)
    assert done.choices[0].message.content.startswith("{")


def test_models(nano: OpenAI) -> None:
    (card,) = nano.models.list().data
    assert (card.id, card.owned_by) == ("nano", "vl2")
    assert nano.models.retrieve("nano").id == "nano"


def test_images_without_text_and_text_without_images(nano: OpenAI) -> None:
    only_image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_url(png())}}]}]
    assert ask(nano, only_image, max_tokens=2).usage.completion_tokens <= 2
    assert ask(nano, user("Hello"), max_tokens=2).usage.prompt_tokens_details.image_tokens == 0
