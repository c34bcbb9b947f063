import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from gopseg.pipelines import warp_map

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
