"""Tasks "science" and "science-zh": a page of a paper, with displayed formulas, statements and references.

    title, authors, abstract, sections of (text | formula | theorem), references; one or two columns
      --> page, Markdown with $$LaTeX \\tag{2}$$, questions about formulas, statements and the title

Formulas are those of the task "formula", in typefaces of the split. The trap: a page asks about formulas by their
numbers, so that all have one if there are several.
"""

import numpy as np

from vl2.synth.canvas import text_width
from vl2.synth.flows import Column, write_title
from vl2.synth.folio import Folio, plain_paper
from vl2.synth.formulas import ASK_NUMBER, ASK_ONE, FIND_NUMBER, TYPEFACES, put_ink, random_formula
from vl2.synth.langs import Language, language
from vl2.synth.mathtype import Ink, draw_formula
from vl2.synth.sample import Question, Sample
from vl2.synth.values import chance, pick

_ABSTRACT, _ABSTRACT_ZH = ("Abstract", "Summary"), ("摘要", "内容摘要")
_REFERENCES, _REFERENCES_ZH = ("References", "Bibliography", "Literature"), ("参考文献", "文献")
_STATEMENTS = ("Theorem", "Lemma", "Definition", "Proposition", "Corollary", "Remark", "Assumption")
_STATEMENTS_ZH = ("定理", "引理", "定义", "命题", "推论", "注", "假设")
_LEADING = ("With ({n}) we have:", "From ({n}) it follows:", "By equation ({n}),", "Note that ({n}) holds.")
_LEADING_ZH = ("由({n})可知：", "根据式({n})，", "把({n})代入，", "注意({n})成立。")
_SAYS = ("What does {name} say?", "Read {name}.", "What is stated in {name}?", "Transcribe {name}.", "{name}?")
_SAYS_ZH = ("{name}的内容是什么？", "请读出{name}。", "{name}说了什么？")
_LONGEST_LATEX = 80
_TRIES = 40  # of formulas, until one fits
_MOST_WRITTEN = 640  # characters of all that is not LaTeX, so that the page can be read as a whole


def generate(rng: np.random.Generator, split: str) -> Sample:
    return _Paper(language(rng, split, "en")).drawn().sample("science")


def generate_zh(rng: np.random.Generator, split: str) -> Sample:
    return _Paper(language(rng, split, "zh")).drawn().sample("science-zh")


class _Paper:
    """One page while it is written."""

    def __init__(self, lang: Language):
        rng = self.rng = lang.rng
        self.lang = lang
        width = int(rng.integers(440, 768))
        self.folio = Folio(lang, plain_paper(rng, width, 768), pick(rng, ((18, 18, 20), (36, 36, 40))))
        self.path = lang.font_file(pick(rng, ("serif", "serif", "serif", "sans")))
        self.line = float(rng.uniform(12.5, 15))
        self.font = lang.font(self.path, self.line)
        self.size = self.line * rng.uniform(1.25, 1.45)  # of formulas, whose indices are much smaller
        self.typeface = pick(rng, TYPEFACES[lang.split])
        self.formulas = int(rng.integers(1, 5))
        self.numbered = self.formulas > 1 or chance(rng, 0.5)
        self.first = int(rng.integers(1, 12))
        self.written: list[str] = []  # LaTeX of the formulas so far
        self.statements = int(rng.integers(1, 5))
        self.section = int(rng.integers(1, 7))

    def drawn(self) -> Folio:
        """The page from its head to its references."""
        rng, folio = self.rng, self.folio
        canvas, margin = folio.canvas, rng.uniform(0.04, 0.08) * folio.canvas.width
        head = Column(folio, margin, rng.uniform(10, 24), canvas.width - 2 * margin, canvas.height - 10)
        if chance(rng, 0.6):
            self._head(head)
        columns, gap = (2, 22.0) if canvas.width > 640 and chance(rng, 0.6) else (1, 0.0)
        wide, deepest = (head.width - (columns - 1) * gap) / columns, head.y
        for number in range(columns):
            column = Column(folio, margin + number * (wide + gap), head.y, wide, canvas.height - 10)
            self._body(column, _MOST_WRITTEN // columns, last=number == columns - 1)
            deepest = max(deepest, column.y)
        canvas.smallest_text = min(canvas.smallest_text, 0.7 * self.size)
        canvas.crop(max(220, min(canvas.height, int(deepest + 10))))
        return folio

    def _head(self, head: Column) -> None:
        """Title, authors and abstract across the page."""
        rng, lang = self.rng, self.lang
        write_title(head, self.path, self.line)
        head.gap(0.4, self.font)
        if chance(rng, 0.6):
            head.heading(lang.choose(_ABSTRACT, _ABSTRACT_ZH), lang.font(self.path, self.line * 1.1), 2)
            head.paragraph(lang.prose(int(rng.integers(90, 200))), self.font, most=3)
            head.gap(0.5, self.font)

    def _body(self, column: Column, budget: int, *, last: bool) -> None:
        """Text, formulas and statements until the budget or the column is used up; references if there is room."""
        rng, lang, font = self.rng, self.lang, self.font
        begun, heading = self._length(), lang.font(self.path, self.line * 1.12)
        while column.room(font) > 4 and self._length() - begun < budget:
            kind = rng.random()
            if kind < 0.25:
                column.heading(f"{self.section} {lang.title(2)}", heading, 2)
                self.section += 1
            if len(self.written) < self.formulas and (kind < 0.6 or not self.written):
                column.paragraph(self._lead() + lang.prose(int(rng.integers(40, 110))), font, most=3)
                column.gap(0.35, font)
                self._formula(column)
            elif kind < 0.75:
                self._statement(column)
            else:
                column.paragraph(lang.prose(int(rng.integers(70, 200))), font, most=5)
            column.gap(0.5, font)
        if last and column.room(font) > 4 and chance(rng, 0.5):
            column.heading(lang.choose(_REFERENCES, _REFERENCES_ZH), heading, 2)
            for number in range(1, int(rng.integers(2, 5))):
                year = int(rng.integers(1960, 2026))
                cited = f"{lang.person()}{'，' if lang.zh else ', '}{lang.title(3)}{'，' if lang.zh else ', '}{year}"
                column.paragraph(cited, font, most=1, mark=f"[{number}] ", prefix=f"[{number}] ")

    def _length(self) -> int:
        """How much is written, apart from LaTeX."""
        return sum(map(len, self.folio.lines)) - sum(map(len, self.written))

    def _lead(self) -> str:
        """Words that refer to a formula above, now and then."""
        if not (self.written and self.numbered and chance(self.rng, 0.4)):
            return ""
        number = self.first + int(self.rng.integers(len(self.written)))
        return self.lang.choose(_LEADING, _LEADING_ZH).format(n=number) + ("" if self.lang.zh else " ")

    def _statement(self, column: Column) -> None:
        """A theorem, lemma, definition, ... and what it says."""
        lang = self.lang
        name = f"{lang.choose(_STATEMENTS, _STATEMENTS_ZH)} {self.statements}"
        mark = f"{name}. "
        if column.paragraph(lang.prose(int(self.rng.integers(50, 130))), self.font, most=3, mark=mark, prefix=mark):
            self.statements += 1
            said = self.folio.blocks[-1].removeprefix(mark)
            asked = lang.choose(_SAYS, _SAYS_ZH).format(name=name)
            self.folio.extra.append(Question("ask", asked, (said,), "cer"))

    def _formula(self, column: Column) -> None:
        """A formula in the middle of the column, if one is found that fits."""
        folio, number = self.folio, self.first + len(self.written)
        label = f"({number})" if self.numbered else ""
        beside = text_width(label, self.font) + 12 if label else 0.0
        found = self._fitting(column.width - 2 * beside, column.bottom - column.y - 4)
        if found is None:
            return
        latex, ink = found
        high, wide = ink.grey.shape
        x, y = round(column.x + (column.width - wide) / 2), round(column.y)
        put_ink(folio.canvas, ink, (x, y), folio.ink)
        tag = ""
        if label:
            region, tag = f"formula {number}", f" \\tag{{{number}}}"
            folio.canvas.region(region, (x, y, x + wide, y + high))
            folio.places.append((pick(self.rng, FIND_NUMBER).format(n=number), region))
            top = y + high / 2 - 0.5 * folio.height_of(self.font)
            folio.text((column.x + column.width, top), label, self.font, align=1.0)
        folio.block(f"$${latex}{tag}$$", f"{latex} {label}".rstrip())
        asked = pick(self.rng, ASK_NUMBER if label else ASK_ONE).format(n=number)
        folio.extra.append(Question("ask", asked, (latex, f"${latex}$"), "cer"))
        self.written.append(latex)
        column.y = y + high

    def _fitting(self, width: float, height: float) -> tuple[str, Ink] | None:
        for _ in range(_TRIES):
            latex = random_formula(self.rng)
            if len(latex) > _LONGEST_LATEX:
                continue
            ink = draw_formula(latex, self.size, self.typeface, roomy=True)
            if ink.grey.shape[1] <= width and ink.grey.shape[0] <= height:
                return latex, ink
        return None
