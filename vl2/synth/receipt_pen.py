"""The pen that writes a receipt row by row, and the choices that hold for all of it.

Receipt.line (header, footer) | .pair (label and value) | .separator --> ink on the sheet, the pen moves down
"""

from dataclasses import dataclass

import numpy as np
from PIL import ImageFont

from vl2.synth import values
from vl2.synth.blocks import font_of_height
from vl2.synth.canvas import text_width
from vl2.synth.ingredients import fonts
from vl2.synth.paper import Sheet, shorten
from vl2.synth.values import Style, chance, pick


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
    step: float  # from one row to the next
    y: float
    capitals: bool
    align: float  # of header and footer
    rule: int  # kind of separator, 0 to 5

    @property
    def rng(self) -> np.random.Generator:
        return self.sheet.rng

    def case(self, text: str) -> str:
        """Upper case on receipts that are all capitals."""
        return text.upper() if self.capitals else text

    def line(self, text: str, region: str = "", *, heading: bool = False) -> str:
        """One line of the header or footer; returns what was drawn."""
        font = self.heading if heading else self.font
        text = shorten(text, font, self.right - self.left)
        self.sheet.new_row()
        x = self.left + self.align * (self.right - self.left)
        self.sheet.write((x, self.y), text, font, align=self.align, region=region)
        self.y += self.step * (font.size / self.font.size if heading else 1)
        return text

    def label(self, labels: tuple[str, ...], value: str) -> str:
        """One of the labels that leave room for the value in one row; the shortest if none does."""
        room = self.right - self.left - text_width(f"  {value}", self.font)
        for _ in range(5):
            label = self.case(pick(self.rng, labels))
            if text_width(label, self.font) <= room:
                return label
        return self.case(min(labels, key=len))

    def pair(self, label: str, value: str, region: str, *, spread: bool = True, heading: bool = False) -> str:
        """A label and its value, at both ends of the row or together; returns the value as drawn."""
        font = self.heading if heading else self.font
        if text_width(f"{label}  {value}", font) > self.right - self.left:
            font = self.font
        room = self.right - self.left - (text_width(f"{label}  ", font) if label else 0)
        value = shorten(value, font, room)
        self.sheet.new_row()
        if label:
            self.sheet.landmark(label, self.sheet.write((self.left, self.y), label, font))
        if spread and label:
            self.sheet.write((self.right, self.y), value, font, align=1, region=region)
        else:
            start = self.left + (text_width(f"{label} ", font) if label else 0)
            self.sheet.write((start, self.y), value, font, region=region)
        self.y += self.step * max(1.0, font.size / self.font.size)
        return value

    def separator(self) -> None:
        """A rule, dashes, dots, a double rule, a thick rule or just space."""
        y = self.y + self.step * 0.28
        if self.rule == 1:
            self.sheet.rule(y, self.left, self.right)
        elif self.rule == 2:
            self.sheet.rule(y, self.left, self.right, dash=max(3, round(self.font.size / 3)))
        elif self.rule == 3:
            self.sheet.rule(y, self.left, self.right, dash=2, thick=2)
        elif self.rule == 4:
            self.sheet.rule(y - 1, self.left, self.right)
            self.sheet.rule(y + 2, self.left, self.right)
        elif self.rule == 5:
            self.sheet.rule(y, self.left, self.right, thick=3)
        self.y += self.step * 0.6

    def money(self, cents: int, sign: bool) -> tuple[str, ...]:
        """An amount as drawn, then without its currency sign or minus."""
        forms = [values.money(self.style, cents, sign=sign), values.money(self.style, cents, sign=False)]
        if cents < 0:
            forms += [form.removeprefix("-") for form in forms]
        return tuple(dict.fromkeys(forms))


def start(rng: np.random.Generator, split: str, width: int, height: int) -> Receipt:
    """Paper, fonts and manner of a new receipt."""
    kind = "mono" if chance(rng, 0.5) else "sans" if chance(rng, 0.7) else "serif"
    path = pick(rng, fonts(split, kind))
    capital = float(rng.uniform(9.2, max(9.6, min(15.0, width / 24)))) if chance(rng, 0.6) else 9.2
    if kind == "mono":
        capital = min(capital, width / 26)
    capital = max(9.0, capital)
    font = font_of_height(path, capital)
    heading_path = path
    if chance(rng, 0.4):
        heading_path = pick(rng, fonts(split, pick(rng, ("sans", "serif", "mono", "display"))))
    heading = font_of_height(heading_path, capital * rng.uniform(1.0, 1.9))
    sheet = Sheet(rng, split, (width, height), capital)
    margin = rng.uniform(5, 0.07 * width)
    return Receipt(
        sheet=sheet,
        font=font,
        heading=heading,
        style=values.choose_style(rng),
        signs=chance(rng, 0.4),
        total_signs=chance(rng, 0.7),
        left=margin,
        right=width - margin,
        step=max(sheet.canvas.measure("x", font)[1] * rng.uniform(0.88, 1.15), capital * 1.5),
        y=rng.uniform(4, 16),
        capitals=chance(rng, 0.25),
        align=0.5 if chance(rng, 0.75) else 0.0,
        rule=int(rng.integers(6)),
    )
