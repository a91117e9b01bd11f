"""What stands in a table: a key column of names or words, then columns of numbers, money, dates and words.

    rng, split --draw_content--> Content(title, headers, rows of strings, amounts behind the strings)

The trap: questions name rows by their key, so keys never repeat; headers never repeat either.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vl2.synth import values
from vl2.synth.ingredients import cities, companies, first_names, sample_words, surnames
from vl2.synth.values import Style, chance, pick

MOST_TRIES = 40


def listed(block: str) -> tuple[str, ...]:
    """The entries of a block of text; bars and line ends stand between them."""
    return tuple(entry.strip() for entry in block.replace("\n", "|").split("|"))


NAME_KEYS = listed("Name|Person|Student|Employee|Player|Author|Member|Guest|Customer|Driver|Patient|Contact|Teacher")
PLACE_KEYS = listed("City|Town|Place|Station|Branch|Region|Location|Site|Airport|Destination|District")
COMPANY_KEYS = listed("Company|Supplier|Client|Vendor|Shop|Firm|Brand|Partner|Customer")
THING_KEYS = listed(
    "Item|Product|Article|Category|Group|Type|Topic|Material|Model|Subject|Dish|Tool|Part|Label|Team|Course|Name|Title"
)
TIME_KEYS = ("Month", "Day", "Year", "Quarter", "Week")  # days would come again in long tables
NUMBER_HEADERS = listed(
    """Score|Points|Age|Units|Stock|Sales|Weight|Qty|Quantity|Orders|Visitors|Population|Height|Length|Goals|Wins|Losses
    Hours|Size|Count|Visits|Members|Area|Capacity|Seats|Distance|Speed|Games|Pages|Calls|Tickets|Students|Votes|Level
    Attendance|Views|Clicks|Output|Temperature|Mass|Depth|Returns|Staff|Rooms|Credits|Marks|Power|Width|Volume|Rank"""
)
MONEY_HEADERS = listed(
    "Price|Cost|Total|Amount|Revenue|Salary|Budget|Income|Fee|Profit|Rent|Tax|Balance|Paid|Value|Expenses|Deposit|Due"
)
SHARE_HEADERS = listed("Share|Growth|Rate|Change|Discount|Percent|Margin|Increase|Turnout|Humidity")
DATE_HEADERS = listed(
    "Date|Start|End|Joined|Due date|Born|Opened|Delivered|Ordered|Updated|Deadline|Paid on|Last visit"
)
WORD_HEADERS = listed("Status|Type|Category|Note|Code|Group|Class|Keyword|Kind|Theme|Label|Subject|Remark|Section")
PLACE_HEADERS = listed("City|Town|Home|Office|Destination|Origin|Venue|Branch")
NAME_HEADERS = listed("Contact|Manager|Owner|Leader|Coach|Agent|Teacher|Host|Author")
CODE_HEADERS = listed("Code|ID|No.|Ref|Order no.|Serial|Room|Key")
_TITLES = listed(
    """{a} {b}|{a}|{a} by {key}|{a} {b} {year}|Table {n}: {a} {b}|{a} report|List of {a}|{a} {year}|{city} {a}
    {a} overview|{a} and {b}|{key} table|{a} in {city}|Table {n}. {a}|{a} {b} results|{month} {a}|{a} {b} ({year})
    {a}, {month} {year}"""
)
_MARKS = (("yes", "no"), ("Yes", "No"), ("open", "closed"), ("A", "B", "C"), ("low", "medium", "high"), ("new", "old"))


@dataclass(frozen=True)
class Column:
    """One column: header, cells as drawn, the amounts behind them (None: not to be compared), and what it holds."""

    header: str
    cells: tuple[str, ...]
    amounts: tuple[float, ...] | None
    kind: str

    @property
    def numeric(self) -> bool:
        """Whether cells are usually set to the right."""
        return self.amounts is not None


@dataclass(frozen=True)
class Content:
    """A table: title ("" for none), columns of equal length, the first of which names the rows; zh: in Chinese."""

    title: str
    columns: tuple[Column, ...]
    zh: bool = False

    @property
    def num_rows(self) -> int:
        """Rows without the header."""
        return len(self.columns[0].cells)

    def cut(self, rows: int, columns: int) -> "Content":
        """The table with only the first rows and columns."""
        kept = tuple(
            replace(c, cells=c.cells[:rows], amounts=None if c.amounts is None else c.amounts[:rows])
            for c in self.columns[:columns]
        )
        return replace(self, columns=kept)


def short_pick(rng: np.random.Generator, pool: list[str], longest: int) -> str:
    """An entry of the pool that is plain ASCII and not longer than `longest`; else the last one tried, cut."""
    entry = ""
    for _ in range(MOST_TRIES):
        entry = pool[int(rng.integers(len(pool)))]
        if len(entry) <= longest and entry.isascii():
            return entry
    return entry.encode("ascii", "ignore").decode()[:longest].strip() or "A"


def content_word(rng: np.random.Generator, split: str, longest: int = 11) -> str:
    """A content word of the split, lower case, of three letters or more."""
    for candidate in sample_words(rng, split, MOST_TRIES):
        if 3 <= len(candidate) <= longest and candidate.isascii():
            return candidate
    return values.word(rng, split)


def a_name(rng: np.random.Generator, split: str) -> str:
    """A person: full name, initial and family name, or one name."""
    form = rng.random()
    last = short_pick(rng, surnames(split), 11)
    if form < 0.25:
        return last
    first = short_pick(rng, first_names(split), 9)
    if form < 0.5:
        return first
    return f"{first[0]}. {last}" if form < 0.65 else f"{first} {last}"


def _thing(rng: np.random.Generator, split: str) -> str:
    first = content_word(rng, split)
    return first if rng.random() < 0.7 else f"{first} {content_word(rng, split, 8)}"


def distinct(draw: Callable[[], str], count: int) -> tuple[str, ...]:
    """`count` different strings (compared without case); numbered when the source keeps repeating itself."""
    found: dict[str, str] = {}
    for _ in range(count + MOST_TRIES):
        if len(found) == count:
            break
        entry = draw()
        found.setdefault(entry.lower(), entry)
    entries = list(found.values())
    while len(entries) < count:
        entries.append(f"{entries[0]} {len(entries) + 1}")
    return tuple(entries)


def _cased(rng: np.random.Generator, entries: tuple[str, ...]) -> tuple[str, ...]:
    """All entries in one manner of capitals."""
    form = rng.random()
    if form < 0.7:
        return tuple(e[:1].upper() + e[1:] for e in entries)
    if form < 0.85:
        return entries
    return tuple(e.title() for e in entries) if form < 0.95 else tuple(e.upper() for e in entries)


def _key_column(rng: np.random.Generator, split: str, rows: int) -> Column:
    """The first column: what the rows are about."""
    form = rng.random()
    if form < 0.28:
        return Column(pick(rng, NAME_KEYS), distinct(lambda: a_name(rng, split), rows), None, "key")
    if form < 0.42:
        return Column(pick(rng, PLACE_KEYS), distinct(lambda: short_pick(rng, cities(split), 14), rows), None, "key")
    if form < 0.52:
        return Column(
            pick(rng, COMPANY_KEYS), distinct(lambda: short_pick(rng, companies(split), 18), rows), None, "key"
        )
    if form < 0.62:
        header = pick(rng, TIME_KEYS if rows <= len(values.DAYS) else TIME_KEYS[2:])
        return Column(header, time_keys(rng, header, rows), None, "key")
    header = pick(rng, THING_KEYS) if rng.random() < 0.8 else content_word(rng, split).capitalize()
    return Column(header, _cased(rng, distinct(lambda: _thing(rng, split), rows)), None, "key")


def time_keys(rng: np.random.Generator, header: str, rows: int) -> tuple[str, ...]:
    """Consecutive months, days, years, quarters or weeks."""
    start = int(rng.integers(12))
    if header == "Month":
        short = rng.random() < 0.5
        return tuple(values.MONTHS[(start + i) % 12][: 3 if short else 9] for i in range(rows))
    if header == "Day":
        short = rng.random() < 0.5
        return tuple(values.DAYS[(start + i) % 7][: 3 if short else 9] for i in range(rows))
    year = int(rng.integers(1960, 2025 - rows))
    if header == "Quarter":
        return tuple(f"Q{(start + i) % 4 + 1} {year + (start % 4 + i) // 4}" for i in range(rows))
    if header == "Week":
        return tuple(f"Week {start + 1 + i}" for i in range(rows))
    return tuple(str(year + i) for i in range(rows))


def _amounts(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Whole numbers (rows,), mostly different, of one order of magnitude."""
    top = pick(rng, (9, 20, 50, 99, 99, 200, 500, 999, 2500, 9999, 60000, 999999))
    low = 0 if rng.random() < 0.2 else int(top * rng.uniform(0.02, 0.6))
    return rng.integers(low, top + 1, rows)


def _numeric_column(rng: np.random.Generator, split: str, rows: int, style: Style, header: str) -> Column:
    """Numbers, money or percentages; `header` "" draws a fitting one."""
    form = rng.random()
    whole = _amounts(rng, rows)
    if form < 0.5:
        decimals = 0 if rng.random() < 0.7 else int(rng.integers(1, 3))
        amounts = whole / 10**decimals
        unit = "" if rng.random() < 0.85 else pick(rng, (" kg", " m", " km", " h", " min", " pts", " cm", " g"))
        cells = tuple(values.number(style, float(a), decimals) + unit for a in amounts)
        header, kind = header or pick(rng, NUMBER_HEADERS).strip(), "number"
    elif form < 0.85:
        sign, coins = rng.random() < 0.6, rng.random() < 0.6
        cents = whole % 100000 * (int(rng.choice([1, 5, 10, 99])) if coins else 100)
        amounts = cents / 100
        if coins:
            cells = tuple(values.money(style, int(c), sign=sign) for c in cents)
        else:
            before, after = (style.before, style.after) if sign else ("", "")
            cells = tuple(before + values.number(style, float(a)) + after for a in amounts)
        header, kind = header or pick(rng, MONEY_HEADERS), "money"
    else:
        decimals = int(rng.integers(0, 2))
        amounts = whole % 1000 / 10 if decimals else (whole % 100).astype(float)
        cells = tuple(f"{values.number(style, float(a), decimals)}%" for a in amounts)
        header, kind = header or pick(rng, SHARE_HEADERS), "share"
    return Column(header, cells, tuple(float(a) for a in amounts), kind)


def _text_column(rng: np.random.Generator, split: str, rows: int, style: Style, header: str) -> Column:
    """Dates, words, towns, names, codes or yes and no."""
    form = rng.random()
    if form < 0.3:
        cells = tuple(values.date(rng, style) for _ in range(rows))
        return Column(header or pick(rng, DATE_HEADERS), cells, None, "date")
    if form < 0.6:
        cells = _cased(rng, tuple(content_word(rng, split, 10) for _ in range(rows)))
        return Column(header or pick(rng, WORD_HEADERS), cells, None, "word")
    if form < 0.72:
        cells = tuple(short_pick(rng, cities(split), 12) for _ in range(rows))
        return Column(header or pick(rng, PLACE_HEADERS), cells, None, "place")
    if form < 0.82:
        cells = tuple(a_name(rng, split) for _ in range(rows))
        return Column(header or pick(rng, NAME_HEADERS), cells, None, "name")
    if form < 0.92:
        pattern = pick(rng, ("###", "####", "@#", "@@-##", "@##", "#####", "@-###", "##-##"))
        return Column(
            header or pick(rng, CODE_HEADERS), tuple(values.digits(rng, pattern) for _ in range(rows)), None, "code"
        )
    marks = pick(rng, _MARKS)
    return Column(header or pick(rng, WORD_HEADERS), tuple(pick(rng, marks) for _ in range(rows)), None, "choice")


def _title(rng: np.random.Generator, split: str, key: str) -> str:
    """A title of words of the split, sometimes in capitals."""
    text = pick(rng, _TITLES).format(
        a=content_word(rng, split).capitalize(),
        b=content_word(rng, split),
        key=key.lower(),
        n=int(rng.integers(1, 20)),
        year=int(rng.integers(1990, 2027)),
        city=short_pick(rng, cities(split), 12),
        month=pick(rng, values.MONTHS),
    )
    form = rng.random()
    return text.upper() if form < 0.1 else text.title() if form < 0.25 else text[:1].upper() + text[1:]


def _new_column(rng: np.random.Generator, split: str, rows: int, style: Style, own: bool, numeric: bool) -> Column:
    """A further column; `own`: with a content word as its header."""
    header = content_word(rng, split, 9).capitalize() if own else ""
    if numeric:
        return _numeric_column(rng, split, rows, style, header)
    column = _text_column(rng, split, rows, style, header)
    if rows > 2 and chance(rng, 0.06):  # nothing known for one row
        missing, blank = int(rng.integers(rows)), pick(rng, ("-", "n/a", "N/A", "--", "?"))
        column = replace(column, cells=tuple(blank if i == missing else c for i, c in enumerate(column.cells)))
    return column


def draw_content(rng: np.random.Generator, split: str, rows: int, columns: int) -> Content:
    """A table of that many data rows and columns (2 or more); the second column is numeric."""
    style = values.choose_style(rng)
    found = [_key_column(rng, split, rows)]
    own = chance(rng, 0.25)
    while len(found) < columns:
        column = _new_column(rng, split, rows, style, own, len(found) == 1 or bool(rng.random() < 0.6))
        if column.header.lower() not in {other.header.lower() for other in found}:
            found.append(column)
    title = _title(rng, split, found[0].header) if chance(rng, 0.5) else ""
    if chance(rng, 0.08):
        found = [replace(column, header=column.header.upper()) for column in found]
    return Content(title, tuple(found))
