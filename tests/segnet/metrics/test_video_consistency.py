"""Video consistency by hand-made videos; IoU as VSPW averages it."""

from __future__ import annotations

import numpy as np
import pytest

from gopseg.segnet import ConfusionMatrix
from gopseg.segnet.metrics.video_consistency import VideoConsistency, present_mean_iou, weighted_iou


def score(videos, windows=(8, 16)):
    metric = VideoConsistency(windows)
    for predicted, truth in videos:
        for p, t in zip(predicted, truth, strict=True):
            metric.update(p, t)
        metric.end_video()
    return metric.compute()


def by_definition(predicted, truth, n, windows):
    values = []
    for i in range(windows):
        steady = (truth[i : i + n] == truth[i]).all(0)
        same = (predicted[i : i + n] == predicted[i]).all(0)
        values.append((steady & same).sum() / steady.sum())
    return np.mean(values)


def constant(frames, value=0):
    return np.full((frames, 4, 5), value, np.uint8)


def test_random_videos_as_defined():
    rng = np.random.default_rng(0)
    truth = (rng.random((18, 8, 9)) < 0.03).cumsum(0).astype(np.uint8)
    predicted = (rng.random((18, 8, 9)) < 0.05).cumsum(0).astype(np.uint8)
    found = score([(predicted, truth)])
    for n in (8, 16):
        assert found[f"vc{n}"] == pytest.approx(by_definition(predicted, truth, n, 18 - n + 1))
        assert found[f"vc{n}_legacy"] == pytest.approx(by_definition(predicted, truth, n, 18 - n))


def test_a_last_window_counts_only_outside_the_legacy_form():
    """18 frames have 3 windows of 16, of which the legacy form takes 2; a change in the last frame is in the third."""
    predicted, truth = constant(18), constant(18)
    predicted[-1] = 1
    found = score([(predicted, truth)])
    assert found["vc16"] == pytest.approx(2 / 3)
    assert found["vc16_legacy"] == 1


def test_constant_wrong_labels_are_consistent_but_not_strictly_so():
    found = score([(constant(18, 3), constant(18, 0))])
    assert found["vc8"] == found["vc16"] == found["vc8_legacy"] == 1
    assert found["vc8_strict"] == found["vc16_strict"] == 0


def test_strict_leaves_void_out():
    truth = constant(18)
    truth[:, 0] = 255
    found = score([(constant(18), truth)])
    assert found["vc8_strict"] == found["vc8"] == 1


def test_short_videos_and_windows_without_steady_pixels():
    flicker = (np.arange(20)[:, None, None] % 2 * np.ones((1, 4, 5))).astype(np.uint8)
    assert np.isnan(score([(constant(20), flicker)])["vc8"])
    found = score([(constant(16), constant(16)), (constant(5), constant(5))])
    assert found["vc16"] == 1
    assert np.isnan(found["vc16_legacy"])
    assert np.isnan(found["vc8_legacy"])


def test_the_mean_is_over_windows_not_videos():
    changing = constant(8)
    changing[4:] = 1
    found = score([(constant(10), constant(10)), (changing, constant(8))], (8,))
    assert found["vc8"] == pytest.approx(3 / 4)


def test_sizes_must_fit():
    metric = VideoConsistency((2,))
    with pytest.raises(ValueError, match="must be equal"):
        metric.update(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


def test_mean_iou_over_present_classes_and_weighted_iou():
    confusion = ConfusionMatrix(3)
    confusion.update(np.array([[0, 0, 1, 2]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8))
    assert present_mean_iou(confusion) == pytest.approx((2 / 3 + 0) / 2)
    assert confusion.mean_iou == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert weighted_iou(confusion) == pytest.approx(3 / 4 * 2 / 3)
    assert np.isnan(weighted_iou(ConfusionMatrix(3)))
