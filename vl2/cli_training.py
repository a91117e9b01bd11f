"""The commands that make and check data and train: `vl2 synth`, `vl2 data`, `vl2 train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vl2.cli import OfflineOption, app, errors_in_one_line, loading, progress_console

if TYPE_CHECKING:
    from vl2.data.image_references import Fetch


data_app = typer.Typer(no_args_is_help=True, help="Look at data for training.")
app.add_typer(data_app, name="data")


def _progress() -> Progress:
    text = TextColumn("[progress.description]{task.description}")
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=progress_console, transient=True)


@app.command()
def synth(
    task: Annotated[
        str,
        typer.Option(
            help="A task such as receipt, page-zh or form-photo; a wrong name lists all. Without --out also a recipe, "
            "for the mixture of its last stage."
        ),
    ],
    count: Annotated[int, typer.Option(help="Number of images.", min=1)],
    out: Annotated[
        Path | None,
        typer.Option(help="Directory for images, records.jsonl and contact sheet; without it, only the speed."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same images.", min=0)] = 0,
    split: Annotated[
        str, typer.Option(help="train or test; they share no fonts, words, icon drawings or layouts.")
    ] = "train",
    penmanship: Annotated[
        bool, typer.Option("--penmanship", help="Draw some text in other hands, as stages of training may; train only.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that draw when the speed is measured.", min=1)] = 1,
) -> None:
    """Make images with questions and exact answers, or measure how fast they are drawn."""
    with errors_in_one_line():
        from vl2.synth.export import export
        from vl2.synth.rate import images_per_second

        if out is None:
            from vl2.train.config import read_recipe, shipped_recipes

            tasks: str | dict[str, float] = task
            if task.endswith(".toml") or task in shipped_recipes():
                last = read_recipe(task).stages[-1]
                tasks, penmanship = dict(last.mixture), last.penmanship
            rate = images_per_second(tasks, count, workers, seed=seed, split=split, penmanship=penmanship)
            print(f"{task}: {rate.clock:.1f} images a second, {rate.core:.1f} a second of one core's time")
            return
        with _progress() as progress:
            bar = progress.add_task(f"{task} ({split})", total=count)
            export(
                task, count, out, seed=seed, split=split, penmanship=penmanship,
                progress=lambda done: progress.update(bar, completed=done),
            )  # fmt: skip
        print(f"{count} images -> {out}/records.jsonl, {out}/contact_sheet.png")


@data_app.callback()
def data() -> None:
    """Look at data for training."""  # a callback keeps `check` a command of its own


@data_app.command()
def check(
    files: Annotated[
        list[str], typer.Argument(help="Files or globs: JSONL, JSON, Parquet, WebDataset .tar; or datasets:NAME.")
    ],
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download images that are named by URL, and keep them.")
    ] = False,
) -> None:
    """Check every record and every image's header; exit code 2 if any is bad."""
    with errors_in_one_line():
        from vl2.data.conversations import ConversationFile, check_file, find_files

        bad, downloads = 0, _downloads() if fetch else None
        for path in [path for pattern in files for path in find_files(pattern)]:
            file = ConversationFile(path, downloads)
            with _progress() as progress:
                bar = progress.add_task(path.name, total=len(file))
                report, _ = check_file(file, lambda done, _, p=progress, b=bar: p.update(b, completed=done))
            bad += report.bad
            print("\n  ".join(report.lines()))
        if bad:
            raise typer.Exit(2)


def _fetch(url: str, field: str) -> Path:
    """By name, so that it travels to worker processes, and made when it is needed, since few records have URLs."""
    return _downloads()(url, field)


def _downloads() -> "Fetch":
    try:
        from vl2.downloads import Downloads
    except ImportError as error:
        raise ValueError("downloading images needs urllib3: pip install 'vl2[serve]'") from error
    return Downloads()


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="finetune, lora, debug, nano, tiny, small, base, or the path of a recipe.toml.")
    ],
    data: Annotated[
        str | None, typer.Option(help="Your records for finetune and lora: a file or glob (--set records.mine=...).")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="What to start from: a name, directory or hub id.")
    ] = None,
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
        from vl2.early_evaluation import EarlyEvaluation
        from vl2.synth.patches import patch_targets
        from vl2.synth.registry import TASKS, generate
        from vl2.synth.sample import NUM_LABELS
        from vl2.train.loop import train as run

        source = SynthSource(generate, patch_targets, tuple(TASKS), NUM_LABELS)
        named = {"records.mine": data, "model.weights": model}
        changes = [*(f"{key}={value}" for key, value in named.items() if value is not None), *(override or ())]
        run(
            recipe, out, resume=resume, overrides=changes, synth=source, stop_at=stop_at, fetch=_fetch,
            evaluator=EarlyEvaluation(),
        )  # fmt: skip


@app.command()
def merge(
    adapter: Annotated[Path, typer.Argument(help="Directory of a LoRA adapter in PEFT's format.")],
    out: Annotated[Path, typer.Option(help="Directory to write; must not exist yet.")],
    base: Annotated[
        str, typer.Option(help="What it belongs to, if not what it says: a name, directory or hub id.")
    ] = "",
    offline: OfflineOption = False,
) -> None:
    """Add an adapter to the weights it belongs to; writes a model in the official layout."""
    with errors_in_one_line():
        from vl2.hub import find_model
        from vl2.model.lora import adapter_base, merge_checkpoint

        source = find_model(base or adapter_base(adapter), local_files_only=offline)
        with loading(f"merging into {source}") as report:
            merge_checkpoint(source, adapter, out, report)
        print(f"{out}: {source} with {adapter}")
