"""Draw the pictures of examples/ and write examples/records.jsonl: questions about them with their answers.

    receipt, form, chart, scene: fixed content --Canvas--> picture + Facts --> NAME.png, records.jsonl
    notice: two pages, black and white as a scanner writes them --> notice.pdf

Fonts and drawings are of the test split, so Nano has not been trained on them. The content is fixed here instead of
drawn from a generator, so that the pictures stay what README shows when generators change.

    python scripts/draw_examples.py [OUT]
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFont

from vl2.files import write_whole
from vl2.synth.canvas import Canvas, Rect
from vl2.synth.damage import Damage
from vl2.synth.icons import concepts, drawings_of
from vl2.synth.ingredients import PACK, load_font

INK = (38, 38, 46)
WORN = Damage(angle=0.4, noise=3.0, blur=0.3, jpeg=88)


class Picture:
    """A canvas, and what can be asked about it."""

    def __init__(self, name: str, width: int, height: int, paper: tuple[int, int, int]) -> None:
        self.name, self.canvas = name, Canvas(width, height, paper)
        self._asked: list[tuple[str, str, str]] = []
        self._phrases: dict[str, list[str]] = {}  # phrase -> names of its regions on the canvas

    def ask(self, question: str, answer: str, metric: str = "anls") -> None:
        self._asked.append((question, answer, metric))

    def locate(self, phrase: str, *boxes: Rect) -> None:
        """Boxes of a phrase; none for something that is not there."""
        self._phrases[phrase] = [f"{phrase}/{number}" for number in range(len(boxes))]
        for name, box in zip(self._phrases[phrase], boxes, strict=True):
            self.canvas.region(name, box)

    def finish(self, damage: Damage) -> tuple[Image.Image, list[dict[str, Any]]]:
        """The picture and its records."""
        done = self.canvas.finish(np.random.default_rng(1), damage)
        answers: list[tuple[str, list[Any], str]] = [(q, [answer], metric) for q, answer, metric in self._asked]
        for phrase, names in self._phrases.items():
            boxes = [[round(float(v), 1) for v in done.regions[name]] for name in names]
            answers.append((phrase, [{"label": phrase, "box": box} for box in boxes], "iou"))
        records = [
            {
                "id": f"{self.name}/{number}",
                "images": [f"{self.name}.png"],
                "question": question,
                "answers": answer,
                "metric": metric,
            }
            for number, (question, answer, metric) in enumerate(answers)
        ]
        return done.image, records


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return load_font(str(PACK / "fonts" / f"{name}-normal.ttf"), size)


def right(canvas: Canvas, x: float, y: float, text: str, face: ImageFont.FreeTypeFont) -> Rect:
    return canvas.text((x - canvas.measure(text, face)[0], y), text, face, INK)


def centre(canvas: Canvas, y: float, text: str, face: ImageFont.FreeTypeFont) -> Rect:
    return canvas.text(((canvas.width - canvas.measure(text, face)[0]) / 2, y), text, face, INK)


def receipt() -> Picture:
    picture = Picture("receipt", 320, 291, (250, 249, 244))
    canvas, left, end = picture.canvas, 22, 298
    name, plain, bold = font("lexend-700", 22), font("b612-mono-400", 15), font("b612-mono-700", 17)
    rule = "-" * int((end - left) / canvas.measure("-", plain)[0])
    shop = centre(canvas, 14, "Harbour Cafe", name)
    centre(canvas, 46, "12 Mill Street, Bristol", plain)
    canvas.text((left, 68), "14/03/2026", plain, INK)
    right(canvas, end, 68, "12:45", plain)
    canvas.text((left, 90), rule, plain, INK)
    items = (
        ("2 x Coffee", "6.40"), ("1 x Tomato soup", "5.90"), ("1 x Cheese toast", "4.75"), ("3 x Lemonade", "8.70"),
    )  # fmt: skip
    for row, (item, price) in enumerate(items):
        canvas.text((left, 110 + 22 * row), item, plain, INK)
        right(canvas, end, 110 + 22 * row, price, plain)
    canvas.text((left, 194), rule, plain, INK)
    for row, (label, amount) in enumerate((("Subtotal", "25.75"), ("VAT 20%", "5.15"))):
        canvas.text((left, 214 + 22 * row), label, plain, INK)
        right(canvas, end, 214 + 22 * row, amount, plain)
    canvas.text((left, 260), "Total", bold, INK)
    total = right(canvas, end, 260, "£30.90", bold)
    picture.ask("What is the total?", "£30.90")
    picture.ask("What is the name of the shop?", "Harbour Cafe")
    picture.ask("How much was the tomato soup?", "5.90")
    picture.ask("When was this bought?", "14/03/2026")
    picture.locate("the total", total)
    picture.locate("the name of the shop", shop)
    return picture


def form() -> Picture:
    picture = Picture("form", 384, 300, (243, 246, 250))
    canvas, left, start, end = picture.canvas, 20, 120, 364
    heading, label, hand = font("gelasio-400", 24), font("assistant-400", 17), font("delius-400", 18)
    title = centre(canvas, 12, "Membership Form", heading)
    boxes: dict[str, Rect] = {}
    fields = (("Name", "Anna Keller"), ("Street", "8 Garden Row"), ("City", "Norwich"), ("Phone", "01603 555 018"))
    for row, (name, value) in enumerate(fields):
        y = 58 + 42 * row
        canvas.text((left, y + 6), f"{name}:", label, INK)
        canvas.draw.rectangle((start, y, end, y + 32), outline=(120, 130, 150), fill="white")
        boxes[name] = canvas.text((start + 10, y + 4), value, hand, (30, 40, 140))
    canvas.text((left, 246), "Ticket:", label, INK)
    ticked = ""
    for x, name in ((start, "Adult"), (start + 80, "Student"), (start + 176, "Senior")):
        y = 248
        canvas.draw.rectangle((x, y, x + 15, y + 15), outline=INK, fill="white")
        if name == "Student":
            canvas.draw.line((x + 3, y + 3, x + 12, y + 12), fill=INK, width=2)
            canvas.draw.line((x + 3, y + 12, x + 12, y + 3), fill=INK, width=2)
            ticked = name
        canvas.text((x + 21, 245), name, label, INK)
    picture.ask("What is written in the field City?", "Norwich")
    picture.ask("What is the phone number?", "01603 555 018")
    picture.ask("Which ticket is ticked?", ticked)
    picture.locate("the title", title)
    picture.locate("the value of Name", boxes["Name"])
    return picture


def chart() -> Picture:
    picture = Picture("chart", 384, 300, (255, 255, 255))
    canvas, base, top_value, height = picture.canvas, 250, 50, 180
    small, heading = font("red-hat-text-400", 15), font("red-hat-text-700", 20)
    centre(canvas, 10, "Books sold per day", heading)
    for value in range(0, top_value + 1, 10):
        y = base - value * height / top_value
        canvas.draw.line((48, y, 366, y), fill=(222, 222, 228))
        right(canvas, 42, y - 10, str(value), small)
    days = (("Mon", 18), ("Tue", 25), ("Wed", 12), ("Thu", 41), ("Fri", 33))
    for column, (day, value) in enumerate(days):
        x = 62 + 62 * column
        canvas.draw.rectangle((x, base - value * height / top_value, x + 38, base), fill=(52, 116, 186))
        for text, y in ((day, base + 6), (str(value), base - value * height / top_value - 21)):
            canvas.text((x + 19 - canvas.measure(text, small)[0] / 2, y), text, small, INK)
    canvas.draw.line((48, base, 366, base), fill=INK, width=2)
    picture.ask("How many books were sold on Thu?", "41", "relaxed_accuracy")
    picture.ask("Which day has the highest bar?", "Thu", "exact")
    picture.ask("What is the title of the chart?", "Books sold per day")
    return picture


def scene() -> Picture:
    picture = Picture("scene", 384, 300, (214, 234, 246))
    canvas = picture.canvas
    canvas.draw.rectangle((0, 190, 384, 300), fill=(176, 205, 140))
    of_name = {concept.name: concept.index for concept in concepts()}
    placed = (
        ("sun", 24, 16, 64), ("house", 150, 84, 116), ("pine tree", 24, 120, 92), ("pine tree", 290, 96, 88),
        ("dog", 116, 212, 70), ("bicycle", 222, 208, 84), ("balloon", 306, 14, 56),
    )  # fmt: skip
    boxes: dict[str, list[Rect]] = {}
    for name, x, y, side in placed:
        drawing = drawings_of("test", "emoji")[of_name[name]][0].paint()
        scale = side / max(drawing.size)
        drawing = drawing.resize((round(drawing.width * scale), round(drawing.height * scale)))
        canvas.image.paste(drawing, (x, y), drawing)
        boxes.setdefault(name, []).append((x, y, x + drawing.width, y + drawing.height))
    picture.ask("How many pine trees are there?", str(len(boxes["pine tree"])), "exact")
    picture.ask("Is there a dog in the picture?", "Yes", "exact")
    for phrase, name in (("the dog", "dog"), ("the bicycle", "bicycle"), ("the pine trees", "pine tree")):
        picture.locate(phrase, *boxes[name])
    picture.locate("the cat")
    return picture


def notice(path: Path) -> None:
    """A scan of 300 dots an inch: a few kB, and the dates in it are fixed so that the file never changes."""
    heading, plain = font("gelasio-400", 72), font("assistant-400", 50)
    pages = []
    for title, lines in (
        ("Notice to Members", ("The annual meeting takes place on", "Friday, 12 June, in the village hall.")),
        ("Agenda", ("1. Report of the chairman", "2. Accounts of the year 2025", "3. Election of a treasurer")),
    ):
        canvas = Canvas(1000, 500, (255, 255, 255))
        canvas.text((70, 60), title, heading, INK)
        for row, line in enumerate(lines):
            canvas.text((70, 200 + 80 * row), line, plain, INK)
        image = canvas.finish(np.random.default_rng(1), Damage()).image
        pages.append(image.convert("1", dither=Image.Dither.NONE))
    when = time.gmtime(0)
    pages[0].save(
        path, save_all=True, append_images=pages[1:], resolution=300, title="notice", creationDate=when, modDate=when
    )


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "examples"
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for picture, damage in ((receipt(), WORN), (form(), Damage()), (chart(), Damage()), (scene(), Damage())):
        image, records = picture.finish(damage)
        image.save(out / f"{picture.name}.png", optimize=True)
        lines += [json.dumps(record, ensure_ascii=False) for record in records]
    with write_whole(out / "records.jsonl") as staging:
        staging.write_text("\n".join(lines) + "\n", encoding="utf-8")
    notice(out / "notice.pdf")
    print(f"4 pictures, a document, {len(lines)} questions -> {out}")


if __name__ == "__main__":
    main()
