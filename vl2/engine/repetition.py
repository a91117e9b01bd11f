"""Notices when an answer goes round in circles, as those of models that read sometimes do.

    token --push--> for every period p: how many of the newest tokens equal the one p places before
                    --> is_loop: the answer ends with enough repeats of p tokens; surplus: how many follow the second

The trap is what repeats by right: rules of dashes, dot leaders, the bars of tables, columns of zeros. None of it has
letters, so a loop without letters has to be far longer before it counts. Rows of tables whose numbers differ, and
boxes, do not repeat exactly and are never counted.
"""

import numpy as np

MAX_PERIOD = 256  # tokens; a longer passage that comes again and again is left to max_tokens
LEAST_REPEATS = 4
LEAST_TOKENS = 200  # in all repeats; 40 equal short cells of a table stay below it
LEAST_TOKENS_WITHOUT_LETTERS = 600  # wider than rules and leaders of any page

_PERIODS = np.arange(1, MAX_PERIOD + 1)


class RepetitionWatch:
    """Follows the tokens of one answer; a few microseconds a token, whatever its length.

    is_loop: whether the answer ends with a loop.
    surplus: tokens after the second repeat of what the answer ends with; 0 if nothing comes a third time. Of a loop, of
        the shortest passage that repeats.
    """

    def __init__(self) -> None:
        self._recent = np.full(2 * MAX_PERIOD, -1)  # newest last, before place `_end`
        self._end = MAX_PERIOD
        self._equal = np.zeros(MAX_PERIOD, np.int64)  # of each period, newest tokens that equal the one before
        self._since_letter = MAX_PERIOD  # tokens, the newest not counted
        self.is_loop, self.surplus = False, 0

    def push(self, token_id: int, has_letters: bool) -> None:
        """Take the next token; `has_letters`: whether its text does."""
        if self._end == len(self._recent):
            self._recent[:MAX_PERIOD] = self._recent[MAX_PERIOD:]
            self._end = MAX_PERIOD
        self._equal += 1
        self._equal *= self._recent[self._end - MAX_PERIOD : self._end][::-1] == token_id
        self._recent[self._end] = token_id
        self._end += 1
        self._since_letter = 0 if has_letters else self._since_letter + 1
        surplus_of = self._equal - _PERIODS
        self.surplus = max(0, int(surplus_of.max()))
        if self.surplus >= LEAST_TOKENS // 2:  # four repeats: at least half of them is surplus
            self._decide(surplus_of)

    def _decide(self, surplus_of: np.ndarray) -> None:
        length_of = self._equal + _PERIODS
        least_of = np.where(self._since_letter < _PERIODS, LEAST_TOKENS, LEAST_TOKENS_WITHOUT_LETTERS)
        loops = np.flatnonzero((length_of >= LEAST_REPEATS * _PERIODS) & (length_of >= least_of))
        if len(loops):
            self.is_loop, self.surplus = True, int(surplus_of[loops[0]])
