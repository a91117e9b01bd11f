"""`vl2 eval` from the command line, with a model that answers "The black cat sits down." and a box to everything."""

import json
from pathlib import Path

import pytest
from benchmark_files import b64, write_tsv
from typer.testing import CliRunner, Result

import vl2.cli_eval  # adds its commands
from vl2.cli import app
from vl2.data.records import Record
from vl2.eval.runner import load_results
from vl2.processing.messages import Image as ImagePart
from vl2.processing.messages import Message

assert vl2.cli_eval


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {"index": n, "question": "What?", "answer": answer, "image": b64() if n == 0 else "0"}
        for n, answer in enumerate(["The black cat sits down", "the black dog sits down.", "no"])
    ]
    return write_tsv(tmp_path / "d.tsv", rows)


@pytest.fixture
def on(scripted_checkpoint: Path) -> list[object]:
    return ["--model", scripted_checkpoint, "--device", "cpu", "--local-files-only", "--max-tokens", 40]


def test_a_benchmark_twice_and_compared(data: Path, tmp_path: Path, on: list[object]) -> None:
    out = tmp_path / "a"
    first = run("eval", "docvqa", "--data", data, "--out", out, *on)
    assert first.exit_code == 0, first.output
    assert {path.name for path in out.iterdir()} == {"run.json", "answers.jsonl", "results.json", "report.html"}
    results = load_results(out / "results.json")
    assert [output["text"] for output in results["outputs"]] == ["The black cat sits down."] * 3
    assert results["tasks"]["docvqa"]["value"] == pytest.approx((1 + 20 / 24) / 3)  # the expected full stop stays
    config = results["config"]
    assert (config["benchmark"], config["max_tiles"], config["max_tokens"]) == ("docvqa", 9, 40)
    assert len(config["data_sha256"]) == 64
    assert {"vl2", "torch", "model", "data", "dtype", "device"} <= config.keys()
    before = (out / "answers.jsonl").read_bytes()
    again = run("eval", "docvqa", "--data", data, "--out", out, *on)
    assert again.exit_code == 0, again.output
    assert (out / "answers.jsonl").read_bytes() == before
    compared = run("eval", "compare", out, out, "--out", tmp_path / "c.html")
    assert compared.exit_code == 0, compared.output
    assert "docvqa" in compared.output
    assert (tmp_path / "c.html").exists()


def test_infovqa_has_canvases_of_its_own(tmp_path: Path, on: list[object]) -> None:
    from PIL import Image

    from vl2.answerer import ModelAnswerer
    from vl2.api import load
    from vl2.layout import TileGrid, image_token_count
    from vl2.processing.prompts import ask_message

    model = load(str(on[1]), device="cpu")
    picture = Image.new("RGB", (38 * 5, 38), "white")  # this small model's own canvases have at most four tiles
    seen: list[int] = []
    ask = model.chat_batch

    def spy(*arguments, **options):
        answers = ask(*arguments, **options)
        seen.append(answers[0].image_tokens)
        return answers

    model.chat_batch = spy  # type: ignore[method-assign]
    for max_tiles in (None, 18):
        ModelAnswerer(model, 4, max_tiles).answer_messages([ask_message([picture], "What?")])
    side = model.config.tile_side
    assert seen == [image_token_count(TileGrid(rows=1, cols=cols), side) for cols in (3, 5)]


def test_threads_tile_what_the_renderer_would(tmp_path: Path, on: list[object]) -> None:
    from PIL import Image

    from vl2.answerer import ModelAnswerer
    from vl2.api import load
    from vl2.eval.items import record_message

    model = load(str(on[1]), device="cpu")
    paths = []
    for number, size in enumerate(((60, 38), (190, 38), (38, 80))):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.effect_noise(size, 90).convert("RGB").save(paths[-1])
    records = [Record(f"t/{n}", (path,), "What?", ("x",), "exact", "t") for n, path in enumerate(paths)]
    records.append(Record("t/3", tuple(paths), "the cat", (), "iou", "t"))  # three pictures: none is cut into tiles
    messages = [record_message(record) for record in records]
    assert [part.source for part in messages[3].parts if isinstance(part, ImagePart)] == paths
    plain = ModelAnswerer(model, 6).answer_messages(messages)
    assert ModelAnswerer(model, 6, workers=3).answer_messages(messages) == plain
    missing = Record("t/4", ("no-such.png",), "What?", ("x",), "exact", "t")
    with pytest.raises(ValueError, match="no-such"):
        ModelAnswerer(model, 6, workers=3).answer([*records, missing])


@pytest.mark.parametrize("workers", [0, 2])
def test_follow_ups_come_after_what_was_said(
    tmp_path: Path, on: list[object], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from vl2.answerer import ModelAnswerer
    from vl2.api import load
    from vl2.data.dialogue import record_conversation
    from vl2.eval.items import record_item

    model = load(str(on[1]), device="cpu")
    picture = str(tmp_path / "a.png")
    Image.effect_noise((190, 38), 90).convert("RGB").save(picture)
    earlier = (("Is there a cat?", "yes"), ("Is it black?", "no"))
    records = [Record("t/0", (picture,), "And a dog?", ("x",), "exact", "t", earlier)]
    records.append(Record("t/1", (picture,), "it", (), "iou", "t", earlier))
    records.append(Record("t/2", (picture,), "A cat?", ("x",), "exact", "t"))
    items = [record_item(record) for record in records]
    assert items[0].question == "Is there a cat? yes\nIs it black? no\nAnd a dog?"
    assert [part.source for part in items[0].message().parts if isinstance(part, ImagePart)] == [picture]
    prompts: list[list[Message]] = []
    chat_batch = model.chat_batch
    monkeypatch.setattr(
        model, "chat_batch", lambda talks, **_: prompts.extend(talks) or chat_batch(talks, max_tokens=2)
    )
    assert len(ModelAnswerer(model, workers=workers).answer_messages([item.message() for item in items])) == 3
    for prompt, record in zip(prompts, records, strict=True):
        found, expected = (
            model.renderer.render(talk, for_generation=True) for talk in (prompt, record_conversation(record)[:-1])
        )
        assert found.input_ids == expected.input_ids


def test_own_tasks_into_a_directory_or_a_file(tmp_path: Path, on: list[object]) -> None:
    from PIL import Image

    Image.new("RGB", (70, 30), "white").save(tmp_path / "a.png")
    record = {"id": "t/1", "images": ["a.png"], "question": "What?", "answers": ["The black cat sits down"]}
    records = tmp_path / "records.jsonl"
    records.write_text(json.dumps({**record, "metric": "exact"}) + "\n", "utf-8")
    for out in (tmp_path / "run", tmp_path / "results.json"):
        done = run("eval", records, "--out", out, *on)
        assert done.exit_code == 0, done.output
    both = load_results(tmp_path / "run" / "results.json"), load_results(tmp_path / "results.json")
    assert [results["tasks"]["t"]["value"] for results in both] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["docvqa", "--out", "o"], "docvqa: --data is missing"),
        (["doc", "--data", "d.tsv", "--out", "o"], "benchmark 'doc': must be one of docvqa"),
        (["docvqa", "--data", "gone.tsv", "--out", "o"], "gone.tsv: cannot be read"),
        (["gone.jsonl", "--out", "o"], "gone.jsonl: cannot be read"),
        (["x.jsonl", "--out", "o", "--gallery", "g.png"], "--gallery: goes with --out FILE.json"),
        (["docvqa", "--data", "x", "--out", "o", "--model", "tesseract"], "--model tesseract: reads records only"),
        (["compare", "gone", "gone"], "gone"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("eval", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_help_names_the_commands() -> None:
    shown = run("eval", "--help").output
    assert "compare" in shown
    assert "score" in shown
