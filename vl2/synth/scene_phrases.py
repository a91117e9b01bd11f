"""Phrases that point at exactly one thing, at several, or at none, in a Scenery.

    Scenery, Thing --every kind of phrase that is true of this thing alone--> refer() -> list of phrases
    refer_many -> ("all the apples", things)     refer_absent -> a phrase that is true of nothing

A phrase is only made when nobody could argue: "left" needs a clear margin, "biggest" a clearly larger area, a colour
needs the colours of all rivals to be known. The trap: a thing without a colour word may well be red, so it blocks such
phrases.
"""

from __future__ import annotations

import numpy as np

from vl2.synth.icons import PALETTE, Concept, concepts
from vl2.synth.scene_wordings import SIDES, pick
from vl2.synth.scenery import Scenery, Thing

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_THING_WORDS = ("object", "thing", "item", "icon", "symbol")
_ABSENT_PLACES = (
    "on the left",
    "on the right",
    "at the top",
    "at the bottom",
    "in the top right corner",
    "in the middle",
)
_BIGGEST = ("biggest", "largest")
# Colours that people may mix up in drawings with several shades.
_CLOSE = {
    frozenset(pair)
    for pair in (
        ("red", "orange"), ("red", "pink"), ("red", "brown"), ("purple", "pink"), ("purple", "blue"),
        ("orange", "yellow"),
        ("orange", "brown"), ("black", "grey"), ("white", "grey"), ("brown", "black"),
    )
}  # fmt: skip


def noun(rng: np.random.Generator, concept: Concept) -> str:
    """A name of the concept that goes after "the"."""
    if concept.the_names and rng.random() < 0.5:
        return pick(rng, concept.the_names)
    return concept.names[0][0] if len(concept.names) == 1 or rng.random() < 0.7 else singular(rng, concept)


def singular(rng: np.random.Generator, concept: Concept) -> str:
    """Any singular name of the concept."""
    return concept.names[int(rng.integers(len(concept.names)))][0]


def plural(rng: np.random.Generator, concept: Concept) -> str:
    """A plural name, mostly the usual one."""
    number = 0 if rng.random() < 0.7 else int(rng.integers(len(concept.names)))
    return concept.names[number][1]


def surely_not(thing: Thing, color: str) -> bool:
    """Whether nobody would call the thing this colour."""
    if not thing.color or thing.color == color:
        return False
    return thing.drawing.paintable or frozenset((thing.color, color)) not in _CLOSE


def color_is_unique(thing: Thing, others: list[Thing]) -> bool:
    """Whether the thing's colour sets it apart from all others."""
    if not thing.color or thing.color in thing.concept.name:
        return False
    return all(other is thing or surely_not(other, thing.color) for other in others)


def extreme(things: list[Thing], axis: int, sign: int, scenery: Scenery) -> Thing | None:
    """The thing furthest to one side (axis 0 x, 1 y; sign -1 low, 1 high), if it is so by a clear margin."""
    ordered = sorted(things, key=lambda thing: sign * thing.center[axis], reverse=True)
    if len(ordered) < 2:
        return None
    margin = sign * (ordered[0].center[axis] - ordered[1].center[axis])
    extent = scenery.width if axis == 0 else scenery.height
    half = (ordered[0].box[2 + axis] - ordered[0].box[axis]) / 2
    return ordered[0] if margin > max(0.06 * extent, half) else None


def by_size(things: list[Thing], biggest: bool) -> Thing | None:
    """The clearly biggest or smallest thing (area 1.5 times the next, longer side 1.2 times)."""
    ordered = sorted(things, key=lambda thing: thing.area, reverse=biggest)
    if len(ordered) < 2:
        return None

    def side(thing: Thing) -> float:
        return max(thing.box.x1 - thing.box.x0, thing.box.y1 - thing.box.y0)

    first, second = (ordered[0], ordered[1]) if biggest else (ordered[1], ordered[0])
    return ordered[0] if first.area > 1.5 * second.area and side(first) > 1.2 * side(second) else None


def relation(thing: Thing, anchor: Thing) -> str:
    """ "left", "right", "above" or "below" when the thing clearly lies there seen from the anchor, else ""."""
    dx, dy = thing.center[0] - anchor.center[0], thing.center[1] - anchor.center[1]
    if abs(dx) > 1.6 * abs(dy) and (thing.box.x1 <= anchor.box.x0 or thing.box.x0 >= anchor.box.x1):
        return "left" if dx < 0 else "right"
    if abs(dy) > 1.6 * abs(dx) and (thing.box.y1 <= anchor.box.y0 or thing.box.y0 >= anchor.box.y1):
        return "above" if dy < 0 else "below"
    return ""


def may_be(thing: Thing, side: str, anchor: Thing) -> bool:
    """Whether somebody could say that the thing is on this side of the anchor."""
    axis, sign = {"left": (0, -1), "right": (0, 1), "above": (1, -1), "below": (1, 1)}[side]
    return sign * (thing.center[axis] - anchor.center[axis]) > 0


def third(thing: Thing, scenery: Scenery) -> tuple[int, int] | None:
    """(row, column) of the third of the picture that the thing is plainly in, else None."""
    cells = []
    for value, extent in zip(reversed(thing.center), (scenery.height, scenery.width), strict=True):
        share = value / extent
        cell = 0 if share < 0.32 else 2 if share > 0.68 else 1 if 0.4 < share < 0.6 else None
        if cell is None:
            return None
        cells.append(cell)
    return cells[0], cells[1]


def _sided(rng: np.random.Generator, scenery: Scenery, thing: Thing, same: list[Thing], name: str) -> list[str]:
    """Phrases that pick one of several alike by its side."""
    phrases = []
    words = {
        (0, -1): ("left", "leftmost", "furthest to the left"),
        (0, 1): ("right", "rightmost", "furthest to the right"),
        (1, -1): ("top", "topmost", "nearest to the top"),
        (1, 1): ("bottom", "lowest", "nearest to the bottom"),
    }
    for (axis, sign), (side, most, far) in words.items():
        if extreme(same, axis, sign, scenery) is not thing:
            continue
        place = "on the" if axis == 0 else "at the"
        phrases.append(f"the {name} {place} {side}")
        phrases.append(pick(rng, (f"the {most} {name}", f"the {side} {name}", f"the {name} {far}")))
        if len(same) == 2 and axis == 1:
            phrases.append(f"the {'upper' if sign < 0 else 'lower'} {name}")
    return phrases


def _cornered(scenery: Scenery, thing: Thing, same: list[Thing], name: str) -> list[str]:
    """ "the dog in the top left corner" when it alone is in that quarter."""
    cell = third(thing, scenery)
    if cell is None or 1 in cell:
        return []
    high, left = cell[0] == 0, cell[1] == 0
    for other in same:
        x, y = other.center
        beside = x < 0.55 * scenery.width if left else x > 0.45 * scenery.width
        level = y < 0.55 * scenery.height if high else y > 0.45 * scenery.height
        if other is not thing and beside and level:
            return []
    corner = f"{'top' if high else 'bottom'} {'left' if left else 'right'}"
    return [f"the {name} in the {corner} corner", f"the {corner} {name}", f"the {name} in the {corner}"]


def _related(rng: np.random.Generator, scenery: Scenery, thing: Thing, same: list[Thing], name: str) -> list[str]:
    """ "the cat above the car" when the car is the only one and no other cat could be meant."""
    phrases = []
    for members in scenery.groups.values():
        anchor = members[0]
        if len(members) > 1 or anchor.concept is thing.concept:
            continue
        side = relation(thing, anchor)
        if side and not any(may_be(other, side, anchor) for other in same if other is not thing):
            phrases.append(f"the {name} {pick(rng, SIDES[side])} the {noun(rng, anchor.concept)}")
    return phrases


def _ordinal(rng: np.random.Generator, scenery: Scenery, thing: Thing) -> list[str]:
    """ "the second icon from the left", "the third object in the second row"."""
    word = pick(rng, _THING_WORDS)
    if scenery.layout == "row":
        place, count, ends = thing.column, scenery.columns, ("left", "right")
    elif scenery.layout == "column":
        place, count, ends = thing.row, scenery.rows, ("top", "bottom")
    elif scenery.layout == "grid" and scenery.rows > 1 and thing.row < 10 and thing.column < 10:
        row, column = _ORDINALS[thing.row], _ORDINALS[thing.column]
        phrases = [f"the {column} {word} in the {row} row"]
        if thing.row == 0 or thing.row == scenery.rows - 1:
            phrases.append(f"the {column} {word} in the {'top' if thing.row == 0 else 'bottom'} row")
        return phrases
    else:
        return []
    phrases = []
    if place < 10:
        phrases.append(f"the {_ORDINALS[place]} {word} from the {ends[0]}")
    if count - 1 - place < 10:
        back = count - 1 - place
        phrases.append(f"the {_ORDINALS[back]} {word} from the {ends[1]}" if back else f"the last {word}")
    if place == 0:
        phrases.append(f"the first {word}")
    return phrases


def refer(rng: np.random.Generator, scenery: Scenery, thing: Thing) -> list[list[str]]:
    """All phrases that mean this thing alone, in groups of one manner each (empty groups left out)."""
    same = scenery.groups[thing.concept.index]
    name = noun(rng, thing.concept)
    alone = len(same) == 1
    groups = [[f"the {name}"], [f"the {name}"]] if alone else []
    colored = bool(thing.color) and color_is_unique(thing, same)
    if colored:
        groups.append([f"the {thing.color} {name}"])
    if not alone:
        groups.append(_sided(rng, scenery, thing, same, name))
        groups.append(_cornered(scenery, thing, same, name))
        if by_size(same, True) is thing:
            groups.append(
                [f"the {pick(rng, ('bigger', 'larger') if len(same) == 2 else _BIGGEST)} {name}", f"the biggest {name}"]
            )
        if by_size(same, False) is thing:
            groups.append([f"the {'smaller' if len(same) == 2 and rng.random() < 0.5 else 'smallest'} {name}"])
    groups.append(_related(rng, scenery, thing, same, name))
    groups.append(_ordinal(rng, scenery, thing))
    word = pick(rng, _THING_WORDS)
    if color_is_unique(thing, scenery.things) and len(scenery.things) > 1:
        groups.append([f"the {thing.color} {word}"])
    if by_size(scenery.things, True) is thing:
        groups.append([f"the {pick(rng, _BIGGEST)} {word}"])
    if by_size(scenery.things, False) is thing:
        groups.append([f"the smallest {word}"])
    if thing.text and [other.text for other in scenery.things].count(thing.text) == 1:
        groups.append(
            [
                f'the {word} labelled "{thing.text}"',
                f"the {word} above the word {thing.text}",
                f"the icon for {thing.text}",
            ]
        )
    return [group for group in groups if group]


def refer_many(rng: np.random.Generator, scenery: Scenery) -> tuple[str, list[Thing]] | None:
    """A phrase for several things: all of a kind, of a kind and colour, or of a colour."""
    several = [members for members in scenery.groups.values() if len(members) > 1]
    if not several:
        return None
    members = several[int(rng.integers(len(several)))]
    name = plural(rng, members[0].concept)
    color = members[0].color
    if color and color not in members[0].concept.name and rng.random() < 0.45:
        chosen = [thing for thing in members if thing.color == color]
        if all(thing.color == color or surely_not(thing, color) for thing in members) and len(chosen) > 1:
            return pick(
                rng,
                (
                    f"all the {color} {name}",
                    f"the {color} {name}",
                    f"all {color} {name}",
                    f"every {color} one of the {name}",
                ),
            ), chosen
    return pick(
        rng,
        (
            f"all the {name}",
            f"all the {name}",
            f"the {name}",
            f"all {name}",
            f"every one of the {name}",
            f"each of the {name}",
        ),
    ), members


def absent_concepts(rng: np.random.Generator, scenery: Scenery, count: int) -> list[Concept]:
    """Concepts that are surely not in the picture, nor anything that could be taken for them."""
    present = set(scenery.groups)
    near = {rival for index in present for rival in concepts()[index].rivals} | present
    found: list[Concept] = []
    while len(found) < count:
        concept = concepts()[int(rng.integers(len(concepts())))]
        if concept.index not in near and concept not in found:
            found.append(concept)
    return found


def refer_absent(rng: np.random.Generator, scenery: Scenery) -> str:
    """A phrase of the same manner as the others that is true of nothing in the picture."""
    if rng.random() < 0.4:
        members = list(scenery.groups.values())[int(rng.integers(len(scenery.groups)))]
        colors = [
            c for c in PALETTE if all(surely_not(thing, c) for thing in members) and c not in members[0].concept.name
        ]
        if colors:
            return f"the {colors[int(rng.integers(len(colors)))]} {noun(rng, members[0].concept)}"
    concept = absent_concepts(rng, scenery, 1)[0]
    name = noun(rng, concept)
    draw = rng.random()
    if draw < 0.6:
        return f"the {name}"
    if draw < 0.72:
        return f"all the {plural(rng, concept)}"
    if draw < 0.86:
        return f"the {name} {pick(rng, _ABSENT_PLACES)}"
    return f"the {pick(rng, tuple(PALETTE))} {name}"
