"""The commands that evaluate: `vl2 eval RECORDS`, `vl2 eval BENCHMARK --data FILE`, `vl2 eval compare A B`."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperGroup

from vl2.cli import (
    DeviceOption,
    DtypeOption,
    ModelOption,
    OfflineOption,
    QuantizeOption,
    app,
    errors_in_one_line,
    follow,
    load_model,
    progress_console,
)

if TYPE_CHECKING:
    from vl2.answerer import ModelAnswerer
    from vl2.eval.benchmarks import Benchmark
    from vl2.eval.items import Item

_LOG_EVERY_SEC = 30.0


class _ScoreByDefault(TyperGroup):
    """`vl2 eval X` scores X unless X is the name of a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["score", *args]
        return super().parse_args(ctx, args)


eval_app = typer.Typer(
    cls=_ScoreByDefault,
    no_args_is_help=True,
    help="Score a model on a benchmark or on records; compare two runs. `vl2 eval X` means `vl2 eval score X`.",
)
app.add_typer(eval_app, name="eval")


class _Rate(ProgressColumn):
    """Answers a minute, while they come."""

    def render(self, task: Any) -> Text:
        return Text(f"{60 * task.speed:.1f}/min" if task.speed else "")


@contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left; where nobody watches, a line every half minute."""
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    seen = progress_console.is_terminal
    began, first, said = time.monotonic(), [-1], [time.monotonic()]
    with Progress(*columns, console=progress_console, transient=True, disable=not seen) as progress:
        bar = progress.add_task(name, total=total)

        def report(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)
            first[0] = done if first[0] < 0 else first[0]
            now = time.monotonic()
            fresh = done - first[0]  # a run that goes on did not answer the others just now
            if not seen and fresh and (now - said[0] >= _LOG_EVERY_SEC or done == total):
                said[0] = now
                left = (total - done) * (now - began) / fresh
                rate = 60 * fresh / (now - began)
                line = f"{name}: {done} of {total}, {rate:.1f} a minute, {left / 60:.1f} minutes left"
                progress_console.print(line, highlight=False)

        yield report


@eval_app.command()
def score(
    what: Annotated[str, typer.Argument(metavar="BENCHMARK|RECORDS", help="A benchmark's name, or a records.jsonl.")],
    out: Annotated[Path, typer.Option(help="Directory of the run, which goes on if it is there; or a FILE.json.")],
    data: Annotated[Path | None, typer.Option(help="The benchmark's .tsv, .parquet, .jsonl, or a folder.")] = None,
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    offline: OfflineOption = False,
    batch_size: Annotated[int, typer.Option(help="Questions answered together.", min=1)] = 8,
    max_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.", min=1)] = 512,
    limit: Annotated[int, typer.Option(help="Only the first N questions; 0 for all.", min=0)] = 0,
    split: Annotated[str, typer.Option(help="Of --data, only rows whose field `split` is this.")] = "",
    gallery: Annotated[Path | None, typer.Option(help="With FILE.json: a picture of good and bad cases.")] = None,
) -> None:
    """Score a model (or --model tesseract) and print a table with confidence intervals.

    Benchmarks: docvqa, infovqa, chartqa, textvqa, ocrbench, mmstar, ai2d, realworldqa, mmtbench, mmmu, mme, mmbench,
    mathvista, refcoco. docs/evaluation.md says where their files come from.
    """
    with errors_in_one_line():
        options = {"device": device, "dtype": dtype, "quantize": quantize, "offline": offline}
        options |= {"batch_size": batch_size, "max_tokens": max_tokens, "limit": limit, "split": split}
        if model != "tesseract":
            follow(model, device, dtype, offline, None, quantize)
        if out.suffix == ".json" and data is None:
            _score_file(Path(what), out, model, gallery, **options)
        elif gallery is not None:
            raise ValueError("--gallery: goes with --out FILE.json; a directory has its pictures in report.html")
        elif model == "tesseract":
            raise ValueError("--model tesseract: reads records only; give --out FILE.json and no --data")
        else:
            _score_run(what, data, out, model, **options)


def _score_run(what: str, data: Path | None, out: Path, model: str, **options: Any) -> None:
    """Into a directory: resumable, with a report."""
    from vl2.eval.page import write_report
    from vl2.eval.report import table
    from vl2.eval.run import run

    benchmark, items, digest = _questions(what, data, options["limit"], options["split"])
    settings = {
        "benchmark": benchmark.name,
        "model": model,
        "data": str(data or what),
        "data_sha256": digest,
        "max_tiles": benchmark.max_tiles,
        **{key: options[key] for key in ("device", "dtype", "quantize", "max_tokens", "limit", "split")},
        **_versions(),
    }

    def answerer() -> "ModelAnswerer":
        from vl2.answerer import ModelAnswerer

        loaded = load_model(model, options["device"], options["dtype"], options["offline"], None, options["quantize"])
        return ModelAnswerer(loaded, options["max_tokens"], benchmark.max_tiles if data else None)

    with _progress(benchmark.name, len(items)) as report:
        results = run(
            benchmark, items, answerer, out, settings=settings, batch_size=options["batch_size"], progress=report
        )
    Console().print(table(results))
    write_report(results, items, out / "report.html", benchmark.title)
    print(f"answers, results.json, report.html: {out}")


def _questions(what: str, data: Path | None, limit: int, split: str) -> "tuple[Benchmark, list[Item], str]":
    """The benchmark, its questions, and the digest of what they were read from."""
    from vl2.eval.benchmarks import BENCHMARKS, OWN_TASKS, find_benchmark, read_items, read_own_tasks
    from vl2.eval.rows import Rows

    if data is None:
        if what in BENCHMARKS:
            raise ValueError(f"{what}: --data is missing; give the benchmark's file (docs/evaluation.md)")
        items, digest = read_own_tasks(Path(what)), Rows(Path(what)).digest()
        return OWN_TASKS, items[: limit or None], digest
    benchmark, rows = find_benchmark(what), Rows(data)
    with progress_console.status(f"reading {data}"):
        return benchmark, read_items(benchmark, rows, split)[: limit or None], rows.digest()


def _versions() -> dict[str, str]:
    """What answered: the version, and the commit if this is a checkout."""
    import torch

    import vl2

    found = {"vl2": vl2.__version__, "torch": torch.__version__}
    package = Path(__file__).parent
    if not (package.parent / ".git").exists():  # installed, perhaps inside somebody's own repository
        return found
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        git = subprocess.run(command, cwd=package, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return found
    return {**found, "commit": git.stdout.strip()}


def _score_file(data: Path, out: Path, model: str, gallery: Path | None, **options: Any) -> None:
    """Records of the project's own tasks into one file."""
    from vl2.data.records import read_records
    from vl2.eval.report import gallery as draw_gallery
    from vl2.eval.report import table
    from vl2.eval.runner import evaluate, save_results

    records = list(read_records(data))[: options["limit"] or None]
    settings = {"model": model, "data": str(data)} | {key: options[key] for key in ("device", "dtype", "max_tokens")}
    settings |= {"quantize": options["quantize"]} if options["quantize"] else {}
    if model == "tesseract":
        from vl2.eval.tesseract import TesseractAnswerer

        answerer = TesseractAnswerer()
    else:
        from vl2.answerer import ModelAnswerer

        loaded = load_model(model, options["device"], options["dtype"], options["offline"], None, options["quantize"])
        answerer = ModelAnswerer(loaded, options["max_tokens"])
    with _progress("eval", len(records)) as report:
        results = evaluate(
            records, answerer, lambda _, done, total: report(done, total), options["batch_size"], config=settings
        )
    save_results(results, out)
    Console().print(table(results))
    print(f"every output: {out}")
    if gallery:
        draw_gallery(results, records, gallery)
        print(f"gallery: {gallery}")


@eval_app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A run's directory or its results.json.")],
    second: Annotated[Path, typer.Argument(help="The run to hold against it, on the same questions.")],
    out: Annotated[Path | None, typer.Option(help="Write the comparison as a page, .html.")] = None,
    show: Annotated[int, typer.Option(help="Print so many of the questions whose score changed.", min=0)] = 10,
) -> None:
    """Whether two runs differ: paired tests by task, and the questions whose score changed."""
    with errors_in_one_line():
        from vl2.eval.compare import compare_runs, comparison_table, find_results
        from vl2.eval.page import write_comparison

        comparison = compare_runs(find_results(first), find_results(second))
        console = Console()
        console.print(comparison_table(comparison, str(first), str(second)))
        for change in comparison.changes[:show]:
            line = f"{change.id}: {change.first_score:.2f} {change.first_text!r} -> {change.second_score:.2f} "
            console.print(line + repr(change.second_text), highlight=False, markup=False, soft_wrap=True)
        if len(comparison.changes) > show:
            print(f"... and {len(comparison.changes) - show} more changed")
        if out:
            write_comparison(comparison, str(first), str(second), out)
            print(f"page: {out}")
