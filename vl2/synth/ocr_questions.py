"""Questions about plain text on an image, in people's own words: read everything, a line, a word, a labelled value.

The wordings are structural and shared by both splits. Slots: {n} an ordinal or line number, {word} a word of the image,
{key} a label in front of a colon.
"""

import numpy as np

from vl2.synth.sample import Question


def _wordings(block: str) -> tuple[str, ...]:
    """The wordings of a block of text; bars and line ends stand between them."""
    return tuple(wording.strip() for wording in block.replace("\n", "|").split("|"))


READ = _wordings(
    """Read all the text in the image.|What does the text say?|Read the text.|What is written here?
    Transcribe the image.|what text is in the image|Please transcribe the text in this picture.|Can you read this?
    Write down everything you can read.|What does it say?|read this|Extract the text.|Give me the text in the image.
    What is written in the picture?|Please read the image.|OCR this image.|What's the text here?|Copy out the text.
    Return all text in the image."""
)
WHOLE = _wordings(
    """What does the image say?|What does this say?|what is written|What is the text?|Tell me what it says.
    What's written in the image?|What does the line say?|Which text do you see?|what text is shown here
    Could you tell me what is written here?|What can you read?|Please tell me the text.|What is printed here?
    What words are shown?|Read it out."""
)
FIRST_WORD = _wordings(
    """What is the first word?|what's the first word|Which word comes first?|What is the very first word of the text?
    Tell me the first word.|Read the first word.|The first word is?|What does the text start with?
    which word starts the text|Give the first word of the image.|First word?|What word does it begin with?
    What is the word at the beginning?|Could you read the first word?|Name the first word in the image.
    please give me the first word"""
)
LAST_WORD = _wordings(
    """What is the last word?|what's the last word|Which word comes last?|What is the very last word of the text?
    Tell me the last word.|Read the last word.|What does the text end with?|which word ends the text|Last word?
    Give the last word of the image.|What word does it end with?|What is the word at the end?
    Could you read the last word?|Name the final word in the image.|what is the final word
    please give me the last word"""
)
LINE = _wordings(
    """What does {line} say?|what is written in {line}|What is in {line}?|Read {line}.|What's on {line}?
    Tell me what {line} says.|Give me the text of {line}.|Which text is in {line}?|please read {line}
    Could you read {line} to me?|What is the text of {line}?|Write out {line}.|Transcribe {line}.|{line}?
    What do you read in {line}?|Copy {line} from the image.|what is {line}"""
)
WORD_OF_LINE = _wordings(
    """What is the {end} word of {line}?|what's the {end} word in {line}|Which word comes {end} in {line}?
    Read the {end} word of {line}.|Tell me the {end} word of {line}.|Give the {end} word on {line}.
    {end} word of {line}?|In {line}, what is the {end} word?|What word is {end} in {line}?
    name the {end} word of {line}|Could you read the {end} word in {line}?
    What is written as the {end} word of {line}?|Find the {end} word in {line}.|please give the {end} word of {line}
    Look at {line}: what is its {end} word?"""
)
VALUE = _wordings(
    """What is the {key}?|what's the {key}|What does it say for {key}?|Read the {key}.|Tell me the {key}.|{key}?
    What is given as {key}?|Which {key} is shown?|Find the {key}.|What is written after {key}?|Give me the {key}.
    What is next to {key}?|Could you tell me the {key}?|please read the {key}|What {key} is printed in the image?
    what is the value of {key}"""
)
AFTER = _wordings(
    """Which word comes after "{word}"?|What follows the word {word}?|what is the word after {word}
    Which word is right of "{word}"?|What is the next word after "{word}"?|Read the word that follows '{word}'.
    What comes after {word}?|after {word} comes which word|Tell me the word following {word}.
    Find the word after "{word}".|Which word follows {word} in the text?|{word} is followed by which word?
    What word stands behind {word}?|Give the word right after {word}.
    Could you tell me what word comes after '{word}'?"""
)
COUNT = _wordings(
    """How many lines of text are there?|how many lines|Count the lines of text.|How many lines does the text have?
    What is the number of lines?|How many rows of text do you see?|Tell me how many lines there are.
    number of text lines?|How many lines are written here?|Please count the lines.
    how many lines of text can you see|Lines in total?|What is the line count?
    Give the number of lines in the image.|Can you count the text lines?"""
)
_ORDINALS = _wordings(
    """first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth
    fifteenth|sixteenth"""
)
_HINTS = (" Answer with a single word or phrase.", " Answer briefly.", " Just the answer.")


def phrase(rng: np.random.Generator, templates: tuple[str, ...], **slots: str) -> str:
    """One wording with its slots filled, in a random manner: case, question mark, politeness, an answer hint."""
    text = templates[int(rng.integers(len(templates)))]
    manner = rng.random(4)
    filled = text.format(**slots)
    head = text.split("{")[0]
    if manner[0] < 0.12 and head:
        filled = filled[0].lower() + filled[1:]
    elif not text.startswith(("{key}", "{word}")):
        filled = filled[0].upper() + filled[1:] if manner[0] < 0.8 else filled
    if manner[1] < 0.1:
        filled = filled.rstrip("?.")
    if manner[2] < 0.06 and head[:1].isalpha():
        filled = ("Please answer: ", "Hi, ", "Look at the image. ", "In the image: ")[int(rng.integers(4))] + filled
    if manner[3] < 0.08:
        filled = filled + ("" if filled[-1] in "?." else ".") + _HINTS[int(rng.integers(len(_HINTS)))]
    return filled


def read_question(rng: np.random.Generator, lines: list[str]) -> Question:
    """Read everything, top to bottom."""
    return Question("read", READ[int(rng.integers(len(READ)))], ("\n".join(lines),), "cer")


def ask(rng: np.random.Generator, templates: tuple[str, ...], answer: str, **slots: str) -> Question:
    """A question with a short answer."""
    return Question("ask", phrase(rng, templates, **slots), (answer,), "anls")


def line_name(rng: np.random.Generator, index: int, count: int) -> str:
    """How people call line `index` (from 0) of `count`."""
    options = [f"line {index + 1}", f"the {_ORDINALS[index]} line", f"line number {index + 1}"]
    if index == count - 1:
        options += ["the last line", "the last line", "the bottom line"]
    if index == 0:
        options += ["the top line", "the first line"]
    return options[int(rng.integers(len(options)))]


def line_questions(rng: np.random.Generator, text: str) -> list[Question]:
    """Reading and one or two questions about a single line."""
    found = [read_question(rng, [text])]
    if rng.random() < 0.5:
        found.append(ask(rng, WHOLE, text))
    parts = text.split(" ")
    if len(parts) > 1:
        first = rng.random() < 0.5
        found.append(ask(rng, FIRST_WORD if first else LAST_WORD, parts[0] if first else parts[-1]))
    return found


def paragraph_questions(rng: np.random.Generator, lines: list[str], *, numbered: bool) -> list[Question]:
    """Reading and up to four questions; `numbered` says that lines can be counted from the top."""
    found = [read_question(rng, lines)]
    count = len(lines)
    if numbered and count > 1:
        index = int(rng.integers(count))
        found.append(ask(rng, LINE, lines[index], line=line_name(rng, index, count)))
        index = int(rng.integers(count))
        parts = lines[index].split(" ")
        if len(parts) > 1 and rng.random() < 0.6:
            end = ("first", "last")[int(rng.integers(2))]
            answer = parts[0] if end == "first" else parts[-1]
            found.append(ask(rng, WORD_OF_LINE, answer, end=end, line=line_name(rng, index, count)))
        if rng.random() < 0.2:
            found.append(Question("ask", phrase(rng, COUNT), (str(count),), "exact"))
    found += _key_questions(rng, lines)
    found += _after_questions(rng, lines)
    if rng.random() < 0.3:
        first = rng.random() < 0.5
        whole = " ".join(lines).split(" ")
        found.append(ask(rng, FIRST_WORD if first else LAST_WORD, whole[0] if first else whole[-1]))
    return found


def _key_questions(rng: np.random.Generator, lines: list[str]) -> list[Question]:
    """The value of a "key: value" line whose key is there once."""
    pairs = [line.split(": ", 1) for line in lines if 0 < line.find(": ") < 16]
    keys = [key for key, _ in pairs]
    pairs = [(key, value) for key, value in pairs if keys.count(key) == 1 and key.replace(" ", "").isalpha()]
    if not pairs:
        return []
    key, value = pairs[int(rng.integers(len(pairs)))]
    return [ask(rng, VALUE, value, key=key if rng.random() < 0.5 else key.lower())]


def _after_questions(rng: np.random.Generator, lines: list[str]) -> list[Question]:
    """The word after another one that is there once, within one line."""
    if rng.random() < 0.6:
        return []
    every = " ".join(lines).split(" ")
    pairs = [
        (first, second)
        for line in lines
        for first, second in zip(line.split(" "), line.split(" ")[1:], strict=False)
        if first.isalpha() and len(first) > 3 and every.count(first) == 1
    ]
    if not pairs:
        return []
    word, answer = pairs[int(rng.integers(len(pairs)))]
    return [ask(rng, AFTER, answer, word=word)]
