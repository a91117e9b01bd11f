"""Patch labels land on the letters, through exactly the geometry of tiling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vl2.data.packing import NO_LABEL
from vl2.processing.tiling import choose_canvas, letterbox, letterbox_geometry, tile_image
from vl2.synth.canvas import Canvas
from vl2.synth.ingredients import fonts, load_font
from vl2.synth.patches import PATCH, patch_targets
from vl2.synth.sample import Sample

CANDIDATES = [(384, 384), (384, 768), (768, 384), (768, 768), (384, 1152), (1152, 384)]


def centre_pixels(tile_CYX: np.ndarray, right: int = 0, down: int = 0) -> np.ndarray:
    """(27 * 27, 3) pixels at the patch centres, or `right` and `down` of them."""
    places = np.arange(tile_CYX.shape[-1] // PATCH) * PATCH + PATCH // 2
    tile_CYX = np.roll(tile_CYX, (-down, -right), (1, 2))
    return tile_CYX[:, places][:, :, places].transpose(1, 2, 0).reshape(-1, 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 1500), st.integers(20, 1500), st.sampled_from(CANDIDATES))
def test_geometry_is_that_of_letterbox(width: int, height: int, canvas: tuple[int, int]):
    white = letterbox(Image.new("RGB", (width, height), (255, 255, 255)), canvas, (0, 0, 0))
    ink = np.asarray(white)[..., 0] > 0
    ys, xs = np.nonzero(ink.any(1))[0], np.nonzero(ink.any(0))[0]
    scale_x, scale_y, offset_x, offset_y = letterbox_geometry((width, height), canvas)
    assert (offset_x, offset_y) == (xs[0], ys[0])
    assert offset_x + scale_x * width == pytest.approx(xs[-1] + 1)
    assert offset_y + scale_y * height == pytest.approx(ys[-1] + 1)


@pytest.mark.parametrize("tile", [384, 280])
@pytest.mark.parametrize("size", [(300, 200), (384, 384), (700, 250), (250, 700), (740, 730), (1100, 300)])
def test_labels_equal_coloured_blocks_seen_through_tiling(size: tuple[int, int], tile: int):
    """Blocks of distinct colour, tiled for real: the colour under each patch centre says which label is right."""
    rng = np.random.default_rng(size[0])
    width, height = size
    canvas = Canvas(width, height, (0, 0, 0))
    for number in range(40):
        x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        w, h = rng.integers(20, 90, 2).tolist()
        canvas.draw.rectangle((x, y, x + w - 1, y + h - 1), fill=(255, 6 * number, 0))
        canvas.mark(100 + number, (x, y, x + w, y + h))
    finished = canvas.finish(rng, damage=None)
    candidates = [(tile * width // 384, tile * height // 384) for width, height in CANDIDATES]
    tiled = tile_image(finished.image, candidates, tile_size=tile)
    labels = patch_targets(Sample("line", finished.image, (), *finished.marks), tiled).classes_NP
    assert labels.shape == (len(tiled.unique_tiles_NCYX), (tile // PATCH) ** 2)
    assert labels.dtype == np.int16
    agree, covered = 0, 0
    for pixels_CYX, row in zip(tiled.unique_tiles_NCYX, labels, strict=True):
        pixels = centre_pixels(pixels_CYX).astype(int)
        clear = pixels[:, 0] > 250
        for step in ((-3, 0), (3, 0), (0, -3), (0, 3)):  # away from edges, where the resize mixes colours
            clear &= (centre_pixels(pixels_CYX, *step) == pixels).all(1)
        expected = 100 + np.round(pixels[:, 1] / 6).astype(int)
        agree += (expected == row)[clear].sum()
        covered += clear.sum()
        black = (pixels.max(1) < 3).sum()
        assert ((row == 0) & (pixels.max(1) < 3)).sum() >= 0.97 * black
    assert covered > 100
    assert agree == covered


def test_labels_lie_on_big_letters():
    font = load_font(fonts("train", "sans")[0], 90)
    canvas = Canvas(760, 200)
    for number, char in enumerate("ABCDEFG"):
        canvas.text((20 + 104 * number, 40), char, font)
    finished = canvas.finish(np.random.default_rng(0), damage=None)
    tiled = tile_image(finished.image, CANDIDATES)
    assert (tiled.grid.rows, tiled.grid.cols) == (1, 2)
    labels = patch_targets(Sample("line", finished.image, (), *finished.marks), tiled).classes_NP
    assert labels.shape == (3, 729)
    assert set(labels[0].tolist()) == {0, *(ord(char) - 31 for char in "ABCDEFG")}
    for tile, row in zip(tiled.unique_tiles_NCYX, labels, strict=True):
        dark = centre_pixels(tile).mean(1) < 60
        assert dark.sum() > 5
        assert (row[dark] != 0).all()
    left, right = set(labels[1].tolist()), set(labels[2].tolist())
    assert ord("A") - 31 in left
    assert ord("A") - 31 not in right
    assert ord("G") - 31 in right


def marked(size: tuple[int, int], ids: list[int], boxes: list[list[float]]) -> Sample:
    edges = np.array(boxes, np.float32).reshape(-1, 4)
    return Sample("line", Image.new("RGB", size), (), np.array(ids, np.int16), edges, edges + 1)


def test_one_local_tile_counts_once():
    sample = marked((100, 100), [5], [[0, 0, 100, 100]])
    classes, boxes = patch_targets(sample, tile_image(sample.image, [(384, 384)]))
    assert classes.shape == (1, 729)
    assert (classes == 5).all()
    assert boxes.shape == (1, 729, 4)


def test_later_marks_win_and_no_marks_is_background():
    sample = marked((384, 384), [3, 9], [[0, 0, 384, 384], [0, 0, 20, 20]])
    tiled = tile_image(sample.image, [(384, 384)])
    labels = patch_targets(sample, tiled).classes_NP.reshape(27, 27)
    assert labels[0, 0] == 9
    assert labels[1, 1] == 3
    nothing = patch_targets(marked((384, 384), [], []), tiled)
    assert (nothing.classes_NP == 0).all()
    assert (nothing.boxes_NP4 == NO_LABEL).all()


def test_boxes_are_extents_in_hundredths_and_only_on_the_global_view():
    sample = marked((760, 380), [7], [[76, 38, 379, 189]])  # its extent is a pixel further right and down
    tiled = tile_image(sample.image, CANDIDATES)
    classes, boxes = patch_targets(sample, tiled)
    assert (tiled.grid.rows, tiled.grid.cols) == (1, 2)
    assert (boxes[0][classes[0] == 7] == (10, 10, 50, 50)).all()
    assert (boxes[0][classes[0] == 0] == NO_LABEL).all()
    assert (boxes[1:] == NO_LABEL).all()
    assert (classes[1:] == 7).any()


def test_the_extent_of_a_letter_is_the_ink_of_its_line():
    canvas = Canvas(384, 384)
    ink = canvas.text((50, 100), "Wide word", load_font(fonts("train", "sans")[0], 60))
    finished = canvas.finish(np.random.default_rng(0), damage=None)
    assert np.allclose(finished.mark_extents, ink)
    sample = Sample("line", finished.image, (), *finished.marks)
    _, boxes = patch_targets(sample, tile_image(finished.image, CANDIDATES))
    seen = boxes[boxes[..., 0] != NO_LABEL]
    assert (seen == [round(edge / 384 * 999) // 10 for edge in ink]).all()


def test_canvas_choice_is_untouched():
    assert choose_canvas(760, 200, CANDIDATES) == (768, 384)
