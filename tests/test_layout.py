"""The order of image tokens."""

from hypothesis import given
from hypothesis import strategies as st

from vl2.layout import NEWLINE, SEPARATOR, TileGrid, image_token_count, tile_token_index


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
