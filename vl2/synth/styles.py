"""How one person writes Chinese: drawn once, from a school child's block letters to a fluent running hand.

    Style.draw(rng) --> Style, for vl2/synth/strokes.py (the way of the pen) and vl2/synth/penmen.py (its ink)

The trap: effects add up, so a fluent writer is a steadier one; otherwise nobody could read it.
"""

from dataclasses import dataclass, field

import numpy as np

_PLAIN = np.array([0, 1, 0, 0, 0, 0], np.complex64)  # every point stays


@dataclass(frozen=True)
class Style:
    """Lengths are in ems, angles in radians, pressure and chances as shares.

    slant: what the habit has of it, for letters of a font; positive leans to the right.
    habit: where a point z goes, from the letter's middle: factors of 1, z, its conjugate w, zz, zw and ww.
    dance: how each number in it differs from letter to letter, a standard deviation.
    unrest: the same of a stroke's place, angle and length. rise: of horizontal strokes, to the right. stretch: of them.
    joining: the chance that the pen stays on the paper between two strokes that are close. merging: that the corner
    between them goes, most likely beside a dot. pull: by what share of their distance both come nearer there.
    loops: how much the line between them swings. flicks: the chance of a tail towards the next.
    haste: of one who passes by small corners, makes dots of short strokes and joins them; 1 is hard to read.
    rounding: radius of corners. cut: share of a stroke that a rounded corner may take.
    pen: width of the line. nib: how much wider down than across. attack: pressure where a stroke sets out.
    taper: what the end of a stroke that falls to the left, or of a hook, loses. thin: pressure between strokes.
    """

    slant: float = 0.0
    habit: np.ndarray = field(default_factory=_PLAIN.copy)
    dance: float = 0.0
    unrest: float = 0.0
    rise: float = 0.0
    stretch: float = 0.0
    joining: float = 0.0
    merging: float = 0.0
    pull: float = 0.0
    loops: float = 0.0
    flicks: float = 0.0
    haste: float = 0.0
    rounding: float = 0.0
    cut: float = 0.0
    pen: float = 0.06
    nib: float = 0.0
    attack: float = 1.0
    taper: float = 0.0
    thin: float = 0.5

    @classmethod
    def draw(cls, rng: np.random.Generator, fluency: float | None = None) -> "Style":
        """Somebody; fluency is 0 for one who writes stroke by stroke and 1 for one who hardly lifts the pen."""
        fluent = float(rng.uniform()) if fluency is None else fluency
        some = rng.uniform(0, 1, 10)
        rise, slant, size = 0.02 + 0.12 * some[0], rng.uniform(-0.06, 0.2), rng.uniform(0.88, 1.06)
        width, high = np.exp(rng.uniform(-0.18, 0.1)), np.exp(rng.uniform(-0.08, 0.04))
        habit = rng.normal(0, 0.06, (6, 2)).astype(np.float32).view(np.complex64)[:, 0]
        wide, lean = size * width, 0.5j * slant
        habit[:3] = 0, (wide + size * high) / 2 + lean - 0.2j * rise, (wide - size * high) / 2 - lean - 0.2j * rise
        brush = some[1] < 0.45
        pen = rng.uniform(0.05, 0.09) if brush else rng.uniform(0.035, 0.07)
        return cls(
            slant=float(slant),
            habit=habit,
            dance=float(rng.uniform(0.01, 0.04)),
            unrest=float(rng.uniform(0.02, 0.05) * (1 - 0.3 * fluent)),
            rise=float(rise),
            stretch=float(rng.uniform(-0.1, 0.12)),
            joining=float(max(0.0, 0.95 * fluent - 0.1)),
            merging=float(fluent * (0.3 + 0.7 * some[2])),
            pull=float(0.2 * fluent * some[9]),
            loops=float(0.3 * some[3]),
            flicks=float(fluent * some[4]),
            rounding=float(0.015 + 0.16 * fluent * (0.3 + 0.7 * some[5])),
            cut=float(0.2 + 0.3 * fluent),
            pen=float(pen),
            nib=float(some[6] * (0.9 if brush else 0.2)),
            attack=float(1 + (some[7] - 0.4) * (0.7 if brush else 0.2)),
            taper=float((0.3 + 0.6 * some[8]) if brush else 0.4 * some[8]),
            thin=float(rng.uniform(0.25, 0.6) if brush else rng.uniform(0.55, 0.95)),
            haste=float(max(0.0, 2 * fluent - 1) * rng.uniform(0, 0.8)),
        )

    def crowd(self, letter: np.ndarray) -> np.ndarray:
        """(S,) by how much the strokes of a letter are thinner because there are many of them."""
        count = np.bincount(letter)[letter].astype(np.float32)
        return np.minimum(1, (8 / count) ** (6 * self.pen))
