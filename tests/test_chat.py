"""A conversation in a terminal, line by line."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import vl2
from vl2.api import Answer, Model, Stream
from vl2.chat import Chat
from vl2.processing.images import ImageError
from vl2.processing.messages import Image as ImagePart
from vl2.processing.messages import Message, RawDet, Ref, Text


@pytest.fixture(scope="module")
def loaded(scripted_checkpoint: Path) -> Model:
    return vl2.load(scripted_checkpoint)


class Told:
    """A model that remembers what it was told."""

    def __init__(self, model: Model) -> None:
        self.model, self.max_pixels = model, 10_000
        self.conversations: list[list[Message]] = []

    def chat_stream(self, messages: list[Message], **sampling: object) -> Stream:
        self.conversations.append(list(messages))
        return self.model.chat_stream(messages, **sampling)


@pytest.fixture
def told(loaded: Model) -> Told:
    return Told(loaded)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a picture.png"
    Image.new("RGB", (40, 40), "blue").save(path)
    return path


def speak(chat: Chat, line: str) -> Answer:
    stream = chat.say(line)
    assert stream is not None
    chat.remember(stream.answer)
    return stream.answer


def texts(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, Text))


def test_images_and_answers_are_remembered(told: Told, picture: Path) -> None:
    chat = Chat(told)  # type: ignore[arg-type]
    assert chat.say(f"/image {picture}") is None
    speak(chat, "What is it?")
    speak(chat, "  And why? ")
    first, answer, second = told.conversations[1]
    assert isinstance(first.parts[0], ImagePart)
    assert first.parts[1:] == (Text("\n"), Text("What is it?"))
    assert answer.role == "assistant"
    assert [type(part) for part in answer.parts] == [Text, Ref, RawDet, Text]  # with its phrase and boxes
    assert second.parts == (Text("And why?"),)


def test_ground(told: Told, picture: Path) -> None:
    chat = Chat(told)  # type: ignore[arg-type]
    chat.say(f"/image {picture}")
    assert speak(chat, "/ground the black cat").regions[0].label == "black cat"
    assert Ref("the black cat") in told.conversations[0][0].parts


def test_system_message_and_reset(told: Told, picture: Path) -> None:
    chat = Chat(told, "Be brief.")  # type: ignore[arg-type]
    chat.say(f"/image {picture}")
    speak(chat, "One?")
    chat.say(f"/image {picture}")
    assert chat.say("/reset") is None
    speak(chat, "Two?")
    assert [message.role for message in told.conversations[1]] == ["system", "user"]
    assert texts(told.conversations[1][0]) == "Be brief."
    assert told.conversations[1][1].parts == (Text("Two?"),)  # the pending image is forgotten too


@pytest.mark.parametrize("line", ["", "   ", "\t"])
def test_empty_lines_say_nothing(line: str, told: Told) -> None:
    assert Chat(told).say(line) is None  # type: ignore[arg-type]
    assert told.conversations == []


def test_the_limit_of_the_model_holds_when_an_image_is_added(told: Told, tmp_path: Path) -> None:
    """Not only with the next question, which every later one would repeat."""
    Image.new("RGB", (200, 51)).save(tmp_path / "large.png")
    chat = Chat(told)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="200 x 51 pixels exceed the limit of 10000"):
        chat.say(f"/image {tmp_path / 'large.png'}")
    assert speak(chat, "Still there?").image_tokens == 0


@pytest.mark.parametrize("line", ["/imge a.png", "/image", "/image /absent.png", "/ground", "/ground  ", "/"])
def test_bad_commands_leave_the_conversation_alone(line: str, told: Told) -> None:
    chat = Chat(told)  # type: ignore[arg-type]
    speak(chat, "Hello?")
    with pytest.raises((ValueError, OSError)):
        chat.say(line)
    speak(chat, "Still there?")
    assert len(told.conversations[-1]) == 3


def test_a_full_context_can_be_answered_with_a_shorter_question(told: Told) -> None:
    chat = Chat(told)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="context"):
        chat.say("x" * 400)
    speak(chat, "Short?")
    assert len(told.conversations[-1]) == 1


@pytest.mark.parametrize("raw", ["<|ref|>cat", "a <|det|>[[1, 2]]<|/det|>", "an <image>", "<|grounding|>cat"])
def test_of_an_answer_with_broken_tags_the_words_are_remembered(raw: str, told: Told) -> None:
    chat = Chat(told)  # type: ignore[arg-type]
    stream = chat.say("Hello?")
    assert stream is not None
    chat.remember(replace(stream.answer, raw=raw, text="the words"))
    speak(chat, "Still there?")
    assert told.conversations[1][1] == Message("assistant", (Text("the words"),))
