"""The page at /: its files, and where the model's tiles lie on an image, so that the page need not know how to tile.

    GET /                 page/index.html      GET /page/...  everything that it loads
    GET /v1/tiles?size=320x291&size=...        sizes of a conversation's images --> canvas, grid, place of each image

The trap: the page may load from this server only and run no script of its HTML. A style or script that is written into
index.html is refused by the browser, not by us.
"""

import re
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from vl2.config import VL2Config
from vl2.layout import TileGrid, image_token_count
from vl2.processing.tiling import MAX_TILED_IMAGES, choose_views, letterbox_geometry
from vl2.serve.chat import json_response
from vl2.serve.errors import invalid
from vl2.serve.protocol import Tiles, TilesResponse, View
from vl2.serve.service import Service

PAGE = Path(__file__).parent / "page"
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",  # asks each time, and gets 304
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_SIZE = re.compile(r"([1-9]\d{0,8})x([1-9]\d{0,8})", re.ASCII)


def page_routes() -> list[BaseRoute]:
    """Under paths of their own, so that a wrong method of the API stays a 405."""
    # In a clone the examples are links to those of the repository.
    files = _Files(directory=PAGE, follow_symlink=True)
    return [Route("/", index), Route("/v1/tiles", tiles), Mount("/page", files)]


async def index(_: Request) -> Response:
    """The page."""
    return FileResponse(PAGE / "index.html", headers=_HEADERS)


async def tiles(request: Request) -> Response:
    """How a conversation's images of these sizes are cut. Raises ApiError (400, 503)."""
    service: Service = request.app.state.service
    found = [_SIZE.fullmatch(text) for text in request.query_params.getlist("size")]
    sizes = [(int(match[1]), int(match[2])) for match in found if match]
    most = service.settings.max_images
    if len(sizes) != len(found) or not 1 <= len(sizes) <= most:
        raise invalid("size", f"size: must be width x height, as 640x480, of each of at most {most} images")
    config = service.model.config
    tiling = len(sizes) <= MAX_TILED_IMAGES
    edge = config.vision_config.image_size
    return json_response(TilesResponse(tile_size=edge, images=[_tiles(size, config, tiling) for size in sizes]))


def _tiles(size: tuple[int, int], config: VL2Config, tiling: bool) -> Tiles:
    edge = config.vision_config.image_size
    canvas, grid = choose_views(*size, config.candidate_resolutions, tiling=tiling, tile_size=edge)
    return Tiles(
        width=size[0], height=size[1], num_tiles=grid.num_tiles, image_tokens=image_token_count(grid, config.tile_side),
        global_view=_view(size, (edge, edge), TileGrid(1, 1)), local_view=_view(size, canvas, grid),
    )  # fmt: skip


def _view(size: tuple[int, int], canvas: tuple[int, int], grid: TileGrid) -> View:
    scale_x, scale_y, left, top = letterbox_geometry(size, canvas)
    box = (left, top, left + round(size[0] * scale_x), top + round(size[1] * scale_y))
    return View(canvas=canvas, rows=grid.rows, cols=grid.cols, box=box)


class _Files(StaticFiles):
    """With the headers of the page."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update(_HEADERS)
        return response
