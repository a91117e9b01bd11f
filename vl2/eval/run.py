"""A run in a directory: every answer is written down as it comes, and a run that was stopped goes on.

    items --message()--> batches --model--> answers.jsonl (appended, synced) --judge, summarise--> results.json

    OUT/run.json       what was asked of whom: a run goes on with these settings only
    OUT/answers.jsonl  one line an answer
    OUT/results.json   summaries and every output
    OUT/submission.json   DocVQA and InfographicVQA: answers to questions whose right answers the file hides

The trap: a kill can cut the last line of answers.jsonl. What stands after the last line feed is dropped and asked
again; a line that is broken elsewhere is an error, since nobody can know what else is.
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from vl2.eval.benchmarks import Benchmark
from vl2.eval.items import Item, Verdict
from vl2.eval.runner import Output, Results, ScoredOutput, answer_each, refused, save_results, scored_row
from vl2.eval.summary import Judged
from vl2.files import write_whole
from vl2.processing.boxes import Box, Region
from vl2.processing.messages import Message

_FREE = {"batch_size", "device"}  # may differ when a run goes on
_VERSIONS = {"vl2", "torch", "commit"}  # may differ when nothing is left to ask
_SUBMITTED = ("docvqa", "infovqa")  # one server judges both, and takes one form


class RunError(ValueError):
    """A directory that holds another run, or a damaged one."""


class Talker(Protocol):
    """What answers messages of a user: `vl2.answerer.ModelAnswerer`."""

    def answer_messages(self, messages: Sequence[Message]) -> list[Output]:
        """One output a message, in order. Raises ValueError for messages that cannot be answered."""
        ...


class AnswerLog:
    """answers.jsonl: what was answered so far, by id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.answers: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                answer = json.loads(line)
                self.answers[answer["id"]] = answer
            except (ValueError, TypeError, KeyError) as error:
                raise RunError(f"{self._path}:{number}: no answer ({error}); delete the line or the file") from None
        if whole < len(content):  # torn by a kill
            with self._path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())

    def append(self, answers: Sequence[dict[str, Any]]) -> None:
        """Write answers down; they are on the disk when this returns."""
        lines = "".join(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n" for answer in answers)
        with self._path.open("ab") as file:
            file.write(lines.encode("utf-8", "replace"))  # half of a surrogate pair has no bytes
            file.flush()
            os.fsync(file.fileno())
        self.answers.update((answer["id"], answer) for answer in answers)


def run(
    benchmark: Benchmark,
    items: Sequence[Item],
    model: Callable[[], Talker],
    out: Path,
    *,
    settings: Mapping[str, Any],
    batch_size: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Answer what `out` does not answer yet, then judge everything.

    Args:
        model: called if there is anything to ask; a finished run is judged again without loading one.
        settings: written down; a run in `out` with others is refused.
        progress: called with the items answered and the items in all.

    Raises: RunError; ValueError without items.
    """
    if not items:
        raise ValueError("records: empty; expected at least one question")
    if batch_size < 1:
        raise ValueError(f"batch_size = {batch_size}: expected at least 1")
    log = AnswerLog(out / "answers.jsonl")
    left = [item for item in items if item.id not in log.answers]
    asked_with = claim(out, settings, _FREE if left else _FREE | _VERSIONS)
    talker = model() if left else None
    progress(len(items) - len(left), len(items))
    for start in range(0, len(left), batch_size):
        assert talker is not None
        batch = left[start : start + batch_size]
        log.append(_answer(talker, batch))
        progress(len(items) - len(left) + start + len(batch), len(items))
    results = judge(benchmark, items, log.answers, {**asked_with, "batch_size": batch_size})
    save_results(results, out / "results.json")
    hidden = [item for item in items if not _is_scored(benchmark, item)]
    if hidden and benchmark.name in _SUBMITTED:
        _write_submission(hidden, log.answers, out / "submission.json")
    return results


def _write_submission(items: Sequence[Item], answers: Mapping[str, dict[str, Any]], path: Path) -> None:
    """Answers that only the benchmark's server can score, in its form."""
    rows = [{"questionId": int(i.id) if i.id.isdecimal() else i.id, "answer": answers[i.id]["text"]} for i in items]
    with write_whole(path) as staging:
        staging.write_text(json.dumps(rows, ensure_ascii=False) + "\n", encoding="utf-8", errors="replace")


def _is_scored(benchmark: Benchmark, item: Item) -> bool:
    """In own tasks no region to find means "absent"; elsewhere no answer means that the split hides it."""
    return bool(item.golds) or (benchmark.metric == "" and item.kind == ("iou",))


def claim(out: Path, settings: Mapping[str, Any], free: set[str]) -> dict[str, Any]:
    """Make `out` the directory of this run, or find that it is; the settings that its answers were made with.

    Raises RunError if it is that of another, whatever is in `free` aside.
    """
    path = out / "run.json"
    wanted = json.loads(json.dumps(dict(settings)))
    if path.exists():
        try:
            have = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise RunError(f"{path}: not JSON ({error}); choose another directory") from None
        for key in sorted((wanted.keys() | have.keys()) - free):
            if wanted.get(key) != have.get(key):
                asked = f"{key} = {have.get(key)!r}, and now {wanted.get(key)!r} is asked for"
                raise RunError(f"{out}: holds a run with {asked}; choose another --out")
        return have
    if (out / "answers.jsonl").exists():
        raise RunError(f"{out}: holds answers but no run.json; choose another --out")
    with write_whole(path) as staging:
        staging.write_text(json.dumps(wanted, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return wanted


def _answer(talker: Talker, batch: Sequence[Item]) -> list[dict[str, Any]]:
    began = time.perf_counter()
    messages: list[Message] = []
    found: dict[str, Output | ValueError] = {}
    for item in batch:
        try:
            messages.append(item.message())
        except ValueError as error:
            found[item.id] = error
    asked = [item for item in batch if item.id not in found]
    if asked:
        found |= zip((item.id for item in asked), answer_each(talker.answer_messages, messages), strict=True)
    seconds = round((time.perf_counter() - began) / len(batch), 4)
    return [_line(item.id, found[item.id], seconds) for item in batch]


def _line(name: str, output: Output | ValueError, seconds: float) -> dict[str, Any]:
    if isinstance(output, ValueError):
        return {"id": name, "text": "", "error": str(output), "seconds": seconds}
    line: dict[str, Any] = {"id": name, "text": output.text, "tokens": output.tokens, "seconds": seconds}
    line["finish_reason"] = output.finish_reason
    if output.regions:
        line["regions"] = [{"label": region.label, "box": list(region.box)} for region in output.regions]
    return line


def judge(
    benchmark: Benchmark, items: Sequence[Item], answers: Mapping[str, dict[str, Any]], config: Mapping[str, Any]
) -> Results:
    """Results of answers, as answers.jsonl has them by id."""
    judged: list[Judged] = []
    rows: list[tuple[Item, ScoredOutput]] = []
    for item in items:
        line = answers[item.id]
        regions = tuple(Region(r["label"], Box(*r["box"])) for r in line.get("regions", []))
        output = Output(line["text"], regions, line.get("tokens", 0), line.get("finish_reason", ""))
        error = line.get("error", "")
        metric = item.kind[0] if benchmark.metric == "" else benchmark.metric
        verdict = benchmark.judge(item, output.text, regions) if _is_scored(benchmark, item) else None
        if verdict is not None:
            if error:
                verdict = Verdict(refused(verdict.score, metric), "none")
            rows.append((item, _row(item, metric, output, verdict, error)))
        judged.append(Judged(item, verdict, line["seconds"], output.tokens, bool(error)))
    tasks = benchmark.summarise(benchmark.name, benchmark.metric, judged)
    for item, row in rows:
        names = (f"{benchmark.name}: {item.group}", f"{item.group} ({row['task']})", item.group, benchmark.name)
        row["task"] = next(name for name in names if name in tasks)
    return {"config": dict(config), "tasks": tasks, "outputs": [row for _, row in rows]}


def _row(item: Item, metric: str, output: Output, verdict: Verdict, error: str) -> ScoredOutput:
    row = scored_row(item.id, metric, metric, output, verdict.score, error)
    if verdict.read:
        row["read"] = verdict.read
    if item.unit:
        row["unit"] = item.unit
    row["question"] = item.question
    row["golds"] = [{"label": g.label, "box": list(g.box)} if isinstance(g, Region) else g for g in item.golds]
    return row
