"""Labels drawn in colour, alone or over the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

HATCH = 8
"""Pixels from one white line to the next where a picture is hatched."""


class Painter:
    """Draws labels with one palette.

    `colours` is (n, 3) uint8 RGB, n <= 256; labels beyond it are painted black. `opacity` 0..1 is the share of the
    colour in `overlay`.
    """

    def __init__(self, colours: NDArray[np.uint8], opacity: float = 0.5) -> None:
        table = np.zeros((256, 1, 3), np.uint8)
        table[: len(colours), 0] = colours
        self._table = table
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
            height, width = labels.shape
            cells = cv2.resize(occluded.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
            stripes = (np.arange(height)[:, None] + np.arange(width)) % HATCH < HATCH // 4
            colour[cells.astype(np.bool_) & stripes] = 255
        return np.asarray(cv2.addWeighted(image, 1 - self.opacity, colour, self.opacity, 0.0, dst=colour), np.uint8)
