"""The list of items of a receipt: what was bought, eight ways to lay it out, and the facts it gives.

    new_items --> Items --draw_items(layout)--> rows on the sheet, facts (price, quantity, dearest, first ...)

The trap: a fact needs a unique answer on the image, so items with equal prices or names give fewer facts.
"""

from dataclasses import dataclass, replace

import numpy as np

from vl2.synth import values
from vl2.synth.canvas import text_width
from vl2.synth.document_words import ITEM_HEADS, PRICE_HEADS, QUANTITY_HEADS, UNIT_HEADS
from vl2.synth.paper import shorten
from vl2.synth.receipt_pen import Receipt
from vl2.synth.sample import Value, structure_id
from vl2.synth.values import chance, pick

# name + price | quantity name price | name quantity price | name, below it quantity x unit, price | 2x name price
# | name, quantity x unit, price | code name price | ruled table of name, quantity, unit, amount
LAYOUTS = ("plain", "quantity first", "columns", "two rows", "times", "units", "code", "table")
_NARROW = ("plain", "quantity first", "columns", "two rows", "two rows", "times", "code")
_HEADED = ("columns", "units", "table")


@dataclass(frozen=True)
class Item:
    """One line of the list; amounts in cents."""

    name: str
    quantity: int
    unit: int

    @property
    def price(self) -> int:
        return self.quantity * self.unit


def choose_layout(rng: np.random.Generator, receipt: Receipt) -> str:
    """A layout that fits into the width."""
    characters = (receipt.right - receipt.left) / text_width("n", receipt.font)
    return pick(rng, LAYOUTS if characters > 34 else _NARROW)


def rows_needed(layout: str, count: int) -> float:
    """Rows that a list takes, with its header."""
    return count * (2 if layout == "two rows" else 1.15 if layout == "table" else 1) + (layout in _HEADED)


def new_items(receipt: Receipt, count: int, layout: str) -> list[Item]:
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
        quantity = int(rng.integers(2, 10)) if layout not in ("plain", "code") and chance(rng, 0.45) else 1
        items.append(Item(name, quantity, unit))
    return items


@dataclass
class _Columns:
    """Where the cells of the list go, as x of their left or right ends."""

    name: float
    name_end: float
    quantity: float
    unit: float
    amount: float


def _columns(receipt: Receipt, layout: str, amounts: list[str], units: list[str], tail: str) -> _Columns:
    """Column positions wide enough for everything in them."""
    font, left, right = receipt.font, receipt.left, receipt.right

    def width(text: str) -> float:
        return text_width(text, font)

    gap = width("n") * 1.1
    amount = right - (width(tail) + gap * 0.6 if tail else 0)
    used = max(width(text) for text in amounts)
    if layout in _HEADED:
        used = max(used, width("Amount"))
    name, end, unit, quantity = left, amount - used - gap, amount - used - gap, left
    if layout == "columns":
        quantity = amount - used - gap - width("Qty") / 2
        end = quantity - width("Qty") / 2 - gap
    elif layout == "table":
        name, unit = left + 3, amount - used - 1.6 * gap
        quantity = unit - max(width(text) for text in [*units, "Rate"]) - 1.6 * gap - width("Qty") / 2
        end = quantity - width("Qty") / 2 - gap
        amount -= 3
    elif layout == "units":
        end = unit - max(width(f"9 x {text}") for text in units) - gap
    elif layout in ("quantity first", "times"):
        name = left + width("9x") + gap
    elif layout == "code":
        name = left + width("0000") + gap
    return _Columns(name, max(end, name + 40), quantity, unit, amount)


def draw_items(receipt: Receipt, items: list[Item], layout: str) -> None:
    """Draw the list and note its facts."""
    rng, sheet, font = receipt.rng, receipt.sheet, receipt.font
    amounts = [receipt.money(item.price, receipt.signs)[0] for item in items]
    units = [receipt.money(item.unit, False)[0] for item in items]
    tail = pick(rng, ("A", "T", "*", "F", "B")) if layout in ("plain", "times", "code") and chance(rng, 0.15) else ""
    columns = _columns(receipt, layout, amounts, units, tail)
    top = receipt.y
    if layout in _HEADED and (layout == "table" or chance(rng, 0.85)):
        _draw_header(receipt, columns, layout)
    mark = pick(rng, ("x", "x", "X", "@")) if layout in ("units", "two rows") else pick(rng, ("x", "x", "X", ""))
    once = chance(rng, 0.5)  # a single piece is not multiplied
    plain_rows = {index for index, item in enumerate(items) if once and item.quantity == 1}
    drawn: list[Item] = []
    for index, item in enumerate(items):
        name = shorten(item.name, font, columns.name_end - columns.name)
        if layout == "table":
            sheet.rule(receipt.y - 1, receipt.left, receipt.right, mark="grid line")
            receipt.y += receipt.step * 0.1
        sheet.new_row()
        if layout == "code":
            sheet.write((receipt.left, receipt.y), values.digits(rng, "####"), font)
        if layout in ("quantity first", "times"):
            shown = f"{item.quantity}{mark}" if layout == "times" else str(item.quantity)
            sheet.write((receipt.left, receipt.y), shown, font, region=f"quantity{index}")
        sheet.write((columns.name, receipt.y), name, font, region=f"item{index}")
        if layout in ("columns", "table"):
            x = columns.quantity
            sheet.write((x, receipt.y), str(item.quantity), font, align=0.5, region=f"quantity{index}")
        if layout == "table":
            sheet.write((columns.unit, receipt.y), units[index], font, align=1, region=f"unit{index}")
        product = f"{item.quantity} {mark} {units[index]}"
        if layout == "two rows" and index not in plain_rows:
            receipt.y += receipt.step
            sheet.new_row()
            sheet.write((receipt.left + text_width("nn", font), receipt.y), product, font)
        if layout == "units" and index not in plain_rows:
            sheet.write((columns.unit, receipt.y), product, font, align=1)
        sheet.write((columns.amount, receipt.y), amounts[index], font, align=1, region=f"price{index}")
        if tail:
            sheet.write((receipt.right, receipt.y), tail, font, align=1)
        receipt.y += receipt.step * (1.05 if layout == "table" else 1)
        drawn.append(replace(item, name=name))
    if layout == "table":
        _draw_grid(receipt, columns, top)
    _item_facts(receipt, drawn, layout, plain_rows)


def _draw_header(receipt: Receipt, columns: _Columns, layout: str) -> None:
    """The names of the columns."""
    rng, sheet, font = receipt.rng, receipt.sheet, receipt.font
    sheet.new_row()
    head = receipt.case(pick(rng, ITEM_HEADS))
    if text_width(head, font) > columns.name_end - columns.name:
        head = "Item"
    sheet.write((columns.name, receipt.y), head, font)
    if layout in ("columns", "table"):
        sheet.write((columns.quantity, receipt.y), pick(rng, QUANTITY_HEADS), font, align=0.5)
    price = pick(rng, PRICE_HEADS[1:] if layout == "table" else PRICE_HEADS)
    if layout == "table":
        sheet.write((columns.unit, receipt.y), pick(rng, UNIT_HEADS), font, align=1)
    sheet.write((columns.amount, receipt.y), price, font, align=1)
    receipt.y += receipt.step


def _draw_grid(receipt: Receipt, columns: _Columns, top: float) -> None:
    """Lines around and between the columns of a table."""
    sheet, gap = receipt.sheet, text_width("n", receipt.font) * 0.6
    sheet.rule(receipt.y, receipt.left, receipt.right, mark="grid line")
    sheet.rule(top - 2, receipt.left, receipt.right, mark="grid line")
    inner = [
        columns.name_end + gap / 2,
        columns.quantity + text_width("Qty", receipt.font) / 2 + gap,
        columns.unit + gap,
    ]
    for x in (receipt.left, *inner, receipt.right):
        box = (round(x), round(top - 2), round(x), round(receipt.y))
        sheet.canvas.draw.line(box, fill=sheet.ink)
        sheet.canvas.mark(structure_id("grid line"), (box[0] - 1, box[1], box[2] + 1, box[3]))
    receipt.y += receipt.step * 0.2


def _item_facts(receipt: Receipt, items: list[Item], layout: str, plain_rows: set[int]) -> None:
    """Prices, quantities and single items by place or price."""
    sheet, count = receipt.sheet, len(items)
    names, prices = [item.name for item in items], [item.price for item in items]
    several = layout not in ("plain", "code")
    with_units = layout in ("two rows", "units", "table")
    for index, item in enumerate(items):
        if names.count(item.name) > 1:
            continue
        answers = receipt.money(item.price, receipt.signs)
        sheet.fact("receipt.item_price", answers, f"price{index}", item=item.name, weight=3 / count)
        sheet.values.append(Value("item_price", answers, f"{item.price / 100:.2f}", item.name))
        if several and (index not in plain_rows or not with_units or layout == "table"):
            region = "" if layout in ("two rows", "units") else f"quantity{index}"
            weight = (2.2 if item.quantity > 1 else 0.9) / count
            sheet.fact("receipt.item_quantity", (str(item.quantity),), region, item=item.name, weight=weight)
            sheet.values.append(Value("item_quantity", (str(item.quantity),), str(item.quantity), item.name))
        if with_units and item.quantity > 1:
            region = f"unit{index}" if layout == "table" else ""
            unit = receipt.money(item.unit, False)
            sheet.fact("receipt.unit_price", unit, region, item=item.name, weight=1 / count)
        others = [other.unit for other in items if other is not item] if with_units else []
        if prices.count(item.price) == 1 and item.price not in others:
            sheet.fact("receipt.item_for_price", (item.name,), f"item{index}", price=answers[0], weight=1 / count)
    sheet.fact("receipt.num_items", (str(count),), weight=0.8)
    sheet.values.append(Value("num_items", (str(count),), str(count)))
    if count > 1:
        sheet.fact("receipt.first_item", (names[0],), "item0", weight=0.4)
        sheet.fact("receipt.last_item", (names[-1],), f"item{count - 1}", weight=0.4)
        _extreme_facts(receipt, items, with_units)


def _extreme_facts(receipt: Receipt, items: list[Item], with_units: bool) -> None:
    """The dearest and the cheapest item, where line and unit prices agree about it."""
    prices, units = [item.price for item in items], [item.unit for item in items]
    for kind, best in (("receipt.dearest", max), ("receipt.cheapest", min)):
        index = prices.index(best(prices))
        unique = prices.count(prices[index]) == 1
        agreed = not with_units or (units[index] == best(units) and units.count(units[index]) == 1)
        if unique and agreed:
            receipt.sheet.fact(kind, (items[index].name,), f"item{index}", weight=0.5)
