"""AR-Seg's carrier: a branch that sees the frames shrunk, fused with what the keyframe said (Hu et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...codec import Frame, MotionField
from ...segnet import Carried as Maps
from ..pipeline import Clock
from .altering_runner import AlteringRunner
from .carrier import Carried, Carrier, Passenger, Seen, black_frame, uncounted


class LowResolutionFusion(Carrier[Maps]):
    """The HR network's maps of a keyframe, warped and fused with the LR branch's of each frame."""

    reads_pictures = True

    def __init__(self, altering: AlteringRunner) -> None:
        self.altering = altering
        self.batch = altering.batch

    def warm_up(self, size_hw: tuple[int, int]) -> None:
        """See `Carrier`."""
        frame = black_frame(size_hw)
        payload = self.see(frame, uncounted).payload
        stride = self.altering.runner.stride
        grid_hw = -(-size_hw[0] // stride), -(-size_hw[1] // stride)
        still = MotionField(np.zeros((*grid_hw, 2), np.float32), np.zeros(grid_hw, np.bool_), size_hw, (stride, stride))
        self.carry([Passenger(frame, still, payload, self)] * self.batch, uncounted)

    def see(self, frame: Frame, clock: Clock) -> Seen[Maps]:
        """See `Carrier`."""
        picture = self.altering.runner.picture(frame, clock)
        with clock("network"):
            logits, carried = self.altering.keyframe(picture)
            return Seen(self.altering.runner.kept(logits, frame.size_hw), carried)

    def carry(self, passengers: Sequence[Passenger[Maps]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""
        runner = self.altering.runner
        pictures = [runner.picture(one.frame, clock) for one in passengers]
        with clock("fusion"):
            logits = self.altering.fused(
                pictures,
                passengers[0].payload,
                [one.motion for one in passengers],
                [one.frame.distance for one in passengers],
            )
            return [
                Carried(runner.kept(own[None], one.frame.size_hw), one.motion.unreferenced)
                for one, own in zip(passengers, logits, strict=True)
            ]
