"""Task "form": a title, labelled fields filled in by type or by hand, and boxes to tick.

    field labels (shared) + values (of the split) --layout--> Sheet, facts --> Sample

The trap: a label may be asked about only if it stands on the form once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ImageFont

from vl2.synth import values
from vl2.synth.canvas import Colour, text_width
from vl2.synth.ingredients import fonts
from vl2.synth.ocr import font_of_height
from vl2.synth.paper import Sheet, shorten
from vl2.synth.sample import Sample, structure_id
from vl2.synth.values import Style, chance, pick

Maker = Callable[[np.random.Generator, str, Style], str]


def _several(labels: str, maker: Maker) -> list[tuple[str, Maker]]:
    return [(label, maker) for label in labels.split("|")]


FIELDS: list[tuple[str, Maker]] = [
    *_several("Name|Full name|Name|Applicant|Patient|Customer|Contact person|Guest|Manager|Teacher|Employee|Emergency contact|Owner|Student|Doctor|Client", lambda r, s, y: values.person(r, s)),
    *_several("First name|Last name|Surname|Family name|Place of birth|Town|City|Nickname|District", lambda r, s, y: values.name(r, s)),
    *_several("Date|Date of birth|Start date|Due date|Date of issue|Birthday|Arrival|Departure|Valid until|Appointment", lambda r, s, y: values.date(r, y)),
    *_several("Phone|Telephone|Mobile|Fax|Phone no.|Daytime phone", lambda r, s, y: values.phone(r)),
    *_several("Email|E-mail|Email address", lambda r, s, y: values.email(r, s)),
    *_several("Address|Street|Street address|Home address", lambda r, s, y: values.street(r, s)),
    *_several("Company|Employer|School|Organisation|Supplier|Insurance|Bank", lambda r, s, y: values.company(r, s)),
    *_several("Customer no.|Member ID|Reference|Order number|Account no.|Policy no.|ID number|Case no.|Serial no.|File no.|Registration no.", lambda r, s, y: values.code(r)),
    *_several("Amount|Fee|Price|Deposit|Budget|Salary|Total|Rent", lambda r, s, y: values.money(y, int(np.exp(r.uniform(5, 13))))),
    *_several("Quantity|Age|Room|Number of guests|Years|Seat|Floor|Children|Nights", lambda r, s, y: str(int(r.integers(1, 100)))),
    *_several("Postal code|Zip code|Postcode|ZIP", lambda r, s, y: values.digits(r, "#####")),
    *_several("Time|Start time|End time|Check-in time", lambda r, s, y: values.time(r, y)),
    *_several("Product|Subject|Department|Job title|Item|Occupation|Course|Description|Purpose|Category|Project|Hobby|Model", lambda r, s, y: values.thing(r, s)),
]  # fmt: skip
TITLES = tuple(
    """Registration Form|Application Form|Order Form|Membership Application|Contact Form|Request Form|Feedback Form|Booking Form
    Medical History|Claim Form|Personal Details|Customer Information|Enrolment Form|Survey|Job Application|Delivery Note|Complaint Form
    Patient Record|Loan Application|Visitor Pass|Change of Address|Expense Report|Work Order|Permission Slip|Reservation
    Hotel Check-in|Travel Request|Purchase Request|Inspection Report|Questionnaire""".replace("\n", "|").split("|")
)
TITLES = tuple(title.strip() for title in TITLES)
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Gender", ("Male", "Female", "Other")),
    ("Contact by", ("Phone", "Email", "Post", "Text")),
    ("Marital status", ("Single", "Married", "Divorced", "Widowed")),
    ("Payment", ("Cash", "Card", "Check", "Transfer")),
    ("Status", ("New", "Open", "Closed", "Pending")),
    ("Member", ("Yes", "No")),
    ("Smoker", ("Yes", "No")),
    ("Priority", ("Low", "Medium", "High", "Urgent")),
    ("Size", ("Small", "Medium", "Large")),
    ("Delivery", ("Standard", "Express", "Pickup")),
    ("Day", ("Mon", "Tue", "Wed", "Thu", "Fri")),
    ("Type", ("Full time", "Part time", "Contract")),
    ("Meal", ("Breakfast", "Lunch", "Dinner")),
    ("Plan", ("Basic", "Plus", "Premium")),
)


@dataclass
class Form:
    """Choices of one form and the pen's height on it."""

    sheet: Sheet
    labels: ImageFont.FreeTypeFont
    entries: ImageFont.FreeTypeFont
    entry_ink: Colour
    margin: float
    y: float
    gap: float
    style: str  # colon, aligned, boxed, underlined, above, boxed above

    @property
    def rng(self) -> np.random.Generator:
        return self.sheet.rng

    @property
    def step(self) -> float:
        """Height of a row with an entry."""
        measure = self.sheet.canvas.measure
        return max(measure("x", self.labels)[1], measure("x", self.entries)[1])


def generate_form(rng: np.random.Generator, split: str) -> Sample:
    """One form with questions about it."""
    if chance(rng, 0.66):
        width, height = int(rng.uniform(290, 385)), int(rng.uniform(200, 385))
    elif chance(rng, 0.6):
        width, height = int(rng.uniform(300, 385)), int(rng.uniform(385, 761))
    else:
        width, height = int(rng.uniform(400, 761)), int(rng.uniform(260, 561))
    form = _start(rng, split, width, height)
    _title(form)
    ticks = chance(rng, 0.6)
    reserve = (2 if height > 300 else 1) * 1.5 * form.step if ticks else 0
    columns = 2 if width > 460 and chance(rng, 0.6) else 1
    _fields(form, columns, height - reserve - 4)
    if ticks:
        _tick_groups(form, height - 4)
    form.sheet.canvas.crop(max(100, min(height, int(form.y + rng.uniform(4, 24)))))
    return form.sheet.sample("form", readable=columns == 1)


def _start(rng: np.random.Generator, split: str, width: int, height: int) -> Form:
    """Paper, fonts and manner."""
    path = pick(rng, fonts(split, "sans" if chance(rng, 0.6) else "serif"))
    capital = float(rng.uniform(9.0, 9.0 + width / 110))
    labels = font_of_height(path, capital)
    kind = pick(rng, ("same", "mono", "hand", "hand", "hand", "sans"))
    entry_path = path if kind == "same" else pick(rng, fonts(split, kind))
    entries = font_of_height(entry_path, capital * (rng.uniform(1.1, 1.5) if kind == "hand" else 1.0))
    sheet = Sheet(rng, split, (width, height), capital)
    blue = (int(rng.integers(0, 60)), int(rng.integers(0, 80)), int(rng.integers(110, 180)))
    entry_ink = blue if chance(rng, 0.45) else sheet.ink
    style = pick(rng, ("colon", "aligned", "boxed", "underlined", "above", "boxed above"))
    margin = rng.uniform(8, 0.06 * width)
    return Form(sheet, labels, entries, entry_ink, margin, rng.uniform(5, 18), rng.uniform(0.05, 0.5), style)


def _title(form: Form) -> None:
    """The heading, sometimes with a company above or a content word in it."""
    rng, sheet = form.rng, form.sheet
    room = sheet.width - 2 * form.margin
    font = font_of_height(str(form.labels.path), rng.uniform(11, 19))
    title = pick(rng, TITLES)
    if chance(rng, 0.4):
        title = f"{values.word(rng, sheet.split).capitalize()} {title}"
    title = shorten(title.upper() if chance(rng, 0.3) else title, font, room)
    align = 0.5 if chance(rng, 0.6) else 0.0
    sheet.new_row()
    sheet.write((form.margin + align * room, form.y), title, font, align=align, region="title")
    sheet.fact("form.title", (title,), "title")
    form.y += sheet.canvas.measure("x", font)[1] * rng.uniform(1.05, 1.4)
    if chance(rng, 0.4):
        sheet.rule(form.y, form.margin, sheet.width - form.margin, thick=int(rng.integers(1, 3)))
        form.y += rng.uniform(4, 10)


def _fields(form: Form, columns: int, bottom: float) -> None:
    """Labelled fields, row by row."""
    rng, sheet = form.rng, form.sheet
    style = values.choose_style(rng)
    above = form.style in ("above", "boxed above")
    high = form.step * (1.0 + (0.9 if above else 0.0) + form.gap) + (5 if "boxed" in form.style else 0)
    rows = max(1, int((bottom - form.y) / high))
    count = min(rows * columns, int(rng.integers(3, 10)))
    order = rng.permutation(len(FIELDS)).tolist()
    chosen: list[tuple[str, Maker]] = []
    for index in order:
        label, maker = FIELDS[index]
        if len(chosen) < count and all(label.lower() != other.lower() for other, _ in chosen):
            chosen.append((label, maker))
    case = pick(rng, (str, str, str, str.upper, str.title))
    room = (sheet.width - 2 * form.margin - (columns - 1) * 16) / columns
    names = [case(label) for label, _ in chosen]
    widest = min(room * 0.55, max(text_width(name + ": ", form.labels) for name in names))
    for index, (_, maker) in enumerate(chosen):
        column = index % columns
        if column == 0:
            sheet.new_row()
        x = form.margin + column * (room + 16)
        value = maker(rng, sheet.split, style)
        _field(form, x, room, names[index], value, widest, index)
        if column == columns - 1 or index == len(chosen) - 1:
            form.y += high
    form.y += form.step * 0.2


def _field(form: Form, x: float, room: float, label: str, value: str, widest: float, index: int) -> None:
    """One label and its value at (x, form.y)."""
    sheet, rng, step = form.sheet, form.rng, form.step
    label = shorten(label, form.labels, room * 0.6)
    above = form.style in ("above", "boxed above")
    shown = label if above or form.style == "boxed" else f"{label}:"
    drop = max(0.0, (step - sheet.canvas.measure("x", form.labels)[1]) / 2)
    sheet.write((x, form.y + (0 if above else drop)), shown, form.labels)
    start, y = x, form.y
    if above:
        y = form.y + sheet.canvas.measure("x", form.labels)[1]
        sheet.new_row()
    elif form.style in ("colon", "underlined"):
        start = x + text_width(f"{shown}  ", form.labels)
    else:
        start = x + widest + 6
    end = x + room
    boxed = "boxed" in form.style
    inset = 5 if boxed else 0
    value = shorten(value, form.entries, end - start - 2 * inset)
    if boxed:
        box = (round(start), round(y), round(end), round(y + step + 3))
        sheet.canvas.draw.rectangle(box, outline=sheet.ink)
        sheet.canvas.mark(structure_id("input field"), box)
    elif form.style == "underlined":
        sheet.rule(y + step, start - 2, end, dash=0 if index % 2 or len(label) > 3 else 2, mark="underline")
    rise = max(0.0, (step - sheet.canvas.measure("x", form.entries)[1]) / 2)
    region = f"field{index}"
    sheet.write((start + inset, y + rise + (1 if boxed else 0)), value, form.entries, fill=form.entry_ink, region=region)
    asked = label.rstrip(".:") if label.isupper() and chance(rng, 0.3) else label
    if chance(rng, 0.4) and not label.isupper():
        asked = label.lower()
    sheet.fact("form.value", (value,), region, field=asked, weight=1.5)
    sheet.fact("form.field_of", (label,), value=value, weight=0.2)


def _tick_groups(form: Form, bottom: float) -> None:
    """One or two rows of boxes to tick."""
    rng, sheet = form.rng, form.sheet
    taken: set[str] = set()
    ticked: list[str] = []
    groups = 0
    for index in rng.permutation(len(GROUPS)).tolist()[: int(rng.integers(1, 3))]:
        name, options = GROUPS[index]
        if form.y + form.step * 1.1 > bottom or taken & set(options):
            continue
        if chance(rng, 0.4):
            options = tuple(dict.fromkeys(values.word(rng, sheet.split).capitalize() for _ in range(int(rng.integers(2, 5)))))
        if taken & set(options):
            continue
        taken |= set(options)
        groups += 1
        ticked += _tick_row(form, name, list(options))
        form.y += form.step * 1.2
    if groups and len(ticked) == 1:
        sheet.fact("form.ticked_list", (ticked[0],), weight=0.8)


def _tick_row(form: Form, name: str, options: list[str]) -> list[str]:
    """A group label and its options in a row; returns the ticked ones."""
    rng, sheet, font = form.rng, form.sheet, form.labels
    radio = chance(rng, 0.3)
    single = radio or chance(rng, 0.6)
    marks = [chance(rng, 0.4) for _ in options]
    if single:
        marks = [position == int(rng.integers(len(options))) for position in range(len(options))]
        marks = [mark and not any(marks[:position]) for position, mark in enumerate(marks)]
    side = round(form.labels.size * 0.85)
    sheet.new_row()
    x = form.margin
    sheet.write((x, form.y), f"{name}:", font)
    x += text_width(f"{name}:  ", font)
    ticked, drawn = [], 0
    for position, (option, mark) in enumerate(zip(options, marks, strict=True)):
        if x + side + 4 + text_width(option, font) > sheet.width - form.margin:
            break
        _tick_box(form, x, form.y + (form.sheet.canvas.measure("x", font)[1] - side) / 2, side, radio, mark, f"tick {option}")
        sheet.write((x + side + 4, form.y), option, font)
        x += side + 4 + text_width(option + "   ", font)
        drawn += 1
        region = f"tick {option}"
        phrases = ("the checkbox {box}", "the box next to {box}", "the box for {box}", "the {box} checkbox", "the tick box {box}")
        sheet.fact("form.ticked", ("Yes" if mark else "No",), region, box=option, weight=0.7, phrases=phrases)
        if mark:
            ticked.append(option)
    if drawn > 1 and len(ticked) == 1:
        sheet.fact("form.group", (ticked[0],), group=name, weight=0.9)
    return ticked


def _tick_box(form: Form, x: float, y: float, side: int, radio: bool, ticked: bool, region: str) -> None:
    """A box or a circle, empty or marked."""
    rng, draw, ink = form.rng, form.sheet.canvas.draw, form.sheet.ink
    x, y = round(x), round(y)
    box = (x, y, x + side, y + side)
    (draw.ellipse if radio else draw.rectangle)(box, outline=ink)
    if ticked and radio:
        draw.ellipse((x + 3, y + 3, x + side - 3, y + side - 3), fill=form.entry_ink)
    elif ticked:
        kind = int(rng.integers(3))
        if kind == 0:
            points = [(x + 2, y + side * 0.5), (x + side * 0.42, y + side - 2), (x + side + 1, y - 1)]
            draw.line(points, fill=form.entry_ink, width=2)
        elif kind == 1:
            draw.line((x + 2, y + 2, x + side - 2, y + side - 2), fill=form.entry_ink, width=2)
            draw.line((x + side - 2, y + 2, x + 2, y + side - 2), fill=form.entry_ink, width=2)
        else:
            draw.rectangle((x + 3, y + 3, x + side - 3, y + side - 3), fill=form.entry_ink)
    name = ("selected radio" if ticked else "radio button") if radio else ("checked box" if ticked else "checkbox")
    form.sheet.canvas.mark(structure_id(name), box)
    form.sheet.canvas.region(region, box)
