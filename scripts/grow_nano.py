"""Give a trained Nano another tokenizer, without losing what it knows, and classes for every Chinese character.

    rows of embeddings and head of pieces that stay --copied, by piece--> the same rows, wherever their ids are now
    a new piece: embedding random, as all began; head row that of its first byte, with noise
    classes of the patch head that are known --copied--> new ones behind them (vl2/train/patch_head.py)

The bytes of Chinese were in no text that Nano was trained on. Their embeddings are as random as new ones; their rows of
the head say "never", and a new piece begins as unlikely as they are, so that English answers stay what they were.
The result is a checkpoint without moments, like the one that is shipped:

    python scripts/grow_nano.py vl2/weights/nano TOKENIZER_DIR OUT_DIR
    vl2 train RECIPE --resume OUT_DIR        of a recipe whose model has this vocab_size and tokenizer

The trap: training that resumes checks that its recipe's config is that of the checkpoint, but not its tokenizer.
"""

import argparse
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vl2.config import read_config
from vl2.model.vl2 import VL2
from vl2.model.weights import read_tensors, replace_directory, write_weights
from vl2.processing.processor import ProcessorConfig, write_processor
from vl2.processing.tokenizer import Tokenizer
from vl2.synth.sample import NUM_LABELS
from vl2.train.checkpoint import read_state
from vl2.train.patch_head import with_new_classes

SEED = 20261125
MAX_FILE_BYTES = 15 << 20
EMBEDDINGS, HEAD = "language.embed_tokens.weight", "language.lm_head.weight"


def vocabulary(directory: Path) -> dict[str, int]:
    """Piece to id, special tokens too."""
    content = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    return content["model"]["vocab"] | {token["content"]: token["id"] for token in content["added_tokens"]}


def grow_rows(rows_VD: Tensor, old: dict[str, int], new: dict[str, int], fresh_VD: Tensor) -> Tensor:
    """Rows of the new vocabulary: copied by piece, `fresh_VD` where there is none to copy."""
    out_VD = fresh_VD.clone()
    kept = [piece for piece in new if piece in old]
    out_VD[[new[piece] for piece in kept]] = rows_VD[[old[piece] for piece in kept]]
    return out_VD


def grow_tensors(source: Path, old: dict[str, int], new: dict[str, int], spread: float) -> dict[str, Tensor]:
    """Every tensor of the model, embeddings and head with a row for each id of `new`."""
    tensors, generator = dict(read_tensors(source)), torch.Generator().manual_seed(SEED)
    size, width = len(new), tensors[EMBEDDINGS].shape[1]
    first_byte = [old[piece] if piece in old else old[piece[0]] for piece in sorted(new, key=new.__getitem__)]
    for name in (EMBEDDINGS, HEAD):
        fresh = torch.randn(size, width, generator=generator) * spread
        if name == HEAD:
            fresh += tensors[HEAD][first_byte]
        tensors[name] = grow_rows(tensors[name], old, new, fresh)
    return tensors


def grow_extras(source: Path) -> dict[str, Tensor]:
    """The patch head with a class for every label of the data engine, and what else stands beside the weights."""
    extras = load_file(source / "extras.safetensors")
    for name in ("patch_head.classes.weight", "patch_head.classes.bias"):
        extras[name] = with_new_classes(extras[name], NUM_LABELS, SEED)
    return extras


def write_state(source: Path, folder: Path, size: int) -> None:
    """state.json of the source, of the new size, with the digests of what lies in the folder."""
    content = json.loads((source / "state.json").read_text(encoding="utf-8"))
    content["recipe"]["model"]["config"]["language_config"]["vocab_size"] = size
    content["files"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
    (folder / "state.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def grow(source: Path, tokenizer_directory: Path, out: Path) -> None:
    """Write the grown checkpoint; `out` appears whole."""
    if read_state(source).moments != "none":
        raise SystemExit(f"{source}: has moments, which would not fit any more; take its compact checkpoint")
    old, new = vocabulary(source), vocabulary(tokenizer_directory)
    assert sorted(new.values()) == list(range(len(new)))
    before = read_config(source / "config.json")
    language = before.language_config
    config = replace(before, language_config=replace(language, vocab_size=len(new)))
    tensors = grow_tensors(source, old, new, language.initializer_range)
    staging = out.with_name(f".{out.name}.writing")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    with torch.device("meta"):
        model = VL2(config)
    write_weights(model, staging, torch.bfloat16, MAX_FILE_BYTES, tensors.items())
    save_file(grow_extras(source), staging / "extras.safetensors")
    Tokenizer.from_file(tokenizer_directory / "tokenizer.json").save(staging)
    write_processor(ProcessorConfig.of(config), staging)
    write_state(source, staging, len(new))
    replace_directory(staging, out)
    kept, parameters = len(old.keys() & new.keys()), sum(tensor.numel() for tensor in tensors.values())
    print(f"{kept} of {len(old)} pieces kept, {len(new) - kept} new; {parameters:,} parameters stored")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="checkpoint of Nano without moments")
    parser.add_argument("tokenizer", type=Path, help="directory of the new tokenizer.json")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    grow(arguments.source, arguments.tokenizer, arguments.out)


if __name__ == "__main__":
    main()
