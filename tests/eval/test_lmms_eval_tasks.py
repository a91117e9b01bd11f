"""Prompts of examples/evaluation/lmms_eval.yaml: rendered as lmms-eval does, they are those of `vl2 eval`."""

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from benchmark_files import png, write_jsonl

from vl2.eval.benchmarks import find_benchmark, read_items
from vl2.eval.rows import Rows
from vl2.processing.messages import Text

TASKS = Path(__file__).resolve().parent.parent.parent / "examples/evaluation/lmms_eval.yaml"
OPTIONS = {"A": "red", "B": "blue, or green", "C": "", "D": ""}
ROWS: dict[str, tuple[str, dict[str, Any]]] = {  # lmms-eval's name: ours, a row of its file
    "chartqa": ("chartqa", {"question": "How many?", "answer": "3"}),
    "textvqa_val": ("textvqa", {"question": "What is Written?", "answers": ["x"]}),
    "mme": ("mme", {"question": "Is it? Please answer yes or no.", "answer": "Yes", "category": "OCR"}),
    "mmstar": ("mmstar", {"question": "Which?\nOptions: A: red, B: blue, or green", "answer": "A"}),
    "ai2d": ("ai2d", {"question": "Which?", "options": ["red", "blue"], "answer": "0"}),
    "mmbench_en_dev_static": ("mmbench", {"question": "Which?", "hint": "nan", "answer": "A"} | OPTIONS),
}


@pytest.mark.parametrize("name", ROWS)
def test_prompts_are_ours(name: str, tmp_path: Path) -> None:
    ours, row = ROWS[name]
    (task,) = (task for task in yaml.safe_load(TASKS.read_text("utf-8"))["task"] if task["task"] == name)
    environment = jinja2.Environment(keep_trailing_newline=True)
    environment.filters["regex_replace"] = lambda text, pattern, by: re.sub(pattern, by, text)
    (tmp_path / "a.png").write_bytes(png())
    path = write_jsonl(tmp_path / "rows.jsonl", [{"index": 1, "question_id": "OCR/1.png", "image": "a.png"} | row])
    first = next(iter(read_items(find_benchmark(ours), Rows(path))))
    (asked,) = (part.text for part in first.message().parts if isinstance(part, Text) and part.text.strip())
    said = environment.from_string(task["doc_to_text"]).render(row)
    assert said.strip() == asked.strip()  # the renderer strips messages, too


def test_every_task_has_our_limit() -> None:
    group = yaml.safe_load(TASKS.read_text("utf-8"))
    assert group["group"] == "vl2"
    assert {tuple(task["generation_kwargs"].items()) for task in group["task"]} == {
        (("max_new_tokens", 512), ("temperature", 0))
    }
