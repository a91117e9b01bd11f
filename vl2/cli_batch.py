"""`vl2 batch`: a file of requests in, a file of results out, as many at a time as the engine takes.

Called again it goes on where it was, whatever ended it.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from vl2.cli import (
    DeviceOption,
    DtypeOption,
    MaxPixels,
    ModelOption,
    OfflineOption,
    QuantizeOption,
    app,
    follow,
    load_model,
    progress_console,
)

_LINE_SEC = 30  # between lines of progress where there is no terminal


@app.command()
def batch(
    requests: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="Requests, in the format of OpenAI's batches.")],
    results: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Results; what it holds is not done again.")],
    model: ModelOption = "nano",
    name: Annotated[str | None, typer.Option(help="What requests call the model; else as --model.")] = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    offline: OfflineOption = False,
    max_tokens: Annotated[int, typer.Option(help="Longest answer of requests that do not say.", min=1)] = 1024,
    max_running: Annotated[int, typer.Option(help="Answers made at a time.", min=1)] = 64,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download http(s) URLs of images, from public hosts.")] = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Answer all requests of a file, each exactly once (needs vl2[serve]).

    A line is {"custom_id": "1", "body": {"messages": [...]}}; images are paths beside the file, or data URLs.
    """
    from vl2.batch.lines import BatchError, Results, read_jobs

    follow(model, device, dtype, offline, max_pixels, quantize, {"max_running": max_running})
    jobs = read_jobs(requests, name or model)
    with Results(results) as written:
        if strange := written.done - {job.custom_id for job in jobs}:
            raise BatchError(f"{results}: has a result of {min(strange)!r}, which {requests} does not have")
        left = [job for job in jobs if job.custom_id not in written.done]
        if left:
            from vl2.batch.work import Batch, work

            loaded = load_model(model, device, dtype, offline, max_pixels, quantize, {"max_running": max_running})
            done = work(Batch(loaded, requests, name or model, max_tokens, fetch), left, written)
            for _ in _shown(done, len(jobs) - len(left), len(jobs)):
                pass
        summary = f"{len(written.done)} results in {results}, {written.num_failed} of them errors"
        progress_console.print(summary, highlight=False, markup=False, soft_wrap=True)
        if written.num_failed:
            raise typer.Exit(2)


class _Rate(ProgressColumn):
    """How many a second, over the last minute or so."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def _shown(done: Iterable[object], completed: int, total: int) -> Iterator[object]:
    """The same, with a bar on a terminal and else a line now and then."""
    columns = (TextColumn("answering"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    seen = progress_console.is_terminal
    start = last = time.monotonic()
    with Progress(*columns, console=progress_console, disable=not seen, speed_estimate_period=60) as progress:
        task = progress.add_task("", total=total, completed=completed)
        for count, one in enumerate(done, 1):
            progress.advance(task)
            yield one
            if not seen and time.monotonic() - last > _LINE_SEC:
                last = time.monotonic()
                rate = count / (last - start)
                left = (total - completed - count) / rate
                print_ = progress_console.print
                print_(f"{completed + count} of {total}, {rate:.1f}/s, about {left:.0f} s left", highlight=False)
