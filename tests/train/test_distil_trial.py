"""A trial with a teacher: the loss has both parts, and a student who agrees with the teacher has nothing to learn."""

import copy
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from tiny_synth import TINY_SYNTH

import vl2.train.loss
from vl2.data.packing import PackedBatch
from vl2.train.assembly import Assembly, assemble, stage_dataset
from vl2.train.config import read_recipe
from vl2.train.head_loss import head_loss
from vl2.train.loss import answer_weights, batch_losses

SETTINGS = {"background_weight": 0.05, "answer_exponent": 0.5, "static": False}


@pytest.fixture(scope="module")
def script(import_script: Callable[[str], ModuleType]) -> ModuleType:
    return import_script("distil_trial")


@pytest.fixture(scope="module")
def assembly() -> Assembly:
    return assemble(read_recipe("debug", ("stages.0.mixture={line=1, scene=3}",)), TINY_SYNTH, None)


@pytest.fixture(scope="module")
def batch(assembly: Assembly) -> PackedBatch:
    return stage_dataset(assembly, 0)[0]


@pytest.fixture
def distillation(script: ModuleType, assembly: Assembly, monkeypatch: pytest.MonkeyPatch):
    """Of a teacher whose head is another's, in place of the plain loss until the test ends."""
    teacher = copy.deepcopy(assembly.model)
    with torch.no_grad():
        teacher.language.lm_head.weight.mul_(3)

    def place(share: float, pupil_as_teacher: bool = False):
        made = script.Distillation(copy.deepcopy(assembly.model) if pupil_as_teacher else teacher, share)
        monkeypatch.setattr(vl2.train.loss, "head_loss", made.loss)
        monkeypatch.setattr(script, "ROWS", 7)
        return made

    return place


def logits_of(model: torch.nn.Module, batch: PackedBatch, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    seen: list[torch.Tensor] = []

    def keep(hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor):
        seen.append(hidden @ head.T)
        return head_loss(hidden, head, targets, weights)

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(vl2.train.loss, "head_loss", keep)
        batch_losses(model, None, batch, **SETTINGS)  # type: ignore[arg-type]
    return seen[0]


def test_the_loss_has_both_parts(distillation, assembly: Assembly, batch: PackedBatch, monkeypatch: pytest.MonkeyPatch):
    plain = batch_losses(assembly.model, None, batch, **SETTINGS)  # type: ignore[arg-type]
    made = distillation(0.25)
    wanted = logits_of(made.teacher, batch, monkeypatch).softmax(-1)
    own = logits_of(assembly.model, batch, monkeypatch).log_softmax(-1)
    soft = -(wanted * own).sum(-1) @ answer_weights(batch, 0.5)
    losses = made.losses(assembly.model, None, batch, **SETTINGS)
    torch.testing.assert_close(losses.text, 0.75 * plain.text + 0.25 * soft, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(losses.text_L, plain.text_L)


def test_a_student_who_agrees_has_nothing_to_learn(distillation, assembly: Assembly, batch: PackedBatch):
    head = assembly.model.language.lm_head.weight
    gradients = []
    for share in (0.0, 1.0):
        assembly.model.zero_grad()
        distillation(share, pupil_as_teacher=True).losses(assembly.model, None, batch, **SETTINGS).text.backward()
        assert head.grad is not None
        gradients.append(float(head.grad.norm()))
    assert gradients[1] < 1e-4 * gradients[0]
