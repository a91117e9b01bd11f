import pytest
import torch
import torch.nn.functional as F

from vl2.data.packing import BOX_BINS, NO_LABEL
from vl2.train import patch_head
from vl2.train.patch_head import PatchHead, box_loss, class_loss, with_new_classes


@pytest.fixture
def head() -> PatchHead:
    head = PatchHead(4, 3)
    head.initialize(7)
    return head


def test_class_loss_weights_background_and_skips_unknown(head: PatchHead) -> None:
    patches, labels = torch.randn(2, 3, 4), torch.tensor([[0, 1, 2], [NO_LABEL, 0, NO_LABEL]], dtype=torch.int16)
    log_p = F.log_softmax(head.classes(patches), -1)
    expected = -(0.05 * (log_p[0, 0, 0] + log_p[1, 1, 0]) + log_p[0, 1, 1] + log_p[0, 2, 2])
    torch.testing.assert_close(class_loss(head, patches, labels, 0.05), expected)


def test_box_loss_means_over_edges_and_skips_unknown(head: PatchHead) -> None:
    patches = torch.randn(1, 2, 4)
    boxes = torch.tensor([[[3, 99, 0, 50], [NO_LABEL] * 4]], dtype=torch.int16)
    log_p = F.log_softmax(head.boxes(patches)[0, 0].unflatten(0, (4, BOX_BINS)), -1)
    expected = -(log_p[0, 3] + log_p[1, 99] + log_p[2, 0] + log_p[3, 50]) / 4
    torch.testing.assert_close(box_loss(head, patches, boxes), expected)


def test_initialisation_follows_the_seed(head: PatchHead) -> None:
    again, other = PatchHead(4, 3), PatchHead(4, 3)
    again.initialize(7)
    other.initialize(8)
    assert torch.equal(again.boxes.weight, head.boxes.weight)
    assert not torch.equal(other.boxes.weight, head.boxes.weight)


@pytest.mark.parametrize("logits_bytes", [4 * 50, 4 * 50 * 7, 1 << 30])
def test_gradients_are_those_of_the_plain_form(logits_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_head, "_LOGITS_BYTES", logits_bytes)
    head = PatchHead(16, 50)
    head.initialize(3)
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(3, 9, 16, generator=generator).requires_grad_()
    labels = torch.randint(NO_LABEL, 50, (3, 9), generator=generator).clamp_max(49).to(torch.int16)
    labels[0, :4] = torch.tensor([0, NO_LABEL, 0, 49])
    weights = torch.ones(50)
    weights[0] = 0.05
    logits = head.classes(patches).flatten(0, 1)
    plain = F.cross_entropy(logits, labels.flatten().long(), weights, ignore_index=NO_LABEL, reduction="sum")
    learned = (patches, head.classes.weight, head.classes.bias)
    wanted = torch.autograd.grad(0.3 * plain, learned)
    loss = class_loss(head, patches, labels, 0.05)
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(torch.autograd.grad(0.3 * loss, learned), wanted)


def test_new_classes_stand_behind_the_known_ones_and_are_as_likely_as_these_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, bias = torch.randn(40, 16, generator=generator), torch.randn(40, generator=generator)
    wider, wider_bias = with_new_classes(rows, 60, 1), with_new_classes(bias, 60, 1)
    assert torch.equal(wider[:40], rows)
    assert torch.equal(wider_bias[:40], bias)
    logits = torch.randn(16, generator=generator) @ wider.T + wider_bias
    torch.testing.assert_close(logits[40:], logits[:40].mean().expand(20), atol=0.3, rtol=0)
    assert len(set(logits[40:].tolist())) == 20
