from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from gopseg.data.class_lists import CAMVID
from gopseg.segnet import ModelError
from gopseg.segnet.losses.propagation_losses import (
    CAMVID_WEIGHTS,
    CITYSCAPES_WEIGHTS,
    BoundaryAwareFocalLoss,
    PropagationLoss,
    boundary_weights,
    distillation_loss,
)
from gopseg.segnet.metrics.periods import PeriodScores
from gopseg.segnet.propagation.model import PropagationModel
from gopseg.segnet.propagation.settings import PropagationSettings
from gopseg.segnet.propagation.training import PRESETS, ClipPropagation

CLEAN = PropagationSettings(classes=("a", "b", "c"))


def test_the_loss_is_weighted_cross_entropy_and_distillation():
    torch.manual_seed(0)
    logits, teacher = torch.randn(2, 3, 8, 12), torch.randn(2, 3, 4, 6)
    labels = torch.randint(0, 3, (2, 8, 12), dtype=torch.uint8)
    labels[0, :2], labels[1, 3:5] = 250, 255
    weights = [1.0, 5.0, 2.0]
    known = labels < 3
    entropy = functional.cross_entropy(
        logits.permute(0, 2, 3, 1)[known], labels[known].long(), torch.tensor(weights), reduction="mean"
    )
    found = PropagationLoss(weights, scale=1, distillation=0)(logits, labels)
    torch.testing.assert_close(found, entropy)
    resized = functional.interpolate(teacher, size=(8, 12), mode="bilinear", align_corners=False)
    q, p = resized.softmax(1), logits.softmax(1)
    divergence = (q * (q.log() - p.log())).sum() / q.numel()
    torch.testing.assert_close(distillation_loss(logits, resized), divergence)
    found = PropagationLoss(weights)(logits, labels, teacher)
    torch.testing.assert_close(found, 10 * (entropy + 10 * divergence))
    with pytest.raises(ValueError, match="give `teacher`"):
        PropagationLoss(weights)(logits, labels)


def test_no_gradient_reaches_the_teacher_and_void_costs_nothing():
    logits, teacher = torch.randn(1, 3, 4, 4, requires_grad=True), torch.randn(1, 3, 4, 4, requires_grad=True)
    void = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    PropagationLoss()(logits, void, teacher).backward()
    assert teacher.grad is None
    assert logits.grad.abs().max() > 0
    assert PropagationLoss(distillation=0)(logits, void) == 0


def test_published_weights_name_the_classes():
    assert list(CAMVID_WEIGHTS) == list(CAMVID)
    assert len(CITYSCAPES_WEIGHTS) == 19


def test_boundary_weights_fall_with_distance_and_void_has_none():
    labels = np.zeros((40, 300), np.uint8)
    labels[:, 150:] = 1
    labels[:, 290:] = 255
    weights = boundary_weights(labels, 2)
    row = weights[20]
    assert row[149] == row[134] == 8
    assert row[133] == row[86] == 4
    assert row[85] == row[22] == 2
    assert row[21] == row[0] == 1
    assert row[289] == row[274] == 8
    assert row[290:].max() == 0
    np.testing.assert_array_equal(weights, np.broadcast_to(row, weights.shape))
    assert boundary_weights(np.zeros((5, 5), np.uint8), 2).max() == 1


def test_boundary_aware_focal_loss_by_hand():
    logits = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 3)
    labels = torch.tensor([[[0, 1, 255]]])
    alpha = torch.tensor([[[8.0, 1.0, 4.0]]])
    p = torch.tensor([2.0, 0.0]).softmax(0)
    expected = -(8 * torch.exp(0.5 * (1 - p[0])) * p[0].log() + torch.exp(0.5 * (1 - p[1])) * p[1].log()) / 2
    torch.testing.assert_close(BoundaryAwareFocalLoss()(logits, labels, alpha), expected)


def test_period_scores_in_both_conventions():
    scores = PeriodScores(3, 2)
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    scores.update(0, truth, truth)
    scores.update(1, np.array([[0, 1, 1, 1]], np.uint8), truth)
    scores.update(2, np.array([[0, 0, 0, 1]], np.uint8), truth)
    middle = (1 / 2 + 2 / 3) / 2
    np.testing.assert_allclose(scores.by_distance, [1, middle, middle])
    assert scores.mean_of_distances == pytest.approx((1 + 2 * middle) / 3)
    # pooled: each class 5 hits, 1 missed, 1 false
    assert scores.pooled == pytest.approx(5 / 7)
    assert scores.at_last == scores.minimum == pytest.approx(middle)
    scores.update(2, truth, truth)
    assert scores.at_last > scores.minimum == pytest.approx(middle)
    zero = PeriodScores(3, 0, absent_as_zero=True)
    assert np.isnan(zero.at_last)
    zero.update(0, truth, truth)
    assert zero.at_last == pytest.approx(2 / 3)
    with pytest.raises(IndexError, match="outside 0 to 2"):
        scores.update(3, truth, truth)
    scores.reset()
    assert np.isnan(scores.by_distance).all()


def test_presets_give_every_part_its_rate_and_freeze_the_bank():
    model = PropagationModel(PropagationSettings.published(3))
    sgd, schedule = PRESETS["code"].optimiser(model)
    assert [group["lr"] for group in sgd.param_groups] == [0.01, 0.04, 1e-4]
    assert sgd.param_groups[0]["nesterov"]
    assert sum(p.numel() for group in sgd.param_groups for p in group["params"]) == sum(
        p.numel() for p in model.parameters()
    )
    sgd.step()
    for _ in range(100):
        schedule.step()
    assert sgd.param_groups[1]["lr"] == pytest.approx(0.04 * 0.992)
    on_codec = PRESETS["paper"].optimiser(PropagationModel(CLEAN))[0]
    assert [group["lr"] for group in on_codec.param_groups] == [0.002, 0.002]
    assert PRESETS["swnet-seq"].distances == (1, 2)
    assert PRESETS["paper"].loss([1, 2, 3]).weights is None
    assert PRESETS["code"].loss([1, 2, 3]).weights.tolist() == [1, 2, 3]


def test_a_clip_is_the_steps_one_by_one_and_learns_in_its_last_two():
    torch.manual_seed(0)
    model = PropagationModel(PropagationSettings.published(3)).eval()
    images, key_logits = torch.rand(2, 5, 64, 96, 3) * 255, torch.randn(2, 3, 16, 24)
    with torch.no_grad():
        frames = [model.prepare(image) for image in images.unbind(1)]
        scores = model.start(key_logits, (64, 96))
        for reference, frame in pairwise(frames):
            scores = model.step(scores, frame, reference=reference).scores
        torch.testing.assert_close(ClipPropagation(model)(key_logits, images), model.logits(scores, (64, 96)))

    model.train()
    out = ClipPropagation(model)(key_logits, images)
    out.mean().backward()
    assert model.head.training
    assert model.head.guide.guide_conv[1].num_batches_tracked == 2
    assert model.flow.network.conv1[1].num_batches_tracked == 4
    assert model.head.intra_net.intra_net[0].weight.grad.abs().max() > 0
    assert model.flow.network.toflow.weight.grad.abs().max() > 0


def test_a_clip_on_the_codecs_motion():
    model = PropagationModel(replace(CLEAN, recursive=True)).eval()
    images, key_logits = torch.rand(1, 4, 32, 48, 3) * 255, torch.randn(1, 3, 8, 12)
    motion, validity = torch.randn(1, 3, 4, 6, 2), torch.rand(1, 3, 1, 4, 6)
    frame = model.prepare(images[:, 3])
    scores = model.start(key_logits, (32, 48))
    recursive = scores
    with torch.no_grad():
        direct = model.step(scores, frame, displacement=motion[:, 2], validity=validity[:, 2]).scores
        for number in range(3):
            frame = model.prepare(images[:, number + 1])
            recursive = model.step(
                recursive, frame, displacement=motion[:, number], validity=validity[:, number]
            ).scores
        clip = ClipPropagation(model)(key_logits, images, motion, validity)
        torch.testing.assert_close(clip, model.logits(recursive, (32, 48)))
        straight = PropagationModel(CLEAN).eval()
        straight.load_state_dict(model.state_dict())
        clip = ClipPropagation(straight)(key_logits, images, motion, validity)
        torch.testing.assert_close(clip, model.logits(direct, (32, 48)))
    with pytest.raises(ModelError, match="'motion'"):
        ClipPropagation(model)(key_logits, images)


def test_a_head_learns_to_mend_wrong_motion():
    """Motion is one cell off wherever the frame is bright; only the guided shift can know."""
    torch.manual_seed(0)
    model = PropagationModel(replace(CLEAN, stride=4, width=8))
    truth = functional.interpolate(torch.randn(8, 3, 6, 8), size=(24, 32), mode="bilinear").argmax(1)
    images = torch.where(torch.rand(8, 3, 4).repeat_interleave(8, 1).repeat_interleave(8, 2) > 0.5, 200.0, 40.0)
    bright = images > 100
    images = images[..., None].expand(8, 24, 32, 3).repeat_interleave(4, 1).repeat_interleave(4, 2)
    scores = functional.one_hot(truth, 3).permute(0, 3, 1, 2).float() * 0.94 + 0.02
    displacement = torch.stack([torch.where(bright, 1.0, 0.0), torch.zeros(8, 24, 32)], -1)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    frame, losses = model.prepare(images), []
    for _ in range(60):
        step = model.step(scores, frame, displacement=displacement)
        loss = functional.nll_loss(step.scores.log(), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert step.shares[:, 4][~bright].mean() < step.shares[:, 4][bright].mean()
