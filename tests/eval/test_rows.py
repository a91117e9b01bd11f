"""Rows of files: what pandas and VLMEvalKit write comes back, and what is wrong is named by file, row and field."""

from pathlib import Path

import pytest
from benchmark_files import b64, colour_of, png, struct, write_jsonl, write_parquet, write_tsv

from vl2.data.containers import DataError
from vl2.data.records import RecordError
from vl2.eval.rows import Rows


def test_tsv_with_tabs_quotes_and_line_ends(tmp_path: Path) -> None:
    said = 'a "quoted"\ttab\nand a second line'
    path = write_tsv(
        tmp_path / "x.tsv",
        [{"index": 0, "question": said, "image": b64()}, {"index": 1, "question": "é 北京", "image": b64("red")}],
    )
    first, second = Rows(path)
    assert first.text("question") == said
    assert second.text("question") == "é 北京"
    assert second.where == f"{path}:4"  # the first row takes two lines
    assert [colour_of(image) for row in (first, second) for image in row.images() if isinstance(image, bytes)] == [
        "white",
        "red",
    ]


def test_tsv_image_by_index_list_and_path(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(png("blue"))
    path = write_tsv(
        tmp_path / "x.tsv",
        [
            {"index": 7, "image": "9"},  # stands in a row that comes later
            {"index": 9, "image": b64("red")},
            {"index": 10, "image": str([b64("red"), b64("blue")])},
            {"index": 11, "image_path": "pictures/a.png"},
            {"index": 12, "image_path": "['pictures/a.png', 'pictures/a.png']"},
        ],
    )
    rows = list(Rows(path))
    seen = [[colour_of(i) if isinstance(i, bytes) else i for i in row.images()] for row in rows]
    blue = tmp_path / "pictures" / "a.png"
    assert seen == [["red"], ["red"], ["red", "blue"], [blue], [blue, blue]]


def test_image_path_beside_an_image_is_only_a_name(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", [{"index": 0, "image": b64(), "image_path": "gone.png"}])
    (row,) = Rows(path)
    assert len(row.images()) == 1
    assert isinstance(row.images()[0], bytes)


def test_parquet_and_jsonl(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png("red"))
    many = [
        {"questionId": str(n), "question": f"q{n}", "answers": ["a", "b"], "image": struct("red")} for n in range(5)
    ]
    rows = list(Rows(write_parquet(tmp_path / "x.parquet", many)))
    assert [row.id for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[3].texts("answers") == ("a", "b")
    image = rows[4].images()[0]
    assert isinstance(image, bytes)
    assert colour_of(image) == "red"
    (line,) = Rows(write_jsonl(tmp_path / "x.jsonl", [{"id": 3, "question": "q", "image": "red.png"}]))
    assert line.images() == [tmp_path / "red.png"]


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    write_parquet(tmp_path / "b.parquet", [{"id": "b", "image": struct()}])
    write_parquet(tmp_path / "a.parquet", [{"id": "a", "image": struct()}])
    (tmp_path / "README.md").write_text("not data")
    rows = Rows(tmp_path)
    assert [row.id for row in rows] == ["a", "b"]
    before = rows.digest()
    write_parquet(tmp_path / "b.parquet", [{"id": "c", "image": struct()}])
    assert Rows(tmp_path).digest() != before


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"index": 1, "image": "7"}, r":2: image = '7': neither base64 nor the index of another row"),
        ({"index": 1, "image": "1"}, r":2: image = '1': neither base64 nor the index of another row"),
        ({"index": 1, "image": "!" * 80}, r":2: image\[0\] = .*: not base64"),
        ({"index": 1, "image_path": "no.png"}, r":2: image_path\[0\] = .*no\.png.*: no such file beside x\.tsv"),
        ({"index": 1, "image": "", "image_path": ""}, r":2: no image; expected one of decoded_image, image"),
    ],
)
def test_images_that_are_not_there(tmp_path: Path, row: dict[str, object], message: str) -> None:
    (read,) = Rows(write_tsv(tmp_path / "x.tsv", [row]))
    with pytest.raises(RecordError, match=message):
        read.images()


def test_fields_that_are_wrong(tmp_path: Path) -> None:
    lines = [{"question": ["a"], "answers": {"x": 1}, "bbox": [1, 2, "3", 4], "image": "red.png"}]
    (row,) = Rows(write_jsonl(tmp_path / "x.jsonl", lines))
    with pytest.raises(RecordError, match=r"x\.jsonl:1: question = \['a'\]: expected a text"):
        row.text("question")
    with pytest.raises(
        RecordError, match=r"x\.jsonl:1: query or prompt is missing; fields with a value are question, a"
    ):
        row.text("query", "prompt")
    with pytest.raises(RecordError, match=r"x\.jsonl:1: answers = .*: expected a text or a list of texts"):
        row.texts("answers")
    with pytest.raises(RecordError, match=r"x\.jsonl:1: bbox = .*: expected a list of 4 numbers"):
        row.numbers(4, "bbox")


def test_files_that_are_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "x.tsv"
    broken.write_bytes(b"index\tquestion\n0\t\xff\n")
    with pytest.raises(DataError, match=r"x\.tsv:2: not a \.tsv file in UTF-8"):
        Rows(broken)
    broken.write_text("index\tquestion\n0\ta\tb\n")
    with pytest.raises(RecordError, match=r"x\.tsv:2: 3 cells, but the header has 2"):
        next(iter(Rows(broken))).text("question")
    broken.write_text("question\n")
    with pytest.raises(DataError, match="expected at least two columns"):
        Rows(broken)
    broken.write_text("index\tquestion\n")
    with pytest.raises(DataError, match="no rows"):
        Rows(broken)
    with pytest.raises(DataError, match="cannot be read"):
        Rows(tmp_path / "gone.tsv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no file that ends in \.tsv, \.parquet"):
        Rows(tmp_path / "empty")
