"""Wear of a picture: small rotation, shadow, lost contrast, blur, noise, JPEG; always readable to a person.

    Damage.draw(rng, strength, smallest text) --> which effects and how strong --apply_damage--> the worn picture
    move_boxes turns boxes by the same angle

Pixels are worked on as (height, 3 * width) in 16-bit integers; an axis of length 3 would make numpy crawl. The trap:
noise comes from a bank made once, because drawing half a million normals takes longer than all the rest.
"""

import io
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image

_BANK_SIDE = 1024
_STRIP = 48  # rows worked on at a time: what is computed from them stays in the cache


@dataclass(frozen=True)
class Damage:
    """How a picture is worn; the defaults leave it untouched.

    angle: degrees counter-clockwise; shadow: darkening at the dark end (0..1); contrast: 1 keeps it;
    blur: radius in pixels; noise: standard deviation in grey levels; jpeg: quality, 0 for none.
    """

    angle: float = 0.0
    shadow: float = 0.0
    contrast: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    coloured_noise: bool = False
    jpeg: int = 0

    @staticmethod
    def draw(rng: np.random.Generator, strength: float, smallest_text: float = 1000.0) -> "Damage":
        """Draw effects; strength 0 gives none, 1 the usual chances. Small text is spared the strong ones."""
        if strength <= 0:
            return Damage()
        chance = rng.random(6).tolist()
        amount = rng.random(6).tolist()
        # a 10 px font bears a third of what a 30 px font bears
        bear = float(np.clip((smallest_text - 4) / 26, 0.15, 1.0))
        small = smallest_text < 15
        angle = (rng.normal() * 1.1) if chance[0] < 0.3 * strength else 0.0
        return Damage(
            angle=float(np.clip(angle, -3.5, 3.5)),
            shadow=0.1 + 0.35 * amount[1] if chance[1] < 0.15 * strength else 0.0,
            contrast=1 - 0.4 * amount[2] * (0.6 if small else 1.0) if chance[2] < 0.2 * strength else 1.0,
            blur=0.25 + 1.15 * bear * amount[3] if chance[3] < 0.3 * strength else 0.0,
            noise=2 + 16 * bear * amount[4] ** 2 if chance[4] < 0.3 * strength else 0.0,
            coloured_noise=bool(amount[4] > 0.5),
            jpeg=int((60 if small else 40) + (35 if small else 55) * amount[5]) if chance[5] < 0.35 * strength else 0,
        )


def move_boxes(boxes_M4: np.ndarray, size: tuple[int, int], angle: float, *, grow: bool) -> np.ndarray:
    """Boxes (M, 4) after turning the picture of `size` (width, height) about its centre by `angle` degrees.

    grow=True gives the box around the turned corners; grow=False moves the centre and keeps width and height,
    which is what small marks want.
    """
    if angle == 0 or len(boxes_M4) == 0:
        return boxes_M4
    radians = math.radians(angle)
    cos, sin = math.cos(radians), math.sin(radians)
    centre = np.array([size[0] / 2, size[1] / 2], np.float32)
    half = (boxes_M4[:, 2:] - boxes_M4[:, :2]) / 2
    middle = boxes_M4[:, :2] + half - centre
    # image y points down, so a counter-clockwise turn has this sign of the sine
    turned = np.stack([middle[:, 0] * cos + middle[:, 1] * sin, -middle[:, 0] * sin + middle[:, 1] * cos], 1) + centre
    if grow:
        half = np.stack(
            [half[:, 0] * cos + half[:, 1] * abs(sin), half[:, 0] * abs(sin) + half[:, 1] * cos],
            1,
        )
    return np.concatenate([turned - half, turned + half], 1).astype(np.float32)


@lru_cache(maxsize=1)
def _noise_banks() -> tuple[np.ndarray, np.ndarray]:
    """(side, 3 * side) int8 normals with a standard deviation of 32: one for each channel, and one for all three."""
    bank = np.random.default_rng(20240).standard_normal((_BANK_SIDE, 3 * _BANK_SIDE), np.float32)
    coloured = np.clip(bank * 32, -127, 127).astype(np.int8)
    return coloured, np.repeat(coloured[:, :_BANK_SIDE], 3, axis=1)


def _cut(bank: np.ndarray, rng: np.random.Generator, height: int, width: int, step: int) -> np.ndarray:
    """A (height, width) part of the bank from a random place; columns start at multiples of `step`."""
    repeat_y, repeat_x = -(-height // bank.shape[0]), -(-width // bank.shape[1])
    if repeat_y > 1 or repeat_x > 1:
        bank = np.tile(bank, (repeat_y, repeat_x))
    y = int(rng.integers(bank.shape[0] - height + 1))
    x = int(rng.integers((bank.shape[1] - width) // step + 1)) * step
    return bank[y : y + height, x : x + width]


def noise_field(rng: np.random.Generator, height: int, width: int, sigma: float) -> np.ndarray:
    """(height, width) int16 grey-level noise, cut out of the bank at a random place."""
    return (_cut(_noise_banks()[0], rng, height, width, 1).astype(np.int16) * _noise_factor(sigma)) >> 8


def _noise_factor(sigma: float) -> np.int16:
    """What the bank is multiplied with before the shift by 8; at most 255, or the product would overflow."""
    return np.int16(np.clip(round(sigma * 8), 1, 255))


def apply_damage(image: Image.Image, damage: Damage, rng: np.random.Generator) -> Image.Image:
    """The worn picture, same size, RGB."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    if damage.angle or damage.blur or damage.contrast != 1.0 or damage.shadow or damage.noise:
        width, height = image.size
        pixels_YX = np.asarray(image).reshape(height, 3 * width)
        if damage.angle:
            pixels_YX = _turn(pixels_YX, damage.angle)
        if damage.blur:
            pixels_YX = _blur(pixels_YX, damage.blur)
        if damage.contrast != 1.0 or damage.shadow or damage.noise:
            pixels_YX = _change_levels(pixels_YX, damage, rng)
        image = Image.fromarray(pixels_YX.reshape(height, width, 3))
    if damage.jpeg:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=damage.jpeg)
        image = Image.open(buffer, formats=("JPEG",))
        image.load()
    return image


def _turn(pixels_YX: np.ndarray, angle: float) -> np.ndarray:
    """Turn by a small angle: columns slide up or down, then rows left or right, which is a fifth of Pillow's work.

    Two shears turn up to the square of the angle, here less than half a pixel at the edges.
    """
    height, width = pixels_YX.shape[0], pixels_YX.shape[1] // 3
    slope = math.tan(math.radians(angle))
    fill = np.median(pixels_YX[:: height - 1].reshape(-1, width, 3)[:, :: width - 1].reshape(-1, 3), 0).astype(np.uint8)
    down_X = (np.arange(width) + 0.5 - width / 2) * slope
    right_Y = (np.arange(height) + 0.5 - height / 2) * -slope
    edge = np.tile(fill, width)[None].repeat(int(abs(down_X[0])) + 2, 0)
    slid = _slide_columns(np.concatenate([edge, pixels_YX, edge]), np.repeat(down_X, 3), height)
    edge = np.tile(fill, int(abs(right_Y[0])) + 2)[None].repeat(height, 0)
    return _slide_rows(np.concatenate([edge, slid, edge], 1), right_Y, 3 * width)


def _whole_and_rest(shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """Shifts as whole pixels and 128ths, and the runs (first, one past the last) with the same whole part."""
    whole = np.floor(shifts).astype(int)
    cuts = [0, *(np.flatnonzero(np.diff(whole)) + 1).tolist(), len(whole)]
    return whole, ((shifts - whole) * 128).astype(np.int16), list(pairwise(cuts))


def _slide_columns(padded: np.ndarray, down_X: np.ndarray, height: int) -> np.ndarray:
    """(height, len(down_X)) of the padded picture, column x taken from down_X[x] pixels further down."""
    whole, rest, runs = _whole_and_rest(down_X)
    margin = (padded.shape[0] - height) // 2
    out = np.empty((height, len(down_X)), np.uint8)
    for first, last in runs:
        top = margin + int(whole[first])
        near, far = padded[top : top + height, first:last], padded[top + 1 : top + 1 + height, first:last]
        out[:, first:last] = _between(near, far, rest[first:last])
    return out


def _slide_rows(padded: np.ndarray, right_Y: np.ndarray, length: int) -> np.ndarray:
    """(len(right_Y), length) of the padded picture, row y taken from right_Y[y] pixels further right."""
    whole, rest, runs = _whole_and_rest(right_Y)
    margin = (padded.shape[1] - length) // 2
    out = np.empty((len(right_Y), length), np.uint8)
    for first, last in runs:
        left = margin + 3 * int(whole[first])
        near, far = padded[first:last, left : left + length], padded[first:last, left + 3 : left + 3 + length]
        out[first:last] = _between(near, far, rest[first:last, None])
    return out


def _between(near: np.ndarray, far: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Pixels `rest` 128ths of the way from near to far; in 16 bits, which is why it is 128ths."""
    mixed = np.subtract(far, near, dtype=np.int16)
    mixed *= rest
    mixed >>= 7
    mixed += near
    return mixed


def _blur(pixels_YX: np.ndarray, radius: float) -> np.ndarray:
    """Three taps along both axes, twice where once cannot blur as much as two boxes of 0.7 * radius would."""
    reach = 1.4 * radius
    share = reach / (1 + reach)  # of a pixel that goes to its two neighbours, over both boxes
    for _ in range(1 if share < 0.36 else 2):
        pixels_YX = _blur_once(pixels_YX, np.int16(128 * min(1 / 3, share if share < 0.36 else share / 2)))
    return pixels_YX


def _blur_once(pixels_YX: np.ndarray, share: np.int16) -> np.ndarray:
    """Give `share` 128ths of each pixel to each neighbour."""
    padded = np.concatenate([pixels_YX[:1], pixels_YX, pixels_YX[-1:]])
    out = np.empty_like(pixels_YX)
    for top in range(0, len(out), _STRIP):
        rows = padded[top : top + _STRIP + 2].astype(np.int16)
        flow = np.diff(rows, axis=0)
        flow *= share
        flow >>= 7
        rows = rows[1:-1] + flow[1:]
        rows -= flow[:-1]
        flow = rows[:, 3:] - rows[:, :-3]
        flow *= share
        flow >>= 7
        rows[:, :-3] += flow
        rows[:, 3:] -= flow
        out[top : top + _STRIP] = rows
    return out


def _change_levels(pixels_YX: np.ndarray, damage: Damage, rng: np.random.Generator) -> np.ndarray:
    """Contrast, shadow and noise in one pass over the pixels, a strip of rows at a time."""
    height, length = pixels_YX.shape
    # around a random grey: a faded print gets lighter or darker as a whole
    pivot = rng.uniform(60, 200)
    kept, lift = np.int16(128 * damage.contrast), np.int16(128 * pivot * (1 - damage.contrast))
    ramps = _ramps(rng, height, length // 3) if damage.shadow else None
    noise_YX, factor = None, _noise_factor(damage.noise)
    if damage.noise:
        noise_YX = _cut(_noise_banks()[0 if damage.coloured_noise else 1], rng, height, length, 3)
    out = np.empty_like(pixels_YX)
    for top in range(0, height, _STRIP):
        rows = pixels_YX[top : top + _STRIP].astype(np.int16)
        if damage.contrast != 1.0:
            rows *= kept
            rows += lift
            rows >>= 7
        if ramps is not None:
            dark = np.clip(ramps[0][top : top + _STRIP] + ramps[1], 0, 128)
            dark *= np.int16(256 * damage.shadow)
            dark >>= 7
            # up to 255 * 256, which fits without a sign
            rows = ((rows.view(np.uint16) * (256 - dark).view(np.uint16)) >> 8).view(np.int16)
        if noise_YX is not None:
            noise = noise_YX[top : top + _STRIP].astype(np.int16)
            noise *= factor
            noise >>= 8
            rows = np.clip(rows + noise, 0, 255)
        out[top : top + _STRIP] = rows
    return out


def _ramps(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(height, 1) and (3 * width,) int16: where their sum is 0 or less there is no shadow, at 128 or more the full one.

    It darkens along a random direction, smoothly or with a soft edge.
    """
    direction = rng.uniform(0, 2 * math.pi)
    steepness = 64 * float(rng.choice([1.0, 2.0, 8.0]))
    ramp_X = np.linspace(-1, 1, width) * math.cos(direction) * steepness
    ramp_Y = (np.linspace(-1, 1, height) * math.sin(direction) - rng.uniform(-0.6, 0.6)) * steepness + 64
    return ramp_Y.astype(np.int16)[:, None], np.repeat(ramp_X.astype(np.int16), 3)
