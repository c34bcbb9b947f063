"""Maps of any number of channels: carried along motion by a backward bilinear warp, and resized."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
MOST_CHANNELS = 128
"""What OpenCV 5 takes in one call (CV_CN_MAX); with more it would read the channels as a third dimension."""


def warp_map(values: Map, displacement: NDArray[np.float32], cell: int) -> Map:
    """Sample `values` where the motion says each cell was, bilinearly.

    `values` is (h, w, channels), entry (i, j) at the centre of the `cell` x `cell` pixel cell (i, j). `displacement` is
    (h, w, 2), the backward map in pixels at the same centres, x before y: `x_ref = x + dx`. In units of cells, which is
    `align_corners=False`; positions outside take the nearest border entry's value. OpenCV may round positions to 1/32
    of a cell, which quarter pixels at a stride of 4 or 8 do not feel. ValueError if the grids differ.
    """
    if values.shape[:2] != displacement.shape[:2]:
        raise ValueError(f"values on a grid {values.shape[:2]} cannot be warped on a grid {displacement.shape[:2]}")
    rows, columns = displacement.shape[:2]
    places = positions_in_cells(displacement, cell)

    def remap(part: Map) -> Map:
        warped = cv2.remap(part, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(warped, np.float32)

    return _by_channels(remap, values, (rows, columns))


def positions_in_cells(displacement: NDArray[np.float32], cell: int) -> Map:
    """Where a backward map in pixels leads, (h, w, 2), column before row, in cells of `cell` pixels from the centre of
    the first."""
    rows, columns = displacement.shape[:2]
    places: Map = displacement / np.float32(cell)
    places += _own_places(rows, columns)
    return places


@lru_cache(maxsize=4)
def _own_places(rows: int, columns: int) -> Map:
    """The columns and rows (rows, columns, 2) of all cells."""
    return np.stack(np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)), 2)


def resize_map(values: Map, size_hw: tuple[int, int]) -> Map:
    """(h, w, channels) bilinearly to (*size_hw, channels), `align_corners=False`."""

    def resize(part: Map) -> Map:
        return np.asarray(cv2.resize(part, size_hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32)

    return _by_channels(resize, values, size_hw)


def _by_channels(change: Callable[[Map], Map], values: Map, size_hw: tuple[int, int]) -> Map:
    """`change` of each MOST_CHANNELS channels, put together: (*size_hw, channels)."""
    channels = values.shape[2]
    if channels <= MOST_CHANNELS:
        return change(values).reshape(*size_hw, channels)
    result = np.empty((*size_hw, channels), np.float32)
    for first in range(0, channels, MOST_CHANNELS):
        part = np.ascontiguousarray(values[..., first : first + MOST_CHANNELS])
        result[..., first : first + MOST_CHANNELS] = change(part).reshape(*size_hw, -1)
    return result
