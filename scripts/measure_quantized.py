"""Measure what quantised weights cost: Nano as it is and quantised, on the same records of its test split.

python scripts/measure_quantized.py OUT_DIR [--records 500] [--jobs 2] [--model nano]
                                            [--schemes fp8,int4,int8] [--tasks line,receipt,...]

    MODEL --vl2 quantize--> OUT_DIR/fp8, OUT_DIR/int4, OUT_DIR/int8
    nano_records (split "test") --> OUT_DIR/rows/TASK/records.jsonl --vl2 eval--> OUT_DIR/results/*.json --> a table

Points are hundredths of a metric, and less of an error rate counts as more. Few answers change, so differences of the
same records say more than the intervals of each model; with n records, one record is 100 / n points.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nano_records import known_rows, make_row

from vl2.eval.metrics import ERROR_RATES
from vl2.eval.runner import Results, load_results

LIMITS = {"fp8": 0.5, "int4": 1.5, "int8": 0.5}  # points that a task may lose
TASKS = ("line", "receipt", "form", "table", "chart", "ground", "count", "paragraph", "scene")
MAX_TOKENS = 256  # an answer caught in a loop must end


def run(records: Path, model: str, out: Path) -> None:
    """One `vl2 eval` on one thread, unless its results are there already."""
    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "vl2", "eval", str(records), "--model", model, "--out", str(out)]
    command += ["--device", "cpu", "--max-tokens", str(MAX_TOKENS)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    print(f"{model} {records.parent.name}: done", flush=True)


def cell(plain: Results, small: Results, limit: float) -> str:
    """Points won or lost, records that got better and worse."""
    (before,), (after,) = plain["tasks"].values(), small["tasks"].values()
    sign = -1 if before["metric"] in ERROR_RATES else 1
    points = 100 * sign * (after["value"] - before["value"])
    changes = [sign * (b["score"] - a["score"]) for a, b in zip(plain["outputs"], small["outputs"], strict=True)]
    better, worse = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    return f"{points:+.2f} (+{better} −{worse}){'' if points >= -limit else ' over the limit'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--schemes", default=",".join(LIMITS))
    parser.add_argument("--tasks", default=",".join(TASKS))
    arguments = parser.parse_args()
    limits = {scheme: LIMITS[scheme] for scheme in arguments.schemes.split(",")}
    rows = {row.name: row for row in known_rows()}
    tasks = {task: rows[task].metric for task in arguments.tasks.split(",")}
    models = {"plain": arguments.model} | {scheme: str(arguments.out / scheme) for scheme in limits}
    for scheme in limits:
        if not (arguments.out / scheme).exists():
            command = [sys.executable, "-m", "vl2", "quantize", arguments.model, models[scheme], "--to", scheme]
            subprocess.run([*command, "--device", "cpu"], check=True)
    files = {task: make_row(arguments.out, rows[task], arguments.records) for task in tasks}
    results = {(name, task): arguments.out / "results" / f"{name}-{task}.json" for task in tasks for name in models}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda key: run(files[key[1]], models[key[0]], results[key]), results))
    print(f"| task | metric | records | {arguments.model} | {' | '.join(limits)} |")
    print(f"|---|---|---:|---:|{'---:|' * len(limits)}")
    for task, metric in tasks.items():
        plain = load_results(results["plain", task])
        (summary,) = plain["tasks"].values()
        cells = [cell(plain, load_results(results[scheme, task]), limit) for scheme, limit in limits.items()]
        print(f"| {task} | {metric} | {summary['n']} | {summary['value']:.4f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
