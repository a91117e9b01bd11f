"""processor_config.json: how the published files say that images and prompts are prepared (SPEC A5).

    processor_config.json --read_processor--> ProcessorConfig --require_match(VL2Config)--> usable
    VL2Config --ProcessorConfig.of--> ProcessorConfig --write_processor--> processor_config.json

Preparation here has no switches: a file that asks for anything but the published way is refused, not half honoured.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from vl2.config import CANDIDATE_RESOLUTIONS, VL2Config
from vl2.files import write_whole
from vl2.processing.render import IGNORE_INDEX
from vl2.processing.tokenizer import SPECIAL_STRINGS, Tokenizer
from vl2.section import ConfigError, Section

PROCESSOR_FILE = "processor_config.json"
TOKENIZER_FILE = "tokenizer.json"

# The only values that the renderer, the tiling and the model implement.
_PUBLISHED: dict[str, Any] = {
    "add_special_token": False,
    "ignore_id": IGNORE_INDEX,
    "image_mean": (0.5, 0.5, 0.5),
    "image_std": (0.5, 0.5, 0.5),
    "image_token": SPECIAL_STRINGS["image"],
    "normalize": True,
    "pad_token": SPECIAL_STRINGS["pad"],
    "processor_class": "DeepseekVLV2Processor",
    "sft_format": "deepseek",
}


@dataclass(frozen=True)
class ProcessorConfig(Section):
    """The published processor_config.json. `mask_prompt` tells whether training takes loss on answers only."""

    candidate_resolutions: tuple[tuple[int, int], ...] = CANDIDATE_RESOLUTIONS
    patch_size: int = 14
    downsample_ratio: int = 2
    mask_prompt: bool = False
    add_special_token: bool = False
    ignore_id: int = IGNORE_INDEX
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_token: str = SPECIAL_STRINGS["image"]
    normalize: bool = True
    pad_token: str = SPECIAL_STRINGS["pad"]
    processor_class: str = "DeepseekVLV2Processor"
    sft_format: str = "deepseek"

    def __post_init__(self) -> None:
        for key, published in _PUBLISHED.items():
            value = getattr(self, key)
            if value != published:
                raise ConfigError(f"{key} = {value!r}: only {published!r}, as every published model")
        if not self.candidate_resolutions:
            raise ConfigError("candidate_resolutions = (): is empty")

    @classmethod
    def of(cls, config: VL2Config) -> Self:
        """The processor of a model."""
        return cls(
            candidate_resolutions=config.candidate_resolutions,
            patch_size=config.vision_config.patch_size,
            downsample_ratio=config.projector_config.downsample_ratio,
        )

    def require_match(self, config: VL2Config) -> None:
        """Raise ConfigError if images prepared this way would not fit the model."""
        wanted = ProcessorConfig.of(config)
        for key in ("candidate_resolutions", "patch_size", "downsample_ratio"):
            value, model = getattr(self, key), getattr(wanted, key)
            if value != model:
                raise ConfigError(f"{PROCESSOR_FILE}: {key} = {value!r}: the model's config.json says {model!r}")

    def to_dict(self) -> dict[str, Any]:
        return dict(sorted(super().to_dict().items()))  # the order of the published file


def read_processor(directory: Path) -> ProcessorConfig:
    """Read a published processor_config.json."""
    path = directory / PROCESSOR_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a JSON object, got {type(values).__name__}")
    try:
        return ProcessorConfig.from_dict(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def write_processor(config: ProcessorConfig, directory: Path) -> None:
    """Write processor_config.json."""
    with write_whole(directory / PROCESSOR_FILE) as staging:
        staging.write_text(json.dumps(config.to_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_tokenizer(directory: Path, config: VL2Config) -> Tokenizer:
    """Read a model's tokenizer.json; ConfigError if it has ids that the model has no embeddings for."""
    tokenizer = Tokenizer.from_file(directory / TOKENIZER_FILE)
    language = config.language_config
    if tokenizer.vocab_size > language.vocab_size:
        raise ConfigError(
            f"vocab_size = {language.vocab_size}: {directory / TOKENIZER_FILE} has {tokenizer.vocab_size} ids"
        )
    return tokenizer
