import numpy as np
import pytest
import torch
from torch.nn import functional

from gopseg.segnet import SegmentationLoss, class_weights


def test_class_weights_balance_and_keep_the_mean_over_pixels_at_one():
    counts = np.array([1000, 100, 10, 0])
    weights = class_weights(counts, power=1.0, limit=1e9)
    assert weights[1] / weights[0] == pytest.approx(10)
    assert weights[2] / weights[0] == pytest.approx(100)
    assert (weights * counts / counts.sum()).sum() == pytest.approx(1)
    np.testing.assert_allclose(class_weights(counts[:3], power=0.0), 1)
    assert class_weights(counts, power=1.0, limit=2.0).max() / class_weights(counts, power=1.0, limit=2.0)[1] < 2.01


def test_loss_is_cross_entropy_over_known_pixels():
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 6, 8), torch.randint(0, 3, (2, 6, 8), dtype=torch.uint8)
    labels[0, :3] = 255
    loss = SegmentationLoss(np.ones(3, np.float32))(logits, labels)
    known = labels != 255
    expected = functional.cross_entropy(logits.permute(0, 2, 3, 1)[known], labels[known].long())
    torch.testing.assert_close(loss, expected)


def test_hard_example_mining_keeps_the_largest_losses():
    logits = torch.zeros(1, 2, 1, 4)
    logits[0, 0] = torch.tensor([5.0, 5.0, -5.0, -5.0])
    labels = torch.zeros(1, 1, 4, dtype=torch.uint8)
    half = SegmentationLoss(np.ones(2, np.float32), keep=0.5)(logits, labels)
    assert half == pytest.approx(functional.softplus(torch.tensor(5.0)).item(), rel=1e-5)
    with pytest.raises(ValueError, match="keep"):
        SegmentationLoss(np.ones(2, np.float32), keep=0.0)


def test_hard_pixels_by_their_probability():
    """Probabilities of the right class 0.5, 0.6, 0.9 and 0.95: two are below 0.7, one below 0.55."""
    right = torch.tensor([0.5, 0.6, 0.9, 0.95])
    logits = torch.stack([right.log(), (1 - right).log()])[None, :, None]
    labels = torch.zeros(1, 1, 4, dtype=torch.uint8)
    ones = np.ones(2, np.float32)
    for confidence, count in ((0.7, 2), (0.55, 1)):
        loss = SegmentationLoss(ones, confidence=confidence)(logits, labels)
        torch.testing.assert_close(loss, -right[:count].log().mean())
    for keep, confidence in ((1.0, 1.0), (1.0, 0.0), (0.5, 0.7)):
        with pytest.raises(ValueError, match="confidence"):
            SegmentationLoss(ones, keep, confidence)


def test_where_few_pixels_are_hard_the_worst_sixteenth_counts():
    right = torch.linspace(0.9, 0.99, 64)
    logits = torch.stack([right.log(), (1 - right).log()])[None, :, None]
    labels = torch.zeros(1, 1, 64, dtype=torch.uint8)
    loss = SegmentationLoss(np.ones(2, np.float32), confidence=0.7)(logits, labels)
    torch.testing.assert_close(loss, -right[:4].log().mean())
    labels[:, :, :32] = 255  # the worst of the known ones
    loss = SegmentationLoss(np.ones(2, np.float32), confidence=0.7)(logits, labels)
    torch.testing.assert_close(loss, -right[32:34].log().mean())


def test_all_void_gives_zero_and_a_gradient():
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    loss = SegmentationLoss(np.ones(2, np.float32))(logits, torch.full((1, 8, 8), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0
