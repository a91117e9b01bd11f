"""How people ask about pictures of things: wordings per question type and the manner in which they type them.

    WORDINGS[kind] --pick, fill {slots}--> manner (case, question mark, politeness, hint) --> question

Slots: {names} "dogs", {the} "the dog", {a} "a dog", {color} "red", {other} another "the ...", {side} "left of".
Both splits share the wordings: the concepts' drawings are what the test split has of its own.
"""

from __future__ import annotations

import numpy as np


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().replace("|", "\n").splitlines() if line.strip())


# Written with a capital and the final mark; manner() changes both.
WORDINGS: dict[str, tuple[str, ...]] = {
    "count": _lines("""
        How many {names} are there?|How many {names} are there?|How many {names} are in the image?
        How many {names} can you see?|How many {names} do you see?|How many {names} are shown?|Count the {names}.
        Count the {names} in the image.|What is the number of {names}?|How many {names} are in this picture?
        How many {names} does the picture contain?|Number of {names}?|Tell me how many {names} there are.
        Can you count the {names}?|How many {names} appear here?|What's the count of {names}?
        How many {names} are visible?|Give the number of {names} in the picture.|I need the number of {names}.
        Count how many {names} there are.|How many {names} in total?|How many {names} have been drawn?"""),
    "count_all": _lines("""
        How many objects are there in total?|How many objects are there?|How many things are in the image?
        Count all objects.|How many items can you see?|What is the total number of objects?
        How many objects are in this picture?|How many items are there altogether?|Count everything in the picture.
        How many icons are there?|How many symbols do you see?|How many things are shown in total?
        What's the total count of items?|Total number of objects?|How many objects does the image contain?
        Tell me how many objects there are.|How many separate objects are drawn?
        How many pictures or symbols are there in all?
        Give the total number of things.|Can you count all the items?"""),
    "color": _lines("""
        What color is {the}?|What colour is {the}?|What color is {the}?|What colour is {the}?
        What is the color of {the}?|What is the colour of {the}?|Which color is {the}?|Which colour does {the} have?
        What color does {the} have?|Tell me the color of {the}.|{The} is what color?|Name the colour of {the}.
        Color of {the}?|What's the color of {the}?|What color is {the} in the image?
        Can you tell what colour {the} is?|In what color is {the} drawn?|What hue is {the}?|What is {the}'s color?
        Which color was used for {the}?"""),
    "thing_of_color": _lines("""
        What is {color}?|Which object is {color}?|Which thing is {color}?|What object is {color}?
        What is drawn in {color}?|Which of the objects is {color}?|Name the {color} object.
        What is the {color} object?|What is the {color} thing?|What kind of thing is {color}?|Which item is {color}?
        What is the {color} one?|The {color} object is what?|Tell me what is {color}.|Identify the {color} item.
        What is the {color} icon?"""),
    "where": _lines("""
        Where is {the}?|Where is {the}?|Where is {the} in the image?|Where can I find {the}?|Where is {the} located?
        In which part of the picture is {the}?|What is the position of {the}?|Which part of the image shows {the}?
        Whereabouts is {the}?|Where do you see {the}?|In what area is {the}?|Tell me where {the} is.
        Position of {the}?|Where in the picture is {the}?|Which region of the image has {the}?
        Where was {the} placed?|Describe where {the} is.|At what location is {the}?"""),
    "beside": _lines("""
        What is {side} {the}?|What is {side} {the}?|What's {side} {the}?|Which object is {side} {the}?
        What can you see {side} {the}?|What object is {side} {the}?|What do you see {side} {the}?
        Name the object {side} {the}.|What is located {side} {the}?|What thing is {side} {the}?
        Tell me what is {side} {the}.|Which item is {side} {the}?|What is placed {side} {the}?
        {Side} {the}, what is there?|What is shown {side} {the}?|What lies {side} {the}?
        What is drawn {side} {the}?"""),
    "is_beside": _lines("""
        Is {the} {side} {other}?|Is {the} {side} {other}?|Is {the} located {side} {other}?
        Is {the} placed {side} {other}?|Can {the} be found {side} {other}?|Does {the} appear {side} {other}?
        Is {the} {side} {other} in the image?|Is it true that {the} is {side} {other}?
        Would you say {the} is {side} {other}?|Do you see {the} {side} {other}?|Is {the} drawn {side} {other}?
        {The} is {side} {other}, right?|Is {the} somewhere {side} {other}?|Is {the} positioned {side} {other}?
        Tell me if {the} is {side} {other}.|Is {the} shown {side} {other}?"""),
    "presence": _lines("""
        Is there {a}?|Is there {a}?|Is there {a} in the image?|Is there {a} in this picture?|Can you see {a}?
        Do you see {a}?|Does the image show {a}?|Does the picture contain {a}?|Is {a} shown?|Is {a} visible?
        Are there any {names}?|Are there any {names} in the picture?|Does {a} appear here?|Is {a} present?
        Any {names} here?|Do any {names} appear in the image?|Has {a} been drawn?|Can you spot {a}?
        I am looking for {a}, is there one?"""),
    "is_color": _lines("""
        Is {the} {color}?|Is {the} {color}?|Is {the} {color} in the image?|Is the color of {the} {color}?
        Is the colour of {the} {color}?|Does {the} have the color {color}?|Is {the} drawn in {color}?
        Would you say {the} is {color}?|Is it true that {the} is {color}?|{The} is {color}, right?
        Is {the} colored {color}?|Is {the} coloured {color}?|Do you see that {the} is {color}?
        Tell me if {the} is {color}.|Does {the} look {color}?|Can one say that {the} is {color}?"""),
    "what": _lines("""
        What is this?|What is this?|What is shown?|What is shown in the image?|What do you see?
        What is in the picture?|What's this?|What object is this?|What is it?|Identify the object.|Name this object.
        What does the image show?|What thing is this?|Which object is shown here?|What can you see here?
        What is the object in the image?|What is drawn here?|What's in this image?|Tell me what this is.
        What does this picture depict?"""),
    "biggest": _lines("""
        What is the biggest object?|What is the largest object?|Which object is the biggest?
        Which object is the largest?|What is the biggest thing in the image?|Which thing is the largest?
        Name the largest object.|Name the biggest item.|What's the biggest thing here?|Which item is the biggest?
        What object takes up the most space?|Which of the objects is largest?
        What is the largest item in the picture?|The biggest object is what?|Tell me what the largest object is.
        What is drawn largest?"""),
    "smallest": _lines("""
        What is the smallest object?|Which object is the smallest?|What is the smallest thing in the image?
        Which thing is the smallest?|Name the smallest object.|Name the smallest item.
        What's the smallest thing here?|Which item is the smallest?|What object takes up the least space?
        Which of the objects is smallest?|What is the smallest item in the picture?|The smallest object is what?
        Tell me what the smallest object is.|What is drawn smallest?|What is the tiniest object?"""),
    "placed": _lines("""
        What is {side} of the image?|What is {side} of the picture?|What is {side}?|What's {side}?
        Which object is {side}?|What object is {side} of the image?|What do you see {side}?
        What can you see {side} of the picture?|Name the object {side}.|Which thing is {side}?|What is shown {side}?
        Tell me what is {side} of the image.|What is located {side}?|{Side}, what is there?
        What is drawn {side} of the picture?|Which item is {side} of the image?"""),
    "named": _lines("""
        What is above the word "{word}"?|Which object is labelled "{word}"?|Which icon is labelled {word}?
        What object has the label "{word}"?|What is shown above {word}?|What picture is above the text "{word}"?
        What is the icon for {word}?|Which picture belongs to "{word}"?|What does the icon above "{word}" show?
        What is drawn above the label {word}?|What object is called "{word}"?|Which thing has the caption "{word}"?
        What is pictured over the word {word}?|What's above "{word}"?|Name the object labelled {word}."""),
    "text_of": _lines("""
        What is written under {the}?|What is the label of {the}?|Which word is below {the}?
        What does the text under {the} say?|What is {the} labelled?|What text is under {the}?
        What is the caption of {the}?|Which label does {the} have?|What is {the} called?|Read the word under {the}.
        What word is written below {the}?|What is the text below {the}?|What does it say under {the}?
        What name is given to {the}?|Tell me the label under {the}."""),
    "describe": _lines("""
        Describe the image.|Describe this image.|Describe the picture.|Describe what you see.
        What do you see in this image?|Give a description of the image.|Write a caption for this image.
        Caption this picture.|What is shown in the picture?|Please describe the picture.
        Can you describe this image?|Tell me what is in the picture.|Explain what the image shows.
        What does the image contain?|Write one or two sentences about this image.|What is going on in this picture?
        Give a short description.|List what you see in the image.|Provide a caption."""),
}  # fmt: skip

SIDES: dict[str, tuple[str, ...]] = {
    "left": ("to the left of", "left of", "on the left side of", "on the left of"),
    "right": ("to the right of", "right of", "on the right side of", "on the right of"),
    "above": ("above", "over", "on top of", "higher than"),
    "below": ("below", "under", "beneath", "underneath"),
}

# The first wording of a place is the one to learn; all count as right.
PLACES: dict[tuple[int, int], tuple[str, ...]] = {
    (0, 0): (
        "top left",
        "upper left",
        "in the top left",
        "top left corner",
        "in the top left corner",
        "at the top left",
    ),
    (0, 1): ("top", "top center", "top centre", "top middle", "at the top", "in the upper part"),
    (0, 2): (
        "top right",
        "upper right",
        "in the top right",
        "top right corner",
        "in the top right corner",
        "at the top right",
    ),
    (1, 0): ("left", "middle left", "center left", "on the left", "left side", "on the left side"),
    (1, 1): ("center", "centre", "middle", "in the center", "in the centre", "in the middle"),
    (1, 2): ("right", "middle right", "center right", "on the right", "right side", "on the right side"),
    (2, 0): (
        "bottom left",
        "lower left",
        "in the bottom left",
        "bottom left corner",
        "in the bottom left corner",
        "at the bottom left",
    ),
    (2, 1): ("bottom", "bottom center", "bottom centre", "bottom middle", "at the bottom", "in the lower part"),
    (2, 2): (
        "bottom right",
        "lower right",
        "in the bottom right",
        "bottom right corner",
        "in the bottom right corner",
        "at the bottom right",
    ),
}

# Where something is, to go between a thing and "of the image".
PLACED: dict[tuple[int, int], tuple[str, ...]] = {
    (0, 0): ("in the top left corner", "in the upper left corner", "at the top left"),
    (0, 1): ("at the top", "in the top center"),
    (0, 2): ("in the top right corner", "in the upper right corner", "at the top right"),
    (1, 0): ("on the left", "on the left side"),
    (1, 1): ("in the center", "in the middle", "in the centre"),
    (1, 2): ("on the right", "on the right side"),
    (2, 0): ("in the bottom left corner", "in the lower left corner", "at the bottom left"),
    (2, 1): ("at the bottom", "in the bottom center"),
    (2, 2): ("in the bottom right corner", "in the lower right corner", "at the bottom right"),
}

_HINTS = {
    "number": ("Answer with a number.", "Answer with a single number.", "Just the number.", "Answer in digits."),
    "yes": ("Answer yes or no.", "Yes or no?", "Answer with yes or no.", "Answer with a single word or phrase."),
    "word": (
        "Answer with a single word or phrase.",
        "Answer using a single word or phrase.",
        "Answer briefly.",
        "One word or phrase.",
    ),
    "": (),
}


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def article(name: str) -> str:
    """ "a dog", "an apple"."""
    return ("an " if name[0].lower() in "aeiou" and not name.startswith(("unicorn", "ufo", "user")) else "a ") + name


def capital(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def manner(rng: np.random.Generator, text: str, hint: str) -> str:
    """The question as typed by one person or another: case, final mark, politeness, a hint of the wanted answer."""
    draw = rng.random(4)
    if draw[0] < 0.06:
        text = ("Please answer: " if text.endswith("?") else "Please ") + text[:1].lower() + text[1:]
    elif draw[0] < 0.08:
        text = "Hi! " + text
    if draw[1] < 0.22:
        text = text[:1].lower() + text[1:]
    elif draw[1] < 0.24:
        text = text.upper()
    if draw[2] < 0.22:
        text = text.rstrip("?.")
    if _HINTS[hint] and draw[3] < 0.15:
        text += (" " if text[-1] in "?.!" else ". ") + pick(rng, _HINTS[hint])
    return text


def question(rng: np.random.Generator, kind: str, hint: str = "", **slots: str) -> str:
    """One wording of a question type with its slots filled; {The} and {Side} are the capitalised slots."""
    filled = {**slots, **{capital(key): capital(value) for key, value in slots.items() if key in ("the", "side")}}
    return manner(rng, pick(rng, WORDINGS[kind]).format(**filled), hint)
