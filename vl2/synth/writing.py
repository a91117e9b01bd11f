"""Short pieces of text of every kind for reading practice: words, prose, random strings, amounts, codes, addresses.

    rng, split, limit in characters --> one line of printable text, no longer than the limit, without outer spaces

A quarter of all lines are random characters that no language model can guess. The trap: random strings leave out the
characters that the font draws like others (`ambiguous`), since nobody could read those.
"""

import numpy as np

from vl2.synth import values
from vl2.synth.ingredients import cities, companies, emails, function_words, people, sample_words, sentences, streets

PRINTABLE = "".join(chr(code) for code in range(33, 127))
_LETTERS_DIGITS = "".join(char for char in PRINTABLE if char.isalnum())
_ALPHABETS = (
    PRINTABLE, PRINTABLE, PRINTABLE, _LETTERS_DIGITS, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789",
)  # fmt: skip
_ENDINGS = ("", "", "", "", ".", ".", "!", "?", ",", ":", ";", "...")
_KEYS = (
    "Name", "Date", "Total", "Phone", "Address", "Email", "No.", "ID", "Code", "Type", "Size", "Price", "Order", "Ref",
    "Status", "Time", "Room", "Item", "Number", "City", "Unit", "Level", "Area", "Rate", "Tax", "Due", "From", "To",
)  # fmt: skip


def cut(text: str, limit: int) -> str:
    """The text up to the last whole word within `limit` characters, or its first characters."""
    if len(text) <= limit:
        return text
    head = text[: limit + 1].rsplit(" ", 1)[0]
    return (head if len(head) <= limit else text[:limit]).strip() or text[:1]


def random_string(rng: np.random.Generator, limit: int, avoid: frozenset[str] = frozenset()) -> str:
    """Characters drawn evenly from an alphabet, sometimes in groups; never one of `avoid`."""
    alphabet = [c for c in _ALPHABETS[int(rng.integers(len(_ALPHABETS)))] if c not in avoid]
    most = max(1, min(limit, 28))
    length = int(rng.integers(min(most, 3) if rng.random() < 0.9 else 1, most + 1))
    chars = [alphabet[i] for i in rng.integers(0, len(alphabet), length)]
    if length > 6 and rng.random() < 0.4:
        for place in range(int(rng.integers(2, 6)), length - 1, int(rng.integers(3, 8))):
            chars[place] = " "
    return "".join(chars)


def number(rng: np.random.Generator) -> str:
    """A number in one of many forms: plain, grouped, decimal, percent, signed, fraction, range."""
    value = float(10 ** rng.uniform(0, 7))
    whole = int(value)
    forms = (
        f"{whole}", f"{whole:,}", f"{value:.1f}", f"{value:.2f}", f"{value:,.2f}", f"{value % 100:.1f}%",
        f"{whole % 101}%", f"-{value:.2f}", f"+{whole}", f"{whole % 40}/{1 + whole % 39}",
        f"{whole % 500}-{whole % 500 + 25}", f"{value % 10:.4f}", f"{whole % 100000:05d}", f"#{whole % 10000}",
        f"{value:.2e}", f"{whole % 300} x {whole % 200}",
        f"({value % 1000:.2f})", f"{value % 100:.1f} kg", f"{whole % 1000} mm", f"{value % 50:.1f} C",
    )  # fmt: skip
    return forms[int(rng.integers(len(forms)))]


def cased(rng: np.random.Generator, text: str) -> str:
    """The text in a random use of capitals."""
    form = rng.random()
    if form < 0.35:
        return text
    if form < 0.6:
        return text[:1].upper() + text[1:]
    if form < 0.75:
        return text.title().replace("'S", "'s")
    if form < 0.93:
        return text.upper()
    flips = rng.random(len(text)) < 0.5
    return "".join(char.upper() if flip else char.lower() for char, flip in zip(text, flips, strict=True))


def word_line(rng: np.random.Generator, split: str, limit: int) -> str:
    """A few random words, with function words, numbers and punctuation between."""
    most = max(1, limit // 5)
    count = int(rng.integers(1, most + 1) if rng.random() < 0.5 else most)
    found = sample_words(rng, split, count)
    helpers = function_words()
    chances = rng.random(count)
    out = []
    for word, chance in zip(found, chances, strict=True):
        if chance < 0.12:
            out.append(helpers[int(rng.integers(len(helpers)))])
        elif chance < 0.2:
            out.append(number(rng))
        out.append(word + ("," if chance > 0.9 else "'s" if chance > 0.88 else ""))
    text = cased(rng, cut(" ".join(out), limit))
    text = text.rstrip(",") + _ENDINGS[int(rng.integers(len(_ENDINGS)))]
    return f'"{text}"' if rng.random() < 0.04 else text


def sentence_line(rng: np.random.Generator, split: str, limit: int) -> str:
    """A piece of prose, or its beginning."""
    pool = sentences(split)
    text = cut(pool[int(rng.integers(len(pool)))], limit)
    return text[:1].upper() + text[1:] if rng.random() < 0.5 else text.upper() if rng.random() < 0.15 else text


def entry(rng: np.random.Generator, split: str, limit: int) -> str:
    """Something out of a document: an amount, date, code, address, person or company."""
    kind = int(rng.integers(10))
    style = values.choose_style(rng)
    if kind <= 1:
        text = values.money(style, int(10 ** rng.uniform(1.5, 6)))
    elif kind == 2:
        text = values.date(rng, style)
    elif kind == 3:
        text = values.time(rng, style)
    elif kind == 4:
        text = values.phone(rng)
    elif kind == 5:
        text = values.code(rng)
    elif kind == 6:
        text = number(rng)
    else:
        pool = (emails, people, companies, streets, cities)[int(rng.integers(5))](split)
        text = pool[int(rng.integers(len(pool)))]
        if rng.random() < 0.1:
            text = text.upper()
    # cutting an address or amount short would still be readable text, so the limit may cut anywhere
    return text if len(text) <= limit else text[:limit].strip()


def key_value(rng: np.random.Generator, split: str, limit: int) -> str:
    """A label, a colon and a value."""
    known = rng.random() < 0.5
    key = _KEYS[int(rng.integers(len(_KEYS)))] if known else sample_words(rng, split, 1)[0].capitalize()
    key = key[: max(1, limit // 2)]
    value = entry(rng, split, max(1, limit - len(key) - 2))
    return f"{key}: {value}"


def any_line(rng: np.random.Generator, split: str, limit: int, avoid: frozenset[str] = frozenset()) -> str:
    """One line of any kind; a quarter are random strings."""
    kind = rng.random()
    if kind < 0.25:
        return random_string(rng, limit, avoid)
    if kind < 0.5:
        return word_line(rng, split, limit)
    if kind < 0.68:
        return sentence_line(rng, split, limit)
    if kind < 0.93:
        return entry(rng, split, limit)
    return key_value(rng, split, max(limit, 6))
