"""Questions about a page of text: read it, read one line or word, find a line or word.

    lines of the page --page_questions--> questions, some of them with named boxes to follow through the damage
    Asked(drafts, boxes) --questions(boxes on the finished picture)--> Question, Question, ...

The trap: a word or line is asked for only where nothing else on the page could be meant, whatever its case.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import ImageFont

from vl2.processing.boxes import Box, Region
from vl2.synth.canvas import Rect, glyph_metrics, text_width
from vl2.synth.ingredients import sample_words
from vl2.synth.ocr_questions import AFTER, COUNT, LINE, WORD_OF_LINE, ask, line_name, phrase, read_question
from vl2.synth.sample import Question

_PUNCTUATION = ".,:;!?()\"'"
_TRIES = 6  # words to look at before a question is left out
_LONGEST_QUOTE = 40  # characters of a line in a question


def _wordings(block: str) -> tuple[str, ...]:
    """The wordings of a block of text; bars and line ends stand between them."""
    return tuple(wording.strip() for wording in block.replace("\n", "|").split("|"))


BEGINS = _wordings(
    """What is written in the line that begins with "{word}"?|Read the line that starts with "{word}".
    which line begins with "{word}"|What does the line beginning with {word} say?|Find the line that starts with {word}.
    Which text starts with "{word}"?|Give me the line that begins with '{word}'.|the line starting with "{word}"
    Write out the line that begins with "{word}".|How does the line "{word} ..." go on?|Read the line with {word} first.
    What is the whole line that starts with {word}?|Complete the line: {word}|Which line has "{word}" as its first word?
    tell me the line that starts with {word}|Please transcribe the line beginning with '{word}'."""
)
HOLDS = _wordings(
    """Read the line that contains "{word}".|What is written in the line with "{word}"?|which line has the word {word}
    Give me the whole line with the word "{word}".|In which line is "{word}"? Read it.|Find the line containing {word}.
    What does the line with {word} say?|Write out the line in which "{word}" stands.|the line with '{word}'
    Which line mentions "{word}"?|Please read the line where {word} is written.|What else is in the line of "{word}"?
    Show me the text of the line with {word} in it.|tell me the line that contains '{word}'
    Transcribe the line with "{word}"."""
)
BEFORE = _wordings(
    """Which word comes before "{word}"?|What stands in front of {word}?|what is the word before {word}
    Which word is left of "{word}"?|What is the previous word before "{word}"?|Read the word that precedes '{word}'.
    What comes before {word}?|before {word} comes which word|Tell me the word right before {word}.
    Find the word in front of "{word}".|Which word precedes {word} in the text?|{word} comes after which word?
    What word is just left of {word}?|Give the word ahead of {word}.|Could you tell me what comes before '{word}'?"""
)
BELOW = _wordings(
    """What is written below "{word}"?|Read the line below "{word}".|which line comes after the line "{word}"
    What does the line under "{word}" say?|Which line follows "{word}"?|What comes in the line after "{word}"?
    Give me the line right below "{word}".|what stands under "{word}"|Read the next line after "{word}".
    Find the line that follows "{word}".|Tell me the line under "{word}".|Below "{word}", what is written?
    What is the text just below "{word}"?|Please read what is under "{word}".|After "{word}" comes which line?"""
)
ABOVE = _wordings(
    """What is written above "{word}"?|Read the line above "{word}".|which line comes before the line "{word}"
    What does the line over "{word}" say?|Which line precedes "{word}"?|What comes in the line before "{word}"?
    Give me the line right above "{word}".|what stands over "{word}"|Read the line just before "{word}".
    Find the line that comes before "{word}".|Tell me the line above "{word}".|Above "{word}", what is written?
    What is the text just above "{word}"?|Please read what is over "{word}".|Before "{word}" comes which line?"""
)
WHICH_NUMBER = _wordings(
    """What is the number of the line with "{word}"?|In which line is "{word}"? Give its number.
    which line number has {word}|On what line does "{word}" stand, counted from the top?|Line number of "{word}"?
    Counting from the top, which line holds "{word}"?|{word} is in line number what?|How far down is "{word}", in lines?
    Tell me the number of the line that contains {word}.|"{word}": which line is it in, as a number?
    Give the line number of '{word}'.|At which line number do you find {word}?|What line number is {word} on?
    Count the lines: which one has "{word}"?|the number of the line where {word} stands"""
)
WORD_PHRASES = _wordings(
    """the word "{word}"|the word "{word}"|the word "{word}"|the word {word}|"{word}"|"{word}"|word "{word}"
    the text "{word}"|the place where "{word}" is written|the written word "{word}"|where it says "{word}"
    the string "{word}"|'{word}'|the word '{word}'|"{word}" in the text"""
)
LINE_PHRASES = _wordings(
    """the line "{line}"|the line "{line}"|the text "{line}"|"{line}"|the line that says "{line}"|the line '{line}'
    the line with the text "{line}"|the words "{line}"|the line reading "{line}"|where it says "{line}"
    the line of text "{line}"|the writing "{line}"|the place where "{line}" is written|line "{line}"|row "{line}\""""
)
BEGIN_PHRASES = _wordings(
    """the line that begins with "{word}"|the line that starts with "{word}"|the line starting with "{word}"
    the line beginning with {word}|the text line that begins with "{word}"|the line with "{word}" at its beginning
    the line whose first word is "{word}"|the line where "{word}" comes first|the line "{word} ..."
    the whole line starting with '{word}'|the line opening with "{word}"|the row that starts with "{word}"
    the line that has "{word}" as its first word|the full line that begins with {word}|the line led by "{word}\""""
)


@dataclass(frozen=True)
class Line:
    """A drawn line: its text, the top left of its line box, its font, and the height of the line box."""

    text: str
    xy: tuple[float, float]
    font: ImageFont.FreeTypeFont
    height: float

    def ink(self, start: int = 0, end: int | None = None) -> Rect:
        """The ink box of the characters from `start` to `end`."""
        x = self.xy[0] + text_width(self.text[:start], self.font)
        return glyph_metrics(self.font).ink((x, self.xy[1]), self.text[start:end], self.font)


@dataclass(frozen=True)
class Asked:
    """Questions before the damage. drafts: a question, or (phrase, name of its box or "" if absent) to locate."""

    drafts: tuple[Question | tuple[str, str], ...]
    boxes: dict[str, Rect]

    def questions(self, regions: Mapping[str, Rect]) -> tuple[Question, ...]:
        """The questions with boxes as they lie on the finished picture."""
        return tuple(
            draft if isinstance(draft, Question) else _locate(draft[0], regions.get(draft[1])) for draft in self.drafts
        )


def _locate(text: str, box: Rect | None) -> Question:
    return Question("ground", text, (), "iou", () if box is None else (Region(text, Box(*box)),))


class _Page:
    """The lines of a page and what is unique among them."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = [line.text for line in lines]
        self.lower = "\n".join(self.lines).lower()

    def once(self, text: str) -> bool:
        """Whether the text is there once, in any case and also inside of other words."""
        return self.lower.count(text.lower()) == 1

    def word(self, rng: np.random.Generator) -> tuple[int, int, str] | None:
        """A random unique word without its punctuation: (line, number of the word in it, word)."""
        for _ in range(_TRIES):
            line = int(rng.integers(len(self.lines)))
            words = self.lines[line].split(" ")
            place = int(rng.integers(len(words)))
            word = words[place].strip(_PUNCTUATION)
            if len(word) > 1 and '"' not in word and "'" not in word and self.once(word):
                return line, place, word
        return None

    def line(self, rng: np.random.Generator) -> int | None:
        """A random line that is unique and short enough to quote."""
        for _ in range(_TRIES):
            number = int(rng.integers(len(self.lines)))
            text = self.lines[number]
            if 2 < len(text) <= _LONGEST_QUOTE and '"' not in text and "'" not in text and self.once(text):
                return number
        return None

    def beginning(self, rng: np.random.Generator) -> tuple[int, str] | None:
        """A random line of several words that alone begins with its first word: (line, word)."""
        starts = [text.lower() for text in self.lines]
        for _ in range(_TRIES):
            number = int(rng.integers(len(self.lines)))
            word, _, rest = self.lines[number].partition(" ")
            alone = sum(start.startswith(word.lower()) for start in starts) == 1
            if rest and len(word) > 1 and '"' not in word and "'" not in word and alone:
                return number, word
        return None


def page_questions(rng: np.random.Generator, lines: list[Line], split: str, *, stacked: bool) -> Asked:
    """Reading, up to three questions about words and lines, and up to two phrases to find; `stacked`: lines count."""
    page = _Page(lines)
    drafts: list[Question | tuple[str, str]] = [read_question(rng, page.lines)]
    if stacked:
        drafts.append(_about_position(rng, page))
    kinds = rng.permutation(6)[:2]
    drafts += [found for kind in kinds.tolist() if (found := _about_words(rng, page, kind, stacked)) is not None]
    boxes: dict[str, Rect] = {}
    for _ in range(2):
        found = _to_find(rng, page, lines, split, stacked, boxes)
        if found is not None and found[0] not in [draft[0] for draft in drafts if isinstance(draft, tuple)]:
            drafts.append(found)
    return Asked(tuple(drafts), boxes)


def _about_position(rng: np.random.Generator, page: _Page) -> Question:
    """A line by its number, its first or last word, or how many lines there are."""
    count = len(page.lines)
    index = int(rng.integers(count)) if rng.random() < 0.8 else count - 1
    name = line_name(rng, index, count)
    words = page.lines[index].split(" ")
    kind = rng.random()
    if kind < 0.1:
        return Question("ask", phrase(rng, COUNT), (str(count),), "exact")
    if kind < 0.35 and len(words) > 1:
        end, answer = ("first", words[0]) if rng.random() < 0.5 else ("last", words[-1])
        return ask(rng, WORD_OF_LINE, answer, end=end, line=name)
    return ask(rng, LINE, page.lines[index], line=name)


def _about_words(rng: np.random.Generator, page: _Page, kind: int, stacked: bool) -> Question | None:
    """A question of one kind that starts from a word or line, if the page has one for it."""
    if kind == 0:
        begin = page.beginning(rng)
        return ask(rng, BEGINS, page.lines[begin[0]], word=begin[1]) if begin else None
    if kind == 1:
        # below in the same block; the last line of a column is followed by the top of the next one
        number = page.line(rng) if stacked else None
        if number is None:
            return None
        below = rng.random() < 0.5
        other = number + 1 if below else number - 1
        if not 0 <= other < len(page.lines):
            return None
        return ask(rng, BELOW if below else ABOVE, page.lines[other], word=page.lines[number])
    found = page.word(rng)
    if found is None:
        return None
    line, place, word = found
    words = page.lines[line].split(" ")
    if kind == 2:
        return ask(rng, HOLDS, page.lines[line], word=word) if len(words) > 1 else None
    if kind == 3:
        if not stacked:
            return None
        return Question("ask", phrase(rng, WHICH_NUMBER, word=word), (str(line + 1),), "exact")
    after = kind == 4
    other = place + 1 if after else place - 1
    return ask(rng, AFTER if after else BEFORE, words[other], word=word) if 0 <= other < len(words) else None


def _to_find(
    rng: np.random.Generator, page: _Page, lines: list[Line], split: str, stacked: bool, boxes: dict[str, Rect]
) -> tuple[str, str] | None:
    """A phrase and the name of its box; a word's box is added to `boxes`."""
    kind = rng.random()
    if kind < 0.08:
        word = sample_words(rng, split, 1)[0]
        return (_pick(rng, WORD_PHRASES).format(word=word), "") if word not in page.lower else None
    if kind < 0.2 and stacked:
        index = int(rng.integers(len(lines)))
        return line_name(rng, index, len(lines)), f"line {index}"
    if kind < 0.35:
        number = page.line(rng)
        if number is None:
            return None
        return _pick(rng, LINE_PHRASES).format(line=page.lines[number]), f"line {number}"
    if kind < 0.45:
        begin = page.beginning(rng)
        return (_pick(rng, BEGIN_PHRASES).format(word=begin[1]), f"line {begin[0]}") if begin else None
    found = page.word(rng)
    if found is None:
        return None
    line, _, word = found
    start = page.lines[line].index(word)
    name = f"word {len(boxes)}"
    boxes[name] = lines[line].ink(start, start + len(word))
    return _pick(rng, WORD_PHRASES).format(word=word), name


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]
