"""Tasks "pages" and "pages-zh": two to four pages of one document, asked about as a whole.

    language --headings, labels that every page has, labels of one page, prose, items--> a Folio a page
    all but the last page --> Sample.earlier; questions name the page ("the total on page 2") or ask for it

Three and more images are seen at one tile each, so that the pages of such documents are small. The trap: a question
without a page has one answer only if its label stands on one page.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vl2.processing.boxes import Box, Region
from vl2.synth import pages_wordings as said
from vl2.synth.canvas import Finished, text_width
from vl2.synth.folio import Folio, accent, plain_paper
from vl2.synth.langs import Font, Language, language
from vl2.synth.sample import Question, Sample, structure_id
from vl2.synth.values import chance, pick

_MOST_QUESTIONS = 20
_ONCE = ("invoice_no", "order", "due", "phone", "email", "bank", "reference", "authority", "card_no")


@dataclass
class _Page:
    """What one page says."""

    folio: Folio
    title: str
    values: dict[str, str] = field(default_factory=dict)  # label -> what is printed
    amounts: dict[str, int] = field(default_factory=dict)  # label -> number, of those that every page has
    items: dict[str, str] = field(default_factory=dict)  # item -> price


@dataclass
class _Look:
    """Fonts and habits of the document."""

    font: Font
    bold: Font
    large: Font
    margin: float
    colour: tuple[int, int, int]
    ruled: bool
    footer: str  # "" for none; {n}, {of}
    running: str  # the name of the document at the top of every page


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "pages")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "pages-zh")


def _draw(lang: Language, task: str) -> Sample:
    rng = lang.rng
    count = int(rng.choice([2, 2, 2, 3, 3, 4]))
    if count == 2:
        width, height = int(rng.integers(330, 440)), int(rng.integers(360, 540))
    else:
        width, height = int(rng.integers(290, 350)), int(rng.integers(300, 384))
    look = _look(lang, width, small=count > 2)
    labels = (
        {lang.say("total"): _money, lang.say("quantity"): _number} if chance(rng, 0.5) else {lang.say("amount"): _money}
    )
    if chance(rng, 0.3):
        labels[lang.say("date")] = _date
    once = _once(lang, count, {*labels})
    titles = _titles(lang, look, count, width)
    pages = []
    for number in range(count):
        folio = Folio(lang, plain_paper(rng, width, height), (26, 26, 30))
        page = _Page(folio, titles[number])
        _write(page, look, labels, once[number], number + 1, count, {name for p in pages for name in p.items})
        pages.append(page)
    wear = float(rng.choice([0.0, 0.6, 1.0]))
    finished = [page.folio.canvas.finish(rng, wear) for page in pages]
    asked = _questions(lang, look, pages, list(labels), finished[-1])
    earlier = tuple(Sample(task, done.image, (), *done.marks) for done in finished[:-1])
    return Sample(task, finished[-1].image, tuple(asked), *finished[-1].marks, earlier=earlier)


def _look(lang: Language, width: int, *, small: bool) -> _Look:
    rng = lang.rng
    path = lang.font_file(pick(rng, ("sans", "sans", "serif")))
    heavy = lang.font_file("sans") if chance(rng, 0.4) else path
    line = rng.uniform(13, 15) if small else rng.uniform(12, 15)
    footer = lang.choose(
        ("Page {n} of {of}", "{n} / {of}", "- {n} -", "Page {n}", "{n}", ""),
        ("第{n}页 共{of}页", "{n} / {of}", "- {n} -", "第{n}页", "{n}", ""),
    )
    return _Look(
        lang.font(path, line), lang.font(heavy, line), lang.font(heavy, line * rng.uniform(1.2, 1.6)),
        rng.uniform(0.05, 0.09) * width, accent(rng) if chance(rng, 0.6) else (26, 26, 30), chance(rng, 0.4), footer,
        lang.company() if chance(rng, 0.4) else "",
    )  # fmt: skip


def _money(lang: Language) -> tuple[str, int]:
    cents = int(10 ** lang.rng.uniform(3, 6))
    return lang.money(cents), cents


def _number(lang: Language) -> tuple[str, int]:
    number = int(lang.rng.integers(2, 900))
    return str(number), number


def _date(lang: Language) -> tuple[str, int]:
    return lang.date(), 0


def _once(lang: Language, count: int, taken: set[str]) -> list[dict[str, str]]:
    """Labels that stand on one page only, and their values."""
    found: list[dict[str, str]] = []
    for _ in range(count):
        own: dict[str, str] = {}
        for _ in range(int(lang.rng.choice([0, 1, 1, 2]))):
            key = pick(lang.rng, _ONCE)
            label = lang.say(key)
            makers = {
                "due": lang.date,
                "phone": lang.phone,
                "email": lang.email,
                "position": lang.word,
                "authority": lang.company,
            }
            if not any(label in other or other in label for other in taken):
                taken.add(label)
                own[label] = makers.get(key, lang.code_number)()
        found.append(own)
    return found


def _titles(lang: Language, look: _Look, count: int, width: int) -> list[str]:
    """Different headings that fit."""
    found: list[str] = []
    while len(found) < count:
        title = lang.fit(lang.title(int(lang.rng.integers(1, 3))), look.large, width - 2 * look.margin)
        if not any(title in other or other in title for other in found):
            found.append(title)
    return found


def _write(
    page: _Page,
    look: _Look,
    labels: dict[str, Callable],
    once: dict[str, str],
    number: int,
    count: int,
    taken: set[str],
) -> None:
    """A page from top to bottom."""
    folio = page.folio
    lang, rng, canvas = folio.lang, folio.rng, folio.canvas
    step = 1.16 * folio.height_of(look.font)
    wide, x = canvas.width - 2 * look.margin, look.margin
    y, bottom = float(rng.uniform(8, 16)), canvas.height - (1.5 * step if look.footer else 8)
    if look.running:
        running = lang.fit(look.running, look.font, wide)
        folio.text((x, y), running, look.font, fill=(110, 110, 116))
        folio.block(running)
        y += 1.1 * step
    folio.text((x, y), page.title, look.large, fill=look.colour, region="title")
    folio.block(f"# {page.title}", page.title)
    y += 1.2 * folio.height_of(look.large)
    if look.ruled:
        canvas.draw.line((x, y, x + wide, y), fill=look.colour)
        canvas.mark(structure_id("rule"), (x, y - 1, x + wide, y + 1))
        y += 5
    entries: list[tuple[str, str]] = list(once.items())
    for label, maker in labels.items():
        value, page.amounts[label] = maker(lang)
        entries.append((label, value))
    for part in rng.permutation(3).tolist():
        if part == 0:
            y = _prose(page, look, x, y, wide, bottom - step * (len(entries) + 1))
        elif part == 1:
            y = _entries(page, look, entries, x, y, wide)
        elif chance(rng, 0.6):
            y = _items(page, look, x, y, wide, bottom - step * (len(entries) + 1 if not page.values else 0), taken)
    if look.footer:
        text = look.footer.format(n=number, of=count)
        folio.text((canvas.width / 2, canvas.height - 1.3 * step), text, look.font, align=0.5)
        folio.block(text)


def _prose(page: _Page, look: _Look, x: float, y: float, wide: float, bottom: float) -> float:
    """A paragraph."""
    folio, lang = page.folio, page.folio.lang
    step = 1.16 * folio.height_of(look.font)
    lines = lang.wrap(lang.prose(int(lang.rng.integers(40, 130))), look.font, wide)
    lines = lines[: max(0, min(4, int((bottom - y) / step)))]
    for line in lines:
        folio.text((x, y), line, look.font)
        y += step
    if lines:
        folio.block(("" if lang.zh else " ").join(lines), *lines)
        y += 0.4 * step
    return y


def _entries(page: _Page, look: _Look, entries: list[tuple[str, str]], x: float, y: float, wide: float) -> float:
    """Label and value, line by line."""
    folio, rng = page.folio, page.folio.rng
    step, written = 1.16 * folio.height_of(look.font), []
    for index in rng.permutation(len(entries)).tolist():
        label, value = entries[index]
        written.append(folio.field((x, y), label, value, look.font, look.bold, wide))
        page.values[label] = folio.entries[-1].value
        y += step
    folio.block("\n".join(f"- {line}" for line in written), *written)
    return y + 0.4 * step


def _items(page: _Page, look: _Look, x: float, y: float, wide: float, bottom: float, taken: set[str]) -> float:
    """Things with their prices at the right."""
    folio, lang = page.folio, page.folio.lang
    step, rows = 1.16 * folio.height_of(look.font), []
    for _ in range(int(lang.rng.integers(2, 5))):
        price = lang.money(int(lang.rng.integers(150, 99900)))
        name = lang.fit(lang.thing(), look.font, wide - text_width(price, look.font) - 20)
        if y + step > bottom or any(name in other or other in name for other in (*taken, *page.items)):
            continue
        page.items[name] = price
        folio.text((x, y), name, look.font)
        folio.text((x + wide, y), price, look.font, align=1.0)
        rows.append((name, price))
        y += step
    if rows:
        folio.block(
            "\n".join(f"- {name} {price}" for name, price in rows), *(f"{name} {price}" for name, price in rows)
        )
        y += 0.4 * step
    return y


def _questions(lang: Language, look: _Look, pages: list[_Page], labels: list[str], last: Finished) -> list[Question]:
    """Up to 20 about the whole document, one page, and two pages."""
    rng, count = lang.rng, len(pages)

    def say(name: str, **slots: object) -> str:
        return lang.choose(said.WORDINGS[name], said.WORDINGS_ZH[name]).format(**slots)

    def page_answers(number: int) -> tuple[str, ...]:
        return (f"第{number}页", str(number)) if lang.zh else (f"page {number}", str(number))

    asked = [Question("ask", say("count"), (str(count),), "exact")]
    texts = ["\n".join(page.folio.lines) for page in pages]

    def only_here(text: str) -> bool:
        return sum(text in other for other in texts) == 1

    numbers = [int(n) for n in rng.permutation(count) + 1]
    for n in numbers:
        page = pages[n - 1]
        asked.append(Question("ask", say("title_of", n=n), (page.title,)))
        if only_here(page.title):
            asked.append(Question("ask", say("page_of_title", x=page.title), page_answers(n), "exact"))
        for label, value in page.values.items():
            if label in labels:
                asked.append(Question("ask", say("value_on", x=_low(lang, label), n=n), (value,)))
            else:
                asked.append(Question("ask", say("value", x=_low(lang, label)), (value,)))
                asked.append(Question("ask", say("page_of", x=_low(lang, label)), page_answers(n), "exact"))
        for item, price in page.items.items():
            if not only_here(item):
                continue
            asked.append(Question("ask", say("price", x=item), (price,)))
            asked.append(Question("ask", say("page_of_item", x=item), page_answers(n), "exact"))
    for label in labels:
        amounts = [page.amounts[label] for page in pages]
        if len({*amounts}) == count and amounts[0]:
            asked.append(
                Question("ask", say("highest", x=_low(lang, label)), page_answers(1 + int(np.argmax(amounts))), "exact")
            )
            a, b = (int(n) for n in rng.permutation(count)[:2])
            yes = ("是", "否") if lang.zh else ("yes", "no")
            answer = yes[amounts[a] <= amounts[b]]
            asked.append(Question("ask", say("higher", x=_low(lang, label), n=a + 1, m=b + 1), (answer,), "exact"))
    names = " ".join(name for page in pages for name in (*page.values, *page.items, page.title)).lower()
    missing = lang.say(pick(rng, ("tax", "department", "nationality", "gender")))
    if missing.lower() not in names:
        nothing = ("文件中没有。", "没有") if lang.zh else ("It is not in the document.", "not in the document", "none")
        asked.append(Question("ask", say("page_of", x=_low(lang, missing)), nothing))
    kept = [asked[i] for i in rng.permutation(len(asked))[: _MOST_QUESTIONS - 3].tolist()]
    for entry in pages[-1].folio.entries[:2]:
        phrase = say("find", x=_low(lang, entry.label))
        kept.append(Question("ground", phrase, (), "iou", (Region(phrase, Box(*last.regions[entry.region])),)))
    n = numbers[0]
    markdown = "\n\n".join(pages[n - 1].folio.blocks)
    kept.append(Question("convert", say("markdown", n=n), (markdown,), "cer"))
    return list({question.text: question for question in kept}.values())


def _low(lang: Language, label: str) -> str:
    """A label inside a question."""
    return label if lang.zh or label[1:2].isupper() or not label[1:2].isalpha() else label[0].lower() + label[1:]
