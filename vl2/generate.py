"""The plain decoding loop: prompts in, tokens out, one at a time. Reference for every faster engine.

    Prompt --encode tiles, embed--> prefill each prompt --> step all unfinished sequences together --> Token

The trap: a prompt's tokens must not depend on its neighbours. Prompts are prefilled one by one; and on the CPU, where
a matrix product rounds differently with its number of rows, every sequence also steps by itself.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vl2.model.cache import CachedSequences
from vl2.model.vl2 import VL2
from vl2.processing.render import Prompt
from vl2.sampling import FinishReason, Sampler, SamplingParams


@dataclass(frozen=True)
class Token:
    """One generated token of one prompt; `finish` is set on its last. The end token itself is reported too."""

    prompt: int
    token_id: int
    finish: FinishReason | None


def embed_prompt(model: VL2, prompt: Prompt) -> Tensor:
    """Embeddings (T, D) of a prompt with its images encoded."""
    device = model.device
    image_embeds_ID = model.image_newline.new_zeros(0, model.config.language_config.hidden_size)
    if prompt.images:
        tiles = [torch.from_numpy(image.unique_tiles_NCYX) for image in prompt.images]
        image_embeds_ID = torch.cat(model.embed_images(tiles, [image.grid for image in prompt.images]))
    positions = [p for start, length in prompt.spans for p in range(start, start + length)]
    ids = torch.tensor(prompt.input_ids, device=device)
    return model.embed(ids, torch.tensor(positions, dtype=torch.long, device=device), image_embeds_ID)


@torch.inference_mode()
def generate(
    model: VL2, prompts: Sequence[Prompt], params: Sequence[SamplingParams], eos_id: int
) -> Generator[Token, int | None, None]:
    """Generate for all prompts together, yielding tokens as they come.

    Ends a sequence at `eos_id`, at its max_tokens, or where the model's context ends. A consumer that has seen a
    stop string may answer a token with its prompt's number (`generator.send`) to end that sequence early.
    """
    if not prompts:
        return
    language = model.config.language_config
    limits = [
        min(p.max_tokens, language.max_position_embeddings - len(q.input_ids))
        for p, q in zip(params, prompts, strict=True)
    ]
    capacity = max(len(q.input_ids) + limit for q, limit in zip(prompts, limits, strict=True))
    cache = CachedSequences(language, len(prompts), capacity, model.device, model.dtype)
    samplers = [Sampler(p, q.input_ids) for p, q in zip(params, prompts, strict=True)]
    running: dict[int, int] = {}  # prompt -> its newest token
    produced = [0] * len(prompts)

    def choose(prompt: int, logits_V: Tensor) -> Token:
        token_id = samplers[prompt].choose(logits_V)
        produced[prompt] += 1
        finish: FinishReason | None = None
        if token_id == eos_id:
            finish = samplers[prompt].end
        elif produced[prompt] >= limits[prompt]:
            finish = "length"
        else:
            running[prompt] = token_id
        return Token(prompt, token_id, finish)

    for number, prompt in enumerate(prompts):
        x_TD = embed_prompt(model, prompt)
        counts = [len(x_TD) if seq == number else 0 for seq in range(len(prompts))]
        hidden_TD, _ = model(x_TD, cache.begin_step(counts), cache)
        if (yield choose(number, model.logits(hidden_TD[-1:])[0])) is not None:
            running.pop(number, None)
    together = model.device.type != "cpu"
    while running:
        rows = sorted(running)
        for step in [rows] if together else [[row] for row in rows]:
            ids = torch.tensor([running.pop(row) for row in step], device=model.device)
            positions_T = cache.begin_step([int(seq in step) for seq in range(len(prompts))])
            hidden_TD, _ = model(model.language.embed_tokens(ids), positions_T, cache)
            for row, logits_V in zip(step, model.logits(hidden_TD), strict=True):
                if (yield choose(row, logits_V)) is not None:
                    running.pop(row, None)
