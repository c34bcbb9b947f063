"""Labels drawn in colour, alone or over the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import Planes

HATCH = 8
"""Pixels from one white line to the next where a picture is hatched."""

_LUMA_OF_RED_AND_BLUE = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Kr and Kb of ITU-T H.273, table 4, by the code of MatrixCoefficients."""


class Painter:
    """Draws labels with one palette.

    `colours` is (n, 3) uint8 RGB, n <= 256; labels beyond it are painted black. `opacity` 0..1 is the share of the
    colour in `overlay` and `blend`. A painter is for one thread.
    """

    def __init__(self, colours: NDArray[np.uint8], opacity: float = 0.5) -> None:
        table = np.zeros((256, 1, 3), np.uint8)
        table[: len(colours), 0] = colours
        self._table = table
        self._yuv_tables: dict[tuple[int, bool], NDArray[np.uint8]] = {}
        self.opacity = opacity

    def colour(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) labels to (H, W, 3) uint8 RGB."""
        return np.asarray(cv2.applyColorMap(labels, self._table), np.uint8)

    def overlay(
        self, image: NDArray[np.uint8], labels: NDArray[np.uint8], occluded: NDArray[np.bool_] | None = None
    ) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB picture and (H, W) labels to the blend of both, (H, W, 3) uint8 RGB.

        Cells of `occluded` (h, w), a grid that spans the picture, are hatched in white.
        """
        colour = self.colour(labels)
        if occluded is not None:
            colour[_hatching(occluded, labels.shape)] = 255
        return np.asarray(cv2.addWeighted(image, 1 - self.opacity, colour, self.opacity, 0.0, dst=colour), np.uint8)

    def blend(
        self,
        planes: Planes,
        labels: NDArray[np.uint8],
        targets: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]],
        occluded: NDArray[np.bool_] | None = None,
    ) -> None:
        """`overlay` without RGB: write the blend of `planes` and (H, W) labels to `targets`, planes of the same shapes.

        A chroma sample of 4:2:0 takes the colour of the upper left one of its four pixels.
        """
        table = self._yuv_table(planes.matrix, planes.full_range)
        is_hatched = None if occluded is None else _hatching(occluded, labels.shape)
        if planes.u.shape != planes.y.shape:
            size = planes.u.shape[1], planes.u.shape[0]
            few = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
            few_hatched = None if is_hatched is None else is_hatched[::2, ::2]
        else:
            few, few_hatched = labels, is_hatched
        parts = ((planes.y, labels, is_hatched), (planes.u, few, few_hatched), (planes.v, few, few_hatched))
        for (plane, values, hatched), column, white, target in zip(
            parts, table.T, _white(planes), targets, strict=True
        ):
            colour = cv2.LUT(values, np.ascontiguousarray(column))
            if hatched is not None:
                colour[hatched] = white
            cv2.addWeighted(plane, 1 - self.opacity, colour, self.opacity, 0.0, dst=target)

    def _yuv_table(self, matrix: int, full_range: bool) -> NDArray[np.uint8]:
        """The palette (256, 3) in YUV."""
        key = matrix, full_range
        if key not in self._yuv_tables:
            self._yuv_tables[key] = yuv_of(self._table[:, 0], matrix, full_range)
        return self._yuv_tables[key]


def yuv_of(colours: NDArray[np.uint8], matrix: int, full_range: bool) -> NDArray[np.uint8]:
    """(n, 3) uint8 RGB of full range to (n, 3) uint8 YUV of 8 bits by a matrix and range of ITU-T H.273."""
    red, blue = _LUMA_OF_RED_AND_BLUE[matrix]
    rgb = colours.astype(np.float64) / 255
    y = rgb @ [red, 1 - red - blue, blue]
    u, v = (rgb[:, 2] - y) / (2 - 2 * blue), (rgb[:, 0] - y) / (2 - 2 * red)
    low, luma, chroma = (0, 255, 255) if full_range else (16, 219, 224)
    yuv = np.stack([low + luma * y, 128 + chroma * u, 128 + chroma * v], 1)
    return np.clip(np.rint(yuv), 0, 255).astype(np.uint8)


def _white(planes: Planes) -> tuple[int, int, int]:
    return 255 if planes.full_range else 235, 128, 128


def _hatching(occluded: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W) bool: the white lines over the cells of `occluded` (h, w)."""
    height, width = shape
    cells = cv2.resize(occluded.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    stripes = (np.arange(height)[:, None] + np.arange(width)) % HATCH < HATCH // 4
    hatched: NDArray[np.bool_] = np.logical_and(cells, stripes)
    return hatched
