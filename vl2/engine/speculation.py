"""Drafts by looking up what followed the newest tokens before: exact, as the model checks every one.

    ... 12.50 EUR 14/03 ... 12.50 | --the last tokens were seen before--> drafts EUR 14/03 --one step--> accepted: EUR

A step that checks drafts costs more than one that does not, so what is accepted decides how many are made, and an
answer without repetition soon makes none. The trap: image placeholders are all the same token and repeat themselves
endlessly; what an image says is not among the tokens, so placeholders are neither looked up nor drafted.
"""

from collections.abc import Sequence

_LONGEST, _SHORTEST = 4, 2  # newest tokens that must have been seen in this order
_MEMORY = 0.7  # how much the past weighs in the share of drafts that are accepted
_WORTH = 0.3  # share below which drafts pause
_PAUSE = 16  # tokens until they are tried again


class PromptLookup:
    """Drafts for one sequence.

    Args:
        most: drafts of a step.
        ignored: a token that is never looked up, the image placeholder.
    """

    def __init__(self, most: int, ignored: int | None = None) -> None:
        self._most, self._ignored = most, ignored
        self._share, self._resume_at = 1.0, 0

    def propose(self, tokens: Sequence[int], limit: int) -> list[int]:
        """At most `limit` tokens that may follow."""
        if len(tokens) < self._resume_at:
            return []
        count = min(limit, max(1, round(self._most * self._share)))
        for size in range(_LONGEST, _SHORTEST - 1, -1):
            newest = list(tokens[-size:])
            if count < 1 or len(tokens) <= size or self._ignored in newest:
                continue
            for start in range(len(tokens) - size - 1, -1, -1):  # the latest place that can go on
                if tokens[start] == newest[0] and list(tokens[start : start + size]) == newest:
                    drafts = list(tokens[start + size : start + size + count])
                    return drafts[: drafts.index(self._ignored)] if self._ignored in drafts else drafts
        return []

    def record(self, tokens: Sequence[int], proposed: int, accepted: int) -> None:
        """What became of the last drafts."""
        if proposed:
            self._share = _MEMORY * self._share + (1 - _MEMORY) * accepted / proposed
            if self._share < _WORTH:
                self._share, self._resume_at = 2 * _WORTH, len(tokens) + _PAUSE
