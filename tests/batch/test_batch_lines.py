"""Files of batches: what is refused before any work, and results that are whole, once each, and found again."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vl2.batch.lines import BatchError, Results, read_body, read_jobs


def write(path: Path, *lines: str | dict[str, Any]) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def result(status: int = 200) -> dict[str, Any]:
    return {"response": {"status_code": status, "body": {}}, "error": None}


def test_jobs(tmp_path: Path) -> None:
    """Lines are found again by where they begin, whatever is in them; only a line feed ends one."""
    path = write(
        tmp_path / "in.jsonl",
        {"custom_id": "ä", "body": {"messages": ["ü\u2028"]}}, "", '{"custom_id": "b", "body": {"model": "nano"}}\r',
        {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": {"n": 1}},
    )  # fmt: skip
    jobs = read_jobs(path, "nano")
    assert [(job.custom_id, job.number) for job in jobs] == [("ä", 1), ("b", 3), ("c", 4)]
    assert [read_body(path, job) for job in jobs] == [{"messages": ["ü\u2028"]}, {"model": "nano"}, {"n": 1}]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (['{"custom_id": "a", "body": {}}', "{"], "line 2: not JSON"),
        (["[]"], "line 1: must be an object with a custom_id"),
        (['{"body": {}}'], "line 1: must be an object with a custom_id"),
        (['{"custom_id": 3, "body": {}}'], "line 1: must be an object with a custom_id"),
        (['{"custom_id": "a"}'], "line 1: body must be an object"),
        (['{"custom_id": "a", "body": {}, "image": "x"}'], "line 1: unknown field 'image'"),
        (['{"custom_id": "a", "body": {}, "url": "/v1/embeddings"}'], "/v1/embeddings is not known"),
        (['{"custom_id": "a", "body": {"model": "gpt-4o"}}'], "body.model is 'gpt-4o', but 'nano' is what"),
        (['{"custom_id": "a", "body": {}}'] * 2, "line 2: custom_id 'a' stands on line 1, too"),
        (["[" * 100_000], "line 1: not JSON"),
    ],
)  # fmt: skip
def test_files_that_are_refused(lines: list[str], what: str, tmp_path: Path) -> None:
    with pytest.raises(BatchError, match=what) as caught:
        read_jobs(write(tmp_path / "in.jsonl", *lines), "nano")
    assert "\n" not in str(caught.value)


def test_results_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    with Results(path) as results:
        results.add("a", result())
        results.add("ü", result(400))
    with Results(path) as results:
        assert (results.done, results.num_failed) == ({"a", "ü"}, 1)
        results.add("c", result())
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["custom_id"] for row in rows] == ["a", "ü", "c"]


def test_half_a_line_is_dropped_at_every_length(tmp_path: Path) -> None:
    """Wherever a kill cut the last line, it is not counted, and what follows is whole again."""
    path = tmp_path / "out.jsonl"
    with Results(path) as results:
        results.add("a", result())
        first = path.stat().st_size
        results.add("é", result())
    whole = path.read_bytes()
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        with Results(path) as results:
            assert results.done == {"a"}
            results.add("c", result())
        lines = path.read_bytes().splitlines(keepends=True)
        assert [json.loads(line)["custom_id"] for line in lines] == ["a", "c"]
        assert lines[0] == whole[:first]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"custom_id": "a", "response": {}}\n' * 2, "line 2: a second result of 'a'"),
        ('{"custom_id": "a", "body": {}}\n', "line 1: no result of a batch"),
        ("hello\n", "line 1: not JSON"),
        ("hello\n{", "line 1: not JSON"),
        ("hello", "line 1: half a line, and no result"),
        ('{"id": "a", "custom_id": "a", "response": {}}', "line 1: half a line, and no result"),
    ],
)
def test_a_file_of_something_else_is_left_alone(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(text)
    with pytest.raises(BatchError, match=what):
        Results(path)
    assert path.read_text() == text


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    code = "import sys; from pathlib import Path; from vl2.batch.lines import Results; Results(Path(sys.argv[1]))"
    with Results(path):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, env=os.environ
        )
        assert "another process is writing to it" in done.stderr
    Results(path).close()


FULL = """
import resource, signal, sys
from pathlib import Path
from vl2.batch.lines import Results
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Results(Path(sys.argv[1])) as results:
    for number in range(100):
        results.add(str(number), {"response": {"status_code": 200}})
"""


def test_no_room_for_a_line(tmp_path: Path) -> None:
    """The work stops with an error, and the next run goes on behind the last whole line."""
    path = tmp_path / "out.jsonl"
    full = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60)
    assert "OSError: [Errno 27]" in full.stderr
    assert path.stat().st_size == 1000
    with Results(path) as results:
        assert results.done == {str(number) for number in range(len(results.done))}
        assert 10 < len(results.done) < 100
    assert path.read_bytes().endswith(b"}\n")
