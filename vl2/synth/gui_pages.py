"""Pages for screenshots: HTML of shops, settings, lists, forms and dialogues in random themes, nothing downloaded.

    language, size --theme, shell (bar, side menu), blocks of content--> HTML
    elements that can be asked about carry data-k (kind) and data-n (name): <button data-k="button" data-n="Save">

The trap: every visible word comes from the split's pools or from the labels of programs, which both splits share.
"""

import base64
import html
import io
from functools import lru_cache

import numpy as np

from vl2.synth.gui_labels import (
    BUTTONS,
    BUTTONS_ZH,
    INPUTS,
    INPUTS_ZH,
    MENU,
    MENU_ZH,
    SWITCHES,
    SWITCHES_ZH,
    Labels,
)
from vl2.synth.gui_theme import theme
from vl2.synth.icons import concepts, drawings_of
from vl2.synth.langs import Language
from vl2.synth.values import chance, pick


@lru_cache(maxsize=512)
def _mask(split: str, name: str, number: int) -> str:
    """A drawing as the mask of a coloured square, as a data URL."""
    index = next(concept.index for concept in concepts() if concept.name == name)
    pool = drawings_of(split, "interface")[index]
    picture = pool[number % len(pool)].paint((0, 0, 0)).resize((40, 40))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


@lru_cache(maxsize=2048)
def _picture(split: str, concept: int, number: int) -> str:
    """An emoji as a data URL."""
    pool = drawings_of(split, "emoji")[concept]
    written = io.BytesIO()
    pool[number % len(pool)].paint().resize((64, 64)).save(written, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode()


class PageWriter:
    """Writes one page."""

    def __init__(self, lang: Language, width: int, height: int):
        self.lang, self.rng, self.width, self.height = lang, lang.rng, width, height
        self.phone = width < 420
        labels = Labels(lang)
        self._new, self._icon_name = labels.new, labels.icon

    def page(self) -> str:
        """The whole document."""
        rng = self.rng
        top, side = chance(rng, 0.85), not self.phone and chance(rng, 0.5)
        body = (self._bar() if top else "") + '<div class="mid">' + (self._side() if side else "")
        blocks = [self._form, self._table, self._cards, self._switches, self._mails, self._tiles]
        chosen = [blocks[i] for i in rng.permutation(len(blocks))[: int(rng.integers(1, 4))].tolist()]
        main = self._heading() + (self._tabs() if chance(rng, 0.35) else "") + "".join(block() for block in chosen)
        body += f"<main>{main}</main></div>" + (self._phone_bar() if self.phone and chance(rng, 0.6) else "")
        if chance(rng, 0.16):
            body += self._dialogue()
        style = theme(self.lang, self.width, self.height)
        head = f'<head><meta charset="utf-8"><style>{style}</style></head>'
        return f'<!doctype html><html>{head}<body><div id="root">{body}</div></body></html>'

    # --- pieces

    def _tagged(self, tag: str, kind: str, name: str, inner: str, classes: str = "", state: str = "") -> str:
        told = f' data-s="{state}"' if state else ""
        return f'<{tag} class="{classes}" data-k="{kind}" data-n="{html.escape(name)}"{told}>{inner}</{tag}>'

    def _icon(self) -> tuple[str, str]:
        """A name and the HTML of its drawing."""
        name = self._icon_name()
        url = _mask(self.lang.split, name, int(self.rng.integers(8)))
        return name, f'<i style="-webkit-mask-image:url({url});mask-image:url({url})"></i>'

    def _icon_button(self) -> str:
        name, drawing = self._icon()
        return self._tagged("button", "icon", name, drawing, "icon")

    def _button(self, main: bool = False) -> str:
        name = self._new(BUTTONS, BUTTONS_ZH, 0.15)
        icon = self._icon()[1] + " " if chance(self.rng, 0.12) else ""
        return self._tagged("button", "button", name, icon + html.escape(name), "main" if main else "")

    def _bar(self) -> str:
        rng = self.rng
        brand = self.lang.fit_word(9) + ("" if self.lang.zh else pick(rng, ("", "", "ly", "Hub", "App")))
        parts = [self._tagged("span", "brand", brand, html.escape(brand), "brand")]
        if not self.phone:
            for _ in range(int(rng.integers(0, 4))):
                name = self._new(MENU, MENU_ZH)
                parts.append(self._tagged("span", "menu", name, html.escape(name)))
        parts.append('<span class="grow"></span>')
        if not self.phone and chance(rng, 0.5):
            hint = self.lang.choose(("Search", "Search...", "Find"), ("搜索", "请输入关键词"))
            parts.append(
                self._tagged("span", "search", "search", hint, "in ph").replace(
                    'class="in ph"', 'class="in ph" style="width:140px"'
                )
            )
        parts += [self._icon_button() for _ in range(int(rng.integers(0, 4)))]
        if chance(rng, 0.4):
            parts.append(self._button(chance(rng, 0.5)))
        return f'<div class="bar">{"".join(parts)}</div>'

    def _side(self) -> str:
        rng = self.rng
        count = int(rng.integers(4, 9))
        icons, chosen = chance(rng, 0.6), int(rng.integers(count))
        rows = []
        for number in range(count):
            name = self._new(MENU, MENU_ZH)
            inner = (self._icon()[1] if icons else "") + f"<span>{html.escape(name)}</span>"
            on = number == chosen
            rows.append(self._tagged("a", "menu", name, inner, "on" if on else "", "on" if on else ""))
        return f"<nav>{''.join(rows)}</nav>"

    def _phone_bar(self) -> str:
        return f'<div class="foot">{"".join(self._icon_button() for _ in range(4))}</div>'

    def _heading(self) -> str:
        title = self.lang.title(int(self.rng.integers(1, 4)))
        return self._tagged("h1", "title", title, html.escape(title))

    def _tabs(self) -> str:
        count = int(self.rng.integers(2, 5))
        chosen = int(self.rng.integers(count))
        names = [self._new(MENU, MENU_ZH, 0.4) for _ in range(count)]
        tabs = [
            self._tagged(
                "span",
                "tab",
                name,
                html.escape(name),
                "tab on" if n == chosen else "tab",
                "on" if n == chosen else "off",
            )
            for n, name in enumerate(names)
        ]
        return f'<div class="row" style="margin-bottom:8px">{"".join(tabs)}</div>'

    def _form(self) -> str:
        rng, lang = self.rng, self.lang
        fields = []
        for _ in range(int(rng.integers(2, 5))):
            name = self._new(INPUTS, INPUTS_ZH, 0.2)
            filled = chance(rng, 0.6)
            maker = pick(rng, (lang.person, lang.email, lang.phone, lang.city, lang.date, lang.thing))
            value = maker() if filled else lang.choose(("Enter a value", "Type here", ""), ("请输入", ""))
            inner = self._tagged(
                "span",
                "input",
                name,
                html.escape(value) or "&nbsp;",
                "in" if filled else "in ph",
                value if filled else "",
            )
            fields.append(
                f'<label class="f"><span>{html.escape(name)}</span>{inner}</label>'.replace(
                    '<span class="in', '<span style="display:block" class="in'
                )
            )
        check = self._check() if chance(rng, 0.5) else ""
        buttons = f'<div class="row">{self._button(True)}{self._button()}</div>'
        return f'<div class="card">{"".join(fields)}{check}{buttons}</div>'

    def _check(self) -> str:
        name = self._new(SWITCHES, SWITCHES_ZH)
        on = chance(self.rng, 0.5)
        box = self._tagged("span", "checkbox", name, "", "ck on" if on else "ck", "on" if on else "off")
        return f'<div class="row" style="margin-bottom:8px">{box}<span>{html.escape(name)}</span></div>'

    def _switches(self) -> str:
        rows = []
        for _ in range(int(self.rng.integers(2, 6))):
            name = self._new(SWITCHES, SWITCHES_ZH)
            on = chance(self.rng, 0.5)
            switch = self._tagged("span", "switch", name, "", "sw on" if on else "sw", "on" if on else "off")
            rows.append(f'<div class="list"><span style="flex:1">{html.escape(name)}</span>{switch}</div>')
        return f'<div class="card">{"".join(rows)}</div>'

    def _table(self) -> str:
        rng, lang = self.rng, self.lang
        heads = [self._new(INPUTS, INPUTS_ZH, 0.5) for _ in range(2 if self.phone else int(rng.integers(2, 5)))]
        rows = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
        text = f"<tr>{rows}</tr>"
        act = chance(rng, 0.4)
        for _ in range(int(rng.integers(2, 6))):
            key = lang.thing()
            cells = [self._tagged("td", "cell", key, html.escape(key))]
            cells += [
                f"<td>{html.escape(pick(rng, (lang.date, lang.code_number, lang.person))())}</td>" for _ in heads[1:]
            ]
            link = lang.choose(("Edit", "View", "Open"), ("编辑", "查看", "打开"))
            if act:
                cells.append("<td>" + self._tagged("a", "row link", f"{link}|{key}", link) + "</td>")
            text += f"<tr>{''.join(cells)}</tr>"
        return f'<div class="card"><table>{text}</table></div>'

    def _cards(self) -> str:
        rng, lang = self.rng, self.lang
        out = []
        pool = list(drawings_of(lang.split, "emoji"))
        for _ in range(int(rng.integers(2, 5))):
            concept = pick(rng, pool)
            name = self._new((lang.thing(),), (lang.thing(),), 0.0)
            image = self._tagged(
                "div",
                "picture",
                concepts()[concept].name,
                f'<img src="{_picture(lang.split, concept, int(rng.integers(9)))}">',
                "pic",
            )
            price = lang.money(int(10 ** rng.uniform(2, 5)))
            button = self._button(chance(rng, 0.5)) if chance(rng, 0.6) else ""
            cost = self._tagged("span", "price", name, html.escape(price), "", price)
            out.append(
                f'<div class="card">{image}<div>{html.escape(name)}</div><div class="row">{cost}{button}</div></div>'
            )
        return f'<div class="grid" style="margin-bottom:10px">{"".join(out)}</div>'

    def _mails(self) -> str:
        lang = self.lang
        rows = []
        for _ in range(int(self.rng.integers(2, 5))):
            sender = lang.person()
            line = html.escape(lang.phrase(32))
            dot = f'<span class="dot" style="background:hsl({int(self.rng.integers(360))},50%,55%)"></span>'
            rows.append(
                self._tagged(
                    "div",
                    "mail",
                    sender,
                    f'{dot}<div><div>{html.escape(sender)}</div><div class="soft">{line}</div></div>',
                    "list",
                )
            )
        return f'<div class="card">{"".join(rows)}</div>'

    def _tiles(self) -> str:
        lang, out = self.lang, []
        for _ in range(int(self.rng.integers(2, 4))):
            name = self._new(MENU, MENU_ZH, 0.6)
            value = pick(
                self.rng,
                (
                    f"{int(self.rng.integers(2, 9999)):,}",
                    f"{self.rng.uniform(0, 100):.1f}%",
                    lang.money(int(10 ** self.rng.uniform(3, 6))),
                ),
            )
            figure = self._tagged("div", "figure", name, html.escape(value), "big", value)
            out.append(f'<div class="card"><div class="soft">{html.escape(name)}</div>{figure}</div>')
        return f'<div class="grid" style="margin-bottom:10px">{"".join(out)}</div>'

    def _dialogue(self) -> str:
        title = self.lang.title(2)
        text = html.escape(self.lang.phrase(50))
        head = self._tagged("h2", "title of the dialogue", title, html.escape(title))
        buttons = f'<div class="row">{self._button()}{self._button(True)}</div>'
        return f'<div class="veil"><div class="card">{head}<p class="soft">{text}</p><br>{buttons}</div></div>'


def draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height) of a window or a telephone."""
    if chance(rng, 0.25):
        return int(rng.integers(300, 385)), int(rng.integers(520, 761))
    return int(rng.integers(520, 769)), int(rng.integers(360, 561))
