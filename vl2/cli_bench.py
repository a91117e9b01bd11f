"""The command that measures: `vl2 bench`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
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
    from vl2.bench.runs import Bench, Row
    from vl2.bench.training import Training
    from vl2.config import VL2Config

_SIZES = {
    "decode": "512", "prefill": "441,2017", "vision": "1,10", "ttft": "1,3", "serve": "32", "moe": "1,8,64,256",
    "attention": "2048", "train": "8192",
}  # fmt: skip


@app.command()
def bench(
    kind: Annotated[str, typer.Argument(help="decode, prefill, vision, ttft, serve, moe, attention or train.")],
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    offline: OfflineOption = False,
    size: Annotated[
        str,
        typer.Option(
            "--size",
            "--context",
            help="decode, attention: cached tokens; prefill, moe, train: tokens; vision: tiles; ttft: n for n x n; "
            "serve: requests.",
        ),
    ] = "",
    batch: Annotated[
        str, typer.Option(help="decode, serve, attention: sequences at a time, for example 1,8,64.")
    ] = "1",
    prompt: Annotated[int, typer.Option(help="serve: tokens of a prompt.", min=2)] = 1024,
    answer: Annotated[int, typer.Option(help="serve: tokens of an answer.", min=1)] = 512,
    sequence: Annotated[int, typer.Option(help="train: tokens of a packed sequence.", min=2)] = 4096,
    tiles: Annotated[int, typer.Option(help="train: tiles that the tower learns from, apart.", min=0)] = 8,
    moments: Annotated[str, typer.Option(help="train: of AdamW, float32 or int8.")] = "float32",
    recompute: Annotated[str, typer.Option(help="train: none, layers or selective, as in a recipe.")] = "none",
    lora: Annotated[
        int, typer.Option(help="train: rank of an adapter that learns in place of the weights.", min=0)
    ] = 0,
    shard: Annotated[
        str, typer.Option(help="train: ranks of torchrun that divide the weights; one way after the other: 1,2,2.")
    ] = "1",
    experts: Annotated[
        str, typer.Option(help="train: of these, ranks that divide the experts, as many numbers.")
    ] = "1",
    beside: Annotated[Path | None, typer.Option(help="train: results of one GPU to compare each rank with.")] = None,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="train: on CUDA, compile layers.")] = True,
    repeats: Annotated[int, typer.Option(help="Of each case.", min=2)] = 20,
    layers: Annotated[int | None, typer.Option(help="Only so many decoder layers, with random weights.", min=1)] = None,
    peers: Annotated[bool, typer.Option(help="decode, prefill, moe, train: measure transformers, too.")] = True,
    plain: Annotated[
        bool | None, typer.Option(help="decode: measure the plain loop, too; as a rule only on a CPU with peers.")
    ] = None,
    random_weights: Annotated[bool, typer.Option(help="In the shape of a preset or a config.json.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write a results file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure ours, peers and the floor of this machine side by side.

    Several processes of torchrun measure ours with random weights that they hold together; the floor is one device's.
    """
    with errors_in_one_line():
        from vl2.bench import runs
        from vl2.bench.training import Training
        from vl2.kernels.team import local_rank

        how = Training(sequence, tiles, moments, recompute, lora, compiled)
        if kind not in runs.KINDS:
            raise runs.BenchError(f"bench {kind!r}: must be one of {', '.join(runs.KINDS)}")
        sizes, batches = _numbers(size or _SIZES[kind], "--size"), _numbers(batch, "--batch")
        room = max(*sizes, 2 * (prompt + answer)) + 20 * repeats + 1024
        if kind == "train":
            if quantize:
                raise runs.BenchError(f"--quantize {quantize!r}: quantised weights cannot be trained")
            ways = _ways(how, shard, experts)
            _train(model, device, dtype, layers, room, sizes, ways, repeats, peers, beside, out, as_json)
            return
        together = local_rank() is not None
        if together and not (random_weights and kind in runs.DIVIDED_KINDS):
            names = ", ".join(runs.DIVIDED_KINDS)
            raise runs.BenchError(f"bench {kind!r}: several processes measure {names}, with --random-weights")
        if kind in runs.LAYER_KINDS:
            if quantize:
                raise runs.BenchError(f"--quantize {quantize!r}: {kind} measures layers that are not quantised")
            bench = _without_model(model, device, dtype, repeats)
        else:
            bench = _with_model(model, device, dtype, offline, room, layers, random_weights, repeats, quantize)
            model = f"{model} {quantize}" if quantize else model
            bench.prompt, bench.answer = prompt, answer
            peers = peers and not together
            bench.plain = peers and bench.device.type == "cpu" if plain is None else plain
        rows: list[Row] = []
        _measure(rows, bench, kind, model, sizes, batches, peers, out)
        if bench.model and bench.model.team:
            bench.model.team.leave()
        if bench.ranks.is_first:
            _show(rows, bench, kind, model, as_json)


def _ways(how: "Training", shard: str, experts: str) -> "list[Training]":
    """To divide the model, one after the other."""
    from vl2.bench.runs import BenchError
    from vl2.train.config import ParallelSection

    shards, parts = _numbers(shard, "--shard"), _numbers(experts, "--experts")
    parts = parts * len(shards) if len(parts) == 1 else parts
    if len(shards) != len(parts):
        raise BenchError(f"--experts {experts!r}: expected {len(shards)} numbers, as many as --shard has")
    return [replace(how, parallel=ParallelSection(*pair)) for pair in zip(shards, parts, strict=True)]


def _train(
    model: str, device: str, dtype: str, layers: int | None, room: int, sizes: list[int], ways: "list[Training]",
    repeats: int, peers: bool, beside: Path | None, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """On this process, or on all that torchrun started, of which the first shows what was measured."""
    import torch

    from vl2.bench import runs
    from vl2.bench.machine import measure
    from vl2.bench.peers import tidy
    from vl2.device import pick_device, pick_dtype
    from vl2.train.ranks import joined

    rows: list[Row] = []
    with joined(device) as ranks:
        place = pick_device(device, ranks.device_id)
        kind = pick_dtype(dtype, place)
        machine = measure(place, torch.bfloat16 if place.type == "cuda" else kind)  # autocast multiplies in bfloat16
        bench = runs.Bench(_shape(model, room, layers), place, kind, machine, repeats, ranks=ranks)
        for bench.how in ways:
            tidy()
            bench.build_to_train()
            _measure(rows, bench, "train", model, sizes, [1], peers and ranks.count == 1, out, beside)
            bench.model = None
            torch.compiler.reset()  # or compiled code would keep it
        if ranks.is_first:
            _show(rows, bench, "train", model, as_json)


def _show(rows: "list[Row]", bench: "Bench", kind: str, model: str, as_json: bool) -> None:
    from vl2.bench import runs

    if as_json:
        print(json.dumps(runs.results(rows, bench, kind, model)))
        return
    title = f"{kind} of {model}" + (f" on {bench.ranks.count} ranks" if bench.ranks.count > 1 else "")
    table = _ranks_table if kind == "train" and bench.ranks.count > 1 else _table
    Console().print(table(title, rows))
    machine = bench.machine
    print(
        f"{machine.device}, {machine.threads} threads, {machine.dtype}: reads "
        f"{machine.bytes_per_sec / 1e9:.1f} GB/s, multiplies {machine.flops_per_sec / 1e9:,.0f} GFLOP/s; "
        f"torch {machine.torch}"
    )


def _measure(
    rows: "list[Row]", bench: "Bench", kind: str, model: str, sizes: list[int], batches: list[int], peers: bool,
    out: Path | None, beside: Path | None = None,
) -> None:  # fmt: skip
    """Append rows; the results file is written after each, so that what is measured outlives an interrupted run."""
    from vl2.bench import runs

    out = out if bench.ranks.is_first else None
    progress_console.quiet = not bench.ranks.is_first
    with progress_console.status(f"{kind} of {model}") as status:
        for row in bench.measure(kind, sizes, batches):
            if beside:
                runs.set_beside(row, beside)
            rows.append(row)
            status.update(f"{kind} of {model}: {len(rows)} cases measured")
            if out:
                runs.save(runs.results(rows, bench, kind, model), out)
        for number, _ in enumerate(bench.compare(kind, rows) if peers else (), 1):
            status.update(f"{kind} of {model}: {len(rows)} cases measured, {number} comparisons")
            if out:
                runs.save(runs.results(rows, bench, kind, model), out)


def _numbers(text: str, option: str) -> list[int]:
    from vl2.bench.runs import BenchError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise BenchError(f"{option} {text!r}: expected positive numbers, for example 1,8,64") from None
    if min(numbers) < 1:
        raise BenchError(f"{option} {text!r}: numbers must be positive")
    return numbers


def _with_model(
    model: str, device: str, dtype: str, offline: bool, room: int, layers: int | None, random_weights: bool,
    repeats: int, quantize: str | None,
) -> "Bench":  # fmt: skip
    """Of the model's weights, or of random ones of a preset's shape."""
    from vl2.bench import ours, runs
    from vl2.bench.machine import measure
    from vl2.cli import load_model
    from vl2.device import pick_device, pick_dtype
    from vl2.kernels.team import join, local_rank
    from vl2.model.quantized_experts import quantized_config
    from vl2.train.ranks import ALONE, Ranks

    ranks = ALONE
    if not random_weights and layers is None:
        network = load_model(model, device, dtype, offline, quantize=quantize).network
    else:
        place, config = pick_device(device, local_rank()), _shape(model, room, layers)
        config = quantized_config(config, quantize) if quantize else config
        team = join(place)
        ranks = Ranks(team.rank, team.count) if team else ALONE
        network = ours.random_model(config, place, pick_dtype(dtype, place), team=team)
    with progress_console.status("measuring the machine"):
        machine = measure(network.device, network.dtype)
    return runs.Bench(network.config, network.device, network.dtype, machine, repeats, network, ranks=ranks)


def _shape(model: str, room: int, layers: int | None) -> "VL2Config":
    """Of a preset or of a config.json, with room for so many tokens."""
    from vl2.bench import ours, runs
    from vl2.config import PRESETS, read_config

    written = Path(model) / "config.json"
    if model not in PRESETS and not written.is_file():
        names = ", ".join(PRESETS)
        raise runs.BenchError(f"--model {model!r}: random weights need a preset ({names}) or a config.json in it")
    return ours.with_room(PRESETS[model] if model in PRESETS else read_config(written), room, layers)


def _without_model(model: str, device: str, dtype: str, repeats: int) -> "Bench":
    """Of single layers of a preset's shape."""
    from vl2.bench import runs
    from vl2.bench.machine import measure
    from vl2.config import PRESETS
    from vl2.device import pick_device, pick_dtype

    if model not in PRESETS:
        raise runs.BenchError(f"--model {model!r}: one layer is measured of a preset: {', '.join(PRESETS)}")
    place = pick_device(device)
    kind = pick_dtype(dtype, place)
    with progress_console.status("measuring the machine"):
        machine = measure(place, kind)
    return runs.Bench(PRESETS[model], place, kind, machine, repeats)


def _table(title: str, rows: "list[Row]") -> Table:
    table = Table(title=title)
    names = list(dict.fromkeys(name for row in rows for name in row.peers))
    headings = ["case", "ours ms", "a second", "floor ms", "of floor", *(f"{name} ms" for name in names)]
    compared = any(row.best_peer for row in rows)
    for heading in [*headings, "best peer"] if compared else headings:
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for row in rows:
        table.add_row(
            ", ".join(f"{key} {value}" for key, value in row.case.items()),
            f"{row.ours.median * 1e3:.3f} ({row.ours.low * 1e3:.3f} - {row.ours.p90 * 1e3:.3f})",
            f"{row.units / row.ours.median:,.1f}",
            f"{row.floor * 1e3:.3f}",
            f"{row.of_floor:.0%}",
            *(f"{row.peers[name].median * 1e3:.3f}" if name in row.peers else "-" for name in names),
            *([f"{row.best_peer[1]:.2f}x" if row.best_peer else "-"] if compared else []),
        )
    return table


def _ranks_table(title: str, rows: "list[Row]") -> Table:
    """Of training on several ranks: what each of them reaches, and how much that is of one alone."""
    table = Table(title=title, box=SIMPLE)
    headings = ("shard", "experts", "tokens", "ms", "each a second", "of one", "of floor", "slowest", "peak GB")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        alone, peak = row.facts.get("of_one_alone"), row.facts.get("peak_memory_bytes")
        table.add_row(
            *(str(row.case[key]) for key in ("shard", "experts", "tokens")),
            f"{row.ours.median * 1e3:.1f}",
            f"{row.facts['tokens_per_second_of_a_rank']:,.0f}",
            f"{alone:.0%}" if alone else "-",
            f"{row.of_floor:.0%}",
            f"{row.facts['slowest_over_mean']:.2f}",
            f"{peak / 1e9:.1f}" if peak else "-",
        )
    return table
