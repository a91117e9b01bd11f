"""Scenes of drawn things and geometric figures: grounding, counting, questions and grounded captions.

    rng, split --plan what to draw--> build_scenery --ask--> Sample
    ground: phrases with boxes   count: how many   scene: colour, place, presence ...   caption: a described picture

Regions of one label that follow one another in a caption belong to one phrase ("three apples" has three boxes).
The trap: a planned thing may not find a place, so answers come from the things drawn, never from the plan.
"""

from __future__ import annotations

import numpy as np

from vl2.processing.boxes import Region
from vl2.synth.sample import Question, Sample
from vl2.synth.scene_phrases import refer, refer_absent, refer_many, relation, third
from vl2.synth.scene_questions import ASKING, COUNTING, NUMBER_WORDS, ask_several, count_concept, count_each, presence
from vl2.synth.scene_wordings import PLACED, SIDES, article, capital, pick, question
from vl2.synth.scenery import Plan, Scenery, Thing, build_scenery


def _finish(rng: np.random.Generator, task: str, scenery: Scenery, questions: list[Question]) -> Sample:
    picture = scenery.finish(rng)
    return Sample(task, picture.image, tuple(questions), *picture.marks)


def filled(rng: np.random.Generator, split: str, plan: Plan) -> Scenery:
    """A scenery with at least one thing (all may fail to stand out from a rare background)."""
    while True:
        scenery = build_scenery(rng, split, plan)
        if scenery.things:
            return scenery


def _layout(rng: np.random.Generator, free: float) -> str:
    draw = rng.random()
    return "free" if draw < free else ("row", "grid", "grid", "column")[int(4 * (draw - free) / (1 - free))]


def _few_of_each(rng: np.random.Generator, kinds: int, most: int) -> list[int]:
    """Counts of `kinds` kinds: mostly one, sometimes two or three; `most` in all."""
    counts = [1 if draw < 0.62 else 2 if draw < 0.86 else 3 for draw in rng.random(kinds).tolist()]
    while sum(counts) > most and len(counts) > 1:
        counts.pop()
    return counts


def generate_ground(rng: np.random.Generator, split: str) -> Sample:
    """Phrases to locate: single things, several at once, and absent ones; and some counting."""
    plan = Plan(
        _few_of_each(rng, int(rng.integers(1, 7)), 12),
        _layout(rng, 0.7),
        bool(rng.random() < 0.3),
        bool(rng.random() < 0.5),
    )
    scenery = filled(rng, split, plan)
    questions = find_several(rng, scenery, int(rng.integers(5, 15)))
    return _finish(rng, "ground", scenery, questions + count_each(rng, scenery)[:2])


def find_several(rng: np.random.Generator, scenery: Scenery, wanted: int, many: float = 0.2) -> list[Question]:
    """Up to `wanted` different phrases to locate; `many`: how often a phrase is for several things."""
    questions: dict[str, Question] = {}
    for _ in range(3 * wanted):
        if len(questions) == wanted:
            break
        phrase, things = _phrase(rng, scenery, many)
        if phrase:
            regions = tuple(Region(phrase, thing.box) for thing in sorted(things, key=_reading_order))
            questions.setdefault(phrase.lower(), Question("ground", phrase, metric="iou", regions=regions))
    return list(questions.values())


def _reading_order(thing: Thing) -> tuple[float, float]:
    """Boxes of one phrase are listed from left to right, then from top to bottom."""
    return thing.box.x0, thing.box.y0


def _phrase(rng: np.random.Generator, scenery: Scenery, many: float) -> tuple[str, list[Thing]]:
    """A phrase and what it points at; "" if the chosen thing cannot be told from the others."""
    draw = rng.random()
    if draw < 0.16:
        phrase, things = refer_absent(rng, scenery), []
    elif draw < 0.16 + many and (several := refer_many(rng, scenery)) is not None:
        phrase, things = several
    else:
        thing = scenery.things[int(rng.integers(len(scenery.things)))]
        groups = refer(rng, scenery, thing)
        if not groups:
            return "", []
        phrase, things = pick(rng, tuple(groups[int(rng.integers(len(groups)))])), [thing]
    manner = rng.random()
    if manner < 0.12 and not phrase.startswith("the last"):
        phrase = phrase.removeprefix("the ")
    elif manner < 0.2:
        phrase = capital(phrase)
    return phrase, things


def generate_count(rng: np.random.Generator, split: str) -> Sample:
    """How many of a kind, of a colour, of a group, or altogether; 0 to 9 of a kind. And some to locate."""
    return _count(rng, split, "count", least=1)


def generate_count_many(rng: np.random.Generator, split: str) -> Sample:
    """As `generate_count`, with five or more of the first kind: fewer are easily counted."""
    return _count(rng, split, "count-many", least=5)


def _count(rng: np.random.Generator, split: str, task: str, least: int) -> Sample:
    """A picture of things to count; of the first kind at least `least` are planned."""
    counts = [int(rng.integers(least, 10))]
    for _ in range(int(rng.integers(0, 4))):
        counts.append(int(rng.integers(1, 6)))
        if sum(counts) > 13:
            counts.pop()
    scenery = filled(rng, split, Plan(counts, _layout(rng, 0.75), False, bool(rng.random() < 0.6)))
    counting = count_each(rng, scenery) + ask_several(rng, scenery, COUNTING, int(rng.integers(1, 5)))
    questions = [counting[number] for number in rng.permutation(len(counting))]
    return _finish(rng, task, scenery, questions + find_several(rng, scenery, int(rng.integers(1, 4)), many=0.6))


def generate_scene(rng: np.random.Generator, split: str) -> Sample:
    """Colour, place, relation, presence, size, name and label questions; and some things to locate."""
    kinds = 1 if rng.random() < 0.12 else int(rng.integers(2, 6))
    counts = [1] if kinds == 1 else _few_of_each(rng, kinds, 8) if rng.random() < 0.5 else [1] * kinds
    scenery = filled(rng, split, Plan(counts, _layout(rng, 0.68), bool(rng.random() < 0.5)))
    questions = ask_several(rng, scenery, ASKING, int(rng.integers(5, 13)))
    if not questions:
        made = presence(rng, scenery)
        assert made is not None
        questions = [made]
    return _finish(rng, "scene", scenery, questions + find_several(rng, scenery, int(rng.integers(0, 4))))


# --- captions ------------------------------------------------------------------------------------------------------


def _mention(members: list[Thing]) -> str:
    """ "a dog", "three red circles": the colour if all have it and are painted, or made by people."""
    concept, color = members[0].concept, members[0].color
    told = members[0].drawing.paintable or concept.group in ("vehicle", "clothing", "toy", "object")
    if not told or not color or color in concept.name or any(thing.color != color for thing in members):
        color = ""
    name = concept.names[0][0 if len(members) == 1 else 1]
    colored = f"{color} {name}" if color else name
    return article(colored) if len(members) == 1 else f"{NUMBER_WORDS[len(members)]} {colored}"


def _place(scenery: Scenery, members: list[Thing]) -> str:
    """Where all of the members are: a ninth, or else a common third; "" if they are spread."""
    cells = [third(thing, scenery) for thing in members]
    if len(members) == 1:
        return PLACED[cells[0]][0] if cells[0] is not None else ""
    xs = [thing.center[0] / scenery.width for thing in members]
    ys = [thing.center[1] / scenery.height for thing in members]
    if max(xs) < 0.42:
        return "on the left"
    if min(xs) > 0.58:
        return "on the right"
    if max(ys) < 0.42:
        return "at the top"
    return "at the bottom" if min(ys) > 0.58 else ""


def _listing(phrases: list[str]) -> str:
    """ "a, b and c"."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _clauses(groups: list[list[Thing]], places: list[str]) -> str:
    """ "A dog is in the top left corner, and three apples are on the left"; every group has a place."""
    clauses = [
        f"{_mention(members)} {'is' if len(members) == 1 else 'are'} {place}"
        for members, place in zip(groups, places, strict=True)
    ]
    return capital(f"{clauses[0]}, and {clauses[1]}" if len(clauses) == 2 else _listing(clauses))


def write_caption(rng: np.random.Generator, scenery: Scenery) -> tuple[str, tuple[Region, ...]]:
    """A true caption, and the regions of its phrases in the order of the text."""
    groups = sorted(scenery.groups.values(), key=lambda members: min((t.box.y0 // 64, t.box.x0) for t in members))
    draw = rng.random()
    one_each = [members for members in groups if len(members) == 1]
    side = relation(groups[0][0], groups[1][0]) if len(groups) == 2 == len(one_each) else ""
    places = [_place(scenery, members) for members in groups]
    if len(groups) == 1 and draw < 0.6:
        text = f"{capital(_mention(groups[0]))} {places[0]}".rstrip()
    elif side and draw < 0.6:
        text = f"{capital(_mention(groups[0]))} is {SIDES[side][0]} {_mention(groups[1])}"
    elif draw < 0.6 and all(places):
        text = _clauses(groups, places)
    else:
        verb = "is" if len(groups[0]) == 1 else "are"
        start = pick(rng, (f"There {verb}", "The image shows", "The picture shows"))
        placed = draw < 0.8  # each with its place, or a bare list
        phrases = [
            f"{_mention(members)} {place if placed else ''}".rstrip()
            for members, place in zip(groups, places, strict=True)
        ]
        text = f"{start} {_listing(phrases)}"
    if scenery.background and rng.random() < 0.35:
        text += f" on {article(scenery.background)} background"
    text += "."
    regions = []
    position = 0
    for members in groups:
        phrase = _mention(members)
        found = text.lower().index(phrase.lower(), position)
        label = text[found : found + len(phrase)]
        position = found + len(phrase)
        regions += [Region(label, thing.box) for thing in sorted(members, key=_reading_order)]
    return text, tuple(regions)


def generate_caption(rng: np.random.Generator, split: str) -> Sample:
    """A grounded caption, the plain caption, and now and then a question."""
    counts = _few_of_each(rng, int(rng.integers(1, 5)), 8)
    scenery = filled(rng, split, Plan(counts, _layout(rng, 0.85)))
    text, regions = write_caption(rng, scenery)
    questions = [
        Question("describe", question(rng, "describe"), (text,), regions=regions),
        Question("ask", question(rng, "describe"), (text,)),
    ]
    if rng.random() < 0.4:
        questions += ask_several(rng, scenery, (count_concept, *COUNTING, *ASKING), 1)
    return _finish(rng, "caption", scenery, questions)
