"""The commands that make and check data and train: `vl2 synth`, `vl2 data`, `vl2 train`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vl2.cli import app, errors_in_one_line, progress_console

data_app = typer.Typer(no_args_is_help=True, help="Look at data for training.")
app.add_typer(data_app, name="data")


def _progress() -> Progress:
    text = TextColumn("[progress.description]{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=progress_console, transient=True)


@app.command()
def synth(
    task: Annotated[
        str, typer.Option(help="line, paragraph, page, receipt, form, table, chart, ground, count, scene or caption.")
    ],
    count: Annotated[int, typer.Option(help="Number of images.", min=1)],
    out: Annotated[Path, typer.Option(help="Directory for images, records.jsonl and contact sheet.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same images.", min=0)] = 0,
    split: Annotated[
        str, typer.Option(help="train or test; they share no fonts, words, icon drawings or layouts.")
    ] = "train",
) -> None:
    """Make images with questions and exact answers."""
    with errors_in_one_line():
        from vl2.synth.export import export

        with _progress() as progress:
            bar = progress.add_task(f"{task} ({split})", total=count)
            export(task, count, out, seed=seed, split=split, progress=lambda done: progress.update(bar, completed=done))
        print(f"{count} images -> {out}/records.jsonl, {out}/contact_sheet.png")


@data_app.callback()
def data() -> None:
    """Look at data for training."""  # a callback keeps `check` a command of its own


@data_app.command()
def check(
    files: Annotated[list[str], typer.Argument(help="Files or globs: JSONL, JSON, Parquet, WebDataset .tar.")],
) -> None:
    """Check every record and every image's header; exit code 2 if any is bad."""
    with errors_in_one_line():
        from vl2.data.conversations import ConversationFile, check_file, find_files

        bad = 0
        for path in [path for pattern in files for path in find_files(pattern)]:
            file = ConversationFile(path)
            with _progress() as progress:
                bar = progress.add_task(path.name, total=len(file))
                report, _ = check_file(file, lambda done, _, p=progress, b=bar: p.update(b, completed=done))
            bad += report.bad
            print("\n  ".join(report.lines()))
        if bad:
            raise typer.Exit(2)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="debug, nano, tiny-finetune, or the path of a recipe.toml.")],
    out: Annotated[Path, typer.Option(help="Directory of the run.")] = Path("runs/latest"),
    resume: Annotated[Path | None, typer.Option(help="A checkpoint, or a run whose newest one is taken.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, e.g. stages.0.steps=100; repeatable.")
    ] = None,
    stop_at: Annotated[int | None, typer.Option(help="Stop after this step of the whole run.")] = None,
) -> None:
    """Train as a recipe says; Ctrl-C stops with a checkpoint."""
    with errors_in_one_line():
        from vl2.data.mixture import SynthSource
        from vl2.synth.patches import patch_targets
        from vl2.synth.registry import TASKS, generate
        from vl2.synth.sample import NUM_LABELS
        from vl2.train.loop import train as run

        source = SynthSource(generate, patch_targets, tuple(TASKS), NUM_LABELS)
        run(recipe, out, resume=resume, overrides=override or (), synth=source, stop_at=stop_at)
