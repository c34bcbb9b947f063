import numpy as np
import pytest
import torch
from torch.nn.functional import grid_sample

from gopseg.pipelines import mix_with_nearest, warp_map

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


def test_mixing_takes_the_nearest_known_cell():
    values = np.zeros((3, 7, 2), np.float32)
    values[:, :3], values[:, 3:] = (1, 10), (5, 50)
    unknown = np.zeros((3, 7), bool)
    unknown[:, 2:4] = True
    values[:, 2:4] = 0
    assert mix_with_nearest(values, unknown, 1.0)[1].tolist() == [[1, 10]] * 3 + [[5, 50]] * 4
    assert mix_with_nearest(values, unknown, 0.5)[1, 2].tolist() == [0.5, 5]
    assert (values[:, 2:4] == 0).all(), "the argument is left alone"


@pytest.mark.parametrize("known", [True, False])
def test_nothing_or_everything_unknown_changes_nothing(known):
    values = RNG.normal(size=(3, 4, 2)).astype(np.float32)
    assert np.array_equal(mix_with_nearest(values, np.full((3, 4), not known)), values)


def test_every_cell_may_have_its_own_share():
    values = np.array([[[2.0], [4.0], [8.0]]], np.float32)
    mixed = mix_with_nearest(values, np.array([[False, True, True]]), 0.5)
    assert mixed.ravel().tolist() == [2, 3, 5]
