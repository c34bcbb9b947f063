"""The codec's motion as propagation heads take it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...codec import mix_with_nearest
from ...segnet import PropagationSettings, displacement_on_grid

FINEST_CELL = 4
"""Side in pixels of the cells that codec motion is followed on; a head's coarser cells take means of them."""


class HeadMotion(NamedTuple):
    """Motion on a head's grid: `displacement` (N, h, w, 2) in cells, `validity` (N, 1, h, w), 0..1, and `nearest`
    (N, h, w), for each cell the index of the nearest that motion knows."""

    displacement: Tensor
    validity: Tensor
    nearest: Tensor


def head_motion(
    displacement: NDArray[np.float32],
    unreferenced: NDArray[np.bool_],
    size_hw: tuple[int, int],
    settings: PropagationSettings,
) -> HeadMotion:
    """From motion on cells of `motion_cell`: displacement (N, h, w, 2) in pixels, and where it is unknown (N, h, w)."""
    known = torch.from_numpy(~unreferenced).float()
    moved, validity = displacement_on_grid(
        torch.from_numpy(displacement), known, settings.stride, motion_cell(settings)
    )
    rows, columns = settings.grid_hw(size_hw)
    moved, validity = moved[:, :rows, :columns], validity[..., :rows, :columns]
    index = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns, 1)
    nearest = np.stack([mix_with_nearest(index, unknown, 1.0)[..., 0] for unknown in (validity < 0.5)[:, 0].numpy()])
    return HeadMotion(moved, validity, torch.from_numpy(nearest.astype(np.int64)))


def motion_cell(settings: PropagationSettings) -> int:
    """Side in pixels of the cells that codec motion is composed on for a head."""
    return min(FINEST_CELL, settings.stride)
