"""Tokens of one request to text, piece by piece: stop strings end it, and text that may yet be one is held back."""

from vl2.processing.tokenizer import StreamDecoder, Tokenizer
from vl2.sampling import FinishReason


class Detokenizer:
    """Collects the text of one answer.

    Args:
        stop: strings that end the answer and are cut from it.
        eos_id: the token that ends it and has no text.
    """

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...], eos_id: int) -> None:
        self._decoder, self._stop, self._eos_id = StreamDecoder(tokenizer), stop, eos_id
        self._shown = 0
        self.text = ""
        self.num_tokens = 0
        self.finish: FinishReason | None = None

    def push(self, token_id: int, finish: FinishReason | None) -> str:
        """Take one token; returns text that is certain to belong to the answer.

        `self.finish` is set afterwards if the token, or a stop string, was the end.
        """
        self.num_tokens += 1
        if token_id != self._eos_id:
            self.text += self._decoder.push(token_id)
        if finish:
            self.text += self._decoder.flush()
        found = [at for stop in self._stop if (at := self.text.find(stop)) >= 0]
        if found:
            self.text, finish = self.text[: min(found)], "stop"
        self.finish = finish
        certain = len(self.text) - (0 if finish else self._undecided())
        piece, self._shown = self.text[self._shown : certain], max(self._shown, certain)
        return piece

    def _undecided(self) -> int:
        """Length of the longest ending that begins a stop string."""
        sizes = [n for stop in self._stop for n in range(1, len(stop)) if self.text.endswith(stop[:n])]
        return max(sizes, default=0)
