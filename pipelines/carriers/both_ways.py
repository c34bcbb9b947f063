"""A carrier that brings what the network said of two frames to those between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ...codec import BLOCK, Frame, MotionField, grid_positions
from ..map_warp import warp_map
from ..motion import last_step
from ..pipeline import Clock
from ..runner import NetworkRunner
from .carrier import Carried, Passenger
from .maps import Map, Probabilities

BETWEEN = 16
"""Frames that wait at most for the network's next look."""

MENDED = 0.75
"""Share of the wrong pixels that is left, about, halfway between two looks (measured on street clips)."""


class BothWays(Probabilities):
    """`Probabilities` that are also brought back from a frame where the network looked later, without a keyframe.

    Halfway between two looks both count the same; nearer to one of them, that one counts more, linearly. Frames wait
    for the later look, BETWEEN of them at most; where it does not come, only the earlier one counts, as it does
    where a cell's way is not known. Vectors have to mean 'the previous frame'; others lead back to nowhere.
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
        if not steps or steps[-1] is not later or any(step.references is not None for step in steps):
            return carried
        places = {passenger.frame.index: place for place, passenger in enumerate(passengers)}
        with clock("warp"):
            for frame, back in ways_back(steps, self.runner.stride):
                if (place := places.get(frame.index)) is not None:
                    left, gone = later.index - frame.index, passengers[place].since
                    carried[place] = self._mixed(carried[place], back, payload, gone / (gone + left))
        return carried

    def _mixed(self, first: Carried, back: MotionField, payload: Map, share: float) -> Carried:
        """What was carried to a frame, with the `share` of a later look's probabilities where its way is known."""
        part = np.where(back.unreferenced, np.float32(0), np.float32(share))[..., None]
        other = warp_map(payload, back.displacement, self.runner.stride)
        scores = first.scores + part * (other - first.scores)
        left_wrong = 1 - 4 * (1 - MENDED) * share * (1 - share)
        return Carried(scores, first.occluded & back.unreferenced, True, left_wrong)


def ways_back(steps: Sequence[Frame], cell: int) -> Iterator[tuple[Frame, MotionField]]:
    """For the frames before the last of `steps`, last first: each with its motion to that last frame.

    `steps` are P-frames in a row whose vectors mean the frame before. The last one's cells are followed back by their
    own vectors; where they arrive, that is turned round. `unreferenced` are cells in which none arrives, or one whose
    way met a block without reference. Motion is on cells of `cell` pixels.
    """
    start = grid_positions(steps[-1].size_hw, cell)
    (height, width), across = steps[-1].size_hw, -(-steps[-1].size_hw[1] // BLOCK)
    x, y, is_lost = start.x.copy(), start.y.copy(), np.zeros(start.x.shape, np.bool_)
    for place in range(len(steps) - 1, 0, -1):
        step = last_step(steps[place])
        where = (y >> 5) * across + (x >> 5)
        moved = np.rint(4 * step.displacement.reshape(-1, 2)[where]).astype(np.int32)
        x, y = x + moved[:, 0], y + moved[:, 1]
        is_lost |= step.unreferenced.ravel()[where] | (x < 0) | (y < 0) | (x >= 4 * width) | (y >= 4 * height)
        x, y = x.clip(2, 4 * width - 2), y.clip(2, 4 * height - 2)
        rows, columns = start.grid_hw
        displacement = np.zeros((rows * columns, 2), np.float32)
        unreferenced = np.ones(rows * columns, np.bool_)
        at = np.flatnonzero(~is_lost)
        cells = (y[at] // (4 * cell)) * columns + x[at] // (4 * cell)
        displacement[cells, 0], displacement[cells, 1] = (start.x - x)[at] / 4, (start.y - y)[at] / 4
        unreferenced[cells] = False
        yield (
            steps[place - 1],
            MotionField(
                displacement.reshape(rows, columns, 2),
                unreferenced.reshape(rows, columns),
                steps[-1].size_hw,
                (float(cell), float(cell)),
            ),
        )
