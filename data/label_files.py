"""Label images as files: 8-bit paletted PNG, the value of a pixel being its class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .palettes import Palette
from .sample import VOID, read_labels


def write_labels(path: Path, labels: NDArray[np.uint8], palette: Palette) -> None:
    """Write (H, W) uint8 labels, shown in the palette's colours; `read_labels` gives the same array back."""
    image = Image.fromarray(labels)
    image.putpalette(palette.table.ravel().tolist())
    image.save(path, format="PNG", compress_level=1)


def read_class_indices(path: Path, classes: int) -> NDArray[np.uint8]:
    """A label image whose values are class indices, (H, W) uint8; `classes` and more are void."""
    labels = read_labels(path)
    return np.where(labels < classes, labels, VOID).astype(np.uint8)
