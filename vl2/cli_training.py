"""The commands that make data, train and evaluate: `vl2 synth`, `vl2 train`, `vl2 eval`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vl2.cli import DeviceOption, DtypeOption, ModelOption, OfflineOption, app, errors_in_one_line, load_model, progress_console

def _progress() -> Progress:
    text = TextColumn("[progress.description]{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=progress_console, transient=True)


@app.command()
def synth(
    task: Annotated[str, typer.Option(help="line, paragraph, receipt, form, table, chart, ground, count, scene or caption.")],
    count: Annotated[int, typer.Option(help="Number of images.", min=1)],
    out: Annotated[Path, typer.Option(help="Directory for images, records.jsonl and contact sheet.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same images.", min=0)] = 0,
    split: Annotated[str, typer.Option(help="train or test; they share no fonts, words, icon drawings or layouts.")] = "train",
) -> None:
    """Make images with questions and exact answers."""
    with errors_in_one_line():
        from vl2.synth.export import export

        with _progress() as progress:
            bar = progress.add_task(f"{task} ({split})", total=count)
            export(task, count, out, seed=seed, split=split, progress=lambda done: progress.update(bar, completed=done))
        print(f"{count} images -> {out}/records.jsonl, {out}/contact_sheet.png")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="debug, nano, tiny-finetune, or the path of a recipe.toml.")],
    out: Annotated[Path, typer.Option(help="Directory of the run.")] = Path("runs/latest"),
    resume: Annotated[Path | None, typer.Option(help="A checkpoint, or a run whose newest one is taken.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="key=value, e.g. stages.0.steps=100; repeatable.")] = None,
    stop_at: Annotated[int | None, typer.Option(help="Stop after this step of the whole run.")] = None,
) -> None:
    """Train as a recipe says; Ctrl-C stops with a checkpoint."""
    with errors_in_one_line():
        from vl2.data.mixture import SynthSource
        from vl2.synth.patches import patch_labels
        from vl2.synth.registry import TASKS, generate
        from vl2.synth.sample import NUM_LABELS
        from vl2.train.loop import train as run

        source = SynthSource(generate=generate, patch_labels=patch_labels, tasks=tuple(TASKS), num_labels=NUM_LABELS)
        run(recipe, out, resume=resume, overrides=override or (), synth=source, stop_at=stop_at)


@app.command("eval")
def evaluate(
    data: Annotated[Path, typer.Argument(help="records.jsonl: id, images, question, answers, metric, task.")],
    out: Annotated[Path, typer.Option(help="Results with every output, as JSON.")],
    model: ModelOption = "nano", device: DeviceOption = "auto", dtype: DtypeOption = "auto", offline: OfflineOption = False,
    batch_size: Annotated[int, typer.Option(help="Records answered together.", min=1)] = 8,
    max_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.", min=1)] = 512,
    limit: Annotated[int, typer.Option(help="Only the first N records; 0 for all.", min=0)] = 0,
    gallery: Annotated[Path | None, typer.Option(help="Write a picture of good and bad cases.")] = None,
) -> None:  # fmt: skip
    """Score a model on records; prints a table by task with confidence intervals."""
    with errors_in_one_line():
        from vl2.eval.command import run_evaluation

        answerer = model if model == "tesseract" else load_model(model, device, dtype, offline)
        with _progress() as progress:
            run_evaluation(data, answerer, out, progress, batch_size, max_tokens, limit, gallery)
