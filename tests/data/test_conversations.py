"""Files checked up front: what is bad, where, and what training goes on with."""

import json
from pathlib import Path
from typing import Any

import pytest
from shards import llava, png, write_lines, write_parquet, write_tar

from vl2.data.containers import DataError
from vl2.data.conversations import ConversationFile, Report, check_file, find_files, read_conversations
from vl2.processing.messages import Image, Text

RECORD = {"id": "1", "images": ["red.png"], "question": "Colour?", "answers": ["red"], "metric": "exact"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "red.png").write_bytes(png())
    return tmp_path


def report_of(path: Path) -> Report:
    return check_file(ConversationFile(path))[0]


def test_every_kind_of_file_gives_the_same(folder: Path) -> None:
    stored = {"bytes": png(), "path": "red.png"}
    rows = [llava("red.png", "red")]
    chat = [{"role": "user", "content": "<image>\nColour?"}, {"role": "assistant", "content": "red"}]
    (folder / "b.json").write_text(json.dumps(rows))
    files = [
        write_lines(folder / "a.jsonl", rows),
        folder / "b.json",
        write_lines(folder / "c.jsonl", [RECORD]),
        write_lines(folder / "d.jsonl", [{"messages": chat, "images": ["red.png"]}]),
        write_parquet(folder / "e.parquet", [llava(stored, "red")]),
        write_parquet(folder / "f.parquet", [llava(png(), "red")]),
        write_parquet(folder / "g.parquet", [{"messages": chat, "images": [stored]}]),
        write_parquet(folder / "h.parquet", [RECORD | {"images": [stored]}]),
        write_tar(folder / "i.tar", {"1.png": png(), "1.json": llava("elsewhere/7.jpg", "red")}),
        write_tar(folder / "j.tar", {"1.png": png(), "1.txt": "red", "1.json": {"question": "Colour?"}}),
    ]
    for path in files:
        conversations, bad = read_conversations(path)
        ((asked, answer),) = list(conversations)
        assert not bad
        assert isinstance(asked.parts[0], Image)
        assert asked.parts[0].source in (folder / "red.png", png())
        assert "".join(part.text for part in asked.parts[1:] if isinstance(part, Text)) == "\nColour?"
        assert answer.parts == (Text("red"),)


def mistakes(folder: Path) -> Path:
    (folder / "broken.png").write_bytes(b"no image")
    good = llava("red.png", "red")
    lines = [
        json.dumps(good),
        "{",
        json.dumps(llava("none.png", "red")),
        json.dumps(llava("broken.png", "red")),
        json.dumps(llava("red.png", "red", "Colour?")),
        json.dumps(good | {"conversations": good["conversations"][:1]}),
        json.dumps(good | {"conversations": good["conversations"][::-1]}),
        json.dumps(llava("https://a.example/red.png", "red")),
        json.dumps({"id": 3}),
        json.dumps(good),
    ]
    (folder / "mine.jsonl").write_text("\n".join(lines))
    return folder / "mine.jsonl"


def test_report_counts_and_places(folder: Path) -> None:
    path = mistakes(folder)
    report, good = check_file(ConversationFile(path))
    assert good.tolist() == [0, 9]
    assert (report.records, report.images, report.answers, report.bad) == (2, 2, 2, 8)
    reasons = ["not JSON", "missing image", "unreadable image", "image marks", "no answer", "roles", "refused URL"]
    assert report.reasons == dict.fromkeys([*reasons, "fields"], 1)
    first, *rest = report.lines()
    assert first.startswith(f"{path} (LLaVA): 2 records, 2 images, 2 answers, 8 bad: 1 ")
    assert [line.split(" ")[0] for line in rest] == [f"{path}:{number}" for number in range(2, 10)]
    assert f"{path}:3 (LLaVA): image 0: {folder / 'none.png'}: no such file" in rest


def test_ten_bad_records_are_spelt_out(folder: Path) -> None:
    report = report_of(write_lines(folder / "x.jsonl", [llava("red.png", "red"), *[llava("no.png", "red")] * 30]))
    assert (report.bad, len(report.first), report.reasons["missing image"]) == (30, 10, 30)


def test_bad_records_are_left_out_up_to_a_limit(folder: Path) -> None:
    path = mistakes(folder)
    with pytest.raises(DataError, match=r"8 records are bad \(1 not JSON, .*max_bad_records = 7: .*mine\.jsonl:2"):
        read_conversations(path, 7)
    conversations, (report,) = read_conversations(path, 8)
    assert (len(conversations), report.bad) == (2, 8)
    assert [conversations.where(n) for n in range(2)] == [f"{path}:1 (LLaVA)", f"{path}:10 (LLaVA)"]


def test_one_format_a_file(folder: Path) -> None:
    path = write_lines(folder / "x.jsonl", [llava("red.png", "red"), RECORD])
    with pytest.raises(DataError, match=r"x\.jsonl:2 \(LLaVA\): a record of format records; a file must hold one"):
        read_conversations(path, 100)


@pytest.mark.parametrize("rows", [[{"text": "x"}], [[1]], ["hello"]])
def test_unknown_format(folder: Path, rows: list[Any]) -> None:
    with pytest.raises(DataError, match=r"x\.jsonl:1: no fields of a known format; expected one object a line"):
        ConversationFile(write_lines(folder / "x.jsonl", rows))


def test_ids_of_records_differ(folder: Path) -> None:
    report = report_of(write_lines(folder / "x.jsonl", [RECORD, RECORD | {"id": "2"}, RECORD]))
    assert report.reasons == {"repeated id": 1}
    assert "x.jsonl:3 (records): id '1' is also that of" in report.first[0]


def test_shards_are_one_source(folder: Path) -> None:
    for number in (2, 0, 1):
        write_parquet(folder / f"x-{number}.parquet", [llava(png(), f"{number}{n}") for n in range(number + 1)])
    conversations, _ = read_conversations(folder / "x-*.parquet")
    answers = [c[1].parts[0] for c in (conversations[n] for n in range(len(conversations)))]
    assert answers == [Text(text) for text in ("00", "10", "11", "20", "21", "22")]
    assert conversations.where(5) == f"{folder}/x-2.parquet: row 2 (LLaVA)"
    with pytest.raises(DataError, match=r"y-\*: no such file"):
        find_files(folder / "y-*")


def test_an_empty_file_has_no_records(folder: Path) -> None:
    (folder / "empty.jsonl").touch()
    assert len(read_conversations(folder / "empty.jsonl")[0]) == 0
    assert report_of(folder / "empty.jsonl").lines() == [f"{folder}/empty.jsonl: 0 records, 0 images, 0 answers, 0 bad"]
