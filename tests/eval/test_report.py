"""Tables and the gallery: what they show, and which cases are chosen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from vl2.data.records import Record
from vl2.eval.report import choose_cases, gallery, table, to_markdown
from vl2.eval.runner import Output, Results, evaluate
from vl2.processing.boxes import Box, Region

GOOD_BOX, LOOSE_BOX = Box(0.0, 0.0, 100.0, 49.0), Box(0.0, 0.0, 100.0, 30.0)
PREDICTED = (0xFF, 0x2D, 0x95)


class Scripted:
    """Half of each task right."""

    def __init__(self, box: Box = GOOD_BOX) -> None:
        self.box = box

    def answer(self, records: Sequence[Record]) -> list[Output]:
        texts = {"line/0": "abcdefghij", "line/1": "zz", "form/0": "Ann", "form/1": "a very wrong answer " * 40}
        regions = {"ground/0": (Region("cat", self.box),), "ground/1": (Region("dog", LOOSE_BOX),)}
        return [Output(texts.get(record.id, "4"), regions.get(record.id, ()), 3) for record in records]


@pytest.fixture
def results(records: list[Record]) -> Results:
    return evaluate(records, Scripted())


def test_table(results: Results) -> None:
    results["tasks"]["form"]["failed"] = 1
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table(results))
    rows = {line.split()[1]: line for line in console.export_text().splitlines() if line.startswith("│")}
    assert "CER ↓" in rows["line"]
    assert "16.67 %" in rows["line"]
    assert "0.667" in rows["form"]
    assert "3 (1 failed)" in rows["form"]
    assert "IoU@0.5" in rows["ground"]
    assert "0.500 (mean IoU 0.490)" in rows["ground"]


def test_markdown_puts_models_side_by_side(results: Results, records: list[Record]) -> None:
    other = evaluate(records[:1], Scripted())
    lines = to_markdown({"Nano": results, "tesseract": other}).splitlines()
    assert lines[0] == "| task | metric | records | Nano | tesseract |"
    assert lines[1] == "|---|---|---:|---:|---:|"
    assert lines[2].startswith("| line | CER ↓ | 2 | 16.67 % (0.00 % – 100.00 %) | 0.00 % (")
    assert lines[3].endswith(") | – |")
    words = Record("line/9", records[0].images, "", ("4",), "wer", "line")
    mixed = evaluate([records[0], words], Scripted())  # rows "line (cer)" and "line (wer)"
    lines = to_markdown({"a": mixed, "b": other}).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| line", "| line"]
    assert lines[2].split("|")[5].strip() == "0.00 % (0.00 % – 0.00 %)"
    assert lines[3].split("|")[5].strip() == "–"
    with pytest.raises(ValueError, match="runs: empty"):
        to_markdown({})


def test_cases_come_from_every_task_and_never_twice(results: Results) -> None:
    bad, good = choose_cases(results, good=3, bad=3, seed=0)
    assert {output["id"] for output in bad} == {"line/1", "form/1", "ground/1"}
    assert {output["task"] for output in good} == {"line", "form", "ground"}
    bad, good = choose_cases(results, good=99, bad=99, seed=0)
    assert not {output["id"] for output in bad} & {output["id"] for output in good}
    assert len(bad) == 3  # only faults
    assert len(good) == 4
    assert choose_cases(results, good=9, bad=9, seed=1)[0] != []


def test_worst_case_first(records: list[Record]) -> None:
    class Worse:
        def answer(self, records: Sequence[Record]) -> list[Output]:
            return [Output("abcdefghix" if record.id == "line/0" else "zz") for record in records]

    bad, _ = choose_cases(evaluate(records[:1] + records[3:4], Worse()), good=0, bad=2, seed=0)
    assert [output["id"] for output in bad] == ["line/1", "line/0"]


def test_gallery_draws_both_columns_and_boxes(results: Results, records: list[Record], tmp_path: Path) -> None:
    out = tmp_path / "pictures" / "cases.png"
    gallery(results, records, out, good=10, bad=10)
    with Image.open(out) as image:
        picture = np.asarray(image.convert("RGB"))
        assert image.format == "PNG"
    half = picture.shape[1] // 2
    for side in (picture[:, :half], picture[:, half:]):
        assert (side != 255).any()
        assert (side == PREDICTED).all(-1).sum() > 100  # ground/0 left, ground/1 right
    assert [entry.name for entry in out.parent.iterdir()] == ["cases.png"]


def test_gallery_of_one_column_is_narrower(records: list[Record], results: Results, tmp_path: Path) -> None:
    gallery(results, records, tmp_path / "both.png")
    gallery(results, records, tmp_path / "good.png", bad=0)
    widths = [Image.open(tmp_path / f"{name}.png").width for name in ("both", "good")]
    assert widths[1] < widths[0]


def test_gallery_survives_missing_pictures_and_odd_boxes(records: list[Record], tmp_path: Path) -> None:
    results = evaluate(records, Scripted(Box(150.0, 90.0, -20.0, 400.0)))
    Path(records[0].images[0]).unlink()
    gallery(results, records, tmp_path / "cases.png")
    assert (tmp_path / "cases.png").exists()


def test_gallery_needs_the_same_records(results: Results, records: list[Record], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'line/0' is in the results but not among the records"):
        gallery(results, records[1:], tmp_path / "cases.png")
    with pytest.raises(ValueError, match="no case to draw"):
        gallery(results, records, tmp_path / "cases.png", good=0, bad=0)
    assert not (tmp_path / "cases.png").exists()
