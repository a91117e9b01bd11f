"""Every example of every kind of file by its number, in any order, and what is wrong with files."""

import json
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shards import llava, png, write_lines, write_parquet, write_tar

from vl2.data.containers import DataError, JsonList, Parquet, Tar, open_container
from vl2.data.records import RecordError, parse_record
from vl2.data.shapes import Row

ROWS = [llava("ä.png", f"answer {number} € \u2028") for number in range(7)]


def in_any_order(path: Path) -> list[Row]:
    """All rows, asked for in random order from a container that went through a worker's pipe."""
    container = pickle.loads(pickle.dumps(open_container(path)))
    numbers = list(range(len(container)))
    random.Random(1).shuffle(numbers)
    rows = {number: container.row(number) for number in numbers}
    return [rows[number] for number in range(len(container))]


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.whatever"
    lines = "\r\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode())  # no line feed at the end
    assert [row.values for row in in_any_order(path)] == ROWS
    assert open_container(path).where(2) == f"{path}:5"


@pytest.mark.parametrize("indent", [None, 2])
def test_list(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf \n" + json.dumps(ROWS, ensure_ascii=False, indent=indent).encode())
    assert isinstance(open_container(path), JsonList)
    assert [row.values for row in in_any_order(path)] == ROWS
    if indent:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
        numbers = [int(open_container(path).where(n).rpartition(":")[2]) for n in range(len(ROWS))]
        assert all(lines[number - 1] == "  {" for number in numbers)
        assert len(set(numbers)) == len(ROWS)


values = st.recursive(st.none() | st.integers() | st.text(max_size=4), lambda v: st.lists(v, max_size=3), max_leaves=5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), values, max_size=3), max_size=5), st.booleans())
def test_any_list_reads_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], ascii_only: bool) -> None:
    path = tmp_path_factory.mktemp("lists") / "x.json"
    path.write_text(json.dumps(rows, ensure_ascii=ascii_only, indent=1), encoding="utf-8")
    container = open_container(path)
    assert [container.row(number).values for number in range(len(container))] == rows


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'[\n{"a": 1},\n{"a": }]', ":3: not JSON in the object"),
        (b'[{"a": 1}\n {"a": 2}]', ":1: not JSON.*expected , or ]"),
        (b'[{"a": 1}', ":1: not JSON.*found ''"),
        (b'[{"a": 1}]\n{"b": 1}', "stands after the list"),
        (b'[{"a": "\xff"}]', "not UTF-8 at byte 8"),
        (b"[" * 100_000, "not JSON"),
        (b"\x1f\x8bxxx", "compressed with gzip; unpack it"),
        (b"PAR1 and nothing", "damaged Parquet file"),
    ],
)
def test_broken_files(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(DataError, match=f"x.*{message}" if message[0] != ":" else f"x{message}"):
        open_container(tmp_path / "x")


def test_broken_rows_are_errors_of_rows(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"a": 1}\n{"a"\n{"a": "\xff"}\n')
    container = open_container(tmp_path / "x.jsonl")
    assert container.row(0).values == {"a": 1}
    for number in (1, 2):
        with pytest.raises(RecordError, match="not"):
            container.row(number)


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read"):
        open_container(tmp_path / "none.jsonl")
    (tmp_path / "empty").touch()
    assert len(open_container(tmp_path / "empty")) == 0


def test_tar(tmp_path: Path) -> None:
    members = {
        "d/one.json": ROWS[0], "d/one.0.png": b"0", "d/one.1.JPG": b"1", "d/._one.json": "junk of a Mac",
        "two.txt": "a caption", "two.png": b"2", "two.json": {"width": 3}, "x" * 120 + ".txt": "long",
    }  # fmt: skip
    path = write_tar(tmp_path / "x.tar", members)
    container = open_container(path)
    assert isinstance(container, Tar)
    one, two, long = in_any_order(path)
    assert one == Row(ROWS[0], (("d/one.0.png", b"0"), ("d/one.1.JPG", b"1")), None)
    assert two == Row({"width": 3}, (("two.png", b"2"),), "a caption")
    assert long.text == "long"
    assert container.where(0) == f"{path}: sample 'd/one'"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match=r"damaged \.tar file"):
        open_container(path)


def test_parquet(tmp_path: Path) -> None:
    rows = [row | {"image": {"bytes": png(), "path": None}, "other": 3} for row in ROWS]
    path = write_parquet(tmp_path / "x.parquet", rows)
    container = open_container(path)
    assert isinstance(container, Parquet)
    wanted = [{key: value for key, value in row.items() if key != "other"} for row in rows]
    assert [row.values for row in in_any_order(path)] == wanted
    assert container.where(3) == f"{path}: row 3"


def test_parquet_keeps_what_was_said_earlier(tmp_path: Path) -> None:
    record = {"id": "t/1", "images": ["a.png"], "question": "And?", "answers": ["so"], "metric": "exact"}
    rows = [record | {"earlier": [["Is there a dog?", "yes"]]}]
    container = open_container(write_parquet(tmp_path / "x.parquet", rows))
    assert parse_record(container.row(0).values, tmp_path).earlier == (("Is there a dog?", "yes"),)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "x.parquet", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs pyarrow; pip install 'vl2\[data\]'"):
        open_container(path)


def test_files_that_vanish_are_errors_of_rows(tmp_path: Path) -> None:
    files = [write_lines(tmp_path / "x.jsonl", ROWS), write_parquet(tmp_path / "x.parquet", ROWS)]
    for path in files:
        container = open_container(path)
        path.unlink()
        with pytest.raises(RecordError, match="cannot be read"):
            container.row(0)
