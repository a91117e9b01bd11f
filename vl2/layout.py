"""How image tokens are ordered: the only definition, pure integers.

    global view    14 rows x (14 tile tokens + 1 newline)          = 210
    separator                                                        1
    local mosaic   rows*14 rows x (cols*14 tile tokens + 1 newline)

Local tiles are stitched into one mosaic *before* newlines are added, so a newline ends a mosaic row,
not a tile row. Grids are always (rows, cols); the (width, height) order of the published files
stays inside `config` and `processing.tiling`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TileGrid:
    """Local tiles of one image; 1x1 still means two tiles (the global view and one local view)."""

    rows: int
    cols: int

    @property
    def num_tiles(self) -> int:
        """Tiles encoded by the tower: the global view and every local tile."""
        return 1 + self.rows * self.cols


def image_token_count(grid: TileGrid, side: int = 14) -> int:
    """Placeholders one image takes in the prompt; `side` is the number of tile tokens along a tile's edge."""
    return side * (side + 1) + 1 + grid.rows * side * (grid.cols * side + 1)


def tile_token_index(grid: TileGrid, side: int = 14) -> list[int]:
    """Source of every image token, in prompt order.

    Entry >= 0 is an index into the image's tile tokens flattened as (tile, row, column), tile 0 being the
    global view; NEWLINE and SEPARATOR mark the two learned vectors.
    """
    per_tile = side * side
    index: list[int] = []
    for y in range(side):
        index += range(y * side, (y + 1) * side)
        index.append(NEWLINE)
    index.append(SEPARATOR)
    for y in range(grid.rows * side):
        tile_row, inner_y = divmod(y, side)
        for col in range(grid.cols):
            start = (1 + tile_row * grid.cols + col) * per_tile + inner_y * side
            index += range(start, start + side)
        index.append(NEWLINE)
    return index


NEWLINE = -1
SEPARATOR = -2
