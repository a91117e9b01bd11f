"""Lines of text for a block: one font, one kind of content, no line wider than the block.

    rng, split --choose_font, font_of_height--> a font --block_lines(width, room)--> lines to draw below each other

The trap: sizes are chosen by the height of capitals, not by font size, since fonts fill their em very differently.
"""

from functools import cache

import numpy as np
from PIL import ImageFont

from vl2.synth import writing
from vl2.synth.canvas import text_width
from vl2.synth.ingredients import fonts, load_font


@cache
def _capital_share(path: str) -> float:
    """Height of a capital as a share of the font size."""
    box = load_font(path, 64).getbbox("HX")
    return max(0.3, (box[3] - box[1]) / 64)


def font_of_height(path: str, capital: float) -> ImageFont.FreeTypeFont:
    """The font at the size whose capitals are about `capital` pixels high."""
    size = capital / _capital_share(path)
    # few distinct sizes keep fonts and glyph measures in their caches
    step = 1 if size < 24 else 2 if size < 48 else 4
    return load_font(path, max(8, round(size / step) * step))


def choose_font(rng: np.random.Generator, split: str) -> tuple[str, bool]:
    """A font file and whether it draws capitals only; plain faces more often than fancy ones."""
    kinds = ("sans", "serif", "mono", "hand", "display", "caps")
    kind = kinds[int(np.searchsorted((0.4, 0.65, 0.8, 0.91, 0.98), rng.random()))]
    pool = fonts(split, kind)
    if not pool:
        kind, pool = "any", fonts(split)
    return pool[int(rng.integers(len(pool)))], kind == "caps"


def fit(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text cut so that it is no wider than `width` pixels."""
    while len(text) > 1:
        wide = text_width(text, font)
        if wide <= width:
            return text
        text = writing.cut(text, min(len(text) - 1, max(1, int(len(text) * width / wide))))
    return text


def block_lines(
    rng: np.random.Generator, split: str, font: ImageFont.FreeTypeFont, width: float, room: int, avoid: frozenset[str]
) -> list[str]:
    """Up to `room` lines of one kind, each no wider than `width` pixels."""
    limit = max(3, int(width / (0.48 * font.size)))
    kind = rng.random()
    if kind < 0.42:
        wanted = int(rng.integers(1, room + 1))
        return wrap(prose(rng, split, limit * wanted), font, width)[:wanted]
    count = min(room, int(rng.integers(1, 7)))
    if kind < 0.54:
        marks = ("- ", "* ", "{}. ", "{}) ", "({}) ", "+ ", "> ")
        mark = marks[int(rng.integers(len(marks)))]
        found = [mark.format(i + 1) + writing.word_line(rng, split, max(3, limit - 4)) for i in range(count)]
    elif kind < 0.66:
        found = [writing.key_value(rng, split, limit) for _ in range(count)]
    elif kind < 0.78:
        found = [writing.entry(rng, split, limit) for _ in range(count)]
    elif kind < 0.86:
        found = [
            " ".join(writing.number(rng) for _ in range(1 + int(rng.integers(max(1, limit // 9)))))
            for _ in range(count)
        ]
    else:
        found = [random_words(rng, limit, avoid) for _ in range(count)]
    return [fit(text, font, width) for text in found]


def prose(rng: np.random.Generator, split: str, length: int) -> str:
    """Sentences, or random words, of about `length` characters."""
    parts: list[str] = []
    total = 0
    words_only = rng.random() < 0.3
    while total < length:
        part = writing.word_line(rng, split, 60) if words_only else writing.sentence_line(rng, split, 110)
        if not words_only and part[-1] not in ".!?;,:":
            part = part[:1].upper() + part[1:] + "."
        parts.append(part)
        total += len(part) + 1
    return " ".join(parts)


def random_words(rng: np.random.Generator, limit: int, avoid: frozenset[str]) -> str:
    """A line of random strings with spaces between."""
    parts = [writing.random_string(rng, 8, avoid) for _ in range(1 + int(rng.integers(max(1, limit // 8))))]
    return " ".join(parts)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break at spaces so that each line fits; a word wider than the line is cut."""
    space = text_width(" ", font)
    lines: list[str] = []
    current, used = "", 0.0
    for word in text.split(" "):
        wide = text_width(word, font)
        if current and used + space + wide <= width:
            current, used = f"{current} {word}", used + space + wide
            continue
        if current:
            lines.append(current)
        word = fit(word, font, width)
        current, used = word, text_width(word, font)
    return [*lines, current] if current else lines
