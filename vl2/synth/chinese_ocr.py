"""Tasks "line-zh", "paragraph-zh" and "page-zh": Chinese, and Chinese with English, to be read.

    line-zh: one line     paragraph-zh: one block of lines in one font     page-zh: up to three blocks, dense

The trap: strokes of a Chinese character melt below about 15 pixels, so that sizes are larger than those of Latin text.
"""

import math

import numpy as np

from vl2.processing.boxes import Box, Region
from vl2.synth import chinese
from vl2.synth.backgrounds import Background, background, ink
from vl2.synth.canvas import Canvas, Rect, text_width
from vl2.synth.ocr import choose_size
from vl2.synth.pages import choose_size as choose_page_size
from vl2.synth.sample import Question, Sample
from vl2.synth.values import chance, pick

SMALLEST = 15.0  # pixels of the font, on pictures that tiling does not shrink
MOST_CHARACTERS = 220
READ = (
    "读出图片中的文字。", "图中写了什么？", "请识别图片里的文字。", "把图片中的文字写出来。", "图片里有哪些文字？",
    "请读出全部文字。", "识别图中文字", "提取图片中的文字。", "这张图片上写着什么？", "请把图上的字打出来。",
    "抄写图中的文字。",
    "Read all the text in the image.", "What does the text say?", "Read the Chinese text.", "OCR this image.",
    "Transcribe the image.", "Extract the text.", "What is written here?",
)  # fmt: skip
_LINE = (
    "第{n}行写的是什么？", "请读出第{n}行。", "第{n}行的文字是什么？", "把第{n}行写出来。", "读一下第{n}行",
    "第{n}行是什么内容？",
    "What does line {n} say?", "Read line {n}.", "What is written in line {n}?",
)  # fmt: skip
_LAST = (
    "最后一行写的是什么？",
    "请读出最后一行。",
    "最后一行的文字是什么？",
    "What does the last line say?",
    "Read the bottom line.",
)
_FIRST_CHARACTER = (
    "第一个字是什么？",
    "开头的字是什么？",
    "第一个字？",
    "What is the first character?",
    "文字以哪个字开头？",
)
_LAST_CHARACTER = ("最后一个字是什么？", "末尾的字是什么？", "最后的字符是什么？", "What is the last character?")
_COUNT = ("图中有几行文字？", "一共有多少行？", "数一数有几行文字。", "How many lines of text are there?")


def _questions(rng: np.random.Generator, lines: list[str], *, numbered: bool) -> list[Question]:
    """Reading, and a few about lines and characters."""
    asked = [Question("read", pick(rng, READ), ("\n".join(lines),), "cer")]
    if len(lines) == 1:
        if chance(rng, 0.5):
            asked.append(Question("ask", pick(rng, READ), (lines[0],)))
    elif numbered:
        for index in rng.permutation(len(lines))[: int(rng.integers(1, 4))].tolist():
            asked.append(Question("ask", chinese.ask(rng, _LINE, n=index + 1), (lines[index],)))
        asked.append(Question("ask", pick(rng, _LAST), (lines[-1],)))
        if chance(rng, 0.4):
            asked.append(Question("ask", pick(rng, _COUNT), (str(len(lines)),), "exact"))
    whole = "".join(lines)
    first = chance(rng, 0.5)
    end = whole[0 if first else -1]
    if "\u4e00" <= end <= "\u9fff":  # nobody calls a full stop a character
        asked.append(Question("ask", pick(rng, _FIRST_CHARACTER if first else _LAST_CHARACTER), (end,), "exact"))
    return asked


def _found(rng: np.random.Generator, line: str, box: Rect) -> Question:
    """A line to locate."""
    phrase = pick(rng, ("“{}”", "文字“{}”", "the text “{}”", "{}")).format(line)
    return Question("ground", phrase, (), "iou", (Region(phrase, Box(*box)),))


def generate_line(rng: np.random.Generator, split: str) -> Sample:
    """One line of Chinese."""
    size = float(np.exp(rng.uniform(np.log(17), np.log(64))))
    face = chinese.font(chinese.choose_font(rng, split), max(SMALLEST, size))
    widest = rng.uniform(60, 384) if chance(rng, 0.75) else rng.uniform(384, 900)
    text = chinese.fit(chinese.any_line(rng, split), face, max(widest, 2.2 * face.size))
    margin_x, margin_y = rng.uniform(2, 4 + 0.8 * size, 2)
    canvas_size = (int(text_width(text, face) + 2 * margin_x) + 2, int(1.35 * face.size + margin_y))
    if chance(rng, 0.15):
        canvas_size = (max(canvas_size[0], int(rng.uniform(150, 400))), max(canvas_size[1], int(rng.uniform(60, 300))))
    ground = background(rng, *canvas_size, calm=min(1.0, size / 30))
    canvas = Canvas(*canvas_size, ground.image)
    width, height, _ = canvas.measure(text, face)
    spare_x, spare_y = max(0.0, canvas_size[0] - width - 4), max(0.0, canvas_size[1] - height - 2)
    canvas.text((round(2 + rng.random() * spare_x), round(1 + rng.random() * spare_y)), text, face, ink(rng, ground))
    finished = canvas.finish(rng)
    return Sample("line-zh", finished.image, tuple(_questions(rng, [text], numbered=False)), *finished.marks)


def generate_paragraph(rng: np.random.Generator, split: str) -> Sample:
    """One block of lines."""
    width, height = choose_size(rng)
    least = SMALLEST * max(1.0, max(width, height) / 768)
    return _page(rng, split, "paragraph-zh", (width, height), least * float(np.exp(rng.uniform(0, 0.9))), 1)


def generate_page(rng: np.random.Generator, split: str) -> Sample:
    """A tile filled with up to three blocks."""
    width, height = choose_page_size(rng)
    wanted = rng.uniform(70, MOST_CHARACTERS)
    size = float(np.clip(math.sqrt(0.6 * width * height / wanted), SMALLEST, 34))
    return _page(rng, split, "page-zh", (width, height), size, int(rng.integers(1, 4)))


def _page(
    rng: np.random.Generator, split: str, task: str, dimensions: tuple[int, int], size: float, blocks: int
) -> Sample:
    """Blocks of lines below one another."""
    width, height = dimensions
    ground = background(rng, width, height, calm=min(1.0, size / 30))
    canvas = Canvas(width, height, ground.image)
    lines: list[tuple[str, Rect]] = []
    y = rng.uniform(3, 16)
    for block in range(blocks):
        bottom = height - 3 if block == blocks - 1 else y + (height - y) / (blocks - block)
        room = MOST_CHARACTERS - sum(len(text) for text, _ in lines)
        if room < 8:
            break
        scale = rng.uniform(0.85, 1.4) if blocks > 1 else 1.0
        y = _block(rng, split, canvas, ground, (y, bottom), max(SMALLEST, size * scale), lines, room)
        y += size * rng.uniform(0.1, 0.7)
    if not lines:
        face = chinese.font(chinese.choose_font(rng, split), SMALLEST)
        text = chinese.fit(chinese.word(rng, split), face, width - 8)
        lines.append((text, canvas.text((4, 3), text, face, ink(rng, ground))))
        y = 24.0
    if chance(rng, 0.7):
        canvas.crop(max(24, int(y + rng.uniform(1, 14))))
    for number, (_, box) in enumerate(lines):
        canvas.region(f"line {number}", box)
    finished = canvas.finish(rng)
    texts = [text for text, _ in lines]
    asked = _questions(rng, texts, numbered=True)
    unique = [n for n, text in enumerate(texts) if len(text) > 1 and "\n".join(texts).count(text) == 1]
    for number in rng.permutation(unique)[:2].tolist():
        asked.append(_found(rng, texts[number], finished.regions[f"line {number}"]))
    return Sample(task, finished.image, tuple(asked), *finished.marks)


def _block(
    rng: np.random.Generator,
    split: str,
    canvas: Canvas,
    ground: Background,
    span: tuple[float, float],
    size: float,
    lines: list[tuple[str, Rect]],
    room: int,
) -> float:
    """Lines from the top to the bottom of the span; returns where the last one ends."""
    y, bottom = span
    face = chinese.font(chinese.choose_font(rng, split), size)
    margin = rng.uniform(4, 0.06 * canvas.width)
    wide = canvas.width - 2 * margin
    step = canvas.measure("国", face)[1]
    pitch = step * rng.uniform(1.0, 1.4)
    count = int((bottom - y - step) / pitch) + 1
    if count < 1:
        return y
    per_line = max(2, int(wide / face.size))
    if chance(rng, 0.6):
        texts = chinese.wrap(chinese.prose(rng, split, int(per_line * count * rng.uniform(0.4, 1))), face, wide)
    else:
        mark = pick(rng, ("", "", "{}. ", "（{}）", "- ", "{}、"))
        texts = [mark.format(n + 1) + chinese.any_line(rng, split) for n in range(int(rng.integers(1, count + 1)))]
        texts = [chinese.fit(text, face, wide) for text in texts]
    colour = ink(rng, ground)
    align = float(rng.choice([0.0, 0.0, 0.0, 0.5]))
    for text in texts[:count]:
        text = text[:room].strip()
        if not text:
            break
        room -= len(text)
        x = margin + align * (wide - text_width(text, face))
        lines.append((text, canvas.text((round(x), round(y)), text, face, colour)))
        y += pitch
    return y - pitch + step
