"""The mean of two checkpoints of one run: the weights of a later one, pulled back towards an earlier one.

    python scripts/average_nano.py EARLIER LATER OUT [--share 0.5]       share of LATER in every weight
    vl2 train RECIPE --resume OUT        goes on as from LATER, whose state, random numbers and other files OUT has

Both have no moments, like the one that is shipped. The trap: weights of two runs that began apart have no useful mean.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vl2.model.weights import replace_directory
from vl2.train.checkpoint import read_state


def mean_of(earlier: dict[str, Tensor], later: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights of both by name, in the types of `later`; what is no floating point number is that of `later`."""
    return {
        name: torch.lerp(earlier[name].float(), tensor.float(), share).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in later.items()
    }


def average(earlier: Path, later: Path, out: Path, share: float) -> None:
    """Write the mean; `out` appears whole."""
    for folder in (earlier, later):
        if read_state(folder).moments != "none":
            raise SystemExit(f"{folder}: has moments, which would not fit the mean; take its compact checkpoint")
    before: dict[str, Tensor] = {}
    for path in earlier.glob("*.safetensors"):
        before |= load_file(path)
    staging = out.with_name(f".{out.name}.writing")
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(later, staging)
    for path in sorted(staging.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        tensors = load_file(path)
        for name, tensor in tensors.items():
            if name not in before or before[name].shape != tensor.shape:
                raise SystemExit(f"{earlier}: has no {name} of shape {tuple(tensor.shape)}; choose two of one run")
        save_file(mean_of(before, tensors, share), path, metadata=metadata)
    content = json.loads((staging / "state.json").read_text(encoding="utf-8"))
    content["files"] = {
        name: hashlib.sha256((staging / name).read_bytes()).hexdigest() for name in sorted(content["files"])
    }
    (staging / "state.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    replace_directory(staging, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("later", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the later one, between 0 and 1")
    arguments = parser.parse_args()
    if not 0 <= arguments.share <= 1:
        parser.error(f"--share {arguments.share}: expected between 0 and 1")
    average(arguments.earlier, arguments.later, arguments.out, arguments.share)


if __name__ == "__main__":
    main()
