"""What a run leaves for others: weights in official layout, with tokenizer and processor; of an adapter, both forms.

model --(adapter folded in)--> RUN/weights: what `vl2.load` and other tools of the family read
adapter -----------------------> RUN/adapter: what PEFT reads, and `vl2.load` with the weights it belongs to
"""

import os
import shutil
from pathlib import Path

import torch

from vl2.files import write_whole
from vl2.model.lora import fold, has_adapter, write_adapter
from vl2.model.weights import read_tensors, replace_directory, save
from vl2.processing.processor import ProcessorConfig, write_processor
from vl2.train.assembly import Assembly
from vl2.train.card import model_card
from vl2.train.checkpoint import TrainState

WEIGHTS_NAME, ADAPTER_NAME, CARD_NAME = "weights", "adapter", "README.md"


def export(assembly: Assembly, path: Path, checkpoint: Path | None = None) -> None:
    """Write the model in official layout, bfloat16, with its tokenizer and processor: what `vl2.load` reads.

    Args:
        checkpoint: where to read the weights, if the model lies on several ranks.
    """
    save(assembly.model, path, torch.bfloat16, tensors=read_tensors(checkpoint) if checkpoint else None)
    assembly.tokenizer.save(path)
    write_processor(ProcessorConfig.of(assembly.model.config), path)


def export_adapter(assembly: Assembly, path: Path) -> None:
    """Write the adapter alone; `path` appears whole or stays as it was."""
    staging = path.with_name(f".{path.name}.writing-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        write_adapter(assembly.model, staging)
        replace_directory(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def export_current(assembly: Assembly, out: Path, checkpoint: Path | None = None) -> Path:
    """What a run in progress has learned, as `vl2.load` takes it: its weights, or its adapter alone."""
    if has_adapter(assembly.model):
        export_adapter(assembly, out / ADAPTER_NAME)
        return out / ADAPTER_NAME
    export(assembly, out / WEIGHTS_NAME, checkpoint)
    return out / WEIGHTS_NAME


def export_run(assembly: Assembly, out: Path, state: TrainState, checkpoint: Path | None = None) -> None:
    """Everything that a finished run leaves; an adapter ends up in the weights. `checkpoint` as for `export`."""
    export_current(assembly, out, checkpoint)
    if has_adapter(assembly.model):
        fold(assembly.model)
        export(assembly, out / WEIGHTS_NAME)
    with write_whole(out / WEIGHTS_NAME / CARD_NAME) as staging:
        staging.write_text(model_card(assembly.config, state.step, state.counters), encoding="utf-8")
