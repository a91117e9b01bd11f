from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image as PILImage

from vl2.data.dialogue import GROUND_WORDINGS, grounded_caption, record_conversation, sample_conversations
from vl2.data.records import Record
from vl2.processing.boxes import Box, Region
from vl2.processing.messages import Det, Grounding, Image, Message, Ref, Text

A, B, C = Box(0, 0, 1, 1), Box(1, 1, 2, 2), Box(2, 2, 3, 3)


@dataclass(frozen=True)
class FakeQuestion:
    kind: str
    text: str
    answers: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    then: tuple["FakeQuestion", ...] = ()


@dataclass(frozen=True)
class FakeSample:
    image: PILImage.Image
    questions: tuple[FakeQuestion, ...]
    mark_ids: np.ndarray
    mark_boxes: np.ndarray
    earlier: tuple["FakeSample", ...] = ()


def sample(*questions: FakeQuestion) -> FakeSample:
    return FakeSample(PILImage.new("RGB", (8, 8)), questions, np.zeros(0, np.int16), np.zeros((0, 4), np.float32))


def only_conversation(asked: FakeSample, rng: np.random.Generator, max_questions: int) -> list[Message]:
    (messages,) = sample_conversations(asked, rng, max_questions)
    return messages


def test_several_conversations_share_the_questions_and_each_shows_the_image() -> None:
    asked = sample(
        *(FakeQuestion("ask", f"q{i}", (f"a{i}",)) for i in range(7)), FakeQuestion("read", "read", ("all",))
    )
    told, alone = [*(f"{k}{i}" for k in "qa" for i in range(7)), "read", "all"], 0
    for seed in range(30):
        found = sample_conversations(asked, np.random.default_rng(seed), 8, 3)
        words = [[part.text for m in messages for part in m.parts if isinstance(part, Text)] for messages in found]
        assert all(isinstance(messages[0].parts[0], Image) for messages in found)
        assert sum(isinstance(part, Image) for messages in found for m in messages for part in m.parts) == len(found)
        if len(found) == 1:
            alone += 1
            assert words == [["\n", "read", "all"]]
            continue
        assert sorted(len(messages) // 2 for messages in found) == [2, 3, 3]
        assert sorted(text for line in words for text in line) == sorted(["\n"] * 3 + told)
        assert sum(line[-1] == "all" for line in words) == 1
    assert 3 <= alone <= 16
    assert len(sample_conversations(sample(asked.questions[0]), np.random.default_rng(0), 8, 3)) == 1


def test_earlier_pictures_come_first_and_follow_ups_at_once() -> None:
    first = FakeQuestion("ask", "what", ("a dog",), then=(FakeQuestion("ask", "and its colour", ("red",)),))
    asked = replace(sample(first, FakeQuestion("ask", "where", ("left",))), earlier=(sample(),))
    messages = only_conversation(asked, np.random.default_rng(0), max_questions=2)
    images = [part.source for part in messages[0].parts if isinstance(part, Image)]
    assert images == [asked.earlier[0].image, asked.image]
    texts = [message.parts[-1].text for message in messages if isinstance(message.parts[-1], Text)]
    assert texts[texts.index("what") :][:4] == ["what", "a dog", "and its colour", "red"]
    assert len(messages) == 6


def test_only_the_first_question_brings_the_image() -> None:
    asked = sample(*(FakeQuestion("ask", f"q{i}", (f"a{i}", "other")) for i in range(5)))
    messages = only_conversation(asked, np.random.default_rng(0), max_questions=3)
    assert [message.role for message in messages] == ["user", "assistant"] * 3
    assert isinstance(messages[0].parts[0], Image)
    assert messages[0].parts[1] == Text("\n")
    assert sum(isinstance(part, Image) for message in messages for part in message.parts) == 1
    pairs = [(q.parts[-1], a.parts[0]) for q, a in zip(messages[::2], messages[1::2], strict=True)]
    assert all(q.text[1:] == a.text[1:] for q, a in pairs if isinstance(q, Text) and isinstance(a, Text))
    assert len({q for q, _ in pairs}) == 3


def test_grounding_uses_many_wordings_and_the_inference_one_most() -> None:
    asked = sample(FakeQuestion("ground", "red car", regions=(Region("red car", A), Region("red car", B))))
    seen: list[tuple[str, str]] = []
    for seed in range(300):
        user, answer = only_conversation(asked, np.random.default_rng(seed), 1)
        parts = user.parts[2:]
        at = parts.index(Ref("red car"))
        texts = [part.text for part in parts if isinstance(part, Text)]
        seen.append((texts[0] if at else "", texts[-1] if at < len(parts) - 1 else ""))
        assert answer.parts == (Ref("red car"), Det((A, B)))
    assert set(seen) == set(GROUND_WORDINGS)
    assert 100 < seen.count(("Locate ", " in the image.")) < 200


def test_an_absent_phrase_has_no_boxes() -> None:
    _, answer = only_conversation(sample(FakeQuestion("ground", "cat")), np.random.default_rng(0), 1)
    assert answer.parts == (Ref("cat"), Det(()))


def test_describe_asks_for_grounding() -> None:
    asked = sample(FakeQuestion("describe", "Describe.", ("A cat.",), (Region("cat", A),)))
    user, answer = only_conversation(asked, np.random.default_rng(0), 1)
    assert user.parts[2:] == (Grounding(), Text("Describe."))
    assert answer.parts == (Text("A "), Ref("cat"), Det((A,)), Text("."))


def test_caption_phrases_in_order_several_boxes_and_repeats() -> None:
    regions = (Region("two dogs", A), Region("two dogs", B), Region("cat", C), Region("cat", A))
    parts = grounded_caption("two dogs, a cat and a cat", regions)
    assert parts == (
        Ref("two dogs"), Det((A, B)), Text(", a "), Ref("cat"), Det((C,)), Text(" and a "), Ref("cat"), Det((A,)),
    )  # fmt: skip


def test_a_region_that_the_caption_does_not_mention_is_an_error() -> None:
    with pytest.raises(ValueError, match="'bird' does not occur"):
        grounded_caption("A cat.", (Region("bird", A),))


def test_records() -> None:
    ask = Record("x/1", ("a.png", "b.png"), "How much?", ("5", "five"), "exact", "x")
    assert record_conversation(ask) == [
        Message("user", (Image("a.png"), Text("\n"), Image("b.png"), Text("\n"), Text("How much?"))),
        Message("assistant", (Text("5"),)),
    ]
    find = Record("x/2", ("a.png",), "the cat", (Region("cat", A), Region("cat", B)), "iou", "x")
    assert record_conversation(find)[0].parts[2:] == (Text("Locate "), Ref("the cat"), Text(" in the image."))
    assert record_conversation(find)[1].parts == (Ref("the cat"), Det((A, B)))
    read = Record("x/3", ("a.png",), "", ("all text",), "cer", "x")
    assert record_conversation(read)[0].parts[-1] == Text("Read all the text in the image.")


def test_what_was_said_earlier_comes_between_images_and_question() -> None:
    earlier = (("Is there a dog?", "yes"), ("What colour is it?", "red"))
    talk = record_conversation(Record("x/1", ("a.png",), "it", (Region("it", A),), "iou", "x", earlier))
    assert [message.role for message in talk] == ["user", "assistant"] * 3
    assert talk[0].parts == (Image("a.png"), Text("\n"), Text("Is there a dog?"))
    assert [message.parts for message in talk[1:4]] == [(Text(text),) for text in ("yes", "What colour is it?", "red")]
    assert talk[4].parts == (Text("Locate "), Ref("it"), Text(" in the image."))
