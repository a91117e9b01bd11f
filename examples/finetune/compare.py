"""Scores Nano and what it became on boarding passes it has not seen, and on tasks that it could do before.

    python examples/finetune/compare.py PASSES/test.jsonl RUN/weights [LIMIT]

Prints a Markdown table. The old tasks are drawn here, from the test split of vl2's synthetic data; LIMIT is the number
of records a task (60).
"""

import sys
import tempfile
from pathlib import Path

import vl2
from vl2.answerer import ModelAnswerer
from vl2.data.records import Record, read_records
from vl2.eval.report import to_markdown
from vl2.eval.runner import Results, evaluate
from vl2.synth.export import export

OLD = {"receipt": 12, "form": 12, "line": 60}  # task to images, which have several questions each


def first(records: list[Record], limit: int) -> list[Record]:
    """At most `limit` of each task."""
    counts: dict[str, int] = {}
    out: list[Record] = []
    for record in records:
        counts[record.task] = counts.get(record.task, 0) + 1
        out += [record] if counts[record.task] <= limit else []
    return out


def main(passes: Path, weights: str, limit: int = 60) -> None:
    with tempfile.TemporaryDirectory() as folder:
        records = list(read_records(passes))
        for task, count in OLD.items():
            drawn = export(task, min(count, limit), Path(folder) / task, split="test")
            # boxes and full readings are long answers; questions tell enough
            records += [r for r in read_records(drawn / "records.jsonl") if task == "line" or r.metric == "anls"]
        records = first(records, limit)
        results: dict[str, Results] = {}
        for name, model in (("Nano", "nano"), ("fine-tuned", weights)):
            results[name] = evaluate(records, ModelAnswerer(vl2.load(model), max_tokens=48))
    print(to_markdown(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *(int(count) for count in sys.argv[3:]))
