"""Live progress of a run: a bar and a table on a terminal, one line per report anywhere else."""

import sys
from typing import Any, Protocol, Self

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


class Display(Protocol):
    """Where a run reports to."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def say(self, text: str) -> None: ...
    def show(self, record: dict[str, Any], total_steps: int) -> None: ...


def make_display() -> Display:
    return LiveDisplay() if sys.stdout.isatty() else PlainDisplay()


def summary(record: dict[str, Any]) -> dict[str, str]:
    """A line of metrics as short texts, in the order shown."""
    fields = {
        "stage": record["stage"],
        "loss": f"{record['loss']:.4f}",
        "patch": "-" if record["patch_loss"] is None else f"{record['patch_loss']:.4f}",
        "box": "-" if record["box_loss"] is None else f"{record['box_loss']:.4f}",
        "lr": f"{record['learning_rate']:.2e}",
        "grad": f"{record['grad_norm']:.2f}",
        "tokens/s": f"{record['tokens_per_sec']:,.0f}",
        "tiles/s": f"{record['tiles_per_sec']:,.0f}",
        "data wait": f"{record['data_wait']:.0%}",
    }
    if record["load_max_over_mean"] is not None:
        fields["max load"] = f"{record['load_max_over_mean']:.2f}"
    if slowest := record.get("slowest_rank"):
        fields["slowest rank"] = f"{slowest['work_sec']:.2f}"
    for key in ("skipped", "dropped", "dead_experts"):
        if record[key]:
            fields[key.replace("_", " ")] = str(record[key])
    if (seconds := record.get("remaining_sec")) is not None:
        minutes, rest = divmod(round(seconds), 60)
        fields["left"] = f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
    for task, score in record.get("evaluation", {}).items():
        fields[f"{task} {score['metric']}"] = f"{score['value']:.3f}"
    return fields


class PlainDisplay:
    """One line per report; for logs and pipes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, text: str) -> None:
        print(text, flush=True)

    def show(self, record: dict[str, Any], total_steps: int) -> None:
        tasks = " ".join(f"{task}={loss:.3f}" for task, loss in record["task_loss"].items())
        rest = " ".join(f"{key} {text}" for key, text in summary(record).items())
        print(f"step {record['step']}/{total_steps} {rest} | {tasks}", flush=True)


class QuietDisplay:
    """Nothing; for all ranks but the first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def say(self, text: str) -> None:
        return None

    def show(self, record: dict[str, Any], total_steps: int) -> None:
        return None


class LiveDisplay:
    """A bar and the newest numbers, redrawn in place."""

    def __init__(self) -> None:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(TextColumn("training"), *columns)
        self._task = self._progress.add_task("steps", total=None)
        self._live = Live(self._progress, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False)

    def show(self, record: dict[str, Any], total_steps: int) -> None:
        self._progress.update(self._task, total=total_steps, completed=record["step"])
        numbers = Table(box=None, padding=(0, 2))
        shown = summary(record)
        for key in shown:
            numbers.add_column(key, justify="right")
        numbers.add_row(*shown.values())
        tasks = Table(box=None, padding=(0, 2))
        for task in record["task_loss"]:
            tasks.add_column(task, justify="right")
        tasks.add_row(*(f"{loss:.3f}" for loss in record["task_loss"].values()))
        self._live.update(Group(self._progress, numbers, tasks))
