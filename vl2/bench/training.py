"""One training step of random weights on random tokens, of one process or of several: how long, how much memory.

    packed sequences --batch_losses--> loss --backward--> gradients --optimizer--> weights     as `vl2 train` does it

Operations are those of the model, each weight that a token visits once forward and twice backward; what is computed
again, or for nothing, does not count. The trap: parts that are timed one by one do not hide each other's launches, so
their sum may exceed the step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vl2.bench.floors import Parts, pair_width, vision_floor
from vl2.bench.machine import Machine
from vl2.bench.ours import text_prompt
from vl2.bench.timing import BenchError, Timing, seconds
from vl2.config import VL2Config
from vl2.data.packing import Budget, PackedBatch, Packer, PackItem
from vl2.model.cache import PackedSequences
from vl2.model.lora import attach, has_adapter
from vl2.model.moe import MoE
from vl2.model.rope import rope_table
from vl2.model.vl2 import VL2
from vl2.train.adapters import LoraSection
from vl2.train.compiling import compile_blocks
from vl2.train.config import UNDIVIDED, OptimizerSection, ParallelSection
from vl2.train.head_loss import head_loss
from vl2.train.loss import batch_losses
from vl2.train.optim import build_optimizer, learned_parameters
from vl2.train.ranks import ALONE, Ranks
from vl2.train.recompute import CHOICES, recompute
from vl2.train.sharding import Sharding, call, gradient_sums, sum_and_clip

_WARM = 2  # steps before any is timed: compiling, moments, the allocator


@dataclass(frozen=True)
class Training:
    """How to train.

    sequence: tokens of a packed sequence.
    tiles: tiles that the tower learns from, alone; 0: it is not measured.
    moments: of AdamW, "float32" (that is, in the dtype of the weights) or "int8".
    recompute: as in a recipe.
    lora: rank of an adapter that learns in place of the weights, as the recipe `lora` has it; 0 for none.
    compiled: decoder layers and blocks of the tower, as a recipe does on CUDA.
    parallel: how the ranks that torchrun started divide the model, as in a recipe.
    """

    sequence: int = 4096
    tiles: int = 8
    moments: str = "float32"
    recompute: str = "none"
    lora: int = 0
    compiled: bool = True
    parallel: ParallelSection = UNDIVIDED

    def __post_init__(self) -> None:
        for name, choices in (("moments", ("float32", "int8")), ("recompute", CHOICES)):
            if getattr(self, name) not in choices:
                raise BenchError(f"--{name} {getattr(self, name)!r}: must be one of {', '.join(choices)}")
        if self.lora and self.parallel.shard > 1:
            raise BenchError(f"--lora {self.lora}: needs --shard 1")

    def unusual(self) -> dict[str, Any]:
        """What of these choices a row's case has to say."""
        names = ("moments", "recompute", "lora")
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(DEFAULT, name)}


DEFAULT = Training()


def divided_model(config: VL2Config, dtype: torch.dtype, sharding: Sharding) -> VL2:
    """A model of random weights of which every rank has its part, and which no rank ever holds whole."""
    if dtype != torch.float32:
        raise BenchError(f"--dtype {str(dtype).removeprefix('torch.')}: weights that are divided are float32")
    with torch.device("meta"):
        shapes = {name: parameter.shape for name, parameter in VL2(config).named_parameters()}
    generator = torch.Generator(sharding.device).manual_seed(0)
    std = config.language_config.initializer_range

    def random(name: str, shape: torch.Size) -> Tensor:
        if len(shape) == 1:
            return torch.full(shape, float(name.endswith("weight")), device=sharding.device)  # norms ones, biases zeros
        return torch.empty(shape, device=sharding.device).normal_(std=std, generator=generator)

    tensors = ((name, random(name, shape)) for name, shape in shapes.items())
    return sharding.divide(config, tensors, bfloat16=sharding.device.type == "cuda")


def random_batch(config: VL2Config, tokens: int, sequence: int, device: torch.device, first: int = 0) -> PackedBatch:
    """Text of random tokens in sequences of one length, every token but the last of each a target.

    Args:
        first: number of its first sequence, which decides what is in it.
    """
    sequence = min(sequence, tokens)
    vision = config.vision_config
    packer = Packer(
        Budget(tokens, 0, sequence, -(-tokens // sequence)),
        tile_size=vision.image_size,
        tile_side=config.tile_side,
        num_patches=vision.grid_side**2,
        pad_id=0,
    )
    for number in range(tokens // sequence):
        assert packer.add(PackItem(text_prompt(config, sequence, first + number), 0))
    return packer.finish().to(device)


def training_floor(config: VL2Config, machine: Machine, lengths: tuple[int, ...], frozen: bool = False) -> float:
    """Seconds of the operations of a step on sequences of these lengths, all of whose tokens have logits.

    Args:
        frozen: weights get no gradients; those of an adapter are not counted.
    """
    text, parts = config.language_config, Parts.of(config)
    active = parts.attention + parts.dense + parts.shared + parts.router + parts.head
    active += parts.moe_layers * (text.num_experts_per_tok or 0) * parts.expert
    pairs = text.num_hidden_layers * text.num_attention_heads * sum(length**2 for length in lengths) / 2
    forward = 2 * active * sum(lengths) + 2 * pairs * pair_width(config, absorbed=False)
    return (2 if frozen else 3) * forward / machine.flops_per_sec


@dataclass(frozen=True)
class Trained:
    """times: seconds of each step; facts: seconds of its parts and of single layers, tiles a second, shares."""

    times: list[float]
    facts: dict[str, float]


def train(
    model: VL2, tokens: int, repeats: int, how: Training, machine: Machine, ranks: Ranks = ALONE,
    sharding: Sharding | None = None,
) -> Trained:  # fmt: skip
    """Measure; the model keeps its gradients' memory no longer than that. Of several ranks the slowest counts, and
    layers are not measured one by one."""
    device = model.device
    _let_learn(model, how, tower=ranks.count == 1)
    forwards = _prepare(model, how)
    optimizer = build_optimizer(model, None, OptimizerSection(moments=how.moments))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for group in optimizer.param_groups:
        group["lr"] = 1e-6
    batch = random_batch(model.config, tokens, how.sequence, device, ranks.rank * tokens)
    sums = gradient_sums(model, None, ranks)
    settings = {"background_weight": 0.0, "static": device.type == "cuda"}

    def forward() -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            losses = call(batch_losses, model, None, batch, **settings)
        if sharding is None:
            sums.expect_last()
        return (losses.text / batch.num_targets + 1e-3 * losses.balance) / ranks.count

    def update() -> None:
        sum_and_clip(model, parameters, 1.0, sums, sharding)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def step() -> None:
        forward().backward()
        update()

    for _ in range(_WARM):
        step()
    times = [seconds(step, device) for _ in range(repeats)]
    facts = phases(forward, update, device, repeats)
    if ranks.count == 1 and sharding is None:
        facts |= _layers(model, batch, repeats, how)
    optimizer.state.clear()
    sums.close()
    if ranks.count > 1:
        times, facts = _slowest(times, facts, ranks, device)
    elif how.tiles and not how.lora:  # which leaves the tower as it is
        facts |= _tower(model, how.tiles, repeats, machine)
    model.zero_grad(set_to_none=True)
    for block, plain in forwards:
        block.forward = plain
    return Trained(times, facts)


def _let_learn(model: VL2, how: Training, tower: bool) -> None:
    """Everything, or an adapter alone. Without the tower where ranks sum gradients: text never reaches it, so that one
    process passes over it, but ranks cannot know that of each other, and would sum and apply zeros."""
    model.train().requires_grad_(False)
    if how.lora and not has_adapter(model):
        targets = LoraSection().targets
        attach(model, rank=how.lora, alpha=2.0 * how.lora, dropout=0.0, targets=targets, base="random", seed=0)
    for name, _, parameter in learned_parameters(model, None):
        parameter.requires_grad_(tower or name.startswith("language."))


def _prepare(model: VL2, how: Training) -> list[tuple[Any, Callable[..., Any]]]:
    """Layers as a recipe has them, and what they were."""
    blocks: list[Any] = [model.vision.patch_embed, *model.vision.blocks, *model.language.layers]
    forwards = [(block, block.forward) for block in blocks]
    choice = "all" if how.compiled and model.device.type == "cuda" else "none"
    recompute(model, how.recompute, compile_blocks(model, choice))
    return forwards


def _slowest(
    times: list[float], facts: dict[str, float], ranks: Ranks, device: torch.device
) -> tuple[list[float], dict[str, float]]:
    """Times of every step on the rank that took longest, and the most of each fact."""
    mean = sum(times) / len(times)
    peak = float(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else 0.0
    own = torch.tensor([mean, peak, *times, *facts.values()], dtype=torch.float64, device=device)
    each = ranks.each(own)
    most = each.amax(0).tolist()
    found = dict(zip(facts, most[2 + len(times) :], strict=True))
    found["slowest_over_mean"] = most[0] / each[:, 0].mean().item()
    if peak:
        found["peak_memory_bytes"] = most[1]
    return most[2 : 2 + len(times)], found


def phases(
    forward: Callable[[], Tensor], update: Callable[[], None], device: torch.device, repeats: int
) -> dict[str, float]:
    """Seconds of the phases of a step, the device waited for after each."""
    times: dict[str, list[float]] = {"forward_sec": [], "backward_sec": [], "optimizer_sec": []}
    for _ in range(repeats):
        losses: list[Tensor] = []
        times["forward_sec"].append(seconds(lambda kept=losses: kept.append(forward()), device))
        times["backward_sec"].append(seconds(losses.pop().backward, device))
        times["optimizer_sec"].append(seconds(update, device))
    return {name: Timing.of(values).median for name, values in times.items()}


def _layers(model: VL2, batch: PackedBatch, repeats: int, how: Training) -> dict[str, float]:
    """Seconds, forward and backward, of the experts and of the attention of one layer, and of the loss."""
    text = model.config.language_config
    generator = torch.Generator(model.device).manual_seed(0)
    x_TD = torch.randn(batch.input_ids_T.numel(), text.hidden_size, device=model.device, generator=generator)
    x_TD = x_TD.to(model.dtype).requires_grad_()
    rope = rope_table(text, batch.positions_T)
    context = PackedSequences(batch.cu_seqlens_S1[: batch.num_sequences + 1], batch.max_sequence)
    layer: Any = model.language.layers[-1]
    attend, mlp = layer.self_attn, layer.mlp
    if how.compiled and model.device.type == "cuda":  # as they are inside their layer
        attend, mlp = (torch.compile(part, dynamic=False) for part in (attend, mlp))
    calls: dict[str, Callable[[], Tensor]] = {"attention_layer_sec": lambda: attend(x_TD, rope, context)}
    if isinstance(layer.mlp, MoE):
        calls["moe_layer_sec"] = lambda: mlp(x_TD)[0]
    targets = batch.labels_T[batch.target_positions_L]
    head = model.language.lm_head.weight
    weights = torch.ones(len(targets), device=model.device)
    calls["head_loss_sec"] = lambda: head_loss(x_TD[batch.target_positions_L], head, targets, weights)[0]
    found = {name: layer_seconds(call, model.device, repeats) for name, call in calls.items()}
    model.zero_grad(set_to_none=True)
    layers = text.num_hidden_layers
    sparse = sum(text.is_moe_layer(number) for number in range(layers))
    found["attention_sec"] = layers * found["attention_layer_sec"]
    found["experts_sec"] = sparse * found.get("moe_layer_sec", 0.0)
    return found


def layer_seconds(call: Callable[[], Tensor], device: torch.device, repeats: int) -> float:
    """Median seconds of a layer forward and backward."""

    def once() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            out = call()
        out.backward(torch.ones_like(out))

    for _ in range(_WARM):
        once()
    return Timing.of([seconds(once, device) for _ in range(repeats)]).median


def _tower(model: VL2, tiles: int, repeats: int, machine: Machine) -> dict[str, float]:
    """Tower and projector, forward and backward, on tiles of their own."""
    edge = model.config.vision_config.image_size
    pixels = torch.zeros(tiles, 3, edge, edge, device=model.device, dtype=model.dtype)
    taken = layer_seconds(lambda: model.encode_tiles(pixels)[1], model.device, repeats)
    model.zero_grad(set_to_none=True)
    floor = 3 * vision_floor(model.config, machine, tiles)
    return {"tiles_per_second": tiles / taken, "tower_sec": taken, "tower_of_floor": floor / taken}
