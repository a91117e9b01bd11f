"""What documents say: money, dates, times, phone numbers, people, streets and things, in the styles people use.

    rng, split --choose_style--> Style (currency, separators, date order) --money, date, ...--> strings to draw

Content (item, street, person and company names) is made of the words and names of the split. Numbers, month names,
currency signs and street types are structural and shared by both splits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from vl2.synth.ingredients import names, words

T = TypeVar("T")


def _options(text: str) -> tuple[str, ...]:
    """The alternatives of a text, separated by | or line ends."""
    return tuple(option.strip() for option in text.replace("\n", "|").split("|"))


MONTHS = _options("January|February|March|April|May|June|July|August|September|October|November|December")
DAYS = _options("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday")
STREET_TYPES = _options("Street|St.|Road|Rd|Avenue|Ave|Lane|Drive|Way|Square|Boulevard|Court|Place|Hill|Park|Row")
COMPANY_TYPES = _options(
    """Ltd|Inc.|LLC|GmbH|Store|Shop|Market|Cafe|Bakery|Foods|Bar & Grill|Hotel|Pharmacy|Books|Hardware|Garden|Bistro
    Restaurant|Mart|Supplies|Trading|Motors|& Sons|& Co|Group|Deli|Pizza|Coffee|Sports|Electronics|Kitchen|Services
    Studio|Works"""
)
# (text before the amount, text after it); ASCII and Latin-1 signs only, so that every text font has them
CURRENCIES: tuple[tuple[str, str], ...] = (
    *((("$", ""),) * 6),
    *((("", ""),) * 6),
    ("£", ""), ("£", ""), ("USD ", ""), ("EUR ", ""), ("", " EUR"), ("Rs ", ""), ("RM", ""), ("RM ", ""),
    ("", " kr"), ("CHF ", ""), ("", " USD"), ("S$", ""), ("$ ", ""), ("C$", ""), ("¥", ""),
)  # fmt: skip
_DATE_FORMATS = _options(
    """{d:02}/{m:02}/{y}|{m:02}/{d:02}/{y}|{y}-{m:02}-{d:02}|{y}-{m:02}-{d:02}|{d:02}.{m:02}.{y}|{d}.{m}.{y}
    {d:02}-{m:02}-{y}|{d:02}/{m:02}/{yy:02}|{m}/{d}/{y}|{m}/{d}/{yy:02}|{mon} {d}, {y}|{d} {mon} {y}|{month} {d}, {y}
    {d} {month} {y}|{d:02}-{mon}-{y}|{d:02} {MON} {y}|{y}/{m:02}/{d:02}|{dow}, {d} {mon} {y}|{MON} {d:02} {y}
    {d:02}.{m:02}.{yy:02}|{mon}. {d}, {y}|{d:02}{MON}{yy:02}"""
)
_TIME_FORMATS = _options(
    "{h:02}:{n:02}|{h:02}:{n:02}|{h:02}:{n:02}:{s:02}|{k}:{n:02} {P}|{k:02}:{n:02} {P}|{k}:{n:02}{p}|{h:02}.{n:02}"
    "|{k}:{n:02} {p}"
)
_PHONE_FORMATS = _options(
    """### ### ####|(###) ###-####|###-###-####|+1 ### ### ####|+44 ## #### ####|0## ### ####|+49 ### #######
    0#-########|####-####|### ####|+## ## ### ####|0#### ######|###.###.####|1-800-###-####"""
)
_CODE_FORMATS = _options(
    """######|#####|####|########|@@-####|@@@######|##-####|@####|####-###|2#-#####|@-######|#@###|@@@-##-###
    ##########|@@######|###-@@|202#-####|202#/###|@#@#-###"""
)
# (between thousands, before the decimals); the usual ones stand here more than once
_SEPARATORS = (*(((",", "."),) * 3), ("", "."), ("", "."), (".", ","), (" ", ","), ("", ","))
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One element, all equally likely."""
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


@dataclass(frozen=True)
class Style:
    """How one document writes its amounts and dates."""

    before: str
    after: str
    thousands: str
    decimal: str
    date_format: str
    time_format: str


def choose_style(rng: np.random.Generator) -> Style:
    """A consistent style for one document."""
    before, after = pick(rng, CURRENCIES)
    thousands, decimal = pick(rng, _SEPARATORS)
    return Style(before, after, thousands, decimal, pick(rng, _DATE_FORMATS), pick(rng, _TIME_FORMATS))


def money(style: Style, cents: int, *, sign: bool = True) -> str:
    """An amount of cents in the style; `sign` False leaves the currency out."""
    text = number(style, abs(cents) / 100, 2)
    text = f"{style.before}{text}{style.after}" if sign else text
    return f"-{text}" if cents < 0 else text


def number(style: Style, value: float, decimals: int = 0) -> str:
    """A number with the style's separators."""
    text = f"{value:,.{decimals}f}"
    return text.replace(",", "\0").replace(".", style.decimal).replace("\0", style.thousands)


def date(rng: np.random.Generator, style: Style, days_after: int = 0) -> str:
    """A date between 1990 and 2029; `days_after` only shifts the day within the month."""
    draw = rng.random(4)
    year, month, day = 1990 + int(40 * draw[0] ** 0.5), 1 + int(12 * draw[1]), 1 + int(28 * draw[2])
    day = 1 + (day + days_after - 1) % 28
    name = MONTHS[month - 1]
    weekday = DAYS[int(7 * draw[3])][:3]
    return style.date_format.format(
        d=day, m=month, y=year, yy=year % 100, month=name, mon=name[:3], MON=name[:3].upper(), dow=weekday
    )


def time(rng: np.random.Generator, style: Style) -> str:
    """A time of day in the style."""
    hour, minute, second = int(rng.integers(6, 24)), int(rng.integers(60)), int(rng.integers(60))
    half = "AM" if hour < 12 else "PM"
    return style.time_format.format(h=hour, n=minute, s=second, k=(hour - 1) % 12 + 1, P=half, p=half.lower())


def digits(rng: np.random.Generator, pattern: str) -> str:
    """Fill a pattern: # a digit, @ a capital letter; a leading digit is never 0."""
    draw = rng.integers(0, 1 << 20, len(pattern))
    out = []
    for position, (char, value) in enumerate(zip(pattern, draw.tolist(), strict=True)):
        first = position == 0 or pattern[position - 1] != "#"
        if char == "#":
            out.append(str(1 + value % 9 if first else value % 10))
        else:
            out.append(_LETTERS[value % 24] if char == "@" else char)
    return "".join(out)


def phone(rng: np.random.Generator) -> str:
    """A phone number in one of many national forms."""
    return digits(rng, pick(rng, _PHONE_FORMATS))


def code(rng: np.random.Generator) -> str:
    """An invoice, order or member number."""
    return digits(rng, pick(rng, _CODE_FORMATS))


@lru_cache(maxsize=4)
def _short_words(split: str) -> tuple[str, ...]:
    return tuple(w.lower() for w in words(split) if 3 <= len(w) <= 9 and w.isascii() and w.isalpha())


@lru_cache(maxsize=4)
def _names(split: str) -> tuple[str, ...]:
    return tuple(n for n in names(split) if n.isascii() and len(n) <= 12)


def word(rng: np.random.Generator, split: str) -> str:
    """A content word of the split, lower case."""
    return pick(rng, _short_words(split))


def name(rng: np.random.Generator, split: str) -> str:
    """One name of the split: stands for a given name, a family name, a town."""
    return pick(rng, _names(split))


def person(rng: np.random.Generator, split: str) -> str:
    """A person in one of the usual written forms."""
    first, last = name(rng, split), name(rng, split)
    form = rng.random()
    if form < 0.62:
        return f"{first} {last}"
    if form < 0.74:
        return f"{first[0]}. {last}"
    if form < 0.82:
        return f"{last}, {first}"
    return first if form < 0.94 else f"{pick(rng, ('Mr.', 'Ms.', 'Dr.', 'Mrs'))} {last}"


def thing(rng: np.random.Generator, split: str) -> str:
    """A product or a category: one or two content words, capitalised."""
    first = word(rng, split)
    return first.capitalize() if rng.random() < 0.45 else f"{first.capitalize()} {word(rng, split)}"


def company(rng: np.random.Generator, split: str) -> str:
    """A shop or company name, never longer than about 26 characters."""
    head = name(rng, split) if chance(rng, 0.5) else word(rng, split).capitalize()
    form = rng.random()
    if form < 0.5:
        return f"{head} {pick(rng, COMPANY_TYPES)}"
    if form < 0.75:
        return f"{head} {word(rng, split).capitalize()}"
    if form < 0.9:
        return f"The {word(rng, split).capitalize()} {word(rng, split).capitalize()}"
    return f"{head}'s {word(rng, split).capitalize()}"


def street(rng: np.random.Generator, split: str) -> str:
    """Street and house number, in English or continental order."""
    head = name(rng, split) if chance(rng, 0.5) else word(rng, split).capitalize()
    house = int(rng.integers(1, 400)) if chance(rng, 0.8) else int(rng.integers(400, 9999))
    if chance(rng, 0.12):
        return f"{head}{pick(rng, ('strasse', 'weg', 'gata', 'laan'))} {house}"
    return f"{house} {head} {pick(rng, STREET_TYPES)}"


def city(rng: np.random.Generator, split: str) -> str:
    """Town with postal code or region, as in the second line of an address."""
    town, form = name(rng, split), rng.random()
    if form < 0.35:
        return f"{town}, {digits(rng, '@@ #####')}"
    if form < 0.6:
        return f"{digits(rng, '#####')} {town}"
    return town if form < 0.8 else f"{town} {digits(rng, '#####')}"


def email(rng: np.random.Generator, split: str) -> str:
    """A short e-mail address."""
    user, host = name(rng, split).lower(), word(rng, split)
    tail = pick(rng, ("", "." + word(rng, split)[:4], str(int(rng.integers(99)))))
    return f"{user}{tail}@{host}.{pick(rng, ('com', 'org', 'net', 'de', 'io'))}"
