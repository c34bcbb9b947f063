"""AR-Seg's carrier: a branch that sees the frames shrunk, fused with what the keyframe said (Hu et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...segnet import Carried as Maps
from ..pipeline import Clock
from .altering_runner import AlteringRunner
from .carrier import Carried, Carrier, Passenger, Seen

BATCH = 12
"""Frames between keyframes that are gathered at most for one pass of the LR branch: a GOP of usual length."""


class LowResolutionFusion(Carrier[Maps]):
    """The HR network's maps of a keyframe, warped and fused with the LR branch's of each frame."""

    batch = BATCH
    reads_pictures = True

    def __init__(self, altering: AlteringRunner) -> None:
        self.altering = altering

    def see(self, image: NDArray[np.uint8], clock: Clock) -> Seen[Maps]:
        """See `Carrier`."""
        with clock("network"):
            return Seen(*self.altering.keyframe(image))

    def carry(self, passengers: Sequence[Passenger[Maps]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""
        with clock("fusion"):
            scores = self.altering.fused(
                [one.frame.image for one in passengers],
                passengers[0].payload,
                [one.motion for one in passengers],
                [one.frame.distance for one in passengers],
            )
        return [Carried(own, one.motion.unreferenced) for one, own in zip(passengers, scores, strict=True)]
