"""Typed parts, and the one explicit way in for tagged strings."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vl2.processing.boxes import Box
from vl2.processing.messages import (
    Det,
    Grounding,
    Image,
    Message,
    MessageError,
    RawDet,
    Ref,
    Text,
    parse_tagged,
)

TAGS = ["<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "[[1, 2, 3, 4]]", "<|grounding|>"]
SPELLED: dict[type, Callable[[Any], str]] = {
    Image: lambda part: "<image>",
    Text: lambda part: part.text,
    Ref: lambda part: f"<|ref|>{part.phrase}<|/ref|>",
    Grounding: lambda part: "<|grounding|>",
    RawDet: lambda part: f"<|det|>{part.text}<|/det|>",
}


def test_tagged_question():
    parts = parse_tagged("<image>\n<|ref|>The giraffe at the back.<|/ref|>.", ["g.png"])
    assert parts == (Image("g.png"), Text("\n"), Ref("The giraffe at the back."), Text("."))


def test_tagged_grounding_and_images_in_order():
    parts = parse_tagged("1: <image>\n2: <image><|grounding|>Describe.", ["a.png", b"b"])
    assert parts == (Text("1: "), Image("a.png"), Text("\n2: "), Image(b"b"), Grounding(), Text("Describe."))


def test_tagged_answer_keeps_its_boxes_as_written():
    parts = parse_tagged("<|ref|>HELLO<|/ref|><|det|>[[10,20, 300,400]]<|/det|>")
    assert parts == (Ref("HELLO"), RawDet("[[10,20, 300,400]]"))


@pytest.mark.parametrize(("text", "images"), [("<image>", []), ("no tag", ["a.png"]), ("<image><image>", ["a.png"])])
def test_tags_and_images_must_be_as_many(text, images):
    with pytest.raises(MessageError, match=rf"{text.count('<image>')} <image> tags but {len(images)} images"):
        parse_tagged(text, images)


@pytest.mark.parametrize(
    "text", ["<|ref|>cat", "cat<|/ref|>", "<|det|>[[1, 2, 3, 4]]", "<|/det|>", "<|ref|>a<|ref|>b<|/ref|>"]
)
def test_tags_without_partner_are_refused(text):
    with pytest.raises(MessageError, match="partner"):
        parse_tagged(text)


def test_image_inside_a_phrase_is_refused_not_lost():
    with pytest.raises(MessageError, match="partner"):
        parse_tagged("<|ref|>a <image> b<|/ref|>", ["a.png"])


def test_boxes_that_are_none_are_refused():
    with pytest.raises(MessageError, match=r"\[\[x1, y1, x2, y2\], \.\.\.\]"):
        parse_tagged("<|ref|>cat<|/ref|><|det|>[[1, 2, 3]]<|/det|>")


@given(
    st.lists(
        st.one_of(
            st.text(max_size=5),
            st.sampled_from(TAGS),
        ),
        max_size=15,
    ).map("".join)
)
def test_any_tagged_string_parses_or_is_refused_in_one_line(text):
    images = ["x.png"] * text.count("<image>")
    try:
        parts = parse_tagged(text, images)
    except MessageError as refusal:
        message = str(refusal)
    else:
        assert "".join(SPELLED[type(part)](part) for part in parts) == text
        return
    assert "\n" not in message


@pytest.mark.parametrize(
    ("role", "part"),
    [("system", Image("a.png")), ("system", Ref("cat")), ("user", Det((Box(0, 0, 1, 1),))), ("user", RawDet("[]")),
     ("assistant", Image("a.png")), ("assistant", Grounding())],
)  # fmt: skip
def test_parts_in_the_wrong_place_are_refused(role, part):
    with pytest.raises(MessageError, match=f"{role} message cannot hold a part of type {type(part).__name__}"):
        Message(role, (part,))


def test_unknown_roles_are_refused():
    with pytest.raises(MessageError, match="role = 'tool'"):
        Message("tool", ())  # type: ignore[arg-type]
