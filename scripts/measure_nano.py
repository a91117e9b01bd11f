"""Measure Nano on its test split, beside Tesseract where there is text to read, and write what the documents show.

python scripts/measure_nano.py OUT_DIR [--records 500] [--jobs 2]

vl2.synth (split "test") --> OUT_DIR/TASK/records.jsonl --vl2 eval--> results/*.json
                         --> docs/nano/gallery.png, the table between the marks in README.md and docs/nano.md
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vl2.data.records import read_records
from vl2.eval.report import gallery, to_markdown
from vl2.eval.runner import Results, load_results
from vl2.files import write_whole
from vl2.synth.export import export

ROOT = Path(__file__).resolve().parent.parent
# task -> the metric that is measured; other questions of the same images are left out
METRICS = {
    "line": "cer", "receipt": "anls", "form": "anls", "table": "exact", "chart": "relaxed_accuracy", "ground": "iou",
    "count": "exact", "paragraph": "cer", "scene": "exact",
}  # fmt: skip
READING = ("line", "paragraph")
EXTRAS = ("paragraph", "scene")  # no target is set for these; they get two fifths of the records
SEED = 1
MAX_TOKENS = 256  # an answer caught in a loop must end


def make_records(folder: Path, task: str, wanted: int) -> Path:
    """Images of the test split and the first `wanted` records of the task's metric, at most two of an image."""
    out = folder / task
    if not out.exists():
        export(task, wanted, out, seed=SEED, split="test")
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    chosen: list[str] = []
    of_image: Counter[str] = Counter()
    for line in lines:
        record = json.loads(line)
        if record["metric"] != METRICS[task] or of_image[record["images"][0]] == 2:  # cer: full readings only
            continue
        of_image[record["images"][0]] += 1
        chosen.append(line)
    chosen = chosen[:wanted]
    path = out / "measured.jsonl"
    path.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return path


def run(records: Path, model: str, out: Path) -> None:
    """One `vl2 eval` on one thread, unless its results are there already."""
    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "vl2", "eval", str(records), "--model", model, "--out", str(out)]
    command += ["--device", "cpu", "--max-tokens", str(MAX_TOKENS)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    print(f"{model} {records.parent.name}: done", flush=True)


def joined(paths: list[Path]) -> Results:
    """Several results as one."""
    parts = [load_results(path) for path in paths]
    tasks = {name: summary for part in parts for name, summary in part["tasks"].items()}
    return {"config": parts[0]["config"], "tasks": tasks, "outputs": [o for part in parts for o in part["outputs"]]}


def insert(table: str, page: Path) -> None:
    """Put the table between the marks of a page."""
    marks = "<!-- results:start -->", "<!-- results:end -->"
    text = page.read_text(encoding="utf-8")
    text, found = re.subn(f"{marks[0]}.*?{marks[1]}", lambda _: f"{marks[0]}\n{table}{marks[1]}", text, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{page}: expected one pair of marks {marks[0]} ... {marks[1]}, found {found}")
    with write_whole(page) as staging:
        staging.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="nano")
    arguments = parser.parse_args()
    wanted = {task: arguments.records * 2 // 5 if task in EXTRAS else arguments.records for task in METRICS}
    files = {task: make_records(arguments.out, task, count) for task, count in wanted.items()}
    results = arguments.out / "results"
    jobs = [(path, arguments.model, results / f"nano-{task}.json") for task, path in files.items()]
    jobs += [(files[task], "tesseract", results / f"tesseract-{task}.json") for task in READING]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda job: run(*job), jobs))
    nano = joined([results / f"nano-{task}.json" for task in METRICS])
    tesseract = joined([results / f"tesseract-{task}.json" for task in READING])
    table = to_markdown({"Nano": nano, "Tesseract": tesseract})
    records = [record for path in files.values() for record in read_records(path)]
    gallery(nano, records, ROOT / "docs/nano/gallery.png")
    for page in (ROOT / "README.md", ROOT / "docs/nano.md"):
        insert(table, page)
    print(table)


if __name__ == "__main__":
    main()
