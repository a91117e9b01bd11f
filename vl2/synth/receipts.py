"""Task "receipt": a till receipt or small invoice, narrow and drawn row by row.

    choices (width, fonts, money style, item layout, which rows fit) --> rows on a Sheet, facts --> Sample

The trap: the height is chosen first; items and optional rows are taken only while they fit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ImageFont

from vl2.synth import values
from vl2.synth.canvas import text_width
from vl2.synth.ingredients import fonts
from vl2.synth.ocr import font_of_height
from vl2.synth.paper import Sheet, shorten
from vl2.synth.sample import Sample
from vl2.synth.values import Style, chance, pick

TOTALS = tuple("TOTAL|Total|Total|TOTAL DUE|Amount Due|Grand Total|GRAND TOTAL|Balance Due|Total Amount|Sum|To Pay|AMOUNT".split("|"))
SUBTOTALS = tuple("Subtotal|SUBTOTAL|Sub-total|Sub Total|Net|NET AMOUNT|SUB TOTAL".split("|"))
TAXES = tuple("Tax|TAX|Sales Tax|VAT|GST|MwSt|Tax {rate}%|VAT {rate}%|GST ({rate}%)|TAX {rate} %|HST".split("|"))
PAYMENTS = tuple("Cash|CASH|Visa|VISA|Mastercard|MasterCard|Credit Card|CREDIT CARD|Debit|DEBIT CARD|Card|EFTPOS|Gift Card|Amex|PayPal|Check|Voucher".split("|"))
PAID_BY = tuple("Payment:|Paid by|Payment Method|Paid by:|Payment type|Method:|Tender|PAYMENT|Payment|Pay by".split("|"))
DOCS = (
    ("receipt", ("Receipt #", "Receipt No:", "Receipt:", "Rcpt No.", "RECEIPT NO.", "Receipt no")),
    ("invoice", ("Invoice #", "Invoice No:", "Invoice:", "INVOICE NO", "Inv. No.", "INVOICE")),
    ("bill", ("Bill No:", "Bill #", "BILL NO.", "Bill:")),
    ("order", ("Order #", "Order No:", "Order:", "ORDER NO.", "Order")),
    ("ticket", ("Ticket #", "Ticket No.", "TICKET", "Ticket:")),
    ("transaction", ("Trans #", "Trans. No:", "Transaction:", "TRN")),
)  # fmt: skip
CASHIERS = tuple("Cashier:|CASHIER|Served by|Served by:|Your server:|Cashier|Clerk:|Operator:|Server:|You were served by".split("|"))
PHONES = tuple("Tel: {}|Tel. {}|Phone: {}|{}|{}|TEL {}|Ph: {}|T: {}|Call {}|Phone {}".split("|"))
DATES = tuple("Date:|DATE|Date|Date :|Sold on|Issued:||".split("|"))
TIMES = tuple("Time:|TIME|Time|Time :|".split("|"))
FOOTERS = tuple(
    """Thank you!|THANK YOU|Thank you for your visit|Please come again|Have a nice day!|Thanks for shopping|See you again soon
    THANK YOU FOR SHOPPING|No refunds|Goods sold are not returnable|Come back soon|Thank you, come again!|Customer copy
    Please keep this receipt|MERCHANT COPY|All prices include tax|Enjoy your day|***THANK YOU***|*** Thank you ***""".replace("\n", "|").split("|")
)
FOOTERS = tuple(footer.strip() for footer in FOOTERS)
GREETINGS = tuple("RECEIPT|Receipt|Sales Receipt|INVOICE|Tax Invoice|TAX INVOICE|Welcome|CASH RECEIPT|SALE|Bill|CASH BILL".split("|"))
CHANGES = tuple("Change|CHANGE|Change due|CHANGE DUE|Change:|Cash back".split("|"))
TENDERED = tuple("Cash|CASH|Tendered|Amount tendered|Cash received|CASH TENDERED|Paid|Received".split("|"))
DISCOUNTS = tuple("Discount|DISCOUNT|You saved|Member discount|Promo|Coupon|Reduction".split("|"))
COUNTS = tuple("Items: {}|Item count: {}|{} item(s)|ITEMS {}|No. of items: {}|{} items".split("|"))


@dataclass(frozen=True)
class Item:
    """One line of the list; amounts in cents."""

    name: str
    quantity: int
    unit: int

    @property
    def price(self) -> int:
        return self.quantity * self.unit


@dataclass
class Receipt:
    """Everything chosen for one receipt, and the pen's height on it."""

    sheet: Sheet
    font: ImageFont.FreeTypeFont
    heading: ImageFont.FreeTypeFont
    style: Style
    signs: bool  # currency signs at the items as well
    total_signs: bool
    left: float
    right: float
    step: float
    y: float
    capitals: bool
    align: float

    @property
    def rng(self) -> np.random.Generator:
        return self.sheet.rng

    def case(self, text: str) -> str:
        """Upper case on receipts that are all capitals."""
        return text.upper() if self.capitals else text

    def line(self, text: str, region: str = "", *, align: float | None = None, heading: bool = False) -> str:
        """One line of the header or footer; returns what was drawn."""
        font = self.heading if heading else self.font
        text = shorten(text, font, self.right - self.left)
        align = self.align if align is None else align
        self.sheet.new_row()
        self.sheet.write((self.left + align * (self.right - self.left), self.y), text, font, align=align, region=region)
        self.y += self.step * (font.size / self.font.size if heading else 1)
        return text

    def pair(self, label: str, value: str, region: str, *, spread: bool = True, heading: bool = False) -> str:
        """A label and its value, at both ends of the row or together; returns the value as drawn."""
        font = self.heading if heading else self.font
        if text_width(f"{label}  {value}", font) > self.right - self.left:
            font = self.font
        room = self.right - self.left - text_width(f"{label}  ", font)
        value = shorten(value, font, room)
        self.sheet.new_row()
        if label:
            self.sheet.write((self.left, self.y), label, font)
        if spread and label:
            self.sheet.write((self.right, self.y), value, font, align=1, region=region)
        else:
            start = self.left + (text_width(f"{label} ", font) if label else 0)
            self.sheet.write((start, self.y), value, font, region=region)
        self.y += self.step * max(1.0, font.size / self.font.size)
        return value

    def separator(self, kind: int) -> None:
        """A rule, dashes, dots, a double rule or just space."""
        y = self.y + self.step * 0.28
        if kind == 1:
            self.sheet.rule(y, self.left, self.right)
        elif kind == 2:
            self.sheet.rule(y, self.left, self.right, dash=max(3, round(self.font.size / 3)))
        elif kind == 3:
            self.sheet.rule(y, self.left, self.right, dash=2, thick=2)
        elif kind == 4:
            self.sheet.rule(y - 1, self.left, self.right)
            self.sheet.rule(y + 2, self.left, self.right)
        self.y += self.step * 0.6

    def money(self, cents: int, sign: bool) -> tuple[str, ...]:
        """An amount as drawn, then without its currency sign."""
        drawn, plain = values.money(self.style, cents, sign=sign), values.money(self.style, cents, sign=False)
        return (drawn,) if drawn == plain else (drawn, plain)


def generate_receipt(rng: np.random.Generator, split: str) -> Sample:
    """One receipt with questions about it."""
    small = chance(rng, 0.52)
    height = int(rng.uniform(250, 385) if small else rng.uniform(385, 761))
    width = int(rng.uniform(220, 385))
    receipt = _start(rng, split, width, height)
    rows = (height - 2 * receipt.y) / receipt.step
    layout = int(rng.integers(6)) if width > 250 else int(rng.integers(5))
    each = 2 if layout == 3 else 1
    most = max(1, int((rows - 4.5) / each))
    count = int(min(most, rng.integers(1, 13)))
    items = _items(receipt, count, quantities=layout not in (0,))
    left = rows - 4.2 - count * each - (1 if layout in (2, 5) else 0)
    options = _choose_options(rng, left)
    rule = int(rng.integers(0, 5))
    _header(receipt, options)
    receipt.separator(rule)
    _draw_items(receipt, items, layout)
    receipt.separator(rule)
    _totals(receipt, items, options)
    _footer(receipt, options, count)
    sheet = receipt.sheet
    sheet.canvas.crop(max(120, min(height, int(receipt.y + rng.uniform(3, 18)))))
    return sheet.sample("receipt", readable=True)


def _start(rng: np.random.Generator, split: str, width: int, height: int) -> Receipt:
    """Paper, fonts and manner."""
    kind = "mono" if chance(rng, 0.5) else "sans" if chance(rng, 0.7) else "serif"
    path = pick(rng, fonts(split, kind))
    most = min(15.0, width / 24)
    capital = float(rng.uniform(9.2, max(9.6, most)) if chance(rng, 0.6) else 9.2)
    if kind == "mono":
        capital = min(capital, width / 26)
    font = font_of_height(path, max(9.0, capital))
    heading_path = path if chance(rng, 0.6) else pick(rng, fonts(split, pick(rng, ("sans", "serif", "display"))))
    heading = font_of_height(heading_path, capital * rng.uniform(1.0, 1.9))
    sheet = Sheet(rng, split, (width, height), capital)
    line_height = sheet.canvas.measure("x", font)[1]
    margin = rng.uniform(5, 0.07 * width)
    return Receipt(
        sheet, font, heading, values.choose_style(rng), chance(rng, 0.4), chance(rng, 0.7), margin, width - margin,
        max(line_height * rng.uniform(0.88, 1.2), capital * 1.5), rng.uniform(4, 16), chance(rng, 0.25),
        0.5 if chance(rng, 0.75) else 0.0,
    )  # fmt: skip


def _items(receipt: Receipt, count: int, *, quantities: bool) -> list[Item]:
    """Distinct items with prices that look like prices."""
    rng, split = receipt.rng, receipt.sheet.split
    items: list[Item] = []
    seen: set[str] = set()
    scale = float(pick(rng, (2.0, 5.0, 5.0, 12.0, 60.0)))
    room = (receipt.right - receipt.left) * 0.5
    for _ in range(count * 3):
        if len(items) == count:
            break
        name = receipt.case(shorten(values.thing(rng, split), receipt.font, room))
        if name.lower() in seen or len(name) < 3:
            continue
        seen.add(name.lower())
        unit = max(5, int(np.exp(rng.normal(0, 0.8)) * scale * 100))
        if chance(rng, 0.4):
            unit = max(5, unit // 50 * 50 - (1 if chance(rng, 0.3) else 0))
        quantity = int(rng.integers(2, 10)) if quantities and chance(rng, 0.45) else 1
        items.append(Item(name, quantity, unit))
    return items


_OPTIONS = {
    "address": 1.0, "city": 1.0, "phone": 1.0, "greeting": 1.0, "number": 1.0, "cashier": 1.0, "time": 1.0, "date": 1.0, "subtotal": 1.0,
    "tax": 1.0, "discount": 1.0, "payment": 1.0, "change": 2.0, "footer": 1.5, "count": 1.0,
}  # fmt: skip


def _choose_options(rng: np.random.Generator, rows: float) -> set[str]:
    """Optional rows that fit into `rows` rows."""
    chances = {"discount": 0.2, "count": 0.2, "greeting": 0.35, "city": 0.5, "change": 0.35}
    chosen: set[str] = set()
    names = list(_OPTIONS)
    for index in rng.permutation(len(names)).tolist():
        name = names[index]
        if rows >= _OPTIONS[name] and chance(rng, chances.get(name, 0.75)):
            chosen.add(name)
            rows -= _OPTIONS[name]
    return chosen


def _header(receipt: Receipt, options: set[str]) -> None:
    """Store, address and the rows about the sale."""
    rng, split, sheet = receipt.rng, receipt.sheet.split, receipt.sheet
    store = receipt.line(receipt.case(values.company(rng, split)), "store", heading=True)
    sheet.fact("receipt.store", (store,), "store", weight=1.5)
    if "address" in options:
        address = receipt.line(receipt.case(values.street(rng, split)), "address")
        sheet.fact("receipt.address", (address,), "address")
    if "city" in options:
        city = receipt.line(receipt.case(values.city(rng, split)), "city")
        sheet.fact("receipt.city", (city,), "city")
    if "phone" in options:
        number = values.phone(rng)
        drawn = receipt.line(pick(rng, PHONES).format(number), "phone")
        sheet.fact("receipt.phone", (number,) if number in drawn else (drawn,), "phone")
    if "greeting" in options:
        receipt.line(pick(rng, GREETINGS))
    writers: list[Callable[[], None]] = []
    if "number" in options:
        writers.append(lambda: _number(receipt))
    if "cashier" in options:
        writers.append(lambda: _cashier(receipt))
    if options & {"date", "time"}:
        writers.append(lambda: _moment(receipt, options))
    for index in rng.permutation(len(writers)).tolist():
        writers[index]()


def _number(receipt: Receipt) -> None:
    rng = receipt.rng
    doc, labels = pick(rng, DOCS)
    drawn = receipt.pair(receipt.case(pick(rng, labels)), values.code(rng), "number", spread=chance(rng, 0.5))
    receipt.sheet.fact("receipt.number", (drawn,), "number", doc=doc)


def _cashier(receipt: Receipt) -> None:
    rng = receipt.rng
    label = receipt.case(pick(rng, CASHIERS))
    drawn = receipt.pair(label, receipt.case(values.person(rng, receipt.sheet.split)), "cashier", spread=chance(rng, 0.5))
    receipt.sheet.fact("receipt.cashier", (drawn,), "cashier")


def _moment(receipt: Receipt, options: set[str]) -> None:
    """Date and time, in one row or two."""
    rng, sheet = receipt.rng, receipt.sheet
    date, time = values.date(rng, receipt.style), values.time(rng, receipt.style)
    wide = text_width(f"{date}    {time}", receipt.font) < receipt.right - receipt.left
    if {"date", "time"} <= options and wide and chance(rng, 0.6):
        sheet.new_row()
        sheet.write((receipt.left, receipt.y), date, receipt.font, region="date")
        sheet.write((receipt.right, receipt.y), time, receipt.font, align=1, region="time")
        receipt.y += receipt.step
        sheet.fact("receipt.date", (date,), "date", weight=1.3)
        sheet.fact("receipt.time", (time,), "time")
        return
    spread = chance(rng, 0.5)
    if "date" in options:
        drawn = receipt.pair(receipt.case(pick(rng, DATES)), date, "date", spread=spread)
        sheet.fact("receipt.date", (drawn,), "date", weight=1.3)
    if "time" in options:
        drawn = receipt.pair(receipt.case(pick(rng, TIMES)), time, "time", spread=spread)
        sheet.fact("receipt.time", (drawn,), "time")


def _draw_items(receipt: Receipt, items: list[Item], layout: int) -> None:
    """The list in one of six layouts, and its facts."""
    rng, sheet, font = receipt.rng, receipt.sheet, receipt.font
    left, right = receipt.left, receipt.right
    indent = text_width("99x ", font)
    amounts = [receipt.money(item.price, receipt.signs)[0] for item in items]
    units = [receipt.money(item.unit, False)[0] for item in items]
    wide = max(text_width(text, font) for text in amounts)
    quantity_x = right - wide - text_width("00", font) - 8
    if layout in (2, 5) and chance(rng, 0.85):
        sheet.new_row()
        sheet.write((left, receipt.y), receipt.case(pick(rng, ("Item", "Description", "Product", "Article"))), font)
        if layout == 2:
            sheet.write((quantity_x, receipt.y), receipt.case("Qty"), font, align=0.5)
        sheet.write((right, receipt.y), receipt.case(pick(rng, ("Price", "Amount", "Total"))), font, align=1)
        receipt.y += receipt.step
    mark = pick(rng, ("x", " x", "X", ""))
    for index, item in enumerate(items):
        sheet.new_row()
        x = left + (indent if layout in (1, 4) else 0)
        edge = quantity_x - text_width("000", font) if layout == 2 else right - wide - 8
        if layout == 5:
            edge -= text_width(f"{item.quantity} x {units[index]}", font)
        name = shorten(item.name, font, max(40.0, edge - x))
        if layout in (1, 4):
            shown = f"{item.quantity}{mark}" if layout == 4 else str(item.quantity)
            sheet.write((left, receipt.y), shown, font, region=f"quantity{index}")
        sheet.write((x, receipt.y), name, font, region=f"item{index}")
        if layout == 2:
            sheet.write((quantity_x, receipt.y), str(item.quantity), font, align=0.5, region=f"quantity{index}")
        if layout == 3:
            receipt.y += receipt.step
            sheet.new_row()
            sheet.write((left + indent, receipt.y), f"{item.quantity} x {units[index]}", font)
        if layout == 5:
            sheet.write((right - wide - 10, receipt.y), f"{item.quantity} x {units[index]}", font, align=1)
        sheet.write((right, receipt.y), amounts[index], font, align=1, region=f"price{index}")
        receipt.y += receipt.step
        items[index] = Item(name, item.quantity, item.unit)
    _item_facts(receipt, items, layout)


def _item_facts(receipt: Receipt, items: list[Item], layout: int) -> None:
    """Prices, quantities, the dearest, the number of items."""
    sheet, count = receipt.sheet, len(items)
    names, prices = [item.name for item in items], [item.price for item in items]
    for index, item in enumerate(items):
        if names.count(item.name) > 1:
            continue
        answers = receipt.money(item.price, receipt.signs)
        sheet.fact("receipt.item_price", answers, f"price{index}", item=item.name, weight=3 / count)
        if layout:
            region = f"quantity{index}" if layout in (1, 2, 4) else ""
            sheet.fact("receipt.item_quantity", (str(item.quantity),), region, item=item.name, weight=1.6 / count)
        if layout in (3, 5) and item.quantity > 1:
            unit = receipt.money(item.unit, False)
            sheet.fact("receipt.unit_price", unit, item=item.name, weight=1 / count)
        if prices.count(item.price) == 1:
            sheet.fact("receipt.item_for_price", (item.name,), f"item{index}", price=answers[0], weight=1 / count)
    sheet.fact("receipt.num_items", (str(count),), weight=0.8)
    if count > 1:
        sheet.fact("receipt.first_item", (names[0],), "item0", weight=0.4)
        sheet.fact("receipt.last_item", (names[-1],), f"item{count - 1}", weight=0.4)
        if prices.count(max(prices)) == 1:
            index = prices.index(max(prices))
            sheet.fact("receipt.dearest", (names[index],), f"item{index}", weight=0.5)
        if prices.count(min(prices)) == 1:
            index = prices.index(min(prices))
            sheet.fact("receipt.cheapest", (names[index],), f"item{index}", weight=0.4)


def _totals(receipt: Receipt, items: list[Item], options: set[str]) -> None:
    """Subtotal, discount, tax and total, then how it was paid."""
    rng, sheet = receipt.rng, receipt.sheet
    total = subtotal = sum(item.price for item in items)

    def amount(label: str, cents: int, name: str, sign: bool, heading: bool = False) -> None:
        answers = receipt.money(cents, sign)
        receipt.pair(receipt.case(label), answers[0], name, heading=heading)
        sheet.fact(f"receipt.{name}", answers, name, weight=2.5 if name == "total" else 1.2)

    if "subtotal" in options:
        amount(pick(rng, SUBTOTALS), subtotal, "subtotal", receipt.signs)
    if "discount" in options and subtotal > 100:
        off = max(1, int(subtotal * rng.uniform(0.02, 0.3)))
        total -= off
        amount(pick(rng, DISCOUNTS), -off, "discount", receipt.signs)
    if "tax" in options:
        rate = float(pick(rng, (5, 6, 7, 8, 10, 12, 15, 19, 20, 21, 7.5, 8.25)))
        tax = round(total * rate / 100)
        total += tax
        amount(pick(rng, TAXES).format(rate=f"{rate:g}"), tax, "tax", receipt.signs)
    amount(pick(rng, TOTALS) + pick(rng, ("", "", ":")), total, "total", receipt.total_signs, heading=chance(rng, 0.4))
    cash = "change" in options
    if cash:
        step = int(pick(rng, (100, 500, 1000, 2000)))
        given = -(-(total + 1) // step) * step
        amount(pick(rng, TENDERED), given, "paid", receipt.signs)
        amount(pick(rng, CHANGES), given - total, "change", receipt.signs)
    elif "payment" in options:
        method = receipt.pair(receipt.case(pick(rng, PAID_BY)), pick(rng, PAYMENTS), "payment", spread=chance(rng, 0.6))
        sheet.fact("receipt.payment", (method,), "payment")


def _footer(receipt: Receipt, options: set[str], count: int) -> None:
    rng = receipt.rng
    if "count" in options:
        receipt.line(receipt.case(pick(rng, COUNTS).format(count)))
    if "footer" in options:
        receipt.y += receipt.step * 0.4
        receipt.line(pick(rng, FOOTERS))
