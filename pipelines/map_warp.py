"""Maps carried along motion: a backward bilinear warp."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def warp_map(values: NDArray[np.float32], displacement: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """Sample `values` where the motion says each cell was, bilinearly.

    `values` is (h, w, channels), entry (i, j) at the centre of the `cell` x `cell` pixel cell (i, j). `displacement` is
    (h, w, 2), the backward map in pixels at the same centres, x before y: `x_ref = x + dx`. In units of cells, which is
    `align_corners=False`; positions outside take the nearest border entry's value. OpenCV may round positions to 1/32
    of a cell, which quarter pixels at a stride of 4 or 8 do not feel. ValueError if the grids differ.
    """
    if values.shape[:2] != displacement.shape[:2]:
        raise ValueError(f"values on a grid {values.shape[:2]} cannot be warped on a grid {displacement.shape[:2]}")
    rows, columns = displacement.shape[:2]
    map_x = displacement[..., 0] / np.float32(cell) + np.arange(columns, dtype=np.float32)
    map_y = displacement[..., 1] / np.float32(cell) + np.arange(rows, dtype=np.float32)[:, None]
    warped = cv2.remap(values, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32).reshape(values.shape)
