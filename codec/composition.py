"""Motion through pictures that refer to several others: positions followed from reference to reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .chain import GridPositions
from .filling import mix_with_nearest
from .matching import BlockGrid, Matches, quarter_pixels
from .motion import BLOCK, MotionField

_CHUNK = 1 << 16  # positions followed at a time, so that what they touch stays in the cache
_SHIFT = 5  # quarter pixels -> cells of 8 pixels
_FARTHEST = 32767  # pictures between a picture and its reference


@dataclass(frozen=True, eq=False)
class TracedPicture:
    """Where the 8x8 cells of one decoded picture come from.

    `shift` is (cells, 2) int16, quarter pixels, x before y; `back` (cells,) int16 is how many places earlier in
    decoding order the picture lies that the cell refers to, 0 where it refers to none; `is_lost` (cells,) marks cells
    without a reference of their own, which move like the nearest that has one. `root` (cells,) int32 is the intra-coded
    picture at the end of the way, by its place in decoding order, -1 where there is none. All three are None
    in a picture where ways end. `index` is the picture's place in display order, `decode_index` in decoding order.
    """

    index: int
    decode_index: int
    size_hw: tuple[int, int]
    shift: NDArray[np.int16] | None = None
    back: NDArray[np.int16] | None = None
    is_lost: NDArray[np.bool_] | None = None
    root: NDArray[np.int32] | None = None


def trace(
    index: int,
    decode_index: int,
    size_hw: tuple[int, int],
    array: NDArray[np.void],
    grid: BlockGrid,
    matches: Matches,
    pictures: Mapping[int, TracedPicture],
) -> TracedPicture:
    """The preferred vectors of a frame as a field; `pictures` are those that it may refer to."""
    height, width = size_hw
    rows, cols = -(-height // BLOCK), -(-width // BLOCK)
    at_y, at_x = _centre_cells(rows, height, grid.origin_xy[1]), _centre_cells(cols, width, grid.origin_xy[0])
    first, second = grid.blocks[:, at_y[:, None], at_x]
    vector = np.where((second >= 0) & matches.preferred[second], second, first)
    is_lost = (vector < 0) | (matches.picture[vector] < 0)
    field = np.empty((rows, cols, 3), np.float32)
    field[..., :2] = quarter_pixels(array)[vector]
    field[..., 2] = decode_index - matches.picture[vector]
    field[is_lost] = 0
    field = mix_with_nearest(field, is_lost, 1.0).reshape(-1, 3)
    field[field[:, 2] > _FARTHEST] = 0
    shift, back = field[:, :2].astype(np.int16), field[:, 2].astype(np.int16)
    root = _roots(shift, back, decode_index, size_hw, pictures)
    return TracedPicture(index, decode_index, size_hw, shift, back, is_lost.ravel(), root)


def _centre_cells(count: int, size: int, origin: int) -> NDArray[np.intp]:
    """The cells of a lattice that starts at `origin` in which the centres of a picture's own cells lie."""
    return (np.minimum(np.arange(count) * BLOCK + BLOCK // 2, size - 1) - origin) // BLOCK


def _roots(
    shift: NDArray[np.int16],
    back: NDArray[np.int16],
    decode_index: int,
    size_hw: tuple[int, int],
    pictures: Mapping[int, TracedPicture],
) -> NDArray[np.int32]:
    rows, cols = -(-size_hw[0] // BLOCK), -(-size_hw[1] // BLOCK)
    x = (np.tile(np.arange(cols), rows) * BLOCK + BLOCK // 2 + (shift[:, 0] >> 2)).clip(0, size_hw[1] - 1) // BLOCK
    y = (np.repeat(np.arange(rows), cols) * BLOCK + BLOCK // 2 + (shift[:, 1] >> 2)).clip(0, size_hw[0] - 1) // BLOCK
    cell = y * cols + x
    root = np.full(len(back), -1, np.int32)
    for step in np.unique(back):
        picture = pictures.get(decode_index - int(step))
        if step == 0 or picture is None:
            continue
        at = np.flatnonzero(back == step)
        root[at] = picture.decode_index if picture.root is None else picture.root[cell[at]]
    return root


def follow(pictures: Sequence[TracedPicture], target: TracedPicture, start: GridPositions) -> MotionField:
    """The motion from the last of `pictures`, which are in decoding order, to `target`.

    Each of the start positions goes by the vector of the 8x8 cell that it lies in to that cell's reference, and on from
    there, in quarter pixels; where it leaves the picture it stays on the border. `unreferenced` are positions that met
    a block without reference, and those whose way does not lead over `target`.
    """
    count = start.x.size
    displacement, is_lost = np.empty((count, 2), np.float32), np.empty(count, np.bool_)
    for at in range(0, count, _CHUNK):
        part = slice(at, at + _CHUNK)
        displacement[part], is_lost[part] = _follow(pictures, target, start.x[part], start.y[part])
    return MotionField(
        displacement.reshape(*start.grid_hw, 2), is_lost.reshape(start.grid_hw), target.size_hw, start.cell
    )


def _follow(
    pictures: Sequence[TracedPicture], target: TracedPicture, x0: NDArray[np.int32], y0: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    cols = -(-target.size_hw[1] // BLOCK)
    high_x, high_y = target.size_hw[1] * 4 - 2, target.size_hw[0] * 4 - 2
    x, y, where = x0.copy(), y0.copy(), np.full(x0.shape, pictures[-1].decode_index, np.int32)
    is_lost = np.zeros(x0.shape, np.bool_)
    for picture in reversed(pictures):
        if picture.decode_index <= target.decode_index:
            break
        if picture.shift is None or picture.back is None or picture.is_lost is None:
            continue
        at = np.flatnonzero(where == picture.decode_index)
        x_at, y_at = x[at], y[at]
        cell = (y_at >> _SHIFT) * cols + (x_at >> _SHIFT)
        shift = picture.shift[cell]
        x[at] = (x_at + shift[:, 0]).clip(2, high_x)
        y[at] = (y_at + shift[:, 1]).clip(2, high_y)
        where[at] -= picture.back[cell]
        is_lost[at] |= picture.is_lost[cell]
    is_lost |= where != target.decode_index
    return np.stack([x - x0, y - y0], 1) * np.float32(0.25), is_lost
