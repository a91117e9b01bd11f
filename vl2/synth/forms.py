"""Task "form": a title, labelled fields filled in by type or by hand, and boxes to tick.

    field labels (shared) + values (of the split) --style--> Sheet, facts --> Sample

The trap: synonyms ("Email", "E-mail address") never stand on one form, or nobody could tell which one is asked about.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import ImageFont

from vl2.synth import values
from vl2.synth.blocks import font_of_height
from vl2.synth.canvas import Colour, text_width
from vl2.synth.document_words import FORM_NOTES, FORM_TITLES, SECTIONS
from vl2.synth.form_ticks import tick_groups
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.paper import Sheet, shorten
from vl2.synth.sample import Sample, Value, structure_id
from vl2.synth.values import Style, chance, pick

Maker = Callable[[np.random.Generator, str, Style], str]

# concepts separated by | or line ends, synonyms of one concept by /
_PERSON = """Name/Full name/Your name|Patient/Patient name|Customer/Customer name/Client|Contact person|Manager|Teacher
Guest/Guest name|Employee|Emergency contact|Owner|Student|Doctor|Tenant|Driver|Witness|Approved by/Authorised by
Received by|Supervisor|Parent/Guardian|Signed"""
_NAME = """First name/Given name|Last name/Surname/Family name|Place of birth|Town/City|Nickname|District/County
Middle name|Maiden name"""
_DATE = """Date|Date of birth/Birthday/Born|Start date/From|End date/Until|Due date|Date of issue/Issued|Hire date
Arrival/Check-in|Departure/Check-out|Valid until/Expiry date|Appointment|Last visit"""
_PHONE = "Phone/Telephone/Phone no./Tel./Phone number|Mobile/Cell phone|Fax|Work phone"
_COMPANY = "Company/Employer/Organisation|School|Supplier|Insurance|Bank|Hospital|Store"
_CODE = """Customer no.|Member ID/Member no.|Reference/Ref.|Order number/Order no.|Account no./Account|Policy no.
ID number|Case no.|Serial no.|File no.|Registration no.|Passport no.|Licence no.|Invoice no.|Student ID|Plate no."""
_AMOUNT = "Amount|Fee|Price|Deposit|Budget|Salary/Income|Total|Rent|Balance|Cost"
_COUNT = """Quantity/Qty|Age|Room/Room no.|Number of guests/Guests|Years|Seat|Floor|Children|Nights|Height (cm)
Weight (kg)|Score|Table"""
_THING = """Product|Subject|Department|Job title/Position/Occupation|Item|Course|Description|Purpose|Category|Project
Hobby|Model|Allergies|Remarks/Comments/Notes|Reason|Favourite food|Brand|Equipment|Skills"""


def _fields(labels: str, maker: Maker) -> list[tuple[tuple[str, ...], Maker]]:
    """One entry per concept; a slash separates its synonyms."""
    return [(tuple(concept.split("/")), maker) for concept in labels.replace("\n", "|").split("|")]


FIELDS: tuple[tuple[tuple[str, ...], Maker], ...] = (
    *_fields(_PERSON, lambda rng, split, style: values.person(rng, split)),
    *_fields(_NAME, lambda rng, split, style: values.name(rng, split)),
    *_fields(_DATE, lambda rng, split, style: values.date(rng, style)),
    *_fields(_PHONE, lambda rng, split, style: values.phone(rng)),
    *_fields("Email/E-mail/Email address", lambda rng, split, style: values.email(rng, split)),
    *_fields("Address/Street/Street address/Home address", lambda rng, split, style: values.street(rng, split)),
    *_fields(_COMPANY, lambda rng, split, style: values.company(rng, split)),
    *_fields(_CODE, lambda rng, split, style: values.code(rng)),
    *_fields(_AMOUNT, lambda rng, split, style: values.money(style, int(np.exp(rng.uniform(5, 13))))),
    *_fields(_COUNT, lambda rng, split, style: str(int(rng.integers(1, 100)))),
    *_fields("Postal code/Zip code/Postcode/ZIP", lambda rng, split, style: values.digits(rng, "#####")),
    *_fields("Time/Start time|End time|Meeting time", lambda rng, split, style: values.time(rng, style)),
    *_fields(_THING, lambda rng, split, style: values.thing(rng, split)),
)
# label and entry side by side | label above its entry
STYLES = (
    "colon",
    "aligned",
    "right aligned",
    "boxed",
    "underlined",
    "leaders",
    "grid",
    "above",
    "boxed above",
    "line above",
)
_VALUE_PHRASES = (
    "the {field}", "the {field}", "the value of {field}", "the entry for {field}", "what is filled in for {field}",
    "the {field} entry",
)  # fmt: skip
_FRAMED = ("boxed", "boxed above", "grid")


@dataclass
class Form:
    """Choices of one form and the pen's height on it."""

    sheet: Sheet
    labels: ImageFont.FreeTypeFont
    entries: ImageFont.FreeTypeFont
    entry_ink: Colour
    margin: float
    y: float
    gap: float  # between rows, as a share of the row
    style: str
    numbered: bool
    starred: bool

    @property
    def rng(self) -> np.random.Generator:
        return self.sheet.rng

    @property
    def above(self) -> bool:
        """Whether labels stand above their entries."""
        return self.style.endswith("above")

    @property
    def label_height(self) -> float:
        return self.sheet.canvas.measure("x", self.labels)[1]

    @property
    def entry_height(self) -> float:
        return self.sheet.canvas.measure("x", self.entries)[1]

    @property
    def step(self) -> float:
        """Height of a row without the gap."""
        frame = 6 if self.style in _FRAMED else 0
        if self.above:
            return self.label_height + self.entry_height + frame
        return max(self.label_height, self.entry_height) + frame


def generate_form(rng: np.random.Generator, split: str) -> Sample:
    """One form with questions about it."""
    large = chance(rng, 0.38)
    if not large:
        width, height = int(rng.uniform(290, 385)), int(rng.uniform(200, 385))
    elif chance(rng, 0.55):
        width, height = int(rng.uniform(300, 385)), int(rng.uniform(440, 761))
    else:
        width, height = int(rng.uniform(400, 761)), int(rng.uniform(260, 561))
    form = _start(rng, split, width, height)
    _title(form)
    groups = int(rng.integers(1, 3 if height < 420 else 4)) if chance(rng, 0.6) else 0
    groups = min(groups, max(0, int((height - form.y - 2 * form.step) / (form.label_height * 4))))
    reserve = groups * form.label_height * 1.7
    columns = 2 if chance(rng, 0.6) and (width > 460 or (width > 330 and form.above)) else 1
    _draw_fields(form, columns, height - reserve - 6)
    if groups:
        form.y += form.label_height * rng.uniform(0.1, 0.4)
        form.y = tick_groups(form.sheet, form.labels, form.entry_ink, (form.margin, form.y), height - 4, groups)
    if chance(rng, 0.15) and form.y + form.label_height + 4 < height:
        form.sheet.new_row()
        note = shorten(pick(rng, FORM_NOTES), form.labels, width - 2 * form.margin)
        form.sheet.landmark(note, form.sheet.write((form.margin, form.y + 2), note, form.labels))
        form.y += form.label_height + 2
    form.sheet.canvas.crop(max(100, min(height, int(form.y + rng.uniform(4, 24)))))
    return form.sheet.sample("form", readable=columns == 1)


def _start(rng: np.random.Generator, split: str, width: int, height: int) -> Form:
    """Paper, fonts and manner."""
    path = pick(rng, fonts(split, "mono" if chance(rng, 0.08) else "sans" if chance(rng, 0.6) else "serif"))
    capital = float(rng.uniform(9.0, 9.5 + max(width, height) / 140))
    labels = font_of_height(path, capital)
    kind = pick(rng, ("same", "same", "mono", "hand", "hand", "hand", "sans", "serif"))
    entry_path = path if kind == "same" else pick(rng, fonts(split, kind))
    entries = font_of_height(entry_path, capital * (rng.uniform(1.1, 1.5) if kind == "hand" else rng.uniform(1.0, 1.1)))
    sheet = Sheet(rng, split, (width, height), capital)
    blue = (int(rng.integers(0, 60)), int(rng.integers(0, 80)), int(rng.integers(110, 180)))
    return Form(
        sheet=sheet,
        labels=labels,
        entries=entries,
        entry_ink=blue if chance(rng, 0.5 if kind == "hand" else 0.25) else sheet.ink,
        margin=rng.uniform(7, 0.06 * width),
        y=rng.uniform(5, 18),
        gap=rng.uniform(0.05, 0.5),
        style=pick(rng, STYLES),
        numbered=chance(rng, 0.06),
        starred=chance(rng, 0.06),
    )


def _title(form: Form) -> None:
    """The heading, sometimes with a company above it or a content word in it, sometimes on a dark bar."""
    rng, sheet = form.rng, form.sheet
    room = sheet.width - 2 * form.margin
    align = 0.5 if chance(rng, 0.6) else 0.0
    x = form.margin + align * room
    if chance(rng, 0.2):
        sheet.new_row()
        company = shorten(values.company(rng, sheet.split), form.labels, room)
        box = sheet.write((x, form.y), company, form.labels, align=align)
        sheet.landmark(company, box, 0.3)
        form.y += form.label_height * 1.15
    font = font_of_height(str(form.labels.path), rng.uniform(11, 19))
    case = str.upper if chance(rng, 0.3) else str
    title = case(pick(rng, FORM_TITLES))
    if chance(rng, 0.4):
        longer = case(f"{values.word(rng, sheet.split).capitalize()} {title}")
        title = longer if text_width(longer, font) <= room else title
    while text_width(title, font) > room and font.size > form.labels.size:
        font = load_font(str(font.path), int(font.size) - 1)
    title = shorten(title, font, room)
    height = sheet.canvas.measure("x", font)[1]
    fill = None
    if chance(rng, 0.12):
        dark = tuple(int(v) for v in rng.integers(10, 110, 3))
        box = (0, round(form.y - 4), sheet.width, round(form.y + height + 3))
        sheet.canvas.draw.rectangle(box, fill=dark)
        fill = (255, 255, 255)
        form.y += 4
    sheet.new_row()
    sheet.write((x, form.y - (3 if fill else 0)), title, font, align=align, region="title", fill=fill)
    sheet.fact("form.title", (title,), "title", weight=1.2)
    sheet.values.append(Value("title", (title,)))
    form.y += height * rng.uniform(1.05, 1.4)
    if not fill and chance(rng, 0.35):
        sheet.rule(form.y, form.margin, sheet.width - form.margin, thick=int(rng.integers(1, 3)))
        form.y += rng.uniform(4, 10)


def _choose_fields(form: Form, count: int, room: float) -> list[tuple[str, Maker]]:
    """Labels of different concepts that are no wider than `room`; a cut label would name something else."""
    rng = form.rng
    case = pick(rng, (str, str, str, str, str.upper, str.title, str.lower))
    chosen: list[tuple[str, Maker]] = []
    for index in rng.permutation(len(FIELDS)).tolist():
        if len(chosen) == count:
            break
        synonyms, maker = FIELDS[index]
        label = case(pick(rng, synonyms))
        if text_width(label, form.labels) <= room:
            chosen.append((label, maker))
    return chosen


def _draw_fields(form: Form, columns: int, bottom: float) -> None:
    """Labelled fields, row by row; spare height goes into the gaps."""
    rng, sheet = form.rng, form.sheet
    style = values.choose_style(rng)
    if chance(rng, 0.15) and bottom - form.y > 6 * form.step:
        sheet.new_row()
        section = pick(rng, SECTIONS)
        sheet.landmark(section, sheet.write((form.margin, form.y), section, form.labels))
        form.y += form.label_height * 1.3
    room_y = bottom - form.y
    rows = max(1, int(room_y / (form.step * (1 + form.gap))))
    least = 3 if room_y < 300 else 5
    count = max(1, min(rows * columns, int(rng.integers(least, 10))))
    filled = -(-count // columns) * form.step * (1 + form.gap)
    form.gap = (1 + form.gap) * float(np.clip(room_y / filled, 1.0, rng.uniform(1.0, 1.5))) - 1
    if form.style == "grid":
        form.gap = min(form.gap, 0.6)
        form.y += form.step * form.gap / 2
    room = (sheet.width - 2 * form.margin - (columns - 1) * 16) / columns
    prefix = text_width("00. ", form.labels) if form.numbered else 0
    chosen = _choose_fields(form, count, (room if form.above else room * 0.48) - prefix)
    count = len(chosen)
    widest = prefix + max((text_width(f"{label}:  ", form.labels) for label, _ in chosen), default=0.0)
    empty = int(rng.integers(count)) if count > 3 and chance(rng, 0.12) else -1
    for index, (label, maker) in enumerate(chosen):
        if index % columns == 0:
            sheet.new_row()
        x = form.margin + index % columns * (room + 16)
        value = "" if index == empty else _value(form, maker, style, room - (0 if form.above else widest + 12))
        _field(form, (x, form.y, room), label, value, widest, index)
        if index % columns == columns - 1 or index == count - 1:
            form.y += form.step * (1 + form.gap)


def _value(form: Form, maker: Maker, style: Style, room: float) -> str:
    """An entry that fits, cut only if five others did not fit either."""
    value = ""
    for _ in range(5):
        value = maker(form.rng, form.sheet.split, style)
        if text_width(value, form.entries) <= room:
            break
    return value


def _field(form: Form, place: tuple[float, float, float], label: str, value: str, widest: float, index: int) -> None:
    """One label and its value at place (x, y, width)."""
    sheet, font = form.sheet, form.labels
    x, y, room = place
    bare = form.above or form.style in ("boxed", "grid", "leaders")
    shown = (f"{index + 1}. " if form.numbered else "") + label + ("*" if form.starred and index % 3 != 2 else "")
    shown = shown if bare else f"{shown}:"
    frame = 6 if form.style in _FRAMED else 0
    line = form.entry_height if form.above else max(form.label_height, form.entry_height)
    inset = 5 if frame else 0
    width = text_width(shown, font)
    start, entry_y, label_x = x, y, x
    if form.above:
        entry_y = y + form.label_height
    elif form.style in ("colon", "underlined"):
        start = x + width + text_width("  ", font)
    else:
        start = x + widest + 8
        label_x = x + widest - width if form.style == "right aligned" else x + (4 if form.style == "grid" else 0)
    drop = 0 if form.above else (line + frame - form.label_height) / 2
    sheet.write((label_x, y + drop), shown, font)
    end = x + room
    value = shorten(value, form.entries, end - start - 2 * inset)
    if form.style == "leaders":
        shift = end - text_width(value, form.entries)
        baseline = y + drop + sheet.canvas.measure("x", font)[2]
        sheet.rule(baseline - 1, label_x + width + 4, shift - 4, dash=2, mark="dashed rule")
        start = max(start, shift)
    _frame(form, (x, start, end), (y, entry_y, line + frame), index)
    if form.above:
        sheet.new_row()
    if value:
        region = f"field{index}"
        entry_y += frame / 2 + (line - form.entry_height) / 2
        sheet.write((start + inset, entry_y), value, form.entries, fill=form.entry_ink, region=region)
        _field_facts(form, label, value, region)


def _frame(form: Form, across: tuple[float, float, float], down: tuple[float, float, float], index: int) -> None:
    """What is drawn around or under an entry: across = x of the field, start and end of the entry; down = y of the
    field, y and height of the entry."""
    sheet = form.sheet
    (x, start, end), (y, entry_y, height) = across, down
    if form.style in ("boxed", "boxed above"):
        box = (round(start), round(entry_y), round(end), round(entry_y + height))
        sheet.canvas.draw.rectangle(box, outline=sheet.ink)
        sheet.canvas.mark(structure_id("input field"), box)
    elif form.style == "grid":
        low = y + form.step * (1 + form.gap)
        box = (round(x), round(y - form.step * form.gap / 2), round(end), round(low - form.step * form.gap / 2))
        sheet.canvas.draw.rectangle(box, outline=sheet.ink)
        sheet.canvas.draw.line((round(start), box[1], round(start), box[3]), fill=sheet.ink)
        sheet.canvas.mark(structure_id("input field"), (start, box[1], box[2], box[3]))
    elif form.style in ("underlined", "line above"):
        sheet.rule(entry_y + height, start - 2, end, dash=2 if form.numbered else 0, mark="underline")


def _field_facts(form: Form, label: str, value: str, region: str) -> None:
    """The value of the field, the field of the value."""
    rng, sheet = form.rng, form.sheet
    asked = label if chance(rng, 0.6) or label.isupper() else label.lower()
    asked = asked if chance(rng, 0.5) else asked.rstrip(".")
    sheet.fact("form.value", (value,), region, field=asked, weight=1.5, phrases=_VALUE_PHRASES)
    sheet.values.append(Value("field", (value,), about=label))
    sheet.fact("form.field_of", (label,), value=value, weight=0.2, unique=value)
    sheet.text_fact(value, region, 0.1)
