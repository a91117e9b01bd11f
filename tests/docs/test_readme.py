"""README's commands and Python blocks run as they stand there; its table of the family is what `vl2 info` prints.

A block is left out only behind a comment <!-- skip: reason --> on the line before its fence.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vl2.config import PRESETS
from vl2.data.records import read_records
from vl2.family import facts

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
_FENCE = re.compile(
    r"(?:^<!-- skip: (?P<reason>[^\n]+?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    code: str
    reason: str | None


def blocks(text: str) -> list[Block]:
    return [
        Block(text.count("\n", 0, m.start("code")), m["language"], m["code"], m["reason"])
        for m in _FENCE.finditer(text)
    ]


def runnable(language: str) -> list:
    found = [block for block in blocks(README.read_text(encoding="utf-8")) if block.language == language]
    assert found
    marks = {block: [pytest.mark.skip(reason=block.reason)] if block.reason else [] for block in found}
    return [pytest.param(block, id=f"line{block.line}", marks=marks[block]) for block in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where commands run: the examples and nothing else of the repository."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples", place / "examples")
    return place


def test_a_skip_mark_belongs_to_one_block():
    text = "<!-- skip: slow -->\n```bash\na\n```\n\n```bash\nb\n```\n```python\nc\n```\n"
    assert [(b.line, b.language, b.code, b.reason) for b in blocks(text)] == [
        (2, "bash", "a\n", "slow"), (6, "bash", "b\n", None), (9, "python", "c\n", None),
    ]  # fmt: skip


@pytest.mark.parametrize("block", runnable("bash"))
def test_commands(block: Block, folder: Path, run):
    run(["bash", "-euo", "pipefail", "-c", block.code], folder)


@pytest.mark.parametrize("block", runnable("python"))
def test_python(block: Block, folder: Path, run):
    assert run([sys.executable, "-c", block.code], folder).strip()


@pytest.mark.parametrize("block", runnable("json"))
def test_record(block: Block, tmp_path: Path):
    (tmp_path / "records.jsonl").write_text(block.code, encoding="utf-8")
    assert list(read_records(tmp_path / "records.jsonl"))


def family_table() -> str:
    """README's table of the family."""
    header = [
        "model",
        "parameters",
        "activated, language",
        "activated, with vision",
        "weight bytes",
        "KV bytes a token",
    ]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, config in PRESETS.items():
        f = facts(config, (1024, 1024))
        counts = (
            f.total_params, f.activated_params_language, f.activated_params, f.weight_bytes, f.kv_bytes_per_token,
        )  # fmt: skip
        lines.append([name, *(f"{count:,}" for count in counts)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def test_family_table():
    """To renew it: python tests/docs/test_readme.py"""
    text = README.read_text(encoding="utf-8")
    shown = text.partition("<!-- family:start -->\n")[2].partition("<!-- family:end -->")[0]
    assert shown == family_table()


def test_demo_of_the_makefile(folder: Path, run):
    """`make demo` installs, asks and draws; here the last two, with the packages already installed."""
    steps = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = [line.removeprefix(".venv/bin/") for line in steps.splitlines() if line.startswith(".venv/bin/vl2 ")]
    assert [command.split()[1] for command in commands] == ["ask", "ground"]
    answer = run(["bash", "-euo", "pipefail", "-c", commands[0]], folder)
    assert answer.strip() == receipt_total()
    run(["bash", "-euo", "pipefail", "-c", commands[1]], folder)
    assert (folder / "out" / "demo.png").stat().st_size > 0


def receipt_total() -> str:
    """The total of examples/receipt.png, as recorded when it was drawn."""
    lines = (ROOT / "examples" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return next(r["answers"][0] for r in records if r["images"] == ["receipt.png"] and "total" in r["question"].lower())


if __name__ == "__main__":
    before, start, rest = README.read_text(encoding="utf-8").partition("<!-- family:start -->\n")
    _, end, after = rest.partition("<!-- family:end -->")
    README.write_text(before + start + family_table() + end + after, encoding="utf-8")
