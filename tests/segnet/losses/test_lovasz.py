"""The Lovász-softmax loss against its definition."""

import pytest
import torch

from gopseg.segnet import lovasz_softmax


def of_certain(predicted, labels, classes):
    """The loss of predictions that are certain."""
    logits = torch.full((1, classes, *labels.shape), -40.0)
    logits.scatter_(1, predicted[None, None], 40.0)
    return float(lovasz_softmax(logits, labels[None].to(torch.uint8)))


def test_of_certain_predictions_it_is_one_minus_miou():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (12, 16), generator=generator)
    predicted = torch.where(torch.rand(12, 16, generator=generator) < 0.3, 1, labels)
    labels[:2] = 255
    labels[labels == 3] = 2  # a class that is not there counts for nothing
    known = labels != 255
    ious = []
    for one in range(3):
        is_one, is_found = labels == one, (predicted == one) & known
        ious.append(float((is_one & is_found).sum() / (is_one | is_found).sum()))
    assert of_certain(predicted, labels, 4) == pytest.approx(1 - sum(ious) / 3, abs=1e-6)
    assert of_certain(labels.clamp(max=3), labels, 4) == pytest.approx(0, abs=1e-6)


def test_it_is_the_lovasz_extension_of_uncertain_ones():
    """One class of two, three pixels: the mean of 1 - IoU over thresholds of the errors, by hand."""
    p = torch.tensor([[0.9, 0.2, 0.6]])  # of class 1, whose pixels are the first two
    logits = torch.stack([(1 - p).log(), p.log()])[None]
    loss = lovasz_softmax(logits, torch.tensor([[[1, 1, 0]]], dtype=torch.uint8))
    # errors of class 1: 0.1, 0.8, 0.6; of class 0 the same; wrong above a threshold: none, 1, 1 and 2, all
    first = 0.2 * (1 - 1 / 2) + 0.5 * (1 - 1 / 3) + 0.1 * 1
    other = 0.2 * (1 - 1 / 2) + 0.5 * 1 + 0.1 * 1
    assert float(loss) == pytest.approx((first + other) / 2, abs=1e-5)


def test_labels_at_another_size_and_none_at_all():
    logits = torch.randn(2, 3, 5, 7, requires_grad=True)
    labels = torch.randint(0, 3, (2, 20, 27), dtype=torch.uint8)
    assert 0 < float(lovasz_softmax(logits, labels).detach()) < 1
    nothing = lovasz_softmax(logits, torch.full_like(labels, 255))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert torch.isfinite(logits.grad).all()
