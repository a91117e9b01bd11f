"""The command that measures: `vl2 bench`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from vl2.cli import (
    DeviceOption,
    DtypeOption,
    ModelOption,
    OfflineOption,
    QuantizeOption,
    app,
    errors_in_one_line,
    progress_console,
)

if TYPE_CHECKING:
    from vl2.bench.runs import Row
    from vl2.model.vl2 import VL2

_SIZES = {"decode": "512", "prefill": "441,2017", "vision": "1,10", "ttft": "1,3", "serve": "32"}


@app.command()
def bench(
    kind: Annotated[str, typer.Argument(help="decode, prefill, vision, ttft or serve.")],
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    offline: OfflineOption = False,
    size: Annotated[
        str,
        typer.Option(help="decode: cached tokens; prefill: tokens; vision: tiles; ttft: n for n x n; serve: requests."),
    ] = "",
    batch: Annotated[str, typer.Option(help="decode, serve: sequences at a time, for example 1,8,64.")] = "1",
    prompt: Annotated[int, typer.Option(help="serve: tokens of a prompt.", min=2)] = 1024,
    answer: Annotated[int, typer.Option(help="serve: tokens of an answer.", min=1)] = 512,
    repeats: Annotated[int, typer.Option(help="Of each case.", min=2)] = 20,
    layers: Annotated[int | None, typer.Option(help="Only so many decoder layers, with random weights.", min=1)] = None,
    peers: Annotated[bool, typer.Option(help="Measure the plain loop and transformers, too.")] = True,
    random_weights: Annotated[bool, typer.Option(help="A preset's shape with random weights.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write a results file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure ours, peers and the floor of this machine side by side."""
    with errors_in_one_line():
        from vl2.bench import runs
        from vl2.bench.machine import measure

        if kind not in runs.KINDS:
            raise runs.BenchError(f"bench {kind!r}: must be one of {', '.join(runs.KINDS)}")
        sizes, batches = _numbers(size or _SIZES[kind], "--size"), _numbers(batch, "--batch")
        room = max(*sizes, 2 * (prompt + answer)) + 512
        network = _network(model, device, dtype, offline, room, layers, random_weights, quantize)
        with progress_console.status("measuring the machine"):
            machine = measure(network.device, network.dtype)
        bench = runs.Bench(network, machine, repeats, peers, prompt, answer)
        rows: list[Row] = []
        model = f"{model} {quantize}" if quantize else model
        with progress_console.status(f"{kind} of {model}") as status:
            for row in bench.cases(kind, sizes, batches):
                rows.append(row)
                status.update(f"{kind} of {model}: {len(rows)} cases measured")
        content = runs.results(rows, bench, kind, model)
        if out:
            runs.save(content, out)
        if as_json:
            print(json.dumps(content))
        else:
            Console().print(_table(f"{kind} of {model}", rows))
            print(
                f"{machine.device}, {machine.threads} threads, {machine.dtype}: reads "
                f"{machine.bytes_per_sec / 1e9:.1f} GB/s, multiplies {machine.flops_per_sec / 1e9:,.0f} GFLOP/s; "
                f"torch {machine.torch}"
            )


def _numbers(text: str, option: str) -> list[int]:
    from vl2.bench.runs import BenchError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise BenchError(f"{option} {text!r}: expected positive numbers, for example 1,8,64") from None
    if min(numbers) < 1:
        raise BenchError(f"{option} {text!r}: numbers must be positive")
    return numbers


def _network(
    model: str, device: str, dtype: str, offline: bool, room: int, layers: int | None, random_weights: bool,
    quantize: str | None,
) -> "VL2":  # fmt: skip
    """The model's network: its weights, or random ones of a preset's shape."""
    from vl2.bench.ours import random_model, with_room
    from vl2.bench.runs import BenchError
    from vl2.cli import load_model
    from vl2.config import PRESETS
    from vl2.device import pick_device, pick_dtype
    from vl2.model.quantized_experts import quantize_model

    if not random_weights and layers is None:
        return load_model(model, device, dtype, offline, quantize=quantize).network
    if model not in PRESETS:
        raise BenchError(f"--model {model!r}: random weights need a preset: {', '.join(PRESETS)}")
    place = pick_device(device)
    network = random_model(with_room(PRESETS[model], room, layers), place, pick_dtype(dtype, place))
    return quantize_model(network, quantize) if quantize else network


def _table(title: str, rows: "list[Row]") -> Table:
    table = Table(title=title)
    names = list(dict.fromkeys(name for row in rows for name in row.peers))
    for heading in ("case", "ours ms", "a second", "floor ms", "of floor", *(f"{name} ms" for name in names)):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for row in rows:
        table.add_row(
            ", ".join(f"{key} {value}" for key, value in row.case.items()),
            f"{row.ours.median * 1e3:.2f} ({row.ours.low * 1e3:.2f} - {row.ours.p90 * 1e3:.2f})",
            f"{row.units / row.ours.median:,.1f}",
            f"{row.floor * 1e3:.2f}",
            f"{row.of_floor:.0%}",
            *(f"{row.peers[name].median * 1e3:.2f}" if name in row.peers else "-" for name in names),
        )
    return table
