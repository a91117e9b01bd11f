"""Scores models while they are trained: `vl2.load`, then the same records, answers and metrics as `vl2 eval`.

records of the recipe, synthetic tasks of the test split --> records --ModelAnswerer--> metrics
"""

import tempfile
from pathlib import Path

from vl2.answerer import ModelAnswerer
from vl2.api import load
from vl2.data.records import Record, read_records, require_images
from vl2.eval.runner import evaluate
from vl2.synth.export import export
from vl2.synth.registry import TASKS, TRAINING_ONLY
from vl2.train.evaluation import EvaluationSection, TaskScore

_ENGINE = {"cache_bytes": 1 << 30, "image_cache_bytes": 1}  # training needs the memory


class EarlyEvaluation:
    """A `vl2.train.evaluation.Evaluator`."""

    def check(self, section: EvaluationSection) -> None:
        """Raises ValueError naming the file, line or task that is wrong."""
        for task in section.tasks:
            if task not in TASKS:
                raise ValueError(f"evaluation.tasks: {task!r} is not among {', '.join(TASKS)}")
            if task in TRAINING_ONLY:
                raise ValueError(f"evaluation.tasks: {task!r} is for training only; name {TRAINING_ONLY[task]!r}")
        require_images(_from_files(section))

    def score(self, model: Path, section: EvaluationSection, device: str) -> dict[str, TaskScore]:
        """One row a task, and one a metric where a task has several."""
        with tempfile.TemporaryDirectory() as folder:
            records = _from_files(section)
            for task in section.tasks:
                drawn = export(task, section.limit, Path(folder) / task, split="test")
                records += list(read_records(drawn / "records.jsonl"))[: section.limit]
            options = _ENGINE if device.startswith("cuda") else None
            answerer = ModelAnswerer(load(model, device=device, engine=options), section.max_tokens)
            rows = evaluate(records, answerer, batch_size=section.batch_size)["tasks"]
        return {name: {"metric": row["metric"], "value": row["value"], "n": row["n"]} for name, row in rows.items()}


def _from_files(section: EvaluationSection) -> list[Record]:
    """At most `limit` of each task of each file."""
    out: list[Record] = []
    for _, path in section.records:
        kept: dict[str, int] = {}
        for record in read_records(Path(path)):
            kept[record.task] = kept.get(record.task, 0) + 1
            out += [record] if kept[record.task] <= section.limit else []
    return out
