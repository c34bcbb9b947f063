"""`Sample`: one image with its labels, and the files they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

VOID = 255
"""The label of pixels that count for nothing, in every array that this package passes around."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff")


class DatasetError(ValueError):
    """A data set's folder does not hold what its layout promises."""


@dataclass(frozen=True)
class Sample:
    """`image` (H, W, 3) uint8 RGB; `labels` (H, W) uint8 class indices with 255 for void; `name` is the file's stem."""

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB; DatasetError if it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(f"'{path}' is not an image that can be read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_labels(path: Path) -> NDArray[np.uint8]:
    """A single-channel label image as (H, W) uint8, values as stored; DatasetError if it cannot be read."""
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise DatasetError(f"'{path}' is not a single-channel label image")
    return labels.astype(np.uint8, copy=False)
