"""Image files: which there are, in what order, and their pixels."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..codec import InvalidDataError, SourceError

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def natural_key(path: str | os.PathLike[str]) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that orders numbers in names by value: f2 before f10; case decides only between equals."""
    text = os.fspath(path)
    parts = re.split(r"([0-9]+)", text.lower())
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts], text


def is_image(path: Path) -> bool:
    """Whether a file has an image's suffix; hidden files are none."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB, turned as its EXIF data ask; InvalidDataError where it is damaged."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check its rights") from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise InvalidDataError(f"{path}: is no image that can be decoded ({data.size} bytes); copy or make it again")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
