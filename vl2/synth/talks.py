"""Task "dialogue": questions whose follow-ups refer to what was said, and refusals to talk of absent things.

    "Is there a dog?" yes --> "Where is it?" top left --> "What colour is it?" brown     Question.then
    "What colour is the zebra?" --> "There is no zebra in the image."

The trap: "it" must be one thing, so that follow-ups are made only about things that are alone of their kind.
"""

import numpy as np

from vl2.processing.boxes import Region
from vl2.synth import scenes
from vl2.synth.sample import Question, Sample
from vl2.synth.scene_phrases import absent_concepts, noun, plural, third
from vl2.synth.scene_questions import count_answer, thing_answers
from vl2.synth.scene_wordings import PLACED, article
from vl2.synth.scenery import Plan, Scenery, Thing
from vl2.synth.values import chance, pick

_IS_THERE = (
    "Is there {a} in the picture?",
    "Can you see {a}?",
    "Do you see {a} here?",
    "is there {a}",
    "Does the image show {a}?",
)
_HOW_MANY = ("How many {names} are there?", "how many {names} do you see", "Count the {names}.", "How many {names}?")
_WHERE = ("Where is it?", "And where is it?", "where", "Where in the image is it?", "Tell me its place.")
_COLOUR = (
    "What colour is it?",
    "And its color?",
    "Which colour does it have?",
    "what color",
    "In which colour is it drawn?",
)
_BOX = ("it", "that one", "this thing", "its box", "exactly that")
_WHAT_ELSE = (
    "What else is there?",
    "What other things are in the picture?",
    "And what else can you see?",
    "Anything else?",
)
_OTHERS = ("And how many {names}?", "How about {names}?", "And {names}?", "What about the {names}?")
_OF_ABSENT = (
    "What colour is the {name}?", "Where is the {name}?", "How big is the {name}?", "What is next to the {name}?",
    "Describe the {name}.", "What is the {name} doing?", "Is the {name} on the left or on the right?",
)  # fmt: skip


def generate(rng: np.random.Generator, split: str) -> Sample:
    """Two or three beginnings of a conversation."""
    counts = [1 if chance(rng, 0.6) else int(rng.integers(2, 5)) for _ in range(int(rng.integers(2, 6)))]
    scenery = scenes.filled(rng, split, Plan(counts))
    asked: list[Question] = []
    for members in scenery.groups.values():
        asked.append(_about_one(rng, scenery, members[0]) if len(members) == 1 else _about_many(rng, scenery, members))
    absent = absent_concepts(rng, scenery, 2)
    for concept in absent:
        name = noun(rng, concept)
        refusal = (f"There is no {name} in the image.", "not in the image", f"no {name}")
        asked.append(Question("ask", pick(rng, _OF_ABSENT).format(name=name), refusal))
    missing = article(absent[0].names[0][0])
    asked.append(
        Question(
            "ask", pick(rng, _IS_THERE).format(a=missing), ("no",), "exact", then=(_what_else(rng, scenery, None),)
        )
    )
    finished = scenery.finish(rng)
    chosen = [asked[i] for i in rng.permutation(len(asked)).tolist()]
    return Sample("dialogue", finished.image, tuple(chosen), *finished.marks)


def _about_one(rng: np.random.Generator, scenery: Scenery, thing: Thing) -> Question:
    """Presence, then place, colour and box of the same thing in some order."""
    then: list[Question] = []
    cell = third(thing, scenery)
    if cell is not None:
        then.append(Question("ask", pick(rng, _WHERE), tuple(PLACED[cell])))
    if thing.color:
        then.append(Question("ask", pick(rng, _COLOUR), (thing.color,), "exact"))
    phrase = pick(rng, _BOX)
    then.append(Question("ground", phrase, (), "iou", (Region(phrase, thing.box),)))
    if chance(rng, 0.4):
        then.append(_what_else(rng, scenery, thing))
    order = [then[i] for i in rng.permutation(len(then)).tolist()]
    a = article(thing.concept.names[0][0])
    return Question(
        "ask", pick(rng, _IS_THERE).format(a=a), ("yes",), "exact", then=tuple(order[: int(rng.integers(1, 4))])
    )


def _about_many(rng: np.random.Generator, scenery: Scenery, members: list[Thing]) -> Question:
    """A number, and then the number of something else."""
    others = [group for group in scenery.groups.values() if group is not members]
    then: tuple[Question, ...] = ()
    if others:
        group = others[int(rng.integers(len(others)))]
        wording = pick(rng, _OTHERS).format(names=plural(rng, group[0].concept))
        then = (Question("ask", wording, count_answer(len(group)), "exact"),)
    wording = pick(rng, _HOW_MANY).format(names=plural(rng, members[0].concept))
    return Question("ask", wording, count_answer(len(members)), "exact", then=then)


def _what_else(rng: np.random.Generator, scenery: Scenery, said: Thing | None) -> Question:
    """The other kinds, from left to right."""
    groups = [group for group in scenery.groups.values() if said is None or group[0].concept is not said.concept]
    groups.sort(key=lambda group: min(thing.box.x0 for thing in group))
    kinds = [thing_answers(group[0])[0] if len(group) == 1 else group[0].concept.names[0][1] for group in groups]
    if not kinds:
        return Question("ask", pick(rng, _WHAT_ELSE), ("Nothing else.", "nothing"))
    return Question("ask", pick(rng, _WHAT_ELSE), (", ".join(kinds),))
