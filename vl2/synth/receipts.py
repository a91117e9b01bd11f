"""Task "receipt": a till receipt or small invoice, narrow and drawn row by row.

    choices (width, fonts, money style, item layout, which rows fit) --> rows on a Sheet, facts --> Sample

The trap: the height is chosen first; items and optional rows are taken only while they fit.
"""

from collections.abc import Callable

import numpy as np

from vl2.synth import document_words as printed
from vl2.synth import values
from vl2.synth.canvas import text_width
from vl2.synth.receipt_items import Item, choose_layout, draw_items, new_items, rows_needed
from vl2.synth.receipt_pen import Receipt, start
from vl2.synth.sample import Sample, Value, structure_id
from vl2.synth.values import chance, pick
from vl2.synth.wordings import NOUNS

# optional row -> (rows it takes, chance when it fits)
_OPTIONS: dict[str, tuple[float, float]] = {
    "address": (1, 0.75), "city": (1, 0.5), "phone": (1, 0.7), "greeting": (1, 0.35), "number": (1, 0.75),
    "cashier": (1, 0.65), "time": (1, 0.7), "date": (1, 0.85), "subtotal": (1, 0.75), "tax": (1, 0.75),
    "discount": (1, 0.2), "tip": (1, 0.12), "payment": (1, 0.65), "change": (2, 0.35), "footer": (1.5, 0.7),
    "count": (1, 0.2), "customer": (1, 0.15), "table": (1, 0.12), "due": (1, 0.1), "barcode": (2.5, 0.12),
    "logo": (2.5, 0.1),
}  # fmt: skip
_TEXTS = (
    "store", "phone", "address", "city", "number", "cashier", "customer", "table", "due", "date", "time", "payment",
)  # fmt: skip
_LOOKED_FOR = ("tip", "discount", "cashier", "phone", "tax", "change", "customer", "table", "due")


def generate_receipt(rng: np.random.Generator, split: str) -> Sample:
    """One receipt with questions about it."""
    small = chance(rng, 0.5)
    height = int(rng.uniform(250, 385) if small else rng.uniform(400, 761))
    width = int(rng.uniform(220, 385))
    receipt = start(rng, split, width, height)
    rows = (height - receipt.y - 6) / receipt.step
    layout = choose_layout(rng, receipt)
    # store name, total and up to four separators are always there
    fixed = 2 * max(1.0, receipt.heading.size / receipt.font.size) + 2.7
    most = rows - fixed
    least = 1 if small else max(1, int(most / 4 / rows_needed(layout, 1)))
    count = min(12, int(rng.integers(least, 13)))
    while count > 1 and rows_needed(layout, count) > most:
        count -= 1
    items = new_items(receipt, count, layout)
    used = fixed + rows_needed(layout, len(items))
    options, spent = _choose_options(rng, rows - used)
    # what is left over widens the rows
    receipt.step *= float(np.clip(rows / (used + spent), 1.0, rng.uniform(1.0, 1.35)))
    _header(receipt, options)
    receipt.separator()
    draw_items(receipt, items, layout)
    receipt.separator()
    _totals(receipt, items, options)
    _footer(receipt, options, len(items))
    sheet = receipt.sheet
    kinds = {fact.kind for fact in sheet.facts}
    absent = [f"receipt.{name}" for name in _LOOKED_FOR if f"receipt.{name}" not in kinds]
    sheet.absent = [pick(rng, NOUNS[kind].split("|")) for kind in absent]
    sheet.values += [
        Value(fact.kind.removeprefix("receipt."), fact.answers, about=str(fact.slots.get("doc", "")))
        for fact in sheet.facts
        if fact.kind.removeprefix("receipt.") in _TEXTS
    ]
    sheet.missing = tuple(kind.removeprefix("receipt.") for kind in absent)
    sheet.canvas.crop(max(120, min(height, int(receipt.y + rng.uniform(3, 18)))))
    return sheet.sample("receipt", readable=True)


def _choose_options(rng: np.random.Generator, rows: float) -> tuple[set[str], float]:
    """Optional rows that fit into `rows` rows, and how many rows they take."""
    chosen: set[str] = set()
    names, spent = list(_OPTIONS), 0.0
    for index in rng.permutation(len(names)).tolist():
        name = names[index]
        size, likely = _OPTIONS[name]
        if spent + size <= rows and chance(rng, likely):
            chosen.add(name)
            spent += size
    return chosen, spent


def _header(receipt: Receipt, options: set[str]) -> None:
    """Store, address and the rows about the sale."""
    rng, split, sheet = receipt.rng, receipt.sheet.split, receipt.sheet
    if "logo" in options:
        _logo(receipt)
    store = receipt.line(receipt.case(values.company(rng, split)), "store", heading=True)
    sheet.fact("receipt.store", (store,), "store", weight=1.5)
    _address(receipt, options)
    if "phone" in options:
        number = values.phone(rng)
        drawn = receipt.line(pick(rng, printed.PHONES).format(number), "phone")
        sheet.fact("receipt.phone", (number, drawn) if number in drawn else (drawn,), "phone")
    if "greeting" in options:
        receipt.line(pick(rng, printed.GREETINGS))
    if chance(rng, 0.3):
        receipt.separator()
    writers: dict[str, Callable[[], None]] = {
        "number": lambda: _number(receipt),
        "cashier": lambda: _person(receipt, "cashier", printed.CASHIERS),
        "customer": lambda: _person(receipt, "customer", printed.CUSTOMERS),
        "table": lambda: _labelled(receipt, "table", printed.TABLES, str(int(rng.integers(1, 60)))),
        "due": lambda: _labelled(receipt, "due", printed.DUES, values.date(rng, receipt.style)),
    }
    rows = [writer for name, writer in writers.items() if name in options]
    if options & {"date", "time"}:
        rows.append(lambda: _moment(receipt, options))
    for index in rng.permutation(len(rows)).tolist():
        rows[index]()


def _address(receipt: Receipt, options: set[str]) -> None:
    """Street and city, in one line where both fit."""
    rng, split, sheet = receipt.rng, receipt.sheet.split, receipt.sheet
    street, city = receipt.case(values.street(rng, split)), receipt.case(values.city(rng, split))
    both = f"{street}, {city}"
    fits = text_width(both, receipt.font) < receipt.right - receipt.left
    if {"address", "city"} <= options and fits and chance(rng, 0.4):
        receipt.line(both, "address")
        sheet.fact("receipt.address", (both, street), "address")
        return
    if "address" in options:
        sheet.fact("receipt.address", (receipt.line(street, "address"),), "address")
    if "city" in options:
        sheet.fact("receipt.city", (receipt.line(city, "city"),), "city")


def _labelled(receipt: Receipt, name: str, labels: tuple[str, ...], value: str, doc: str = "") -> None:
    """A label with its value and the fact about it; `doc` is what the document calls itself."""
    rng = receipt.rng
    drawn = receipt.pair(receipt.label(labels, value), value, name, spread=chance(rng, 0.5))
    if doc:
        receipt.sheet.fact(f"receipt.{name}", (drawn,), name, doc=doc)
    else:
        receipt.sheet.fact(f"receipt.{name}", (drawn,), name)


def _number(receipt: Receipt) -> None:
    doc, labels = pick(receipt.rng, printed.DOCUMENTS)
    _labelled(receipt, "number", labels, values.code(receipt.rng), doc=doc)


def _person(receipt: Receipt, name: str, labels: tuple[str, ...]) -> None:
    _labelled(receipt, name, labels, receipt.case(values.person(receipt.rng, receipt.sheet.split)))


def _moment(receipt: Receipt, options: set[str]) -> None:
    """Date and time, in one row or two."""
    rng, sheet, font = receipt.rng, receipt.sheet, receipt.font
    date, time = values.date(rng, receipt.style), values.time(rng, receipt.style)
    label = receipt.case(pick(rng, printed.DATES)) if chance(rng, 0.4) else ""
    width = text_width(f"{label} {date}   {time}", font)
    if {"date", "time"} <= options and width < receipt.right - receipt.left and chance(rng, 0.65):
        sheet.new_row()
        x = receipt.left
        if label:
            sheet.write((x, receipt.y), label, font)
            x += text_width(f"{label} ", font)
        sheet.write((x, receipt.y), date, font, region="date")
        if chance(rng, 0.6):
            sheet.write((receipt.right, receipt.y), time, font, align=1, region="time")
        else:
            sheet.write((x + text_width(f"{date}  ", font), receipt.y), time, font, region="time")
        receipt.y += receipt.step
        sheet.fact("receipt.date", (date,), "date", weight=1.3)
        sheet.fact("receipt.time", (time,), "time")
        return
    spread = chance(rng, 0.5)
    if "date" in options:
        drawn = receipt.pair(receipt.label(printed.DATES, date), date, "date", spread=spread)
        sheet.fact("receipt.date", (drawn,), "date", weight=1.3)
    if "time" in options:
        drawn = receipt.pair(receipt.label(printed.TIMES, time), time, "time", spread=spread)
        sheet.fact("receipt.time", (drawn,), "time")


def _totals(receipt: Receipt, items: list[Item], options: set[str]) -> None:
    """Subtotal, discount, tax, tip and total, then how it was paid."""
    rng, sheet = receipt.rng, receipt.sheet
    total = subtotal = sum(item.price for item in items)
    spread = chance(rng, 0.93)

    def amount(name: str, labels: tuple[str, ...], cents: int, sign: bool, heading: bool = False) -> None:
        answers = receipt.money(cents, sign)
        label = receipt.label(labels, answers[0])
        drawn = receipt.pair(label, answers[0], name, spread=spread, heading=heading)
        is_whole = drawn == answers[0] and cents >= 0  # whether a discount is below zero is a matter of taste
        answers = answers if drawn == answers[0] else (drawn,)
        sheet.values.append(Value(name, answers, f"{cents / 100:.2f}" if is_whole else ""))
        sheet.fact(f"receipt.{name}", answers, name, weight=2.5 if name == "total" else 1.2)

    if "subtotal" in options:
        amount("subtotal", printed.SUBTOTALS, subtotal, receipt.signs)
    if "discount" in options and subtotal > 100:
        off = max(1, int(subtotal * rng.uniform(0.02, 0.3)))
        total -= off
        amount("discount", printed.DISCOUNTS, -off, receipt.signs)
    if "tax" in options:
        rate = float(pick(rng, (5, 6, 7, 8, 10, 12, 15, 19, 20, 21, 7.5, 8.25)))
        tax = round(total * rate / 100)
        total += tax
        labels = tuple(label.format(rate=f"{rate:g}") for label in printed.TAXES)
        amount("tax", labels, tax, receipt.signs)
    if "tip" in options:
        tip = round(total * rng.uniform(0.05, 0.2))
        total += tip
        amount("tip", printed.TIPS, tip, receipt.signs)
    if chance(rng, 0.25):
        receipt.separator()
    amount("total", printed.TOTALS, total, receipt.total_signs, heading=chance(rng, 0.4))
    if "change" in options:
        step = int(pick(rng, (100, 500, 1000, 2000)))
        given = -(-(total + 1) // step) * step
        amount("paid", printed.TENDERED, given, receipt.signs)
        amount("change", printed.CHANGES, given - total, receipt.signs)
    elif "payment" in options:
        _labelled(receipt, "payment", printed.PAID_BY, pick(rng, printed.PAYMENTS))


def _footer(receipt: Receipt, options: set[str], count: int) -> None:
    """Number of items, thanks and a barcode."""
    rng = receipt.rng
    if "count" in options:
        receipt.line(receipt.case(pick(rng, printed.COUNTS).format(count)))
    if "footer" in options:
        receipt.y += receipt.step * 0.4
        receipt.line(pick(rng, printed.FOOTERS))
    if "barcode" in options:
        _barcode(receipt)


def _barcode(receipt: Receipt) -> None:
    """Bars of random widths across the middle of the sheet."""
    rng, sheet = receipt.rng, receipt.sheet
    width = float(rng.uniform(0.5, 0.85)) * (receipt.right - receipt.left)
    left, top = round((sheet.width - width) / 2), round(receipt.y + 3)
    bottom = round(receipt.y + receipt.step * 2.2)
    edges = left + np.cumsum(rng.integers(1, 4, int(width / 2) * 2))
    for start_x, end_x in edges.reshape(-1, 2).tolist():
        if end_x > left + width:
            break
        sheet.canvas.draw.rectangle((start_x, top, end_x - 1, bottom), fill=sheet.ink)
    box = (left, top, left + width, bottom)
    sheet.canvas.mark(structure_id("barcode"), box)
    sheet.canvas.region("barcode", box)
    sheet.fact("barcode", (), "barcode", weight=0.4, phrases=("the barcode", "the bar code", "barcode"))
    receipt.y += receipt.step * 2.5


def _logo(receipt: Receipt) -> None:
    """A simple sign above the store's name."""
    rng, sheet = receipt.rng, receipt.sheet
    side = receipt.step * 2.1
    left = receipt.left + receipt.align * (receipt.right - receipt.left - side)
    box = (round(left), round(receipt.y), round(left + side), round(receipt.y + side))
    colour = sheet.ink if chance(rng, 0.6) else tuple(int(v) for v in rng.integers(20, 190, 3))
    draw = sheet.canvas.draw
    shape = int(rng.integers(4))
    if shape == 0:
        draw.ellipse(box, fill=colour)
    elif shape == 1:
        draw.ellipse(box, outline=colour, width=3)
    elif shape == 2:
        draw.polygon([(box[0], box[3]), ((box[0] + box[2]) / 2, box[1]), (box[2], box[3])], fill=colour)
    else:
        draw.rounded_rectangle(box, radius=side / 4, outline=colour, width=3)
        draw.line((box[0], box[3], box[2], box[1]), fill=colour, width=3)
    sheet.canvas.mark(structure_id("logo"), box)
    sheet.canvas.region("logo", box)
    sheet.fact("logo", (), "logo", weight=0.4, phrases=("the logo", "the logo of the store", "the sign above the name"))
    receipt.y += receipt.step * 2.4
