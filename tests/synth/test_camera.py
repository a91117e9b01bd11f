"""Photographs: labels go through the lens with the ink; same index, same photograph."""

import cv2
import numpy as np
import pytest
from PIL import Image

from vl2.processing.boxes import Box, Region
from vl2.synth.camera import LARGEST_SIDE, LEAST_LETTER, photograph
from vl2.synth.lens import Bend, Lens, fit_lens
from vl2.synth.registry import PHOTO, PHOTOGRAPHED, TASKS, generate
from vl2.synth.sample import FIRST_HAN, FIRST_STRUCTURE, Question, Sample

SPOTS = ((30, 40, 130, 60), (250, 20, 300, 90), (60, 300, 90, 330), (200, 260, 350, 380))


def strong_lens(seed: int) -> tuple[Lens, tuple[int, int]]:
    rng = np.random.default_rng(seed)
    bend = Bend.draw(rng, 400, 400, 1.0)
    return fit_lens((400, 400), bend, rng.normal(size=3) * (6, 18, 18), 1.3, 1.0, np.full(4, 0.05))


@pytest.mark.parametrize("seed", range(8))
def test_boxes_are_where_the_lens_shows_the_ink(seed: int):
    lens, (width, height) = strong_lens(seed)
    columns, rows = lens.pixel_map(width, height)
    for box in SPOTS:
        page = np.full((400, 400), 255, np.uint8)
        page[box[1] : box[3], box[0] : box[2]] = 0
        shown = cv2.remap(page, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=255)
        ys, xs = np.nonzero(shown < 128)
        found = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert np.allclose(lens.outlines(np.array([box], float))[0], found, atol=1.6)
        x0, y0, x1, y1 = lens.cells(np.array([box], float))[0]
        assert abs((x0 + x1) / 2 - xs.mean()) < 4
        assert abs((y0 + y1) / 2 - ys.mean()) < 4


@pytest.mark.parametrize("seed", range(8))
def test_the_way_back_is_exact(seed: int):
    lens, _ = strong_lens(seed)
    points = np.random.default_rng(0).uniform(0, 400, (200, 2))
    assert np.allclose(lens.inverse(lens.forward(points)), points, atol=1e-6)
    assert abs(lens.forward(points) - points).max() > 10


@pytest.mark.parametrize("task", ["line-photo", "receipt-photo", "chart-photo"])
def test_same_index_same_photograph(task: str):
    first, second = generate(task, 1, 7), generate(task, 1, 7)
    assert first.task == task
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    assert (first.mark_boxes == second.mark_boxes).all()
    assert generate(task, 1, 8).questions != first.questions


def test_every_text_task_has_photographs_and_they_are_well_formed():
    assert {task + PHOTO for task in PHOTOGRAPHED} <= set(TASKS)
    heights = []
    for task in PHOTOGRAPHED:
        for index in range(4):
            sample = generate(task + PHOTO, 3, index, "test")
            width, height = sample.image.size
            assert max(width, height) <= 1.15 * LARGEST_SIDE
            letters = (sample.mark_ids > 1) & (sample.mark_ids < FIRST_STRUCTURE) | (sample.mark_ids >= FIRST_HAN)
            tall = sample.mark_boxes[letters, 3] - sample.mark_boxes[letters, 1]
            heights.append(np.median(tall))
            middles = (sample.mark_boxes[:, :2] + sample.mark_boxes[:, 2:]) / 2
            assert ((middles > -4) & (middles < np.array([width, height]) + 4)).all()
            assert len(sample.mark_ids) == len(sample.mark_boxes) == len(sample.mark_extents)
            for question in sample.questions:
                for region in question.regions:
                    x0, y0, x1, y1 = region.box
                    assert 0 <= x0 < x1 <= width
                    assert 0 <= y0 < y1 <= height
    assert min(heights) > 0.9 * LEAST_LETTER


def test_a_dark_word_is_found_where_the_question_says():
    hits = 0
    for seed in range(40):
        page = Image.new("RGB", (380, 300), (250, 250, 250))
        page.paste((10, 10, 10), (150, 120, 210, 150))
        question = Question("ground", "the bar", metric="iou", regions=(Region("the bar", Box(150, 120, 210, 150)),))
        boxes = np.array([[150, 120, 210, 150]], np.float32)
        sample = Sample("x", page, (question,), np.array([98], np.int16), boxes, boxes)
        shot = photograph(np.random.default_rng(seed), sample, "x-photo", "train")
        x0, y0, x1, y1 = (round(v) for v in shot.questions[0].regions[0].box)
        grey = np.asarray(shot.image.convert("L")).astype(int)
        inside = grey[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].mean()
        beside = grey[y0:y1, min(x1 + 6, grey.shape[1] - 9) : x1 + 14].mean()
        hits += inside < beside - 30
    assert hits >= 38  # a shadow may fall on either side
