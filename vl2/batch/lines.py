"""Requests of a file and results in another, one JSON object a line, as OpenAI's batches have them.

    in   {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": ...}}
    out  {"id": ..., "custom_id": "a", "response": {"status_code": 200, "request_id": ..., "body": ...}, "error": null}

A result counts once its line is whole and on the disk; whatever was killed half way through is done again. The trap: a
process that is killed may leave half a line, and the next one must not write behind it.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

URL = "/v1/chat/completions"
_START = b'{"custom_id": "'  # of a result; half a line of something else is not ours to drop


class BatchError(ValueError):
    """A file that is not what it should be; names file, line and field."""


@dataclass(frozen=True)
class Job:
    """A line of the input: its number from 1, where it begins in bytes, and the name that its result has."""

    number: int
    offset: int
    custom_id: str


def read_jobs(path: Path, model_name: str) -> list[Job]:
    """All requests of a file, checked as far as that needs no work. Raises BatchError."""
    jobs: dict[str, Job] = {}
    for number, offset, line in _lines(path):
        where = f"{path}, line {number}"
        row = _row(line, where)
        custom_id = row["custom_id"]
        if custom_id in jobs:
            first = jobs[custom_id].number
            raise BatchError(f"{where}: custom_id {custom_id!r} stands on line {first}, too; it must be unique")
        if unknown := row.keys() - {"custom_id", "method", "url", "body"}:
            raise BatchError(f"{where}: unknown field {min(unknown)!r}")
        if row.get("method", "POST") != "POST" or row.get("url", URL) != URL:
            raise BatchError(f"{where}: {row.get('method')} {row.get('url')} is not known here; must be POST {URL}")
        body = row.get("body")
        if not isinstance(body, dict):
            raise BatchError(f"{where}: body must be an object")
        if body.get("model", model_name) != model_name:
            raise BatchError(
                f"{where}: body.model is {body['model']!r}, but {model_name!r} is what runs; leave model out, or give "
                "--model or --name"
            )
        jobs[custom_id] = Job(number, offset, custom_id)
    return list(jobs.values())


def read_body(path: Path, job: Job) -> dict[str, Any]:
    """The request itself."""
    with path.open("rb") as file:
        file.seek(job.offset)
        return json.loads(file.readline())["body"]


class Results:
    """The output file, for one process at a time; a context manager.

    done: custom_ids of the results that it holds.
    num_failed: how many of those are errors.
    """

    def __init__(self, path: Path) -> None:
        self.done: set[str] = set()
        self.num_failed = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock(path)
            self._recover(path)
        except BaseException:
            self.close()
            raise

    def add(self, custom_id: str, row: dict[str, Any]) -> None:
        """Write a result; it is on the disk afterwards. Raises OSError."""
        assert custom_id not in self.done
        line = json.dumps({"custom_id": custom_id, **row}, ensure_ascii=False).encode() + b"\n"
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)
        self._count(custom_id, row)

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> "Results":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BatchError(f"{path}: another process is writing to it") from None

    def _recover(self, path: Path) -> None:
        """Take note of whole lines and drop half a line at the end."""
        for number, offset, line in _lines(path):
            where = f"{path}, line {number}"
            if not line.endswith(b"\n"):
                if not _START.startswith(line[: len(_START)]):
                    raise BatchError(f"{where}: half a line, and no result of a batch; give another file")
                os.ftruncate(self._file, offset)
                os.fsync(self._file)
                break
            row = _row(line, where)
            if row["custom_id"] in self.done:
                raise BatchError(f"{where}: a second result of {row['custom_id']!r}")
            if not isinstance(row.get("response"), dict):
                raise BatchError(f"{where}: no result of a batch; give another file, or move this one away")
            self._count(row["custom_id"], row)

    def _count(self, custom_id: str, row: dict[str, Any]) -> None:
        self.done.add(custom_id)
        self.num_failed += row["response"].get("status_code") != 200


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and bytes of each line that is not blank."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, offset, line
            offset += len(line)


def _row(line: bytes, where: str) -> dict[str, Any]:
    """A line with a custom_id."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BatchError(f"{where}: not JSON ({error})") from None
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str) or not row["custom_id"]:
        raise BatchError(f'{where}: must be an object with a custom_id, as {{"custom_id": "a", "body": ...}}')
    return row
