"""`MotionChain`: motion to the keyframe, by following positions through the raw fields of a GOP."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .motion import BLOCK, MotionField

Grid = int | Literal["pixel"] | tuple[int, int]
"""How a chain is sampled: cells of so many pixels, every pixel, or a (rows, columns) grid that spans the picture."""

_UNIT = 4  # positions are whole quarter pixels, which is how the codecs write their vectors
_SHIFT = 5  # quarter pixels -> cells of 8 pixels


class MotionChain:
    """The fields of one GOP, followed back to its keyframe.

    Call `reset()` at each keyframe, `push(field)` for each later frame in order, and `compose()` whenever the motion of
    the frame pushed last is needed. A position is followed in quarter pixels through every field, nearest cell first to
    last; where it leaves the picture it stays on the border, which is what codecs do with their references.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw
        self._fields: list[tuple[NDArray[np.int32], NDArray[np.uint8]] | None] = []
        self._starts: dict[Grid, tuple[NDArray[np.int32], tuple[float, float]]] = {}
        height, width = size_hw
        self._last = np.array([width * _UNIT - _UNIT // 2, height * _UNIT - _UNIT // 2], np.int32)

    def __len__(self) -> int:
        """The number of frames since the keyframe."""
        return len(self._fields)

    def reset(self) -> None:
        """Start a GOP: the current frame is a keyframe."""
        self._fields.clear()

    def push(self, field: MotionField | None) -> None:
        """Add the next frame's field on the 8x8 grid; None where nothing is known (no motion, all unreferenced).

        Raises ValueError if the field is not on the 8x8 grid of a picture of this chain's size.
        """
        if field is None:
            self._fields.append(None)
            return
        if field.size_hw != self.size_hw or field.cell != (BLOCK, BLOCK):
            raise ValueError(
                f"a field of {field.cell} cells for a {field.size_hw} picture cannot join a chain of 8x8 cells for "
                f"{self.size_hw}; push MotionField.from_vectors of the same video"
            )
        self._fields.append((np.rint(field.displacement * _UNIT).astype(np.int32), field.unreferenced.view(np.uint8)))

    def compose(self, grid: Grid = 4) -> MotionField:
        """The motion from the frame pushed last to the keyframe, at the centres of `grid`'s cells.

        `grid` is the side of a cell in pixels (the grid has ceil(H / side) rows; centres beyond the picture are moved to
        its border), "pixel", or (rows, columns) of a feature map that spans the picture. `unreferenced` marks cells whose
        way met a block without reference, or a frame of which nothing is known. On a keyframe: no motion.
        """
        start, cell = self._start(grid)
        position = start.copy()
        limit = np.broadcast_to(self._last, position.shape)
        lost = np.zeros(position.shape[:2], np.uint8)
        for step in reversed(self._fields):
            if step is None:
                lost[:] = 1
                continue
            displacement, unreferenced = step
            at = (position >> _SHIFT).astype(np.int16)
            lost |= cv2.remap(unreferenced, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            position += cv2.remap(displacement, at, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            np.minimum(position, limit, out=position)
            np.maximum(position, _UNIT // 2, out=position)
        position -= start
        return MotionField(position.astype(np.float32) / _UNIT, lost.view(np.bool_), self.size_hw, cell)

    def _start(self, grid: Grid) -> tuple[NDArray[np.int32], tuple[float, float]]:
        """The centres (rows, cols, 2) in quarter pixels from the picture's corner, and the cell's size in pixels."""
        if grid not in self._starts:
            height, width = self.size_hw
            if grid == "pixel":
                grid_hw, cell = (height, width), (1.0, 1.0)
            elif isinstance(grid, int):
                if grid < 1:
                    raise ValueError(f"a grid of {grid}-pixel cells is impossible; give 1 or more")
                grid_hw, cell = (-(-height // grid), -(-width // grid)), (float(grid), float(grid))
            elif isinstance(grid, tuple) and min(grid) >= 1:
                grid_hw, cell = grid, (height / grid[0], width / grid[1])
            else:
                raise ValueError(f"grid {grid!r} is unknown; give a cell size in pixels, 'pixel' or (rows, columns)")
            start = np.empty((*grid_hw, 2), np.int32)
            for axis, count, side in ((0, grid_hw[1], cell[1]), (1, grid_hw[0], cell[0])):
                centres = np.rint((np.arange(count) + 0.5) * side * _UNIT).astype(np.int32)
                centres = np.clip(centres, _UNIT // 2, self._last[axis])
                start[..., axis] = centres[None, :] if axis == 0 else centres[:, None]
            self._starts[grid] = (start, cell)
        return self._starts[grid]
