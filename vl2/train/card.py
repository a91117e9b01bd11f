"""The model card beside exported weights: what they were made from, how, and under which licence, as README.md.

The trap: paths of the machine that trained say nothing to others; a card names files, not where they lay.
"""

from pathlib import Path

from vl2.hub import PUBLISHED
from vl2.train.config import TrainConfig
from vl2.train.stage import Stage

_LICENCES = {  # front matter and words, by where the weights came from
    "deepseek": (
        "license: other\nlicense_name: deepseek\n"
        "license_link: https://github.com/deepseek-ai/DeepSeek-LLM/blob/HEAD/LICENSE-MODEL",
        "The weights began as published DeepSeek-VL2 weights and stay under the DeepSeek model licence.",
    ),
    "nano": ("license: mit", "The weights began as vl2's Nano, which is under the MIT licence."),
    "scratch": ("license: unknown", "Trained from random weights; whoever trained them chooses a licence."),
    "other": ("license: unknown", "The weights stay under the licence of those that they began as."),
}


def _kind(weights: str) -> str:
    if not weights:
        return "scratch"
    name = Path(weights).name.lower()
    if weights in PUBLISHED or weights.startswith("deepseek-ai/") or name.startswith("deepseek-vl2"):
        return "deepseek"
    return "nano" if name == "nano" else "other"


def model_card(config: TrainConfig, step: int, counters: dict[str, float]) -> str:
    """Markdown with front matter, as model hubs read it.

    Args:
        step: optimizer steps done.
        counters: totals of the run: tokens, prompts, tiles, elapsed_sec.
    """
    start, kind = config.model.weights, _kind(config.model.weights)
    front, licence = _LICENCES[kind]
    named = PUBLISHED.get(start, start)
    base = f"base_model: {named}\n" if kind == "deepseek" and named.startswith("deepseek-ai/") else ""
    begun = f"the weights of {Path(named).name if Path(named).is_absolute() else named}" if start else "random weights"
    how = _lora(config) if config.lora else "All weights of the groups that a stage does not freeze were trained."
    totals = ", ".join(f"{int(counters.get(key, 0)):,} {key}" for key in ("tokens", "prompts", "tiles"))
    rows = "".join(_row(stage) for stage in config.stages)
    sources = (
        "".join(f"- `{name}`: {Path(path).name}\n" for name, path in config.records) or "- none but synthetic ones\n"
    )
    return f"""---
{front}
{base}library_name: vl2
pipeline_tag: image-text-to-text
tags: [deepseek_vl2, vision-language, mixture-of-experts]
---

# A member of the DeepSeek-VL2 family

Trained with vl2 from {begun}, {step:,} of {config.total_steps:,} steps. {how}
In all {totals}, {counters.get("elapsed_sec", 0):,.0f} seconds. Seed {config.seed}, precision {config.precision}.

The files are in the layout of the published checkpoints, in bfloat16:

    import vl2
    answer = vl2.load("this directory").ask("image.png", "a question")

## Recipe

{config.optimizer.name}, betas {config.optimizer.beta1} and {config.optimizer.beta2}, weight decay \
{config.optimizer.weight_decay}, gradients clipped at {config.optimizer.clip}.

| stage | steps | learning rate | schedule | frozen | tokens a step, at most | loss on | data, by weight |
|---|---:|---:|---|---|---:|---|---|
{rows}
## Data

{sources}
Names in the table that are not in this list are tasks of vl2's synthetic data.

## Licence

{licence} The data may ask for more.
"""


def _lora(config: TrainConfig) -> str:
    assert config.lora
    targets = ", ".join(config.lora.targets)
    return f"LoRA of rank {config.lora.rank} (alpha {config.lora.alpha:g}) on {targets}, added to the weights."


def _row(stage: Stage) -> str:
    sources = ", ".join(f"{name} {weight:g}" for name, weight in stage.mixture)
    frozen, loss = ", ".join(stage.freeze) or "nothing", "answers" if stage.mask_prompt else "all text"
    tokens, rate = stage.tokens_per_batch * stage.accumulation, f"{stage.learning_rate:g}"
    cells = stage.name, f"{stage.steps:,}", rate, stage.schedule, frozen, f"{tokens:,}", loss, sources
    return f"| {' | '.join(cells)} |\n"
