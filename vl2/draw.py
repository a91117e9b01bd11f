"""Pictures for people: boxes on an image, and how an image was cut into tiles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vl2.config import VL2Config
from vl2.files import write_whole
from vl2.layout import image_token_count
from vl2.processing.boxes import Region
from vl2.processing.tiling import tile_image

_COLOURS = ("#e6194b", "#0082c8", "#3cb44b", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000")
_GAP = 8
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def draw_regions(image: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """A copy of the image with every region framed and named; one colour per label."""
    out = image.convert("RGB").copy()
    draw = ImageDraw.Draw(out)
    line = max(2, round(min(out.size) / 200))
    font = ImageFont.load_default(max(12, min(out.size) / 28))
    labels = list(dict.fromkeys(region.label for region in regions))
    for region in regions:
        colour = _COLOURS[labels.index(region.label) % len(_COLOURS)]
        x0, y0, x1, y1 = region.box
        draw.rectangle((x0 - line, y0 - line, x1 + line, y1 + line), outline=colour, width=line)
        name = " ".join(region.label.split())  # a label is on one line
        left, top, right, bottom = draw.textbbox((x0, y0), name, font=font, anchor="lb")
        dy = max(0, 2 - top) + (bottom - top + 2 * line if y0 - (bottom - top) < 0 else 0)
        dx = min(0, out.width - 4 - right)
        place = (left + dx - 3, top + dy - line - 2, right + dx + 3, bottom + dy - line + 2)
        draw.rectangle(place, fill=colour)
        draw.text((x0 + dx, y0 + dy - line), name, fill="white", font=font, anchor="lb")
    return out


def tile_sheet(image: Image.Image, config: VL2Config) -> Image.Image:
    """The global view beside the local tiles as the model sees them, with canvas, grid and token counts."""
    edge = config.vision_config.image_size
    tiled = tile_image(image, config.candidate_resolutions, tile_size=edge)
    grid, header = tiled.grid, 72
    sheet_width = edge + 3 * _GAP + grid.cols * (edge + _GAP)
    out = Image.new("RGB", (max(sheet_width, 640), header + _GAP + grid.rows * (edge + _GAP)), "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(20)
    tokens = image_token_count(grid, config.tile_side)
    canvas = f"{grid.cols * edge} x {grid.rows * edge}"
    draw.text((_GAP, 8), f"image {image.width} x {image.height}  ->  canvas {canvas}", fill="black", font=font)
    words = f"1 global view + {grid.rows} x {grid.cols} local tiles (rows x columns), {tokens} image tokens"
    draw.text((_GAP, 38), words, fill="black", font=font)
    for number, tile_CYX in enumerate(tiled.tiles_NCYX):
        row, col = divmod(number - 1, grid.cols)
        x = _GAP if number == 0 else edge + 3 * _GAP + col * (edge + _GAP)
        y = header if number == 0 else header + row * (edge + _GAP)
        out.paste(Image.fromarray(np.ascontiguousarray(tile_CYX.transpose(1, 2, 0))), (x, y))
        draw.rectangle((x - 1, y - 1, x + edge, y + edge), outline=_COLOURS[min(number, 1)], width=2)
        draw.text((x + 6, y + 4), "global" if number == 0 else str(number), fill=_COLOURS[min(number, 1)], font=font)
    return out


def picture_format(path: Path) -> str:
    """Pillow's name of the format that a file name asks for; ValueError if it is none that people look at."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"{path}: unknown picture format {suffix!r}; use .png, .jpg or .webp")
    return _FORMATS[suffix]


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture whole or not at all."""
    kind = picture_format(path)
    with write_whole(path) as staging:
        picture.save(staging, format=kind)
