"""Photographs and scans of what other tasks draw: perspective, bent paper, a desk, light, blur, noise, few pixels.

    "receipt-photo": generate receipt -> Sample --Lens--> on a desk --light, blur, noise, JPEG--> Sample
    all marks, extents and regions of questions move through the same lens as the pixels

The trap: text must stay readable, so that every strength is bounded by the height of the smallest letters.
"""

import io
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from vl2.processing.boxes import Box, Region
from vl2.synth.damage import noise_field
from vl2.synth.desks import desk
from vl2.synth.lens import Bend, Lens, fit_lens
from vl2.synth.sample import FIRST_HAN, FIRST_STRUCTURE, Question, Sample

LEAST_LETTER = 11.0  # pixels from the top of capitals to the bottom of descenders, on the finished photograph
LARGEST_SIDE = 1024


@dataclass(frozen=True)
class Shot:
    """How a page is taken: angles (roll, pitch, yaw) in degrees, distance in diagonals of the page, scale and margins
    as in fit_lens, and whether it is a scan."""

    angles: np.ndarray
    distance: float
    scale: float
    margins: np.ndarray
    bend: float
    scan: bool


def letter_height(sample: Sample) -> float:
    """Height in pixels of the sample's small letters: one in twenty is smaller."""
    letters = (sample.mark_ids > 1) & (sample.mark_ids < FIRST_STRUCTURE) | (sample.mark_ids >= FIRST_HAN)
    if not letters.any():
        return 40.0
    return float(np.percentile(sample.mark_boxes[letters, 3] - sample.mark_boxes[letters, 1], 5))


def _draw_shot(rng: np.random.Generator, sample: Sample, letter: float) -> Shot:
    """A way to take the page; what would make it too large or its letters too small is not drawn."""
    scan = rng.random() < 0.22
    if scan:
        angles, bend = np.array([np.clip(rng.normal() * 1.2, -4, 4), 0.0, 0.0]), 0.0
    else:
        most = np.array([18, 32, 32])
        angles = np.clip(rng.normal(size=3) * (5, 13, 13), -most, most) * rng.choice([0.3, 1.0, 1.0])
        bend = float(rng.choice([0.0, 0.5, 1.0]))
    smallest = min(1.0, LEAST_LETTER / letter)
    scale = float(np.exp(rng.uniform(np.log(max(smallest, 0.45)), np.log(max(1.15, smallest)))))
    scale = min(scale, 0.82 * LARGEST_SIDE / max(sample.image.size))
    margins = rng.uniform(0.0, 0.16 if not scan else 0.05, 4) * rng.choice([0.25, 1.0])
    return Shot(angles, rng.uniform(1.1, 2.6), max(scale, min(smallest, 1.0)), margins, bend, scan)


def photograph(rng: np.random.Generator, sample: Sample, task: str, split: str) -> Sample:
    """The sample as a camera or a scanner sees it."""
    cv2.setNumThreads(1)  # workers are processes already
    page = (sample.image.width, sample.image.height)
    letter = letter_height(sample)
    shot = _draw_shot(rng, sample, letter)
    bend = Bend.draw(rng, *page, shot.bend) if shot.bend else Bend.flat()
    lens, frame = fit_lens(page, bend, shot.angles, shot.distance, shot.scale, shot.margins)
    for _ in range(3):
        if max(frame) <= LARGEST_SIDE:
            break
        shot = replace(shot, angles=shot.angles / 2, margins=shot.margins / 2)
        lens, frame = fit_lens(page, bend, shot.angles, shot.distance, shot.scale, shot.margins)
    ground = _scanner_lid(rng, frame) if shot.scan else desk(rng, frame[0], frame[1], split)
    pixels = _expose(rng, np.asarray(sample.image), ground, lens, shot)
    return seen_through(sample, task, lens, np.asarray(_develop(rng, pixels, letter * shot.scale, shot.scan)))


def seen_through(sample: Sample, task: str, lens: Lens, pixels: np.ndarray) -> Sample:
    """The sample with its picture as it looks (height, width, 3 uint8), marks and regions moved along."""
    frame = (pixels.shape[1], pixels.shape[0])
    return replace(
        sample,
        task=task,
        image=Image.fromarray(pixels),
        questions=tuple(_move_question(question, lens, frame) for question in sample.questions),
        mark_boxes=lens.cells(sample.mark_boxes),
        mark_extents=np.clip(lens.outlines(sample.mark_extents), 0, np.array([*frame, *frame], np.float32)),
    )


def _move_question(question: Question, lens: Lens, frame: tuple[int, int]) -> Question:
    if not question.regions:
        return question
    boxes = lens.outlines(np.array([region.box for region in question.regions], np.float64))
    boxes = np.clip(boxes, 0, np.array([*frame, *frame]))
    regions = [Region(r.label, Box(*map(float, box))) for r, box in zip(question.regions, boxes, strict=True)]
    return replace(question, regions=tuple(regions))


def _expose(rng: np.random.Generator, page: np.ndarray, ground: np.ndarray, lens: Lens, shot: Shot) -> np.ndarray:
    """(height, width, 3) uint8: the page through the lens, on the ground it lies on, in its light."""
    height, width = ground.shape[:2]
    page = _shade_bends(page, lens.bend) if shot.bend else page
    if shot.scale < 0.75:  # what is shrunk is averaged first, or thin strokes would vanish
        page = cv2.blur(page, (2, 2)) if shot.scale > 0.55 else cv2.blur(page, (3, 3))
    columns, rows = lens.pixel_map(width, height)
    # colours and coverage in one go
    opaque = cv2.cvtColor(page, cv2.COLOR_RGB2RGBA)
    border = cv2.BORDER_CONSTANT
    both = cv2.remap(opaque, columns, rows, cv2.INTER_LINEAR, borderMode=border, borderValue=(0, 0, 0, 0))
    shown, cover = cv2.cvtColor(both, cv2.COLOR_RGBA2RGB), cv2.extractChannel(both, 3)
    if not shot.scan:
        ground = _cast_shadow(rng, ground, cover)
    free = cv2.merge([cv2.bitwise_not(cover)] * 3)
    pixels = cv2.add(shown, cv2.multiply(ground, free, scale=1 / 255))
    if not shot.scan:
        pixels = _light(rng, pixels)
    return pixels


def _scanner_lid(rng: np.random.Generator, frame: tuple[int, int]) -> np.ndarray:
    """White, grey or black around a scanned page."""
    shade = int(rng.choice([252, 252, 240, 20, 60, 128]))
    return np.full((frame[1], frame[0], 3), shade, np.uint8)


def _shade_bends(page: np.ndarray, bend: Bend) -> np.ndarray:
    """Slopes that look away from the light are darker."""
    height, width = page.shape[:2]

    def gain(profile: np.ndarray, length: int) -> np.ndarray:
        slope = np.gradient(profile) * len(profile) / length
        return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(profile)), np.clip(slope * 1.1, -0.28, 0.06))

    shade = 1 + gain(bend.down, width)[None, :] + gain(bend.right, height)[:, None]
    shade = np.clip(255 * shade, 0, 255).astype(np.uint8)
    return cv2.multiply(page, cv2.merge([shade] * 3), scale=1 / 255)


def _cast_shadow(rng: np.random.Generator, ground: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """The page's own shadow beside it."""
    height, width = cover.shape
    small = cv2.resize(cover, (max(2, width // 4), max(2, height // 4)), interpolation=cv2.INTER_AREA)
    reach = rng.uniform(-2.2, 2.2, 2)
    moved = cv2.warpAffine(small, np.array([[1, 0, reach[0]], [0, 1, reach[1]]], np.float32), small.shape[::-1])
    soft = cv2.GaussianBlur(moved, (0, 0), float(rng.uniform(0.8, 3.0)))
    dark = cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR)
    dark = cv2.convertScaleAbs(dark, alpha=-float(rng.uniform(0.35, 0.75)), beta=255)
    return cv2.multiply(ground, cv2.merge([dark] * 3), scale=1 / 255)


def _light(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """Uneven light of some colour: a slope, soft spots, a shadow with a soft edge, rarely a reflection."""
    height, width = pixels.shape[:2]
    side = 48
    y, x = np.mgrid[:side, :side].astype(np.float32) / (side - 1) - 0.5
    towards = rng.uniform(0, 2 * np.pi)
    light = 1.0 + rng.uniform(0, 0.4) * (x * np.cos(towards) + y * np.sin(towards))
    light -= rng.uniform(0, 0.35) * (x * x + y * y)
    light += rng.uniform(0, 0.12) * cv2.resize(
        rng.uniform(-1, 1, (4, 4)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC
    )
    if rng.random() < 0.4:
        light *= 1 - _shadow(rng, side)
    gains = 1 + rng.normal(size=3) * (0.035, 0.015, 0.05) * rng.choice([0.5, 1.5])
    light *= rng.uniform(0.72, 1.06) / max(0.8, float(light.mean()))
    field = np.clip(np.stack([light * gain for gain in gains], -1) * 128, 18, 255).astype(np.uint8)
    pixels = cv2.multiply(pixels, cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR), scale=1 / 128)
    if rng.random() < 0.12:
        spot = np.zeros((side, side), np.uint8)
        centre = rng.integers(4, side - 4, 2)
        size = int(rng.integers(4, 12)), int(rng.integers(3, 8))
        cv2.ellipse(
            spot,
            (int(centre[0]), int(centre[1])),
            size,
            float(rng.uniform(0, 180)),
            0,
            360,
            int(rng.integers(40, 95)),
            -1,
        )
        soft = cv2.resize(cv2.GaussianBlur(spot, (0, 0), 3.0), (width, height), interpolation=cv2.INTER_LINEAR)
        pixels = cv2.add(pixels, cv2.merge([soft] * 3))
    return pixels


def _shadow(rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) float32, how much a hand, a telephone or a window frame takes of the light."""
    shade = np.zeros((side, side), np.uint8)
    if rng.random() < 0.6:  # a half plane
        centre, towards = rng.uniform(0.1, 0.9, 2) * side, rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(towards), np.sin(towards)]) * 3 * side
        away = np.array([-along[1], along[0]])
        corners = np.array([centre - along, centre + along, centre + along + away, centre - along + away])
    else:  # something long that reaches in from the edge
        towards = rng.uniform(0, 2 * np.pi)
        along = np.array([np.cos(towards), np.sin(towards)])
        away = np.array([-along[1], along[0]]) * side * rng.uniform(0.08, 0.22)
        tip = rng.uniform(0.3, 0.7, 2) * side
        corners = np.array(
            [tip - away * 0.7, tip + away * 0.7, tip + away + along * 2 * side, tip - away + along * 2 * side]
        )
    cv2.fillPoly(shade, [np.round(corners).astype(np.int32)], 255)
    soft = cv2.GaussianBlur(shade, (0, 0), float(rng.uniform(0.7, 5.0)))
    return soft.astype(np.float32) * np.float32(rng.uniform(0.15, 0.5) / 255)


def _develop(rng: np.random.Generator, pixels: np.ndarray, letter: float, scan: bool) -> Image.Image:
    """Blur, few pixels, tones, noise and compression, as far as letters of this height bear them."""
    height, width = pixels.shape[:2]
    bear = float(np.clip((letter - 9) / 22, 0.0, 1.0))
    draw = rng.random(6)
    if draw[0] < 0.35:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.35 + bear * float(rng.uniform(0.1, 1.3)))
    elif draw[0] < 0.5 and not scan and bear > 0.1:
        pixels = _shake(rng, pixels, 2 + int(rng.integers(0, 1 + int(4 * bear))))
    if draw[1] < 0.25 and letter > 15:
        shrink = float(rng.uniform(13 / letter, 0.95))
        small = cv2.resize(
            pixels, (max(8, int(width * shrink)), max(8, int(height * shrink))), interpolation=cv2.INTER_AREA
        )
        pixels = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if scan:
        pixels = _scan(rng, pixels, letter)
    if draw[2] < 0.6:
        sigma = 1.5 + (4 + 12 * bear) * float(rng.random()) ** 1.5
        rows = pixels.reshape(height, 3 * width).astype(np.int16) + noise_field(rng, height, 3 * width, sigma)
        pixels = np.clip(rows, 0, 255).astype(np.uint8).reshape(height, width, 3)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if draw[3] < 0.7:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(38 if letter > 16 else 58, 96)))
        image = Image.open(buffer, formats=("JPEG",))
        image.load()
    return image


def _shake(rng: np.random.Generator, pixels: np.ndarray, length: int) -> np.ndarray:
    """Blur along a short line."""
    kernel = np.zeros((length + 2 - length % 2 + 1,) * 2, np.float32)
    middle = kernel.shape[0] // 2
    towards = rng.uniform(0, np.pi)
    for place in np.linspace(-length / 2, length / 2, 4 * length + 1):
        kernel[middle + round(place * np.sin(towards)), middle + round(place * np.cos(towards))] = 1
    return cv2.filter2D(pixels, -1, kernel / kernel.sum())


def _scan(rng: np.random.Generator, pixels: np.ndarray, letter: float) -> np.ndarray:
    """Grey or colour; streaks of a dirty glass, specks, or the two levels of a fax."""
    height, width = pixels.shape[:2]
    kind = rng.random()
    if kind < 0.55:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        if kind < 0.15 and letter > 17:
            block = int(letter) * 2 + 1
            grey = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, 13)
        pixels = cv2.merge([grey] * 3)
    for _ in range(int(rng.integers(0, 3))):
        x, shade = int(rng.integers(width)), int(rng.integers(90, 220))
        cv2.line(pixels, (x, 0), (x, height), (shade,) * 3, 1)
    for _ in range(int(rng.integers(0, 14))):
        spot = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(pixels, spot, int(rng.integers(0, 2)), (int(rng.integers(30, 140)),) * 3, -1)
    return pixels
