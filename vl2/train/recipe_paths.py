"""What a recipe names: files beside it, weights in a directory or on the hub.

    "data/x.jsonl" in a recipe    --> beside the recipe        "tiny", "owner/name" --> left to vl2.hub
    the same in --set or --data   --> in the working directory

The trap: "owner/name" is a hub id only if no such directory exists.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vl2.data.hf_datasets import PREFIX, is_dataset
from vl2.hub import PUBLISHED

if TYPE_CHECKING:
    from vl2.train.config import TrainConfig

BYTE_TOKENIZER = "bytes"


def names_file(key: str) -> bool:
    """Whether a key of a recipe names a file or a directory."""
    return key in ("model.weights", "model.tokenizer") or key.startswith(("records.", "evaluation.records."))


def absolute_record(name: str, base: Path) -> str:
    """As a file or glob, or with the prefix of Hugging Face datasets, of which a name on the hub stays."""
    if not is_dataset(name):
        return str((base / Path(name).expanduser()).resolve())
    place, hash_mark, split = name.removeprefix(PREFIX).partition("#")
    path = (base / place).resolve()
    return f"{PREFIX}{path if path.is_dir() else place}{hash_mark}{split}"


def absolute_name(name: str, base: Path) -> str:
    """A path made absolute; names of models, and "bytes" for a tokenizer, stay."""
    if not name or name in (BYTE_TOKENIZER, "nano", *PUBLISHED):
        return name
    path = base / Path(name).expanduser()
    is_hub_id = name.count("/") == 1 and not name.startswith((".", "~", "/")) and not path.suffix
    return name if is_hub_id and not path.exists() else str(path.resolve())


def with_absolute_paths(config: "TrainConfig", base: Path) -> "TrainConfig":
    """The recipe with every relative path beside itself made absolute."""
    weights, tokenizer = (absolute_name(name, base) for name in (config.model.weights, config.model.tokenizer))
    records = tuple((name, absolute_record(path, base)) for name, path in config.records)
    evaluation = config.evaluation
    if evaluation:
        held_out = tuple((name, str((base / path).resolve())) for name, path in evaluation.records)
        evaluation = replace(evaluation, records=held_out)
    model = replace(config.model, weights=weights, tokenizer=tokenizer)
    return replace(config, model=model, records=records, evaluation=evaluation)
