"""Runs a model over records and scores what it says.

    records --by task, in batches--> model.answer --> outputs --metrics.score--> judged --summarise--> results --> JSON

A batch never spans tasks, so that seconds and tokens belong to one task.

The trap: one unreadable image or overlong question must not cost the whole run. Where a batch is refused with a
ValueError its records are asked one by one, and those refused again count as wrong, with the reason in the results.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, TypeVar

from vl2.data.records import Record
from vl2.eval.items import Verdict, record_item
from vl2.eval.metrics import ERROR_RATES, RESAMPLES, SEED, Score, score
from vl2.eval.summary import Judged, TaskSummary, summarise_records
from vl2.files import write_whole
from vl2.processing.boxes import Region

T = TypeVar("T")


@dataclass(frozen=True)
class Output:
    """What a model answered to one record.

    text: the answer; scored by every metric but `iou`.
    regions: boxes in pixels of the record's image; scored by metric `iou`.
    tokens: number of generated tokens, 0 where a model has none.
    finish_reason: why generation ended ("stop", "length", ...), kept in the results.
    """

    text: str
    regions: tuple[Region, ...] = ()
    tokens: int = 0
    finish_reason: str = ""


class Answerer(Protocol):
    """Anything that answers records: a model of this package, or another program to compare with."""

    def answer(self, records: Sequence[Record]) -> list[Output]:
        """One output for each record, in order. Raises ValueError for records that cannot be answered."""
        ...


class ScoredOutput(TypedDict):
    """One record's output. For cer and wer the score is `edits` / `length`; for iou it is 0 or 1.

    read: what was read from the text, such as the letter of an option. unit: outputs that count once, together.
    """

    id: str
    task: str
    text: str
    score: float
    tokens: int
    finish_reason: str
    regions: NotRequired[list[dict[str, Any]]]
    iou: NotRequired[float]
    edits: NotRequired[float]
    length: NotRequired[float]
    error: NotRequired[str]
    read: NotRequired[str]
    unit: NotRequired[str]
    question: NotRequired[str]
    golds: NotRequired[list[Any]]


class Results(TypedDict):
    """Everything one evaluation found out; JSON as it stands."""

    config: dict[str, Any]
    tasks: dict[str, TaskSummary]
    outputs: list[ScoredOutput]


Progress = Callable[[str, int, int], None]  # task, records done, records in all


def evaluate(
    records: Sequence[Record],
    model: Answerer,
    progress: Progress | None = None,
    batch_size: int = 8,
    *,
    config: Mapping[str, Any] | None = None,
) -> Results:
    """Answer and score all records.

    Args:
        records: any order; a task asked by several metrics gets one row a metric, named "task (metric)".
        model: what answers.
        progress: called after each batch with the task, the records done and the records in all.
        batch_size: most records given to the model at once.
        config: what to write beside the numbers, such as the model's name, device and dtype.

    Raises:
        ValueError: without records, or for a batch size below 1.
    """
    if not records:
        raise ValueError("records: empty; expected at least one record")
    if batch_size < 1:
        raise ValueError(f"batch_size = {batch_size}: expected at least 1")
    judged: list[Judged] = []
    outputs: list[ScoredOutput] = []
    for task, members in _group(records).items():
        for start in range(0, len(members), batch_size):
            batch = members[start : start + batch_size]
            began = time.perf_counter()
            answered = answer_each(model.answer, batch)
            seconds = (time.perf_counter() - began) / len(batch)
            for record, output in zip(batch, answered, strict=True):
                scored, row = _score(record, task, output)
                # Records of several files may share an id, and count one by one all the same.
                item = replace(record_item(record), unit=str(len(judged)))
                judged.append(Judged(item, Verdict(scored), seconds, row["tokens"], "error" in row))
                outputs.append(row)
            if progress is not None:
                progress(task, len(outputs), len(records))
    settings = {**(config or {}), "batch_size": batch_size, "bootstrap": {"seed": SEED, "resamples": RESAMPLES}}
    return {"config": settings, "tasks": summarise_records("", "", judged), "outputs": outputs}


def _group(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records by row of the results, tasks in order of first appearance."""
    metrics: dict[str, set[str]] = {}
    for record in records:
        metrics.setdefault(record.task, set()).add(record.metric)
    groups: dict[str, list[Record]] = {}
    for record in records:
        mixed = len(metrics[record.task]) > 1
        groups.setdefault(f"{record.task} ({record.metric})" if mixed else record.task, []).append(record)
    return groups


def answer_each(answer: Callable[[Sequence[T]], list[Output]], batch: Sequence[T]) -> list[Output | ValueError]:
    """Outputs of a batch; what the model refuses even alone gets the refusal in its place."""
    try:
        outputs = answer(batch)
    except ValueError as error:
        if len(batch) == 1:
            return [error]
        return [output for one in batch for output in answer_each(answer, [one])]
    if len(outputs) != len(batch):
        raise RuntimeError(f"the model gave {len(outputs)} outputs for {len(batch)} records")
    return list(outputs)


def _score(record: Record, task: str, output: Output | ValueError) -> tuple[Score, ScoredOutput]:
    error = str(output) if isinstance(output, ValueError) else ""
    output = Output("") if isinstance(output, ValueError) else output
    scored = score(record, output.text, output.regions)
    if error:
        scored = refused(scored, record.metric)
    return scored, scored_row(record.id, task, record.metric, output, scored, error)


def refused(scored: Score, metric: str) -> Score:
    """The score of no answer: silence is no right answer, not even to "absent" or to an empty page."""
    length = scored.denominator
    wrong = max(length, 1) if metric in ERROR_RATES else 0
    return Score(wrong, length, None if scored.iou is None else 0.0)


def scored_row(name: str, task: str, metric: str, output: Output, scored: Score, error: str) -> ScoredOutput:
    """One output as results hold it."""
    row: ScoredOutput = {
        "id": name,
        "task": task,
        "text": output.text,
        "score": scored.value,
        "tokens": output.tokens,
        "finish_reason": output.finish_reason,
    }
    if scored.iou is not None:
        row["iou"] = scored.iou
        row["regions"] = [{"label": region.label, "box": list(region.box)} for region in output.regions]
    if metric in ERROR_RATES:
        row["edits"], row["length"] = scored.numerator, scored.denominator
    if error:
        row["error"] = error
    return row


def save_results(results: Results, path: str | Path) -> None:
    """Write results as JSON, whole or not at all."""
    text = json.dumps(results, ensure_ascii=False, indent=1, allow_nan=False)
    with write_whole(Path(path)) as staging:
        staging.write_text(text + "\n", encoding="utf-8")


def load_results(path: str | Path) -> Results:
    """Read what save_results wrote, for the report and the gallery."""
    values = json.loads(Path(path).read_text("utf-8"))
    if not isinstance(values, dict) or set(values) != {"config", "tasks", "outputs"}:
        raise ValueError(f"{path}: expected results of `vl2 eval`, with config, tasks and outputs")
    return Results(config=values["config"], tasks=values["tasks"], outputs=values["outputs"])
