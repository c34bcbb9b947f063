"""Motion-compensated prediction of luma with H.264's sub-pixel interpolation, for a whole picture of blocks at once."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .motion import BLOCK

_PAD = 24  # a block is never further outside than _REACH, where all that it sees is the repeated border
_REACH = 16
_TAPS = np.array([1, -5, 20, 20, -5, 1], np.float32) / 32  # 8.4.2.2.1
_ROUND_UP = 1 / 256  # ties go up, as in the standard, where OpenCV would go to even

# Planes: 0 whole pixels, 1 half a pixel to the right, 2 half a pixel down, 3 both. Every one of the 16 positions, by
# (y & 3) * 4 + (x & 3), is the mean of two samples: (plane, right, down) of each (8.4.2.2.1, table 8-12).
_SAMPLES = np.array(
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
            cv2.filter2D(whole, cv2.CV_8U, _TAPS[None], planes[1], (2, 0), _ROUND_UP)
            cv2.filter2D(whole, cv2.CV_8U, _TAPS[:, None], planes[2], (0, 2), _ROUND_UP)
            cv2.sepFilter2D(whole, cv2.CV_8U, _TAPS, _TAPS, planes[3], (2, 2), _ROUND_UP)
            self._planes = planes.reshape(-1)
        return self._planes


class Sampler:
    """Where a picture of blocks reads its reference; one sampler serves every reference of the same size.

    `vectors` is (rows, cols, 2) int, quarter pixels, x before y, one for each 8x8 cell of a lattice whose first cell
    starts at pixel `origin_xy` of the picture of `size_hw`. `step` takes only every so-manieth row of each cell.
    """

    def __init__(
        self, vectors: NDArray[np.int32], size_hw: tuple[int, int], origin_xy: tuple[int, int], step: int = 1
    ) -> None:
        height, width = size_hw
        rows, cols = vectors.shape[:2]
        stride = width + 2 * _PAD
        fraction = (vectors[..., 1] & 3) * 4 + (vectors[..., 0] & 3)
        x = (vectors[..., 0] >> 2) + (np.arange(cols) * BLOCK + origin_xy[0])
        y = (vectors[..., 1] >> 2) + (np.arange(rows) * BLOCK + origin_xy[1])[:, None]
        x = x.clip(-_REACH, width + _REACH - BLOCK) + _PAD
        y = y.clip(-_REACH, height + _REACH - BLOCK) + _PAD
        base = y * stride + x
        offsets = _SAMPLES @ ((height + 2 * _PAD) * stride, 1, stride)
        both = base + offsets[:, fraction]
        inside = np.arange(0, BLOCK, step)[:, None, None] * stride + np.arange(BLOCK)
        self.shape = rows * (BLOCK // step), cols * BLOCK
        self._where = (both[:, :, None, :, None] + inside).reshape(2, *self.shape)
        self._scratch = np.empty((2, *self.shape), np.uint8)

    def predict(self, reference: SubpixelPlanes) -> NDArray[np.uint8]:
        """The prediction from `reference`, one row of pixels in `step`: (rows * 8 / step, cols * 8) uint8."""
        planes = reference.planes()
        for where, out in zip(self._where, self._scratch, strict=True):
            planes.take(where, out=out, mode="wrap")
        result: NDArray[np.uint8] = cv2.addWeighted(self._scratch[0], 0.5, self._scratch[1], 0.5, 0.25)  # type: ignore[assignment]
        return result
