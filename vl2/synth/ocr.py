"""Tasks "line" and "paragraph": text of every kind in many fonts and sizes, to be read.

    line:      one line, tight in its picture or somewhere on a larger one
    paragraph: 1 to 14 lines in blocks (prose, lists, words, numbers, key: value), rarely in two columns

The trap: what tiling shrinks must be drawn larger, so that the smallest capitals stay readable.
"""

from dataclasses import dataclass

import numpy as np

from vl2.synth import writing
from vl2.synth.backgrounds import background, ink
from vl2.synth.blocks import block_lines, choose_font, fit, font_of_height
from vl2.synth.canvas import Canvas, Colour, glyph_metrics, text_width
from vl2.synth.ingredients import ambiguous, fonts
from vl2.synth.ocr_questions import line_questions, paragraph_questions
from vl2.synth.sample import Sample

SMALLEST_CAPITAL = 9  # pixels, on pictures that are not shrunk
MOST_LINES = 14


def generate_line(rng: np.random.Generator, split: str) -> Sample:
    """One line of text."""
    path, capitals = choose_font(rng, split)
    height = float(np.exp(rng.uniform(np.log(20), np.log(90))))
    capital = max(SMALLEST_CAPITAL, height * rng.uniform(0.36, 0.66))
    font = font_of_height(path, capital)
    widest = int(384 * rng.uniform(0.04, 1) ** 0.4) if rng.random() < 0.75 else int(rng.uniform(384, 900))
    limit = max(3, int(widest / (0.5 * font.size)))
    text = writing.any_line(rng, split, limit, ambiguous(path))
    if capitals:
        text = text.upper()
    text = fit(text, font, 880)
    metrics = glyph_metrics(font)
    width, line_height = text_width(text, font), metrics.ascent + metrics.descent
    margin_x, margin_y = rng.uniform(2, 4 + capital * rng.uniform(0, 1.2), 2)
    full = (int(width + 2 * margin_x) + 2, int(max(line_height + margin_y, 20)))
    size = full
    if rng.random() < 0.15:
        size = (max(full[0], int(rng.uniform(150, 400))), max(full[1], int(rng.uniform(60, 384))))
    ground = background(rng, *size, calm=min(1.0, capital / 20))
    canvas = Canvas(*size, ground.image)
    spare_x, spare_y = size[0] - full[0], size[1] - full[1]
    x = margin_x + (rng.uniform(0, spare_x) if spare_x else 0)
    y = (full[1] - line_height) / 2 + (rng.uniform(0, spare_y) if spare_y else 0)
    canvas.text((round(x), round(y)), text, font, ink(rng, ground))
    finished = canvas.finish(rng)
    return Sample("line", finished.image, tuple(line_questions(rng, text)), *finished.marks)


@dataclass(frozen=True)
class _Frame:
    """Where the text goes: left edge, top, width and bottom in pixels."""

    x: float
    y: float
    width: float
    bottom: float


def choose_size(rng: np.random.Generator) -> tuple[int, int]:
    """Canvas sizes: mostly one tile, then two, four, more."""
    kind = rng.random()
    if kind < 0.6:
        return int(rng.uniform(160, 385)), int(rng.uniform(90, 385))
    if kind < 0.85:
        long, short = int(rng.uniform(400, 769)), int(rng.uniform(150, 385))
        return (long, short) if rng.random() < 0.6 else (short, long)
    if kind < 0.97:
        return int(rng.uniform(400, 769)), int(rng.uniform(400, 769))
    return int(rng.uniform(700, 1100)), int(rng.uniform(500, 900))


def generate_paragraph(rng: np.random.Generator, split: str) -> Sample:
    """Several lines of text in one or more blocks."""
    width, height = choose_size(rng)
    path, capitals = choose_font(rng, split)
    if capitals:
        path = fonts(split)[int(rng.integers(len(fonts(split))))]
    # what a tile shrinks must start larger
    least = SMALLEST_CAPITAL * max(1.0, max(width, height) / 768)
    capital = least * float(np.exp(rng.uniform(0, np.log(3.2) * min(1.0, height / 250))))
    ground = background(rng, width, height, calm=min(1.0, capital / 20))
    canvas = Canvas(width, height, ground.image)
    margin = rng.uniform(4, 0.08 * width)
    top = rng.uniform(3, 0.1 * height)
    colour = ink(rng, ground)
    columns = 2 if rng.random() < 0.08 and width > 330 else 1
    inner = (width - 2 * margin - (columns - 1) * 28) / columns
    lines: list[str] = []
    lowest = 0.0
    for column in range(columns):
        if len(lines) == MOST_LINES:
            break
        frame = _Frame(margin + column * (inner + 28), top, inner, height - 3)
        drawn, bottom = _fill(rng, canvas, frame, path, capital, colour, split, MOST_LINES - len(lines))
        lines += drawn
        lowest = max(lowest, bottom)
    if rng.random() < 0.7:
        canvas.crop(int(lowest + rng.uniform(3, 30)))
    finished = canvas.finish(rng)
    questions = paragraph_questions(rng, lines, numbered=columns == 1)
    return Sample("paragraph", finished.image, tuple(questions), *finished.marks)


def _fill(
    rng: np.random.Generator,
    canvas: Canvas,
    frame: _Frame,
    path: str,
    capital: float,
    colour: Colour,
    split: str,
    most: int,
) -> tuple[list[str], float]:
    """Draw blocks from top to bottom until the frame is full; returns the lines drawn and where the last one ends."""
    lines: list[str] = []
    y = bottom = frame.y
    most = min(most, int(rng.integers(1, MOST_LINES + 1)) if rng.random() < 0.4 else MOST_LINES)
    spacing = rng.uniform(1.0, 1.45)
    align = float(rng.choice([0.0, 0.0, 0.0, 0.5, 1.0]))
    while len(lines) < most:
        scale = rng.uniform(1.2, 1.9) if not lines and rng.random() < 0.2 else 1.0
        font = font_of_height(path, capital * scale)
        step = canvas.measure("x", font)[1]
        left = frame.bottom - y - step
        room = min(most - len(lines), int(left / (step * spacing)) + 1 if left > 0 else 0)
        if room < 1:
            break
        for text in block_lines(rng, split, font, frame.width, 1 if scale > 1 else room, ambiguous(path)):
            spare = frame.width - text_width(text, font)
            canvas.text((round(frame.x + align * spare), round(y)), text, font, colour)
            lines.append(text)
            bottom = y + step
            y += step * spacing
        y += step * spacing * rng.choice([0.0, 0.3, 0.7])
        if rng.random() < 0.1:
            align = float(rng.choice([0.0, 0.5, 1.0]))
    if not lines:
        font = font_of_height(path, SMALLEST_CAPITAL)
        lines.append(fit(writing.word_line(rng, split, 12), font, frame.width))
        bottom = canvas.text((round(frame.x), round(frame.y)), lines[0], font, colour)[3]
    return lines, bottom
