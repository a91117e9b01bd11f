"""`Model.read_document` and `vl2 ocr` of documents: Nano reads a PDF, the scripted model says one thing to all."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner, Result

import vl2
from vl2.api import Model
from vl2.cli import app
from vl2.eval.metrics import anls
from vl2.processing.documents import Document, DocumentError, open_document
from vl2.sampling import SamplingError
from vl2.synth.ingredients import PACK

TEXT = "The black cat sits down."
LINES = ("Invoice 4711", "Green tea 12.50", "Paid on Monday")


@pytest.fixture
def model(scripted_checkpoint: Path) -> Model:
    return vl2.load(scripted_checkpoint, device="cpu", local_files_only=True)


@pytest.fixture
def run(scripted_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    on = ["--model", scripted_checkpoint, "--device", "cpu", "--local-files-only"]
    return lambda *arguments: CliRunner().invoke(app, ["ocr", *map(str, arguments), *map(str, on)])


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    """Five pages of different widths."""
    pages = [Image.new("RGB", (70 + number, 30), "white") for number in range(5)]
    path = tmp_path / "five.tiff"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


@pytest.fixture
def broken_third(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Document.page

    def page(self: Document, number: int, canvases: Any) -> Image.Image:
        if number == 3:
            raise DocumentError(f"{self.name}: damaged page\n(so it is)")
        return whole(self, number, canvases)

    monkeypatch.setattr(Document, "page", page)


@pytest.fixture
def looping(model: Model, monkeypatch: pytest.MonkeyPatch) -> Model:
    """Begins again where it ended; the context of tests is short, and so is what counts as a loop."""
    monkeypatch.setattr("vl2.engine.repetition.LEAST_TOKENS", 60)
    head = model.network.language.lm_head.weight
    special = model.tokenizer.special
    first = model.tokenizer._backend.get_vocab()["TheĠ"]
    with torch.no_grad():
        head[first] += head[special.eos]
        head[special.eos].zero_()
    return model


def test_nano_reads_a_pdf(tmp_path: Path) -> None:
    """Scanned at 150 dots an inch, a line a page."""
    pages = []
    for line in LINES:
        page = Image.new("L", (370, 120), "white")
        face = ImageFont.truetype(str(PACK / "fonts" / "assistant-400-normal.ttf"), 30)
        ImageDraw.Draw(page).text((30, 40), line, "black", face)
        pages.append(page)
    pages[0].save(tmp_path / "a.pdf", save_all=True, append_images=pages[1:], resolution=150)
    model = vl2.load("nano", device="cpu")
    answers = {page.number: page.answer for page in model.read_document(tmp_path / "a.pdf", max_tokens=40)}
    assert sorted(answers) == [1, 2, 3]
    for number, line in enumerate(LINES, 1):
        answer = answers[number]
        assert answer is not None
        assert anls(answer.text, [line]) >= 0.8


def test_pages_of_a_document(model: Model, tiff: Path) -> None:
    for source in (tiff, str(tiff), tiff.read_bytes()):
        pages = list(model.read_document(source, "2-4,1"))
        assert sorted(page.number for page in pages) == [1, 2, 3, 4]
        assert all(page.answer and page.answer.text == TEXT and page.error is None for page in pages)
    assert [page.number for page in model.read_document(Image.new("RGB", (70, 30)))] == [1]
    with open_document(tiff) as document:
        (page,) = model.read_document(document, [5])
        assert page.number == 5
        assert document.page(5, model.config.candidate_resolutions).width == 74  # still open


def test_few_pages_are_under_way_at_a_time(model: Model, tiff: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vl2.api._PAGES_AT_ONCE", 2)
    stats = []
    step = model.engine.step
    monkeypatch.setattr(model.engine, "step", lambda: (step(), stats.append(model.engine.stats()))[0])
    rendered = itertools.count()
    whole = Document.page
    monkeypatch.setattr(Document, "page", lambda *args: (next(rendered), whole(*args))[1])
    pages: Iterator[Any] = model.read_document(tiff)
    assert next(pages).number == 1
    assert next(rendered) <= 3
    assert len(list(pages)) == 4
    assert max(stat.num_running + stat.num_waiting for stat in stats) == 2
    assert not model.engine.has_work


def test_who_stops_reading_leaves_nothing(model: Model, tiff: Path) -> None:
    pages: Any = model.read_document(tiff)
    next(pages)
    pages.close()
    assert not model.engine.has_work
    assert not model.engine._inboxes


@pytest.mark.usefixtures("broken_third")
def test_a_bad_page_does_not_lose_the_others(model: Model, tiff: Path) -> None:
    pages = {page.number: page for page in model.read_document(tiff)}
    assert sorted(pages) == [1, 2, 3, 4, 5]
    assert pages[3].answer is None
    assert "damaged page" in str(pages[3].error)
    assert [page.number for page in model.read_document(tiff, [3])] == [3]


@pytest.mark.parametrize(
    ("options", "words"),
    [({"pages": "6"}, "pages = '6'"), ({"max_pages": 4}, "exceed the limit of 4"), ({"top_p": 2.0}, "top_p")],
)
def test_bad_input_raises_at_once(options: dict[str, Any], words: str, model: Model, tiff: Path) -> None:
    with pytest.raises((DocumentError, SamplingError), match=words):
        model.read_document(tiff, **options)


def test_loops_are_ended(looping: Model, tiff: Path) -> None:
    picture = Image.new("RGB", (70, 30))
    answer = looping.read(picture)
    assert answer.finish_reason == "repetition"
    assert answer.text == f"{TEXT}{TEXT}"
    assert answer.completion_tokens < 70
    assert not looping.engine.has_work
    assert looping.read(picture, stop_repetition=False).finish_reason == "length"
    assert looping.ask(picture, "?").finish_reason == "length"
    assert looping.ask(picture, "?", stop_repetition=True).finish_reason == "repetition"
    (page,) = looping.read_document(tiff, [1])
    assert page.answer is not None
    assert page.answer.finish_reason == "repetition"


# vl2 ocr


def test_ocr_of_pages(run: Any, tiff: Path) -> None:
    result = run(tiff, "--pages", "5,1-2")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "\n".join(f"--- page {number} ---\n{TEXT}\n" for number in (5, 1, 2))
    assert "(3 of 3): 11 tokens, finish: stop" in result.stderr
    assert run(tiff, "--pages", 4, "--format", "markdown").stdout == f"## Page 4\n\n{TEXT}\n"


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"], ["--format", "json", "--json"]])
def test_ocr_as_json(option: list[str], run: Any, tiff: Path) -> None:
    result = run(tiff, "--pages", "1,3", *option)
    found = json.loads(result.stdout)
    assert (found["file"], found["num_pages"]) == (str(tiff), 5)
    assert [page["page"] for page in found["pages"]] == [1, 3]
    assert found["pages"][0]["text"] == TEXT
    assert found["pages"][0]["regions"][0]["label"] == "black cat"
    assert found["pages"][0]["finish_reason"] == "stop"


def test_images_are_answered_as_before_unless_a_format_is_asked_for(run: Any, tmp_path: Path) -> None:
    Image.new("RGB", (70, 30)).save(tmp_path / "a.png")
    assert run("a.png").stdout.startswith("The <|ref|>")
    assert "pages" not in json.loads(run("a.png", "--json").stdout)
    assert run("a.png", "--format", "text").stdout == f"--- page 1 ---\n{TEXT}\n"
    (page,) = json.loads(run("a.png", "--format", "json").stdout)["pages"]
    assert page["page"] == 1


@pytest.mark.usefixtures("broken_third")
def test_ocr_goes_on_after_a_bad_page(run: Any, tiff: Path) -> None:
    result = run(tiff)
    assert result.exit_code == 2
    assert f"vl2: page 3: {tiff}: damaged page (so it is)\n" in result.stderr
    assert result.stdout.count(TEXT) == 4
    assert "--- page 3 ---\n[could not be read]\n" in result.stdout
    result = run(tiff, "--format", "json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["pages"][2] == {"page": 3, "error": f"{tiff}: damaged page\n(so it is)"}


def test_ocr_says_when_it_ended_a_loop(
    run: Any, looping: Model, tiff: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vl2.cli.load_model", lambda *_: looping)
    Image.new("RGB", (70, 30)).save(tmp_path / "a.png")
    result = run("a.png", "--json")
    assert json.loads(result.stdout)["finish_reason"] == "repetition"
    assert "repetition: the answer went round in circles" in result.stderr
    result = run(tiff, "--pages", 2)
    assert "page 2: repetition: the answer went round in circles" in result.stderr
    assert result.stdout.count(TEXT) == 2
    assert "length" in run(tiff, "--pages", 2, "--no-stop-repetition").stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pages", "9"], "pages = '9': five.tiff has pages 1 to 5"),
        (["--pages", "x"], "pages = 'x': must be numbers and ranges"),
        (["--max-pages", 4], "5 pages exceed the limit of 4"),
        (["--max-pages", 0], "--max-pages"),
        (["--format", "html"], "--format html: must be text, markdown or json"),
        (["--format", "text", "--json"], "--json contradicts --format text"),
    ],
)
@pytest.mark.usefixtures("tiff")
def test_mistakes_are_one_line(options: list[object], words: str, run: Any) -> None:
    result = run("five.tiff", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("vl2: ")
    assert words in line
