"""A procedural street as a video with exact labels: licence-free sample, test and training material."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .rendering import StreetRenderer


class SyntheticStreet:
    """A drive through an endless procedural street, seen by a dash camera about 1.4 m above the road.

    `seed` chooses the street: its width, houses, trees, traffic, weather, light, camera. `size_hw` is the picture's
    size in pixels, `frame_rate` the frames a second of the drive. A frame is a pure function of the seed, the size,
    the rate and its index, with the same bytes on the same machine and library versions.

    Labels are CamVid's 11 classes: 0 sky, 1 building, 2 pole, 3 road, 4 pavement, 5 tree (grass and hedges too, as
    CamVid's authors' "vegetation"), 6 sign (traffic lights too), 7 fence, 8 car, 9 pedestrian, 10 bicyclist; 255 (void)
    never occurs. A pixel has the label of the nearest thing that covers at least half of it.
    """

    def __init__(self, seed: int = 0, size_hw: tuple[int, int] = (360, 480), frame_rate: float | Fraction = 15) -> None:
        if seed < 0:
            raise ValueError(f"seed {seed}: a street's seed cannot be negative; use 0 or more")
        if min(size_hw) < 32:
            raise ValueError(f"size_hw {size_hw}: a street needs at least 32 pixels each way")
        if frame_rate <= 0:
            raise ValueError(f"frame_rate {frame_rate}: must be more than 0 frames a second")
        self.seed, self.size_hw = seed, (int(size_hw[0]), int(size_hw[1]))
        self.frame_rate = Fraction(frame_rate)
        self._renderer = StreetRenderer(seed, self.size_hw)

    def __repr__(self) -> str:
        return f"SyntheticStreet(seed={self.seed}, size_hw={self.size_hw}, frame_rate={self.frame_rate})"

    def frame(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Frame `index` (0 or more): image (H, W, 3) uint8 RGB and labels (H, W) uint8; IndexError if negative."""
        if index < 0:
            raise IndexError(f"frame {index}: a street starts at frame 0")
        return self._renderer.render(index, self.frame_rate)

    def frames(self, count: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """The first `count` frames in order, each as `frame` gives it."""
        for index in range(count):
            yield self.frame(index)
