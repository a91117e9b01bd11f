"""Every shape gives the same messages; what cannot be learned from is refused with its field."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vl2.data.image_references import locate, locate_members
from vl2.data.records import RecordError
from vl2.data.shapes import CAPTIONS, LLAVA, MESSAGES, RECORDS, ImageSource, Row, recognise, to_messages
from vl2.processing.messages import Image, Message, Text

BASE = Path("/data")
A, B = Path("/data/a.png"), Path("/data/b.png")
WANTED = [Message("user", (Image(A), Text("\nHow?"))), Message("assistant", (Text("so"),))]


def human(text: Any) -> dict[str, Any]:
    return {"from": "human", "value": text}


def gpt(text: Any) -> dict[str, Any]:
    return {"from": "gpt", "value": text}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def bot(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def text(words: Any) -> dict[str, Any]:
    return {"type": "text", "text": words}


def url(name: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": name}}


PLACE = {"type": "image"}
ROW = Row({"image": "a.png", "conversations": [human("<image>\nHow?"), gpt("so")]})


def read(row: Row) -> list[Message]:
    def find(references: Sequence[tuple[Any, str]]) -> list[ImageSource]:
        if row.images is not None:
            return locate_members(references, row.images, BASE)
        return [locate(reference, field, BASE) for reference, field in references]

    return to_messages(row, recognise(row) or LLAVA, BASE, find)


def joined(message: Message) -> list[Any]:
    """Images, and texts between them: the renderer joins neighbours, too."""
    out: list[Any] = []
    for part in message.parts:
        if isinstance(part, Text) and out and isinstance(out[-1], str):
            out[-1] += part.text
        else:
            out.append(part.text if isinstance(part, Text) else part)
    return out


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        (RECORDS, {"id": "1", "images": ["a.png"], "question": "How?", "answers": ["so"], "metric": "exact"}),
        (RECORDS, {"id": "1", "images": ["a.png"], "question": "How?", "answers": ["so"], "metric": "cer"}),
        (LLAVA, ROW.values),
        (LLAVA, {"images": ["a.png"], "conversations": [human("<image>\nHow?"), gpt("so")], "model": "x"}),
        (LLAVA, {"image": "a.png", "conversations": {"from": ["human", "gpt"], "value": ["<image>\nHow?", "so"]}}),
        (MESSAGES, {"messages": [user([url("a.png"), text("How?")]), bot("so")]}),
        (MESSAGES, {"messages": [user([url("file:///data/a.png"), text("\nHow?")]), bot([text("so")])]}),
        (MESSAGES, {"messages": [user([{"type": "image_url", "image_url": "a.png"}, text("How?")]), bot("so")]}),
        (MESSAGES, {"messages": [user([{"type": "image", "image": "a.png"}, text("How?")]), bot("so")]}),
        (MESSAGES, {"messages": [user([PLACE, text("How?")]), bot("so")], "images": ["a.png"]}),
        (MESSAGES, {"messages": [user("<image>\nHow?"), bot("so")], "images": [{"bytes": None, "path": "a.png"}]}),
    ],
)
def test_same_messages(shape: str, values: dict[str, Any]) -> None:
    assert recognise(Row(values)) == shape
    assert [(message.role, joined(message)) for message in read(Row(values))] == [
        (message.role, joined(message)) for message in WANTED
    ]


def test_turns_systems_and_several_images() -> None:
    turns = [{"from": "system", "value": "Be brief."}, human("<image> and <image>?"), gpt("x"), human("Why?"), gpt("y")]
    system, first, _, second, last = read(Row({"image": ["a.png", "b.png"], "conversations": turns}))
    assert system == Message("system", (Text("Be brief."),))
    assert first.parts == (Image(A), Text(" and "), Image(B), Text("?"))
    assert (second.parts, last.parts) == ((Text("Why?"),), (Text("y"),))
    (both, _) = read(Row({"messages": [user([url("a.png"), url("b.png"), text("Same?")]), bot("no")]}))
    assert both.parts == (Image(A), Text("\n"), Image(B), Text("\nSame?"))


def test_samples_of_archives() -> None:
    members = (("k.jpg", b"pixels"),)
    asked, told = read(Row({}, members, "a cat"))
    assert asked.parts == (Image(b"pixels"), Text("\nDescribe the image."))
    assert told.parts == (Text("a cat"),)
    assert recognise(Row({"width": 3}, members, "a cat")) == CAPTIONS
    assert read(Row({"question": "What?"}, members, "a cat"))[0].parts[1] == Text("\nWhat?")
    unnamed = {"conversations": ROW.values["conversations"]}
    for values in (ROW.values, unnamed, {"messages": [user("<image>"), bot("so")]}):
        assert read(Row(values, members))[0].parts[0] == Image(b"pixels")
    record = {"id": "1", "images": ["k.jpg"], "question": "How?", "answers": ["so"], "metric": "exact"}
    assert read(Row(record, members))[0].parts[0] == Image(b"pixels")


def test_unknown_fields_have_no_shape() -> None:
    for values in ({}, {"question": "x"}, [1], None):
        assert recognise(Row(values)) is None


def llava(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"conversations": list(turns), **more}


def chat(*turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(turns), **more}


@pytest.mark.parametrize(
    ("values", "reason", "message"),
    [
        ([1], "fields", "expected an object, got list"),
        (llava(), "fields", r"conversations = \[\]: expected a list"),
        ({"conversations": "hi"}, "fields", "conversations = 'hi': expected a list"),
        (llava({"from": "tool", "value": "x"}), "roles", r"conversations\[0\].from = 'tool': must be human, gpt or"),
        (llava(human(None), gpt("x")), "fields", r"conversations\[0\].value = None: expected a text"),
        (llava(human("a")), "no answer", "no answer to learn from"),
        (llava(human("a"), gpt(" ")), "no answer", r"conversations\[1\]: an empty message of the assistant"),
        (llava(human(""), gpt("x")), "fields", r"conversations\[0\]: an empty message of the user"),
        (llava(gpt("x")), "roles", r"conversations\[0\]: assistant speaks where user must"),
        (llava(human("a"), human("b"), gpt("x")), "roles", r"conversations\[1\]: user speaks where assistant must"),
        (llava(human("a"), gpt("x"), human("b")), "roles", r"conversations\[2\]: the last message must be an answer"),
        (llava(human("<image>a"), gpt("x")), "image marks", "1 <image> marks in the questions but 0 images"),
        (llava(human("a"), gpt("x"), image="a.png"), "image marks", "0 <image> marks in the questions but 1 images"),
        (llava(human("a"), gpt("<image>x")), "roles", r"conversations\[1\]: <image> in a message of the assistant"),
        (llava(human("a"), gpt("x"), image="a", images=["a"]), "fields", "image and images: give one"),
        (llava(human("<image>"), gpt("x"), image=7), "fields", "image = 7: expected a path"),
        (llava(human("a"), gpt("<|ref|>x<|/ref|>")), "tags", r"conversations\[1\].value holds <\|ref\|>"),
        (llava(human("\ud800"), gpt("x")), "fields", r"conversations\[0\].value = .*surrogate"),
        (chat({"role": "tool", "content": "x"}), "roles", r"messages\[0\].role = 'tool': .*tools are not supported"),
        (chat(user("a"), {"role": "assistant", "tool_calls": [1]}), "fields", r"messages\[1\].tool_calls: calls of"),
        (chat(user("a"), bot("x") | {"weight": 0}), "fields", r"messages\[1\].weight = 0"),
        (chat(user([{"type": "input_audio"}]), bot("x")), "fields", r"messages\[0\].content\[0\].type = 'input_audio'"),
        (chat(user(["hi"]), bot("x")), "fields", r"messages\[0\].content\[0\].type = None"),
        (chat(user([{"type": "image_url"}]), bot("x")), "fields", r"content\[0\].image_url = None: expected"),
        (chat(user([url("http://a/b")]), bot("x")), "refused URL", r"messages\[0\].content\[0\] = .*download it first"),
        (chat(user([text(3)]), bot("x")), "fields", r"messages\[0\].content\[0\].text = 3: expected a text"),
        (chat(user([PLACE]), bot("x")), "image marks", "1 <image> marks in the questions but 0 images"),
        (chat(user("a"), bot([url("a.png")])), "roles", r"messages\[1\].content\[0\]: an image in a message"),
        ({"question": "a", "answers": ["x"]}, "fields", "missing field id, images, metric"),
    ],
)  # fmt: skip
def test_refused(values: Any, reason: str, message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        read(Row(values))
    assert caught.value.reason == reason
