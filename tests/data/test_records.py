"""The JSONL schema: strict reading with errors that name file, line and field; writing that reads back the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vl2.data.records import Record, RecordError, read_records, require_images, write_records
from vl2.processing.boxes import Box, Region

GOOD: dict[str, Any] = {"id": "t/1", "images": ["a.png"], "question": "How?", "answers": ["so"], "metric": "exact"}
BOXED: dict[str, Any] = GOOD | {"metric": "iou", "answers": [{"label": "cat", "box": [1, 2, 3, 4]}]}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_reads_every_field(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.jsonl", GOOD | {"task": "mine"}, BOXED | {"id": "t/2"})
    first, second = read_records(path)
    assert first == Record("t/1", (str(tmp_path / "a.png"),), "How?", ("so",), "exact", "mine")
    (talk,) = read_records(lines(tmp_path / "talk.jsonl", GOOD | {"earlier": [["Is there a dog?", "yes"]]}))
    assert talk.earlier == (("Is there a dog?", "yes"),)
    assert second.answers == (Region("cat", Box(1.0, 2.0, 3.0, 4.0)),)
    assert second.task == "t"


def test_defaults_and_leniencies(tmp_path: Path) -> None:
    rows = [
        GOOD | {"id": "lonely"},
        GOOD | {"id": "/odd"},
        GOOD | {"id": "n/1", "answers": [12]},
        BOXED | {"id": "g/1", "answers": []},
        GOOD | {"id": "c/1", "metric": "cer", "question": "", "answers": [""]},
    ]
    path = lines(tmp_path / "r.jsonl", *rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n\r\n"))  # as some editors save
    records = list(read_records(path))
    assert [record.task for record in records] == ["all", "all", "n", "g", "c"]
    assert records[2].answers == ("12",)
    assert records[3].answers == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "bleu"}, "metric = 'bleu': must be one of anls"),
        ({"metric": ["cer"]}, r"metric = \['cer'\]: expected a string"),
        ({"id": 3}, "id = 3: expected a string"),
        ({"id": " "}, "id = ' ': empty"),
        ({"images": []}, r"images = \[\]"),
        ({"images": "a.png"}, "images = 'a.png'"),
        ({"images": ["a\0.png"]}, "images = "),
        ({"question": ""}, "question = '': metric exact needs a question"),
        ({"answers": []}, r"answers = \[\]"),
        ({"answers": "so"}, "answers = 'so'"),
        ({"answers": ["so", None]}, r"answers\[1\] = None: expected a string"),
        ({"answers": ["so", True]}, r"answers\[1\] = True: expected a string"),
        ({"answers": ["\ud800"]}, r"answers\[0\] = .*surrogate"),
        ({"question": "\udc00"}, "question = .*surrogate"),
        ({"extra": 1}, "unknown field extra"),
        ({"earlier": "Why?"}, "earlier = 'Why\\?': expected"),
        ({"earlier": [["Why?"]]}, r"earlier = \[\['Why\?'\]\]: expected"),
        ({"earlier": [["Why?", " "]]}, r"earlier = \[\['Why\?', ' '\]\]: expected"),
        ({"earlier": [["Why?", "so"], ["\ud800", "x"]]}, r"earlier\[1\] = .*surrogate"),
        ({"metric": "iou"}, r"answers\[0\] = 'so': expected \{\"label\""),
        ({"metric": "iou", "answers": [{"label": "x", "box": [1, 2, 3]}]}, r"answers\[0\] = "),
        ({"metric": "iou", "answers": [{"label": "x", "box": [1, 2, 3, True]}]}, r"answers\[0\] = "),
        ({"metric": "iou", "answers": [{"label": "x", "box": [1, 2, 3, 10**400]}]}, r"answers\[0\] = "),
        ({"metric": "iou", "answers": [{"label": "x", "box": [1, 2, 3, float("nan")]}]}, r"answers\[0\] = "),
        ({"metric": "iou", "answers": [{"label": "x", "box": [1, 2, 1, 9]}]}, r"answers\[0\]\.box = .*x0 < x1"),
        ({"metric": "iou", "answers": [{"box": [1, 2, 3, 4], "score": 1}]}, r"answers\[0\] = "),
        ({"metric": "iou", "question": " ", "answers": []}, "question = ' ': metric iou needs the phrase"),
    ],
)
def test_errors_name_file_line_and_field(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = lines(tmp_path / "r.jsonl", GOOD, GOOD | {"id": "t/2"} | change)
    with pytest.raises(RecordError, match=rf"r\.jsonl:2: {message}"):
        list(read_records(path))


@pytest.mark.parametrize("field", ["id", "images", "question", "answers", "metric"])
def test_missing_field(tmp_path: Path, field: str) -> None:
    path = lines(tmp_path / "r.jsonl", {key: value for key, value in GOOD.items() if key != field})
    with pytest.raises(RecordError, match=rf"r\.jsonl:1: missing field {field}"):
        list(read_records(path))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "1: not JSON"),
        (b"\n[1]", "2: expected an object, got list"),
        (b'{"id": "\xff"}', "1: not UTF-8 at byte 8"),
        (b'{"id": "a", "id": "b"}', "1: id: given twice"),
        (b"[" * 100_000, "1: not JSON"),
        (b'{"id": ' + b"1" * 5000 + b"}", "1: "),
    ],
)
def test_broken_lines(tmp_path: Path, raw: bytes, message: str) -> None:
    (tmp_path / "r.jsonl").write_bytes(raw)
    with pytest.raises(RecordError, match=rf"r\.jsonl:{message}"):
        list(read_records(tmp_path / "r.jsonl"))


def test_ids_must_differ(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r":2: id 't/1' already stands on line 1"):
        list(read_records(lines(tmp_path / "r.jsonl", GOOD, GOOD)))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"none\.jsonl: cannot be read"):
        list(read_records(tmp_path / "none.jsonl"))


def test_missing_image_is_named(tmp_path: Path) -> None:
    records = list(read_records(lines(tmp_path / "r.jsonl", GOOD)))
    with pytest.raises(RecordError, match=r"record 't/1': images\[0\] = '.*a\.png': no such file"):
        require_images(records)
    (tmp_path / "a.png").touch()
    require_images(records)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
boxes = st.tuples(*[st.integers(0, 500)] * 2, *[st.integers(1, 500)] * 2).map(
    lambda b: Box(float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=4), st.lists(boxes))
def test_what_is_written_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[str]]], found: list[Box]
) -> None:
    """Any characters, the line separators of Unicode among them."""
    path = tmp_path_factory.mktemp("records") / "r.jsonl"
    records = [
        Record(f"t/{i}", ("/a.png",), question, tuple(answers), "cer", "t")
        for i, (question, answers) in enumerate(rows)
    ]
    records.append(Record("f/1", ("/a.png",), "And?", ("so",), "exact", "t", (("Why?", "because"), ("How?", "so"))))
    records.append(Record("g/1", ("/a.png", "/b.png"), "cat", tuple(Region("c", box) for box in found), "iou", "x"))
    write_records(records, path)
    assert list(read_records(path)) == records
