"""Motion over an intra-coded frame, of which the codec says nothing: found on the decoded luma."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import BLOCK, MotionField

MISMATCH = 20.0
"""Mean difference of a cell's luma, in grey levels and less the picture's change of light, above which nothing is known
of where it was."""


def bridge(before: NDArray[np.uint8], now: NDArray[np.uint8], cell: int = BLOCK, *, smaller: int = 2) -> MotionField:
    """The motion from a picture to the one before it, both by their luma (H, W), on cells of `cell` x `cell` pixels.

    Optical flow by dense inverse search (Kroeger et al., ECCV 2016) at a size `smaller` by this factor, its mean in
    each cell. Cells that differ from where it leads are `unreferenced`.
    """
    size_hw = (now.shape[0], now.shape[1])
    half_hw = tuple(max(16, -(-side // smaller)) for side in size_hw)
    small, small_before = (cv2.resize(luma, half_hw[::-1], interpolation=cv2.INTER_AREA) for luma in (now, before))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(small, small_before, None)
    rows, columns = (-(-side // cell) for side in size_hw)
    way_x = np.arange(half_hw[1], dtype=np.float32) + flow[..., 0]
    way_y = np.arange(half_hw[0], dtype=np.float32)[:, None] + flow[..., 1]
    moved = cv2.remap(small_before, way_x, way_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = small.astype(np.float32) - moved
    change -= np.median(change[::4, ::4])

    def of_cells(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)

    scale = np.array([size_hw[1] / half_hw[1], size_hw[0] / half_hw[0]], np.float32)
    lost = of_cells(np.abs(change)) > MISMATCH
    displacement = np.where(lost[..., None], np.float32(0), of_cells(flow) * scale)
    return MotionField(displacement, lost, size_hw, (cell, cell))
