import numpy as np
import pytest

from gopseg.segnet import ConfusionMatrix


def test_iou_by_hand():
    confusion = ConfusionMatrix(3)
    truth = np.array([[0, 0, 1, 1], [255, 1, 0, 0]], np.uint8)
    predicted = np.array([[0, 1, 1, 1], [2, 0, 0, 0]], np.uint8)
    confusion.update(predicted, truth)
    # class 0: 3 hits, 1 missed, 1 false; class 1: 2 hits, 1 missed, 1 false; class 2 only predicted on void.
    np.testing.assert_allclose(confusion.iou, [3 / 5, 2 / 4, np.nan])
    assert confusion.mean_iou == pytest.approx((0.6 + 0.5) / 2)
    assert confusion.pixel_accuracy == pytest.approx(5 / 7)


def test_pooling_over_frames_is_the_sum_of_counts_and_reset_forgets():
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 4, (2, 5, 7)).astype(np.uint8) for _ in range(3)]
    one, whole = ConfusionMatrix(4), ConfusionMatrix(4)
    for predicted, truth in frames:
        one.update(predicted, truth)
    whole.update(np.concatenate([f[0] for f in frames]), np.concatenate([f[1] for f in frames]))
    np.testing.assert_array_equal(one.counts, whole.counts)
    one.reset()
    assert not one.counts.any()
    assert np.isnan(one.mean_iou)


def test_different_sizes_are_refused():
    with pytest.raises(ValueError, match="prediction is"):
        ConfusionMatrix(2).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
