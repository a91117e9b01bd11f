"""Task "page": about one tile filled with text, since a dense tile teaches reading faster than a line does.

    size, capital height --frames--> one to three blocks, stacked or side by side --fill--> 5 to 16 lines
    each block: its own font, size, colour, alignment and kind of text        lines --page_questions--> questions

The trap: reading order is block by block, so that lines are numbered only where no two blocks stand side by side.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import ImageFont

from vl2.synth import writing
from vl2.synth.backgrounds import Background, background, ink
from vl2.synth.blocks import block_lines, choose_font, fit, font_of_height
from vl2.synth.canvas import Canvas, glyph_metrics, text_width
from vl2.synth.ingredients import ambiguous
from vl2.synth.page_questions import Line, page_questions
from vl2.synth.sample import Sample

TILE = 384
MOST_LINES = 16
MOST_CHARACTERS = 350
CAPITALS = (9.2, 24.0)  # pixels: font sizes of about 13 to 34
_FILLED = 0.7  # share of a frame that lines of uneven length cover
_GLYPH_AREA = 0.55 * 1.3  # pixels of page for each character, in squares of the font size


@dataclass(frozen=True)
class Frame:
    """Where a block goes, in pixels."""

    x: float
    y: float
    width: float
    bottom: float

    @property
    def area(self) -> float:
        return self.width * (self.bottom - self.y)


def choose_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height): seven of ten fit one tile, two need two tiles, one needs four."""
    kind = rng.random()
    if kind < 0.3:
        # no scaling at all: the tile shows the pixels as they were drawn
        return TILE, int(rng.integers(300, TILE + 1))
    if kind < 0.7:
        return int(rng.integers(300, TILE + 1)), int(rng.integers(300, TILE + 1))
    long, short = int(rng.integers(TILE + 1, 521)), int(rng.integers(300, TILE + 1))
    if kind < 0.9:
        return (long, short) if rng.random() < 0.5 else (short, long)
    return long, int(rng.integers(TILE + 1, 521))


def _frames(rng: np.random.Generator, width: int, height: int) -> tuple[list[Frame], bool]:
    """The blocks in reading order, and whether they stand below each other."""
    margin = rng.uniform(3, 14)
    inner, top, bottom = width - 2 * margin, margin, height - margin
    layout = rng.random()
    if layout < 0.25:
        frames = []
        gap = rng.uniform(12, 24)
        if rng.random() < 0.4:
            frames.append(Frame(margin, top, inner, top + rng.uniform(0.14, 0.3) * height))
            top = frames[0].bottom + gap / 2
        left = (inner - gap) * rng.uniform(0.4, 0.6)
        right = Frame(margin + left + gap, top, inner - gap - left, bottom)
        return [*frames, Frame(margin, top, left, bottom), right], False
    count = 1 if layout < 0.45 else 2 if layout < 0.8 else 3
    shares = rng.uniform(0.5, 1.5, count)
    edges = (top + np.cumsum([0.0, *(shares / shares.sum())]) * (bottom - top)).tolist()
    return [Frame(margin, start, inner, end) for start, end in pairwise(edges)], True


def generate(rng: np.random.Generator, split: str) -> Sample:
    """One page of text."""
    width, height = choose_size(rng)
    frames, stacked = _frames(rng, width, height)
    wanted = rng.uniform(120, MOST_CHARACTERS)
    size = math.sqrt(width * height * _FILLED / (_GLYPH_AREA * wanted))
    capital = float(np.clip(0.7 * size, *CAPITALS))
    ground = background(rng, width, height, calm=min(1.0, capital / 20))
    canvas = Canvas(width, height, ground.image)
    lines: list[Line] = []
    for number, frame in enumerate(frames):
        # what is left is shared by area, or the first block would leave nothing for the others
        share = min(1.0, 1.2 * frame.area / sum(other.area for other in frames[number:]))
        room = max(2, round(share * (MOST_LINES - len(lines))))
        characters = max(20, round(share * (MOST_CHARACTERS - sum(len(line.text) for line in lines))))
        scale = rng.uniform(0.65, 1.15) if len(frames) > 1 else 1.0
        block_capital = float(np.clip(capital * scale, *CAPITALS))
        lines += _fill(rng, canvas, ground, frame, split, block_capital, room, characters)
    lowest = max(line.xy[1] + line.height for line in lines)
    if rng.random() < 0.7:
        canvas.crop(max(TILE // 2, int(lowest + rng.uniform(3, 14))))
    for number, line in enumerate(lines):
        canvas.region(f"line {number}", line.ink())
    asked = page_questions(rng, lines, split, stacked=stacked)
    for name, box in asked.boxes.items():
        canvas.region(name, box)
    finished = canvas.finish(rng, 0.0 if rng.random() < 0.3 else 1.0)
    return Sample("page", finished.image, asked.questions(finished.regions), *finished.marks)


def _fill(
    rng: np.random.Generator,
    canvas: Canvas,
    ground: Background,
    frame: Frame,
    split: str,
    capital: float,
    room: int,
    characters: int,
) -> list[Line]:
    """Draw one block of at most `room` lines and `characters` characters."""
    path, capitals = choose_font(rng, split)
    font = font_of_height(path, capital)
    metrics = glyph_metrics(font)
    step = metrics.ascent + metrics.descent
    pitch = step * rng.uniform(0.98, 1.3)
    room = min(room, int((frame.bottom - frame.y - step) / pitch) + 1)
    colour = ink(rng, ground)
    align = float(rng.choice([0.0, 0.0, 0.0, 0.5, 1.0]))
    lines: list[Line] = []
    for text in _texts(rng, split, font, frame.width, room, ambiguous(path), capitals or rng.random() < 0.12):
        text = writing.cut(text, characters)
        characters -= len(text)
        spare = frame.width - text_width(text, font)
        xy = (round(frame.x + align * spare), round(frame.y + pitch * len(lines)))
        canvas.text(xy, text, font, colour)
        lines.append(Line(text, xy, font, step))
        if characters < 2:
            break
    return lines


def _texts(
    rng: np.random.Generator,
    split: str,
    font: ImageFont.FreeTypeFont,
    width: float,
    room: int,
    avoid: frozenset[str],
    upper: bool,
) -> list[str]:
    """`room` lines that fit the width, mostly of one kind."""
    found: list[str] = []
    limit = max(4, int(width / (0.5 * font.size)))
    random_block = rng.random() < 0.25
    while len(found) < room:
        if random_block:
            more = [_random_line(rng, limit, avoid)]
        elif rng.random() < 0.35:
            more = [writing.any_line(rng, split, limit, avoid)]
        else:
            more = block_lines(rng, split, font, width, room - len(found), avoid)
        found += [fit(text.upper() if upper else text, font, width) for text in more]
    return found[:room]


def _random_line(rng: np.random.Generator, limit: int, avoid: frozenset[str]) -> str:
    """Random strings one after the other, as many as the line holds."""
    text = writing.random_string(rng, limit, avoid)
    while len(text) < limit - 3 and rng.random() < 0.9:
        text = f"{text} {writing.random_string(rng, limit - len(text) - 1, avoid)}"
    return text
