"""The command line: `vl2 ask`, `ground`, `ocr`, `chat`, `tiles`, `info`, `quantize`, `serve`, `synth`, ...

Heavy modules are imported inside the commands, so that `vl2 --help` is instant. Bad input ends with one line and exit
code 2.
"""

import dataclasses
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

if TYPE_CHECKING:
    from vl2.api import Answer, Model, Stream

UsageError: Any = typer.BadParameter.__base__  # its home differs between versions of typer


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Errors that a person can fix are one line on stderr and exit code 2; a bug shows its trace."""
    try:
        yield
    except BrokenPipeError:  # whoever read the output has seen enough
        raise
    except UsageError as error:
        message = error.format_message()
    except (ValueError, OSError) as error:
        message = str(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's; importing it takes a second
            raise
        message = f"out of memory on the device; fewer or smaller images, or --device cpu ({error})"
    else:
        return
    print(f"vl2: {' '.join(message.split())}", file=sys.stderr)
    raise typer.Exit(2)


class OneLineErrors(TyperGroup):
    """The commands; whatever is wrong with options, images or weights ends in one line."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        with errors_in_one_line() if args else nullcontext():  # no arguments at all: help
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        with errors_in_one_line():
            return super().invoke(ctx)


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Run, train and evaluate the DeepSeek-VL2 family of vision-language models.",
)
progress_console = Console(stderr=True)
REPEATED = "repetition: the answer went round in circles, was ended and cut after the second time"

ModelOption = Annotated[str, typer.Option("--model", "-m", help="nano, tiny, small, base, a directory or a hub id.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
DtypeOption = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
QuantizeOption = Annotated[str | None, typer.Option(help="fp8 or int4 (routed experts), or int8 (for CPUs).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
OfflineOption = Annotated[bool, typer.Option("--local-files-only", help="Never touch the network.")]
MaxTokens = Annotated[int, typer.Option(help="Longest answer in tokens.")]
Temperature = Annotated[float, typer.Option(help="0 is greedy.")]
TopP = Annotated[float, typer.Option(help="Keep the most likely tokens up to this probability.")]
TopK = Annotated[int, typer.Option(help="Keep this many tokens; 0 keeps all.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the sampling.")]
Penalty = Annotated[float, typer.Option("--repetition-penalty", help="Above 1 discourages repetition.")]
MaxPixels = Annotated[
    int | None, typer.Option("--max-pixels", help="Largest image, width x height; a limit against bombs.", min=1)
]
Stop = Annotated[list[str] | None, typer.Option(help="A string that ends the answer; may be given more than once.")]
StopRepetition = Annotated[bool, typer.Option(help="End an answer that repeats itself endlessly.")]


def load_model(
    name: str, device: str, dtype: str, offline: bool, max_pixels: int | None = None, quantize: str | None = None,
    engine: dict[str, int] | None = None,
) -> "Model":  # fmt: skip
    with loading(f"loading {name}") as report:
        from vl2.api import load  # takes a second, in which the bar is seen

        options = {"local_files_only": offline, "max_pixels": max_pixels, "quantize": quantize, "engine": engine}
        return load(name, device=device, dtype=dtype, progress=report, **options)


def follow(name: str, device: str, dtype: str, offline: bool, *more: Any) -> None:
    """In a process of torchrun beyond the first: load the model as the first does, follow its engine, end with it."""
    if not leads(device):
        load_model(name, device, dtype, offline, *more)


def leads(device: str) -> bool:
    """Whether this is no process of torchrun beyond the first; if the first never loads a model, the others end."""
    from vl2.kernels.team import excuse_at_exit, is_follower, local_rank

    if is_follower():
        return False
    if (index := local_rank()) is not None:
        from vl2.device import pick_device

        excuse_at_exit(pick_device(device, index))
    return True


@contextmanager
def loading(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for (tensors loaded, tensors in all), gone when it is done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    seen = progress_console.is_terminal
    with Progress(*columns, console=progress_console, transient=True, disable=not seen) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def answer_as_json(answer: "Answer") -> dict[str, Any]:
    out = dataclasses.asdict(answer)
    out["regions"] = [{"label": r.label, "box": [round(v, 1) for v in r.box]} for r in answer.regions]
    return out


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Warnings come afterwards, one line each on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        progress_console.print(f"warning: {warning.message}", style="yellow", highlight=False, markup=False)


def _show(stream: "Stream", as_json: bool) -> "Answer":
    """Print an answer as it comes (or one JSON object at the end)."""
    with warnings_in_one_line():
        if as_json:
            print(json.dumps(answer_as_json(stream.answer), ensure_ascii=False))
        else:
            for piece in stream:
                print(piece, end="", flush=True)
            print()
        answer = stream.answer
    if answer.finish_reason == "repetition":
        progress_console.print(REPEATED, style="yellow", soft_wrap=True)
    if not as_json:
        count = f"{answer.prompt_tokens} + {answer.completion_tokens} tokens"
        times = f"first after {answer.ttft_sec:.2f} s, all after {answer.total_sec:.2f} s"
        progress_console.print(f"{count}, {times}, finish: {answer.finish_reason}", style="dim", highlight=False)
    return answer


@app.command()
def ask(
    images_and_question: Annotated[
        list[str], typer.Argument(metavar="IMAGE... QUESTION", help="Images, then the question.")
    ],
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    as_json: JsonOption = False,
    offline: OfflineOption = False,
    max_tokens: MaxTokens = 512,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    top_k: TopK = 0,
    seed: Seed = None,
    repetition_penalty: Penalty = 1.0,
    stop: Stop = None,
    stop_repetition: StopRepetition = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Answer a question about one or several images."""
    *images, question = images_and_question
    if not images:
        raise ValueError("ask needs at least one image and then the question: vl2 ask receipt.png 'What is the total?'")
    stream = load_model(model, device, dtype, offline, max_pixels, quantize).ask_stream(
        images,
        question,
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop or ()),
        stop_repetition=stop_repetition,
    )
    _show(stream, as_json)


@app.command()
def ground(
    image: Annotated[Path, typer.Argument(help="The image.")],
    phrase: Annotated[str, typer.Argument(help="What to locate.")],
    out: Annotated[Path | None, typer.Option(help="Write the image with the boxes drawn on it.")] = None,
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    as_json: JsonOption = False,
    offline: OfflineOption = False,
    max_tokens: MaxTokens = 512,
    max_pixels: MaxPixels = None,
) -> None:
    """Locate what a phrase describes."""
    from vl2.draw import draw_regions, picture_format, save_picture
    from vl2.processing.images import open_image

    if out:
        picture_format(out)  # a mistake shows before the work
    picture = open_image(image, max_pixels)
    stream = load_model(model, device, dtype, offline, max_pixels, quantize).ground_stream(
        picture, phrase, max_tokens=max_tokens
    )
    answer = _show(stream, as_json)
    if not as_json:
        for region in answer.regions:
            print(f"{region.label}: {', '.join(f'{v:.0f}' for v in region.box)}")
        if not answer.regions:
            print(f"not found: {phrase}")
    if out:
        save_picture(draw_regions(picture, answer.regions), out)
        progress_console.print(f"wrote {out}", highlight=False)


@app.command()
def ocr(
    file: Annotated[Path, typer.Argument(help="An image, a PDF (needs vl2[pdf]) or a TIFF of several pages.")],
    pages: Annotated[str | None, typer.Option(help="Pages to read, as 1-3,7 or 5-; all by default.")] = None,
    max_pages: Annotated[int | None, typer.Option(help="Refuse more pages than this (500).", min=1)] = None,
    format: Annotated[str | None, typer.Option(help="text, markdown or json, page by page.")] = None,
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    as_json: JsonOption = False,
    offline: OfflineOption = False,
    max_tokens: MaxTokens = 1024,
    stop_repetition: StopRepetition = True,
    max_pixels: MaxPixels = None,
) -> None:
    """Read all text of an image, or of the pages of a PDF or TIFF."""
    from vl2.cli_documents import check_format, read_pages
    from vl2.processing.documents import choose_pages, open_document
    from vl2.processing.prompts import READ_PROMPT

    check_format(format, as_json)
    sampling = {"max_tokens": max_tokens, "stop_repetition": stop_repetition}
    with open_document(file, max_pixels) as document:  # a mistake shows before the work
        numbers = choose_pages(document, pages, max_pages)
        loaded = load_model(model, device, dtype, offline, max_pixels, quantize)
        if document.is_image and format is None:
            _show(loaded.ask_stream(file, READ_PROMPT, **sampling), as_json)
        else:
            read_pages(loaded, document, numbers, format or ("json" if as_json else "text"), sampling)


@app.command()
def chat(
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    offline: OfflineOption = False,
    as_json: JsonOption = False,
    max_tokens: MaxTokens = 512,
    temperature: Temperature = 0.0,
    top_p: TopP = 1.0,
    top_k: TopK = 0,
    seed: Seed = None,
    repetition_penalty: Penalty = 1.0,
    stop: Stop = None,
    stop_repetition: StopRepetition = False,
    max_pixels: MaxPixels = None,
    system: Annotated[str, typer.Option(help="A system message.")] = "",
) -> None:
    """Talk about images: /image PATH adds one, /ground PHRASE locates, /reset forgets, /quit ends."""
    from vl2.chat import Chat

    conversation = Chat(load_model(model, device, dtype, offline, max_pixels, quantize), system)
    options = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "seed": seed,
        "repetition_penalty": repetition_penalty,
        "stop": tuple(stop or ()),
        "stop_repetition": stop_repetition,
    }
    progress_console.print("/image PATH, /ground PHRASE, /reset, /quit", style="dim", highlight=False)
    while True:
        try:
            line = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        if line.strip() == "/quit":
            return
        try:
            stream = conversation.say(line, **options)
            if stream is not None:
                conversation.remember(_show(stream, as_json))
        except ValueError as error:  # a bad path or a full context must not end the conversation
            progress_console.print(f"vl2: {error}", style="red", highlight=False, markup=False)


@app.command()
def tiles(
    image: Annotated[Path, typer.Argument(help="The image.")],
    out: Annotated[Path, typer.Option(help="Where to write the sheet.")],
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    as_json: JsonOption = False,
    offline: OfflineOption = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Draw how an image is cut: chosen canvas, tiles, token counts. No weights are loaded."""
    from vl2.device import pick_device, pick_dtype
    from vl2.draw import save_picture, tile_sheet
    from vl2.family import facts
    from vl2.processing.images import open_image

    pick_dtype(dtype, pick_device(device))  # checked as everywhere, although nothing runs on it
    config, picture = _config(model, offline), open_image(image, max_pixels)
    save_picture(tile_sheet(picture, config), out)
    found = facts(config, picture.size)
    row = {"image": picture.size, "canvas": found.canvas, "tiles": found.tiles, "image_tokens": found.image_tokens}
    _print_facts({**row, "sheet": str(out)}, as_json)


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="nano, tiny, small, base, a directory or a hub id.")],
    image_size: Annotated[
        str, typer.Option(help="Size of an image as WIDTHxHEIGHT, for tokens and operations.")
    ] = "1024x1024",
    train: Annotated[bool, typer.Option("--train", help="Memory and time of training instead.")] = False,
    tflops: Annotated[float, typer.Option(help="With --train: 10^12 operations a second reached.", min=0.001)] = 400.0,
    as_json: JsonOption = False,
    offline: OfflineOption = False,
) -> None:
    """Parameters, bytes, cache, image tokens and operations of a model; needs no weights for the published names."""
    from vl2.family import facts

    if train:
        from vl2.training_cost import to_markdown, training_costs

        costs = training_costs(_config(model, offline), tflops)
        print(json.dumps([c.to_dict() for c in costs]) if as_json else to_markdown({model: costs}, tflops), end="")
        return
    size = re.fullmatch("([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", image_size.lower())
    if not size:
        raise ValueError(f"--image-size {image_size!r}: expected WIDTHxHEIGHT in pixels, for example 1024x768")
    found = dataclasses.asdict(facts(_config(model, offline), (int(size[1]), int(size[2]))))
    _print_facts({"model": model, **found}, as_json)


@app.command()
def quantize(
    model: Annotated[str, typer.Argument(help="nano, tiny, small, base, a directory or a hub id.")],
    out: Annotated[Path, typer.Argument(help="Directory to write; must not exist yet.")],
    to: Annotated[str, typer.Option(help="fp8, int4 or int8.")] = "int4",
    device: DeviceOption = "auto",
    offline: OfflineOption = False,
) -> None:
    """Write a model with quantised routed experts (int8: all large matrices) and everything else in bfloat16."""
    from vl2.device import pick_device
    from vl2.hub import find_model
    from vl2.model.weights import quantize_checkpoint

    place = pick_device(device)
    source = find_model(model, local_files_only=offline)
    with loading(f"quantising {model}") as report:
        quantize_checkpoint(source, out, to, place, report)
    size = sum(file.stat().st_size for file in out.glob("*.safetensors"))
    print(f"{out}: {size / 1e6:,.1f} MB of weights, quantised to {to}")


def _config(model: str, offline: bool):
    from vl2.config import PRESETS, read_config
    from vl2.hub import find_model

    return (
        PRESETS[model] if model in PRESETS else read_config(find_model(model, local_files_only=offline) / "config.json")
    )


def _print_facts(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(row))
        return
    width = max(map(len, row))
    for key, value in row.items():
        if isinstance(value, tuple):
            value = " x ".join(map(str, value))
        print(f"{key:{width}}  {value:,}" if isinstance(value, int) else f"{key:{width}}  {value}")


def main() -> None:
    """Entry point of the `vl2` command."""
    from vl2 import cli_batch, cli_bench, cli_eval, cli_extract, cli_serve, cli_training  # they add their commands

    assert cli_batch
    assert cli_bench
    assert cli_eval
    assert cli_extract
    assert cli_serve
    assert cli_training
    app()
