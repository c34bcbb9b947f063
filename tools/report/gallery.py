"""The pictures that a report shows: one labelled frame, seen at several distances to its keyframe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame

Labels = NDArray[np.uint8]
"""(H, W) class indices, 255 for void."""


@dataclass(frozen=True)
class Shown:
    """A frame at distance `distance`: its decoded picture (H, W, 3) uint8 RGB, its truth, and each variant's labels."""

    name: str
    distance: int
    image: NDArray[np.uint8]
    truth: Labels
    labels: dict[str, Labels]


class Gallery:
    """Keeps what is scored of the frame called `subject` at the distances 0, 1, half a GOP and a whole one less 1."""

    def __init__(self, subject: str, gop: int) -> None:
        self.subject = subject
        self.distances = sorted({d for d in (0, 1, gop // 2, gop - 1) if d < gop})
        self._kept: dict[int, Shown] = {}

    def __call__(self, name: str, frame: Frame, truth: Labels, labels: dict[str, Labels]) -> None:
        """Keep the frame if it is one of those to be shown."""
        if name == self.subject and frame.distance in self.distances:
            picture = frame.image[: truth.shape[0], : truth.shape[1]]  # what was padded for the codec left out
            self._kept[frame.distance] = Shown(name, frame.distance, picture, truth, dict(labels))

    @property
    def shown(self) -> list[Shown]:
        """What was kept, by distance."""
        return [self._kept[d] for d in sorted(self._kept)]
