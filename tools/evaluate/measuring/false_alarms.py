"""False alarms: classes that a video is known not to show, and the frames in which they are seen all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ....errors import InputError

PIXELS = 50
"""A class counts as seen in a frame from one pixel more, unless another number is given."""


@dataclass(frozen=True)
class Absent:
    """A class, its index, and the number of pixels of it that a frame may have without counting."""

    name: str
    index: int
    pixels: int

    @classmethod
    def parse(cls, text: str, classes: Sequence[str]) -> Self:
        """From 'pedestrian' or 'pedestrian:200'; InputError where it is no such class or number."""
        name, colon, number = text.partition(":")
        if name not in classes:
            raise InputError(f"--absent: the model has no class '{name}'; take one of {', '.join(classes)}")
        if colon and not number.isdecimal():
            raise InputError(f"--absent: '{number}' is no number of pixels; give it as in {name}:{PIXELS}")
        return cls(name, tuple(classes).index(name), int(number) if colon else PIXELS)


class FalseAlarms:
    """Counts the frames of a stream in which classes that are not there are seen."""

    def __init__(self, absent: Sequence[Absent] = ()) -> None:
        self.absent = tuple(absent)
        self._seen = np.zeros(len(self.absent), np.int64)
        self._frames = 0

    def update(self, labels: NDArray[np.uint8]) -> None:
        """Add a frame's labels (H, W)."""
        self._frames += 1
        for at, one in enumerate(self.absent):
            self._seen[at] += np.count_nonzero(labels == one.index) > one.pixels

    def compute(self) -> dict[str, float]:
        """Of each class the share of frames in which it is seen, 0 to 1."""
        return {one.name: float(seen / max(1, self._frames)) for one, seen in zip(self.absent, self._seen, strict=True)}
