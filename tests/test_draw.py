"""Pictures for people."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vl2.config import NANO, VL2Config
from vl2.draw import draw_regions, save_picture, tile_sheet
from vl2.processing.boxes import Box, Region
from vl2.processing.tiling import tile_image


def test_regions_are_framed_where_they_are() -> None:
    image = Image.new("RGB", (300, 200), "white")
    out = draw_regions(image, [Region("cat", Box(100, 80, 200, 150))])
    pixels = np.asarray(out).astype(int)
    changed = (pixels != 255).any(-1)
    assert out.size == (300, 200)
    assert changed[79, 100:200].all()
    assert changed[80:150, 99].all()
    assert not changed[85:145, 105:195].any()  # what is inside stays visible
    assert (np.asarray(image) == 255).all()  # the original is untouched


def test_one_colour_a_label() -> None:
    image = Image.new("RGB", (400, 300), "white")
    places = [("cat", 40), ("dog", 160), ("cat", 280)]
    out = draw_regions(image, [Region(label, Box(x, 150, x + 60, 200)) for label, x in places])
    first, second, third = (out.getpixel((x + 30, 149)) for _, x in places)
    assert first == third != second


@pytest.mark.parametrize(
    "box", [Box(0, 0, 10, 10), Box(-50, -50, 20, 20), Box(290, 190, 300, 200), Box(0, 0, 300, 200), Box(5, 5, 5, 5)]
)
@pytest.mark.parametrize("label", ["", "cat", "a long label that does not fit anywhere at all in this image", "猫"])
def test_regions_at_the_edges(box: Box, label: str) -> None:
    out = draw_regions(Image.new("L", (300, 200)), [Region(label, box)])
    assert out.size == (300, 200)
    assert out.mode == "RGB"


@pytest.mark.parametrize("size", [(1, 1), (100, 100), (1000, 300), (300, 3000)])
def test_tile_sheet(size: tuple[int, int]) -> None:
    """The global view and every local tile are on it, as the model sees them."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    sheet = np.asarray(tile_sheet(image, NANO))
    tiled = tile_image(image, NANO.candidate_resolutions)
    middles = [np.ascontiguousarray(tile.transpose(1, 2, 0)[180:220, 180:220]) for tile in tiled.tiles_NCYX]
    rows = np.lib.stride_tricks.sliding_window_view(sheet, (40, 40, 3))[:, :, 0]
    for middle in middles[:3]:  # names and frames cover only the edges
        corner = (rows[:, :, 0, 0] == middle[0, 0]).all(-1)
        assert any((rows[y, x] == middle).all() for y, x in zip(*corner.nonzero(), strict=True))


@pytest.mark.parametrize("box", [Box(20, 0, 90, 90), Box(170, 60, 199, 90), Box(170, 0, 199, 90)])
def test_the_label_stays_on_the_image(box: Box) -> None:
    """Above its box, or inside where the image ends above it; to the left where it ends on the right."""

    def ink(label: str, box: Box) -> int:
        return int((np.asarray(draw_regions(Image.new("RGB", (200, 100)), [Region(label, box)])) > 0).any(-1).sum())

    free = Box(20, 60, 90, 90)
    assert ink("black cat", box) - ink("", box) > 0.8 * (ink("black cat", free) - ink("", free)) > 300


@pytest.mark.parametrize("label", ["", "two\nlines", "é漢" * 100])
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3)])
def test_any_label_on_any_image(label: str, size: tuple[int, int]) -> None:
    """Models write both."""
    image = Image.new("RGB", size)
    whole, nothing = Box(0, 0, *size), Box(0, 0, 0, 0)
    assert draw_regions(image, [Region(label, whole), Region(label, nothing)]).size == size


def test_save_picture(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4), "red")
    for name in ("a.png", "b.JPG", "c.webp", "deep/er/d.png"):
        save_picture(picture, tmp_path / name)
        assert Image.open(tmp_path / name).size == (4, 4)
    for suffix in (".xyz", ".psd", ".pcx"):  # Pillow has names for many that it cannot write, or nobody looks at
        with pytest.raises(ValueError, match=rf"unknown picture format '\{suffix}'"):
            save_picture(picture, tmp_path / f"a{suffix}")
    with pytest.raises(ValueError, match="unknown picture format ''"):
        save_picture(picture, tmp_path / "plain")


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"old")

    def save(self: Image.Image, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="disk full"):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_sheet_of_other_tile_sizes(make_config: "type[VL2Config]") -> None:
    sheet = tile_sheet(Image.new("RGB", (80, 80)), make_config("tiny"))  # type: ignore[arg-type]
    assert sheet.height >= 72 + 2 * 38
