"""How well a text was read, for programs side by side: character edits, and words whatever their order.

    text, gold --compare_reading--> Reading(edits, length, shared, said, meant) --sum--> CER, word F1

A word is what stands between white space; of Chinese, which has none, every character is a word of its own. White
space between Chinese characters does not count, since some programs put some there and some none, and neither does
which quotation mark or dash was written.

The trap: a page in columns can be read in several orders. Edits punish all but one of them, words none, which is why
both are shown.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from vl2.eval.metrics import cer, collapse

_HAN = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef"  # characters and their punctuation
_PLAIN = str.maketrans("‘’“”–—−", "''\"\"---")
_BETWEEN = re.compile(rf"(?<=[{_HAN}])\s+|\s+(?=[{_HAN}])")
_WORD = re.compile(rf"[{_HAN}]|[^\s{_HAN}]+")


@dataclass(frozen=True)
class Reading:
    """Counts of one text or of many.

    edits, length: of characters, and characters that were to be read.
    shared, said, meant: words of both texts, of the answer, of the gold.
    """

    edits: int = 0
    length: int = 0
    shared: int = 0
    said: int = 0
    meant: int = 0

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(
            self.edits + other.edits, self.length + other.length,
            self.shared + other.shared, self.said + other.said, self.meant + other.meant,
        )  # fmt: skip

    @property
    def cer(self) -> float:
        """Edits a character."""
        return self.edits / max(self.length, 1)

    @property
    def word_f1(self) -> float:
        """Harmonic mean of precision and recall of words."""
        return 2 * self.shared / max(self.said + self.meant, 1)


def compare_reading(answer: str, gold: str) -> Reading:
    """Counts of one answer."""
    found = cer(_joined(answer), [_joined(gold)])
    said, meant = (Counter(_WORD.findall(_joined(text))) for text in (answer, gold))
    return Reading(int(found.numerator), int(found.denominator), (said & meant).total(), said.total(), meant.total())


def _joined(text: str) -> str:
    return _BETWEEN.sub("", collapse(text)).translate(_PLAIN)


def total(readings: Iterable[Reading]) -> Reading:
    """All of them as one."""
    return sum(readings, Reading())
