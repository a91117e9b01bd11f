"""The benchmarks: for each name how its rows are read, how answers are judged and how scores are summed up.

    path --Rows--> rows --Benchmark.reader--> items --Benchmark.judge--> verdicts --Benchmark.summarise--> summaries

The trap: `max_tiles` is part of a benchmark. InfoVQA was published with up to 18 local tiles instead of 9.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vl2.data.records import RecordError, read_records
from vl2.eval import judges, readers
from vl2.eval.items import Item, Judge, judge_record, record_item
from vl2.eval.rows import Rows
from vl2.eval.runner import TaskSummary
from vl2.eval.summary import Judged, summarise, summarise_mme, summarise_ocrbench, summarise_records


@dataclass(frozen=True)
class Benchmark:
    """How one benchmark is read, judged and summed up.

    name: as the command line has it. title: as papers have it. metric: in words.
    max_tiles: most local tiles of an image; 9 as the model was trained.
    """

    name: str
    title: str
    metric: str
    reader: readers.Reader
    judge: Judge
    summarise: Callable[[str, str, Sequence[Judged]], dict[str, TaskSummary]] = summarise
    max_tiles: int = 9


_ALL = (
    Benchmark("docvqa", "DocVQA", "anls", readers.read_vqa, judges.judge_anls),
    Benchmark("infovqa", "InfographicVQA", "anls", readers.read_vqa, judges.judge_anls, max_tiles=18),
    Benchmark("chartqa", "ChartQA", "relaxed_accuracy", readers.read_vqa, judges.judge_chart),
    Benchmark("textvqa", "TextVQA", "VQA accuracy", readers.read_vqa, judges.judge_vqa),
    Benchmark("ocrbench", "OCRBench", "right of all", readers.read_ocrbench, judges.judge_ocrbench, summarise_ocrbench),
    Benchmark("mmstar", "MMStar", "accuracy", readers.read_choice, judges.judge_choice),
    Benchmark("ai2d", "AI2D", "accuracy", readers.read_choice, judges.judge_choice),
    Benchmark("realworldqa", "RealWorldQA", "accuracy", readers.read_choice, judges.judge_choice),
    Benchmark("mmtbench", "MMT-Bench", "accuracy", readers.read_choice, judges.judge_choice),
    Benchmark("mmmu", "MMMU", "accuracy", readers.read_mmmu, judges.judge_choice),
    Benchmark("mme", "MME", "accuracy + accuracy+", readers.read_mme, judges.judge_yes_no, summarise_mme),
    Benchmark("mmbench", "MMBench", "circular accuracy", readers.read_mmbench, judges.judge_choice),
    Benchmark("mathvista", "MathVista", "accuracy", readers.read_mathvista, judges.judge_mathvista),
    Benchmark("refcoco", "RefCOCO, RefCOCO+, RefCOCOg", "iou", readers.read_refcoco, judges.judge_box),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises ValueError, which names all."""
    if name not in BENCHMARKS:
        raise ValueError(
            f"benchmark {name!r}: must be one of {', '.join(BENCHMARKS)}, or a records.jsonl without --data"
        )
    return BENCHMARKS[name]


def read_items(benchmark: Benchmark, rows: Rows, split: str = "") -> list[Item]:
    """All questions of a file, or those whose field `split` says so. Raises RecordError naming file, row and field.

    Ids that come again get "#2", "#3", ...: some files number their images, and ask several questions about each.
    """
    reader = benchmark.reader
    if benchmark.name == "mmbench" and _holds_rotations(rows):
        reader = readers.read_rotated
    items: list[Item] = []
    seen: dict[str, int] = {}
    others: set[str] = set()
    for row in rows:
        try:
            if split and (found := row.text("split", default="")) != split:
                others.add(found)
                continue
            for item in reader(row):
                seen[item.id] = seen.get(item.id, 0) + 1
                again = seen[item.id]
                items.append(item if again == 1 else replace(item, id=f"{item.id}#{again}"))
        except RecordError:
            raise
        except ValueError as error:
            raise RecordError(f"{row.where}: {error}") from None
    if not items:
        raise ValueError(f"--split {split!r}: no row has it; rows have {', '.join(sorted(others)) or 'none'}")
    return items


def _holds_rotations(rows: Rows) -> bool:
    indices = (row.text("index", default="") for row in rows)
    return any(index.isdecimal() and int(index) >= readers.ROTATION for index in indices)


def read_own_tasks(path: Path) -> list[Item]:
    """Records of the project's own tasks (vl2/data/records.py)."""
    return [record_item(record) for record in read_records(path)]


OWN_TASKS = Benchmark("records", "the project's own tasks", "", lambda row: iter(()), judge_record, summarise_records)
