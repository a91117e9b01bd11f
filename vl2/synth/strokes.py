"""Chinese characters as the strokes that a pen makes, joined and rounded as a writer does it.

    strokes_of(codes) --> Strokes, as the pack has them (chinese/strokes.npz)
    Strokes.hastened(style, rng) --> fewer corners, for who has no time
    Strokes.moved(style, rng) --> the same strokes, each letter and each stroke a little elsewhere
    Strokes.traced(style, rng) --> Trace: paths of the pen, some through several strokes, with pressure

All lengths are in ems, a point is a complex number whose imaginary part goes down, every letter of the file lies
between 0 and 1 + 1j. Everything is done for all letters of a line at once; their strokes lie one behind the other in
one array. The trap: joining looks at where a stroke ends and the next begins, so strokes are moved first.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vl2.synth import han
from vl2.synth.styles import Style

_UNITS = 256  # an em in the file
_CENTRE = np.complex64(0.5 + 0.5j)
_REACH = 0.2  # distance in ems over which the chance of a joint falls to a third, and as much more for fluent writers
_NEAR = 0.25  # of strokes whose corner may go: further apart, both would lose too much
_FLICK = 0.1  # longest tail of a stroke that is not joined
_PASSED = 0.16  # longest way to a corner that haste passes by
_SHORT, _SHRUNK = 0.35, 0.5  # strokes that haste makes shorter, and by what share
_FARTHER = 0.2  # haste's share of _NEAR


class _Table(NamedTuple):
    """The file: where the strokes of a code begin and how many they are, likewise the points of a stroke."""

    first: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    points: np.ndarray


@lru_cache
def _table() -> _Table:
    with np.load(han.PACK / "strokes.npz") as file:
        counts, lengths, points = (file[name] for name in ("counts", "lengths", "points"))
    places = np.array([ord(char) for char in han.characters()]) - han.FIRST_CODE
    of_code = np.zeros((2, han.LAST_CODE - han.FIRST_CODE + 2), np.int32)  # the last stands for all other codes
    of_code[0, places] = np.cumsum(counts, dtype=np.int32) - counts
    of_code[1, places] = counts
    places = points.astype(np.float32) / _UNITS
    starts = np.cumsum(lengths, dtype=np.int32) - lengths
    return _Table(of_code[0], of_code[1], starts, lengths.astype(np.int32), places.view(np.complex64)[:, 0])


def _places(codes: np.ndarray) -> np.ndarray:
    """Where codes stand in the table; codes below its first come out as large numbers, too."""
    return np.minimum(codes - np.uint32(han.FIRST_CODE), han.LAST_CODE - han.FIRST_CODE + 1)


def has_strokes(codes: np.ndarray) -> np.ndarray:
    """(len,) whether the pack knows how a uint32 code point is written."""
    return _table().counts[_places(codes)] > 0


def runs(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers start, start + 1, ... of each run, one run behind the other."""
    ends = counts.cumsum()
    return (starts - ends + counts).repeat(counts) + np.arange(int(ends[-1]))


class Trace(NamedTuple):
    """The way of a pen: (N,) complex points, their pressure (1 is usual), letter, and whether it is lifted there."""

    points: np.ndarray
    pressure: np.ndarray
    letter: np.ndarray
    lifted: np.ndarray

    def rounded(self, radius: float, share: float, least: float) -> "Trace":
        """Corners replaced by curves that begin at most `radius` and at most `share` of a side before them.

        Where the curve would come nearer than `least` to the corner, the corner stays; a small one has no middle.
        """
        points, worn = self.points, self.pressure
        side = points[1:] - points[:-1]
        part = np.minimum(radius / (np.abs(side) + 1e-6), share)
        bent = side * part
        bend = np.abs(bent[1:] - bent[:-1])  # a curve passes its corner at a quarter of that
        bend[self.lifted[1:-1] | self.lifted[:-2]] = 0
        copies = np.ones(len(points), np.int32)
        copies[1:-1] += (bend > 4 * least).astype(np.int32) + (bend > 8 * least)
        source = np.arange(len(points)).repeat(copies)
        new, pressure = points[source], worn[source]
        at = (copies > 1).nonzero()[0]
        last = copies.cumsum()[at] - 1
        first = last - copies[at] + 1
        before, after = bent[at - 1], bent[at]
        new[first + 1] += (after - before) / 4
        new[first] -= before
        new[last] = points[at] + after
        change = (worn[1:] - worn[:-1]) * part
        pressure[first] -= change[at - 1]
        pressure[last] += change[at]
        return Trace(new, pressure, self.letter[source], self.lifted[source])


class Strokes(NamedTuple):
    """(N,) complex points, the (S,) strokes' first and last of them, and the letter of each stroke."""

    points: np.ndarray
    first: np.ndarray
    last: np.ndarray
    letter: np.ndarray

    def hastened(self, style: Style, rng: np.random.Generator) -> "Strokes":
        """Without inner points that are near the one before, some strokes more than others; ends stay."""
        if not style.haste:
            return self
        points, first, last = self.points, self.first, self.last
        passed = (_PASSED * style.haste * rng.random(len(first), np.float32)).repeat(last - first + 1)
        passed[1:] -= np.abs(points[1:] - points[:-1])
        gone = passed > 0
        gone[first] = gone[last] = False
        before = gone.cumsum()
        return Strokes(points[~gone], first - before[first], last - before[last], self.letter)

    def moved(self, style: Style, rng: np.random.Generator) -> "Strokes":
        """What a writer makes of the model: habits that all letters share, then what differs each time."""
        points, count = self.points, len(self.first)
        lengths = self.last - self.first + 1
        begin, end = points[self.first], points[self.last]
        way = end - begin
        flat = np.real(way) / (np.abs(way) + 1e-6)
        flat = (flat > 0.95) * np.complex64(style.stretch - 1j * style.rise)  # only strokes that are horizontal rise
        noise = style.unrest * rng.standard_normal((2, 2 * count), np.float32).view(np.complex64)
        turn = 1 + flat + 1.2 * noise[0] - (_SHRUNK * style.haste) * (np.abs(way) < _SHORT)
        middle = (begin + end) / 2
        z = points * turn.repeat(lengths)
        z += (middle * (1 - turn) + 0.45 * noise[1] - _CENTRE).repeat(lengths)

        habit = style.dance * rng.standard_normal((6, 2 * int(self.letter[-1]) + 2), np.float32).view(np.complex64)
        habit += style.habit[:, None]
        c0, c1, c2, c3, c4, c5 = habit[:, self.letter.repeat(lengths)]
        mirrored = z.conj()
        moved = c0 + z * (c1 + c3 * z + c4 * mirrored) + mirrored * (c2 + c5 * mirrored) + _CENTRE
        return self._replace(points=moved.astype(np.complex64))

    def traced(self, style: Style, rng: np.random.Generator, ease: float = 1.0) -> Trace:
        """The way of the pen: between joined strokes over a thin line, or without the corner that they would make.

        ease: the share of its usual joining that a writer has here; small letters are written with care.
        """
        points, first, last, count = self.points, self.first, self.last, len(self.first)
        begin, end = points[first], points[last]
        gap = np.zeros_like(end)
        gap[:-1] = begin[1:] - end[:-1]
        distance, length = np.abs(gap), np.abs(end - begin)
        chance, choice = rng.random((2, count), np.float32)
        follows = np.zeros(count, bool)
        follows[:-1] = self.letter[1:] == self.letter[:-1]
        short = length.copy()
        short[:-1] = np.minimum(length[1:], length[:-1])  # dots melt into what comes before and after
        reach = _REACH * (1 + 2 * style.joining) * (1 + style.haste * (short < _SHORT))
        joined = follows & (chance < ease * style.joining * np.exp(-distance / reach))
        merged = (
            joined & (distance < _NEAR + _FARTHER * style.haste) & (choice < 1.4 * style.merging * np.exp(-2 * short))
        )
        flicked = follows & ~joined & (choice < style.flicks)

        out, arrive = points[first + 1] - begin, end - points[last - 1]  # how the pen sets out and arrives
        out /= np.abs(out) + 1e-6
        arrive /= np.abs(arrive) + 1e-6
        link = end + gap / 2
        link[:-1] += style.loops * distance[:-1] * (arrive[:-1] - out[1:])
        link = np.where(flicked, end + gap * (_FLICK / (distance + 0.15)), link)
        pull = joined * np.float32(style.pull) * gap

        lengths = last - first + 2  # one more place for each stroke: the link or the tail behind it
        ends = last + np.arange(1, count + 1)
        starts = ends - lengths + 1
        source = np.arange(count).repeat(lengths)
        copied = np.arange(len(source)) - source
        copied[-1] -= 1  # the links are overwritten
        traced = points[copied]
        traced[ends] = link
        traced[ends - 1] += pull
        traced[starts[1:]] -= pull[:-1]
        usual = style.crowd(self.letter) * (1 + style.unrest * 3 * rng.standard_normal(count, np.float32))
        pressure = usual[source]
        pressure[starts] *= style.attack
        falling = (np.real(arrive) < -0.2) | (np.imag(arrive) < -0.3)
        pressure[ends - 1] *= np.where(falling, 1 - style.taper, 1 + 0.3 * style.taper)
        pressure[ends] *= np.where(merged, 1.0, np.where(joined, style.thin, 0.5 * style.thin))

        kept = np.ones(len(source), bool)
        kept[ends] = joined | flicked
        kept[ends[merged] - 1] = False
        kept[starts[1:][merged[:-1]]] = False
        lifted = np.zeros(len(source), bool)
        lifted[ends] = flicked
        lifted[ends - 1] = ~(joined | flicked)
        at = kept.nonzero()[0]
        return Trace(traced[at], pressure[at], self.letter[source[at]], lifted[at])


def strokes_of(codes: np.ndarray) -> Strokes:
    """The strokes of a line of uint32 code points that all have some."""
    table, places = _table(), _places(codes)
    counts = table.counts[places]
    strokes = runs(table.first[places], counts)
    lengths = table.lengths[strokes]
    points = table.points[runs(table.starts[strokes], lengths)]
    last = lengths.cumsum() - 1
    return Strokes(points, last - lengths + 1, last, np.arange(len(codes)).repeat(counts))
