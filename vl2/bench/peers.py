"""The other sides: our plain decoding loop, and transformers' implementation of the same language model.

transformers on CUDA, each way measured by itself:

    eager                    a growing cache, no compiling; experts as `generate` has them
    compiled                 static cache, torch.compile(mode="reduce-overhead"), experts as `generate` has them
    compiled, grouped_mm     the same, experts as one grouped product

The trap: `generate` decodes with "batched_mm", which copies the experts of every token; above FEW sequences these are
gigabytes a layer, and only grouped_mm is measured. Weights are random, drawn by transformers as widely as ours.
"""

import gc
import inspect
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from vl2.bench.layers import random_layer, random_tokens, time_layers
from vl2.bench.ours import steps_at_once, text_prompt
from vl2.bench.timing import Timing, say, seconds
from vl2.bench.training import layer_seconds, phases
from vl2.config import LanguageConfig, VL2Config
from vl2.generate import generate
from vl2.model.slots import slots
from vl2.model.vl2 import VL2
from vl2.sampling import SamplingParams

FEW = 8  # sequences up to which batched_mm is measured
_LIMIT_SEC = 300  # of one way, compiling included
_PROMPT_TOKENS = 16384  # that go through at a time
_SPARE_BYTES = 4 << 30  # for what a step holds beside weights and cache


@dataclass(frozen=True)
class Mode:
    """A way to run transformers; `experts` is the name of its implementation of them, None for its default."""

    name: str
    experts: str | None = None
    compiled: bool = False


def decode_modes(device: torch.device, batch: int) -> list[Mode]:
    if device.type != "cuda":
        return [Mode("transformers")]
    few = batch <= FEW
    modes = [Mode("transformers eager", "batched_mm" if few else "grouped_mm")]
    modes.append(Mode("transformers compiled, grouped_mm", "grouped_mm", compiled=True))
    return [*modes, Mode("transformers compiled", "batched_mm", compiled=True)] if few else modes


def prefill_modes(device: torch.device) -> list[Mode]:
    """`generate` computes prompts with grouped_mm, so there is one compiled way."""
    if device.type != "cuda":
        return [Mode("transformers")]
    return [
        Mode("transformers eager", "grouped_mm"),
        Mode("transformers compiled, grouped_mm", "grouped_mm", compiled=True),
    ]


def attempt(name: str, measure: Callable[[], list[float]]) -> Timing | None:
    """What `measure` gives; None, with a line on stderr, if it fails or takes too long."""
    try:
        with _time_limit(_LIMIT_SEC):
            return Timing.of(measure())
    except Exception as error:  # whatever compiling another project's model may raise
        say(f"{name} left out: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
        return None
    finally:
        if "torch._dynamo" in sys.modules:
            torch.compiler.reset()  # compiled code holds on to its graphs and their memory
        tidy()


def tidy() -> None:
    """Give back what the last measurement held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _time_limit(limit_sec: int) -> Iterator[None]:
    """TimeoutError after so many seconds, where signals can be had."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {limit_sec} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(limit_sec)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def plain_decode(model: VL2, batch: int, context: int, steps: int) -> list[float]:
    """Seconds of each round of `vl2.generate` that gives every sequence one more token."""
    prompts = [text_prompt(model.config, context - steps // 2, number) for number in range(batch)]
    ends: list[float] = []
    for number, _ in enumerate(generate(model, prompts, [SamplingParams(max_tokens=steps + 2)] * batch, -1)):
        if number >= batch and (number + 1) % batch == 0:  # the first round belongs to the prompts
            ends.append(time.perf_counter())
    return [end - begin for begin, end in pairwise(ends)][:steps]


def transformers_model(config: VL2Config, device: torch.device, dtype: torch.dtype) -> Any:
    """transformers' language model of this shape with random weights; None for Tiny's, which it does not have."""
    import transformers

    if not config.language_config.use_mla:
        return None
    kind, settings = _settings(config.language_config)
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return getattr(transformers, f"{kind}ForCausalLM")(settings).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)


def _settings(text: LanguageConfig) -> tuple[str, Any]:
    """The name of transformers' architecture and a configuration of it; of Tiny's only the experts fit."""
    import transformers

    kind = "DeepseekV3" if text.topk_method == "noaux_tc" else "DeepseekV2"
    names = (
        "vocab_size hidden_size intermediate_size moe_intermediate_size num_hidden_layers num_attention_heads "
        "num_key_value_heads n_routed_experts n_shared_experts num_experts_per_tok first_k_dense_replace "
        "max_position_embeddings rms_norm_eps norm_topk_prob routed_scaling_factor n_group topk_group "
        "initializer_range"
    )
    if text.use_mla:
        names += " q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim"
    values = {name: getattr(text, name) for name in names.split()}
    tokens = {"pad_token_id": None, "bos_token_id": 0, "eos_token_id": 1}
    return kind, getattr(transformers, f"{kind}Config")(**values, **tokens)


def weight_bytes(config: VL2Config, dtype: torch.dtype) -> int:
    """Of the language model."""
    return sum(slot.numel for slot in slots(config) if slot.official.startswith("language.")) * dtype.itemsize


def decode_bytes(text: LanguageConfig, batch: int, context: int, dtype: torch.dtype) -> int:
    """Beside the weights: latents, and the keys and values that a layer expands them to, more than once."""
    latents = text.num_hidden_layers * text.kv_values_per_token
    expanded = text.num_attention_heads * (2 * text.head_dim + text.v_head_dim)
    return batch * context * (latents + latents // text.num_hidden_layers + 2 * expanded) * dtype.itemsize


def room(device: torch.device, num_bytes: int, what: str) -> bool:
    """Whether the device has so much memory left; if not, a line on stderr."""
    if device.type != "cuda":
        return True
    free = torch.cuda.mem_get_info(device)[0] - _SPARE_BYTES
    if num_bytes > free:
        say(f"{what} left out: needs about {num_bytes / 1e9:.0f} GB, {max(free, 0) / 1e9:.0f} GB are free")
    return num_bytes <= free


@torch.no_grad()
def transformers_decode(
    model: Any, batch: int, context: int, repeats: int, mode: Mode, compiler: dict[str, Any] | None = None
) -> list[float]:
    """Seconds of a step in each block of steps after a prompt.

    Args:
        compiler: options of torch.compile.
    """
    from transformers import DynamicCache, StaticCache

    device, block = model.device, steps_at_once(model.device)
    warm, timed = 3 * block, repeats * block
    length = max(context - warm - timed // 2, 1)
    _choose(model, Mode("prompts", "grouped_mm") if mode.experts else mode)
    if mode.compiled:
        cache: Any = StaticCache(config=model.config, max_cache_len=length + warm + timed)
    else:
        cache = DynamicCache(config=model.config)
    options = {_cache_name(model): cache, "use_cache": True, "logits_to_keep": 1}
    ids = torch.randint(2, model.config.vocab_size, (batch, length), device=device)
    for part in ids.split(max(_PROMPT_TOKENS // batch, 1), 1):
        model(part, **options)
    _choose(model, mode)
    forward = _compiled(model, compiler) if mode.compiled else model.forward
    token = ids[:, -1:].clone()

    def step(count: int) -> None:
        for _ in range(count):
            token.copy_(forward(token, **options).logits[:, -1:].argmax(-1))

    step(warm)
    return [seconds(lambda: step(block), device) / block for _ in range(repeats)]


@torch.no_grad()
def transformers_prefill(
    model: Any, tokens: int, repeats: int, mode: Mode, compiler: dict[str, Any] | None = None
) -> list[float]:
    """Seconds of a fresh prompt to the logits of its last token."""
    from transformers import StaticCache

    _choose(model, mode)
    ids = torch.randint(2, model.config.vocab_size, (1, tokens), device=model.device)
    options: dict[str, Any] = {"use_cache": True, "logits_to_keep": 1}
    forward, cache = model.forward, None
    if mode.compiled:
        cache = StaticCache(config=model.config, max_cache_len=tokens)
        options[_cache_name(model)] = cache
        model(ids, **options)  # allocates the cache, which must not happen while compiling
        forward = _compiled(model, compiler)

    def prompt() -> None:
        if cache is not None:
            cache.reset()
        forward(ids, **options).logits.argmax(-1).item()

    for _ in range(3 if mode.compiled else 1):
        prompt()
    return [seconds(prompt, model.device) for _ in range(repeats)]


TRAIN_MODES = (Mode("transformers grouped_mm", "grouped_mm"), Mode("transformers expert loop", "eager"))


def transformers_train(
    model: Any, case: dict[str, int], repeats: int, mode: Mode, facts: dict[str, float]
) -> list[float]:
    """Seconds of a step with fused AdamW; `facts` take its phases, one layer of experts, and the peak of memory."""
    device, cuda = model.device, model.device.type == "cuda"
    model.train().requires_grad_(True)
    _choose(model, mode)
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    shape = case["tokens"] // case["sequence"], case["sequence"]
    ids = torch.randint(2, model.config.vocab_size, shape, device=device)

    def forward() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=cuda):
            return model(ids, labels=ids, use_cache=False).loss

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def step() -> None:
        forward().backward()
        update()

    try:
        step()
        times = [seconds(step, device) for _ in range(repeats)]
        found = phases(forward, update, device, repeats)
        if cuda:
            found["peak_memory_bytes"] = torch.cuda.max_memory_allocated(device)
        layer = model.model.layers[-1].mlp
        x_TD = torch.randn(1, case["tokens"], model.config.hidden_size, device=device, dtype=model.dtype)
        x_TD.requires_grad_()
        found["moe_layer_sec"] = layer_seconds(lambda: layer(x_TD), device, repeats)
        facts |= {f"{mode.name}: {name}": value for name, value in found.items()}
        return times
    finally:
        optimizer.zero_grad(set_to_none=True)
        model.eval().requires_grad_(False)


def _cache_name(model: Any) -> str:
    """The argument was called past_key_values until transformers 5.17 and somewhat longer."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _choose(model: Any, mode: Mode) -> None:
    if mode.experts:
        model.set_experts_implementation(mode.experts)


def _compiled(model: Any, options: dict[str, Any] | None) -> Callable[..., Any]:
    return torch.compile(model.forward, dynamic=False, **(options or {"mode": "reduce-overhead"}))


def moe_modes(device: torch.device, tokens: int) -> list[Mode]:
    modes = [Mode("transformers grouped_mm", "grouped_mm")]
    return [Mode("transformers batched_mm", "batched_mm"), *modes] if device.type == "cuda" and tokens <= FEW else modes


@torch.inference_mode()
def transformers_moe(
    text: LanguageConfig, tokens: int, copies: int, repeats: int, device: torch.device, dtype: torch.dtype, mode: Mode
) -> list[float]:
    """A layer of experts of this shape, timed as ours is: as many copies take turns."""
    kind, settings = _settings(text)
    settings._experts_implementation = mode.experts
    version = kind.removeprefix("Deepseek").lower()
    module = import_module(f"transformers.models.deepseek_{version}.modeling_deepseek_{version}")

    def make() -> nn.Module:
        return getattr(module, "DeepseekV3MoE" if version == "v3" else "DeepseekV2Moe")(settings)

    layers = [random_layer(make, text, number, device, dtype) for number in range(copies)]
    return time_layers(layers, random_tokens(text, tokens, device, dtype)[None], repeats)[0]
