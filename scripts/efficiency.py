"""Operations, bytes and seconds of a question, for presets and dense models of equal total and activated size.

python scripts/efficiency.py [--plot docs/images/efficiency.png] [--configs DIR]
python scripts/efficiency.py --measure tiny,small [--seconds 140]      on a GPU; goes on where it was

presets --dense_like--> dense configurations --cost--> tables, docs/images/efficiency.png, docs/evaluation.md
                                             --vl2.bench, random weights--> bench/efficiency.json --^
                                             --------> DIR/NAME/config.json, for `vl2 bench --random-weights`

The trap: `cost` counts what a kernel must do at least. Time to launch kernels, which a small model spends most of its
steps on, is in the measured part only.
"""

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

from vl2.bench.efficiency import Cost, Question, cost, dense_like
from vl2.config import PRESETS, VL2Config
from vl2.files import write_whole

BATCHES = (1, 64)
KINDS = ("with experts", "dense, activated", "dense, total")
COLOURS = ("#3b6fd4", "#7a8797", "#c9a227")
ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "bench/efficiency.json"
MEASURED_BATCHES = (1, 8, 64)
CONTEXT = 2048  # cached tokens of a sequence: about a ten-tile image and its question
_SIDE = 3  # of the image, in tiles
_REPEATS = 8


def models(name: str) -> dict[str, VL2Config]:
    """A preset and the dense models it is held against."""
    config = PRESETS[name]
    return dict(zip(KINDS, (config, dense_like(config, total=False), dense_like(config, total=True)), strict=True))


def costs() -> dict[str, dict[str, dict[int, Cost]]]:
    """Preset, kind, questions at a time -> cost."""
    return {
        name: {
            kind: {batch: cost(config, Question(batch=batch)) for batch in BATCHES}
            for kind, config in models(name).items()
        }
        for name in PRESETS
    }


def table(found: dict[str, dict[str, dict[int, Cost]]]) -> str:
    """One row a model, in Markdown."""
    heads = ("billion parameters", "TFLOP", "tower, prompt, answer", "GB read, alone", "GB read, of 64 together")
    lines = [f"| model | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, kinds in found.items():
        for kind, by_batch in kinds.items():
            one, many = by_batch[1], by_batch[64]
            parts = (one.vision_flops, one.prompt_flops, one.answer_flops)
            cells = (
                f"{one.parameters / 1e9:.3f}",
                f"{one.flops / 1e12:.3f}",
                " + ".join(f"{part / 1e12:.3f}" for part in parts),
                f"{one.bytes / 1e9:.2f}",
                f"{many.bytes / 1e9:.3f}",
            )
            lines.append(f"| {name}, {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measure(names: list[str], device: str, seconds: float, path: Path) -> None:
    """Time what `path` does not have yet: first each preset and its activated size, last the total sizes.

    Args:
        seconds: no model is begun after these; 0 is no limit.
    """
    import torch

    from vl2.bench import machine, ours, peers, runs
    from vl2.device import pick_device, pick_dtype

    began = time.monotonic()
    place = pick_device(device)
    kind_of_number = pick_dtype("auto", place)
    found = machine.measure(place, kind_of_number)
    content = json.loads(path.read_text("utf-8")) if path.exists() else {"machine": vars(found), "rows": {}}
    if content["machine"]["device"] != found.device:
        raise ValueError(f"{path}: measured on {content['machine']['device']}, this is {found.device}; move it away")
    order = [(name, kind) for kinds in (KINDS[:2], KINDS[2:]) for name in names for kind in kinds]
    for name, kind in order:
        row = f"{name}, {kind}"
        if row in content["rows"] or (seconds and time.monotonic() - began > seconds):
            continue
        config = ours.with_room(models(name)[kind], CONTEXT + 20 * _REPEATS + 1024)
        if not peers.room(place, peers.weight_bytes(config, kind_of_number), row):
            continue
        network = ours.random_model(config, place, kind_of_number)
        bench = runs.Bench(config, place, kind_of_number, found, _REPEATS, network)
        timed = [*bench.measure("decode", [CONTEXT], MEASURED_BATCHES), *bench.measure("ttft", [_SIDE], [1])]
        content["rows"][row] = {
            **{f"step {one.case['batch']}": vars(one.ours) for one in timed[:-1]},
            "ttft": vars(timed[-1].ours),
        }
        with write_whole(path) as staging:
            staging.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"{row}: {time.monotonic() - began:.0f} s since the start", flush=True)
        bench.model = None
        del network, bench
        peers.tidy()
        if place.type == "cuda":
            torch.cuda.empty_cache()


def measured_table(measured: dict[str, Any]) -> str:
    """One row a model: time of a question alone, to its first token, of a step, tokens a second together."""
    steps = [f"step of {batch}, ms" for batch in MEASURED_BATCHES]
    heads = ["a question alone, ms", "its first token, ms", *steps, "tokens a second, 64 together"]
    lines = [f"| model | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name, row in measured["rows"].items():
        first, step = row["ttft"]["median"], row["step 1"]["median"]
        cells = [f"{1e3 * (first + (Question().answer - 1) * step):.0f}", f"{1e3 * first:.1f}"]
        cells += [f"{1e3 * row[f'step {batch}']['median']:.3f}" for batch in MEASURED_BATCHES]
        cells.append(f"{MEASURED_BATCHES[-1] / row[f'step {MEASURED_BATCHES[-1]}']['median']:,.0f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def insert(text: str, name: str) -> None:
    """Put a table between the marks of docs/evaluation.md."""

    page = ROOT / "docs/evaluation.md"
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    before = page.read_text("utf-8")
    after, count = re.subn(f"{start}.*?{end}", lambda _: f"{start}\n{text}{end}", before, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{page}: expected one pair of marks {start} ... {end}, found {count}")
    with write_whole(page) as staging:
        staging.write_text(after, encoding="utf-8")


def plot(found: dict[str, dict[str, dict[int, Cost]]], measured: dict[str, Any] | None, path: Path) -> None:
    """Logarithmic bars: operations, bytes alone, bytes in a batch; below them what was measured, if anything was."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    computed = [
        ("TFLOP a question", lambda by_batch: by_batch[1].flops / 1e12),
        ("GB read a question, alone", lambda by_batch: by_batch[1].bytes / 1e9),
        ("GB read a question, 64 together", lambda by_batch: by_batch[64].bytes / 1e9),
    ]
    figure, axes = pyplot.subplots(
        2 if measured else 1, 3, figsize=(13, 8.4 if measured else 4.4), layout="constrained", squeeze=False
    )
    for ax, (title, value) in zip(axes[0], computed, strict=True):
        _bars(ax, title, {name: [value(kinds[kind]) for kind in KINDS] for name, kinds in found.items()})
    if measured:
        rows = measured["rows"]
        names = [name for name in found if any(row.startswith(f"{name}, ") for row in rows)]
        panels = [("ms to the first token", "ttft"), ("ms a token, alone", "step 1"), ("ms a step of 64", "step 64")]
        for ax, (title, key) in zip(axes[1], panels, strict=True):
            heights = {
                name: [1e3 * rows[row][key]["median"] if (row := f"{name}, {kind}") in rows else None for kind in KINDS]
                for name in names
            }
            _bars(ax, f"{title}, measured", heights)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)

    with write_whole(path) as staging:
        figure.savefig(staging, format="png", dpi=110)


def _bars(ax: Any, title: str, heights: dict[str, list[float | None]]) -> None:
    """A group of bars a preset, one bar a kind; what was not measured is left out."""
    for number, (kind, colour) in enumerate(zip(KINDS, COLOURS, strict=True)):
        shown = [(i + (number - 1) * 0.27, of[number]) for i, of in enumerate(heights.values())]
        places, tops = zip(*[pair for pair in shown if pair[1] is not None] or [(0, None)], strict=True)
        if tops[0] is None:
            continue
        bars = ax.bar(places, tops, 0.25, color=colour, label=kind)
        ax.bar_label(bars, [f"{h:,.0f}" if h >= 99.5 else f"{h:.2g}" for h in tops], fontsize=7, padding=1)
    ax.set_yscale("log")
    ax.set_title(title, fontsize=11)
    ax.set_xticks(range(len(heights)), list(heights))
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(y=0.12)


def write_configs(folder: Path) -> None:
    """config.json of every dense model, in folders named as NAME-dense-activated."""
    for name in PRESETS:
        for kind, config in models(name).items():
            if kind != KINDS[0]:
                path = folder / f"{name}-{kind.replace(', ', '-')}" / "config.json"
                with write_whole(path) as staging:
                    staging.write_text(json.dumps(config.to_dict(), indent=1) + "\n", encoding="utf-8")
                print(path.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="PNG to write")
    parser.add_argument("--configs", type=Path, help="folder for the dense models' config.json")
    parser.add_argument("--measure", default="", help="presets to time, such as tiny,small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=0, help="begin no model later; 0 is no limit")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="results file of --measure")
    parser.add_argument("--page", action="store_true", help="put what was measured into docs/evaluation.md")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure.split(","), arguments.device, arguments.seconds, arguments.measured)
    found = costs()
    measured = json.loads(arguments.measured.read_text("utf-8")) if arguments.measured.exists() else None
    print(table(found))
    if measured:
        print(f"{measured['machine']['device']}, torch {measured['machine']['torch']}")
        print(measured_table(measured))
    if arguments.plot:
        plot(found, measured, arguments.plot)
    if arguments.page and measured:
        insert(f"On one {measured['machine']['device']}:\n\n{measured_table(measured)}", "measured")
    if arguments.configs:
        write_configs(arguments.configs)


if __name__ == "__main__":
    main()
