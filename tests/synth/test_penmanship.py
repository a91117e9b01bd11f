"""Other hands: only where asked for, only in training, and marks stay on their letters."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from vl2.data.mixture import SynthSource
from vl2.synth import han
from vl2.synth.canvas import HANDS, Canvas
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.patches import patch_targets
from vl2.synth.penmanship import OVER, Hand, written_by
from vl2.synth.registry import generate
from vl2.synth.sample import NUM_LABELS, Sample
from vl2.train.assembly import assemble, stage_dataset
from vl2.train.config import read_recipe

EFFECTS = [
    {"slant": 0.3}, {"slant": -0.15}, {"width": 0.8}, {"width": 1.2}, {"weight": 0.6}, {"weight": -0.6}, {"dance": 1.0},
    {"bend": 0.06}, {"slant": 0.3, "width": 0.8, "weight": 0.6, "dance": 1.0, "bend": 0.06},
]  # fmt: skip
PLACE = (40, 30)


@contextmanager
def hand(effects: dict[str, float]) -> Iterator[None]:
    """All text is written like this."""
    writer = Hand(**effects, rng=np.random.default_rng(5))
    token = HANDS.set(lambda font: writer)
    yield
    HANDS.reset(token)


def bytes_of(sample: Sample) -> bytes:
    return sample.image.tobytes() + sample.mark_ids.tobytes() + sample.mark_boxes.tobytes()


def changed(task: str, index: int, split: str) -> bool:
    plain, other = (generate(task, 3, index, split, penmanship=wanted) for wanted in (False, True))
    assert plain.mark_ids.tolist() == other.mark_ids.tolist()
    assert [q.text for q in plain.questions] == [q.text for q in other.questions]
    return bytes_of(plain) != bytes_of(other)


@pytest.mark.parametrize("task", ["page-zh", "form-zh-photo", "line"])
def test_training_changes_and_the_test_split_does_not(task: str):
    assert any(changed(task, index, "train") for index in range(30))
    assert not any(changed(task, index, "test") for index in range(10))


def test_the_same_seed_gives_the_same_picture():
    for index in range(8):
        first, second = (generate("form-zh", 3, index, penmanship=True) for _ in range(2))
        assert bytes_of(first) == bytes_of(second)


def test_other_hands_come_about_as_often_as_said():
    loose, plain = han.fonts("train", "hand")[0], han.fonts("train", "sans")[0]
    latin, latin_plain = fonts("train", "hand")[0], fonts("train", "sans")[0]
    test = han.fonts("test", "hand")[0]
    for path, chance in ((loose, 0.615), (plain, 0.13), (latin, 0.15), (latin_plain, 0.05), (test, 0.0)):
        count = 0
        for seed in range(2000):
            with written_by([seed]):
                count += HANDS.get()(load_font(path, 20)) is not None
        assert count / 2000 == pytest.approx(chance, abs=0.02)


def test_a_sample_has_one_hand_for_each_font_and_none_for_small_type():
    path = han.fonts("train", "hand")[0]
    for seed in range(20):
        with written_by([seed]):
            found = HANDS.get()(load_font(path, 20))
            assert HANDS.get()(load_font(path, 30)) is found
            assert HANDS.get()(load_font(path, 13)) is None
    assert HANDS.get()(load_font(path, 20)) is None


@pytest.mark.parametrize("effects", EFFECTS, ids=lambda effects: "-".join(effects))
@pytest.mark.parametrize("chinese", [True, False])
@pytest.mark.parametrize("size", [16, 33])
def test_letters_stay_in_their_cells_and_lines_in_their_boxes(effects: dict[str, float], chinese: bool, size: int):
    text = "国家图书馆开门了" if chinese else "Hamburg 4703 xyz"
    found = han.fonts if chinese else fonts
    for kind in ("sans", "hand"):
        font = load_font(found("train", kind)[0], size)
        pictures = []
        for effect in ({}, effects):
            canvas = Canvas(700, 120)
            with hand(effect):
                box = canvas.text(PLACE, text, font)
            finished = canvas.finish(np.random.default_rng(0), damage=None)
            pictures.append((255 - np.asarray(finished.image.convert("L")), finished, box))
        (plain, _, old_box), (dark, finished, box) = pictures
        assert (plain != dark).any()
        assert dark.sum() > 0.45 * plain.sum()  # nothing vanishes

        ys, xs = np.nonzero(dark > 60)
        assert np.allclose(box, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), atol=1.5)
        width, height, _ = canvas.measure(text, font)
        over = OVER + 1
        assert xs.min() >= min(PLACE[0], old_box[0]) - over
        assert ys.min() >= min(PLACE[1], old_box[1]) - over
        assert xs.max() < max(PLACE[0] + width, old_box[2]) + over
        assert ys.max() < max(PLACE[1] + height, old_box[3]) + over

        letters = finished.mark_boxes[[char != " " for char in text]]
        for x0, y0, x1, y1 in letters.tolist():
            cell = dark[round(y0) : round(y1), round(x0) : round(x1)] > 60
            assert cell.any(1).mean() > 0.2  # the letter is there
            assert 0.2 < (np.nonzero(cell)[1].mean() + 0.5) / cell.shape[1] < 0.8  # and in the middle


def test_a_stage_asks_for_other_hands():
    asked: list[dict[str, bool]] = []

    def draw(task: str, seed: int, index: int, split: str, **options: bool) -> Sample:
        asked.append(options)
        return generate(task, seed, index, split, **options)

    source = SynthSource(draw, patch_targets, ("line-zh",), NUM_LABELS)
    for wanted in (True, False):
        recipe = read_recipe("debug", ("stages.0.mixture={line-zh=1}", f"stages.0.penmanship={str(wanted).lower()}"))
        _ = stage_dataset(assemble(recipe, source, None), 0)[0]
        assert asked
        assert all(options == ({"penmanship": True} if wanted else {}) for options in asked)
        asked.clear()
