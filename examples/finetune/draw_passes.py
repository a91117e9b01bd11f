"""Draws boarding passes, a kind of document that Nano has never seen, with what one wants to know about them.

    python examples/finetune/draw_passes.py OUT [TRAIN] [TEST]

    OUT/train.jsonl, OUT/train/*.png    conversations as chat messages: what one would collect for a task of one's own
    OUT/test.jsonl, OUT/test/*.png      records with a metric, for `vl2 eval`; fonts and names are not those of training
    OUT/examples.png                    a picture to look at

The same counts give the same files.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vl2.synth.blocks import font_of_height
from vl2.synth.canvas import Canvas, text_width
from vl2.synth.ingredients import cities, fonts, people
from vl2.synth.paper import shorten
from vl2.synth.values import MONTHS, chance, digits, pick

SUMMARY = "Summarise this boarding pass."
ARRIVAL = "Where does this flight land?"
SIZE = (384, 300)
COLOURS = ((20, 60, 130), (150, 25, 35), (15, 95, 70), (60, 60, 65), (170, 90, 10), (85, 40, 120))
LABELS = {
    "name": ("PASSENGER", "NAME", "Passenger name"),
    "flight": ("FLIGHT", "Flight", "FLIGHT NO."),
    "date": ("DATE", "Date"),
    "boarding": ("BOARDING", "Boarding time", "BRD TIME"),
    "gate": ("GATE", "Gate"),
    "seat": ("SEAT", "Seat"),
    "departs": ("DEPARTS", "Departure", "DEP"),
    "group": ("GROUP", "Zone"),
}


@dataclass(frozen=True)
class Pass:
    """What one boarding pass says."""

    start: str
    end: str
    start_town: str
    end_town: str
    fields: dict[str, str]

    @property
    def summary(self) -> str:
        """Flight, airports, when to board, gate, seat: in this order, whatever the order on paper."""
        fields = self.fields
        route = f"{self.start}-{self.end}"
        return f"{fields['flight']} {route} {fields['boarding']} gate {fields['gate']} seat {fields['seat']}"


def invent(rng: np.random.Generator, split: str) -> Pass:
    """The content of a pass."""
    minute = int(rng.integers(5 * 60, 23 * 60))
    departs = minute + int(rng.integers(25, 50))
    day, month = int(rng.integers(1, 29)), pick(rng, MONTHS)[:3].upper()
    towns = [town for town in cities(split) if town.isascii() and len(town) <= 11]
    fields = {
        "name": pick(rng, people(split)),
        "flight": digits(rng, pick(rng, ("@@ ####", "@@ ###", "@@###", "@@####"))),
        "date": f"{day:02} {month}",
        "boarding": f"{minute // 60:02}:{minute % 60:02}",
        "gate": digits(rng, pick(rng, ("@##", "@#", "##"))),
        "seat": f"{int(rng.integers(1, 43))}{pick(rng, 'ABCDEF')}",
        "departs": f"{departs // 60:02}:{departs % 60:02}",
        "group": str(int(rng.integers(1, 7))),
    }
    return Pass(digits(rng, "@@@"), digits(rng, "@@@"), pick(rng, towns), pick(rng, towns), fields)


def draw(rng: np.random.Generator, split: str, content: Pass) -> Image.Image:
    """A pass: a coloured band, the airports in large letters, the fields in two or three columns in random order."""
    width, height = SIZE
    red, green, blue = rng.integers(238, 256, 3).tolist()
    canvas = Canvas(width, height, (red, green, blue))
    bold, plain = (pick(rng, fonts(split, kind)) for kind in ("sans", pick(rng, ("sans", "mono", "sans", "serif"))))
    colour, margin = pick(rng, COLOURS), int(rng.integers(12, 24))
    band = int(rng.integers(30, 42))
    canvas.draw.rectangle((0, 0, width, band), fill=colour)
    title = font_of_height(bold, band * 0.36)
    canvas.text((margin, band * 0.22), pick(rng, ("BOARDING PASS", "Boarding pass", "BOARDING CARD")), title, "white")
    y = band + int(rng.integers(8, 18))
    y = _airports(canvas, rng, content, (bold, plain), margin, y, colour)
    _fields(canvas, rng, content, (bold, plain), margin, y, colour)
    return canvas.finish(rng, 0.4).image


def _airports(
    canvas: Canvas,
    rng: np.random.Generator,
    content: Pass,
    faces: tuple[str, str],
    margin: int,
    y: float,
    colour: tuple,
) -> float:
    """Codes and towns; returns where the next row begins."""
    large, small = font_of_height(faces[0], rng.uniform(26, 34)), font_of_height(faces[1], rng.uniform(9, 12))
    codes = (content.start, content.end), (content.start_town, content.end_town)
    for column, (code, town) in enumerate(zip(*codes, strict=True)):
        x = margin if column == 0 else SIZE[0] - margin - max(text_width(code, large), text_width(town, small))
        canvas.text((x, y), code, large)
        canvas.text((x, y + large.size * 1.15), town, small, (70, 70, 70))
    middle = y + large.size * 0.62
    canvas.draw.line((SIZE[0] * 0.42, middle, SIZE[0] * 0.58, middle), fill=colour, width=3)
    return y + large.size * 1.15 + small.size * 1.9


def _fields(
    canvas: Canvas,
    rng: np.random.Generator,
    content: Pass,
    faces: tuple[str, str],
    margin: int,
    y: float,
    colour: tuple,
) -> None:
    """The name on a row of its own or among the others, then columns of label above value."""
    label, value = font_of_height(faces[1], rng.uniform(8, 10)), font_of_height(faces[0], rng.uniform(13, 17))
    names = [name for name in content.fields if name not in ("group", "departs") or chance(rng, 0.6)]
    order = ["name", *rng.permutation([name for name in names if name != "name"]).tolist()]
    columns, row = 3, label.size + value.size * 1.75
    width = (SIZE[0] - 2 * margin) / columns
    place = 0
    for name in order:
        wide = 2 if name == "name" else 1
        x, top = margin + width * (place % columns), y + row * (place // columns)
        canvas.text((x, top), pick(rng, LABELS[name]), label, colour)
        text = shorten(content.fields[name], value, width * wide - 6) if name == "name" else content.fields[name]
        canvas.text((x, top + label.size * 1.2), text, value)
        place += wide


def messages(image: str, turns: list[tuple[str, str]]) -> dict:
    """A conversation as chat services take it."""
    out: list[dict] = []
    for number, (question, answer) in enumerate(turns):
        asked: list[dict] = [{"type": "text", "text": question}]
        if number == 0:
            asked.insert(0, {"type": "image_url", "image_url": {"url": image}})
        out += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": out}


def write(out: Path, split: str, count: int) -> list[Image.Image]:
    """Pictures and lines of one split; returns the first pictures."""
    (out / split).mkdir(parents=True, exist_ok=True)
    shown: list[Image.Image] = []
    with (out / f"{split}.jsonl").open("w", encoding="utf-8") as lines:
        for number in range(count):
            rng = np.random.default_rng([split == "test", number])
            content = invent(rng, split)
            picture, name = draw(rng, split, content), f"{split}/{number:04}.png"
            picture.save(out / name)
            turns = [(SUMMARY, content.summary), (ARRIVAL, content.end_town)]
            if split == "train":
                rows = [messages(name, turns if chance(rng, 0.5) else turns[::-1])]
            else:
                keys = ("summary", "landing")
                rows = [
                    {"id": f"{key}/{number:04}-{metric}", "images": [name], "question": question, "answers": [answer],
                     "metric": metric}
                    for key, (question, answer) in zip(keys, turns, strict=True)
                    for metric in ("anls", "exact")
                ]  # fmt: skip
            lines.writelines(json.dumps(row) + "\n" for row in rows)
            shown += [picture] if number < 4 else []
    return shown


def main(out: Path, train: int = 400, test: int = 100) -> None:
    shown = write(out, "train", train) + write(out, "test", test)
    sheet = Image.new("RGB", (4 * (SIZE[0] + 8), 2 * (SIZE[1] + 8)), (205, 210, 215))
    for number, picture in enumerate(shown):
        sheet.paste(picture, (number % 4 * (SIZE[0] + 8) + 4, number // 4 * (SIZE[1] + 8) + 4))
    sheet.save(out / "examples.png")
    print(f"{train} passes -> {out}/train.jsonl, {test} with other fonts and names -> {out}/test.jsonl")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(count) for count in sys.argv[2:]))
