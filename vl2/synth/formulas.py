"""Task "formula": formulas with fractions, roots, sums and Greek letters, to be written as LaTeX.

    rng --random expression--> LaTeX --vl2.synth.mathtype--> Ink: coverage, cells of glyphs --> a sheet --> Sample

The test split has typefaces of its own. Needs matplotlib for its fonts: `pip install 'vl2[synth]'`. The trap: small
indices must stay readable, so that formulas that are set too wide are drawn anew, not shrunk.
"""

import numpy as np
from PIL import Image

from vl2.processing.boxes import Box, Region
from vl2.synth.blocks import font_of_height
from vl2.synth.canvas import Canvas
from vl2.synth.folio import plain_paper
from vl2.synth.ingredients import fonts
from vl2.synth.mathtype import Ink, draw_formula
from vl2.synth.paper import paper
from vl2.synth.sample import Question, Sample
from vl2.synth.values import chance, pick

TYPEFACES = {"train": ("cm", "dejavuserif", "dejavusans"), "test": ("stix",)}  # of matplotlib
_LETTERS = tuple("abcdefghknmpqrstuvwxyzABCDEFGHKLMNPQRSTVXYZ")
_GREEK = tuple(
    "\\" + name
    for name in [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "theta",
        "lambda",
        "mu",
        "pi",
        "rho",
        "sigma",
        "tau",
        "phi",
        "omega",
        "Gamma",
        "Delta",
        "Omega",
    ]
)
_RELATIONS = ("=", "=", "=", "=", "\\leq", "\\geq", "\\approx", "<", ">", "\\neq")
_OPERATORS = ("+", "+", "-", "-", "\\cdot", "\\times")
_FUNCTIONS = ("\\sin", "\\cos", "\\log", "\\exp", "\\tan", "\\ln")
ASK_ONE = (
    "Write the formula as LaTeX.", "What is the formula in LaTeX?", "formula to latex",
    "Convert the equation to LaTeX.",
    "Give the LaTeX code of this formula.", "Transcribe the formula in LaTeX.", "LaTeX, please",
    "Read the equation as LaTeX.",
    "How is this written in LaTeX?", "Please turn the formula into LaTeX.", "Output the LaTeX source of the equation.",
    "把公式转成LaTeX。", "用LaTeX写出公式。",
)  # fmt: skip
ASK_NUMBER = (
    "What is equation {n} in LaTeX?", "Write formula {n} as LaTeX.", "LaTeX of equation {n}?",
    "Convert formula ({n}) to LaTeX.",
    "equation {n} in latex", "Give the LaTeX of ({n}).", "Transcribe equation ({n}) in LaTeX.",
    "用LaTeX写出公式({n})。",
)  # fmt: skip
FIND_NUMBER = (
    "equation {n}",
    "formula {n}",
    "equation ({n})",
    "the formula with number {n}",
    "the equation numbered ({n})",
)


def _atom(rng: np.random.Generator) -> str:
    """A letter or a number."""
    kind = rng.random()
    if kind < 0.5:
        return pick(rng, _LETTERS)
    return pick(rng, _GREEK) if kind < 0.72 else str(int(rng.integers(1, 30)))


def _term(rng: np.random.Generator, depth: int) -> str:
    """An atom with an index or a power, or something built of expressions."""
    kind = rng.random() if depth else 0.45 * rng.random()
    if kind < 0.2:
        return _atom(rng)
    if kind < 0.36:
        return f"{pick(rng, _LETTERS)}^{{{pick(rng, ('2', '3', 'n', '-1', 'k', 'n+1', '2n'))}}}"
    if kind < 0.48:
        return f"{pick(rng, (*_LETTERS, *_GREEK))}_{{{pick(rng, ('0', '1', '2', 'i', 'j', 'n', 'ij', 'k+1'))}}}"
    if kind < 0.66:
        return f"\\frac{{{_sum(rng, depth - 1)}}}{{{_sum(rng, depth - 1)}}}"
    if kind < 0.76:
        return f"\\sqrt{{{_sum(rng, depth - 1)}}}"
    if kind < 0.86:
        start, end = pick(rng, ("i", "k", "n")), pick(rng, ("n", "N", "\\infty", "10"))
        sign = pick(rng, ("\\sum", "\\prod"))
        return f"{sign}_{{{start}={int(rng.integers(2))}}}^{{{end}}} {_term(rng, 0)}"
    if kind < 0.92:
        low, high = pick(rng, ("0", "a", "-\\infty")), pick(rng, ("1", "b", "\\infty"))
        return f"\\int_{{{low}}}^{{{high}}} {_term(rng, 0)} dx"
    return f"{pick(rng, _FUNCTIONS)}({_sum(rng, depth - 1)})"


def _sum(rng: np.random.Generator, depth: int) -> str:
    """One to three terms."""
    text = _term(rng, depth)
    for _ in range(int(rng.choice([0, 0, 1, 1, 2]))):
        text += f" {pick(rng, _OPERATORS)} {_term(rng, depth)}"
    return text


def random_formula(rng: np.random.Generator) -> str:
    """A formula as LaTeX, mostly an equation."""
    right = _sum(rng, 2)
    return right if chance(rng, 0.1) else f"{_term(rng, 0)} {pick(rng, _RELATIONS)} {right}"


def generate(rng: np.random.Generator, split: str) -> Sample:
    """One formula, or several with numbers."""
    count = 1 if chance(rng, 0.55) else int(rng.integers(2, 5))
    size = float(rng.uniform(20, 36) if count == 1 else rng.uniform(19, 26))
    typeface, roomy = pick(rng, TYPEFACES[split]), chance(rng, 0.7)
    drawn: list[tuple[str, Ink]] = []
    while len(drawn) < count:
        latex = random_formula(rng)
        ink = draw_formula(latex, size, typeface, roomy=roomy)
        if ink.grey.shape[1] <= 640 and len(latex) < 110:
            drawn.append((latex, ink))
    numbered = count > 1
    room = 50 if numbered else 0
    margin, gap = rng.uniform(6, 36), rng.uniform(10, 26)
    width = int(max(ink.grey.shape[1] for _, ink in drawn) + 2 * margin + room)
    height = int(sum(ink.grey.shape[0] + gap for _, ink in drawn) + 2 * margin - gap)
    canvas = (
        Canvas(width, height, paper(rng, width, height).image) if chance(rng, 0.5) else plain_paper(rng, width, height)
    )
    canvas.smallest_text = 0.7 * size
    label = font_of_height(pick(rng, fonts(split, "serif")), 11)
    y = margin
    for number, (_, ink) in enumerate(drawn, 1):
        high, wide = ink.grey.shape
        x = round(margin + (width - room - 2 * margin - wide) * (0.5 if numbered else rng.random()))
        put_ink(canvas, ink, (x, round(y)), pick(rng, ((10, 10, 12), (30, 30, 36), (16, 24, 70))))
        canvas.region(f"formula {number}", (x, round(y), x + wide, round(y) + high))
        if numbered:
            text = f"({number})"
            canvas.text((width - margin - canvas.measure(text, label)[0], round(y + high / 2 - 8)), text, label)
        y += high + gap
    finished = canvas.finish(rng)
    asked = []
    for number, (latex, _) in enumerate(drawn, 1):
        wording = pick(rng, ASK_NUMBER if numbered else ASK_ONE).format(n=number)
        asked.append(Question("ask", wording, (latex, f"${latex}$"), "cer"))
        if numbered:
            phrase = pick(rng, FIND_NUMBER).format(n=number)
            region = Region(phrase, Box(*finished.regions[f"formula {number}"]))
            asked.append(Question("ground", phrase, (), "iou", (region,)))
    return Sample("formula", finished.image, tuple(asked), *finished.marks)


def put_ink(canvas: Canvas, ink: Ink, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Ink on the canvas, and its marks."""
    canvas.image.paste(colour, place, Image.fromarray(ink.grey))
    extent = (place[0], place[1], place[0] + ink.grey.shape[1], place[1] + ink.grey.shape[0])
    canvas.marks(np.array(ink.ids, np.int16), ink.boxes + np.array([*place, *place], np.float32), extent)
