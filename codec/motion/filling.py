"""Filling of cells that motion cannot reach, from what is known nearby."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ...compiled import for_loops
from .field import LOOPS, MotionField


def filled(field: MotionField) -> MotionField:
    """The field whose cells without reference move like the nearest cell that has one; the mask stays as it is.

    A plausible guess for intra-coded blocks, which are mostly what a motion uncovered or changed. A field without any
    reference is returned as it is.
    """
    return replace(field, displacement=mix_with_nearest(field.displacement, field.unreferenced, 1.0))


def mix_with_nearest(
    values: NDArray[np.float32], unknown: NDArray[np.bool_], share: float = 0.5
) -> NDArray[np.float32]:
    """`values` (h, w, channels) with every cell of `unknown` (h, w) mixed with the nearest known cell's values.

    `share` 0..1 is the nearest cell's part. Known cells stay as they are; all unknown: returned
    as they are, for there is nothing to take from.
    """
    if np.count_nonzero(unknown) in (0, unknown.size):
        return values
    mixed, nearest, loops = values.copy(), nearest_known(unknown), LOOPS.get()
    flat = mixed.reshape(-1, values.shape[-1])
    if loops is not None and values.dtype == np.float32:
        own = for_loops(values, np.float32).reshape(-1, values.shape[-1])
        loops.mix_nearest(own, for_loops(unknown, np.bool_).reshape(-1), nearest, np.float32(share), flat)
        return mixed
    at = np.flatnonzero(unknown)
    own = flat[at]
    flat[at] = own + np.float32(share) * (flat[nearest[at]] - own)
    return mixed


def nearest_known(unknown: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Of each cell of `unknown` (h, w), flat: the index of the nearest known cell, its own where it is known; there
    must be one."""
    loops = LOOPS.get()
    if loops is not None:
        rows, columns = unknown.shape
        found = np.empty(unknown.size, np.intp)
        padded_hw = rows + 4, (2 + -(-columns // loops.LANES)) * loops.LANES
        room = np.empty(padded_hw, np.int32), np.empty(padded_hw, np.int32)
        loops.find_nearest(for_loops(unknown, np.bool_), *room, found.reshape(unknown.shape))
        return found
    _, label = cv2.distanceTransformWithLabels(
        unknown.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest: NDArray[np.intp] = np.flatnonzero(~unknown).take(label.reshape(-1) - 1)  # labels count known cells from 1
    return nearest
