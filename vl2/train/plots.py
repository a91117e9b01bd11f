"""Pictures of a run, drawn from its metrics.jsonl: loss, learning rate, expert load, scores (needs matplotlib)."""

from pathlib import Path
from typing import Any

from vl2.train.metrics import METRICS_NAME, read_metrics

_IN_ONE_PANEL = 8  # tasks; more curves are hard to tell apart


class PlotError(ValueError):
    """Nothing to draw, or nothing to draw with."""


def draw_plots(run: Path, out: Path | None = None) -> list[Path]:
    """Write loss.png, learning_rate.png, for models with experts expert_load.png, and evaluation.png if there was any.

    Args:
        run: directory of a run.
        out: where the pictures go; the run itself by default.

    Returns: the files written. Raises PlotError.
    """
    lines = read_metrics(run)
    if not lines:
        raise PlotError(f"{run / METRICS_NAME}: no metrics to draw")
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise PlotError("plots need matplotlib: pip install 'vl2[train]'") from error
    out = out or run
    out.mkdir(parents=True, exist_ok=True)
    drawn = {"loss.png": _loss(pyplot, lines), "learning_rate.png": _learning_rate(pyplot, lines)}
    if lines[-1]["expert_load"]:
        drawn["expert_load.png"] = _expert_load(pyplot, lines)
    if any("evaluation" in line for line in lines):
        drawn["evaluation.png"] = _evaluation(pyplot, lines)
    for name, figure in drawn.items():
        figure.savefig(out / name, dpi=120, bbox_inches="tight")
        pyplot.close(figure)
    return [out / name for name in drawn]


def _loss(pyplot: Any, lines: list[dict[str, Any]]) -> Any:
    """A panel for all text and the patches, one for the tasks; of many tasks one for each first word of their names."""
    tasks = sorted({task for line in lines for task in line["task_loss"]})
    panels: dict[str, list[str]] = {"": []}
    for task in tasks:
        panels.setdefault("tasks" if len(tasks) <= _IN_ONE_PANEL else task.partition("-")[0], []).append(task)
    columns = min(len(panels), 5)
    rows = -(-len(panels) // columns)
    size = (4.5 * columns, 4.5) if rows == 1 else (3.2 * columns, 2.1 * rows)
    figure, grid = pyplot.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axes, (title, own) in zip(grid.flat, panels.items(), strict=False):
        curves = {task: [(line["step"], line["task_loss"].get(task)) for line in lines] for task in own}
        if not own:
            curves = {"text": [(line["step"], line["loss"]) for line in lines]}
            curves["patches"] = [(line["step"], line["patch_loss"]) for line in lines]
        for name, curve in curves.items():
            points = [(step, loss) for step, loss in curve if loss is not None]
            if points:
                axes.plot(*zip(*points, strict=True), "--" if name == "patches" else "-", linewidth=0.8, label=name)
        axes.set_title(own[0] if len(own) == 1 else title or "all", fontsize=9)
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        if len(own) != 1:
            axes.legend(fontsize=6)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    figure.supxlabel("step")
    figure.supylabel("cross-entropy")
    figure.set_layout_engine("constrained")
    return figure


def _evaluation(pyplot: Any, lines: list[dict[str, Any]]) -> Any:
    figure, axes = pyplot.subplots(figsize=(9, 4))
    scored = [(line["step"], line["evaluation"]) for line in lines if "evaluation" in line]
    for task in sorted({task for _, scores in scored for task in scores}):
        points = [(step, scores[task]["value"]) for step, scores in scored if task in scores]
        metric = next(scores[task]["metric"] for _, scores in scored if task in scores)
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{task} ({metric})")
    axes.set(xlabel="step", ylabel="score")
    _beside(axes)
    axes.grid(alpha=0.3)
    return figure


def _beside(axes: Any) -> None:
    """A legend to the right of the curves, of which there may be dozens."""
    names = len(axes.get_legend_handles_labels()[1])
    axes.legend(fontsize=7, ncols=1 + names // 26, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def _learning_rate(pyplot: Any, lines: list[dict[str, Any]]) -> Any:
    figure, axes = pyplot.subplots(figsize=(9, 3))
    axes.plot([line["step"] for line in lines], [line["learning_rate"] for line in lines])
    axes.set(xlabel="step", ylabel="learning rate")
    axes.grid(alpha=0.3)
    return figure


def _expert_load(pyplot: Any, lines: list[dict[str, Any]]) -> Any:
    """One heat map per router: experts up, steps to the right, load over its mean as colour."""
    routers = len(lines[-1]["expert_load"])
    figure, rows = pyplot.subplots(routers, 1, figsize=(9, 1.3 * routers + 1), sharex=True, squeeze=False)
    extent = (lines[0]["step"], max(lines[-1]["step"], lines[0]["step"] + 1))
    image = None
    for router, axes in enumerate(rows[:, 0]):
        grid = [list(column) for column in zip(*(line["expert_load"][router] for line in lines), strict=True)]
        image = axes.imshow(grid, aspect="auto", vmin=0, vmax=2, cmap="coolwarm", extent=(*extent, len(grid), 0))
        axes.set_ylabel(f"router {router}", fontsize=7)
    rows[-1, 0].set_xlabel("step")
    figure.colorbar(image, ax=rows[:, 0].tolist(), label="load / mean")
    return figure
