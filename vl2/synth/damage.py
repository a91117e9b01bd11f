"""Wear of a picture: small rotation, shadow, lost contrast, blur, noise, JPEG; always readable to a person.

    Damage.draw(rng, strength, smallest text) --> which effects and how strong --apply_damage--> the worn picture
    move_boxes turns boxes by the same angle

The trap: noise comes from a bank made once, because drawing half a million normals takes longer than all the rest.
"""

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

_BANK_SIDE = 1024


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
def _noise_bank() -> np.ndarray:
    """(side, side) int16 normals with a standard deviation of 256, the same in every run."""
    bank = np.random.default_rng(20240).standard_normal((_BANK_SIDE, _BANK_SIDE), np.float32)
    return np.clip(bank * 256, -1024, 1024).astype(np.int16)


def noise_field(rng: np.random.Generator, height: int, width: int, sigma: float) -> np.ndarray:
    """(height, width) int16 grey-level noise, cut out of the bank at a random place."""
    bank = _noise_bank()
    y, x = rng.integers(0, _BANK_SIDE, 2)
    repeat_y, repeat_x = -(-(height + int(y)) // _BANK_SIDE), -(-(width + int(x)) // _BANK_SIDE)
    if repeat_y > 1 or repeat_x > 1:
        bank = np.tile(bank, (repeat_y, repeat_x))
    cut = bank[y : y + height, x : x + width].astype(np.int32)
    return ((cut * int(sigma * 16)) >> 12).astype(np.int16)


def apply_damage(image: Image.Image, damage: Damage, rng: np.random.Generator) -> Image.Image:
    """The worn picture, same size, RGB."""
    if damage.angle:
        image = image.rotate(damage.angle, Image.Resampling.BILINEAR, fillcolor=_border_colour(image))
    if damage.blur:
        # two box passes come close to a bell curve and cost a third of Pillow's Gaussian
        image = image.filter(ImageFilter.BoxBlur(damage.blur * 0.7)).filter(ImageFilter.BoxBlur(damage.blur * 0.7))
    if damage.contrast != 1.0 or damage.shadow or damage.noise:
        image = _change_levels(image, damage, rng)
    if damage.jpeg:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=damage.jpeg)
        image = Image.open(buffer)
        image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _border_colour(image: Image.Image) -> tuple[int, ...]:
    """The median of the four corners, which fills what the rotation uncovers."""
    width, height = image.size
    corners = [image.getpixel((x, y)) for x in (0, width - 1) for y in (0, height - 1)]
    return tuple(int(v) for v in np.median(np.array(corners), 0))


def _change_levels(image: Image.Image, damage: Damage, rng: np.random.Generator) -> Image.Image:
    """Contrast, shadow and noise in one pass over the pixels."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    if damage.contrast != 1.0:
        # around a random grey: a faded print gets lighter or darker as a whole
        pivot = rng.uniform(60, 200)
        table = np.clip(pivot + (np.arange(256) - pivot) * damage.contrast, 0, 255).astype(np.uint8)
        pixels = table[pixels]
    if damage.shadow:
        pixels = _shade(pixels, damage.shadow, rng)
    if damage.noise:
        noise = noise_field(rng, height, width, damage.noise)[..., None]
        if damage.coloured_noise:
            noise = np.concatenate([noise, noise[::-1], noise[:, ::-1]], 2)
        worn = pixels + noise
        pixels = np.clip(worn, 0, 255, out=worn).astype(np.uint8)
    return Image.fromarray(pixels)


def _shade(pixels: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Darken along a random direction, smoothly or with a soft edge."""
    height, width = pixels.shape[:2]
    direction = rng.uniform(0, 2 * math.pi)
    ramp_X = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(math.cos(direction))
    ramp_Y = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(math.sin(direction))
    ramp = ramp_Y[:, None] + ramp_X - np.float32(rng.uniform(-0.6, 0.6))
    steepness = np.float32(rng.choice([1.0, 2.0, 8.0]))
    factor = 256 - 256 * depth * np.clip(ramp * steepness * 0.5 + 0.5, 0, 1)
    return ((pixels * factor.astype(np.uint16)[..., None]) >> 8).astype(np.uint8)
