"""Pages of programs drawn on a canvas: bars, menus, forms, tables, cards, dialogues, with a note of each element.

    language, size --PageDrawer.draw--> canvas with marks, elements [kind, name, state, x0, y0, x1, y1]

A card is a list of rows (height, paint); its box is drawn when the height is known. The trap: what is cut off by the
window or lies under something else is drawn but neither marked nor noted.
"""

from collections.abc import Callable

from PIL import Image

from vl2.synth.canvas import Canvas, Colour, glyph_metrics, text_width
from vl2.synth.gui_labels import BUTTONS, BUTTONS_ZH, MENU, MENU_ZH, Labels, structure_of
from vl2.synth.langs import Font, Language
from vl2.synth.sample import BACKGROUND, concept_id
from vl2.synth.screen_blocks import BLOCKS
from vl2.synth.screen_theme import Brush, draw_theme, hsl
from vl2.synth.values import chance, pick

Row = tuple[float, Callable[[float, float, float], None]]  # height, paint(x, y, width)
Box = tuple[float, float, float, float]


class PageDrawer:
    """Draws one page."""

    def __init__(self, lang: Language, width: int, height: int):
        self.lang, self.rng, self.width, self.height = lang, lang.rng, width, height
        self.theme = draw_theme(lang, width)
        self.labels = Labels(lang)
        self.phone = width < 420
        self.canvas = Canvas(width, height, self.theme.page)
        self.brush = Brush(self.canvas, lang.split, self.rng)
        self.elements: list[list] = []
        self.bottom, self.right = float(height), float(width)  # of what can be seen

    def draw(self) -> None:
        """The whole page."""
        rng = self.rng
        foot = self.phone and chance(rng, 0.6)
        tall = self.theme.icon + 24
        top = self._title_bar() if chance(rng, 0.25) else 0.0
        self.bottom = self.height - (tall if foot else 0)
        if chance(rng, 0.85):
            top = self._bar(top)
        left = 0.0
        if not self.phone and chance(rng, 0.5):
            left = self._side(top)
        edge = int(rng.integers(10, 22))
        x, y, width = left + edge, top + edge, self.width - left - 2 * edge
        y = self._heading(x, y, width)
        if chance(rng, 0.4):
            y = self._tabs(x, y, width)
        for index in rng.permutation(len(BLOCKS))[: int(rng.integers(1, 6))].tolist():
            if y < self.bottom - 30:
                y = BLOCKS[index](self, x, y, width)
        self.bottom = float(self.height)
        if foot:
            self._foot(tall)
        if chance(rng, 0.14):
            self._dialogue()
        elif chance(rng, 0.1):
            self._toast()
        elif chance(rng, 0.08):
            self._open_menu()

    # --- parts

    def text(self, place: tuple[float, float], string: str, font: Font, fill: Colour, *, tall: float = 0.0) -> Box:
        """A line in a line box `tall` pixels high with its upper left at place; returns that box."""
        x, y = place
        tall = tall or 1.4 * font.size
        metrics = glyph_metrics(font)
        spot = (round(x), round(y + (tall - metrics.ascent - metrics.descent) / 2))
        wide = text_width(string, font)
        if string and self._visible((x, y, x + wide, y + tall)):
            self.canvas.text(spot, string, font, fill)
        elif string:
            self.canvas.draw.text(spot, string, font=font, fill=fill)
        return x, y, x + wide, y + tall

    def _visible(self, box: Box) -> bool:
        return box[0] >= 0 and box[1] >= 0 and box[2] <= self.right and box[3] <= self.bottom

    def note(self, kind: str, name: str, box: Box, state: str = "") -> None:
        """An element; call this before its text is drawn, so that letters lie on its mark."""
        if self._visible(box):
            self.elements.append([kind, name, state, *map(float, box)])
            mark = structure_of(kind, state)
            if mark is not None:
                self.canvas.mark(mark, box)

    def cover(self, box: Box) -> None:
        """Something is about to be drawn over what is there."""
        self.canvas.mark(BACKGROUND, box)
        self.elements = [
            e for e in self.elements if e[5] <= box[0] or e[3] >= box[2] or e[6] <= box[1] or e[4] >= box[3]
        ]

    def card(self, x: float, y: float, width: float, rows: list[Row], *, tall: float = 0.0) -> float:
        """Rows on a card; returns where the next block starts."""
        theme = self.theme
        height = max(tall, sum(row[0] for row in rows) + 20)
        box = (x, y, x + width, y + height)
        if theme.shadow:
            self.brush.shadow(box, theme.radius, theme.page)
        self.brush.box(box, theme.radius, theme.card, theme.line)
        y += 10
        for row_height, paint in rows:
            if y < self.bottom:
                paint(x + 12, y, width - 24)
            y += row_height
        return box[3] + 10

    def rule(self, x: float, y: float, width: float) -> None:
        """A thin line below a row."""
        self.canvas.draw.line((round(x), round(y), round(x + width) - 1, round(y)), fill=self.theme.line)

    def button(self, x: float, y: float, *, main: bool, align: float = 0.0) -> tuple[float, float]:
        """A button with its upper left at (x, y), or with the share `align` of it left of x; returns its two ends."""
        theme = self.theme
        name = self.labels.new(BUTTONS, BUTTONS_ZH, 0.15)
        icon = self.labels.icon() if chance(self.rng, 0.12) else ""
        inset, tall = 7 + 2 * theme.pad, self.button_height
        wide = 2 * inset + text_width(name, theme.font) + (theme.icon + 6 if icon else 0)
        x -= align * wide
        box = (x, y, x + wide, y + tall)
        fill, ink = (theme.accent, (255, 255, 255)) if main else (theme.card, theme.link)
        self.brush.box(box, theme.radius, fill, theme.accent)
        self.note("button", name, box)
        text_x = x + inset
        if icon:
            self.brush.icon((text_x, y + (tall - theme.icon) / 2), icon, theme.icon, ink)
            text_x += theme.icon + 6
        self.text((text_x, y), name, theme.font, ink, tall=tall)
        return box[0], box[2]

    @property
    def button_height(self) -> float:
        return self.theme.line_height + 2 * self.theme.pad + 2

    def icon_button(self, x: float, y: float, ink: Colour) -> float:
        """A button that shows an icon; returns its right end."""
        name, side = self.labels.icon(), self.theme.icon
        box = (x, y, x + side + 8, y + side + 8)
        self.note("icon", name, box)
        concept = self.brush.icon((x + 4, y + 4), name, side, ink)
        if self._visible(box):
            self.canvas.mark(concept_id(concept), (x + 4, y + 4, x + 4 + side, y + 4 + side))
        return box[2]

    def fit(self, string: str, font: Font, width: float) -> str:
        return self.lang.fit(string, font, max(12.0, width))

    # --- the frame

    def _title_bar(self) -> float:
        """Of a desktop window, or the clock and battery of a telephone."""
        theme, rng = self.theme, self.rng
        tall = 24.0
        fill = hsl(0, 0, int(rng.integers(20, 40))) if theme.text[0] > 128 else hsl(0, 0, int(rng.integers(82, 94)))
        self.brush.box((0, 0, self.width, tall), 0, theme.page if self.phone else fill)
        if self.phone:
            self.text((14, 0), f"{int(rng.integers(24))}:{int(rng.integers(60)):02}", theme.font, theme.text, tall=tall)
            self.brush.box((self.width - 38, 8, self.width - 16, 17), 3, theme.page, theme.text)
            self.brush.box((self.width - 36, 10, self.width - 36 + int(rng.integers(4, 18)), 15), 1, theme.text)
        elif chance(rng, 0.5):
            for number, colour in enumerate(((255, 95, 87), (254, 188, 46), (40, 200, 64))):
                self.brush.disc((12 + 20 * number, 6), 12, colour)
        else:
            pen, x = self.canvas.draw, self.width - 22
            pen.line((x, 8, x + 8, 16), fill=theme.text)
            pen.line((x, 16, x + 8, 8), fill=theme.text)
            pen.rectangle((x - 32, 8, x - 24, 16), outline=theme.text)
            pen.line((x - 64, 12, x - 56, 12), fill=theme.text)
        return tall

    def _bar(self, top: float) -> float:
        """The bar at the top with the name of the site, menu entries, search, icons, a button."""
        theme, rng, lang = self.theme, self.rng, self.lang
        tall = max(1.4 * theme.brand.size, theme.line_height + 2 * theme.pad + 2, theme.icon + 8) + 2 * (4 + theme.row)
        self.brush.box((0, top, self.width, top + tall), 0, theme.bar)
        self.rule(0, top + tall, self.width)
        step = 6 + 2 * theme.gap
        name = lang.fit_word(9) + ("" if lang.zh else pick(rng, ("", "", "ly", "Hub", "App")))
        name = self.fit(name, theme.brand, self.width / 3)
        high = 1.4 * theme.brand.size
        left = (14.0, top + (tall - high) / 2)
        self.note("brand", name, (left[0], left[1], left[0] + text_width(name, theme.brand), left[1] + high))
        x = self.text(left, name, theme.brand, theme.on_bar)[2] + step
        end = self.width - 14.0
        if end - x > 200 and chance(rng, 0.4):
            y = top + (tall - self.button_height) / 2
            end = self.button(end, y, main=chance(rng, 0.5), align=1.0)[0] - step
        for _ in range(int(rng.integers(0, 4))):
            if end - theme.icon - 8 > x:
                end -= theme.icon + 8
                self.icon_button(end, top + (tall - theme.icon - 8) / 2, theme.on_bar)
                end -= step
        if not self.phone:
            if chance(rng, 0.5) and end - 140 > x:
                box = (end - 140, top + tall / 2 - 0.95 * theme.size, end, top + tall / 2 + 0.95 * theme.size)
                self.brush.box(box, min(theme.radius, 8), theme.page, theme.line)
                self.note("search", "search", box)
                hint = lang.choose(("Search", "Search...", "Find"), ("搜索", "请输入关键词"))
                self.text((box[0] + 9, box[1]), hint, theme.font, theme.soft, tall=box[3] - box[1])
                end = box[0] - step
            for _ in range(int(rng.integers(0, 5))):
                name = self.labels.new(MENU, MENU_ZH)
                wide = text_width(name, theme.font)
                if x + wide > end:
                    break
                y = top + (tall - theme.line_height) / 2
                self.note("menu", name, (x, y, x + wide, y + theme.line_height))
                x = self.text((x, y), name, theme.font, theme.on_bar, tall=theme.line_height)[2] + step
        return top + tall + 1

    def _side(self, top: float) -> float:
        """The menu at the left; returns its right edge."""
        theme, rng = self.theme, self.rng
        count = int(rng.integers(4, 10))
        icons, chosen = chance(rng, 0.6), int(rng.integers(count))
        names = [self.labels.new(MENU, MENU_ZH) for _ in range(count)]
        inset = 40 + (theme.icon + 8 if icons else 0)
        wide = max(int(rng.integers(110, 180)), inset + round(max(text_width(name, theme.font) for name in names)))
        self.brush.box((0, top, wide, self.bottom), 0, theme.card)
        self.canvas.draw.line((wide - 1, round(top), wide - 1, self.bottom), fill=theme.line)
        y, tall = top + 8, theme.line_height + 2 * theme.row
        for number, name in enumerate(names):
            on = number == chosen
            if on:
                self.brush.box((8, y, wide - 9, y + tall), theme.radius, theme.accent)
            ink = (255, 255, 255) if on else theme.text
            x = 16
            if icons and y + tall < self.bottom:
                self.brush.icon((x, y + (tall - theme.icon) / 2), self.labels.icon(), theme.icon, ink)
            x += theme.icon + 8 if icons else 0
            self.note("menu", name, (8, y, wide - 9, y + tall), "on" if on else "")
            self.text((x, y), name, theme.font, ink, tall=tall)
            y += tall
        return float(wide)

    def _heading(self, x: float, y: float, width: float) -> float:
        """The title of the page, perhaps with icons or a button at its right."""
        theme, rng = self.theme, self.rng
        title = self.lang.title(int(rng.integers(1, 4)))
        tall = 1.2 * theme.title.size
        title = self.fit(title, theme.title, width)
        self.note("title", title, (x, y, x + text_width(title, theme.title), y + tall))
        end = self.text((x, y), title, theme.title, theme.text, tall=tall)[2]
        if chance(rng, 0.2) and x + width - end > theme.icon * 4:
            self.icon_button(x + width - theme.icon - 8, y, theme.text)
        return y + tall + 2 * theme.gap

    def _tabs(self, x: float, y: float, width: float) -> float:
        """Tabs, one of them chosen."""
        theme, rng = self.theme, self.rng
        count = int(rng.integers(2, 5))
        chosen, end, tall = int(rng.integers(count)), x + width, theme.line_height + 8
        for number in range(count):
            name = self.labels.new(MENU, MENU_ZH, 0.4)
            wide = text_width(name, theme.font) + 24
            if x + wide > end:
                break
            on, box = number == chosen, (x, y, x + wide, y + tall)
            ink = theme.text
            if on and theme.underlined:
                self.brush.box((x, y + tall - 2, x + wide, y + tall), 0, theme.accent)
                ink = theme.link
            elif on:
                self.brush.box(box, theme.radius, theme.accent)
                ink = (255, 255, 255)
            self.note("tab", name, box, "on" if on else "off")
            self.text((x + 12, y), name, theme.font, ink, tall=tall)
            x += wide + (4 if theme.underlined else 10)
        return y + tall + 8

    def _foot(self, tall: float) -> None:
        """The bar of icons at the bottom of a telephone."""
        theme, top = self.theme, self.height - tall
        self.brush.box((0, top, self.width, self.height), 0, theme.card)
        self.rule(0, top, self.width)
        count = int(self.rng.integers(3, 6))
        for number in range(count):
            self.icon_button((number + 0.5) * self.width / count - theme.icon / 2 - 4, top + 8, theme.text)

    # --- what lies over the page

    def _dialogue(self) -> None:
        """A question in front of the darkened page."""
        theme, rng, lang = self.theme, self.rng, self.lang
        dark = Image.blend(self.canvas.image, Image.new("RGB", self.canvas.image.size), 0.45)
        self.canvas = Canvas(self.width, self.height, dark)
        self.brush = Brush(self.canvas, lang.split, rng)
        self.elements = []
        wide = self.width * rng.uniform(0.55, 0.75)
        x, inner = (self.width - wide) / 2, wide - 32
        title = self.fit(lang.title(2), theme.subtitle, inner)
        lines = lang.wrap(lang.phrase(60), theme.font, inner)[:3]
        head, step = 1.4 * theme.subtitle.size, theme.line_height
        tall = 32 + head + 6 + len(lines) * step + 10 + self.button_height
        y = (self.height - tall) / 2
        self.brush.box((x, y, x + wide, y + tall), theme.radius, theme.card, theme.line)
        x, y = x + 16, y + 16
        self.note("title of the dialogue", title, (x, y, x + text_width(title, theme.subtitle), y + head))
        self.text((x, y), title, theme.subtitle, theme.text)
        y += head + 6
        for line in lines:
            self.text((x, y), line, theme.font, theme.soft, tall=step)
            y += step
        end = self.button(x, y + 10, main=chance(rng, 0.3))[1]
        self.button(end + 10, y + 10, main=True)

    def _toast(self) -> None:
        """A short message near the bottom, perhaps with a button."""
        theme, rng = self.theme, self.rng
        text = self.fit(self.lang.phrase(30), theme.font, self.width * 0.5)
        wide = text_width(text, theme.font) + 28
        label = self.labels.new(BUTTONS, BUTTONS_ZH, 0.1)
        action = chance(rng, 0.6)
        if action:
            wide += text_width(label, theme.font) + 16
        tall = theme.line_height + 18
        x = pick(rng, ((self.width - wide) / 2, 14.0, self.width - wide - 14))
        y = self.height - tall - int(rng.integers(10, 60))
        box = (x, y, x + wide, y + tall)
        self.cover(box)
        self.brush.box(box, theme.radius, (40, 42, 46))
        end = self.text((x + 14, y), text, theme.font, (255, 255, 255), tall=tall)[2]
        if action:
            spot = (end + 16, y + 9, end + 16 + text_width(label, theme.font), y + 9 + theme.line_height)
            self.note("button", label, spot)
            self.text((spot[0], y), label, theme.font, (140, 200, 255), tall=tall)

    def _open_menu(self) -> None:
        """A menu that has dropped down somewhere."""
        theme, rng = self.theme, self.rng
        names = [self.labels.new((*MENU, *BUTTONS), (*MENU_ZH, *BUTTONS_ZH)) for _ in range(int(rng.integers(3, 6)))]
        wide = max(text_width(name, theme.font) for name in names) + 40
        tall = theme.line_height + 8
        x = rng.uniform(10, max(11.0, self.width - wide - 10))
        y = rng.uniform(40, max(41.0, self.height - tall * len(names) - 20))
        box = (x, y, x + wide, y + tall * len(names) + 8)
        self.cover((x - 4, y - 4, box[2] + 4, box[3] + 6))
        self.brush.shadow(box, 4, theme.page)
        self.brush.box(box, min(theme.radius, 6), theme.card, theme.line)
        chosen = int(rng.integers(2 * len(names)))
        for number, name in enumerate(names):
            row = (x + 1, y + 4 + number * tall, box[2] - 1, y + 4 + (number + 1) * tall)
            if number == chosen:
                self.brush.box(row, 0, theme.line)
            self.note("menu", name, row)
            self.text((x + 16, row[1]), name, theme.font, theme.text, tall=tall)
