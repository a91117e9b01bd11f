"""The Chinese part of the pack: fonts and texts of each split, and a label for every character.

    fonts(split, kind), words, sentences, given_names, cities, companies, jobs (split), surnames()
    han_labels(codes) -> label ids of Chinese characters for the tower's head, one for each; character_of(label) -> it

Words and sentences belong to the test split by their own hash; a test sentence may hold words of training. Surnames
are shared. The trap: a label id is the place in characters.txt, so a new order there is a new meaning of every class.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import numpy as np

from vl2.synth.ingredients import PACK as _PACK
from vl2.synth.sample import FIRST_HAN, NUM_LABELS, OTHER_CHARACTER

PACK = _PACK / "chinese"
FIRST_CODE, LAST_CODE = 0x3000, 0xFFEF  # from full-width punctuation to full-width signs
PUNCTUATION = "，。、；：？！“”‘’（）《》【】—…￥％＋－×÷「」～"  # the fonts have it, too
KINDS = ("sans", "serif", "hand", "display", "any")
_BY_HAND: ContextVar[bool] = ContextVar("by_hand", default=False)


@contextmanager
def by_hand() -> Iterator[None]:
    """Whatever is drawn inside has fonts of handwriting instead of any other."""
    token = _BY_HAND.set(True)
    try:
        yield
    finally:
        _BY_HAND.reset(token)


def fonts(split: str, kind: str = "any") -> list[str]:
    """Font files of a split to draw with: of a kind, and inside `by_hand` handwriting whatever is asked for."""
    return listed_fonts(split, "hand" if _BY_HAND.get() else kind)


@lru_cache
def listed_fonts(split: str, kind: str) -> list[str]:
    """Font files of a split, as the pack lists them; a kind that a split lacks gives all of its fonts."""
    assert kind in KINDS, kind
    rows = [row.split("\t") for row in (PACK / "fonts.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    own = [row for row in rows if row[1] == split]
    found = [row for row in own if kind in ("any", row[2])] or own
    return [str(PACK / "fonts" / row[0]) for row in found]


@lru_cache
def pool(name: str, split: str) -> list[str]:
    """The lines of one text file: words, sentences, given_names, cities, companies, jobs; surnames of "shared"."""
    return (PACK / "text" / split / f"{name}.txt").read_text(encoding="utf-8").splitlines()


@lru_cache
def characters() -> str:
    """The characters that all fonts have, most used first."""
    return (PACK / "characters.txt").read_text(encoding="utf-8").strip()


@lru_cache
def _labelled() -> list[str]:
    """What has labels from FIRST_HAN on: characters, then the punctuation that only Chinese has."""
    labelled = [*characters(), *(char for char in PUNCTUATION if ord(char) >= FIRST_CODE)]
    assert FIRST_HAN + len(labelled) <= NUM_LABELS
    return labelled


@lru_cache
def _label_table() -> np.ndarray:
    """(LAST_CODE - FIRST_CODE + 1,) int16 label ids."""
    labelled = _labelled()
    table = np.full(LAST_CODE - FIRST_CODE + 1, OTHER_CHARACTER, np.int16)
    table[np.array([ord(char) for char in labelled]) - FIRST_CODE] = FIRST_HAN + np.arange(len(labelled))
    return table


def han_labels(codes: np.ndarray) -> np.ndarray:
    """(len,) label ids of code points that lie between FIRST_CODE and LAST_CODE."""
    return _label_table()[codes.astype(np.int64) - FIRST_CODE]


def character_of(label: int) -> str:
    """The character whose label this is, ASCII or Chinese; "" for all others."""
    if 0 < label < OTHER_CHARACTER:
        return chr(31 + label)
    return _labelled()[label - FIRST_HAN] if FIRST_HAN <= label < FIRST_HAN + len(_labelled()) else ""
