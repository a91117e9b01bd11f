"""From a recipe to the objects that train: model, patch head, tokenizer, renderer, sources, data of a stage."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend
from torch import nn

from vl2.config import VL2Config, read_config
from vl2.data.conversations import Conversations, read_conversations
from vl2.data.image_references import Fetch
from vl2.data.mixture import MixtureSpec, PackedDataset, Sources, SynthSource
from vl2.data.packing import Budget
from vl2.device import pick_device
from vl2.hub import find_model
from vl2.model.moe import RoutedExperts
from vl2.model.vl2 import VL2
from vl2.model.weights import load, read_tensors
from vl2.processing.render import Renderer
from vl2.processing.tokenizer import SPECIAL_STRINGS, Tokenizer
from vl2.section import ConfigError
from vl2.train.adapters import check_stages
from vl2.train.adapters import start as start_adapter
from vl2.train.config import TrainConfig
from vl2.train.patch_head import PatchHead
from vl2.train.recipe_paths import BYTE_TOKENIZER
from vl2.train.sharding import Sharding


@dataclass(frozen=True)
class Assembly:
    """Everything built from the recipe that does not change while training runs.

    patch_head: None if no stage uses the patch loss.
    left_out: what is to be said of bad records that training goes on without.
    """

    config: TrainConfig
    device: torch.device
    model: VL2
    patch_head: PatchHead | None
    tokenizer: Tokenizer
    sources: Sources
    left_out: tuple[str, ...] = ()

    @property
    def bfloat16(self) -> bool:
        return in_bfloat16(self.config, self.device)


def in_bfloat16(config: TrainConfig, device: torch.device) -> bool:
    """Whether the recipe wants products in bfloat16 on this device."""
    return config.precision in ("bfloat16", "all_bfloat16") or (config.precision == "auto" and device.type == "cuda")


def assemble(
    config: TrainConfig,
    synth: SynthSource | None,
    checkpoint: Path | None,
    device_id: int = 0,
    sharding: Sharding | None = None,
    fetch: Fetch | None = None,
) -> Assembly:
    """Build a run, the same on every rank.

    Args:
        synth: generators, if the mixture names synthetic tasks.
        device_id: which device, if the recipe leaves it open and there are several.
        checkpoint: directory whose weights replace those the recipe starts from.
        sharding: how the model lies on the ranks, if not whole on each.
        fetch: what downloads images, if the recipe allows it.

    Raises: ConfigError, WeightsError, and what reading tokenizers and records raises.
    """
    device = pick_device(config.device, device_id)
    weights = find_model(config.model.weights) if config.model.weights else None
    _check_trainable(weights if config.lora else checkpoint or weights)
    sources, left_out = _sources(config, synth, fetch)  # mistakes in data show before gigabytes of weights are read
    tokenizer = _tokenizer(config, weights)
    model = _model(config, device, weights, checkpoint, sharding)
    vocabulary = model.config.language_config.vocab_size
    if tokenizer.vocab_size > vocabulary:
        raise ConfigError(f"vocab_size = {vocabulary}: the tokenizer has {tokenizer.vocab_size} ids; use a larger one")
    head = _patch_head(config, synth, model.config, device)
    return Assembly(config, device, model, head, tokenizer, sources, left_out)


def _sources(config: TrainConfig, synth: SynthSource | None, fetch: Fetch | None) -> tuple[Sources, tuple[str, ...]]:
    """What the mixture names, every record checked, and what is to be said of bad ones."""
    if config.fetch_images and fetch is None:
        raise ConfigError("fetch_images = true: nothing here can download; train with the command vl2 train")
    records: dict[str, Conversations] = {}
    left_out: list[str] = []
    for name, pattern in config.records:
        records[name], reports = read_conversations(
            pattern, config.max_bad_records, fetch if config.fetch_images else None
        )
        left_out += [line for report in reports for line in report.lines()]
    sources = Sources(synth, records)
    for stage in config.stages:
        sources.check([name for name, _ in stage.mixture])
    return sources, tuple(left_out)


def _model(
    config: TrainConfig, device: torch.device, weights: Path | None, checkpoint: Path | None, sharding: Sharding | None
) -> VL2:
    start = checkpoint or weights
    if weights is not None and config.lora:
        dtype = torch.bfloat16 if in_bfloat16(config, device) else torch.float32  # they stay as they are
        model = start_adapter(config.lora, config.model.weights, weights, checkpoint, device, dtype, config.seed)
        check_stages(model, config.stages)
    elif start is not None:
        stored = read_config(start / "config.json")
        if config.model.config is not None and stored != config.model.config:
            raise ConfigError(f"{start}: its config.json differs from the recipe's model; resume with the same recipe")
        if sharding:
            model = sharding.divide(stored, read_tensors(start), bfloat16=in_bfloat16(config, device))
        elif config.precision == "all_bfloat16":  # never in float32 on the device
            model = narrow(load(start, "cpu", torch.float32)).to(device)
        else:
            model = load(start, device, torch.float32)
    else:
        assert config.model.config is not None
        model = VL2(config.model.config)  # initialised on the CPU, so that every device starts from the same weights
        model.initialize(config.seed)
        if sharding:
            model = sharding.divide(model.config, model.named_parameters(), bfloat16=in_bfloat16(config, device))
        else:
            model = (narrow(model) if config.precision == "all_bfloat16" else model).to(device)
    return model.train()


def _check_trainable(weights: Path | None) -> None:
    if weights and (quantization := read_config(weights / "config.json").quantization_config):
        raise ConfigError(
            f"{weights}: its weights are quantised ({quantization.experts}) and cannot be trained; start from the "
            "original weights"
        )


def narrow(model: VL2) -> VL2:
    """Put into bfloat16 what is multiplied in it: weights of linear layers and experts. The stream stays float32."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.data = module.weight.data.bfloat16()
        elif isinstance(module, RoutedExperts):
            module.gate_up.data, module.down.data = module.gate_up.data.bfloat16(), module.down.data.bfloat16()
    return model


def _patch_head(
    config: TrainConfig, synth: SynthSource | None, model: VL2Config, device: torch.device
) -> PatchHead | None:
    if not any(stage.uses_patch_loss for stage in config.stages):
        return None
    if synth is None:
        raise ConfigError("patch_loss_weight: needs synthetic tasks, whose renderer knows what every patch shows")
    head = PatchHead(model.vision_config.width, synth.num_labels)
    head.initialize(config.seed)
    return head.to(device)


def _tokenizer(config: TrainConfig, weights: Path | None) -> Tokenizer:
    if config.model.tokenizer == BYTE_TOKENIZER:
        return byte_tokenizer()
    path = Path(config.model.tokenizer) if config.model.tokenizer else weights
    assert path is not None
    return Tokenizer.from_file(path / "tokenizer.json" if path.is_dir() else path)


def byte_tokenizer() -> Tokenizer:
    """One token per byte, after the special tokens: needs no file and no training."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: i for i, text in enumerate([*SPECIAL_STRINGS.values(), *alphabet])}
    backend = Backend(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL_STRINGS.values()])
    return Tokenizer(backend)


def stage_dataset(assembly: Assembly, number: int) -> PackedDataset:
    """The data of one stage."""
    stage = assembly.config.stages[number]
    spec = MixtureSpec(
        weights=stage.mixture,
        seed=assembly.config.seed,
        stage=number,
        num_samples=stage.num_samples or None,
        max_questions=stage.questions_per_image,
        uses=stage.uses,
        mask_prompt=stage.mask_prompt,
        with_patch_targets=stage.uses_patch_loss,
        penmanship=stage.penmanship,
        conversations=stage.conversations,
    )
    sizes = stage.tokens_per_batch, stage.tiles_per_batch, stage.max_sequence_tokens, stage.max_prompts
    budget = Budget(*sizes, branching=stage.conversations > 1)
    config, tokenizer = assembly.model.config, assembly.tokenizer
    renderer = Renderer(tokenizer, config)
    return PackedDataset(spec, assembly.sources, renderer, config, budget, tokenizer.special.pad)
