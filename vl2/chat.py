"""A conversation in a terminal: remembers messages and images, understands a few commands."""

from typing import Any

from vl2.api import Answer, Model, Stream
from vl2.processing.images import open_image
from vl2.processing.messages import Image, Message, MessageError, Part, Ref, Text, parse_tagged


class Chat:
    """One conversation with a model."""

    def __init__(self, model: Model, system: str = "") -> None:
        self._model = model
        self._start = [Message("system", (Text(system),))] if system else []
        self._messages: list[Message] = list(self._start)
        self._pending: list[Part] = []  # images added since the last question

    def say(self, line: str, **sampling: Any) -> Stream | None:
        """Take one line of input; a question or /ground gives a stream, other commands give None."""
        command, _, rest = line.strip().partition(" ")
        if command in ("/image", "/ground") and not rest.strip():
            raise ValueError(f"{command} needs a {'path' if command == '/image' else 'phrase'}: {command} ...")
        if command == "/reset":
            self._messages, self._pending = list(self._start), []
            return None
        if command == "/image":
            self._pending += [
                Image(open_image(rest.strip(), self._model.max_pixels)),
                Text("\n"),
            ]  # opened now, so that errors come now
            return None
        if command == "/ground":
            question: tuple[Part, ...] = (Text("Locate "), Ref(rest.strip()), Text(" in the image."))
        elif command.startswith("/"):
            raise ValueError(f"unknown command {command!r}; known: /image PATH, /ground PHRASE, /reset, /quit")
        elif command:
            question = (Text(line.strip()),)
        else:
            return None
        message = Message("user", (*self._pending, *question))
        stream = self._model.chat_stream([*self._messages, message], **sampling)
        self._messages.append(message)
        self._pending = []
        return stream

    def remember(self, answer: Answer) -> None:
        """Keep the answer to the last question, tags of phrases and boxes included."""
        try:
            message = Message("assistant", parse_tagged(answer.raw))
        except MessageError:  # malformed boxes: keep the words
            message = Message("assistant", (Text(answer.text),))
        self._messages.append(message)
