"""Marks of an image to one label per patch of its tiles, for the training-only head on the tower.

    mark boxes in image pixels --letterbox of each view--> boxes on its canvas --patch centres--> (N, 27 * 27) int16

    global view:  the whole image on one tile         local tiles: the image on the canvas of the grid, cut row by row

A patch takes the label of the last mark that covers its centre. The trap: this repeats the arithmetic of Pillow's
ImageOps.pad (contain, then centre with rounding) that tiling uses; a test renders letters through both.
"""

import numpy as np

from vl2.processing.tiling import TiledImage

TILE = 384
PATCH = 14
PATCHES_PER_SIDE = TILE // PATCH


def letterbox_geometry(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[float, float, float, float]:
    """(scale x, scale y, offset x, offset y) from pixels of an image of `size` to a canvas, both (width, height)."""
    width, height = size
    canvas_w, canvas_h = canvas
    image_ratio, canvas_ratio = width / height, canvas_w / canvas_h
    new_w, new_h = canvas_w, canvas_h
    if image_ratio > canvas_ratio:
        new_h = round(height / width * canvas_w)
    elif image_ratio < canvas_ratio:
        new_w = round(width / height * canvas_h)
    offset_x = round((canvas_w - new_w) * 0.5)
    offset_y = round((canvas_h - new_h) * 0.5)
    return new_w / width, new_h / height, float(offset_x), float(offset_y)


def patch_labels(
    mark_ids: np.ndarray, mark_boxes: np.ndarray, size: tuple[int, int], tiled: TiledImage, *, unique: bool = True
) -> np.ndarray:
    """Labels of the patches of an image's tiles.

    Args:
        mark_ids, mark_boxes: (M,) int16 and (M, 4) float32 pixels of the image, as in Sample.
        size: (width, height) of the image that was tiled.
        tiled: its tiles; only the grid is used.
        unique: leave out the local tile of a 1x1 grid, which equals the global view.

    Returns:
        (N, 27 * 27) int16, tiles in the order of tiled.tiles_NCYX, patches row by row; 0 is background.
    """
    rows, cols = tiled.grid.rows, tiled.grid.cols
    whole = _paint(mark_ids, mark_boxes, size, 1, 1)
    if unique and rows * cols == 1:
        return whole
    return np.concatenate([whole, _paint(mark_ids, mark_boxes, size, rows, cols)])


def _paint(ids: np.ndarray, boxes: np.ndarray, size: tuple[int, int], rows: int, cols: int) -> np.ndarray:
    """(rows * cols, 27 * 27) labels of the image on a canvas of rows x cols tiles."""
    scale_x, scale_y, offset_x, offset_y = letterbox_geometry(size, (cols * TILE, rows * TILE))
    x_first, x_last = _covered(boxes[:, 0] * scale_x + offset_x, boxes[:, 2] * scale_x + offset_x, cols)
    y_first, y_last = _covered(boxes[:, 1] * scale_y + offset_y, boxes[:, 3] * scale_y + offset_y, rows)
    side = PATCHES_PER_SIDE
    labels = np.zeros((rows * side, cols * side), np.int16)
    seen = np.flatnonzero((x_last > x_first) & (y_last > y_first))
    corners = np.stack([y_first, y_last, x_first, x_last], 1)[seen].tolist()
    # slice assignment in order: later marks win; most marks cover no more than a few patches
    for label, (y0, y1, x0, x1) in zip(ids[seen].tolist(), corners, strict=True):
        labels[y0:y1, x0:x1] = label
    return labels.reshape(rows, side, cols, side).transpose(0, 2, 1, 3).reshape(rows * cols, side * side)


def _covered(low: np.ndarray, high: np.ndarray, tiles: int) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last patch (counted over all tiles along one axis) whose centre lies in [low, high).

    A tile of 384 pixels has 27 patches of 14; its last 6 pixels belong to none.
    """
    starts = np.arange(tiles)[:, None] * TILE
    centres = (starts + np.arange(PATCHES_PER_SIDE) * PATCH + PATCH / 2).reshape(-1)
    return np.searchsorted(centres, low, "left"), np.searchsorted(centres, high, "left")
