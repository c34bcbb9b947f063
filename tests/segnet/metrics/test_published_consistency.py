import numpy as np
import pytest
import torch
from torch.nn import functional

from gopseg.segnet.metrics.published_consistency import LegacyTemporalConsistency, VSPWTemporalConsistency
from gopseg.segnet.metrics.temporal_consistency import TemporalConsistency, match_pixels

METRICS = [LegacyTemporalConsistency, VSPWTemporalConsistency]


def blobs(seed, size_hw=(37, 52), classes=19):
    """Patches of every class."""
    small = np.random.default_rng(seed).permutation(np.arange(35) % classes).reshape(5, 7).astype(np.uint8)
    return (
        small.repeat(8 if size_hw[0] <= 40 else 12, 0)
        .repeat(8 if size_hw[1] <= 56 else 12, 1)[: size_hw[0], : size_hw[1]]
        .copy()
    )


def smooth_flow(seed, size_hw=(37, 52), size=3.0):
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(-size, size, (1, 2, 4, 5)))
    flow = functional.interpolate(coarse.float(), size_hw, mode="bicubic", align_corners=True)
    return flow[0].permute(1, 2, 0).contiguous().numpy()


def tc(metric, *pair):
    metric.update(*pair)
    return metric.compute()["tc"]


@pytest.mark.parametrize("size_hw", [(37, 52), (40, 53), (56, 72)])
@pytest.mark.parametrize("metric", METRICS)
def test_labels_that_stay_are_perfectly_consistent(metric, size_hw):
    labels = blobs(0, size_hw)
    assert tc(metric(19), labels, labels, np.zeros((*size_hw, 2), np.float32)) == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_interpolated_indices_spoil_what_is_perfectly_consistent(seed):
    """Labels that a nearest look-up makes of the next frame's: tc is 1, the published forms are below."""
    following, flow = blobs(seed), smooth_flow(seed)
    match = match_pixels(flow)
    labels = np.where(match >= 0, following.ravel()[np.maximum(match, 0)], following)
    assert tc(TemporalConsistency(19), labels, following, match) == 1
    legacy = tc(LegacyTemporalConsistency(19), labels, following, flow)
    vspw = tc(VSPWTemporalConsistency(19), labels, following, flow)
    assert legacy < 0.9
    assert legacy < vspw < 1


def test_the_legacy_warp_is_a_border_sampler_of_indices_truncated():
    following, flow = blobs(3), smooth_flow(4, size=9.0)
    grid = torch.from_numpy(flow) + torch.stack(torch.meshgrid(torch.arange(52), torch.arange(37), indexing="xy"), -1)
    grid = 2 * grid / torch.tensor([51.0, 36.0]) - 1
    sampled = functional.grid_sample(
        torch.from_numpy(following)[None, None].double(), grid[None].double(), padding_mode="border", align_corners=True
    )[0, 0].numpy()
    warped = LegacyTemporalConsistency._warp(following, flow)
    clear = np.abs(sampled - np.rint(sampled)) > 1e-3  # beside whole numbers rounding decides
    assert clear.mean() > 0.1
    np.testing.assert_array_equal(warped[clear], np.floor(sampled[clear]).astype(np.uint8))
    assert (np.abs(warped - sampled) < 1.001).all()


def test_a_phantom_class_by_hand():
    """Half a pixel to the right: between 0 and 13 lies 6.5, which becomes 6."""
    metric = LegacyTemporalConsistency(14)
    flow = np.zeros((1, 3, 2), np.float32)
    flow[..., 0] = 0.5
    metric.update(np.array([[0, 13, 13]], np.uint8), np.array([[0, 13, 13]], np.uint8), flow)
    result = metric.compute()
    assert result["iou"][13] == 1  # the last pixel is clamped
    assert result["iou"][0] == result["iou"][6] == 0
    assert result["tc"] == pytest.approx(1 / 14)
    metric.reset()
    assert np.isnan(metric.compute()["tc"])


@pytest.mark.parametrize("seed", [5, 6])
def test_the_vspw_warp_is_its_sampler(seed):
    following, flow = blobs(seed, (37, 53)), smooth_flow(seed, (37, 53))
    grid = torch.from_numpy(flow) + torch.stack(torch.meshgrid(torch.arange(53), torch.arange(37), indexing="xy"), -1)
    grid = 2 * grid / torch.tensor([52.0, 36.0]) - 1
    expected = functional.grid_sample(
        torch.from_numpy(following)[None, None].double(), grid[None].double(), mode="nearest", align_corners=False
    )[0, 0].numpy()
    warped = VSPWTemporalConsistency._warp(following, flow)
    assert (warped == expected).mean() > 0.999


def test_vspw_counts_the_classes_of_the_frame_alone():
    metric = VSPWTemporalConsistency(3)
    metric.update(np.zeros((2, 4), np.uint8), np.array([[0, 0, 0, 2]] * 2, np.uint8), np.zeros((2, 4, 2), np.float32))
    result = metric.compute()
    assert result["tc"] == pytest.approx(6 / 8)
    assert np.isnan(result["iou"][1:]).all()


@pytest.mark.parametrize("metric", METRICS)
def test_different_sizes_are_refused(metric):
    with pytest.raises(ValueError, match="must be equal"):
        metric(2).update(blobs(0), blobs(0), np.zeros((3, 4, 2), np.float32))
