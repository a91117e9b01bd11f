"""Tasks "invoice" and "invoice-zh": parties, numbers and dates, a table of items, sums.

    language --seller, buyer, items, taxes--> one of several layouts on a page --> Sample with entries and Markdown

The trap: sums are right: lines add up to the subtotal, tax and total follow from it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vl2.synth import chinese
from vl2.synth.canvas import text_width
from vl2.synth.folio import Folio, accent, pale, plain_paper
from vl2.synth.langs import LABELS, Font, Language, language
from vl2.synth.sample import Question, Sample, Value, structure_id
from vl2.synth.values import chance, pick

_TITLE_KEYS = ("invoice_no", "date", "due", "order")
_THANKS = (
    "Thank you for your business",
    "Please pay within 30 days",
    "Payment by bank transfer",
    "Goods remain our property until paid",
)
_THANKS_ZH = ("谢谢惠顾", "请在三十天内付款", "本单一式两份", "如有问题请与我们联系")
_ITEM = (
    "What was charged for {item}?",
    "How much is {item}?",
    "What is the amount of {item}?",
    "the total for {item}?",
    "price of {item} in all",
)
_ITEM_ZH = ("{item}的金额是多少？", "{item}多少钱？", "{item}一共多少钱？", "请问{item}的金额")
_QUANTITY = ("How many {item} were ordered?", "What is the quantity of {item}?", "quantity of {item}?")
_QUANTITY_ZH = ("{item}的数量是多少？", "{item}买了多少？", "{item}有几件？")
_COUNT = ("How many items are listed?", "How many lines does the table have?", "count the items")
_COUNT_ZH = ("一共有几项？", "表中列了几种商品？", "有多少个项目？")


@dataclass
class _Page:
    """Fonts and measures of one invoice."""

    folio: Folio
    font: Font
    bold: Font
    large: Font
    margin: float
    y: float
    step: float
    colour: tuple[int, int, int]

    @property
    def right(self) -> float:
        return self.folio.canvas.width - self.margin


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "invoice")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "invoice-zh")


def _draw(lang: Language, task: str) -> Sample:
    rng = lang.rng
    width, height = int(rng.integers(380, 620)), int(rng.integers(480, 768))
    path = lang.font_file(pick(rng, ("sans", "sans", "serif", "mono")))
    line = float(rng.uniform(11.5, 12.5 + max(0, width - 400) / 70))
    colour = accent(rng) if chance(rng, 0.6) else (30, 30, 34)
    canvas = plain_paper(rng, width, height)
    folio = Folio(lang, canvas, pick(rng, ((20, 20, 22), (40, 40, 46), (10, 16, 40))))
    heavy = lang.font_file("sans") if chance(rng, 0.4) else path
    font = lang.font(path, line)
    page = _Page(
        folio, font, lang.font(heavy, line), lang.font(heavy, line * rng.uniform(1.5, 2.3)),
        rng.uniform(14, 0.07 * width), rng.uniform(10, 26), folio.height_of(font) * rng.uniform(1.0, 1.22), colour,
    )  # fmt: skip
    _head(page)
    _parties(page)
    _items(page)
    if page.y + page.step < height and chance(rng, 0.5):
        note = lang.fit(lang.choose(_THANKS, _THANKS_ZH), font, width - 2 * page.margin)
        align = pick(rng, (0.0, 0.5))
        page.y += page.step * 0.4
        folio.text((page.margin + align * (width - 2 * page.margin), page.y), note, font, align=align)
        folio.block(note)
        page.y += page.step
    canvas.crop(max(240, min(height, int(page.y + rng.uniform(6, 40)))))
    used = {entry.label for entry in folio.entries}
    missing = [key for key in ("due", "order", "bank", "email", "phone") if not used & {*LABELS[key][lang.zh]}]
    folio.absent = [lang.say(key) for key in missing]
    folio.missing = tuple(missing)
    return folio.sample(task)


def _head(page: _Page) -> None:
    """Title, perhaps on a bar or across from the seller's name."""
    folio, lang, rng = page.folio, page.folio.lang, page.folio.rng
    title = lang.say("invoice")
    seller = lang.fit(lang.company(), page.bold, 0.55 * folio.canvas.width)
    tall = folio.height_of(page.large)
    bar = chance(rng, 0.3)
    fill = (255, 255, 255) if bar else page.colour
    if bar:
        folio.canvas.draw.rectangle((0, 0, folio.canvas.width, round(page.y + tall + 8)), fill=page.colour)
    left_title = chance(rng, 0.5)
    near, far = (page.margin, 0.0), (page.right, 1.0)
    (title_x, title_align), (seller_x, seller_align) = (near, far) if left_title else (far, near)
    folio.text((title_x, page.y), title, page.large, fill=fill, align=title_align)
    drop = (tall - folio.height_of(page.bold)) / 2
    box = folio.text((seller_x, page.y + drop), seller, page.bold, fill=fill if bar else None, align=seller_align)
    folio.entry(lang.say("seller"), seller, box, "seller")
    first, second = (title, seller) if left_title else (seller, title)
    folio.block(f"# {title}\n\n{seller}" if left_title else f"{seller}\n\n# {title}", f"{first} {second}")
    page.y += tall + (14 if bar else 6)


def _parties(page: _Page) -> None:
    """The buyer on the left, numbers and dates on the right, or all below one another."""
    folio, lang, rng = page.folio, page.folio.lang, page.folio.rng
    room = page.right - page.margin
    keys = [key for key in _TITLE_KEYS if key in ("invoice_no", "date") or chance(rng, 0.5)]
    values = {"invoice_no": lang.code_number(), "date": lang.date(), "due": lang.date(), "order": lang.code_number()}
    buyer = lang.company() if chance(rng, 0.6) else lang.person()
    contact = [("buyer", lang.say("buyer"), buyer), ("address", lang.say("address"), lang.address())]
    if chance(rng, 0.5):
        contact.append(("phone", lang.say("phone"), lang.phone()))
    if chance(rng, 0.3):
        contact.append(("email", lang.say("email"), lang.email()))
    facts = [(key, lang.say(key), values[key]) for key in keys]
    half = room * rng.uniform(0.5, 0.58)
    if room > 400 and chance(rng, 0.6):
        columns = [(page.margin, contact, half - 10), (page.margin + half, facts, room - half)]
    else:
        columns = [(page.margin, contact + facts if chance(rng, 0.5) else facts + contact, room)]
    lowest = page.y
    for x, rows, wide in columns:
        y = page.y
        written = []
        for key, label, value in rows:
            written.append(folio.field((x, y), label, value, page.font, page.bold, wide, key))
            y += page.step
        folio.block("\n".join(f"- {row}" for row in written), *written)
        lowest = max(lowest, y)
    page.y = lowest + page.step * rng.uniform(0.2, 0.8)


def _items(page: _Page) -> None:
    """The table of items and the sums below it."""
    folio, lang, rng = page.folio, page.folio.lang, page.folio.rng
    room = folio.canvas.height - page.y - 6 * page.step  # what the header and the sums need
    count = int(np.clip(room / (1.15 * page.step), 1, rng.integers(2, 11)))
    quantities = rng.integers(1, 30, count)
    prices = np.round(10 ** rng.uniform(1.8, 5, count)).astype(int)
    names: list[str] = []
    for _ in range(4 * count):
        name = lang.thing()
        if len(names) < count and not any(name in other or other in name for other in names):
            names.append(name)
    count = len(names)
    amounts = (quantities * prices)[:count]
    header = [lang.say(key) for key in ("item", "quantity", "price", "amount")]
    sign = chance(rng, 0.4)
    rows = [
        [name, str(quantities[i]), lang.money(int(prices[i]), sign=False), lang.money(int(amounts[i]), sign=sign)]
        for i, name in enumerate(names)
    ]
    _table(page, header, rows)
    for i, row in enumerate(rows):
        cents, quantity = int(amounts[i]), int(quantities[i])
        folio.values.append(Value("item_amount", (row[3],), f"{cents / 100:.2f}", row[0]))
        folio.values.append(Value("item_quantity", (row[1],), str(quantity), row[0]))
        kinds = ((_ITEM, _ITEM_ZH, row[3]), (_QUANTITY, _QUANTITY_ZH, row[1]))
        english, chinese_ones, answer = kinds[int(chance(rng, 0.4))]
        if i < 4:
            folio.extra.append(Question("ask", lang.choose(english, chinese_ones).format(item=row[0]), (answer,)))
    folio.extra.append(Question("ask", lang.choose(_COUNT, _COUNT_ZH), (str(count),), "exact"))
    folio.values.append(Value("num_items", (str(count),), str(count)))
    _sums(page, int(amounts.sum()))


def _table(page: _Page, header: list[str], rows: list[list[str]]) -> None:
    """Four columns, the last three to the right."""
    folio, rng, draw = page.folio, page.folio.rng, page.folio.canvas.draw
    lang = folio.lang
    pad = rng.uniform(5, 9)
    widths = [max(text_width(row[c], page.font) for row in rows) for c in range(4)]
    widths = [max(wide, text_width(header[c], page.bold)) + 2 * pad for c, wide in enumerate(widths)]
    widths[0] = max(40.0, page.right - page.margin - sum(widths[1:]))
    edges = page.margin + np.cumsum([0.0, *widths])
    look = pick(rng, ("grid", "bar", "rules", "zebra"))
    row_height = page.step * 1.15
    for number, row in enumerate([header, *rows]):
        top, bottom = round(page.y), round(page.y + row_height)
        font = page.font if number else page.bold
        fill = None
        if not number and look in ("bar", "zebra"):
            draw.rectangle((edges[0], top, edges[-1], bottom), fill=page.colour)
            fill = (255, 255, 255)
        elif look == "zebra" and number % 2 == 0:
            draw.rectangle((edges[0], top, edges[-1], bottom), fill=pale(page.colour))
        if look == "grid":
            for left, right in pairwise(edges):
                draw.rectangle((left, top, right, bottom), outline=page.colour)
        elif look == "rules":
            draw.line((edges[0], bottom, edges[-1], bottom), fill=page.colour)
        folio.canvas.mark(structure_id("rule"), (edges[0], bottom - 1, edges[-1], bottom + 1))
        drop = (row_height - folio.height_of(font)) / 2
        row[0] = lang.fit(row[0], font, widths[0] - 2 * pad)
        for c, text in enumerate(row):
            x, align = (edges[c] + pad, 0.0) if c == 0 else (edges[c + 1] - pad, 1.0)
            folio.text((x, page.y + drop), text, font, fill=fill, align=align)
        page.y += row_height
    ruled = [header, ["---"] * 4, *rows]
    folio.block("\n".join(f"| {' | '.join(row)} |" for row in ruled), *(" ".join(row) for row in (header, *rows)))
    page.y += page.step * 0.35


def _sums(page: _Page, cents: int) -> None:
    """Subtotal, tax and total to the right; Chinese totals also in words."""
    folio, lang, rng = page.folio, page.folio.lang, page.folio.rng
    rate = int(rng.choice([5, 6, 7, 8, 9, 10, 13, 16, 19, 20]))
    tax = round(cents * rate / 100)
    taxed = chance(rng, 0.7)
    rows = [("subtotal", lang.say("subtotal"), cents), ("tax", f"{lang.say('tax')} {rate}%", tax)] if taxed else []
    rows.append(("total", lang.say("total"), cents + tax if taxed else cents))
    written = []
    for key, label, value in rows:
        last = key == "total"
        font = page.bold if last else page.font
        text = lang.money(value)
        box = folio.text((page.right, page.y), text, font, align=1.0)
        head = f"{label}{lang.colon}"
        folio.text((page.right - max(text_width(text, font) + 14, 90), page.y), head, font, align=1.0)
        folio.entry(label, text, box, key, f"{value / 100:.2f}")
        written.append(f"{head}{'' if lang.zh else ' '}{text}")
        page.y += page.step
    if lang.zh and chance(rng, 0.6):
        spelt = chinese.amount_in_words(rows[-1][2])
        written.append(
            folio.field((page.margin, page.y), "大写金额", spelt, page.font, page.bold, page.right - page.margin)
        )
        page.y += page.step
    folio.block("\n".join(f"- {row}" for row in written), *written)
