"""Our side of each measurement: the engine as people use it, on prompts of random tokens and pixels."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from vl2.bench.timing import BenchError, seconds
from vl2.config import VL2Config
from vl2.engine.engine import Engine
from vl2.kernels.team import Team
from vl2.layout import TileGrid, image_token_count
from vl2.model.moe import Router
from vl2.model.parts import divided_axis
from vl2.model.quantized_experts import check_device
from vl2.model.quantized_linear import QuantizedModule
from vl2.model.slots import slots
from vl2.model.vl2 import VL2
from vl2.model.weights import empty_model
from vl2.processing.render import Prompt
from vl2.processing.tiling import TiledImage
from vl2.sampling import SamplingParams

_NEVER = -1  # no token has this id


def random_model(
    config: VL2Config, device: torch.device, dtype: torch.dtype, seed: int = 0, team: Team | None = None
) -> VL2:
    """Random weights, made where they are used; quantised ones one stack of matrices after the other.

    Of a team, weights that every rank holds whole are the same on all, and only these.
    """
    if config.quantization_config and team is None:
        return _random_quantized(config, device, dtype, seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = VL2(config, team)
    finally:
        torch.set_default_dtype(before)
    model.initialize(seed)
    if team is not None and not team.is_first:
        generator, std = torch.Generator(device).manual_seed(seed + team.rank), config.language_config.initializer_range
        divided = {slot.parameter for slot in slots(config) if divided_axis(slot) is not None}
        for name, parameter in model.named_parameters():
            if name in divided:
                torch.nn.init.normal_(parameter, std=std, generator=generator)
    return model.requires_grad_(False).eval()


def _random_quantized(config: VL2Config, device: torch.device, dtype: torch.dtype, seed: int) -> VL2:
    check_device(config, device)
    model = empty_model(config, device, dtype).requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.fill_(float(name.endswith("weight")))  # norms are ones, biases zeros
    model.initialize(seed)
    generator, std = torch.Generator(device).manual_seed(seed + 1), config.language_config.initializer_range
    for module in model.modules():
        if isinstance(module, QuantizedModule):
            for name, shape in module.shapes.items():
                module.put(name, torch.empty(shape, device=device, dtype=dtype).normal_(std=std, generator=generator))
    return model.eval()


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


@dataclass(frozen=True)
class Decoded:
    """Seconds of a step in each block of steps; experts visited a layer; tokens cached of a sequence on average."""

    times: list[float]
    distinct_experts: float
    context: float


def steps_at_once(device: torch.device) -> int:
    """Steps timed together: on CUDA the host may run ahead of the device, which waiting for each step would hide."""
    return 10 if device.type == "cuda" else 1


def decode(model: VL2, batch: int, context: int, repeats: int) -> Decoded:
    """Blocks of steps that each give `batch` sequences of about `context` tokens one more, once all prompts are in."""
    block, step_tokens = steps_at_once(model.device), 16384 if model.device.type == "cuda" else 2048
    filling = -(-batch * context // step_tokens)  # steps until the last prompt is in, while others generate
    warm, timed = 2 * block, repeats * block
    length, limit = max(context - filling // 2 - warm - timed // 2, 2), 2 * filling + warm + timed + 16
    engine = _engine(model, batch, batch * (length + limit), step_tokens)
    prompts = [text_prompt(model.config, length, number) for number in range(batch)]
    options = SamplingParams(max_tokens=limit)
    if (room := engine.check(prompts[0], options)) < limit:
        raise BenchError(f"context = {context}: the model's context leaves {room} tokens to generate, not {limit}")
    waiting = {engine.submit(prompt, options) for prompt in prompts}

    def step(count: int) -> None:
        for _ in range(count):
            waiting.difference_update([output.request_id for output in engine.step()])

    while waiting:
        step(1)
    step(warm)
    times, generated = [], 0
    for _ in range(repeats):
        before = engine.stats().num_generated_tokens
        spent = seconds(lambda: step(block), model.device)
        given = engine.stats().num_generated_tokens - before
        times.append(spent * batch / given)
        generated += given
    assert engine.stats().num_running == batch
    cached = length + engine.stats().num_generated_tokens / batch - generated / batch / 2
    return Decoded(times, _distinct_experts(engine), cached)


def _distinct_experts(engine: Engine) -> float:
    """Experts that a layer visits in one step, on average over layers: not in a graph, which does not tell."""
    seen: list[int] = []
    routers = [module for module in engine.model.modules() if isinstance(module, Router)]
    hooks = [one.register_forward_hook(lambda _m, _i, out: seen.append(len(out[1].unique()))) for one in routers]
    graphs, engine.runner.use_graphs = engine.runner.use_graphs, False
    engine.step()
    engine.runner.use_graphs = graphs
    for hook in hooks:
        hook.remove()
    return sum(seen) / max(len(seen), 1)


def prefill(model: VL2, tokens: int, repeats: int) -> list[float]:
    """Seconds from a prompt of `tokens` to the first token of its answer."""
    engine = _engine(model, 1, tokens + 128, step_tokens=tokens)
    times = []
    for number in range(repeats + 1):
        engine.submit(text_prompt(model.config, tokens, number), SamplingParams(max_tokens=1))
        times.append(seconds(lambda: _finish(engine), model.device))
    return times[1:]


@torch.inference_mode()
def vision(model: VL2, tiles: int, repeats: int) -> list[float]:
    """Seconds of tower and projector on `tiles` tiles that lie in host memory."""
    pixels, images = torch.from_numpy(_tiles(model.config, tiles, 0)), _engine(model, 1, 64).runner.images
    times = [seconds(lambda: images.tile_tokens(pixels), model.device) for _ in range(repeats + 1)]
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
        times.append(seconds(lambda: _finish(engine), model.device))
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
    engine.prepare()
    newest: dict[int, float] = {}
    ttft, gaps, num_tokens = [], [], 0
    crowd: list[tuple[Prompt, SamplingParams]] = []
    for number in range(requests):
        length, limit = (int(mean * rng.uniform(0.5, 1.5)) for mean in (prompt, answer))
        ids = text_prompt(model.config, max(length, 2), number).input_ids
        asked = Prompt(ids, ids, (), ())
        if number % 3 == 0:
            image = TiledImage(_tiles(model.config, 2, number), TileGrid(rows=1, cols=1), (100, 100))
            ids = ids[:1] + [2] * image_tokens + ids[1:]
            asked = Prompt(ids, ids, ((1, image_tokens),), (image,))
        crowd.append((asked, SamplingParams(max_tokens=max(limit, 1))))
    begin = time.perf_counter()
    for one in crowd:
        engine.submit(*one)
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


def _finish(engine: Engine) -> None:
    while engine.has_work:
        engine.step()


def _engine(model: VL2, max_running: int, tokens: int, step_tokens: int | None = None) -> Engine:
    text = model.config.language_config
    blocks = max_running + -(-tokens // 64)
    if step_tokens is not None:
        step_tokens = max(step_tokens, max_running)
    return Engine(
        model, _NEVER, max_running=max_running, step_tokens=step_tokens, prefix_cache=False,
        cache_bytes=blocks * 64 * text.num_hidden_layers * text.kv_values_per_token * model.dtype.itemsize,
    )  # fmt: skip
