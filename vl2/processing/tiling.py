"""Images to tiles: choose a canvas, letterbox, cut (paper section 2, dynamic tiling).

    image --choose_canvas--> (width, height) --letterbox--> global view 384x384, local view W x H
          --cut--> tiles (N, 3, 384, 384) uint8, global view first, then local tiles row by row

The trap: canvases are (width, height), grids are (rows, cols). Only this file sees both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from vl2.layout import TileGrid

MAX_TILED_IMAGES = 2  # a conversation with more images than this uses one local tile each, as published


@dataclass(frozen=True)
class TiledImage:
    """One image cut into tiles.

    tiles_NCYX: (N, 3, 384, 384) uint8, global view first.
    grid: local tiles as (rows, cols).
    size: (width, height) of the original image in pixels; boxes refer to it.
    """

    tiles_NCYX: np.ndarray
    grid: TileGrid
    size: tuple[int, int]

    @property
    def unique_tiles_NCYX(self) -> np.ndarray:
        """Tiles without the repeated one: both views of a 1x1 image show the same pixels, so one is encoded."""
        return self.tiles_NCYX[:1] if self.grid.num_tiles == 2 else self.tiles_NCYX


def canvases(max_tiles: int, tile_size: int = 384) -> tuple[tuple[int, int], ...]:
    """All canvases (width, height) of at most `max_tiles` tiles, in the published order, which decides ties.

    9 gives the 23 of the published configurations, 18 the 58 of the paper's InfoVQA setting.
    """
    sizes = [(a, total // a) for total in range(1, max_tiles + 1) for a in range(1, total + 1) if total % a == 0]
    short_first = sorted(sizes, key=lambda size: (size[0] * size[1], min(size), size[0]))
    return tuple((cols * tile_size, rows * tile_size) for cols, rows in short_first)


def choose_canvas(width: int, height: int, candidates: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The candidate (width, height) that keeps most of the image's own pixels; least waste, then first, breaks ties."""
    best, best_effective, best_wasted = candidates[0], -1, 0
    for canvas_w, canvas_h in candidates:
        scale = min(canvas_w / width, canvas_h / height)
        scaled_area = int(width * scale) * int(height * scale)
        effective = min(scaled_area, width * height)
        wasted = canvas_w * canvas_h - effective
        if effective > best_effective or (effective == best_effective and wasted < best_wasted):
            best, best_effective, best_wasted = (canvas_w, canvas_h), effective, wasted
    return best


def letterbox(image: Image.Image, canvas: tuple[int, int], fill: tuple[int, int, int]) -> Image.Image:
    """Bicubic resize that keeps the aspect ratio, centred on a canvas of (width, height) pixels."""
    if 0 in (round(image.height / image.width * canvas[0]), round(image.width / image.height * canvas[1])):
        return Image.new("RGB", canvas, fill)  # so thin that nothing is left of it; older Pillows fail at that
    return ImageOps.pad(image, canvas, color=fill)


def letterbox_geometry(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[float, float, int, int]:
    """(scale x, scale y, offset x, offset y) from pixels of an image of `size` to a canvas, both (width, height).

    Repeats the arithmetic of Pillow's ImageOps.pad: contain, then centre with rounding.
    """
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
    return new_w / width, new_h / height, offset_x, offset_y


def choose_views(
    width: int, height: int, candidates: Sequence[tuple[int, int]], *, tiling: bool = True, tile_size: int = 384
) -> tuple[tuple[int, int], TileGrid]:
    """The canvas (width, height) of the local view, and its grid; `tiling=False` forces one local tile."""
    canvas = choose_canvas(width, height, candidates) if tiling else (tile_size, tile_size)
    return canvas, TileGrid(rows=canvas[1] // tile_size, cols=canvas[0] // tile_size)


def tile_image(
    image: Image.Image,
    candidates: Sequence[tuple[int, int]],
    *,
    tiling: bool = True,
    tile_size: int = 384,
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> TiledImage:
    """Cut an RGB image into its global view and local tiles; `tiling=False` forces one local tile."""
    fill = (int(mean[0] * 255), int(mean[1] * 255), int(mean[2] * 255))
    canvas, grid = choose_views(*image.size, candidates, tiling=tiling, tile_size=tile_size)
    tiles_NCYX = np.empty((1 + grid.rows * grid.cols, 3, tile_size, tile_size), np.uint8)
    _cut(letterbox(image, (tile_size, tile_size), fill), tiles_NCYX[:1], 1, 1)
    if canvas == (tile_size, tile_size):
        tiles_NCYX[1] = tiles_NCYX[0]  # both views are the same picture
    else:
        _cut(letterbox(image, canvas, fill), tiles_NCYX[1:], grid.rows, grid.cols)
    return TiledImage(tiles_NCYX, grid, image.size)


def _cut(view: Image.Image, out_NCYX: np.ndarray, rows: int, cols: int) -> None:
    """Write the tiles of a view row by row, one colour at a time: a third of the work of transposing pixels."""
    size = out_NCYX.shape[-1]
    out = out_NCYX.reshape(rows, cols, 3, size, size)
    for channel in range(3):
        plane_YX = np.asarray(view.getchannel(channel))
        out[:, :, channel] = plane_YX.reshape(rows, size, cols, size).transpose(0, 2, 1, 3)
