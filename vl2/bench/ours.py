"""Our side of each measurement: the engine as people use it, on prompts of random tokens and pixels."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from vl2.bench.machine import seconds
from vl2.config import VL2Config
from vl2.engine.engine import Engine
from vl2.layout import TileGrid, image_token_count
from vl2.model.moe import Router
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.processing.tiling import TiledImage
from vl2.sampling import SamplingParams

_NEVER = -1  # no token has this id


def random_model(config: VL2Config, device: torch.device, dtype: torch.dtype, seed: int = 0) -> VL2:
    """Random weights, made where they are used."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = VL2(config)
    finally:
        torch.set_default_dtype(before)
    model.initialize(seed)
    return model.requires_grad_(False).eval()


def with_room(config: VL2Config, tokens: int, layers: int | None = None) -> VL2Config:
    """The configuration with a context of at least `tokens`, and of the first `layers` decoder layers only."""
    text = config.language_config
    text = replace(text, max_position_embeddings=max(tokens, text.max_position_embeddings))
    if layers is not None:
        text = replace(text, num_hidden_layers=layers)
    return replace(config, language_config=text)


def text_prompt(config: VL2Config, length: int, seed: int) -> Prompt:
    ids = np.random.default_rng(seed).integers(2, config.language_config.vocab_size, length).tolist()
    return Prompt(ids, ids, (), ())


def decode(model: VL2, batch: int, context: int, steps: int) -> tuple[list[float], float]:
    """Seconds of steps that each give `batch` sequences of about `context` tokens one more; experts visited a layer."""
    engine = _engine(model, batch, batch * (context + steps + 64))
    options = SamplingParams(max_tokens=steps + 8)
    for number in range(batch):
        engine.submit(text_prompt(model.config, context - steps // 2, number), options)
    while engine.stats().num_generated_tokens < batch:
        engine.step()
    while any(sequence.num_left > 1 for sequence in engine.scheduler.running) or engine.scheduler.waiting:
        engine.step()
    distinct: list[int] = []

    def count(_: object, __: object, output: tuple[torch.Tensor, ...]) -> None:
        distinct.append(len(output[1].unique()))

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, Router)]
    engine.step()
    for hook in hooks:
        hook.remove()
    times = [seconds(engine.step, model.device) for _ in range(steps)]
    return times, sum(distinct) / max(len(distinct), 1)


def prefill(model: VL2, tokens: int, repeats: int) -> list[float]:
    """Seconds from a prompt of `tokens` to the first token of its answer."""
    engine = _engine(model, 1, tokens + 128, step_tokens=tokens)
    times = []
    for number in range(repeats + 1):
        engine.submit(text_prompt(model.config, tokens, number), SamplingParams(max_tokens=1))
        times.append(seconds(engine.step, model.device))
        assert not engine.has_work
    return times[1:]


@torch.inference_mode()
def vision(model: VL2, tiles: int, repeats: int) -> list[float]:
    """Seconds of tower and projector on `tiles` tiles that lie in host memory."""
    pixels = torch.from_numpy(_tiles(model.config, tiles, 0))
    times = [seconds(lambda: model.encode_tiles(model.pixel_values(pixels)), model.device) for _ in range(repeats + 1)]
    return times[1:]


def ttft(model: VL2, grid: TileGrid, repeats: int) -> list[float]:
    """Seconds from a tiled image never seen before and 20 tokens of text to the first token of the answer."""
    count = image_token_count(grid, model.config.tile_side)
    engine = _engine(model, 1, count + 192, step_tokens=count + 64)
    times = []
    for number in range(repeats + 1):
        image = TiledImage(_tiles(model.config, grid.num_tiles, number), grid, (100, 100))
        ids = [3] + [2] * count + text_prompt(model.config, 19, number).input_ids
        prompt = Prompt(ids, ids, ((1, count),), (image,))
        engine.submit(prompt, SamplingParams(max_tokens=1))
        times.append(seconds(engine.step, model.device))
        assert not engine.has_work
    return times[1:]


@dataclass(frozen=True)
class Served:
    """A crowd of requests: seconds until all were answered, to each first token, and between tokens; tokens given."""

    total: float
    ttft: list[float]
    gaps: list[float]
    num_tokens: int


def serve(model: VL2, requests: int, prompt: int, answer: int, max_running: int) -> Served:
    """All requests come at once.

    Args:
        prompt, answer: tokens on average, half to one and a half times as many; every third prompt has an image.
    """
    rng = np.random.default_rng(requests)
    image_tokens = image_token_count(TileGrid(rows=1, cols=1), model.config.tile_side)
    engine = _engine(model, max_running, max_running * (2 * (prompt + answer) + image_tokens))
    begin = time.perf_counter()
    newest: dict[int, float] = {}
    ttft, gaps, num_tokens = [], [], 0
    for number in range(requests):
        length, limit = (int(mean * rng.uniform(0.5, 1.5)) for mean in (prompt, answer))
        ids = text_prompt(model.config, max(length, 2), number).input_ids
        asked = Prompt(ids, ids, (), ())
        if number % 3 == 0:
            image = TiledImage(_tiles(model.config, 2, number), TileGrid(rows=1, cols=1), (100, 100))
            ids = ids[:1] + [2] * image_tokens + ids[1:]
            asked = Prompt(ids, ids, ((1, image_tokens),), (image,))
        engine.submit(asked, SamplingParams(max_tokens=max(limit, 1)))
    while engine.has_work:
        for output in engine.step():
            now = time.perf_counter()
            if output.request_id in newest:
                gaps.append(now - newest[output.request_id])
            else:
                ttft.append(now - begin)
            newest[output.request_id] = now
            num_tokens += 1
    return Served(time.perf_counter() - begin, ttft, gaps, num_tokens)


def _tiles(config: VL2Config, count: int, seed: int) -> np.ndarray:
    edge = config.vision_config.image_size
    return np.random.default_rng(seed).integers(0, 256, (count, 3, edge, edge), dtype=np.uint8)


def _engine(model: VL2, max_running: int, tokens: int, step_tokens: int = 2048) -> Engine:
    text = model.config.language_config
    blocks = max_running + -(-tokens // 64)
    return Engine(
        model, _NEVER, max_running=max_running, step_tokens=max(step_tokens, max_running), prefix_cache=False,
        cache_bytes=blocks * 64 * text.num_hidden_layers * text.kv_values_per_token * model.dtype.itemsize,
    )  # fmt: skip


def spread(times: Sequence[float]) -> tuple[float, float, float]:
    """Median, lowest and 90th percentile."""
    return float(np.median(times)), min(times), float(np.percentile(times, 90))
