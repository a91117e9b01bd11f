"""What the server adds for its page: its files, how images are tiled, pictures of pages."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from asking import encoded, form, send
from PIL import Image

import vl2
from vl2.serve.connections import PatientServer
from vl2.serve.web import PAGE

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def test_files(scripted: PatientServer) -> None:
    """All are served with a policy that lets them load from here only, and none names another host."""
    for path in sorted(PAGE.rglob("*.*")):
        if path.is_file():
            reply = send(scripted.url, f"/page/{path.relative_to(PAGE)}")
            assert reply.status == 200
            assert reply.body == path.read_bytes()
            assert "default-src 'none'; script-src 'self'" in reply.headers["content-security-policy"]
            assert reply.headers["x-content-type-options"] == "nosniff"
        if path.suffix in (".js", ".css", ".html"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"https?://|innerHTML|<style|\bon\w+=\"|<script(?! (src|type))", text)
            assert len(text.splitlines()) <= 300
    index = send(scripted.url, "/")
    assert index.body == (PAGE / "index.html").read_bytes()
    assert "default-src 'none'; script-src 'self'" in index.headers["content-security-policy"]


def test_paths_beside_the_page(scripted: PatientServer) -> None:
    assert send(scripted.url, "/page/none.js").status == 404
    assert send(scripted.url, "/page/../../app.py").status == 404
    assert send(scripted.url, "/v1/draw").status == 405
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert send(scripted.url, "/", headers=link).status == 200
    assert send(scripted.url, "/v1/tiles?size=9x9", headers=link).status == 403


@pytest.mark.parametrize("sizes", [[(320, 291)], [(1400, 500), (500, 1400)], [(1400, 500), (30, 700), (384, 384)]])
def test_tiles_are_those_of_the_model(nano_server: PatientServer, sizes: list[tuple[int, int]]) -> None:
    """Grids and counts of its prompt; and white images lie where the server says, on grey."""
    query = "&".join(f"size={width}x{height}" for width, height in sizes)
    reply = send(nano_server.url, f"/v1/tiles?{query}").json
    renderer = vl2.load().renderer
    for size, found in zip(sizes, reply["images"], strict=True):
        tiled = renderer.tile(Image.new("RGB", size, "white"), tiling=len(sizes) <= 2)
        local = found["local_view"]
        assert (local["rows"], local["cols"]) == (tiled.grid.rows, tiled.grid.cols)
        assert found["num_tiles"] == tiled.grid.num_tiles
        edge = reply["tile_size"]
        rows = [np.concatenate(list(tiled.tiles_NCYX[1:][at : at + tiled.grid.cols]), axis=2)
                for at in range(0, tiled.grid.rows * tiled.grid.cols, tiled.grid.cols)]  # fmt: skip
        for view, canvas in ((local, np.concatenate(rows, axis=1)), (found["global_view"], tiled.tiles_NCYX[0])):
            ys, xs = np.nonzero(canvas[0] > 200)
            assert view["box"] == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            assert view["canvas"] == [canvas.shape[2], canvas.shape[1]]
        assert found["global_view"]["canvas"] == [edge, edge]


@pytest.mark.parametrize("query", ["", "?size=", "?size=0x5", "?size=5", "?size=5x5&size=x", "?size=9999999999x1"])
def test_sizes_that_are_none(scripted: PatientServer, query: str) -> None:
    reply = send(scripted.url, f"/v1/tiles{query}")
    assert (reply.status, reply.error["param"]) == (400, "size")


def test_pages_are_drawn_as_the_model_sees_them(nano_server: PatientServer) -> None:
    notice = (EXAMPLES / "notice.pdf").read_bytes()
    reply = form(nano_server.url, "/v1/draw", notice, page="2")
    assert (reply.headers["content-type"], reply.headers["x-num-pages"]) == ("image/png", "2")
    from vl2.processing.documents import open_document

    with open_document(notice) as document:
        page = document.page(2, vl2.load().config.candidate_resolutions)
    assert encoded(Image.open(io.BytesIO(reply.body))) == encoded(page)
    assert form(nano_server.url, "/v1/draw", notice, page="3").error["param"] == "pages"
    assert form(nano_server.url, "/v1/draw", b"no image").status == 400
