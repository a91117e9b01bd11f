"""The pack: fonts and texts that generators draw on, split so that the test split shares none of them with training.

    fonts(split, kind) -> files        words(split) -> list of words, most frequent first
    names, people, first_names, surnames, companies, streets, cities, emails, sentences (split) -> lists of strings

A word belongs to the test split when its hash says so (`is_test_word`); every text of the training pools is free of
such words, every content word of the test pools is one. Function words ("the", "of"), words of one or two letters and
the fixed labels of documents ("street", "ltd") are shared by both. scripts/build_pack.py rebuilds the pack from the
packages that sources.toml lists.
"""

import hashlib
import io
import zipfile
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFont

PACK = Path(__file__).parent / "pack"
FONT_KINDS = ("sans", "serif", "mono", "hand", "display", "caps", "any")


@lru_cache
def _font_table() -> tuple[tuple[str, str, str, str], ...]:
    """Rows (file, split, kind, ambiguous characters) of fonts.tsv."""
    rows = (PACK / "fonts.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cells = [row.split("\t") for row in rows]
    return tuple((row[0], row[1], row[2], row[4]) for row in cells)


@lru_cache
def fonts(split: str, kind: str = "any") -> list[str]:
    """Font files of a split; kind "any" is all but "caps", whose lower case is drawn as capitals: write upper case."""
    assert kind in FONT_KINDS, kind
    return [
        str(PACK / "fonts" / file)
        for file, font_split, font_kind, _ in _font_table()
        if font_split == split and (font_kind == kind or (kind == "any" and font_kind != "caps"))
    ]


@lru_cache
def _ambiguous_table() -> dict[str, frozenset[str]]:
    """File -> characters that it draws like others."""
    return {str(PACK / "fonts" / row[0]): frozenset(row[3]) for row in _font_table()}


def ambiguous(path: str) -> frozenset[str]:
    """Characters that nobody can tell from another one in this font, such as I and l; no part of random strings."""
    return _ambiguous_table()[path]


@lru_cache(maxsize=1024)
def load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of the pack at a size in pixels; the basic layout, whose advances add up exactly."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def is_test_word(word: str) -> bool:
    """Whether a content word belongs to the test split: one in eight, by the hash of its lower-case letters."""
    return hashlib.sha256(word.lower().encode()).digest()[0] < 32


@lru_cache
def _pool(name: str, split: str) -> list[str]:
    """The lines of one text file of the pack."""
    return (PACK / "text" / split / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def words(split: str) -> list[str]:
    """Content words, lower case, letters only, most frequent first."""
    return _pool("words", split)


def function_words() -> list[str]:
    """The words that both splits share."""
    return _pool("function_words", "shared")


def first_names(split: str) -> list[str]:
    """Given names."""
    return _pool("first_names", split)


def surnames(split: str) -> list[str]:
    """Family names."""
    return _pool("surnames", split)


@lru_cache
def names(split: str) -> list[str]:
    """Single names: given names and family names."""
    return sorted({*first_names(split), *surnames(split)})


@lru_cache
def people(split: str) -> list[str]:
    """A given name and a family name."""
    rng = np.random.default_rng(7)
    given, family = first_names(split), surnames(split)
    pairs = zip(rng.integers(len(given), size=4000), rng.integers(len(family), size=4000), strict=True)
    return [f"{given[i]} {family[j]}" for i, j in pairs]


def companies(split: str) -> list[str]:
    """Company names."""
    return _pool("companies", split)


def streets(split: str) -> list[str]:
    """Street names without a house number."""
    return _pool("streets", split)


def cities(split: str) -> list[str]:
    """Names of towns."""
    return _pool("cities", split)


def emails(split: str) -> list[str]:
    """E-mail addresses."""
    return _pool("emails", split)


def sentences(split: str) -> list[str]:
    """Short pieces of prose, one to twenty words."""
    return _pool("sentences", split)


@lru_cache(maxsize=2)
def photographs(split: str) -> tuple[np.ndarray, ...]:
    """Photographs without text, (height, width, 3) uint8; read once, so that no file stays open across forks."""
    with zipfile.ZipFile(PACK / "photos.zip") as pack:
        names = sorted(name for name in pack.namelist() if name.startswith(f"{split}/"))
        return tuple(np.asarray(Image.open(io.BytesIO(pack.read(name))).convert("RGB")) for name in names)


@lru_cache
def _word_chances(split: str) -> np.ndarray:
    """Cumulated chances of the words; they fall with the square root of the rank, so rare words come often enough."""
    chances = 1 / np.sqrt(np.arange(len(words(split))) + 20.0)
    return np.cumsum(chances / chances.sum())


def sample_words(rng: np.random.Generator, split: str, count: int) -> list[str]:
    """`count` random content words, frequent ones more often than rare ones."""
    pool = words(split)
    ranks = np.searchsorted(_word_chances(split), rng.random(count))
    return [pool[min(int(rank), len(pool) - 1)] for rank in ranks]
