"""`Sample`: one image with its labels, and the files they are read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ..codec import InvalidDataError

VOID = 255
"""The label of pixels that count for nothing, in every array that this package passes around."""


class DatasetError(InvalidDataError):
    """A data set's folder does not hold what its layout promises."""


@dataclass(frozen=True)
class Sample:
    """`image` (H, W, 3) uint8 RGB; `labels` (H, W) uint8 class indices with 255 for void; `name` is the file's stem."""

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_labels(path: Path) -> NDArray[np.uint8]:
    """A label image as (H, W) uint8, values as stored; of a paletted PNG the indices, not the colours.

    Raises DatasetError where the file cannot be read or has several channels or more than 8 bits.
    """
    labels = _read_indices(path) if _is_paletted(path) else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise DatasetError(f"'{path}' is not an image that can be read; copy or make it again")
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise DatasetError(
            f"'{path}' is not a label image of one 8-bit channel (it is {labels.dtype} {labels.shape}); "
            "save the class indices as an 8-bit grey or paletted PNG"
        )
    return np.asarray(labels, np.uint8)


def _is_paletted(path: Path) -> bool:
    """Whether a PNG's header gives colour type 3; OpenCV would turn such a file's indices into colours."""
    try:
        with path.open("rb") as file:
            head = file.read(26)
    except OSError:
        return False
    return head[:8] == b"\x89PNG\r\n\x1a\n" and head[25:26] == b"\x03"


def _read_indices(path: Path) -> NDArray[np.uint8] | None:
    try:
        with path.open("rb") as file, av.open(file, "r") as container:  # by name, a % would stand for a number
            frame = next(container.decode(video=0))
    except (av.error.FFmpegError, StopIteration):
        return None
    plane = frame.planes[0]
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width].copy()
