"""Motion through pictures that refer to several others: positions followed from reference to reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frame import Frame
from .field import BLOCK, MotionField
from .following import GridPositions
from .holes import best_neighbours
from .prediction import SubpixelPlanes
from .reference_matching import BlockGrid, Matches, quarter_pixels

_CHUNK = 1 << 16  # positions followed at a time, so that what they touch stays in the cache
_SHIFT = 5  # quarter pixels -> cells of 8 pixels
_LOST = 40.0  # grey levels: what a cell counts whose way does not lead where those of the others do
_FARTHEST = 32767  # pictures between a picture and its reference


@dataclass(frozen=True, eq=False)
class TracedPicture:
    """Where the 8x8 cells of one decoded picture come from.

    `shift` is (cells, 2) int16, quarter pixels, x before y; `back` (cells,) int16 is how many places earlier in
    decoding order the picture lies that the cell refers to, 0 where it refers to none; `is_lost` (cells,) marks cells
    that move like a neighbour: they have no reference of their own, or their ways end elsewhere than most, or lead over
    a cell that is lost, with larger differences. `root`
    (cells,) int32 is the intra-coded picture at the end of the way, by its place in decoding order, -1 where there is
    none, and `error` (cells,) float32 the sum of mean absolute differences on that way. `confidence` (cells,) uint8
    says in 255ths how sure the reference is, 0 where `is_lost`. All six are None in a picture where ways end. `key` is
    the picture where the frame's ways are meant to end. `index` is the picture's place in display order,
    `decode_index` in decoding order.
    """

    index: int
    decode_index: int
    size_hw: tuple[int, int]
    key: int
    shift: NDArray[np.int16] | None = None
    back: NDArray[np.int16] | None = None
    is_lost: NDArray[np.bool_] | None = None
    root: NDArray[np.int32] | None = None
    error: NDArray[np.float32] | None = None
    confidence: NDArray[np.uint8] | None = None


def trace(
    frame: Frame,
    array: NDArray[np.void],
    grid: BlockGrid,
    matches: Matches,
    references: Mapping[int, SubpixelPlanes],
    pictures: Mapping[int, TracedPicture],
) -> TracedPicture:
    """One vector for each 8x8 cell of a frame; `references` and `pictures` are what it may refer to, by decoding order.

    Of a block's two vectors that one counts whose way to the end has the smaller sum of differences. `key` becomes the
    end to which all ways together have the smallest sum. Cells without a way there, and those whose way meets such a
    cell, try their neighbours' motion.
    """
    size_hw, decode_index = frame.size_hw, frame.decode_index
    rows, cols = (-(-size // BLOCK) for size in size_hw)
    at_y, at_x = (_centre_cells(*what) for what in zip((rows, cols), size_hw, grid.origin_xy[::-1], strict=True))
    vectors = grid.blocks[:, at_y[:, None], at_x].reshape(2, -1)
    picture = np.where(vectors < 0, -1, matches.picture[vectors])
    back = np.where((picture < 0) | (decode_index - picture > _FARTHEST), 0, decode_index - picture)
    shift = quarter_pixels(array)[vectors]
    cells = np.arange(rows * cols)
    ahead = [_look_up(cells, shift[which], back[which], decode_index, size_hw, pictures) for which in (0, 1)]
    error = np.stack([matches.error[vectors[which]] + ahead[which].error for which in (0, 1)])
    root = np.stack([ahead[which].root for which in (0, 1)])
    error[back == 0] = np.inf
    key = _best_root(error, root)
    best = (error + np.where(root == key, np.float32(0), np.float32(_LOST))).argmin(0)

    has_way = (back[best, cells] != 0) & (root[best, cells] == key)
    known = has_way & ~np.stack([each.is_lost for each in ahead])[best, cells]
    if not known.any():
        known = has_way
    own_cost = np.where(has_way, error[best, cells], np.float32(np.inf))
    moved, behind = shift[best, cells], back[best, cells]

    def cost_ahead(
        at: NDArray[np.intp], to: NDArray[np.integer], pictures_at: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        there = _look_up(at, to, decode_index - pictures_at, decode_index, size_hw, pictures)
        return there.error + np.where(there.root == key, np.float32(0), np.float32(_LOST))

    like, total = best_neighbours(
        known.reshape(rows, cols), own_cost, moved, decode_index - behind, frame.luma, references, cost_ahead
    )
    is_lost = ~has_way | (like != cells)
    moved, behind = moved[like], behind[like]
    there = _look_up(cells, moved, behind, decode_index, size_hw, pictures)
    total = np.where(np.isinf(total), there.error + np.float32(_LOST), total)
    sure = np.where(is_lost, 0, np.rint(255 * matches.confidence[vectors[best, cells]])).astype(np.uint8)
    back16 = behind.astype(np.int16)
    return TracedPicture(
        frame.index, decode_index, size_hw, key, moved.astype(np.int16), back16, is_lost, there.root, total, sure
    )


def _centre_cells(count: int, size: int, origin: int) -> NDArray[np.intp]:
    """The cells of a lattice that starts at `origin` in which the centres of a picture's own cells lie."""
    return (np.minimum(np.arange(count) * BLOCK + BLOCK // 2, size - 1) - origin) // BLOCK


@dataclass(frozen=True, eq=False)
class _Ahead:
    """Of each of n cells: the sum of differences on the rest of its way, the root at its end, and whether the next
    cell on it is lost; 0, -1 and false where it refers to nothing."""

    error: NDArray[np.float32]
    root: NDArray[np.int32]
    is_lost: NDArray[np.bool_]


def _look_up(
    cells: NDArray[np.intp],
    shift: NDArray[np.integer],
    back: NDArray[np.integer],
    decode_index: int,
    size_hw: tuple[int, int],
    pictures: Mapping[int, TracedPicture],
) -> _Ahead:
    """What lies ahead of the centres of `cells` (n,), by their index, where they move by `shift` (n, 2) to the pictures
    `back` (n,) places earlier."""
    cols = -(-size_hw[1] // BLOCK)
    x = (cells % cols * BLOCK + BLOCK // 2 + (shift[:, 0] >> 2)).clip(0, size_hw[1] - 1) // BLOCK
    y = (cells // cols * BLOCK + BLOCK // 2 + (shift[:, 1] >> 2)).clip(0, size_hw[0] - 1) // BLOCK
    found = _Ahead(np.zeros(len(back), np.float32), np.full(len(back), -1, np.int32), np.zeros(len(back), np.bool_))
    for step in np.flatnonzero(np.bincount(back)):
        picture = pictures.get(decode_index - int(step))
        if step == 0 or picture is None:
            continue
        at = np.flatnonzero(back == step)
        if picture.root is None or picture.error is None or picture.is_lost is None:
            found.root[at] = picture.decode_index
        else:
            cell = y[at] * cols + x[at]
            found.error[at], found.root[at] = picture.error[cell], picture.root[cell]
            found.is_lost[at] = picture.is_lost[cell]
    return found


def _best_root(error: NDArray[np.float32], root: NDArray[np.int32]) -> int:
    """The root to which all cells together have the smallest error by the better of two ways, -1 if there is none."""
    known = root[root >= 0]
    if not len(known):
        return -1
    first = int(known.min())
    roots = [int(each) + first for each in np.flatnonzero(np.bincount(known - first))]
    if len(roots) == 1:
        return first
    lowest = error.min(0)
    lowest[np.isinf(lowest)] = 0
    totals = [np.where(root == each, error, lowest + np.float32(_LOST)).min(0).sum() for each in roots]
    return roots[int(np.argmin(totals))]


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
