"""Labels that are made on a device: those of `upsample_labels`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gopseg.pipelines import upsample_labels
from gopseg.pipelines.on_device import DeviceScores, device_scores
from gopseg.pipelines.router.evidence import Look, RouterGrid, Sight

TIES = 1e-4
"""Share of pixels between equal scores, up to rounding."""


def scores(rows: int, columns: int, classes: int) -> torch.Tensor:
    return torch.randn(1, classes, rows, columns, generator=torch.Generator().manual_seed(0))


def last(maps: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(maps[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("tile", [1, 5000, 1 << 22], ids=["row by row", "some rows", "at once"])
@pytest.mark.parametrize(("stride", "classes"), [(1, 3), (2, 5), (4, 11), (8, 2), (8, 150)])
def test_labels_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch, tile: int, stride: int, classes: int) -> None:
    monkeypatch.setattr(device_scores, "TILE", tile)
    maps, size_hw = scores(13, 17, classes), (13 * stride - stride // 2, 17 * stride - stride // 3)
    made = DeviceScores(maps, stride, size_hw)
    expected = upsample_labels(last(maps), stride, size_hw)
    labels = made.labels(size_hw)
    assert labels.dtype == np.uint8
    assert labels.shape == size_hw
    assert np.mean(labels != expected) <= TIES
    assert np.array_equal(made.full(), last(maps))


def test_no_more_than_a_tile_of_scores_is_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    interpolate = torch.nn.functional.interpolate

    def noting(*arguments: object, **options: object) -> torch.Tensor:
        made = interpolate(*arguments, **options)  # type: ignore[arg-type]
        sizes.append(made.numel())
        return made

    monkeypatch.setattr(device_scores, "TILE", 40000)
    monkeypatch.setattr(torch.nn.functional, "interpolate", noting)
    DeviceScores(scores(40, 30, 11), 4, (160, 120))
    assert sum(sizes) >= 160 * 120 * 11
    assert max(sizes) <= 40000 + 2 * 4 * 120 * 11, "and a row of cells around it"


def test_a_mask_comes_along() -> None:
    mask = torch.rand(1, 1, 5, 7, generator=torch.Generator().manual_seed(1)) < 0.5
    made = DeviceScores(scores(5, 7, 3), 4, (18, 26), mask=mask)
    assert made.masked().dtype == np.bool_
    assert np.array_equal(made.masked(), mask[0, 0].numpy())
    assert made.labels((18, 26)).shape == (18, 26)
    with pytest.raises(ValueError, match="were made, not"):
        made.labels((18, 25))


@pytest.mark.parametrize(("stride", "size_hw"), [(4, (21, 8)), (3, (8, 8))])
def test_refuses_what_the_scores_do_not_cover(stride: int, size_hw: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot give"):
        DeviceScores(scores(5, 2, 3), stride, size_hw)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("classes", [1, 2, 11])
def test_the_router_is_told_the_same_of_a_look(step: int, classes: int) -> None:
    maps, grid = scores(13, 17, classes), RouterGrid(step, 4)
    rows, columns = grid.of_network(last(maps)).shape[:2]
    sight = Sight(0, np.zeros((rows, columns), np.float32), 1, 0)
    own = Look.of(sight, DeviceScores(maps, 4, (50, 66)), grid)
    expected = Look.of(sight, last(maps), grid)
    assert np.array_equal(own.labels, expected.labels)
    np.testing.assert_allclose(own.doubt, expected.doubt, atol=1e-6)
    np.testing.assert_allclose(own.maps, expected.maps, atol=1e-6)
