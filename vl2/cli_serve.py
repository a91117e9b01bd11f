"""The command that serves: `vl2 serve`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vl2.cli import (
    DeviceOption,
    DtypeOption,
    ModelOption,
    OfflineOption,
    QuantizeOption,
    app,
    leads,
    load_model,
)

if TYPE_CHECKING:
    from vl2.api import Model

KEYS_VARIABLE = "VL2_API_KEYS"
_MIB = 2**20


@app.command()
def serve(
    model: ModelOption = "nano",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quantize: QuantizeOption = None,
    offline: OfflineOption = False,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    name: Annotated[str | None, typer.Option(help="What clients call the model; else as --model.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help=f"Keys that clients must send, one a line; or {KEYS_VARIABLE}, with commas.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="A web site whose scripts may use the server; may be given again.")
    ] = None,
    fetch: Annotated[bool, typer.Option(help="Download http(s) URLs of images, from public addresses.")] = True,
    image_host: Annotated[
        list[str] | None,
        typer.Option(help="The only hosts that images are downloaded from, .example.com with all below."),
    ] = None,
    max_running: Annotated[int, typer.Option(help="Answers made at a time.", min=1)] = 64,
    max_queue: Annotated[int, typer.Option(help="Answers that may wait; then 429.", min=0)] = 256,
    step_tokens: Annotated[
        int | None, typer.Option(help="Tokens that one step computes; longer prompts take several.", min=1)
    ] = None,
    max_pixels: Annotated[int, typer.Option(help="Of an image, width x height.", min=1)] = 40_000_000,
    max_file_mib: Annotated[int, typer.Option(help="Of an image or document.", min=1)] = 32,
    max_pages: Annotated[int, typer.Option(help="Of a document.", min=1)] = 100,
    cache_gib: Annotated[float | None, typer.Option(help="Memory of the cache; else what is free.", min=0)] = None,
    decoders: Annotated[int, typer.Option(help="Processes that decode images.", min=1)] = 2,
    drain_sec: Annotated[float, typer.Option(help="For requests under way after SIGTERM.", min=1)] = 60,
    unready_sec: Annotated[
        float, typer.Option(help="After SIGTERM, /ready says no and requests are still taken.", min=0)
    ] = 0,
    access_log: Annotated[bool, typer.Option(help="A line for every request.")] = False,
    random_weights: Annotated[
        bool, typer.Option(help="A preset's shape with random weights, to measure load.")
    ] = False,
) -> None:
    """Serve an OpenAI-compatible API."""
    import logging
    import warnings

    try:
        from vl2.serve.app import create_app
        from vl2.serve.connections import make_server
    except ImportError as error:
        raise ValueError(f"vl2 serve needs {error.name}: pip install 'vl2[serve]'") from None
    from vl2.serve.settings import Settings

    logging.basicConfig(
        level="INFO" if access_log else "WARNING", format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("python_multipart").setLevel("ERROR")  # which warns of every malformed form
    warnings.filterwarnings("ignore", "no region read")  # what a model says is no news for who runs the server
    settings = Settings(
        model_name=name or model, api_keys=_keys(api_key_file), cors_origins=tuple(cors_origin or ()),
        fetch_urls=fetch, image_hosts=tuple(image_host or ()), max_queue=max_queue, max_pixels=max_pixels,
        max_file_bytes=max_file_mib * _MIB, max_body_bytes=2 * max_file_mib * _MIB, max_pages=max_pages,
        decoders=decoders, drain_sec=drain_sec, unready_sec=unready_sec,
    )  # fmt: skip
    engine = {"max_running": max_running}
    if cache_gib is not None:
        engine["cache_bytes"] = int(cache_gib * 2**30)
    if step_tokens is not None:
        engine["step_tokens"] = step_tokens

    def load() -> "Model":
        if random_weights:
            return _random_model(model, device, dtype, quantize, engine)
        return load_model(model, device, dtype, offline, max_pixels, quantize, engine)

    if not leads(device):
        load()  # and do what the first rank does, until it ends
    server = make_server(create_app(load, settings), host, port, access_log)
    server.when_ready = lambda url: print(f"serving {settings.model_name} at {url}", file=sys.stderr, flush=True)
    if host not in ("127.0.0.1", "::1", "localhost") and not settings.api_keys:
        print(f"anybody who reaches {host} may use this server; --api-key-file or {KEYS_VARIABLE}", file=sys.stderr)
    server.run_until_stopped()


def _keys(file: Path | None) -> tuple[str, ...]:
    """Keys of the file, or of the environment."""
    text = file.read_text(encoding="utf-8") if file else os.environ.get(KEYS_VARIABLE, "").replace(",", "\n")
    keys = tuple(line.strip() for line in text.splitlines() if line.strip())
    if file and not keys:
        raise ValueError(f"--api-key-file {file}: holds no key; write one a line")
    return keys


def _random_model(model: str, device: str, dtype: str, quantize: str | None, engine: dict[str, int]) -> "Model":
    """A preset's shape with random weights and Nano's tokenizer: no sense, and never an end before max_tokens."""
    import torch

    from vl2.api import Model
    from vl2.bench.ours import random_model
    from vl2.config import PRESETS, read_config
    from vl2.device import pick_device, pick_dtype
    from vl2.hub import NANO_DIR
    from vl2.kernels.team import join, local_rank
    from vl2.model.quantized_experts import quantized_config
    from vl2.processing.processor import read_tokenizer

    if model not in PRESETS:
        raise ValueError(f"--model {model!r}: random weights need a preset: {', '.join(PRESETS)}")
    place = pick_device(device, local_rank())
    config = quantized_config(PRESETS[model], quantize) if quantize else PRESETS[model]
    network = random_model(config, place, pick_dtype(dtype, place), team=join(place))
    tokenizer = read_tokenizer(NANO_DIR, read_config(NANO_DIR / "config.json"))
    with torch.no_grad():  # every token that it chooses has text, so that clients see each
        first = network.team.rank * network.language.lm_head.out_features if network.team else 0
        words = torch.arange(network.language.lm_head.out_features, device=network.device) + first
        network.language.lm_head.weight[(words >= tokenizer.vocab_size) | (words == tokenizer.special.eos)] = 0
    return Model(network, tokenizer, None, engine)
