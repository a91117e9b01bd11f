"""Tasks "card" and "card-zh": cards like those people carry: of members, staff, students, drivers, firms.

    language --kind of card, person, numbers, dates--> portrait, emblem, fields on a patterned ground --> Sample

The trap: nothing here copies a real document: titles, emblems and numbers are invented.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

from vl2.synth.canvas import Canvas, Colour
from vl2.synth.folio import Folio, accent, pale
from vl2.synth.icons import drawings
from vl2.synth.langs import LABELS, Font, Language, language
from vl2.synth.sample import Question, Sample, Value, structure_id
from vl2.synth.values import chance, pick

_TITLES = (
    "MEMBER CARD", "STUDENT CARD", "Staff ID", "EMPLOYEE IDENTIFICATION", "DRIVER LICENCE", "Visitor Pass",
    "LIBRARY CARD",
    "IDENTITY CARD", "Press Pass", "RESIDENT PERMIT", "Health Card", "Club Membership", "CONFERENCE PASS",
    "Parking Permit",
)  # fmt: skip
_TITLES_ZH = (
    "会员卡",
    "学生证",
    "工作证",
    "借书证",
    "居住证",
    "记者证",
    "来访证",
    "驾驶证",
    "健康证",
    "参会证",
    "出入证",
    "员工卡",
)
_FIELDS = (
    "birth",
    "gender",
    "nationality",
    "card_no",
    "issued",
    "expires",
    "authority",
    "position",
    "department",
    "phone",
    "address",
)
_PORTRAIT = ("the photo", "the portrait", "the person's photo", "the picture of the holder")
_PORTRAIT_ZH = ("照片", "持证人照片", "头像", "the photo")
_KIND = (
    "What kind of card is this?",
    "What is the title of the card?",
    "which card is this",
    "What does the heading say?",
)
_KIND_ZH = ("这是什么证件？", "卡片的标题是什么？", "这是什么卡？", "证件名称是什么？")


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "en"), "card")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _draw(language(rng, split, "zh"), "card-zh")


def _value(lang: Language, key: str) -> str:
    """What a card says for a label."""
    rng = lang.rng
    makers = {
        "birth": lang.date, "issued": lang.date, "expires": lang.date, "card_no": lang.code_number, "phone": lang.phone,
        "authority": lang.company, "address": lang.street, "nationality": lang.city, "name": lang.person,
    }  # fmt: skip
    if key in makers:
        return makers[key]()
    if key == "gender":
        return lang.choose(("M", "F", "Male", "Female"), ("男", "女"))
    return lang.fit_word(12) if chance(rng, 0.7) else lang.thing()


def _draw(lang: Language, task: str) -> Sample:
    rng = lang.rng
    business = chance(rng, 0.25)
    width = int(rng.integers(360, 560))
    height = round(width * rng.uniform(0.58, 0.68))
    colour = accent(rng)
    canvas = _ground(rng, width, height, colour)
    folio = Folio(lang, canvas, pick(rng, ((24, 24, 28), (40, 40, 60), (16, 20, 50))))
    path = lang.font_file(pick(rng, ("sans", "sans", "serif")))
    line = float(rng.uniform(0.042, 0.052) * height + 1.5)
    line = max(11.5, line)
    font, bold = lang.font(path, line), lang.font(lang.font_file("sans") if chance(rng, 0.5) else path, line)
    top = _head(folio, colour, path, line, business)
    portrait = _portrait(folio, top) if not business and chance(rng, 0.8) else None
    margin = 0.05 * width
    x, right = margin, width - margin
    if portrait is not None:
        x, right = (portrait[2] + 14, right) if portrait[0] < width / 2 else (margin, portrait[0] - 12)
    _fields(folio, (x, top, right, height - 6), font, bold, business)
    used = {entry.label for entry in folio.entries}
    missing = [key for key in _FIELDS if not used & {*LABELS[key][lang.zh]}]
    folio.absent = [lang.say(key) for key in missing][:5]
    folio.missing = tuple(missing)
    return folio.sample(task)


def _ground(rng: np.random.Generator, width: int, height: int, colour: Colour) -> Canvas:
    """A pale card with fine waves or a slope of colours, as against copying."""
    first, second = np.array(pale(colour, rng.uniform(0.8, 0.95))), np.array(pale(accent(rng), rng.uniform(0.82, 0.97)))
    small = np.stack([np.stack([first, second]), np.stack([first * 0.5 + second * 0.5, first])]).astype(np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)
    if chance(rng, 0.6):
        draw = ImageDraw.Draw(image)
        shade = tuple((0.93 * first).astype(int).tolist())
        steps = np.linspace(0, 2 * math.pi * rng.uniform(1, 3), 40)
        xs = np.linspace(0, width, 40)
        for start in np.arange(-20, height + 20, rng.uniform(7, 16)):
            ys = start + 9 * np.sin(steps + start / 30)
            draw.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=shade)
    return Canvas(width, height, image)


def _emblem(folio: Folio, place: tuple[int, int], side: int) -> None:
    """A drawing of the pack in one colour, as a mark of whoever issued the card."""
    marks = [drawing for drawing in drawings(folio.lang.split) if drawing.paintable]
    picture = pick(folio.rng, marks).paint(folio.ink).resize((side, side), Image.Resampling.BILINEAR)
    folio.canvas.image.paste(picture, place, picture)
    folio.canvas.mark(structure_id("logo"), (*place, place[0] + side, place[1] + side))


def _head(folio: Folio, colour: Colour, path: str, line: float, business: bool) -> float:
    """The title on a band or above a line; returns where the fields may begin."""
    lang, rng, canvas = folio.lang, folio.rng, folio.canvas
    title = lang.company() if business else lang.choose(_TITLES, _TITLES_ZH)
    font = lang.font(path, line * rng.uniform(1.3, 1.7))
    title = lang.fit(title, font, canvas.width * 0.78)
    tall = folio.height_of(font)
    band = chance(rng, 0.65)
    if band:
        canvas.draw.rectangle((0, 0, canvas.width, round(tall + 12)), fill=colour)
    fill = (255, 255, 255) if band else colour
    side = int(tall + 2)
    if chance(rng, 0.6):
        folio.ink, kept = fill, folio.ink
        _emblem(folio, (10, 5), side)
        folio.ink = kept
    centred = chance(rng, 0.4)
    x, align = (canvas.width / 2, 0.5) if centred else (18 + side, 0.0)
    box = folio.text((x, 6), title, font, fill=fill, align=align, region="title")
    folio.block(f"# {title}", title)
    if business:
        folio.entry(lang.choose(("Company",), ("公司",)), title, box, "company")
    else:
        folio.extra.append(Question("ask", lang.choose(_KIND, _KIND_ZH), (title,)))
        folio.values.append(Value("title", (title,)))
    return tall + 20


def _portrait(folio: Folio, top: float) -> tuple[int, int, int, int]:
    """A drawn head and shoulders in a frame."""
    rng, canvas = folio.rng, folio.canvas
    wide = int(canvas.width * rng.uniform(0.2, 0.26))
    high = int(min(wide * 1.28, canvas.height - top - 8))
    left = int(0.045 * canvas.width) if chance(rng, 0.6) else int(canvas.width * 0.955 - wide)
    box = (left, int(top), left + wide, int(top) + high)
    picture = Image.new("RGB", (wide, high), tuple(int(v) for v in rng.integers(170, 240, 3)))
    _draw_person(rng, ImageDraw.Draw(picture), wide, high)
    canvas.image.paste(picture, box[:2])
    canvas.draw.rectangle(box, outline=(90, 90, 90))
    canvas.mark(structure_id("frame"), box)
    folio.canvas.region("portrait", box)
    folio.portrait = folio.lang.choose(_PORTRAIT, _PORTRAIT_ZH)
    return box


def _draw_person(rng: np.random.Generator, draw: ImageDraw.ImageDraw, wide: int, high: int) -> None:
    """Shoulders, neck, hair, face."""
    skin = pick(rng, ((236, 196, 164), (198, 146, 110), (142, 96, 66), (246, 214, 188), (96, 64, 46)))
    hair = pick(rng, ((40, 28, 20), (20, 18, 18), (120, 80, 40), (190, 160, 90), (130, 130, 134)))
    middle, size, y = wide / 2, wide * 0.25, high * 0.4
    draw.pieslice((middle - wide * 0.42, y + size * 1.05, middle + wide * 0.42, high * 1.5), 180, 360, fill=accent(rng))
    draw.rectangle((middle - size * 0.4, y, middle + size * 0.4, y + size * 1.4), fill=skin)
    draw.ellipse(
        (middle - size * 1.12, y - size * 1.45, middle + size * 1.12, y + size * rng.uniform(0.3, 1.4)), fill=hair
    )
    draw.ellipse((middle - size * 0.9, y - size * 1.1, middle + size * 0.9, y + size * 1.15), fill=skin)
    for side in (-0.36, 0.36):
        x = middle + side * size
        draw.ellipse((x - 2, y - 2, x + 2, y + 1), fill=(30, 24, 22))
    draw.arc((middle - size * 0.4, y + size * 0.2, middle + size * 0.4, y + size * 0.75), 20, 160, fill=(140, 60, 60))


def _fields(folio: Folio, frame: tuple[float, float, float, float], font: Font, bold: Font, business: bool) -> None:
    """Labelled values, on one line each or label above value."""
    lang, rng = folio.lang, folio.rng
    x, y, right, bottom = frame
    step = folio.height_of(font)
    keys = ["name", *(_FIELDS[i] for i in rng.permutation(len(_FIELDS)).tolist())]
    if business:
        keys = ["name", "position", "phone", "address"]
    above = not business and chance(rng, 0.35)
    written = []
    spare = (bottom - y) / ((2 if above else 1) * step * len(keys))
    pitch = step * float(np.clip(spare, 1.0, 1.35))
    small = (
        lang.font(str(font.path), max(10.5, font.size * (0.6 if lang.zh else 0.8))) if above and not lang.zh else font
    )
    for key in keys:
        if y + pitch * (2 if above else 1) > bottom:
            break
        label, value = lang.say(key), _value(lang, key)
        if above:
            folio.text((x, y), label, small, fill=(110, 110, 120))
            value = lang.fit(value, bold, right - x)
            folio.entry(label, value, folio.text((x, y + pitch * 0.9), value, bold), key)
            written += [label, value]
            y += pitch * 2
        else:
            written.append(folio.field((x, y), label, value, font, bold, right - x, key))
            y += pitch
    folio.block("\n".join(f"- {row}" for row in written) if not above else "\n\n".join(written), *written)
