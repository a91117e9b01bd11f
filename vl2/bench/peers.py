"""The other sides: our plain decoding loop, and transformers' implementation of the same language model."""

import time
from itertools import pairwise
from typing import Any

import torch

from vl2.bench.machine import seconds
from vl2.bench.ours import text_prompt
from vl2.config import LanguageConfig, VL2Config
from vl2.generate import generate
from vl2.model.vl2 import VL2
from vl2.sampling import SamplingParams


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

    text = config.language_config
    if not text.use_mla:
        return None
    kind = "DeepseekV3" if text.topk_method == "noaux_tc" else "DeepseekV2"
    settings = getattr(transformers, f"{kind}Config")(**_settings(text))
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return getattr(transformers, f"{kind}ForCausalLM")(settings).eval()
    finally:
        torch.set_default_dtype(before)


def _settings(text: LanguageConfig) -> dict[str, Any]:
    names = (
        "vocab_size hidden_size intermediate_size moe_intermediate_size num_hidden_layers num_attention_heads "
        "num_key_value_heads n_routed_experts n_shared_experts num_experts_per_tok first_k_dense_replace "
        "max_position_embeddings rms_norm_eps norm_topk_prob routed_scaling_factor n_group topk_group"
    )
    names += " q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim"
    out = {name: getattr(text, name) for name in names.split()}
    return {**out, "pad_token_id": None, "bos_token_id": 0, "eos_token_id": 1}


@torch.inference_mode()
def transformers_decode(model: Any, batch: int, context: int, steps: int) -> list[float]:
    """Seconds of each step after a prompt, with a static cache and torch.compile on CUDA, plainly on a CPU."""
    from transformers import DynamicCache, StaticCache

    device = model.device
    cuda = device.type == "cuda"
    length = context - steps // 2
    cache = (
        StaticCache(config=model.config, max_cache_len=length + steps + 8)
        if cuda
        else DynamicCache(config=model.config)
    )
    ids = torch.randint(2, model.config.vocab_size, (batch, length), device=device)
    positions = torch.arange(length, device=device)
    model(ids, past_key_values=cache, cache_position=positions, use_cache=True, logits_to_keep=1)
    step = torch.compile(model.forward, mode="reduce-overhead", fullgraph=False) if cuda else model.forward
    token = ids[:, -1:].clone()
    times = []
    for number in range(steps + 3):
        position = torch.tensor([length + number], device=device)

        def one(position: torch.Tensor = position) -> None:
            logits = step(token, past_key_values=cache, cache_position=position, use_cache=True).logits
            token.copy_(logits[:, -1:].argmax(-1))

        times.append(seconds(one, device))
    return times[3:]


@torch.inference_mode()
def transformers_prefill(model: Any, tokens: int, repeats: int) -> list[float]:
    """Seconds of a fresh prompt to the logits of its last token."""
    ids = torch.randint(2, model.config.vocab_size, (1, tokens), device=model.device)
    times = [
        seconds(lambda: model(ids, use_cache=True, logits_to_keep=1).logits.argmax(-1).item(), model.device)
        for _ in range(repeats + 1)
    ]
    return times[1:]
