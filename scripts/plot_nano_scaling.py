"""Errors of Nano's versions over what they were trained on, as docs/nano/scaling.json lists them.

    python scripts/plot_nano_scaling.py    -> docs/nano/scaling.png, and the slopes in the terminal

One minus the metric (for lines the character error rate) on the project's own test split, both axes logarithmic. A
slope of -1 means that twice the training halves the errors. The dashed trend is that of all tasks: the line nearest to
the logarithms of the errors' geometric mean.

The trap: versions differ in what they were trained on, not only in how much; a trend of eight tasks is not a law.
"""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "nano"


def trend(tiles: Sequence[float] | np.ndarray, errors: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Slope and factor of the power of `tiles` nearest to the geometric means of `errors`."""
    means = [np.log(of).mean() for of in errors]
    slope, offset = np.polyfit(np.log(tiles), means, 1)
    return float(slope), math.exp(offset)


def main() -> None:
    versions = json.loads((FOLDER / "scaling.json").read_text(encoding="utf-8"))["versions"]
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for task in versions[0]["error"]:
        points = [(version["tiles"] / 1e6, version["error"][task]) for version in versions if task in version["error"]]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, linewidth=1.2, label=task)
        slopes = [math.log(e1 / e0) / math.log(t1 / t0) for (t0, e0), (t1, e1) in pairwise(points)]
        print(f"{task:10}", *(f"{error:7.4f}" for _, error in points), " slopes", *(f"{s:.2f}" for s in slopes))
    tiles = np.array([version["tiles"] / 1e6 for version in versions])
    slope, scale = trend(tiles, [list(version["error"].values()) for version in versions])
    axes.plot(tiles, scale * tiles**slope, "k--", linewidth=1, label=f"trend, slope {slope:.2f}")
    print(f"trend of the geometric mean: slope {slope:.2f}")
    axes.set(xlabel="tiles seen in training, millions", ylabel="1 - metric", xscale="log", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(FOLDER / "scaling.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
