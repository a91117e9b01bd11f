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
    canvas = choose_canvas(*image.size, candidates) if tiling else (tile_size, tile_size)
    grid = TileGrid(rows=canvas[1] // tile_size, cols=canvas[0] // tile_size)
    global_YXC = np.asarray(letterbox(image, (tile_size, tile_size), fill))
    one_tile = canvas == (tile_size, tile_size)  # then both views are the same picture
    local_YXC = global_YXC if one_tile else np.asarray(letterbox(image, canvas, fill))
    local_NYXC = (
        local_YXC.reshape(grid.rows, tile_size, grid.cols, tile_size, 3)
        .transpose(0, 2, 1, 3, 4)
        .reshape(-1, tile_size, tile_size, 3)
    )
    tiles_NYXC = np.concatenate([global_YXC[None], local_NYXC])
    return TiledImage(np.ascontiguousarray(tiles_NYXC.transpose(0, 3, 1, 2)), grid, image.size)
