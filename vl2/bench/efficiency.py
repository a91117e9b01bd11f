"""What an answered question costs: operations and bytes of a model, and of dense models to hold it against.

    VL2Config --dense_like--> the same modules without experts, as wide as all of them, or as those that are activated
    VL2Config, Question --cost--> operations and bytes of tower, prompt and answer

Operations count a multiply and an add as two. Bytes are weights and cached tokens read, a weight once for each pass
that needs it, in bfloat16. A batch shares the weights it reads; of routed experts it reads those that some sequence
visits, with every token drawing its experts alike.

The trap: sparse models save operations at any size of a batch, and bytes only in small ones. A prompt of two thousand
tokens, or a batch of a hundred answers, visits every expert.
"""

from dataclasses import dataclass, replace

from vl2.bench.floors import Parts
from vl2.config import VL2Config
from vl2.family import BF16_BYTES, facts
from vl2.layout import TileGrid, image_token_count
from vl2.model.slots import slots

_WIDTH_MULTIPLE = 64


@dataclass(frozen=True)
class Question:
    """One image of `side` x `side` local tiles (3: ten tiles with the global view), a question and an answer in tokens.

    batch: questions that are answered together.
    """

    side: int = 3
    text: int = 24
    answer: int = 50
    batch: int = 1


@dataclass(frozen=True)
class Cost:
    """Of one question: operations, bytes read. parameters: stored, all of the model."""

    parameters: int
    vision_flops: float
    prompt_flops: float
    answer_flops: float
    vision_bytes: float
    prompt_bytes: float
    answer_bytes: float

    @property
    def flops(self) -> float:
        return self.vision_flops + self.prompt_flops + self.answer_flops

    @property
    def bytes(self) -> float:
        return self.vision_bytes + self.prompt_bytes + self.answer_bytes


def dense_like(config: VL2Config, *, total: bool) -> VL2Config:
    """The same model without experts: every feed-forward network so wide that parameters are equal.

    Args:
        total: as many parameters as the model has; otherwise as many as are activated by a token. Widths are multiples
            of 64, so that either is met to a fraction of a per cent.
    """
    text, parts = config.language_config, Parts.of(config)
    experts = (text.n_routed_experts or 0) if total else (text.num_experts_per_tok or 0)
    weights = parts.dense + parts.shared + parts.router + parts.moe_layers * experts * parts.expert
    width = weights / (3 * text.hidden_size * text.num_hidden_layers)
    width = max(round(width / _WIDTH_MULTIPLE), 1) * _WIDTH_MULTIPLE
    dense = replace(text, n_routed_experts=None, n_shared_experts=None, num_experts_per_tok=None)
    return replace(config, language_config=replace(dense, intermediate_size=width))


def cost(config: VL2Config, question: Question) -> Cost:
    """Operations and bytes of one question."""
    text, parts = config.language_config, Parts.of(config)
    edge = config.vision_config.image_size * question.side
    grid = TileGrid(rows=question.side, cols=question.side)
    prompt = image_token_count(grid, config.tile_side) + question.text
    every = parts.attention + parts.dense + parts.shared + parts.router  # of a token, the head apart
    active = every + parts.moe_layers * (text.num_experts_per_tok or 0) * parts.expert
    heads = text.num_hidden_layers * text.num_attention_heads
    fresh = text.head_dim + (text.v_head_dim if text.use_mla else text.head_dim)
    # Latent attention scores and sums latents directly while it decodes.
    cached = 2 * (text.kv_lora_rank or 0) + text.qk_rope_head_dim if text.use_mla else 2 * text.head_dim
    contexts = sum(prompt + i for i in range(question.answer))
    row = text.num_hidden_layers * text.kv_values_per_token * BF16_BYTES
    answering = every + parts.head + parts.moe_layers * _visited(config, question.batch) * parts.expert
    prompting = every + parts.head + parts.moe_layers * _visited(config, prompt * question.batch) * parts.expert
    shared = BF16_BYTES / question.batch
    tower = sum(
        slot.numel
        for slot in slots(config)
        if slot.official.startswith(("vision.", "projector.")) and not slot.official.startswith("vision.attn_pool.")
    )
    return Cost(
        parameters=sum(slot.numel for slot in slots(config)),
        vision_flops=facts(config, (edge, edge)).image_flops,
        prompt_flops=2 * active * prompt + 2 * parts.head + heads * fresh * prompt * prompt,
        answer_flops=2 * (active + parts.head) * question.answer + 2 * heads * cached * contexts,
        vision_bytes=tower * shared,
        prompt_bytes=prompting * shared,
        answer_bytes=answering * shared * question.answer + row * contexts,
    )


def _visited(config: VL2Config, tokens: int) -> float:
    """Experts of a layer that some of `tokens` tokens visits, on average."""
    experts, active = config.language_config.n_routed_experts or 0, config.language_config.num_experts_per_tok or 0
    return experts * (1 - (1 - active / experts) ** tokens) if experts else 0.0
