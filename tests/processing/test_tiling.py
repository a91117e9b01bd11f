"""Properties of tiling for every size; tests/parity compares with the official implementation's decisions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vl2.config import CANDIDATE_RESOLUTIONS
from vl2.processing.tiling import choose_canvas, tile_image

SIDE = st.integers(1, 6000)
CANVASES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=8)


@given(SIDE, SIDE, CANVASES)
def test_no_other_canvas_keeps_more_of_the_image(width: int, height: int, canvases: list[tuple[int, int]]) -> None:
    """Among those that keep as much, no other wastes less; in exact arithmetic, but for the rounding of its sides."""
    candidates = [(384 * m, 384 * n) for m, n in canvases]

    def kept(canvas: tuple[int, int]) -> Fraction:
        scale = min(Fraction(canvas[0], width), Fraction(canvas[1], height), Fraction(1))
        return width * height * scale * scale

    best = choose_canvas(width, height, candidates)
    assert best in candidates
    for other in candidates:
        assert kept(other) <= kept(best) + other[0] + other[1]
        if min(Fraction(other[0], width), Fraction(other[1], height)) >= 1:  # holds all of the image
            assert best[0] * best[1] <= other[0] * other[1]


@given(SIDE, SIDE)
def test_the_first_of_equal_candidates_is_taken(width: int, height: int) -> None:
    assert choose_canvas(width, height, [(384, 384), (768, 768)]) == choose_canvas(
        width, height, [(384, 384), (768, 768), (768, 768), (384, 384)]
    )
    assert choose_canvas(500, 500, [(384, 768), (768, 384)]) == (384, 768)
    assert choose_canvas(500, 500, [(768, 384), (384, 768)]) == (768, 384)


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000)])
def test_images_too_thin_to_show(size: tuple[int, int]) -> None:
    assert (tile_image(Image.new("RGB", size), CANDIDATE_RESOLUTIONS).tiles_NCYX == 127).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.booleans(), st.integers(0, 2**32))
def test_tiles_are_the_letterboxed_image_cut_row_by_row(width: int, height: int, tiling: bool, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image, edge = Image.fromarray(pixels), 32
    tiled = tile_image(
        image, [(32 * w // 384, 32 * h // 384) for w, h in CANDIDATE_RESOLUTIONS], tiling=tiling, tile_size=edge
    )
    rows, cols = tiled.grid.rows, tiled.grid.cols
    assert tiled.size == (width, height)
    assert tiled.tiles_NCYX.shape == (1 + rows * cols, 3, edge, edge)
    assert tiling or (rows, cols) == (1, 1)
    canvas = (cols * edge, rows * edge)
    assume(max(width, height) <= 2 * edge * min(width, height))
    mosaic = np.asarray(ImageOps.pad(image, canvas, method=Image.Resampling.BICUBIC, color=(127, 127, 127)))
    for number, tile_CYX in enumerate(tiled.tiles_NCYX[1:]):
        y, x = number // cols * edge, number % cols * edge
        np.testing.assert_array_equal(tile_CYX.transpose(1, 2, 0), mosaic[y : y + edge, x : x + edge])
    whole = ImageOps.pad(image, (edge, edge), method=Image.Resampling.BICUBIC, color=(127, 127, 127))
    np.testing.assert_array_equal(tiled.tiles_NCYX[0].transpose(1, 2, 0), np.asarray(whole))
    assert len(tiled.unique_tiles_NCYX) == (1 if rows * cols == 1 else 1 + rows * cols)
