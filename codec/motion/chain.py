"""`MotionChain`: motion to the keyframe, by following positions through the raw fields of a GOP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .field import BLOCK, MotionField

Grid = int | Literal["pixel"] | tuple[int, int]
"""How a chain is sampled: cells of so many pixels, every pixel, or a (rows, columns) grid that spans the picture."""

_UNIT = 4  # positions are whole quarter pixels from the picture's corner, which is how the codecs write their vectors
_SHIFT = 5  # quarter pixels -> cells of 8 pixels
_CHUNK = 1 << 16  # positions followed at a time, so that what they touch stays in the cache


class MotionChain:
    """The fields of one GOP, followed back to its keyframe.

    Call `reset()` at each keyframe, `push(field)` for each later frame in order, and `compose()` whenever the motion of
    the frame pushed last is needed. A position is followed in quarter pixels, through the last field first, by the
    vector of the 8x8 cell that it lies in; where it leaves the picture it stays on the border, whose pixels the codecs
    repeat outwards (H.264, 8.4.2.2). `size_hw` is the displayed picture's size in pixels. A chain is for one thread.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw
        self._cells_hw = -(-size_hw[0] // BLOCK), -(-size_hw[1] // BLOCK)
        self._steps: list[_Step | None] = []
        self._starts: dict[Grid, GridPositions] = {}
        # written over by every call, because fresh pages cost more than what is computed in them
        self._scratch = np.empty((6, _CHUNK), np.int32)
        self._where = np.empty(_CHUNK, np.intp)

    def __len__(self) -> int:
        """The number of frames since the keyframe."""
        return len(self._steps)

    def reset(self) -> None:
        """Start a GOP: the current frame is a keyframe."""
        self._steps.clear()

    def push(self, field: MotionField | None) -> None:
        """Add the next frame's field on the 8x8 grid; None where nothing is known (no motion, all unreferenced).

        Displacements are rounded to quarter pixels, which loses nothing of a codec's vectors. Raises ValueError if the
        field is not on the 8x8 grid of a picture of this chain's size.
        """
        if field is None:
            self._steps.append(None)
            return
        if field.size_hw != self.size_hw or field.unreferenced.shape != self._cells_hw:
            raise ValueError(
                f"a field of {field.unreferenced.shape} cells for a {field.size_hw} picture does not fit a chain of "
                f"{self._cells_hw} cells of 8x8 pixels for {self.size_hw}; push MotionField.from_vectors of its video"
            )
        shift = np.rint(field.displacement.reshape(-1, 2) * np.float32(_UNIT)).astype(np.int32)
        # the mask rides along in the lowest bit: one look-up less for each step
        self._steps.append(_Step((shift[:, 0] << 1) | field.unreferenced.ravel(), np.ascontiguousarray(shift[:, 1])))

    def compose(self, grid: Grid = 4) -> MotionField:
        """The motion from the frame pushed last to the keyframe, at the centres of `grid`'s cells.

        `grid` is the side of a cell in pixels (there are ceil(H / side) rows of them; centres beyond the picture are
        moved onto its last pixels), "pixel", or (rows, columns) of a feature map that spans the picture. `unreferenced`
        marks cells whose way met a block without reference, or a frame of which nothing is known. Every `x + dx`, `y +
        dy` lies in the picture. On a keyframe there is no motion and nothing is unreferenced.
        """
        start = self._start(grid)
        count = start.x.size
        displacement = np.empty((count, 2), np.float32)
        lost = np.empty(count, np.bool_)
        for at in range(0, count, _CHUNK):
            part = slice(at, at + _CHUNK)
            self._follow(start.x[part], start.y[part], displacement[part], lost[part])
        return MotionField(
            displacement.reshape(*start.grid_hw, 2), lost.reshape(start.grid_hw), self.size_hw, start.cell
        )

    def _follow(
        self, x0: NDArray[np.int32], y0: NDArray[np.int32], displacement: NDArray[np.float32], lost: NDArray[np.bool_]
    ) -> None:
        """Follow positions (n,) through all steps, last first; write (n, 2) pixels and the mask."""
        low = _UNIT // 2
        high_y, high_x = (size * _UNIT - low for size in self.size_hw)
        x, y, index, dx, dy, met = (row[: len(x0)] for row in self._scratch)
        where = self._where[: len(x0)]
        x[:], y[:], met[:] = x0, y0, 0
        for step in reversed(self._steps):
            if step is None:
                met[:] = 1
                continue
            np.right_shift(y, _SHIFT, out=index)
            np.multiply(index, self._cells_hw[1], out=index)
            np.right_shift(x, _SHIFT, out=dx)
            np.add(index, dx, out=where)
            step.dx_and_mask.take(where, out=dx, mode="wrap")
            step.dy.take(where, out=dy, mode="wrap")
            np.bitwise_or(met, dx, out=met)
            np.right_shift(dx, 1, out=dx)
            np.add(x, dx, out=x)
            np.add(y, dy, out=y)
            np.clip(x, low, high_x, out=x)
            np.clip(y, low, high_y, out=y)
        np.subtract(x, x0, out=dx)
        np.subtract(y, y0, out=dy)
        displacement[:, 0], displacement[:, 1] = dx, dy
        displacement *= np.float32(1 / _UNIT)
        np.bitwise_and(met, 1, out=met)
        lost[:] = met

    def _start(self, grid: Grid) -> GridPositions:
        if grid not in self._starts:
            self._starts[grid] = grid_positions(self.size_hw, grid)
        return self._starts[grid]


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


@dataclass(frozen=True, eq=False)
class _Step:
    """One field for the chain: flat int32 quarter pixels, `dx` doubled with the unreferenced mask in its lowest bit."""

    dx_and_mask: NDArray[np.int32]
    dy: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class GridPositions:
    """Where the positions of a grid start: flat int32 quarter pixels from the picture's corner."""

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    grid_hw: tuple[int, int]
    cell: tuple[float, float]


def _centres(count: int, side: float, size: int) -> NDArray[np.int32]:
    """Centres of cells along one axis in quarter pixels, kept within the centres of the first and last pixel."""
    centres: NDArray[np.int32] = np.rint((np.arange(count) + 0.5) * (side * _UNIT)).astype(np.int32)
    return centres.clip(_UNIT // 2, size * _UNIT - _UNIT // 2)
