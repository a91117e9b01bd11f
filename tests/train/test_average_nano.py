"""The mean of two checkpoints can be gone on from: weights between both, digests that fit, the rest the later's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file

from vl2.train.checkpoint import check, read_state

ROOT = Path(__file__).resolve().parents[2]
NANO = ROOT / "vl2" / "weights" / "nano"
HEAD = "model-00001-of-000004.safetensors"


@pytest.fixture(scope="module")
def script(import_script: Callable[[str], ModuleType]) -> ModuleType:
    return import_script("average_nano")


def test_weights_lie_between_in_the_types_of_the_later(script: ModuleType) -> None:
    earlier = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([1.0])}
    later = {"a": torch.tensor([2.0, 0.0], dtype=torch.bfloat16), "rng": torch.tensor([7], dtype=torch.uint8)}
    mean = script.mean_of(earlier, later, 0.75)
    assert mean.keys() == later.keys()
    assert mean["a"].dtype == torch.bfloat16
    assert mean["a"].tolist() == [1.5, 1.0]
    assert mean["rng"] is later["rng"]


def test_the_mean_is_a_checkpoint_to_go_on_from(script: ModuleType, tmp_path: Path) -> None:
    earlier, out = tmp_path / "earlier", tmp_path / "out"
    shutil.copytree(NANO, earlier)
    tensors = load_file(earlier / HEAD)
    name = min(tensors)
    save_file({**tensors, name: tensors[name] + 1}, earlier / HEAD)
    script.average(earlier, NANO, out, 0.5)
    check(out)
    assert read_state(out).state.step == read_state(NANO).state.step
    wanted, got = load_file(NANO / HEAD), load_file(out / HEAD)
    assert (got[name].float() - wanted[name].float() - 0.5).abs().max() < 0.01
    assert all(torch.equal(got[other], wanted[other]) for other in wanted if other != name)

    save_file({**tensors, name: tensors[name][:1]}, earlier / HEAD)
    with pytest.raises(SystemExit, match=f"has no {name} of shape"):
        script.average(earlier, NANO, tmp_path / "never", 0.5)
    content = json.loads((earlier / "state.json").read_text("utf-8"))
    (earlier / "state.json").write_text(json.dumps({**content, "moments": "bfloat16"}), "utf-8")
    with pytest.raises(SystemExit, match="has moments"):
        script.average(earlier, NANO, tmp_path / "never", 0.5)
    assert not (tmp_path / "never").exists()
