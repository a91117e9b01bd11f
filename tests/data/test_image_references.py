"""What names an image: paths, URLs, bytes, members of archives."""

import base64
from pathlib import Path
from typing import Any

import pytest

from vl2.data.image_references import locate, locate_members
from vl2.data.records import RecordError

BASE = Path("/data")
MEMBERS = [("a/x.0.png", b"zero"), ("a/x.1.png", b"one")]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("a b.png", Path("/data/a b.png")),
        ("/else/a.png", Path("/else/a.png")),
        ("file:///else/a%20b.png", Path("/else/a b.png")),
        ("file://localhost/else/a.png", Path("/else/a.png")),
        ("data:image/png;base64," + base64.b64encode(b"pixels").decode(), b"pixels"),
        (b"pixels", b"pixels"),
        ({"bytes": b"pixels", "path": "a.png"}, b"pixels"),
        ({"bytes": None, "path": "a.png"}, Path("/data/a.png")),
    ],
)
def test_located(reference: Any, found: Path | bytes) -> None:
    assert locate(reference, "image", BASE) == found


@pytest.mark.parametrize(
    ("reference", "reason", "message"),
    [
        ("https://a.example/b.png", "refused URL", "image = 'https.*: download it first and name the file"),
        ("file://server/b.png", "refused URL", "another machine"),
        ("data:image/png,abc", "refused URL", "expected data:image"),
        ("data:image/png;base64,a*b", "refused URL", "not base64"),
        ("a\0b", "fields", "expected a path"),
        ("", "fields", "expected a path"),
        (b"", "fields", "expected a path"),
        (7, "fields", "image = 7: expected a path"),
        ({"bytes": None, "path": None}, "fields", "image = None"),
    ],
)
def test_refused(reference: Any, reason: str, message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        locate(reference, "image", BASE)
    assert caught.value.reason == reason


def test_urls_go_to_what_downloads() -> None:
    asked: list[tuple[str, str]] = []

    def fetch(url: str, field: str) -> Path:
        asked.append((url, field))
        return Path("/kept")

    assert locate("https://a.example/b.png", "image", BASE, fetch) == Path("/kept")
    assert locate_members([("https://a.example/c.png", "images[0]")], [], BASE, fetch) == [Path("/kept")]
    assert asked == [("https://a.example/b.png", "image"), ("https://a.example/c.png", "images[0]")]


def test_a_failed_download_is_a_bad_record() -> None:
    def fetch(url: str, field: str) -> Path:
        raise ValueError(f"{field}: no such host")

    with pytest.raises(RecordError, match="image: no such host") as caught:
        locate("https://a.example/b.png", "image", BASE, fetch)
    assert caught.value.reason == "failed download"


@pytest.mark.parametrize("names", [["a/x.1.png", "x.0.png"], ["1.png", "a/x.0.png"]])
def test_members_by_name(names: list[str]) -> None:
    assert locate_members([(name, "image") for name in names], MEMBERS, BASE) == [b"one", b"zero"]


def test_members_by_position() -> None:
    assert locate_members([], MEMBERS, BASE) == [b"zero", b"one"]
    assert locate_members([("old/7.jpg", "image[0]"), ("old/8.jpg", "image[1]")], MEMBERS, BASE) == [b"zero", b"one"]
    assert locate_members([("data:image/png;base64,YQ==", "image")], MEMBERS[:1], BASE) == [b"a"]
    with pytest.raises(RecordError, match=r"image\[1\] = 'y.png': the sample holds a/x.0.png, a/x.1.png"):
        locate_members([("x.0.png", "image[0]"), ("y.png", "image[1]")], MEMBERS, BASE)
