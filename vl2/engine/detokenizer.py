"""Tokens of one request to text, piece by piece: stop strings and endless repetition end it.

Text that may yet be part of a stop string, or be cut as a repetition, is held back until that is decided.
"""

from vl2.engine.repetition import RepetitionWatch
from vl2.processing.tokenizer import StreamDecoder, Tokenizer
from vl2.sampling import FinishReason


class Detokenizer:
    """Collects the text of one answer.

    Args:
        stop: strings that end the answer and are cut from it.
        eos_id: the token that ends it and has no text.
        stop_repetition: whether an answer that goes round in circles is ended.
    """

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...], eos_id: int, stop_repetition: bool = False) -> None:
        self._decoder, self._stop, self._eos_id = StreamDecoder(tokenizer), stop, eos_id
        self._watch = RepetitionWatch() if stop_repetition else None
        self._lengths = [0]  # of the text after each token
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
            added = self._decoder.push(token_id)
            self.text += added
            self._lengths.append(len(self.text))
            if self._watch:
                self._watch.push(token_id, any(map(str.isalpha, added)))
        if finish:
            self.text += self._decoder.flush()
        found = [at for stop in self._stop if (at := self.text.find(stop)) >= 0]
        if found:
            self.text, finish = self.text[: min(found)], "stop"
        elif self._watch and self._watch.is_loop and finish != "stop":
            self.text, finish = self.text[: self._before_repeats()], "repetition"
        self.finish = finish
        certain = len(self.text) - (0 if finish else self._undecided())
        if not finish:
            certain = min(certain, self._before_repeats())
        piece, self._shown = self.text[self._shown : certain], max(self._shown, certain)
        return piece

    def _before_repeats(self) -> int:
        """Length of the text up to the second of the repeats that it ends with, if there are more than two."""
        return self._lengths[-1 - (self._watch.surplus if self._watch else 0)]

    def _undecided(self) -> int:
        """Length of the longest ending that begins a stop string."""
        sizes = [n for stop in self._stop for n in range(1, len(stop)) if self.text.endswith(stop[:n])]
        return max(sizes, default=0)
