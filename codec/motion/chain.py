"""`MotionChain`: motion to the keyframe, by following positions through the raw fields of a GOP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .field import BLOCK, MotionField
from .following import UNIT, Checkpoint, GridPositions, Step, Trail, follower

Grid = int | Literal["pixel"] | tuple[int, int]
"""How a chain is sampled: cells of so many pixels, every pixel, or a (rows, columns) grid that spans the picture."""

SEGMENT = 8
"""Frames from one checkpoint of a `MotionChain` to the next."""

_SIDE = 2  # pixels of a checkpoint's cells


class MotionChain:
    """The fields of one GOP, followed back to its keyframe.

    Call `reset()` at each keyframe, `push(field)` for each later frame in order, and `compose()` whenever the motion of
    the frame pushed last is needed. A position is followed in quarter pixels, through the last field first, by the
    vector of the 8x8 cell that it lies in; where it leaves the picture it stays on the border, whose pixels the codecs
    repeat outwards (H.264, 8.4.2.2). `size_hw` is the displayed picture's size in pixels. A chain is for one thread.

    However long the GOP, time and memory are bounded. Every SEGMENT-th frame is a checkpoint, whose motion to the
    keyframe is composed on cells of 2x2 pixels, a part with each of the next frames. A way goes through the last 8 to
    15 fields to a checkpoint, and on by what was composed for the cell that it lies in there. Up to the distance
    2 * SEGMENT - 1 that is the keyframe itself, and the result that of following every field. `bounded=False` follows
    every field at any distance, to compare.
    """

    def __init__(self, size_hw: tuple[int, int], *, bounded: bool = True) -> None:
        self.size_hw, self._is_bounded = size_hw, bounded
        self._cells_hw = -(-size_hw[0] // BLOCK), -(-size_hw[1] // BLOCK)
        self._follower = follower(size_hw)
        self._starts: dict[Grid, GridPositions] = {}
        self._steps: list[Step | None] = []
        self._base: Step | None = None
        self._last_field: MotionField | None = None
        self._trails: dict[Grid, Trail] = {}
        self._composed: dict[Grid, _Composed] = {}
        self._next: Checkpoint | None = None
        self._count = 0

    def __len__(self) -> int:
        """The number of frames since the keyframe."""
        return self._count

    def reset(self) -> None:
        """Start a GOP: the current frame is a keyframe."""
        self._steps.clear()
        self._composed.clear()
        self._base = self._next = self._last_field = None
        self._count = 0

    def push(self, field: MotionField | None) -> None:
        """Add the next frame's field on the 8x8 grid; None where nothing is known (no motion, all unreferenced).

        Displacements are rounded to quarter pixels, which loses nothing of a codec's vectors. Raises ValueError if the
        field is not on the 8x8 grid of a picture of this chain's size.
        """
        if field is not None and (field.size_hw != self.size_hw or field.unreferenced.shape != self._cells_hw):
            raise ValueError(
                f"a field of {field.unreferenced.shape} cells for a {field.size_hw} picture does not fit a chain of "
                f"{self._cells_hw} cells of 8x8 pixels for {self.size_hw}; push MotionField.from_vectors of its video"
            )
        if self._is_bounded and self._count and self._count % SEGMENT == 0:
            self._next = self._follower.checkpoint(self._start(_SIDE), _SIDE, self._way())
        self._steps.append(
            None if field is None else self._follower.step(field.displacement, field.unreferenced, BLOCK)
        )
        self._last_field = field
        self._count += 1
        if self._next is not None:
            self._advance(self._next)

    def compose(self, grid: Grid = 4) -> MotionField:
        """The motion from the frame pushed last to the keyframe, at the centres of `grid`'s cells.

        `grid` is the side of a cell in pixels (there are ceil(H / side) rows of them; centres beyond the picture are
        moved onto its last pixels), "pixel", or (rows, columns) of a feature map that spans the picture. `unreferenced`
        marks cells whose way met a block without reference, or a frame of which nothing is known. Every `x + dx`, `y +
        dy` lies in the picture. On a keyframe there is no motion and nothing is unreferenced.
        """
        before = self._composed.get(grid)
        if before is None or before.count != self._count:
            before = self._composed[grid] = _Composed(self._count, self._base, self._motion(grid, before))
        return before.motion

    def _motion(self, grid: Grid, before: _Composed | None) -> MotionField:
        """See `compose`. What has not moved since the frame `before` has the same motion."""
        start = self._start(grid)
        if grid not in self._trails:
            self._trails[grid] = self._follower.trail(start)
        goes_on = before is not None and before.count == self._count - 1 and before.base is self._base
        displacement, lost = self._trails[grid].follow(self._way(), self._last_field if goes_on else None)
        return MotionField(displacement, lost, self.size_hw, start.cell)

    def _way(self) -> list[Step | None]:
        """From the frame pushed last to the keyframe."""
        return [*reversed(self._steps), *([] if self._base is None else [self._base])]

    def _advance(self, checkpoint: Checkpoint) -> None:
        """Compose the next rows of a checkpoint; once it is whole, it takes the place of the steps before it."""
        since, rows = (self._count - 1) % SEGMENT + 1, checkpoint.rows
        checkpoint.compose(slice(rows * (since - 1) // SEGMENT, rows * since // SEGMENT))
        if since == SEGMENT:
            self._base = checkpoint.step()
            del self._steps[:-SEGMENT]
            self._next = None

    def _start(self, grid: Grid) -> GridPositions:
        if grid not in self._starts:
            self._starts[grid] = grid_positions(self.size_hw, grid)
        return self._starts[grid]


@dataclass(frozen=True, eq=False)
class _Composed:
    """The `motion` of the frame at distance `count`, whose way ended at the checkpoint `base`."""

    count: int
    base: Step | None
    motion: MotionField


def grid_positions(size_hw: tuple[int, int], grid: Grid) -> GridPositions:
    """The centres of the cells of `grid` on a picture of `size_hw`; ValueError for a grid that is none."""
    height, width = size_hw
    if grid == "pixel":
        grid = 1
    if isinstance(grid, int) and grid >= 1:
        grid_hw, cell = (-(-height // grid), -(-width // grid)), (float(grid), float(grid))
    elif isinstance(grid, tuple) and len(grid) == 2 and min(grid) >= 1:
        grid_hw, cell = grid, (height / grid[0], width / grid[1])
    else:
        raise ValueError(f"grid {grid!r} is unknown; give a cell size in pixels, 'pixel' or (rows, columns)")
    rows, cols = (_centres(*what) for what in zip(grid_hw, cell, size_hw, strict=True))
    return GridPositions(np.tile(cols, len(rows)), np.repeat(rows, len(cols)), grid_hw, cell)


def _centres(count: int, side: float, size: int) -> NDArray[np.int32]:
    """Centres of cells along one axis in quarter pixels, kept within the centres of the first and last pixel."""
    centres: NDArray[np.int32] = np.rint((np.arange(count) + 0.5) * (side * UNIT)).astype(np.int32)
    return centres.clip(UNIT // 2, size * UNIT - UNIT // 2)
