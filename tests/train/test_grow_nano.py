"""A grown Nano knows what Nano knew: rows by piece, logits of kept pieces, classes of patches; and it trains on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_synth import TINY_SYNTH
from tokenizers import Tokenizer as Backend
from torch import Tensor

from vl2.config import read_config
from vl2.data.mixture import SynthSource
from vl2.model.cache import PackedSequences
from vl2.model.vl2 import VL2
from vl2.model.weights import load
from vl2.processing.tokenizer import Tokenizer
from vl2.synth.patches import patch_targets
from vl2.synth.registry import TASKS, generate
from vl2.synth.sample import NUM_LABELS
from vl2.train.checkpoint import check, read_state
from vl2.train.loop import train

ROOT = Path(__file__).resolve().parents[2]
NANO = ROOT / "vl2" / "weights" / "nano"
CHARACTERS = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허고노도로모보소오조초코토포호구누두루무부"
ENGLISH = "The total is 30.90, paid in cash on Monday. Where is the red square?"
SIZE = 9760
SYNTH = SynthSource(generate, patch_targets, tuple(TASKS), NUM_LABELS)


@pytest.fixture(scope="module")
def scripts(import_script: Callable[[str], ModuleType]) -> tuple[ModuleType, ModuleType]:
    return import_script("grow_nano"), import_script("grow_tokenizer")


@pytest.fixture(scope="module")
def grown(scripts: tuple[ModuleType, ModuleType], tmp_path_factory: pytest.TempPathFactory) -> Path:
    grow_nano, grow_tokenizer = scripts
    folder = tmp_path_factory.mktemp("grown")
    old = json.loads((NANO / "tokenizer.json").read_text(encoding="utf-8"))
    counts = grow_tokenizer.count_pieces(Backend.from_file(str(NANO / "tokenizer.json")), [ENGLISH])
    definition = grow_tokenizer.grow(old, CHARACTERS, counts, SIZE)
    Tokenizer(Backend.from_str(json.dumps(definition))).save(folder / "tokenizer")
    grow_nano.grow(NANO, folder / "tokenizer", folder / "nano")
    return folder / "nano"


def test_it_is_a_checkpoint_of_the_official_layout(grown: Path) -> None:
    check(grown)
    assert read_state(grown).state.step == read_state(NANO).state.step
    assert read_config(grown / "config.json").language_config.vocab_size == SIZE
    assert Tokenizer.from_file(grown / "tokenizer.json").vocab_size == SIZE
    assert {path.name for path in NANO.iterdir()} == {path.name for path in grown.iterdir()}


def logits(model: VL2, ids: list[int]) -> Tensor:
    tokens = torch.tensor(ids)
    x_TD = model.embed(tokens, torch.empty(0, dtype=torch.long), model.image_newline.new_empty(0, 320))
    with torch.no_grad():
        hidden_TD, _ = model(x_TD, torch.arange(len(ids)), PackedSequences(torch.tensor([0, len(ids)]).int(), len(ids)))
        return hidden_TD @ model.language.lm_head.weight.T


def test_kept_pieces_have_the_same_logits(grown: Path) -> None:
    before, after = Tokenizer.from_file(NANO / "tokenizer.json"), Tokenizer.from_file(grown / "tokenizer.json")
    ids = [before.special.bos, *before.encode(ENGLISH)]
    assert after.encode(ENGLISH) == ids[1:]
    old, new = (Backend.from_file(str(d / "tokenizer.json")).get_vocab() for d in (NANO, grown))
    kept = sorted(old[piece] for piece in old.keys() & new.keys())
    assert 0.97 * len(old) < len(kept) < len(old)
    first, second = logits(load(NANO), ids), logits(load(grown), ids)
    torch.testing.assert_close(second[:, kept], first[:, kept], rtol=0, atol=0)
    added = sorted(set(range(SIZE)) - set(kept))
    assert second.softmax(-1)[:, added].sum(-1).max() < 0.01  # nobody expects them yet
    assert len(torch.unique(load(grown).language.lm_head.weight[added], dim=0)) == len(added)


def test_known_classes_stay(grown: Path) -> None:
    before, after = load_file(NANO / "extras.safetensors"), load_file(grown / "extras.safetensors")
    for name in ("patch_head.classes.weight", "patch_head.classes.bias"):
        assert len(after[name]) == NUM_LABELS
        assert torch.equal(after[name][: len(before[name])], before[name])
    assert torch.equal(after["patch_head.boxes.weight"], before["patch_head.boxes.weight"])


TINY = (
    "stages.*.mixture={line=1}", "stages.*.tokens_per_batch=1024", "stages.*.max_sequence_tokens=1024",
    "stages.*.tiles_per_batch=2", "stages.*.accumulation=1", "stages.8.steps=1901", "device=cpu", "loader.workers=0",
    "precision=float32", "checkpoint.compact=false",
)  # fmt: skip


def test_training_goes_on_from_it(grown: Path, tmp_path: Path) -> None:
    changes = (f"model.config.language_config.vocab_size={SIZE}", f"model.tokenizer={grown / 'tokenizer.json'}")
    outcome = train("nano", tmp_path, resume=grown, overrides=(*TINY, *changes), synth=SYNTH)
    assert (outcome.step, outcome.finished) == (read_state(NANO).state.step + 1, True)
    assert read_config(outcome.weights / "config.json").language_config.vocab_size == SIZE


def test_training_goes_on_from_nano_with_more_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older, head = tmp_path / "older", load_file(NANO / "extras.safetensors")
    shutil.copytree(NANO, older)
    save_file({k: v[:640].clone() if ".classes." in k else v for k, v in head.items()}, older / "extras.safetensors")
    state = json.loads((older / "state.json").read_text(encoding="utf-8"))
    state["files"]["extras.safetensors"] = sha256((older / "extras.safetensors").read_bytes()).hexdigest()
    (older / "state.json").write_text(json.dumps(state), encoding="utf-8")
    outcome = train("nano", tmp_path / "run", resume=older, overrides=TINY, synth=SYNTH)
    assert "its patch head knows 640 classes, which stay; 3456 are new" in " ".join(capsys.readouterr().out.split())
    stored = load_file(outcome.checkpoint / "extras.safetensors")["patch_head.classes.weight"]
    assert len(stored) == NUM_LABELS
    known = load_file(NANO / "extras.safetensors")["patch_head.classes.weight"].float()
    torch.testing.assert_close(stored[:640], known[:640], atol=0.01, rtol=0.1)  # one step away


def test_moments_of_fewer_classes_are_left_and_all_others_taken(tmp_path: Path) -> None:
    more = replace(TINY_SYNTH, num_labels=TINY_SYNTH.num_labels + 3)
    patches = ("stages.0.patch_loss_weight=1.0",)
    first = train("debug", tmp_path / "a", overrides=patches, synth=TINY_SYNTH, stop_at=2)
    second = train("debug", tmp_path / "b", overrides=patches, synth=more, resume=first.checkpoint, stop_at=3)
    (before,), (after,) = (list(o.checkpoint.glob("moments-*.safetensors")) for o in (first, second))
    steps = [load_file(path) for path in (before, after)]
    assert steps[1]["patch_head.classes.weight/step"] == 1
    assert steps[1]["patch_head.boxes.weight/step"] == steps[0]["patch_head.boxes.weight/step"] + 1 == 3
