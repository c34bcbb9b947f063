"""A carrier that brings what the network said of two frames to those between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...codec import Frame, MotionField
from ..motion import warp_map, ways_to_later
from ..pipeline import Clock
from ..runner import NetworkRunner
from .carrier import Carried, Passenger
from .maps import Map, Probabilities

BETWEEN = 16
"""Frames that wait at most for the network's next look."""

ONLY = 0.8
"""The later look's part, at least, where the way to the earlier one is lost."""

MENDED = 0.75
"""Share of the wrong pixels that is left, about, halfway between two looks (measured on street clips)."""


class BothWays(Probabilities):
    """`Probabilities` that are also brought back from a frame where the network looked later, without a keyframe.

    Halfway between two looks both count the same; nearer to one of them, that one counts more, linearly. Frames wait
    for the later look, BETWEEN of them at most; where it does not come, only the earlier one counts, as it does
    where a cell's way is not known.
    """

    batch = BETWEEN

    def __init__(self, runner: NetworkRunner, *, mix_lost: bool, key_scale: float = 1.0) -> None:
        super().__init__(runner, mix_lost=mix_lost, key_scale=key_scale)
        self._steps: list[Frame] = []
        self._before: list[Frame] = []

    def begin(self) -> None:
        """See `Carrier`."""
        self._before, self._steps = self._steps, []

    def follow(self, frame: Frame) -> None:
        """See `Carrier`."""
        self._steps.append(frame)
        del self._steps[: -BETWEEN - 1]

    def carry_between(
        self, passengers: Sequence[Passenger[Map]], later: Frame, payload: Map, clock: Clock
    ) -> list[Carried]:
        """See `Carrier`."""
        carried = self.carry(passengers, clock)
        steps, self._before = self._before, []
        if not steps or steps[-1] is not later:
            return carried
        places = {passenger.frame.index: place for place, passenger in enumerate(passengers)}
        with clock("warp"):
            for frame, back in ways_to_later(steps, self.runner.stride):
                if (place := places.get(frame.index)) is not None:
                    left, gone = later.index - frame.index, passengers[place].since
                    carried[place] = self._mixed(carried[place], back, payload, gone / (gone + left))
        return carried

    def _mixed(self, first: Carried, back: MotionField, payload: Map, share: float) -> Carried:
        """What was carried to a frame, with the `share` of a later look's probabilities where its way is known."""
        known_once = np.where(first.occluded, np.float32(max(share, ONLY)), np.float32(share))
        part = np.where(back.unreferenced, np.float32(0), known_once)[..., None]
        other = warp_map(payload, back.displacement, self.runner.stride)
        own = first.scores if isinstance(first.scores, np.ndarray) else first.scores.full()
        scores = own + part * (other - own)
        left_wrong = 1 - 4 * (1 - MENDED) * share * (1 - share)
        return Carried(scores, first.occluded & back.unreferenced, True, left_wrong)
