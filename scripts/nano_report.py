"""What measure_nano.py found, as the tables and the picture of docs/nano.md.

results of a run --rows--> one row a task: value, interval, target, first version    <!-- results -->  README.md, too
                 --groups, samples + docs/nano/peers.json--> error rates side by side  <!-- peers -->
                 docs/nano/faults.json of count_faults.py    <!-- faults -->
                 --> docs/nano/gallery.png, docs/nano/samples.png, FOLDER/samples.png

The trap: Nano is "better" than a program only where the paired interval of the difference leaves out 0; else the table
says that they cannot be told apart, or who is.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from count_faults import table as faults_table
from nano_records import GROUPS, PEERS_FILE, ROWS, Row, digest, path_of

from vl2.data.records import Record
from vl2.eval.intervals import paired_bootstrap
from vl2.eval.metrics import ERROR_RATES
from vl2.eval.reading import Reading, compare_reading, total
from vl2.eval.report import NAMES, format_number, gallery
from vl2.eval.runner import Results, TaskSummary
from vl2.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
FONT = ROOT / "vl2/synth/pack/chinese/fonts/noto-sans-sc.ttf"  # of pictures whose texts are in both languages
FAULTS_FILE = ROOT / "docs/nano/faults.json"
# Whose pictures may be shown here: Debian has them under Apache-2.0 and BSD-3-Clause. Others are not free to copy.
FREE_SAMPLES = "opencv-doc"
PEERS = {"tesseract": "Tesseract", "rapidocr": "RapidOCR"}


def insert(table: str, page: Path, name: str) -> None:
    """Put a table between the marks of a page."""
    marks = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    text = page.read_text(encoding="utf-8")
    text, found = re.subn(f"{marks[0]}.*?{marks[1]}", lambda _: f"{marks[0]}\n{table}{marks[1]}", text, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{page}: expected one pair of marks {marks[0]} ... {marks[1]}, found {found}")
    with write_whole(page) as staging:
        staging.write_text(text, encoding="utf-8")


def is_met(summary: TaskSummary, wanted: float) -> bool:
    """Whether a value is as good as wanted, to the digits that the table shows."""
    if summary["metric"] in ERROR_RATES:
        return round(summary["value"], 4) <= wanted
    return round(summary["value"], 3) >= wanted


def _cell(summary: TaskSummary) -> str:
    value, low, high = (format_number(summary, key) for key in ("value", "ci_low", "ci_high"))
    return f"{value} ({low} – {high})"


def rows_table(results: Results, first: dict[str, Any]) -> str:
    """One row a task."""
    lines = ["| task | metric | records | Nano | target | first version |", "|---|---|---:|---:|---:|---:|"]
    for row in ROWS:
        if row.name in results["tasks"]:
            lines.append(_row_line(row, results["tasks"][row.name], first.get(row.name)))
    return "\n".join(lines) + "\n"


def _row_line(row: Row, found: TaskSummary, before: dict[str, Any] | None) -> str:
    lower = row.metric in ERROR_RATES
    metric = NAMES.get(row.metric, row.metric) + (" ↓" if lower else "")
    wanted = beaten = "–"
    if row.target is not None:
        limit = f"≤ {row.target:.0%}" if lower else f"≥ {row.target:.2f}"
        wanted = f"{limit}, {'met' if is_met(found, row.target) else '**missed**'}"
    if before is not None:
        summary: Any = {**found, **before}
        beaten = _cell(summary) + ("" if is_met(found, before["value"]) else ", **was better**")
    return f"| {row.name} | {metric} | {found['n']} | {_cell(found)} | {wanted} | {beaten} |"


def nano_readings(results: Results, name: str) -> list[Reading]:
    """Of a group, in the order of its records; a refused picture is read as nothing."""
    outputs = [output for output in results["outputs"] if output["task"] == name]
    golds = [str(output["golds"][0]) if "golds" in output else "" for output in outputs]
    return [compare_reading(output["text"], gold) for output, gold in zip(outputs, golds, strict=True)]


def verdict(nano: Sequence[Reading], peers: Mapping[str, Sequence[Reading]]) -> str:
    """Who reads with fewer edits: Nano, a program, or nobody for certain."""
    better, worse = [], []
    for name, readings in peers.items():
        pairs = [[(r.edits, r.length) for r in one] for one in (nano, readings)]
        low, high, _ = paired_bootstrap(*pairs)
        better += [name] if low > 0 else []
        worse += [name] if high < 0 else []
    if worse:
        beaten = f"better than {PEERS[better[0]]}, " if better else ""
        return f"{beaten}**worse than {' and '.join(PEERS[name] for name in worse)}**"
    if len(better) == len(peers):
        return "better than both"
    return f"better than {PEERS[better[0]]} only" if better else "no difference shown"


def peers_table(results: Results, peers: dict[str, Any], folder: Path) -> str:
    """One row a group of pictures: error rate and word F1 of each reader, a dash where Nano was not asked."""
    heads = ["pictures", "number", "Nano", *PEERS.values(), "Nano is"]
    lines = [f"| {' | '.join(heads)} |", f"|---|---:|{'---:|' * (1 + len(PEERS))}---|"]
    for name, theirs in peers["groups"].items():
        read = {peer: [Reading(*counts) for counts in theirs[peer]["readings"]] for peer in PEERS}
        number = len(read["tesseract"])
        cells = [f"{one.cer:.2%}, {one.word_f1:.3f}" for one in map(total, read.values())]
        nano, said = "–", "not asked"
        if name in results["tasks"]:
            readings = nano_readings(results, name)[:number]
            _require_same(results, theirs["sha256"], name, folder, number, len(readings))
            whole = total(readings)
            nano, said = f"{whole.cer:.2%}, {whole.word_f1:.3f}", verdict(readings, read)
        lines.append(f"| {name} | {number} | {nano} | {' | '.join(cells)} | {said} |")
    return "\n".join(lines) + "\n"


def _require_same(results: Results, wanted: str, name: str, folder: Path, number: int, answered: int) -> None:
    """Raises ValueError if Nano was shown other pictures than the programs."""
    paths = {group.name: path_of(folder, group) for group in GROUPS}
    path = paths.get(name) or folder / "samples" / f"{name.removeprefix('samples, ')}.jsonl"
    seen = results["config"].get("groups", {}).get(name) or digest(path, number)
    if answered < number or seen != wanted:
        raise ValueError(f"{path}: not what {PEERS_FILE.name} was made from; run scripts/peers.py {folder}")


def may_be_shown(sample: str) -> bool:
    """Whether the repository may hold a picture, by the id of its record: "sample/00 PACKAGE FILE"."""
    return sample.split()[1] == FREE_SAMPLES


def write_report(results: Results, records: Sequence[Record], folder: Path) -> None:
    """Tables into the pages, the gallery beside them, and both tables to the terminal."""
    first = json.loads((ROOT / "docs/nano/first.json").read_text("utf-8"))
    peers = json.loads(PEERS_FILE.read_text("utf-8"))
    tables = rows_table(results, first), peers_table(results, peers, folder)
    for page in (ROOT / "README.md", ROOT / "docs/nano.md"):
        insert(tables[0], page, "results")
    insert(tables[1], ROOT / "docs/nano.md", "peers")
    if FAULTS_FILE.exists():
        faults = json.loads(FAULTS_FILE.read_text("utf-8"))
        insert(faults_table(Counter(faults["counts"]), faults["prompts"]), ROOT / "docs/nano.md", "faults")
    own = {row.name for row in ROWS}
    shown = [output for output in results["outputs"] if output["task"] in own]
    gallery({**results, "outputs": shown}, records, ROOT / "docs/nano/gallery.png", font_path=FONT)
    samples = [output for output in results["outputs"] if output["task"].startswith("samples, ")]
    free = [output for output in samples if may_be_shown(output["id"])]
    for outputs, path in ((samples, folder / "samples.png"), (free, ROOT / "docs/nano/samples.png")):
        if outputs:
            whole = len(outputs)
            gallery({**results, "outputs": outputs}, records, path, good=whole, bad=whole, font_path=FONT)
    print("\n".join(tables))
