"""Lets evaluation ask a loaded model: each record becomes what `ask`, `read` or `ground` would say."""

import warnings
from collections.abc import Sequence

from vl2.api import Model
from vl2.data.records import Record
from vl2.eval.runner import Output
from vl2.processing.messages import Message
from vl2.processing.prompts import READ_PROMPT, ask_message, ground_message


class ModelAnswerer:
    """Greedy answers of a model of this package."""

    def __init__(self, model: Model, max_tokens: int = 512) -> None:
        self._model, self._max_tokens = model, max_tokens

    def answer(self, records: Sequence[Record]) -> list[Output]:
        """One output for each record; the whole batch is decoded together."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # malformed boxes count as no boxes, which the score shows
            answers = self._model.chat_batch([[_message(record)] for record in records], max_tokens=self._max_tokens)
        return [Output(a.text, a.regions, a.completion_tokens, a.finish_reason) for a in answers]


def _message(record: Record) -> Message:
    if record.metric == "iou":
        return ground_message(record.images[-1], record.question)
    return ask_message(record.images, record.question or READ_PROMPT)
