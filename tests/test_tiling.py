"""Tiling and layout against the official implementation's recorded decisions."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from vl2.layout import NEWLINE, SEPARATOR, TileGrid, image_token_count, tile_token_index
from vl2.processing.tiling import choose_canvas, tile_image

GOLDENS = Path(__file__).parent / "goldens" / "processor"
EXPECTED = json.loads((GOLDENS / "expected.json").read_text())
CANDIDATES = [tuple(pair) for pair in EXPECTED["candidate_resolutions"]]


@pytest.mark.parametrize("case", EXPECTED["tiling"], ids=lambda c: "x".join(map(str, c["size"])))
def test_canvas_matches_official_choice(case):
    width, height = case["size"]
    assert list(choose_canvas(width, height, CANDIDATES)) == case["best"]


@pytest.mark.parametrize("case", EXPECTED["cases"], ids=lambda c: c["name"])
def test_tiles_match_official_pixels(case):
    tiles = []
    for path, crop, tokens in zip(case["images"], case["images_spatial_crop"], case["num_image_tokens"], strict=True):
        image = Image.open(GOLDENS / path).convert("RGB")
        tiled = tile_image(image, CANDIDATES, tiling=len(case["images"]) <= 2)
        assert [tiled.grid.cols, tiled.grid.rows] == crop
        assert image_token_count(tiled.grid) == tokens
        tiles.append(tiled.tiles_NCYX)
    if not tiles:
        return
    pixels = (np.concatenate(tiles).astype(np.float64) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(pixels.mean(axis=(1, 2, 3)), case["tile_mean"], atol=1e-5)
    np.testing.assert_allclose(pixels.std(axis=(1, 2, 3)), case["tile_std"], atol=1e-4)


def test_first_tiles_match_official_bytes():
    recorded = load_file(GOLDENS / "tiles_uint8.safetensors")
    assert recorded
    for key, tiles in recorded.items():
        case = next(c for c in EXPECTED["cases"] if c["name"] == key.split("/")[0].split(".")[0])
        image = Image.open(GOLDENS / case["images"][0]).convert("RGB")
        ours = tile_image(image, CANDIDATES, tiling=len(case["images"]) <= 2).tiles_NCYX[: len(tiles)]
        assert np.abs(ours.astype(int) - tiles.astype(int)).max() <= 1


@given(st.integers(1, 9), st.integers(1, 9))
def test_layout_uses_every_tile_token_once(rows, cols):
    grid = TileGrid(rows, cols)
    index = tile_token_index(grid)
    assert len(index) == image_token_count(grid)
    assert index.count(SEPARATOR) == 1
    assert index.count(NEWLINE) == 14 + rows * 14
    assert sorted(i for i in index if i >= 0) == list(range(grid.num_tiles * 196))


def test_layout_order_on_a_small_grid():
    """Two local tiles of 2x2 tokens side by side: mosaic rows cross both tiles before the newline."""
    n, s = NEWLINE, SEPARATOR
    assert tile_token_index(TileGrid(1, 2), side=2) == [0, 1, n, 2, 3, n, s, 4, 5, 8, 9, n, 6, 7, 10, 11, n]
