import numpy as np
import pytest

from gopseg.segnet.metrics.temporal_consistency import UNMATCHED, TemporalConsistency, match_pixels, not_occluded


def shift(dx, dy, size_hw=(12, 16)):
    return np.broadcast_to(np.array([dx, dy], np.float32), (*size_hw, 2)).copy()


def blobs(seed=0, size_hw=(12, 16)):
    return np.random.default_rng(seed).integers(0, 4, size_hw).astype(np.uint8)


def test_a_match_follows_x_before_y_and_ends_at_the_border():
    match = match_pixels(shift(3, -2))
    assert match[5, 4] == (5 - 2) * 16 + 7
    assert (match[:2] == UNMATCHED).all()
    assert (match[:, -3:] == UNMATCHED).all()
    assert (match[2:, :-3] >= 0).all()


@pytest.mark.parametrize("vector", [(0, 0), (3, -2), (2.4, 0.4)])
def test_labels_that_move_with_the_picture_are_perfectly_consistent(vector):
    """ETC's reference scores far below 1 here, because it interpolates class indices."""
    other = blobs()
    match = match_pixels(shift(*vector))
    labels = np.where(match >= 0, other.ravel()[np.maximum(match, 0)], 0).astype(np.uint8)
    metric = TemporalConsistency(4)
    metric.update(labels, other, match)
    result = metric.compute()
    assert result["tc"] == result["pixel_agreement"] == 1.0
    assert result["coverage"] == pytest.approx((match >= 0).mean())


def test_flicker_by_hand_and_reset():
    metric = TemporalConsistency(3)
    still = match_pixels(shift(0, 0, (2, 4)))
    labels = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
    other = np.array([[0, 0, 0, 1], [0, 0, 1, 1]], np.uint8)
    metric.update(labels, other, still)
    metric.update(labels, labels, still)
    result = metric.compute()
    # Summed over both pairs: class 0 meets 8 of 9, class 1 meets 7 of 8, class 2 never occurs.
    np.testing.assert_allclose(result["iou"], [8 / 9, 7 / 8, np.nan])
    assert result["tc"] == pytest.approx((8 / 9 + 7 / 8) / 2)
    assert result["pixel_agreement"] == pytest.approx(15 / 16)
    assert result["pairs"] == 2
    metric.reset()
    assert metric.compute()["pairs"] == 0
    assert np.isnan(metric.compute()["tc"])


def test_what_is_not_known_is_not_scored():
    known = np.zeros((12, 16), bool)
    known[:3] = True
    metric = TemporalConsistency(4)
    metric.update(blobs(1), blobs(2), match_pixels(shift(0, 0), known))
    assert metric.compute()["coverage"] == pytest.approx(3 / 12)


def test_pixels_that_do_not_lead_back_are_occluded():
    forward, backward = shift(2, 0), shift(-2, 0)
    seen = not_occluded(forward, backward)
    assert seen[:, :-2].all()
    assert not seen[:, -2:].any()
    backward[4:6, 6:8] = (3, 3)
    seen = not_occluded(forward, backward)
    assert not seen[4:6, 4:6].any()
    assert seen[:, :-2].sum() == 12 * 14 - 4


def test_different_sizes_are_refused():
    with pytest.raises(ValueError, match="must be equal"):
        TemporalConsistency(2).update(blobs(), blobs(), match_pixels(shift(0, 0, (2, 3))))


def test_values_of_clips_beside_the_pooled_one():
    metric = TemporalConsistency(2)
    still = match_pixels(shift(0, 0, (1, 4)))
    labels, other = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    metric.update(labels, labels, still)
    metric.end_clip()
    metric.end_clip()  # without pairs there is no clip
    metric.update(labels, other, still)
    result = metric.compute()
    assert result["clips"] == pytest.approx([1, (1 / 2 + 2 / 3) / 2])
    assert result["tc"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    metric.end_clip()
    assert metric.compute() == result
    metric.reset()
    assert metric.compute()["clips"] == []
