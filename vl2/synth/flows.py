"""Tasks "flow" and "flow-zh": pages that are read from top to bottom, and their Markdown.

    letter, article in one or two columns (with formulas of one line), slide, menu, notes in a handwriting font
    each: blocks (heading, paragraph, list, quotation, table) --draw--> a page, and the same blocks as Markdown

The trap: lines of a paragraph are joined in Markdown and stay apart in the plain reading.
"""

import numpy as np

from vl2.synth.backgrounds import background, ink
from vl2.synth.blocks import font_of_height
from vl2.synth.canvas import Canvas, Colour, text_width
from vl2.synth.folio import Folio, accent, pale, plain_paper
from vl2.synth.langs import Font, Language, language
from vl2.synth.sample import Question, Sample, structure_id
from vl2.synth.values import chance, pick

_GREETING = ("Dear {},", "Hello {},", "Dear Mr. {},", "To {},")
_GREETING_ZH = ("尊敬的{}：", "亲爱的{}：", "{}先生：", "{}女士：")
_CLOSING = ("Yours sincerely,", "Best regards,", "Kind regards,", "Yours faithfully,")
_CLOSING_ZH = ("此致敬礼", "祝好", "顺祝商安", "谨启")
_NOTE_TITLES = ("To do", "Shopping list", "Notes", "Remember!", "Ideas", "This week")
_NOTE_TITLES_ZH = ("待办事项", "购物清单", "笔记", "备忘", "会议记录", "本周计划")
_MENU = ("Menu", "Lunch Menu", "Today's Specials", "Dinner", "Breakfast", "Drinks")
_MENU_ZH = ("菜单", "今日特价", "午餐", "饮品单", "点心", "主食")
_PRICE = ("How much is {item}?", "What does {item} cost?", "price of {item}?", "What is the price of {item}?")
_PRICE_ZH = ("{item}多少钱？", "{item}的价格是多少？", "请问{item}怎么卖？")
_TITLE = (
    "What is the title?",
    "What is the heading of the page?",
    "title of this page?",
    "What does the headline say?",
)
_TITLE_ZH = ("标题是什么？", "这页的标题是什么？", "题目叫什么？")
_SYMBOLS = "abcknpqrtuvxyz"


class Column:
    """Writes blocks from the top to the bottom of a column of a page."""

    def __init__(self, folio: Folio, x: float, y: float, width: float, bottom: float):
        self.folio, self.x, self.y, self.width, self.bottom = folio, x, y, width, bottom

    def room(self, font: Font) -> int:
        """How many lines fit."""
        return int((self.bottom - self.y) / self.folio.height_of(font))

    def lines(
        self, texts: list[str], font: Font, *, align: float = 0.0, indent: float = 0.0, pitch: float = 1.12, fill=None
    ) -> None:
        """Lines below one another."""
        for text in texts:
            x = self.x + indent + align * (self.width - indent)
            self.folio.text((x, self.y), text, font, align=align, fill=fill)
            self.y += self.folio.height_of(font) * pitch

    def paragraph(self, text: str, font: Font, *, most: int = 99, mark: str = "", prefix: str = "") -> bool:
        """Wrapped text, cut to whole lines that fit; `mark` stands on the page, `prefix` in Markdown."""
        lang = self.folio.lang
        indent = text_width(mark, font) if mark else 0.0
        lines = lang.wrap(text, font, self.width - indent)[: min(most, self.room(font))]
        if not lines:
            return False
        if mark:
            self.folio.text((self.x, self.y), mark, font)
        self.lines(lines, font, indent=indent)
        joint = "" if lang.zh else " "
        self.folio.block(prefix + joint.join(lines), mark + lines[0], *lines[1:])
        return True

    def heading(self, text: str, font: Font, level: int, *, align: float = 0.0, fill=None) -> None:
        text = self.folio.lang.fit(text, font, self.width)
        if self.room(font) >= 1:
            self.lines([text], font, align=align, fill=fill)
            self.folio.block("#" * level + " " + text, text)

    def gap(self, share: float, font: Font) -> None:
        self.y += share * self.folio.height_of(font)


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "flow")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "flow-zh")


def _draw(lang: Language, task: str) -> Sample:
    kind = pick(lang.rng, (_letter, _article, _article, _slide, _menu, _notes))
    return kind(lang).sample(task)


def _start(lang: Language, low: tuple[int, int], high: tuple[int, int], kind: str) -> tuple[Folio, str, float]:
    """A page, its font and the height of its lines."""
    rng = lang.rng
    width, height = int(rng.integers(low[0], high[0])), int(rng.integers(low[1], high[1]))
    folio = Folio(lang, plain_paper(rng, width, height), pick(rng, ((18, 18, 20), (40, 40, 44), (12, 16, 40))))
    return folio, lang.font_file(kind), float(rng.uniform(12, 12.5 + max(width, height) / 130))


def _letter(lang: Language) -> Folio:
    rng = lang.rng
    folio, path, line = _start(lang, (380, 420), (600, 740), pick(rng, ("serif", "sans", "mono")))
    font, bold = lang.font(path, line), lang.font(path, line * 1.15)
    margin = rng.uniform(0.05, 0.1) * folio.canvas.width
    column = Column(folio, margin, rng.uniform(12, 34), folio.canvas.width - 2 * margin, folio.canvas.height - 10)
    sender = lang.fit(lang.company(), bold, column.width)
    side = pick(rng, (0.0, 1.0, 0.5))
    column.lines([sender], bold, align=side, fill=accent(rng) if chance(rng, 0.5) else None)
    street = lang.fit(lang.address(), font, column.width)
    column.lines([street], font, align=side)
    folio.block(f"{sender}\n{street}", sender, street)
    column.gap(0.6, font)
    written = []
    for key, value in (("date", lang.date()), ("reference", lang.code_number()), ("subject", lang.title(3))):
        if key == "date" or chance(rng, 0.6):
            label = lang.choose(("Date",), ("日期",)) if key == "date" else lang.say(key)
            written.append(folio.field((margin, column.y), label, value, font, font, column.width))
            column.gap(1.1, font)
    folio.block("\n".join(written), *written)
    column.gap(0.5, font)
    name = lang.person()
    greeting = lang.fit(lang.choose(_GREETING, _GREETING_ZH).format(name), font, column.width)
    column.lines([greeting], font)
    folio.block(greeting)
    column.gap(0.3, font)
    column.bottom -= 3 * folio.height_of(font)
    for _ in range(int(rng.integers(1, 4))):
        if column.room(font) > 2:
            column.paragraph(lang.prose(int(rng.integers(80, 260))), font, most=6)
            column.gap(0.4, font)
    column.bottom += 3 * folio.height_of(font)
    closing, signer = lang.choose(_CLOSING, _CLOSING_ZH), lang.person()
    column.lines([closing], font)
    hand = lang.font(lang.font_file("hand"), line * 1.3)
    signer_font = hand if chance(rng, 0.5) else font
    box = folio.text((margin, column.y), signer, signer_font)
    folio.entry(lang.choose(("Sender", "Signer"), ("署名", "寄信人")), signer, box)
    folio.block(f"{closing}\n{signer}", closing, signer)
    column.gap(1.0, signer_font)
    folio.canvas.crop(max(200, min(folio.canvas.height, int(column.y + 14))))
    return folio


def _formula(rng: np.random.Generator) -> tuple[str, list[tuple[str, float, float]]]:
    """A formula of one line: its LaTeX, and (text, size, drop) of the pieces that are drawn."""
    latex, pieces = "", []
    terms: list[tuple[str, str, str]] = [(pick(rng, _SYMBOLS), "", ""), (" = ", "", "")]
    for number in range(int(rng.integers(2, 4))):
        if number:
            terms.append((pick(rng, (" + ", " - ")), "", ""))
        if chance(rng, 0.5):
            terms.append((str(int(rng.integers(2, 20))), "", ""))
        up = str(int(rng.integers(2, 6))) if chance(rng, 0.5) else ""
        down = pick(rng, ("0", "1", "2", "i", "n", "k")) if chance(rng, 0.4) and not up else ""
        terms.append((pick(rng, _SYMBOLS), up, down))
    for text, up, down in terms:
        latex += text + (f"^{up}" if up else "") + (f"_{down}" if down else "")
        pieces.append((text, 1.0, 0.0))
        if up:
            pieces.append((up, 0.7, -0.18))
        if down:
            pieces.append((down, 0.7, 0.42))
    return latex, pieces


def _write_formula(column: Column, path: str, line: float, number: int) -> None:
    """A centred formula with its number."""
    folio, lang = column.folio, column.folio.lang
    latex, pieces = _formula(folio.rng)
    fonts = {scale: font_of_height(path, 0.8 * line * max(scale, 9.5 / line)) for scale in (1.0, 0.7)}
    height = fonts[1.0].getmetrics()[0]
    total = sum(text_width(text, fonts[scale]) for text, scale, _ in pieces)
    x = column.x + (column.width - total) / 2
    folio.canvas.region(f"formula {number}", (x - 2, column.y - 2, x + total + 2, column.y + 1.4 * height))
    for text, scale, drop in pieces:
        folio.text((x, column.y + drop * height), text, fonts[scale])
        x += text_width(text, fonts[scale])
    column.y += 1.6 * height
    folio.block(f"${latex}$", latex)
    asked = lang.choose(
        (
            "What is the formula in LaTeX?",
            "Write the equation as LaTeX.",
            "formula to latex",
            "Give the LaTeX of the formula.",
        ),
        ("公式的LaTeX是什么？", "用LaTeX写出公式。", "把公式转成LaTeX。"),
    )
    folio.extra.append(Question("ask", asked, (latex, f"${latex}$")))


def write_title(column: Column, path: str, line: float) -> None:
    """The title of an article, which is asked about, and mostly its authors."""
    folio, lang, rng = column.folio, column.folio.lang, column.folio.rng
    title = lang.title(int(rng.integers(3, 6)))
    large = lang.font(path, line * rng.uniform(1.35, 1.8))
    title = lang.fit(title, large, column.width)
    align = pick(rng, (0.0, 0.5))
    column.heading(title, large, 1, align=align)
    folio.extra.append(Question("ask", lang.choose(_TITLE, _TITLE_ZH), (title,)))
    if chance(rng, 0.6):
        font = lang.font(path, line)
        names = ("，" if lang.zh else ", ").join(lang.person() for _ in range(2))
        authors = lang.fit(names, font, column.width)
        column.lines([authors], font, align=align, fill=(90, 90, 96))
        folio.block(authors)


def _article(lang: Language) -> Folio:
    """A page of an article: title, authors, headings, paragraphs, lists, a formula; one or two columns."""
    rng = lang.rng
    folio, path, line = _start(lang, (400, 440), (768, 768), pick(rng, ("serif", "serif", "sans")))
    line = min(line, 15.5)
    font = lang.font(path, line)
    canvas, margin = folio.canvas, rng.uniform(0.04, 0.08) * folio.canvas.width
    whole = Column(folio, margin, rng.uniform(10, 24), canvas.width - 2 * margin, canvas.height - 8)
    write_title(whole, path, line)
    whole.gap(0.5, font)
    columns = 2 if canvas.width > 560 and chance(rng, 0.6) else 1
    gap = 20.0
    wide = (whole.width - (columns - 1) * gap) / columns
    formula = chance(rng, 0.4)
    deepest = whole.y
    budget = 700 // columns
    for number in range(columns):
        column = Column(folio, margin + number * (wide + gap), whole.y, wide, canvas.height - 8)
        written = sum(map(len, folio.lines))
        section = lang.font(path, line * 1.15)
        while column.room(font) > 3 and sum(map(len, folio.lines)) - written < budget:
            if chance(rng, 0.4):
                column.heading(lang.title(2), section, 2)
            if formula and chance(rng, 0.5):
                formula = False
                column.paragraph(lang.prose(60), font, most=3)
                column.gap(0.3, font)
                _write_formula(column, path, line, number)
            elif chance(rng, 0.25):
                _list(column, font, numbered=chance(rng, 0.5))
            else:
                column.paragraph(lang.prose(int(rng.integers(90, 300))), font, most=8)
            column.gap(0.45, font)
        deepest = max(deepest, column.y)
    canvas.crop(max(220, min(canvas.height, int(deepest + 10))))
    return folio


def _list(column: Column, font: Font, *, numbered: bool, count: int = 0, most: int = 36) -> None:
    """Items with dots or numbers; one block of Markdown."""
    folio, lang = column.folio, column.folio.lang
    items, lines = [], []
    dot = "• " if not lang.zh and chance(folio.rng, 0.6) else "- "
    for number in range(count or int(folio.rng.integers(2, 5))):
        if column.room(font) < 1:
            break
        mark = f"{number + 1}. " if numbered else dot
        text = lang.fit(lang.phrase(most), font, column.width - text_width(mark, font))
        column.lines([mark + text], font)
        items.append((mark if numbered else "- ") + text)
        lines.append(mark + text)
    if items:
        folio.block("\n".join(items), *lines)


def _slide(lang: Language) -> Folio:
    """A title and a few points on a coloured or white slide."""
    rng = lang.rng
    width = int(rng.integers(480, 768))
    height = round(width * pick(rng, (0.5625, 0.75)))
    colour = accent(rng)
    dark = chance(rng, 0.3)
    ground: Colour = pale(colour, 0.95) if chance(rng, 0.4) else (255, 255, 255)
    if dark:
        ground = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
    canvas = Canvas(width, height, ground)
    folio = Folio(lang, canvas, (244, 244, 246) if dark else (30, 30, 36))
    path = lang.font_file("sans")
    line = height / rng.uniform(15, 19)
    font, large = lang.font(path, max(13, line)), lang.font(path, line * 1.6)
    bar = chance(rng, 0.4)
    column = Column(folio, 0.07 * width, 0.07 * height, 0.86 * width, 0.95 * height)
    if bar:
        canvas.draw.rectangle((0, 0, width, round(column.y + 1.25 * folio.height_of(large))), fill=colour)
    title = lang.fit(lang.title(int(rng.integers(2, 5))), large, column.width)
    column.heading(title, large, 1, fill=(255, 255, 255) if bar or dark else colour)
    folio.extra.append(Question("ask", lang.choose(_TITLE, _TITLE_ZH), (title,)))
    column.gap(0.8, font)
    if chance(rng, 0.3):
        column.paragraph(lang.prose(90), font, most=3)
        column.gap(0.5, font)
    _list(column, font, numbered=chance(rng, 0.3), count=int(rng.integers(2, 6)), most=48)
    if chance(rng, 0.5):
        page = str(int(rng.integers(1, 60)))
        small = lang.font(path, 12)
        folio.text((0.95 * width, height - folio.height_of(small) - 6), page, small, align=1.0)
        folio.block(page)
    return folio


def _menu(lang: Language) -> Folio:
    """Dishes with prices, in sections."""
    rng = lang.rng
    width, height = int(rng.integers(330, 500)), int(rng.integers(380, 700))
    ground = background(rng, width, height, calm=0.4)
    folio = Folio(lang, Canvas(width, height, ground.image), ink(rng, ground, 6.0))
    path = lang.font_file(pick(rng, ("serif", "sans", "hand")))
    line = rng.uniform(12.5, 17)
    font, large = lang.font(path, line), lang.font(path, line * 1.7)
    column = Column(folio, 0.08 * width, rng.uniform(10, 24), 0.84 * width, height - 10)
    column.heading(lang.choose(_MENU, _MENU_ZH), large, 1, align=0.5)
    names: list[str] = []
    dotted = chance(rng, 0.5)
    sign = chance(rng, 0.6)
    for _ in range(int(rng.integers(1, 4))):
        if column.room(font) < 4:
            break
        column.gap(0.4, font)
        column.heading(lang.title(1), lang.font(path, line * 1.25), 2, align=pick(rng, (0.0, 0.5)))
        rows = []
        for _ in range(int(rng.integers(2, 6))):
            name = lang.thing()
            if column.room(font) < 1 or any(name in other or other in name for other in names):
                continue
            names.append(name)
            price = lang.money(int(rng.integers(150, 9900)), sign=sign)
            name = lang.fit(name, font, column.width * 0.7)
            left = folio.text((column.x, column.y), name, font)
            right = folio.text((column.x + column.width, column.y), price, font, align=1.0)
            baseline = column.y + font.getmetrics()[0]
            for x in np.arange(left[2] + 5, right[0] - 5, 6).tolist() if dotted else ():
                folio.canvas.draw.ellipse((x, baseline - 2, x + 1, baseline - 1), fill=folio.ink)
            folio.extra.append(Question("ask", lang.choose(_PRICE, _PRICE_ZH).format(item=name), (price,)))
            rows.append(f"{name} {price}")
            column.gap(1.12, font)
        if rows:
            folio.block("\n".join(f"- {row}" for row in rows), *rows)
    folio.extra = [folio.extra[i] for i in rng.permutation(len(folio.extra))[:8].tolist()]
    folio.canvas.crop(max(180, min(height, int(column.y + rng.uniform(6, 40)))))
    return folio


def _notes(lang: Language) -> Folio:
    """Handwriting on ruled or plain paper."""
    rng = lang.rng
    width, height = int(rng.integers(320, 560)), int(rng.integers(300, 600))
    canvas = plain_paper(rng, width, height)
    pen = pick(rng, ((20, 30, 110), (20, 20, 24), (30, 60, 140), (120, 20, 30), (50, 50, 56)))
    folio = Folio(lang, canvas, pen)
    font = lang.font(lang.font_file("hand"), rng.uniform(15, 24))
    pitch = folio.height_of(font) * 1.12
    column = Column(folio, rng.uniform(0.05, 0.14) * width, rng.uniform(8, 24), 0.82 * width, height - 6)
    ruled = chance(rng, 0.6)
    if ruled:
        shade = (190, 206, 232) if chance(rng, 0.7) else (220, 214, 206)
        for y in np.arange(column.y + 0.92 * pitch, height, pitch).tolist():
            canvas.draw.line((0, y, width, y), fill=shade)
            canvas.mark(structure_id("rule"), (0, y - 1, width, y + 1))
        if chance(rng, 0.5):
            canvas.draw.line((column.x - 8, 0, column.x - 8, height), fill=(232, 150, 150))
    if chance(rng, 0.6):
        column.heading(lang.choose(_NOTE_TITLES, _NOTE_TITLES_ZH), font, 1)
    while column.room(font) > 1 and sum(map(len, folio.lines)) < 260:
        if chance(rng, 0.5):
            _list(column, font, numbered=chance(rng, 0.4), most=30)
        else:
            column.paragraph(lang.prose(int(rng.integers(40, 140))), font, most=4)
        if chance(rng, 0.4):
            break
    if not ruled:  # a cut would leave marks of rules behind
        folio.canvas.crop(max(140, min(height, int(column.y + rng.uniform(8, 60)))))
    return folio
