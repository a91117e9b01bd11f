"""`vl2 batch`: each request exactly once, whatever kills it; what a body means; errors are results."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import vl2
import vl2.cli_batch  # adds its command
from vl2.batch.lines import Results, read_jobs
from vl2.batch.work import Batch, work
from vl2.cli import app

TEXT = "The black cat sits down."
Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the input lies, with a picture; commands run elsewhere."""
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Image.new("RGB", (70, 30), "red").save(tmp_path / "data" / "cat.png")
    return tmp_path / "data"


def ask(text: str, *images: str, **options: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    return {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}], **options}


def json_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


def write(folder: Path, bodies: dict[str, dict[str, Any]]) -> Path:
    path = folder / "in.jsonl"
    rows = [{"custom_id": custom_id, "body": body} for custom_id, body in bodies.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({row["custom_id"] for row in rows}) == len(rows)
    return {row["custom_id"]: row for row in rows}


@pytest.fixture
def run(scripted_checkpoint: Path, folder: Path) -> Run:
    on = ["--model", scripted_checkpoint, "--name", "cats", "--device", "cpu", "--local-files-only"]
    arguments = ["batch", folder / "in.jsonl", folder / "out.jsonl", *on]
    return lambda *more: CliRunner().invoke(app, [str(argument) for argument in [*arguments, *more]])


def data_url(width: int) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 30), "blue").save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_results_are_what_the_server_would_say(run: Run, folder: Path) -> None:
    """Paths lie beside the input; text stays text; every answer has its usage and regions."""
    write(
        folder,
        {
            "text": {"messages": [{"role": "user", "content": "<|ref|>hello"}]},
            "path": ask("What?", "cat.png", model="cats"),
            "absolute": ask("What?", str(folder / "cat.png")),
            "data": ask("What?", data_url(50), "cat.png"),
            "short": ask("What?", "cat.png", max_tokens=3),
            "json": ask("What?", response_format=json_of({"enum": [{"cat": 1}, {"dog": 2}]})),
        },
    )  # fmt: skip
    done = run()
    assert done.exit_code == 0, done.stderr
    assert done.stdout == ""
    assert "6 results" in done.stderr
    rows = rows_of(folder / "out.jsonl")
    for row in rows.values():
        assert (row["error"], row["response"]["status_code"], row["response"]["body"]["model"]) == (None, 200, "cats")
    choices = {name: row["response"]["body"]["choices"][0] for name, row in rows.items()}
    contents = {name: choice["message"]["content"] for name, choice in choices.items()}
    assert contents["path"] == contents["absolute"] == contents["data"] == TEXT
    assert json.loads(contents["json"]) in ({"cat": 1}, {"dog": 2})
    assert [choices[name]["finish_reason"] for name in ("path", "short")] == ["stop", "length"]
    assert choices["path"]["regions"][0]["label"] == "black cat"
    assert rows["data"]["response"]["body"]["usage"]["prompt_tokens_details"]["image_tokens"] > 34


def test_errors_are_results(run: Run, folder: Path) -> None:
    """They name their field, hurt nobody else, and end the command with exit code 2."""
    (folder / "bad.png").write_bytes(b"no picture")
    bodies = {
        "good": ask("What?", "cat.png"), "missing": ask("What?", "nowhere.png"), "bad": ask("What?", "bad.png"),
        "field": ask("What?", colour="red"), "n": ask("What?", n=2), "stream": ask("What?", stream=True),
        "url": ask("What?", "https://example.com/cat.png"), "long": ask("x" * 400), "none": {},
        "logprobs": ask("?", logprobs=True), "schema": ask("?", response_format=json_of({"uniqueItems": True})),
        "data": ask("?", "data:image/png;base64,AAAA"), "detail": ask("What?", *["cat.png"] * 3), "last": ask("And?"),
    }  # fmt: skip
    bodies["detail"]["messages"][0]["content"][0]["image_url"]["detail"] = "high"
    write(folder, bodies)
    done = run()
    assert done.exit_code == 2
    assert "14 results" in done.stderr
    assert "12 of them errors" in done.stderr
    bodies_out = {name: row["response"]["body"] for name, row in rows_of(folder / "out.jsonl").items()}
    assert bodies_out["good"]["choices"][0]["message"]["content"] == TEXT
    errors = {name: body["error"] for name, body in bodies_out.items() if "error" in body}
    assert set(errors) == set(bodies) - {"good", "last"}
    assert {name: errors[name]["param"] for name in ("field", "n", "stream", "none", "logprobs")} == {
        "field": "colour", "n": "n", "stream": "stream", "none": "messages", "logprobs": "logprobs",
    }  # fmt: skip
    for name in ("missing", "bad", "url", "data"):
        assert errors[name]["param"] == "messages.0.content.0.image_url.url"
    assert "--fetch" in errors["url"]["message"]
    assert "no such file" in errors["missing"]["message"]
    assert "uniqueItems" in errors["schema"]["message"]
    assert all("\n" not in error["message"] for error in errors.values())
    assert run().exit_code == 2  # nothing is left, and the errors are still there
    assert len(rows_of(folder / "out.jsonl")) == 14


def test_files_that_do_not_belong_together(run: Run, folder: Path) -> None:
    write(folder, {"a": ask("What?")})
    with Results(folder / "out.jsonl") as results:
        results.add("b", {"response": {"status_code": 200}})
    done = run()
    assert (done.exit_code, done.stdout) == (2, "")
    assert "has a result of 'b', which" in done.stderr


def test_a_killed_batch_ends_up_complete(scripted_checkpoint: Path, folder: Path) -> None:
    """SIGKILL again and again, in the middle of the work and of lines: all results, each once."""
    count, rng = 120, Random(0)
    write(folder, {f"n{number}": ask(f"What is {number}?", "cat.png") for number in range(count)})
    out = folder / "out.jsonl"
    command = [
        sys.executable, "-m", "vl2", "batch", folder / "in.jsonl", out, "--model", scripted_checkpoint,
        "--name", "cats", "--device", "cpu", "--local-files-only", "--max-running", "6",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # several threads are slow for so small a model
    sizes = [0]
    for _ in range(3):
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        wanted = sizes[-1] + rng.randint(1, 15_000)
        deadline = time.monotonic() + 60
        while process.poll() is None and (not out.exists() or out.stat().st_size < wanted):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, said
        with out.open("r+b") as file:  # as if it had been cut while it was written
            file.truncate(out.stat().st_size - rng.randint(0, 300))
        sizes.append(out.stat().st_size)
    assert sizes == sorted(sizes)
    last = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, env=environment)
    assert last.returncode == 0, last.stderr
    rows = rows_of(out)
    assert set(rows) == {f"n{number}" for number in range(count)}
    assert all(row["response"]["body"]["choices"][0]["message"]["content"] == TEXT for row in rows.values())


def test_memory_does_not_grow_with_the_file(scripted_checkpoint: Path, folder: Path) -> None:
    """No more requests are prepared than wait or run."""
    model = vl2.load(scripted_checkpoint, device="cpu", engine={"max_running": 3})
    path = write(folder, {str(number): ask("What?", "cat.png") for number in range(60)})
    jobs = read_jobs(path, "nano")
    taken = 0

    def counted() -> Any:
        nonlocal taken
        for job in jobs:
            taken += 1
            yield job

    with Results(folder / "out.jsonl") as results:
        for number, _ in enumerate(work(Batch(model, path, "nano"), counted(), results), 1):
            assert taken <= number + 3 + 8 + 2
    assert len(rows_of(folder / "out.jsonl")) == 60


def test_a_batch_that_is_given_up_leaves_the_engine_free(scripted_checkpoint: Path, folder: Path) -> None:
    model = vl2.load(scripted_checkpoint, device="cpu")
    path = write(folder, {str(number): ask("What?", "cat.png") for number in range(30)})
    with Results(folder / "out.jsonl") as results:
        working = work(Batch(model, path, "nano"), read_jobs(path, "nano"), results)
        next(iter(working))
        working.close()  # type: ignore[attr-defined]
        assert not model.engine.has_work
        assert len(results.done) < 30


def test_grammars_hold_in_batches(folder: Path, run: Run) -> None:
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}
    write(folder, {str(n): ask("?", response_format=json_of(schema), temperature=1.0, seed=n) for n in range(8)})
    assert run().exit_code == 0
    for row in rows_of(folder / "out.jsonl").values():
        jsonschema.validate(json.loads(row["response"]["body"]["choices"][0]["message"]["content"]), schema)
