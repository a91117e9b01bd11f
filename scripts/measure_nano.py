"""Measure Nano: everything the project wants of it, beside its first version and beside two OCR programs.

python scripts/measure_nano.py records FOLDER [--records 500] [--only "gui;gui-zh"]  draws (with OpenCV, Chromium)
python scripts/measure_nano.py answer FOLDER [--model nano] [--device cuda]          asks, from the folder alone
python scripts/measure_nano.py report FOLDER [--run nano]                            tables, picture of docs/nano.md

nano_records.ROWS, GROUPS --records--> FOLDER/rows, FOLDER/groups --answer--> FOLDER/RUN/results.json
    docs/nano/first.json, docs/nano/peers.json --report--> tables between the marks of docs/nano.md and README.md

`answer` needs torch, numpy, Pillow, tokenizers, safetensors, huggingface-hub and rapidfuzz, so that it runs where the
other packages are missing. A row that a machine cannot draw is left out there: bring its folder from one that can.

Folders FOLDER/RUN/part-* may come from several machines; `answer` asks what all of them lack and judges them as one.
The trap: what a run answered belongs to its weights; `answer` goes on only with the same ones.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from nano_records import GROUPS, PEERS_FILE, Group, Row, digest, known_rows, make_group, make_row, path_of, wanted_of

from vl2.data.records import Record, read_records
from vl2.eval.runner import load_results, save_results
from vl2.synth.registry import TaskError

MAX_TOKENS = 1024  # of an answer; one that goes round in circles ends earlier, as in `Model.read`
PER_GPU = 3  # processes: one leaves a GPU waiting for its steps in Python most of the time
_LOG_EVERY_SEC = 10.0


def make_records(folder: Path, records: int, only: Sequence[str], jobs: int) -> None:
    """Every row and group that this machine can draw, several at a time; the longest are begun first."""
    parts = [part for part in (*GROUPS, *known_rows()) if not only or part.name in only]
    with ProcessPoolExecutor(jobs) as pool:
        for said in pool.map(partial(_make, folder, records), parts):
            print(said, flush=True)


def _make(folder: Path, records: int, part: Row | Group) -> str:
    """A row or a group, and how long it took, or why it was left out."""
    began = time.perf_counter()
    try:
        is_group = isinstance(part, Group)
        path = make_group(folder, part) if is_group else make_row(folder, part, wanted_of(part, records))
    except (TaskError, ImportError, ValueError) as error:
        return f"{part.name}: left out ({error})"
    return f"{path.parent}: {time.perf_counter() - began:.1f} s"


def read_folder(folder: Path, records: int, samples: bool = True) -> list[Record]:
    """All records of a folder, rows in the order of the table, then groups, then samples.

    Args:
        records: at most so many of a row with a target, and two fifths of them of others; all of groups and samples.
    """
    found: list[Record] = []
    for part in (*known_rows(), *GROUPS):
        path = path_of(folder, part)
        if path.exists():
            limit = None if isinstance(part, Group) else wanted_of(part, records)
            found += list(read_records(path))[:limit]
    for path in sorted((folder / "samples").glob("*.jsonl")) if samples else ():
        found += [replace(record, task=f"samples, {path.stem}") for record in read_records(path)]
    if not found:
        raise ValueError(f"{folder}: no records; run `measure_nano.py records {folder}` first")
    return found


def _weights_digest(model: str) -> str:
    """Of the files that a model's answers depend on, not of what only training needs."""
    from vl2.hub import find_model

    found, needed = sha256(), ("model*.safetensors", "*config.json", "tokenizer.json")
    folder = find_model(model, local_files_only=False, revision=None)
    for path in sorted(path for pattern in needed for path in folder.glob(pattern)):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def _answered(folder: Path, weights: str, besides: int = 0) -> dict[str, dict[str, Any]]:
    """What these weights answered in parts of a run; not of one in `besides` parts, which may be under way."""
    from vl2.eval.run import AnswerLog

    answers: dict[str, dict[str, Any]] = {}
    for part in sorted(folder.glob("part-*-of-*")):
        if part.name.endswith(f"-of-{besides}"):
            continue
        made = json.loads((part / "run.json").read_text("utf-8"))
        if made["weights_sha256"] != weights:
            raise SystemExit(f"{part}: answers of other weights; move it away or choose another --run")
        answers |= AnswerLog(part / "answers.jsonl").answers
    return answers


def answer(folder: Path, run_name: str, options: argparse.Namespace) -> None:
    """Ask a model everything in one process, or this process's share of it."""
    from vl2.answerer import ModelAnswerer
    from vl2.api import load
    from vl2.eval.benchmarks import OWN_TASKS
    from vl2.eval.items import record_item
    from vl2.eval.run import run

    number, parts = options.part
    items = [record_item(record) for record in read_folder(folder, options.records)[number::parts]]
    weights = _weights_digest(options.model)
    elsewhere = _answered(folder / run_name, weights, besides=parts)
    left = [item for item in items if item.id not in elsewhere]
    if not left:
        return
    on_gpu = options.device.startswith("cuda")
    began = said = time.monotonic()

    def model() -> ModelAnswerer:
        engine = {"max_running": 256} if on_gpu else {}
        loaded = load(options.model, device=options.device, dtype=options.dtype, engine=engine)
        return ModelAnswerer(loaded, MAX_TOKENS, stop_repetition=True, workers=16 if on_gpu else 0)

    def progress(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > _LOG_EVERY_SEC or done == total:
            said = time.monotonic()
            print(f"part {number + 1} of {parts}: {done} of {total}, {said - began:.0f} s", flush=True)

    settings = {"model": run_name, "weights_sha256": weights, "max_tokens": MAX_TOKENS}
    asked = sha256(repr([(item.id, item.question, item.golds) for item in items]).encode()).hexdigest()
    settings |= {"parts": parts, "records_sha256": asked, "device": options.device, "dtype": options.dtype}
    run(
        OWN_TASKS, left, model, folder / run_name / f"part-{number}-of-{parts}",
        settings=settings, batch_size=options.batch_size or (256 if on_gpu else 8), progress=progress,
    )  # fmt: skip


def answer_in_processes(folder: Path, run_name: str, options: argparse.Namespace, arguments: list[str]) -> None:
    """Several processes, on a CPU with one thread each, on GPUs in turn; then all answers judged as one run."""
    from vl2.eval.benchmarks import OWN_TASKS
    from vl2.eval.items import record_item
    from vl2.eval.run import judge

    if options.jobs == 1:
        answer(folder, run_name, options)
    else:
        command = [sys.executable, __file__, *arguments, "--device", options.device]
        gpus = visible_gpus() if options.device == "cuda" else []
        processes = [
            subprocess.Popen([*command, "--part", f"{number}/{options.jobs}"], env=environment_of(number, gpus))
            for number in range(options.jobs)
        ]
        if any([process.wait() for process in processes]):
            raise SystemExit("a part failed; the same command goes on where it was")
    answers = _answered(folder / run_name, _weights_digest(options.model))
    items = [record_item(record) for record in read_folder(folder, options.records)]
    config = {"model": run_name, "records": options.records, "groups": _digests(folder)}
    results = judge(OWN_TASKS, items, answers, config)
    save_results(results, folder / run_name / "results.json")
    for name, row in results["tasks"].items():
        interval = f"{row['ci_low']:.4f} - {row['ci_high']:.4f}"
        print(f"{name:36} {row['metric']:17} {row['value']:.4f} ({interval}) of {row['n']}")


def visible_gpus() -> list[str]:
    """Names that CUDA_VISIBLE_DEVICES takes."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return given.split(",") if given else [str(number) for number in range(torch.cuda.device_count())]


def environment_of(number: int, gpus: Sequence[str]) -> dict[str, str]:
    """Of a process, which sees one GPU, if there are any: kernels run where the current device is."""
    own = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
    return {**os.environ, "OMP_NUM_THREADS": "1", **own}


def _digests(folder: Path) -> dict[str, str]:
    """Of the groups' first pictures as this machine has them: only the same can be held against other programs."""
    compared = json.loads(PEERS_FILE.read_text("utf-8"))["groups"] if PEERS_FILE.exists() else {}
    paths = {part.name: path_of(folder, part) for part in GROUPS}
    return {
        name: digest(path, len(compared[name]["tesseract"]["readings"]))
        for name, path in paths.items()
        if name in compared and path.exists()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("records", "answer", "report"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, default=500, help="a row with a target; two fifths of them for others")
    parser.add_argument("--only", default="", help="names of rows and groups to draw, separated by semicolons")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--run", default="", help="name of the folder for answers; the model's if not given")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="bfloat16 is as on a GPU, and fast on CPUs with AMX")
    parser.add_argument("--batch-size", type=int, default=0)
    parser.add_argument(
        "--jobs", type=int, default=0, help="processes; 0 is one a core to draw, to answer two on a CPU, three on a GPU"
    )
    parser.add_argument("--part", type=lambda text: tuple(map(int, text.split("/"))), help=argparse.SUPPRESS)
    options = parser.parse_args()
    run_name = options.run or Path(options.model).name
    only = options.only.split(";") if options.only else ()
    if options.step == "records":
        make_records(options.folder, options.records, only, options.jobs or os.cpu_count() or 1)
    elif options.step == "answer":
        from vl2.device import pick_device

        options.device = str(pick_device(options.device))
        options.jobs = options.jobs or (PER_GPU * len(visible_gpus()) if options.device == "cuda" else 2)
        if options.part:
            answer(options.folder, run_name, options)
        else:
            options.part = (0, 1)
            answer_in_processes(options.folder, run_name, options, sys.argv[1:])
    else:
        from nano_report import write_report

        records = read_folder(options.folder, options.records)
        write_report(load_results(options.folder / run_name / "results.json"), records, options.folder)


if __name__ == "__main__":
    main()
