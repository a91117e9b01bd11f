import pytest
import torch
import torch.nn.functional as F

from vl2.data.packing import BOX_BINS, NO_LABEL
from vl2.train.patch_head import PatchHead, box_loss, class_loss


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
