"""The commands, with a model that answers "The black cat sits down." and a box to everything."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from shards import write_lines
from typer.testing import CliRunner, Result

import vl2.cli_eval  # these add their commands
import vl2.cli_training
import vl2.hub
from vl2.cli import app

Run = Callable[..., Result]
TEXT = "The black cat sits down."
BOX = [7.0, 6.0, 35.0, 21.0]
ANSWER_KEYS = {
    "text", "raw", "regions", "finish_reason", "prompt_tokens", "image_tokens", "completion_tokens", "ttft_sec",
    "total_sec",
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder, without a network."""

    def no_network(repository: str, **_: object) -> str:
        raise AssertionError(f"asked the hub for {repository}")

    monkeypatch.setattr(vl2.hub, "snapshot_download", no_network)
    monkeypatch.chdir(tmp_path)

    def start(*arguments: object, stdin: str = "") -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return start


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cat.png"
    Image.new("RGB", (70, 30), "white").save(path)
    return path


@pytest.fixture
def on(scripted_checkpoint: Path) -> list[object]:
    """The options that choose the model."""
    return ["--model", scripted_checkpoint, "--device", "cpu", "--local-files-only"]


def output(result: Result) -> str:
    assert result.exit_code == 0, result.stderr
    return result.stdout


def as_json(result: Result) -> dict[str, Any]:
    """Exactly one JSON object, on one line."""
    (line,) = output(result).splitlines()
    return json.loads(line)


def error(result: Result) -> str:
    """One line on stderr, nothing of a trace, exit code 2."""
    assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("vl2: ")
    return line


# Answers


def test_ask(run: Run, on: list[object], picture: Path) -> None:
    result = run("ask", picture, "What is there?", *on)
    assert "black cat" in output(result)
    assert result.stdout.rstrip().endswith("sits down.")
    assert "finish: stop" in result.stderr


def test_ask_as_json(run: Run, on: list[object], picture: Path) -> None:
    answer = as_json(run("ask", picture, picture, "Which?", *on, "--json"))
    assert set(answer) == ANSWER_KEYS
    assert answer["text"] == TEXT
    assert answer["regions"] == [{"label": "black cat", "box": BOX}]
    assert answer["finish_reason"] == "stop"
    assert answer["image_tokens"] == 2 * 34


def test_sampling_options(run: Run, on: list[object], picture: Path) -> None:
    answer = as_json(run("ask", picture, "?", *on, "--json", "--max-tokens", 3))
    assert (answer["finish_reason"], answer["completion_tokens"]) == ("length", 3)
    answer = as_json(run("ask", picture, "?", *on, "--json", "--stop", "zzz", "--stop", " down"))
    assert (answer["finish_reason"], answer["text"]) == ("stop", "The black cat sits")
    options = ["--temperature", 5, "--top-p", 0.9, "--top-k", 50, "--repetition-penalty", 1.1, "--max-tokens", 20]
    first, second, other = (
        as_json(run("ask", picture, "?", *on, "--json", *options, "--seed", seed))["raw"] for seed in (1, 1, 2)
    )
    assert first == second != other


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtype(dtype: str, run: Run, on: list[object], picture: Path) -> None:
    assert as_json(run("ask", picture, "?", *on, "--dtype", dtype, "--json"))["text"] == TEXT


def test_quantize(run: Run, on: list[object], scripted_checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    assert as_json(run("ask", picture, "?", *on, "--quantize", "fp8", "--json"))["text"] == TEXT
    result = run("quantize", scripted_checkpoint, "small", "--to", "fp8", "--device", "cpu")
    assert re.fullmatch(r"small: [\d.]+ MB of weights, quantised to fp8\n", output(result))
    assert as_json(run("ask", picture, "?", "--model", "./small", "--json"))["text"] == TEXT
    assert "its weights are quantised (fp8) already" in error(
        run("ask", picture, "?", "-m", "./small", "--quantize", "fp8")
    )
    assert "intermediate_size = 40: int8 needs multiples of 16" in error(
        run("ask", picture, "?", *on, "--quantize", "int8")
    )
    assert "small: exists" in error(run("quantize", scripted_checkpoint, "small", "--to", "fp8"))
    assert "quantize = 'int3': must be fp8, int4 or int8" in error(
        run("quantize", scripted_checkpoint, "new", "--to", "int3")
    )
    assert not (tmp_path / "new").exists()


def test_ground_draws_the_boxes(run: Run, on: list[object], picture: Path, tmp_path: Path) -> None:
    result = run("ground", picture, "the cat", "--out", "boxed.png", *on)
    assert "black cat: 7, 6, 35, 21" in output(result)
    assert "wrote boxed.png" in result.stderr
    drawn = np.asarray(Image.open(tmp_path / "boxed.png"))
    assert drawn.shape == (30, 70, 3)
    assert (drawn != 255).any()


def test_ground_as_json(run: Run, on: list[object], picture: Path) -> None:
    answer = as_json(run("ground", picture, "the cat", *on, "--json", "--out", "boxed.webp"))
    assert set(answer) == ANSWER_KEYS
    assert answer["regions"] == [{"label": "black cat", "box": BOX}]
    assert Path("boxed.webp").exists()


def test_ground_says_when_there_is_nothing(run: Run, on: list[object], picture: Path) -> None:
    assert "not found: the cat" in output(run("ground", picture, "the cat", *on, "--max-tokens", 1))


def test_ocr(run: Run, on: list[object], picture: Path) -> None:
    assert "sits down." in output(run("ocr", picture, *on))
    answer = as_json(run("ocr", picture, *on, "--json"))
    assert set(answer) == ANSWER_KEYS


def test_warnings_are_not_part_of_the_answer(run: Run, on: list[object], picture: Path) -> None:
    """The box is cut off in the middle."""
    result = run("ocr", picture, *on, "--max-tokens", 6, "--json")
    assert as_json(result)["regions"] == []
    assert "warning: " in result.stderr


# Conversations


def test_chat(run: Run, on: list[object], picture: Path) -> None:
    said = f"/image {picture}\nWhat is it?\n\n/ground cat\n/quit\nnever read\n"
    result = run("chat", *on, "--json", stdin=said)
    first, second = map(json.loads, output(result).splitlines())
    assert first["text"] == second["text"] == TEXT
    assert second["prompt_tokens"] > first["prompt_tokens"] + first["completion_tokens"] - 2  # it remembers
    assert second["image_tokens"] == first["image_tokens"] == 34


def test_chat_ends_with_its_input(run: Run, on: list[object]) -> None:
    assert "sits down." in output(run("chat", *on, "--system", "Be brief.", stdin="Hello?"))
    assert output(run("chat", *on, stdin="")) == ""


def test_chat_samples(run: Run, on: list[object]) -> None:
    options = ["--temperature", 5, "--top-p", 0.9, "--top-k", 50, "--repetition-penalty", 1.1, "--max-tokens", 20]
    first, second, other = (output(run("chat", *on, *options, "--seed", seed, stdin="Hello?")) for seed in (1, 1, 2))
    assert first == second != other
    assert output(run("chat", *on, "--stop", " down", stdin="Hello?")).endswith("sits\n")


def test_chat_goes_on_after_mistakes(run: Run, on: list[object]) -> None:
    said = "/image absent.png\n/dance\n/ground\n" + "x" * 400 + "\nStill there?\n"
    result = run("chat", *on, "--json", stdin=said)
    assert as_json(result)["text"] == TEXT
    assert "absent.png" in result.stderr
    assert "unknown command '/dance'" in result.stderr
    assert result.stderr.count("vl2: ") == 4


# Facts


def test_info_of_published_models(run: Run) -> None:
    """Without weights or network."""
    for name, total in (("tiny", 3_370_501_440), ("small", 16_148_349_504), ("base", 27_480_134_248)):
        facts = as_json(run("info", name, "--json"))
        assert facts["total_params"] == total
        assert facts["weight_bytes"] == 2 * total
        assert f"{total:,}" in output(run("info", name))


def test_info_keys(run: Run) -> None:
    facts = as_json(run("info", "base", "--json", "--image-size", "640x480"))
    wanted = "total_params activated_params_language activated_params kv_bytes_per_token image_tokens weight_bytes"
    assert all(isinstance(facts[key], int) for key in wanted.split())
    assert facts["image_tokens"] == 1023
    assert facts["kv_bytes_per_token"] == 34_560


def test_info_of_a_directory(run: Run, scripted_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(scripted_checkpoint / "config.json", tmp_path / "bare")
    assert as_json(run("info", "bare", "--json", "--image-size", "38x38"))["image_tokens"] == 25


def test_tiles(run: Run, on: list[object], picture: Path, tmp_path: Path) -> None:
    result = run("tiles", picture, "--out", "deep/sheet.png", "--model", on[1])
    assert "34" in output(result)
    assert Image.open(tmp_path / "deep" / "sheet.png").width > 3 * 38
    row = as_json(run("tiles", picture, "--out", "sheet.png", "--model", "tiny", "--json"))
    assert "device = 'tpu'" in error(run("tiles", picture, "--out", "sheet.png", "--device", "tpu"))
    assert "dtype = 'int8'" in error(run("tiles", picture, "--out", "sheet.png", "--dtype", "int8"))
    assert row == {"image": [70, 30], "canvas": [384, 384], "tiles": 2, "image_tokens": 421, "sheet": "sheet.png"}


# Mistakes


def test_missing_image(run: Run, on: list[object]) -> None:
    for command in (["ask", "absent.png", "?"], ["ground", "absent.png", "cat"], ["ocr", "absent.png"]):
        assert "absent.png" in error(run(*command, *on))
    assert "absent.png" in error(run("tiles", "absent.png", "--out", "sheet.png"))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_corrupt_image(content: bytes, run: Run, on: list[object], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    assert "bad.png" in error(run("ask", "bad.png", "?", *on))
    assert "bad.png" in error(run("ground", "bad.png", "cat", *on))


def test_directory_as_image(run: Run, on: list[object], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "folder" in error(run("ocr", "folder", *on))


def test_nothing_to_locate(run: Run, on: list[object], picture: Path) -> None:
    assert "the phrase to locate is empty" in error(run("ground", picture, " ", *on))


def test_question_without_image(run: Run, on: list[object]) -> None:
    assert "at least one image" in error(run("ask", "What?", *on))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "tpu"], "device = 'tpu'"), (["--device", "cuda:99"], "device = 'cuda:99'"),
        (["--dtype", "int8"], "dtype = 'int8'"), (["--temperature", "-1"], "temperature = -1"),
        (["--top-p", "0"], "top_p = 0"), (["--top-k", "-1"], "top_k = -1"), (["--max-tokens", "0"], "max_tokens = 0"),
        (["--repetition-penalty", "0"], "repetition_penalty = 0"), (["--stop", ""], "stop = "),
        (["--seed", "-1"], "seed = -1"), (["--seed", str(2**64)], "seed = "), (["--model", "x" * 300], "xxx"),
        (["--model", "enormous"], "model 'enormous'"), (["--model", "a/b/c"], "model 'a/b/c'"),
        (["--model", "."], "no config.json"),
    ],
)  # fmt: skip
def test_bad_options(options: list[str], words: str, run: Run, on: list[object], picture: Path) -> None:
    assert words in error(run("ask", picture, "?", *on, *options))


def test_model_that_is_not_in_the_cache(run: Run, on: list[object], picture: Path, monkeypatch: Any) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def nothing(*_: object, **options: object) -> str:
        assert options["local_files_only"]
        raise LocalEntryNotFoundError("nothing cached")

    monkeypatch.setattr(vl2.hub, "snapshot_download", nothing)
    assert "deepseek-ai/deepseek-vl2-tiny" in error(run("ask", picture, "?", *on, "--model", "tiny"))


def test_context_overflow(run: Run, on: list[object], picture: Path) -> None:
    message = error(run("ask", picture, "x" * 400, *on))
    assert "256" in message
    assert "34 of them from 1 images" in message


@pytest.mark.parametrize(
    "size", ["640", "640x", "x480", "0x5", "-1x5", "axb", "1.5x2", "640x480x3", "", "²x3", "9" * 400 + "x3"]
)
def test_bad_image_size(size: str, run: Run) -> None:
    assert "expected WIDTHxHEIGHT" in error(run("info", "tiny", f"--image-size={size}"))


def test_damaged_checkpoint(run: Run, on: list[object], picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(str(on[1]), folder)
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-10])
    assert "truncated" in error(run("ask", picture, "?", *on, "--model", folder))
    (folder / "config.json").write_text('{"model_type": "llava"}')
    assert "model_type = 'llava'" in error(run("ask", picture, "?", *on, "--model", folder))
    assert "model_type = 'llava'" in error(run("info", folder))


@pytest.mark.parametrize("name", ["boxed.xyz", "boxed"])
def test_unknown_picture_format(name: str, run: Run, on: list[object], picture: Path) -> None:
    """Told before the model has worked for it."""
    assert "unknown picture format" in error(run("ground", picture, "cat", "--out", name, *on))
    assert "unknown picture format" in error(run("tiles", picture, "--out", name))
    assert not Path(name).exists()


def test_places_where_nothing_can_be_written(run: Run, picture: Path) -> None:
    Path("folder.png").mkdir()
    Path("file").touch()
    for out in ("folder.png", "file/sheet.png", "x" * 300 + ".png", "/proc/sheet.png"):
        assert error(run("tiles", picture, "--out", out))
    assert sorted(path.name for path in Path().iterdir()) == ["cat.png", "file", "folder.png"]


def test_usage(run: Run) -> None:
    assert "--frobnicate" in error(run("ask", "--frobnicate"))
    assert "--frobnicate" in error(run("--frobnicate", "ask"))
    assert "frobnicate" in error(run("frobnicate"))
    assert "QUESTION" in error(run("ask"))
    assert "--seed" in error(run("ask", "a.png", "?", "--seed", "abc"))
    assert "Usage" in run().stdout + run().stderr


def test_limit_on_pixels(run: Run, on: list[object], picture: Path) -> None:
    said = f"/image {picture}\n/quit\n"
    assert "exceed the limit of 2099" in run("chat", *on, "--max-pixels", 2099, stdin=said).stderr
    for command in (["ask", picture, "?", *on], ["ground", picture, "cat", *on], ["ocr", picture, *on]):
        assert "70 x 30 pixels exceed the limit of 2099" in error(run(*command, "--max-pixels", 2099))
        assert output(run(*command, "--max-pixels", 2100))
    assert "exceed the limit of 2099" in error(run("tiles", picture, "--out", "sheet.png", "--max-pixels", 2099))


@pytest.mark.parametrize(("trouble", "code"), [(KeyboardInterrupt, 130), (BrokenPipeError(32, "closed"), 1)])
def test_interruptions_say_nothing(trouble: Any, code: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, and a reader such as `head` that has seen enough."""

    def interrupted(*_: object) -> None:
        raise trouble

    monkeypatch.setattr("vl2.family.facts", interrupted)
    result = run("info", "tiny")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "")


# Data for training


def test_data_check(run: Run, picture: Path, tmp_path: Path) -> None:
    def row(image: str) -> dict[str, Any]:
        turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "a cat"}]
        return {"image": image, "conversations": turns}

    good = write_lines(tmp_path / "good.jsonl", [row(picture.name)] * 2)
    assert output(run("data", "check", good)) == f"{good} (LLaVA): 2 records, 2 images, 2 answers, 0 bad\n"
    bad = write_lines(tmp_path / "bad.jsonl", [row(picture.name), row("none.png"), {"conversations": []}])
    result = run("data", "check", tmp_path / "*.jsonl")
    assert (result.exit_code, result.stderr.strip()) == (2, "")  # of the bar only line ends remain
    first, *places, last = result.stdout.splitlines()
    assert first == f"{bad} (LLaVA): 1 records, 1 images, 1 answers, 2 bad: 1 missing image, 1 fields"
    assert [place.split()[0] for place in places] == [f"{bad}:2", f"{bad}:3"]
    assert last.endswith("2 records, 2 images, 2 answers, 0 bad")
    assert "no such file" in error(run("data", "check", "none.jsonl"))
    assert "Missing argument" in error(run("data", "check"))


# The program


def test_program_starts_fast_and_lists_its_commands(tmp_path: Path) -> None:
    """`vl2 --help` imports neither torch nor the model."""
    code = "import sys, vl2.cli, vl2.cli_training, vl2.cli_bench; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    environment = {**os.environ, "COLUMNS": "120"}
    command = [sys.executable, "-m", "vl2", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    for name in ("ask", "ground", "ocr", "chat", "tiles", "info", "synth", "data", "train", "eval"):
        assert f" {name} " in shown


def test_a_device_out_of_memory_is_one_line(run: Run, on: list, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB")

    monkeypatch.setattr("vl2.engine.engine.Engine.step", full)
    assert "out of memory" in error(run("ask", picture, "What is it?", *on))
