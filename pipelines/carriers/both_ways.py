"""A carrier that brings what the network said of two frames to those between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...codec import Frame, MotionField
from ..motion import ways_to_later
from ..pipeline import Clock, Scores
from ..runner import NetworkRunner
from .carrier import Carried, Carrier, Passenger, Seen

P = TypeVar("P")

BETWEEN = 16
"""Frames that wait at most for the network's next look."""

ONLY = 0.8
"""The later look's part, at least, where the way to the earlier one is lost."""

MENDED = 0.75
"""Share of the wrong pixels that is left, about, halfway between two looks (measured on street clips)."""


class MixesTwo(Protocol[P]):
    """A carrier of probabilities, `Carrier[P]`, that can also bring those of two looks to a frame."""

    runner: NetworkRunner

    def see(self, frame: Frame, clock: Clock) -> Seen[P]:
        """See `Carrier`."""

    def carry(self, passengers: Sequence[Passenger[P]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""

    def carry_mixed(self, passenger: Passenger[P], back: MotionField, payload: P, part: NDArray[np.float32]) -> Scores:
        """Probabilities brought to a frame, with the `part` (h, w), 0 to 1, of a later look's: those of its `payload`
        along `back`, which leads from the frame to it."""


class BothWays(Carrier[P]):
    """Probabilities as `one_way` carries them, that are also brought back from a frame where the network looked later,
    without a keyframe.

    Halfway between two looks both count the same; nearer to one of them, that one counts more, linearly. Frames wait
    for the later look, BETWEEN of them at most; where it does not come, only the earlier one counts, as it does
    where a cell's way is not known.
    """

    batch = BETWEEN

    def __init__(self, one_way: MixesTwo[P]) -> None:
        self.one_way = one_way
        self._steps: list[Frame] = []
        self._before: list[Frame] = []

    def see(self, frame: Frame, clock: Clock) -> Seen[P]:
        """See `Carrier`."""
        return self.one_way.see(frame, clock)

    def carry(self, passengers: Sequence[Passenger[P]], clock: Clock) -> list[Carried]:
        """See `Carrier`."""
        return self.one_way.carry(passengers, clock)

    def begin(self) -> None:
        """See `Carrier`."""
        self._before, self._steps = self._steps, []

    def follow(self, frame: Frame) -> None:
        """See `Carrier`."""
        self._steps.append(frame)
        del self._steps[: -BETWEEN - 1]

    def carry_between(
        self, passengers: Sequence[Passenger[P]], later: Frame, payload: P, clock: Clock
    ) -> list[Carried]:
        """See `Carrier`."""
        steps, self._before = self._before, []
        ways: dict[int, MotionField] = {}
        if steps and steps[-1] is later:
            wanted = {passenger.frame.index for passenger in passengers}
            with clock("warp"):
                ways = {
                    frame.index: back
                    for frame, back in ways_to_later(steps, self.one_way.runner.stride)
                    if frame.index in wanted
                }
        carried = []
        for passenger in passengers:
            back = ways.get(passenger.frame.index)
            if back is None:
                carried += self.carry([passenger], clock)
                continue
            left, gone = later.index - passenger.frame.index, passenger.since
            with clock("warp"):
                carried.append(self._mixed(passenger, back, payload, gone / (gone + left)))
        return carried

    def _mixed(self, passenger: Passenger[P], back: MotionField, payload: P, share: float) -> Carried:
        """What is brought to a frame, with the `share` of a later look's probabilities where its way is known."""
        lost = passenger.motion.unreferenced
        known_once = np.where(lost, np.float32(max(share, ONLY)), np.float32(share))
        part = np.where(back.unreferenced, np.float32(0), known_once)
        scores = self.one_way.carry_mixed(passenger, back, payload, part)
        left_wrong = 1 - 4 * (1 - MENDED) * share * (1 - share)
        return Carried(scores, lost & back.unreferenced, True, left_wrong)
