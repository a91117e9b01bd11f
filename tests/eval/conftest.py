from pathlib import Path

import pytest
from PIL import Image

from vl2.data.records import Record
from vl2.processing.boxes import Box, Region


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.new("RGB", (200, 100), "white").save(path)
    return str(path)


@pytest.fixture
def records(picture: str) -> list[Record]:
    """Two readings, three questions and two phrases, tasks interleaved."""
    cat = (Region("cat", Box(0.0, 0.0, 100.0, 50.0)),)
    return [
        Record("line/0", (picture,), "", ("abcdefghij",), "cer", "line"),
        Record("form/0", (picture,), "Name?", ("Ann",), "exact", "form"),
        Record("ground/0", (picture,), "cat", cat, "iou", "ground"),
        Record("line/1", (picture,), "", ("ab",), "cer", "line"),
        Record("form/1", (picture,), "City?", ("Rome", "Roma"), "exact", "form"),
        Record("form/2", (picture,), "Size?", ("4",), "exact", "form"),
        Record("ground/1", (picture,), "dog", (), "iou", "ground"),
    ]
