"""Operations and bytes of an answered question, for every preset and dense models of equal total and activated size.

python scripts/efficiency.py [--plot docs/images/efficiency.png] [--configs DIR]

presets --dense_like--> dense configurations --cost--> a table, docs/images/efficiency.png
                                             --------> DIR/NAME/config.json, for `vl2 bench --random-weights`
"""

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vl2.bench.efficiency import Cost, Question, cost, dense_like
from vl2.config import PRESETS, VL2Config
from vl2.files import write_whole

BATCHES = (1, 64)
KINDS = ("with experts", "dense, activated", "dense, total")
COLOURS = ("#3b6fd4", "#7a8797", "#c9a227")


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


def table(found: dict[str, dict[str, dict[int, Cost]]]) -> Table:
    """One row a model."""
    grid = Table(title="One ten-tile image, 24 tokens of question, 50 of answer")
    grid.add_column("model")
    for name in ("billion parameters", "TFLOP", "tower, prompt, answer", "GB read, alone", "GB read, of 64 together"):
        grid.add_column(name, justify="right")
    for name, kinds in found.items():
        for kind, by_batch in kinds.items():
            one, many = by_batch[1], by_batch[64]
            parts = (one.vision_flops, one.prompt_flops, one.answer_flops)
            grid.add_row(
                f"{name}, {kind}",
                f"{one.parameters / 1e9:.3f}",
                f"{one.flops / 1e12:.3f}",
                " + ".join(f"{part / 1e12:.3f}" for part in parts),
                f"{one.bytes / 1e9:.2f}",
                f"{many.bytes / 1e9:.3f}",
            )
    return grid


def plot(found: dict[str, dict[str, dict[int, Cost]]], path: Path) -> None:
    """Three panels, logarithmic: operations, bytes alone, bytes in a batch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [
        ("TFLOP a question", lambda by_batch: by_batch[1].flops / 1e12),
        ("GB read a question, alone", lambda by_batch: by_batch[1].bytes / 1e9),
        ("GB read a question, 64 together", lambda by_batch: by_batch[64].bytes / 1e9),
    ]
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    for ax, (title, value) in zip(axes, panels, strict=True):
        for number, (kind, colour) in enumerate(zip(KINDS, COLOURS, strict=True)):
            heights = [value(kinds[kind]) for kinds in found.values()]
            places = [i + (number - 1) * 0.27 for i in range(len(found))]
            bars = ax.bar(places, heights, 0.25, color=colour, label=kind if ax is axes[0] else None)
            ax.bar_label(bars, [f"{h:,.0f}" if h >= 99.5 else f"{h:.2g}" for h in heights], fontsize=7, padding=1)
        ax.set_yscale("log")
        ax.set_title(title, fontsize=11)
        ax.set_xticks(range(len(found)), list(found))
        ax.spines[["top", "right"]].set_visible(False)
        ax.margins(y=0.12)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    with write_whole(path) as staging:
        figure.savefig(staging, format="png", dpi=110)


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
    arguments = parser.parse_args()
    found = costs()
    Console(width=130).print(table(found))
    if arguments.plot:
        plot(found, arguments.plot)
    if arguments.configs:
        write_configs(arguments.configs)


if __name__ == "__main__":
    main()
