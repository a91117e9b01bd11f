"""Marks of an image to labels of the patches of its tiles, for the training-only head on the tower.

    mark boxes in image pixels --letterbox of each view--> boxes on its canvas --patch centres--> a mark for each patch
    the mark's label --> classes (N, 27 * 27)        its extent, to two digits --> boxes (N, 27 * 27, 4)

Sizes in comments are those of the family's tiles, 384 pixels of 27 x 27 patches; tiles of another size have others.

    global view:  the whole image on one tile         local tiles: the image on the canvas of the grid, cut row by row

A patch belongs to the last mark that covers its centre. Only patches of the global view have boxes: a local tile does
not show where in the image it lies. The trap: the geometry must be exactly that of tiling; a
test renders letters through both.
"""

import numpy as np

from vl2.data.packing import NO_LABEL, PatchTargets
from vl2.processing.boxes import LAST
from vl2.processing.tiling import TiledImage, letterbox_geometry
from vl2.synth.sample import BACKGROUND, Sample

PATCH = 14


def patch_targets(sample: Sample, tiled: TiledImage) -> PatchTargets:
    """Targets of the patches of the unique tiles of `sample.image`; of these only the grid and the size are used."""
    width, height = sample.image.size
    tile = tiled.tiles_NCYX.shape[-1]
    rows, cols = tiled.grid.rows, tiled.grid.cols
    marks_NP = _paint(sample.mark_boxes, (width, height), 1, 1, tile)
    edges_M4 = sample.mark_extents / np.array([width, height] * 2, np.float32)
    bins_M4 = np.clip(np.round(edges_M4 * LAST), 0, LAST).astype(np.int16) // 10  # the first two digits of an answer
    boxes_NP4 = _of_marks(bins_M4, NO_LABEL, marks_NP)
    if rows * cols > 1:
        local_NP = _paint(sample.mark_boxes, (width, height), rows, cols, tile)
        marks_NP = np.concatenate([marks_NP, local_NP])
        boxes_NP4 = np.concatenate([boxes_NP4, np.full((*local_NP.shape, 4), NO_LABEL, np.int16)])
    return PatchTargets(_of_marks(sample.mark_ids, BACKGROUND, marks_NP), boxes_NP4)


def _of_marks(values_M: np.ndarray, nothing: int, marks_NP: np.ndarray) -> np.ndarray:
    """The value of each patch's mark, `nothing` where there is none."""
    last = np.full((1, *values_M.shape[1:]), nothing, np.int16)
    return np.concatenate([values_M, last])[marks_NP]


def _paint(boxes: np.ndarray, size: tuple[int, int], rows: int, cols: int, tile: int) -> np.ndarray:
    """(rows * cols, 27 * 27) number of the mark of each patch, -1 for none, on a canvas of rows x cols tiles."""
    scale_x, scale_y, offset_x, offset_y = letterbox_geometry(size, (cols * tile, rows * tile))
    x_first, x_last = _covered(boxes[:, 0] * scale_x + offset_x, boxes[:, 2] * scale_x + offset_x, cols, tile)
    y_first, y_last = _covered(boxes[:, 1] * scale_y + offset_y, boxes[:, 3] * scale_y + offset_y, rows, tile)
    side = tile // PATCH
    marks = np.full((rows * side, cols * side), -1, np.int32)
    seen = np.flatnonzero((x_last > x_first) & (y_last > y_first))
    corners = np.stack([y_first, y_last, x_first, x_last], 1)[seen].tolist()
    # slice assignment in order: later marks win; most marks cover no more than a few patches
    for number, (y0, y1, x0, x1) in zip(seen.tolist(), corners, strict=True):
        marks[y0:y1, x0:x1] = number
    return marks.reshape(rows, side, cols, side).transpose(0, 2, 1, 3).reshape(rows * cols, side * side)


def _covered(low: np.ndarray, high: np.ndarray, tiles: int, tile: int) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last patch (counted over all tiles along one axis) whose centre lies in [low, high).

    A tile of 384 pixels has 27 patches of 14; its last 6 pixels belong to none.
    """
    starts = np.arange(tiles)[:, None] * tile
    centres = (starts + np.arange(tile // PATCH) * PATCH + PATCH / 2).reshape(-1)
    return np.searchsorted(centres, low, "left"), np.searchsorted(centres, high, "left")
