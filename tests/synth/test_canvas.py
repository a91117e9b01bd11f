"""Marks and regions lie where the ink is, also after damage."""

import numpy as np
import pytest
from PIL import Image

from vl2.synth.canvas import Canvas, character_ids
from vl2.synth.damage import Damage, move_boxes
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.sample import FIRST_HAN, OTHER_CHARACTER, STRUCTURES, concept_id, structure_id

FONT = load_font(next(path for path in fonts("train", "sans") if "roboto-400" in path), 40)


def ink_box(image: Image.Image, threshold: int = 128) -> tuple[float, ...]:
    """The box of the dark pixels."""
    dark = np.asarray(image.convert("L")) < threshold
    ys, xs = np.nonzero(dark.any(1))[0], np.nonzero(dark.any(0))[0]
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def test_text_returns_its_ink_box():
    canvas = Canvas(300, 100)
    box = canvas.text((20, 10), "Hgj Mi.", FONT)
    finished = canvas.finish(np.random.default_rng(0), damage=None)
    assert np.allclose(box, ink_box(finished.image, 200), atol=1.5)


def test_marks_are_one_cell_per_character_in_order():
    canvas = Canvas(300, 100)
    canvas.text((20, 10), "Ab é", FONT)
    _, ids, boxes, *_ = canvas.finish(np.random.default_rng(0), damage=0)
    assert ids.tolist() == [ord("A") - 31, ord("b") - 31, 1, OTHER_CHARACTER]
    assert ids.dtype == np.int16
    assert boxes.dtype == np.float32
    assert (boxes[1:, 0] == boxes[:-1, 2]).all()
    assert boxes[0, 0] == 20
    assert (boxes[:, 3] > boxes[:, 1]).all()


@pytest.mark.parametrize("angle", [-3.0, 2.0])
def test_rotation_moves_regions_and_marks_with_the_ink(angle: float):
    canvas = Canvas(500, 200)
    box = canvas.text((400, 120), "X", FONT)
    canvas.region("x", box)
    finished = canvas.finish(np.random.default_rng(0), Damage(angle=angle))
    found = ink_box(finished.image, 160)
    assert np.allclose(finished.regions["x"], found, atol=2.5)
    x0, y0, x1, y1 = finished.mark_boxes[0]
    assert x0 <= (found[0] + found[2]) / 2 <= x1
    assert y0 <= (found[1] + found[3]) / 2 <= y1
    assert abs(box[1] - found[1]) > 3  # the turn is worth testing


def test_text_never_turns_out_of_the_picture():
    canvas = Canvas(600, 60)
    canvas.text((2, 5), "Text from edge to edge ......", FONT)
    _, _, boxes, *_ = canvas.finish(np.random.default_rng(0), Damage(angle=3.5))
    assert boxes[:, 1].min() >= -1
    assert boxes[:, 3].max() <= 61


def test_all_damage_at_once_keeps_size_mode_and_source():
    canvas = Canvas(97, 53, (250, 240, 230))
    canvas.text((3, 3), "abc", FONT)
    damage = Damage(angle=1, shadow=0.3, contrast=0.7, blur=1, noise=9, coloured_noise=True, jpeg=50)
    first = canvas.finish(np.random.default_rng(3), damage)
    second = canvas.finish(np.random.default_rng(3), damage)
    assert first.image.size == (97, 53)
    assert first.image.mode == "RGB"
    assert first.image.tobytes() == second.image.tobytes()
    assert first.image.tobytes() != canvas.image.tobytes()


def test_noise_has_the_asked_strength():
    image = Canvas(400, 1200, (128, 128, 128)).finish(np.random.default_rng(1), Damage(noise=8)).image
    assert np.asarray(image).std() == pytest.approx(8, rel=0.1)


def test_small_text_is_spared():
    rng = np.random.default_rng(5)
    plans = [Damage.draw(rng, 1.0, smallest_text=11) for _ in range(400)]
    assert max(plan.blur for plan in plans) < 0.7
    assert min(plan.jpeg for plan in plans if plan.jpeg) >= 60
    assert Damage.draw(rng, 0.0) == Damage()


def test_move_boxes_keeps_small_marks_small():
    boxes = np.array([[10, 10, 20, 20]], np.float32)
    moved = move_boxes(boxes, (100, 100), 90, grow=False)
    assert np.allclose(moved, [[10, 80, 20, 90]], atol=1e-3)


def test_label_ids_fit():
    assert len(STRUCTURES) == len(set(STRUCTURES)) == 31
    assert structure_id(STRUCTURES[-1]) == 127
    assert concept_id(0) == 128
    assert concept_id(399) == FIRST_HAN - 1
    assert character_ids(" ~").tolist() == [1, 95]
