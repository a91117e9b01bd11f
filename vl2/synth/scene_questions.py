"""Questions about a Scenery: counting, colour, place, relation, presence, size and naming, each with its sure answer.

    Scenery --every maker that finds something nobody could argue about--> Question or None

A maker returns None when the picture has nothing clear to ask about. The trap: yes and no are balanced by choosing the
answer first, else a model learns to say what is more frequent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vl2.synth.icons import PALETTE, Concept
from vl2.synth.sample import Question
from vl2.synth.scene_phrases import (
    absent_concepts,
    by_size,
    color_is_unique,
    extreme,
    may_be,
    noun,
    plural,
    refer,
    relation,
    singular,
    surely_not,
    third,
)
from vl2.synth.scene_wordings import PLACED, PLACES, SIDES, article, pick, question
from vl2.synth.scenery import Scenery, Thing

Maker = Callable[[np.random.Generator, Scenery], "Question | None"]
NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen",
)  # fmt: skip
_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
# Group -> what people call its members, and concepts of other groups that some would count in.
_GROUPS = {
    "animal": (
        "animals",
        ("teddy bear", "ghost", "robot", "person", "bug", "paw print", "skull", "alien", "seashell", "bone", "snowman"),
    ),
    "fruit": (
        "fruits",
        ("tomato", "avocado", "pumpkin", "eggplant", "chili pepper", "corn cob", "birthday cake", "slice of cake"),
    ),
    "vehicle": ("vehicles", ("shopping cart", "satellite", "wheel", "bed")),
}
# Members of a group that some would not count in.
_DOUBTFUL = frozenset({"skateboard", "kick scooter", "canoe", "rocket", "flying saucer", "dragon", "unicorn"})


def _any(rng: np.random.Generator, things: list[Thing]) -> Thing:
    return things[int(rng.integers(len(things)))]


def plain_reference(rng: np.random.Generator, scenery: Scenery, thing: Thing, *, color: bool = True) -> str | None:
    """A phrase for the thing that says nothing about its place ("the dog", "the red star", "the biggest bell")."""
    same = scenery.groups[thing.concept.index]
    if len(same) == 1:
        return f"the {noun(rng, thing.concept)}"
    if color and color_is_unique(thing, same):
        return f"the {thing.color} {noun(rng, thing.concept)}"
    for word, biggest in (("biggest", True), ("smallest", False)):
        if by_size(same, biggest) is thing:
            return f"the {word} {noun(rng, thing.concept)}"
    return None


def thing_answers(thing: Thing) -> tuple[str, ...]:
    """What counts as naming the thing, the usual name first."""
    names = [pair[0] for pair in thing.concept.names] + list(thing.concept.the_names)
    colored = [f"{thing.color} {name}" for name in names] if thing.color else []
    return tuple(names + colored)


def count_answer(number: int) -> tuple[str, str]:
    """A number in digits and as a word."""
    return str(number), NUMBER_WORDS[number]


# --- counting ------------------------------------------------------------------------------------------------------


def count_each(rng: np.random.Generator, scenery: Scenery) -> list[Question]:
    """How many of every kind that is there."""
    return [
        Question(
            "ask",
            question(rng, "count", "number", names=plural(rng, members[0].concept)),
            count_answer(len(members)),
            "exact",
        )
        for members in scenery.groups.values()
        if len(members) <= 9
    ]


def count_concept(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """How many of a kind that is there."""
    questions = count_each(rng, scenery)
    return questions[int(rng.integers(len(questions)))] if questions else None


def count_absent(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """How many of a kind that is not there: 0; mostly declines, as it can always be asked."""
    if rng.random() < 0.8:
        return None
    concept = absent_concepts(rng, scenery, 1)[0]
    return Question("ask", question(rng, "count", "number", names=plural(rng, concept)), ("0", "zero", "none"), "exact")


def count_all(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """How many things altogether; not where words might be counted too."""
    if any(thing.text for thing in scenery.things):
        return None
    return Question("ask", question(rng, "count_all", "number"), count_answer(len(scenery.things)), "exact")


def count_colored(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """How many of a kind and colour, or of a colour, when all colours are known."""
    colored = [thing for thing in scenery.things if thing.drawing.paintable]
    if not colored:
        return None
    target = _any(rng, colored)
    members = scenery.groups[target.concept.index] if rng.random() < 0.7 else scenery.things
    color = target.color
    if any(thing.color != color and not surely_not(thing, color) for thing in members):
        return None
    number = sum(thing.color == color for thing in members)
    if number > 9:
        return None
    word = pick(rng, ("objects", "things", "items")) if members is scenery.things else plural(rng, target.concept)
    return Question("ask", question(rng, "count", "number", names=f"{color} {word}"), count_answer(number), "exact")


def count_group(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """How many animals, fruits or vehicles."""
    group = pick(rng, tuple(_GROUPS))
    word, doubtful = _GROUPS[group]
    number = sum(thing.concept.group == group for thing in scenery.things)
    if not 0 < number <= 9 or any(
        thing.concept.name in doubtful or thing.concept.name in _DOUBTFUL for thing in scenery.things
    ):
        return None
    return Question("ask", question(rng, "count", "number", names=word), count_answer(number), "exact")


# --- colour --------------------------------------------------------------------------------------------------------


def color_of(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """What colour a thing has."""
    colored = [thing for thing in scenery.things if thing.color and thing.color not in thing.concept.name]
    if not colored:
        return None
    thing = _any(rng, colored)
    groups = [[p for p in group if thing.color not in p] for group in refer(rng, scenery, thing)]
    phrases = [phrase for group in groups for phrase in group]
    if not phrases:
        return None
    answers = (thing.color, "gray") if thing.color == "grey" else (thing.color,)
    return Question("ask", question(rng, "color", "word", the=pick(rng, tuple(phrases))), answers, "exact")


def thing_of_color(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """Which thing has a colour that only it has."""
    unique = [thing for thing in scenery.things if color_is_unique(thing, scenery.things)]
    if not unique or len(scenery.things) < 2:
        return None
    thing = _any(rng, unique)
    return Question("ask", question(rng, "thing_of_color", "word", color=thing.color), thing_answers(thing))


def is_color(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """Whether a thing has a colour."""
    thing = _any(rng, scenery.things)
    reference = plain_reference(rng, scenery, thing, color=False)
    if reference is None or not thing.color:
        return None
    wrong = [color for color in PALETTE if surely_not(thing, color)]
    yes = rng.random() < 0.5
    color = thing.color if yes else wrong[int(rng.integers(len(wrong)))]
    return Question(
        "ask", question(rng, "is_color", "yes", the=reference, color=color), ("yes" if yes else "no",), "exact"
    )


# --- place and relation --------------------------------------------------------------------------------------------


def where(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """In which ninth of the picture a thing is."""
    clear = [thing for thing in scenery.things if third(thing, scenery) is not None]
    if not clear:
        return None
    thing = _any(rng, clear)
    cell, reference = third(thing, scenery), plain_reference(rng, scenery, thing)
    if reference is None or cell is None:
        return None
    return Question("ask", question(rng, "where", "word", the=reference), PLACES[cell])


def placed(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """What is in a corner, at an edge or in the middle, when only one thing can be meant."""
    thing = _any(rng, scenery.things)
    cell = third(thing, scenery)
    if cell is None or len(scenery.things) == 1:
        return None
    for other in scenery.things:
        dx = abs(other.center[0] - thing.center[0]) / scenery.width
        dy = abs(other.center[1] - thing.center[1]) / scenery.height
        clear = (
            dx > 0.3
            if cell[0] == 1 and cell[1] != 1
            else dy > 0.3
            if cell[1] == 1 and cell[0] != 1
            else max(dx, dy) > 0.3
        )
        if other is not thing and not clear:
            return None
    # an edge without a corner must be empty but for this thing
    if 1 in cell and cell != (1, 1):
        axis, sign = (0, cell[1] - 1) if cell[0] == 1 else (1, cell[0] - 1)
        if extreme(scenery.things, axis, sign, scenery) is not thing:
            return None
    return Question("ask", question(rng, "placed", "word", side=pick(rng, PLACED[cell])), thing_answers(thing))


def _only_one_beside(scenery: Scenery, side: str, anchor: Thing) -> Thing | None:
    """The one thing on this side of the anchor, if no other could be meant."""
    found = [thing for thing in scenery.things if thing is not anchor and relation(thing, anchor) == side]
    if len(found) != 1:
        return None
    for other in scenery.things:
        doubtful = other is not anchor and other is not found[0] and may_be(other, side, anchor)
        if doubtful and relation(other, anchor) in ("", side):
            return None
    return found[0]


def beside(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """What is to the left of, to the right of, above or below a thing."""
    anchor = _any(rng, scenery.things)
    reference = plain_reference(rng, scenery, anchor)
    if reference is None:
        return None
    if scenery.layout == "row" and rng.random() < 0.8:  # the neighbour in a row
        step = 1 if rng.random() < 0.5 else -1
        neighbours = [thing for thing in scenery.things if thing.column == anchor.column + step]
        words = pick(rng, ("directly {} of", "immediately {} of", "right next to and {} of"))
        side = words.format("to the right" if step > 0 else "to the left")
        found = neighbours[0] if neighbours else None
    else:
        sides = [side for side in SIDES if _only_one_beside(scenery, side, anchor)]
        if not sides:
            return None
        name = sides[int(rng.integers(len(sides)))]
        found, side = _only_one_beside(scenery, name, anchor), pick(rng, SIDES[name])
    if found is None:
        return None
    return Question("ask", question(rng, "beside", "word", side=side, the=reference), thing_answers(found))


def is_beside(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """Whether one thing is on a side of another."""
    if len(scenery.things) < 2:
        return None
    thing, other = (scenery.things[i] for i in rng.permutation(len(scenery.things))[:2])
    side = relation(thing, other)
    first, second = plain_reference(rng, scenery, thing), plain_reference(rng, scenery, other)
    if not side or first is None or second is None:
        return None
    yes = rng.random() < 0.5
    words = pick(rng, SIDES[side if yes else _OPPOSITE[side]])
    text = question(rng, "is_beside", "yes", the=first, side=words, other=second)
    return Question("ask", text, ("yes" if yes else "no",), "exact")


# --- presence, size, name, words -----------------------------------------------------------------------------------


def presence(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """Whether there is one of a kind."""
    yes = rng.random() < 0.5
    concept: Concept = _any(rng, scenery.things).concept if yes else absent_concepts(rng, scenery, 1)[0]
    text = question(rng, "presence", "yes", a=article(singular(rng, concept)), names=plural(rng, concept))
    return Question("ask", text, ("yes" if yes else "no",), "exact")


def what(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """What the single thing is."""
    if len(scenery.things) != 1 or scenery.things[0].text:
        return None
    return Question("ask", question(rng, "what", "word"), thing_answers(scenery.things[0]))


def sized(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """What the clearly biggest or smallest thing is."""
    biggest = rng.random() < 0.5
    thing = by_size(scenery.things, biggest)
    if thing is None:
        return None
    return Question("ask", question(rng, "biggest" if biggest else "smallest", "word"), thing_answers(thing))


def named(rng: np.random.Generator, scenery: Scenery) -> Question | None:
    """Which thing has a word under it, or which word is under a thing."""
    worded = [t for t in scenery.things if t.text and [o.text for o in scenery.things].count(t.text) == 1]
    if not worded:
        return None
    thing = _any(rng, worded)
    if rng.random() < 0.5:
        return Question("ask", question(rng, "named", "word", word=thing.text), thing_answers(thing))
    phrases = [p for group in refer(rng, scenery, thing) for p in group if thing.text not in p]
    if not phrases:
        return None
    return Question("ask", question(rng, "text_of", "word", the=pick(rng, tuple(phrases))), (thing.text,))


COUNTING: tuple[Maker, ...] = (count_all, count_absent, count_colored, count_colored, count_group)
ASKING: tuple[Maker, ...] = (
    color_of, color_of, thing_of_color, is_color, where, where, placed, placed, beside, beside, beside, is_beside,
    presence, sized, what, what, named, named,
)  # fmt: skip


def ask_several(rng: np.random.Generator, scenery: Scenery, makers: tuple[Maker, ...], count: int) -> list[Question]:
    """Up to `count` questions of different makers or answers; none if no maker finds anything in many tries."""
    questions: dict[tuple[str, tuple[str, ...]], Question] = {}
    for _ in range(6 * count + 10):
        if len(questions) == count:
            break
        maker = makers[int(rng.integers(len(makers)))]
        made = maker(rng, scenery)
        if made is not None:
            questions.setdefault((maker.__name__, made.answers), made)
    return list(questions.values())
