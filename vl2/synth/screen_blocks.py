"""Blocks of content of a drawn screenshot: forms, switches, tables, cards of goods, messages, figures, tool bars.

    block(page, x, y, width) --draws on the page's canvas, notes elements--> y of the next block

The trap: the rows of a card are painted after all of them have been made, so choose what they say before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vl2.synth.canvas import text_width
from vl2.synth.gui_labels import INPUTS, INPUTS_ZH, MENU, MENU_ZH, SWITCHES, SWITCHES_ZH
from vl2.synth.icons import concepts, drawings_of
from vl2.synth.sample import concept_id
from vl2.synth.screen_theme import hsl
from vl2.synth.values import chance, pick

if TYPE_CHECKING:
    from vl2.synth.screen_pages import PageDrawer, Row


def _form(page: PageDrawer, x: float, y: float, width: float) -> float:
    """Fields with labels, some of them drop-downs, perhaps a box to tick, buttons."""
    rng = page.rng
    if page.width > 600 and chance(rng, 0.4):
        width *= rng.uniform(0.55, 0.9)
    rows = [_field(page) for _ in range(int(rng.integers(2, 6)))]
    rows += [_check(page) for _ in range(int(rng.choice([0, 1, 1, 2])))]

    def buttons(x: float, y: float, _: float) -> None:
        end = page.button(x, y, main=True)[1]
        page.button(end + 10, y, main=False)

    return page.card(x, y, width, [*rows, (page.button_height, buttons)])


def _field(page: PageDrawer) -> Row:
    """A labelled field with something in it, a hint, or nothing; or a drop-down with its choice."""
    rng, lang, theme = page.rng, page.lang, page.theme
    name = page.labels.new(INPUTS, INPUTS_ZH, 0.2)
    drop, filled = chance(rng, 0.2), chance(rng, 0.6)
    maker = pick(rng, (lang.person, lang.email, lang.phone, lang.city, lang.date, lang.thing))
    value = maker() if filled or drop else lang.choose(("Enter a value", "Type here", ""), ("请输入", ""))
    filled = filled or drop
    high = max(1.9 * theme.size, theme.line_height + 10)

    def paint(x: float, y: float, width: float) -> None:
        if theme.labels_left:
            page.text((x, y), page.fit(name, theme.font, 0.3 * width), theme.font, theme.soft, tall=high)
            x, width = x + 0.32 * width, 0.68 * width
        else:
            page.text((x, y), name, theme.font, theme.soft, tall=theme.line_height)
            y += theme.line_height
        shown = page.fit(value, theme.font, width - (40 if drop else 18)) if value else ""
        box = (x, y, x + width, y + high)
        page.brush.box(box, min(theme.radius, 8), theme.page, theme.line)
        page.note("input", name, box, shown if filled else "")
        page.text((x + 9, y), shown, theme.font, theme.text if filled else theme.soft, tall=high)
        if drop:
            tip = (x + width - 18, y + high / 2 - 2)
            page.canvas.draw.line(
                (tip[0], tip[1], tip[0] + 4, tip[1] + 4, tip[0] + 8, tip[1]), fill=theme.soft, width=2
            )

    return (0 if theme.labels_left else theme.line_height) + high + theme.gap + 2, paint


def _check(page: PageDrawer) -> Row:
    """A box to tick."""
    theme = page.theme
    name, on = page.labels.new(SWITCHES, SWITCHES_ZH), chance(page.rng, 0.5)

    def paint(x: float, y: float, _: float) -> None:
        top = round(y + (theme.line_height - 15) / 2)
        box = (round(x), top, round(x) + 15, top + 15)
        page.brush.box(box, 3, theme.accent if on else theme.card, theme.accent if on else theme.soft)
        page.note("checkbox", name, box, "on" if on else "off")
        if on:
            points = ((box[0] + 3, top + 8), (box[0] + 6, top + 11), (box[0] + 12, top + 4))
            page.canvas.draw.line(points, fill=(255, 255, 255), width=2)
        page.text((x + 25, y), name, theme.font, theme.text, tall=theme.line_height)

    return theme.line_height + 8, paint


def _switches(page: PageDrawer, x: float, y: float, width: float) -> float:
    """Settings with a switch or a box at the right or left."""
    rng, theme = page.rng, page.theme
    if chance(rng, 0.25):
        return page.card(x, y, width, [_check(page) for _ in range(int(rng.integers(2, 6)))])
    rows = []
    tall = max(theme.line_height, 18) + 13
    for _ in range(int(rng.integers(2, 6))):
        name, on = page.labels.new(SWITCHES, SWITCHES_ZH), chance(rng, 0.5)

        def paint(x: float, y: float, width: float, name: str = name, on: bool = on) -> None:
            page.text((x, y), name, theme.font, theme.text, tall=tall - 1)
            left, top = round(x + width - 34), round(y + (tall - 19) / 2)
            page.brush.box((left, top, left + 34, top + 18), 9, theme.accent if on else theme.line)
            page.note("switch", name, (left, top, left + 34, top + 18), "on" if on else "off")
            page.brush.disc((left + (18 if on else 2), top + 2), 14, (255, 255, 255))
            page.rule(x, y + tall - 1, width)

        rows.append((tall, paint))
    return page.card(x, y, width, rows)


def _table(page: PageDrawer, x: float, y: float, width: float) -> float:
    """A table whose rows may end with something to click."""
    rng, lang, theme = page.rng, page.lang, page.theme
    count = 2 if page.phone else int(rng.integers(2, 5))
    act, boxes = chance(rng, 0.5), chance(rng, 0.15)
    heads = [page.labels.new(INPUTS, INPUTS_ZH, 0.5) for _ in range(count)]
    makers = [pick(rng, (lang.date, lang.code_number, lang.person, lang.thing)) for _ in heads]
    links = lang.choose(("Edit", "View", "Open", "Delete", "Details"), ("编辑", "查看", "打开", "删除", "详情"))
    tall = theme.line_height + 9

    def columns(x: float, width: float) -> list[float]:
        start = 30 if boxes else 8
        usable = width - start - (70 if act else 0)
        return [x + start + number * usable / count for number in range(count + 1)]

    def head(x: float, y: float, width: float) -> None:
        edges = columns(x, width)
        for number, name in enumerate(heads):
            shown = page.fit(name, theme.font, edges[number + 1] - edges[number] - 12)
            page.text((edges[number], y), shown, theme.font, theme.soft, tall=tall - 1)
        page.rule(x, y + tall - 1, width)

    rows: list[Row] = [(tall, head)]
    for _ in range(int(rng.integers(2, 7))):
        key, cells = lang.thing(), [maker() for maker in makers[1:]]

        def paint(x: float, y: float, width: float, key: str = key, cells: list[str] = cells) -> None:
            edges = columns(x, width)
            if boxes:
                top = round(y + (tall - 15) / 2)
                page.brush.box((x + 6, top, x + 20, top + 14), 3, theme.card, theme.soft)
            shown = page.fit(key, theme.font, edges[1] - edges[0] - 12)
            page.note("cell", shown, (edges[0] - 8, y, edges[1] - 8, y + tall))
            for number, cell in enumerate((shown, *cells)):
                cell = page.fit(cell, theme.font, edges[number + 1] - edges[number] - 12)
                page.text((edges[number], y), cell, theme.font, theme.text, tall=tall - 1)
            if act:
                left, top = edges[-1] + 4, y + 4
                page.note(
                    "row link", f"{links}|{shown}", (left, top, left + text_width(links, theme.font), top + tall - 9)
                )
                page.text((left, top), links, theme.font, theme.link, tall=theme.line_height)
            page.rule(x, y + tall - 1, width)

        rows.append((tall, paint))
    return page.card(x, y, width, rows)


def _goods(page: PageDrawer, x: float, y: float, width: float) -> float:
    """Cards with a picture, a name, a price and perhaps a button."""
    rng, lang, theme = page.rng, page.lang, page.theme
    pool = list(drawings_of(lang.split, "emoji"))
    side = int(rng.integers(34, 60))
    cards: list[list[Row]] = []
    for _ in range(int(rng.integers(2, 5))):
        concept, name = pick(rng, pool), page.labels.new((lang.thing(),), (lang.thing(),), 0.0)
        price, act, main = lang.money(int(10 ** rng.uniform(2, 5))), chance(rng, 0.6), chance(rng, 0.5)

        def picture(x: float, y: float, _: float, concept: int = concept) -> None:
            box = (x, y, x + side, y + side)
            page.note("picture", concepts()[concept].name, box)
            page.brush.picture((x, y), concept, side)
            if y + side <= page.bottom:
                page.canvas.mark(concept_id(concept), box)

        def title(x: float, y: float, width: float, name: str = name) -> None:
            page.text((x, y), page.fit(name, theme.font, width), theme.font, theme.text, tall=theme.line_height)

        def cost(
            x: float, y: float, width: float, name: str = name, price: str = price, act: bool = act, main: bool = main
        ) -> None:
            shown, wide = page.fit(name, theme.font, width), text_width(price, theme.font)
            top = y + (page.button_height - theme.line_height) / 2
            page.note("price", shown, (x, top, x + wide, top + theme.line_height), price)
            page.text((x, top), price, theme.font, theme.text, tall=theme.line_height)
            if act and width - wide > 130:
                page.button(x + wide + 10, y, main=main)

        cards.append([(side, picture), (theme.line_height, title), (page.button_height, cost)])
    return _grid(page, x, y, width, cards)


def _figures(page: PageDrawer, x: float, y: float, width: float) -> float:
    """Cards with a number."""
    rng, theme = page.rng, page.theme
    cards: list[list[Row]] = []
    high = 1.2 * theme.big.size
    for _ in range(int(rng.integers(2, 5))):
        name = page.labels.new(MENU, MENU_ZH, 0.6)
        value = pick(
            rng,
            (
                f"{int(rng.integers(2, 9999)):,}",
                f"{rng.uniform(0, 100):.1f}%",
                page.lang.money(int(10 ** rng.uniform(3, 6))),
            ),
        )

        def head(x: float, y: float, width: float, name: str = name) -> None:
            page.text((x, y), page.fit(name, theme.font, width), theme.font, theme.soft, tall=theme.line_height)

        def figure(x: float, y: float, width: float, name: str = name, value: str = value) -> None:
            wide = text_width(value, theme.big)
            if wide <= width:
                page.note("figure", page.fit(name, theme.font, width), (x, y, x + wide, y + high), value)
                page.text((x, y), value, theme.big, theme.text, tall=high)

        cards.append([(theme.line_height, head), (high, figure)])
    return _grid(page, x, y, width, cards)


def _grid(page: PageDrawer, x: float, y: float, width: float, cards: list[list[Row]]) -> float:
    """Cards beside and below one another."""
    columns = page.theme.columns
    wide = (width - 10 * (columns - 1)) / columns
    for first in range(0, len(cards), columns):
        row = cards[first : first + columns]
        tall = max(sum(height for height, _ in rows) + 20 for rows in row)
        end = y
        for number, rows in enumerate(row):
            end = page.card(x + number * (wide + 10), y, wide, rows, tall=tall)
        y = end
    return y


def _messages(page: PageDrawer, x: float, y: float, width: float) -> float:
    """A list of people and what they say."""
    rng, lang, theme = page.rng, page.lang, page.theme
    rows: list[Row] = []
    tall = 2 * theme.line_height + 13
    for _ in range(int(rng.integers(2, 6))):
        sender, line, hue = lang.person(), lang.phrase(32), int(rng.integers(360))

        def paint(x: float, y: float, width: float, sender: str = sender, line: str = line, hue: int = hue) -> None:
            page.note("mail", sender, (x, y, x + width, y + tall))
            page.brush.disc((x, y + (tall - 27) / 2), 26, hsl(hue, 50, 55))
            page.text((x + 36, y + 6), sender, theme.font, theme.text, tall=theme.line_height)
            shown = page.fit(line, theme.font, width - 40)
            page.text((x + 36, y + 6 + theme.line_height), shown, theme.font, theme.soft, tall=theme.line_height)
            page.rule(x, y + tall - 1, width)

        rows.append((tall, paint))
    return page.card(x, y, width, rows)


def _tools(page: PageDrawer, x: float, y: float, width: float) -> float:
    """Icons in a row, as in an editor, perhaps with buttons behind them."""
    theme, rng = page.theme, page.rng
    tall = max(theme.icon + 8, page.button_height)
    count, buttons = int(rng.integers(3, 9)), int(rng.choice([0, 0, 1, 2]))

    def paint(x: float, y: float, width: float) -> None:
        end = x + width
        for _ in range(count):
            if x + theme.icon + 8 <= end:
                x = page.icon_button(x, y + (tall - theme.icon - 8) / 2, theme.text) + 8
        for number in range(buttons):
            if x + 150 <= end:
                x = page.button(x, y, main=number == 0)[1] + 8

    return page.card(x, y, width, [(tall, paint)])


BLOCKS: tuple[Callable[[PageDrawer, float, float, float], float], ...] = (
    _form, _table, _goods, _switches, _messages, _figures, _tools,
)  # fmt: skip
