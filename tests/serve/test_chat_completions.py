"""/v1/chat/completions through the client that people use, with Nano."""

from asking import user
from openai import OpenAI


def test_an_answer_and_its_usage(nano: OpenAI, receipt: bytes) -> None:
    done = nano.chat.completions.create(model="nano", messages=user("What is the total?", receipt))
    assert done.choices[0].message.content == "£30.90"
    assert done.choices[0].finish_reason == "stop"
    usage = done.usage
    assert usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details
    assert usage.prompt_tokens_details.image_tokens == 421


def test_a_stream_says_the_same_and_ends_with_usage(nano: OpenAI, receipt: bytes) -> None:
    chunks = list(
        nano.chat.completions.create(
            model="nano", messages=user("What is the total?", receipt), stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "£30.90"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert all(c.usage is None for c in chunks[:-1])
    assert len({c.id for c in chunks}) == 1
