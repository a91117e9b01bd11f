"""Rows and lists of boxes to tick on a form, and what can be asked about them.

    tick_groups(sheet, ...) --> label + options with boxes or circles, some ticked; facts: is it ticked, which ones

The trap: option texts are unique on the form, and options such as "Yes" are asked about only through their group.
"""

from PIL import ImageFont

from vl2.synth import values
from vl2.synth.canvas import Colour, text_width
from vl2.synth.document_words import GROUPS
from vl2.synth.paper import Sheet
from vl2.synth.sample import Value, structure_id
from vl2.synth.values import chance

_BOX_PHRASES = (
    "the checkbox {box}", "the box next to {box}", "the box for {box}", "the {box} checkbox", "the tick box {box}",
    "the checkbox of {box}",
)  # fmt: skip


def tick_groups(
    sheet: Sheet, font: ImageFont.FreeTypeFont, pen: Colour, start: tuple[float, float], bottom: float, count: int
) -> float:
    """Draw up to `count` groups from `start` (x, y) down to `bottom`; returns where the last one ends."""
    rng = sheet.rng
    x, y = start
    step = sheet.canvas.measure("x", font)[1] * rng.uniform(1.1, 1.4)
    seen: set[str] = set()
    ticked: list[str] = []
    group_count = 0
    for index in rng.permutation(len(GROUPS)).tolist():
        name, options = GROUPS[index]
        if group_count == count or y + step > bottom:
            break
        if "Yes" not in options and chance(rng, 0.4):
            options = tuple(values.word(rng, sheet.split).capitalize() for _ in range(int(rng.integers(2, 5))))
        if len(set(options) - seen) < len(options):
            continue
        seen |= set(options)
        group = _Group(sheet, font, pen, name, list(options))
        lines = 1 + len(options)
        if lines * step < bottom - y and chance(rng, 0.3):
            group.draw_list(x, y, step)
            y += step * lines
        else:
            group.draw_row(x, y)
            y += step
        ticked += group.ticked
        group_count += 1
    if group_count:
        _overall_facts(sheet, ticked)
    return y


def _overall_facts(sheet: Sheet, ticked: list[str]) -> None:
    """What is ticked on the whole form."""
    if len(ticked) == 1:
        sheet.fact("form.ticked_list", (ticked[0],), weight=0.8)
    elif ticked:
        joined = ", ".join(ticked)
        others = (" and ".join(ticked), " ".join(ticked), ", ".join(reversed(ticked)))
        sheet.fact("form.ticked_all", (joined, *others), weight=0.8)


class _Group:
    """One question of the form with its options."""

    def __init__(self, sheet: Sheet, font: ImageFont.FreeTypeFont, pen: Colour, name: str, options: list[str]):
        rng = sheet.rng
        self.sheet, self.font, self.pen, self.name, self.options = sheet, font, pen, name, options
        self.radio = chance(rng, 0.3)
        self.tick = int(rng.integers(4))
        self.side = round(font.size * rng.uniform(0.75, 0.95))
        self.height = sheet.canvas.measure("x", font)[1]
        chosen = int(rng.integers(len(options)))
        if self.radio or "Yes" in options or chance(rng, 0.6):
            self.marks = [position == chosen for position in range(len(options))]
        else:
            self.marks = [chance(rng, 0.45) for _ in options]
        self.ticked: list[str] = []
        self.drawn: list[str] = []

    def draw_row(self, x: float, y: float) -> None:
        """Label and options side by side, as many as fit."""
        sheet, font, left = self.sheet, self.font, x
        sheet.new_row()
        sheet.write((x, y), f"{self.name}:", font)
        x += text_width(f"{self.name}:  ", font)
        for option, mark in zip(self.options, self.marks, strict=True):
            width = self.side + 4 + text_width(option, font)
            if x + width > sheet.width - left:
                break
            self._option(x, y, option, mark)
            x += width + text_width("  ", font) + 2
        self._facts()

    def draw_list(self, x: float, y: float, step: float) -> None:
        """The label with the options below each other."""
        self.sheet.new_row()
        self.sheet.write((x, y), f"{self.name}:", self.font)
        for option, mark in zip(self.options, self.marks, strict=True):
            y += step
            self.sheet.new_row()
            self._option(x + 8, y, option, mark)
        self._facts()

    def _option(self, x: float, y: float, option: str, mark: bool) -> None:
        """A box and its text."""
        top = y + (self.height - self.side) / 2
        self._box(round(x), round(top), mark, f"tick {option}")
        self.sheet.write((x + self.side + 4, y), option, self.font)
        self.drawn.append(option)
        if mark:
            self.ticked.append(option)

    def _facts(self) -> None:
        """Each box, and the choice of the group."""
        sheet = self.sheet
        if "Yes" not in self.options:
            for option in self.drawn:
                answer = "Yes" if option in self.ticked else "No"
                weight = 0.9 if option in self.ticked else 0.6
                region = f"tick {option}"
                sheet.fact("form.ticked", (answer,), region, box=option, weight=weight, phrases=_BOX_PHRASES)
                sheet.values.append(Value("ticked", (answer,), "true" if answer == "Yes" else "false", option))
        if len(self.drawn) > 1 and len(self.ticked) == 1:
            name = self.name if chance(sheet.rng, 0.5) else self.name.lower()
            sheet.fact("form.group", (self.ticked[0],), group=name, weight=1.0)
            sheet.values.append(Value("group", (self.ticked[0],), about=name))

    def _box(self, x: int, y: int, ticked: bool, region: str) -> None:
        """A box or a circle, empty or marked."""
        draw, side = self.sheet.canvas.draw, self.side
        box = (x, y, x + side, y + side)
        (draw.ellipse if self.radio else draw.rectangle)(box, outline=self.sheet.ink)
        if ticked and self.radio:
            draw.ellipse((x + 3, y + 3, x + side - 3, y + side - 3), fill=self.pen)
        elif ticked and self.tick <= 1:
            points = [(x + 2, y + side * 0.5), (x + side * 0.42, y + side - 2), (x + side + 1, y - 1)]
            draw.line(points, fill=self.pen, width=2)
        elif ticked and self.tick == 2:
            draw.line((x + 2, y + 2, x + side - 2, y + side - 2), fill=self.pen, width=2)
            draw.line((x + side - 2, y + 2, x + 2, y + side - 2), fill=self.pen, width=2)
        elif ticked:
            draw.rectangle((x + 3, y + 3, x + side - 3, y + side - 3), fill=self.pen)
        names = ("radio button", "selected radio") if self.radio else ("checkbox", "checked box")
        self.sheet.canvas.mark(structure_id(names[ticked]), box)
        self.sheet.canvas.region(region, box)
