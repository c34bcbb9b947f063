"""Motion-compensated prediction of luma with H.264's sub-pixel interpolation, for a whole picture of blocks at once."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from ....compiled import Loops, for_loops
from ..field import BLOCK

LOOPS = Loops(f"{__package__}.loops")
STEP = 2
"""Only every second row of a cell is looked at: as good as all of them for telling references apart."""

_PAD = 24  # a block is never further outside than _REACH, where all that it sees is the repeated border
_REACH = 16
_TAPS = np.array([1, -5, 20, 20, -5, 1], np.float32) / 32  # 8.4.2.2.1
_ROUND_UP = 1 / 256  # ties go up, as in the standard, where OpenCV would go to even

# Planes: 0 whole pixels, 1 half a pixel to the right, 2 half a pixel down, 3 both. Every one of the 16 positions, by
# (y & 3) * 4 + (x & 3), is the mean of two samples: (plane, right, down) of each (8.4.2.2.1, table 8-12).
SAMPLES = np.array(
    [
        [tuple(map(int, sample)) for sample in samples.split()]
        for samples in (
            "000 000 100 010 000 100 100 100 200 200 300 300 001 200 300 210",
            "000 100 100 100 200 200 300 210 200 300 300 210 200 101 101 101",
        )
    ]
)


class SubpixelPlanes:
    """A reference picture with its half-pixel planes, (4, H + 48, W + 48) uint8, borders repeated outwards.

    `luma` is (H, W) uint8. Planes are filtered when first needed.
    """

    def __init__(self, luma: NDArray[np.uint8]) -> None:
        self.luma = luma
        self._planes: NDArray[np.uint8] | None = None

    def planes(self) -> NDArray[np.uint8]:
        """All four planes, flat."""
        if self._planes is None:
            whole = cv2.copyMakeBorder(self.luma, _PAD, _PAD, _PAD, _PAD, cv2.BORDER_REPLICATE)
            planes = np.empty((4, *whole.shape), np.uint8)
            planes[0] = whole
            loops = LOOPS.get()
            if loops is not None:
                loops.filter_planes(planes[0], planes, np.empty(whole.shape[1] + 5, np.int32))
            else:
                cv2.filter2D(whole, cv2.CV_8U, _TAPS[None], planes[1], (2, 0), _ROUND_UP)
                cv2.filter2D(whole, cv2.CV_8U, _TAPS[:, None], planes[2], (0, 2), _ROUND_UP)
                cv2.sepFilter2D(whole, cv2.CV_8U, _TAPS, _TAPS, planes[3], (2, 2), _ROUND_UP)
            self._planes = planes.reshape(-1)
        return self._planes


class Sampler:
    """Where m cells of 8x8 pixels read their reference; one sampler serves every reference of the same size.

    `corners` is (m, 2), the cells' first pixels in the picture of `size_hw`, `vectors` (m, 2) their displacements in
    quarter pixels, both x before y.
    """

    def __init__(self, corners: NDArray[np.integer], vectors: NDArray[np.integer], size_hw: tuple[int, int]) -> None:
        self._corners, self._vectors, self._size_hw = corners, vectors, size_hw

    def predict(self, reference: SubpixelPlanes) -> NDArray[np.uint8]:
        """The prediction of all cells from `reference`, (m, 64 / STEP) uint8."""
        planes, loops = reference.planes(), LOOPS.get()
        if loops is not None:
            found = np.empty((len(self._corners), BLOCK * BLOCK // STEP), np.uint8)
            corners, vectors = (for_loops(each, np.int32) for each in (self._corners, self._vectors))
            each_own = np.arange(len(corners), dtype=np.int32)
            loops.predict(corners, each_own, vectors, planes, *self._size_hw, SAMPLES, found)
            return found
        first, second, between = self._places
        result: NDArray[np.uint8] = planes.take(first, mode="wrap")
        if len(between):
            result[between] = mean(result[between], planes.take(second, mode="wrap"))
        return result

    @cached_property
    def _places(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Where in a reference's planes the cells' first samples are, and the second ones of those that lie between."""
        (height, width), corners, vectors = self._size_hw, self._corners, self._vectors
        stride = width + 2 * _PAD
        x = corners[:, 0] + (vectors[:, 0] >> 2)
        y = corners[:, 1] + (vectors[:, 1] >> 2)
        x = np.minimum(np.maximum(x, -_REACH), width + _REACH - BLOCK) + _PAD
        y = np.minimum(np.maximum(y, -_REACH), height + _REACH - BLOCK) + _PAD
        offsets = SAMPLES @ ((height + 2 * _PAD) * stride, 1, stride)
        inside = (np.arange(0, BLOCK, STEP)[:, None] * stride + np.arange(BLOCK)).ravel()
        fraction = (vectors[:, 1] & 3) * 4 + (vectors[:, 0] & 3)
        first, second = (y.astype(np.intp) * stride + x) + offsets[:, fraction]
        between = np.flatnonzero(first != second)
        return first[:, None] + inside, second[between, None] + inside, between


def cells_of(luma: NDArray[np.uint8], origin_xy: tuple[int, int], cells_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture cut into cells of which the first starts at pixel `origin_xy`, -7 to 0 each: (cells, 64 / STEP) uint8.

    Where cells reach beyond the picture, its border is repeated outwards.
    """
    (rows, cols), (height, width) = cells_hw, luma.shape
    left, top = (-v for v in origin_xy)
    right, bottom = cols * BLOCK - left - width, rows * BLOCK - top - height
    whole = (
        cv2.copyMakeBorder(luma, top, bottom, left, right, cv2.BORDER_REPLICATE)
        if left | top | right | bottom
        else luma
    )
    cells = whole.reshape(rows, BLOCK, cols, BLOCK)[:, ::STEP].swapaxes(1, 2)
    return np.ascontiguousarray(cells).reshape(rows * cols, -1)


def mean(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean of two predictions, halves rounded up."""
    return np.asarray(cv2.addWeighted(first, 0.5, second, 0.5, 0.25), np.uint8)


def differences(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean absolute difference of m cells in grey levels, (m,)."""
    if not len(first):
        return np.zeros(0, np.float32)
    loops = LOOPS.get()
    if loops is not None:
        found = np.empty(len(first), np.float32)
        loops.compare(for_loops(first, np.uint8), for_loops(second, np.uint8), found)
        return found
    total = cv2.reduce(cv2.absdiff(first, second), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
    return np.asarray(total, np.float32)[:, 0] / np.float32(first.shape[1])
