import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from gopseg.pipelines import warp_map
from gopseg.pipelines.motion.map_warp import resize_map

RNG = np.random.default_rng(0)


def test_backward_whole_cells():
    values = RNG.normal(size=(6, 9, 5)).astype(np.float32)
    displacement = np.zeros((6, 9, 2), np.float32)
    displacement[..., 0], displacement[..., 1] = 8, -4  # x_ref = x + 8 pixels = 2 cells right, y_ref one cell up
    warped = warp_map(values, displacement, 4)
    assert np.allclose(warped[1:, :7], values[:5, 2:], atol=1e-6)
    assert np.allclose(warped[1:, 8], values[:5, 8], atol=1e-6), "outside, the border's value"


def test_equals_grid_sample_between_cells():
    values = RNG.normal(size=(12, 16, 11)).astype(np.float32)
    displacement = (RNG.normal(scale=36, size=(12, 16, 2)).round() / 4).astype(np.float32)  # quarter pixels
    x = (displacement[..., 0] + (np.arange(16) + 0.5) * 4) / (16 * 4) * 2 - 1
    y = (displacement[..., 1] + (np.arange(12)[:, None] + 0.5) * 4) / (12 * 4) * 2 - 1
    grid = torch.from_numpy(np.stack([x, y], -1).astype(np.float32))[None]
    source = torch.from_numpy(values).permute(2, 0, 1)[None]
    expected = grid_sample(source, grid, "bilinear", "border", align_corners=False)[0].permute(1, 2, 0).numpy()
    assert np.allclose(warp_map(values, displacement, 4), expected, atol=1e-4)


def test_grids_must_agree():
    with pytest.raises(ValueError, match="cannot be warped"):
        warp_map(np.zeros((4, 5, 1), np.float32), np.zeros((5, 5, 2), np.float32), 4)


@pytest.mark.parametrize("channels", [1, 128, 129, 150, 255, 256, 512])
def test_any_number_of_channels(channels):
    values = RNG.normal(size=(6, 9, channels)).astype(np.float32)
    displacement = (RNG.normal(scale=9, size=(6, 9, 2)).round() / 4).astype(np.float32)
    parts = [values[..., first : first + 50].copy() for first in range(0, channels, 50)]
    warped = np.concatenate([warp_map(part, displacement, 4) for part in parts], 2)
    assert np.allclose(warp_map(values, displacement, 4), warped, atol=1e-4)
    larger = np.concatenate([resize_map(part, (11, 20)) for part in parts], 2)
    assert np.allclose(resize_map(values, (11, 20)), larger, atol=1e-5)
