"""Losses of the short runs of scripts/nano_trials.toml, as docs/nano/trials.jsonl keeps them.

    python scripts/plot_nano_trials.py --collect NAME=RUN_DIR ...    RUN_DIR/metrics.jsonl -> docs/nano/trials.jsonl
    python scripts/plot_nano_trials.py                               -> docs/nano/trials.png, and a table

The table has means over the last hundred steps. All trials saw the same batches, but for smaller tiles, whose batches
hold other samples.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from vl2.files import write_whole

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "nano"
TRIALS = FOLDER / "trials.jsonl"
LAST_STEPS = 100
FIRST_SHOWN = 60
_KEPT = ("step", "loss", "task_loss", "patch_loss", "box_loss")
COLUMNS = {"all text": ("loss",), "patches": ("patch_loss",), "boxes of patches": ("box_loss",)} | {
    task: ("task_loss", task) for task in ("line", "receipt", "table", "chart", "ground", "count", "line-zh")
}


def collect(runs: list[str]) -> None:
    """Keep what is plotted of every run's metrics, beside trials of other names."""
    named = dict(run.split("=", 1) for run in runs)
    kept = [entry for entry in read_trials() if entry["trial"] not in named]
    for name, folder in named.items():
        for line in (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            kept.append({"trial": name} | {key: entry[key] for key in _KEPT})
    with write_whole(TRIALS) as staging:
        staging.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")


def read_trials() -> list[dict]:
    """The lines of the file, or none."""
    text = TRIALS.read_text(encoding="utf-8") if TRIALS.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def value_of(entry: dict, column: str) -> float:
    """One figure of a line of metrics."""
    for key in COLUMNS[column]:
        entry = entry[key]
    return float(entry)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", nargs="+", default=[], metavar="NAME=RUN_DIR")
    if runs := parser.parse_args().collect:
        collect(runs)
    trials: dict[str, list[dict]] = {}
    for entry in read_trials():
        trials.setdefault(entry["trial"], []).append(entry)
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    print(f"| trial | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    for number, (name, entries) in enumerate(trials.items()):
        shown = [entry for entry in entries if entry["step"] >= FIRST_SHOWN]
        for axes, column in zip(panels, ("all text", "patches"), strict=True):
            points = [(entry["step"], value_of(entry, column)) for entry in shown]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2, color=pyplot.get_cmap("tab20")(number))
            axes.set(xlabel="step", ylabel=f"loss, {column}")
        last = [entry for entry in entries if entry["step"] > entries[-1]["step"] - LAST_STEPS]
        means = [sum(value_of(entry, column) for entry in last) / len(last) for column in COLUMNS]
        print(f"| {name} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    panels[0].legend(fontsize=8)
    for axes in panels:
        axes.grid(alpha=0.3, which="both")
    figure.savefig(FOLDER / "trials.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
