"""Where the cells of a frame come from: the one vector of each, by which way its differences are smallest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....compiled import Loops, for_loops
from ...frame import Frame
from ..field import BLOCK
from ..filling import nearest_known
from .holes import best_neighbours
from .prediction import SAMPLES, SubpixelPlanes
from .reference_matching import BlockGrid, Matches

WAY_LOOPS = Loops(f"{__package__}.way_loops")
_LOST = np.float32(40)  # grey levels: what a cell counts whose way does not lead where those of the others do
_FARTHEST = 32767  # pictures between a picture and its reference
_SEVERAL = -2  # ends that ways may have


@dataclass(frozen=True, eq=False)
class TracedPicture:
    """Where the 8x8 cells of one decoded picture come from.

    `table` is (cells, 4) int16: the shift in quarter pixels, x before y; `back`, how many places earlier in
    decoding order the picture lies that the cell refers to, 0 where it refers to none; and 1 where the cell
    `is_lost`, for it moves like a neighbour: it has no reference of its own, or its way ends elsewhere than most,
    or leads over a cell that is lost, with larger differences. `root` (cells,) int32 is the intra-coded picture at
    the end of the way, by its place in decoding order, -1 where there is none, and `error` (cells,) float32 the sum
    of mean absolute differences on that way. `confidence` (cells,) uint8 says in 255ths how sure the reference is,
    0 where it is lost. All four are None in a picture where ways end. `key` is the picture where the frame's ways
    are meant to end. `index` is the picture's place in display order, `decode_index` in decoding order.
    """

    index: int
    decode_index: int
    size_hw: tuple[int, int]
    key: int
    table: NDArray[np.int16] | None = None
    root: NDArray[np.int32] | None = None
    error: NDArray[np.float32] | None = None
    confidence: NDArray[np.uint8] | None = None


def trace(
    frame: Frame,
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
    loops = WAY_LOOPS.get()
    if loops is not None:
        return _traced(loops, frame, for_loops(vectors, np.int32), grid.quarters, matches, references, pictures)
    picture = np.where(vectors < 0, -1, matches.picture[vectors])
    back = np.where((picture < 0) | (decode_index - picture > _FARTHEST), 0, decode_index - picture)
    shift = grid.quarters[vectors]
    cells = np.arange(rows * cols)
    ahead = [_look_up(cells, shift[which], back[which], decode_index, size_hw, pictures) for which in (0, 1)]
    error = np.stack([matches.error[vectors[which]] + ahead[which].error for which in (0, 1)])
    root = np.stack([ahead[which].root for which in (0, 1)])
    error[back == 0] = np.inf
    key = _best_root(error, root)
    best = (error + np.where(root == key, np.float32(0), _LOST)).argmin(0)

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
        return there.error + np.where(there.root == key, np.float32(0), _LOST)

    like, total = best_neighbours(
        known.reshape(rows, cols), own_cost, moved, decode_index - behind, frame.luma, references, cost_ahead
    )
    is_lost = ~has_way | (like != cells)
    moved, behind = moved[like], behind[like]
    there = _look_up(cells, moved, behind, decode_index, size_hw, pictures)
    total = np.where(np.isinf(total), there.error + _LOST, total)
    sure = np.where(is_lost, 0, np.rint(255 * matches.confidence[vectors[best, cells]])).astype(np.uint8)
    table = np.concatenate([moved, behind[:, None], is_lost[:, None]], 1).astype(np.int16)
    return TracedPicture(frame.index, decode_index, size_hw, key, table, there.root, total, sure)


def _traced(
    loops: Any,
    frame: Frame,
    vectors: NDArray[np.int32],
    quarters: NDArray[np.int32],
    matches: Matches,
    references: Mapping[int, SubpixelPlanes],
    pictures: Mapping[int, TracedPicture],
) -> TracedPicture:
    """`trace` by compiled loops; `vectors` (2, cells) are the indices of each cell's two, -1 for none."""
    size_hw, decode_index, count = frame.size_hw, frame.decode_index, vectors.shape[1]
    cols = -(-size_hw[1] // BLOCK)
    back, shift = np.empty((2, count), np.int32), np.empty((2, count, 2), np.int32)
    error = np.empty((2, count), np.float32)
    quarters = for_loops(quarters, np.int32)
    loops.take_vectors(vectors, matches.picture, quarters, matches.error, decode_index, _FARTHEST, back, shift, error)

    def look_up(moved: NDArray[np.int32], behind: NDArray[np.int32], found: _Ahead) -> None:
        for step in np.flatnonzero(np.bincount(behind)):
            there = pictures.get(decode_index - int(step)) if step else None
            if there is not None:
                loops.look_up(
                    behind, moved, step, cols, *size_hw, *_what_is_at(there), found.error, found.root, found.is_lost
                )

    errors, roots, lost = _nothing_ahead(2, count)
    for which in (0, 1):
        look_up(shift[which], back[which], _Ahead(errors[which], roots[which], lost[which]))
    key = loops.add_up(back, error, errors, roots)
    if key == _SEVERAL:
        key = _best_root(error, roots)
    best, moved, behind = np.empty(count, np.uint8), np.empty((count, 2), np.int32), np.empty(count, np.int32)
    total, has_way, known = np.empty(count, np.float32), np.empty(count, np.bool_), np.empty(count, np.bool_)
    given = error, roots, key, _LOST, back, shift, lost
    if not loops.choose(*given, best, moved, behind, total, has_way, known):
        known = has_way

    like, holes = np.arange(count), count - int(np.count_nonzero(known))
    if 0 < holes < count:
        grid_hw = -(-size_hw[0] // BLOCK), cols
        candidates, costs = np.empty((5, count), np.int64), np.full((5, count), np.inf, np.float32)
        known_grid = known.reshape(grid_hw)
        loops.find_candidates(known_grid, nearest_known(~known_grid), candidates)
        luma = for_loops(frame.luma, np.uint8)
        for step in np.flatnonzero(np.bincount(behind[known])):
            reference, there = references.get(decode_index - int(step)), pictures.get(decode_index - int(step))
            if reference is not None:
                *arrays, end = _NOTHING_KNOWN if there is None else _what_is_at(there)
                loops.weigh_neighbours(
                    known, candidates, moved, behind, step, reference.planes(), luma, SAMPLES, *arrays[:2], end, key,
                    _LOST, costs,
                )  # fmt: skip
        loops.take_best(known, candidates, costs, total, like)
    table, sure = np.empty((count, 4), np.int16), np.empty(count, np.uint8)
    goes, gone = np.empty_like(moved), np.empty_like(behind)
    loops.settle(like, has_way, best, vectors, matches.confidence, moved, behind, goes, gone, table, sure)
    (ahead,), (root,), (is_lost,) = _nothing_ahead(1, count)
    look_up(goes, gone, _Ahead(ahead, root, is_lost))
    without = np.isinf(total)
    total[without] = ahead[without] + _LOST
    return TracedPicture(frame.index, decode_index, size_hw, key, table, root, total, sure)


_WhatIsThere = tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int16], int]


def _what_is_at(picture: TracedPicture) -> _WhatIsThere:
    """What `look_up` takes of a picture."""
    if picture.root is None or picture.error is None or picture.table is None:
        return (*_NOTHING_KNOWN[:3], picture.decode_index)
    return picture.error, picture.root, picture.table, -1


_NOTHING_KNOWN: _WhatIsThere = np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros((0, 4), np.int16), -2


def _nothing_ahead(ways: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.bool_]]:
    """Errors, roots and lost cells of cells that refer to nothing, (ways, count) each."""
    shape = ways, count
    return np.zeros(shape, np.float32), np.full(shape, -1, np.int32), np.zeros(shape, np.bool_)


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
        if picture.root is None or picture.error is None or picture.table is None:
            found.root[at] = picture.decode_index
        else:
            cell = y[at] * cols + x[at]
            found.error[at], found.root[at] = picture.error[cell], picture.root[cell]
            found.is_lost[at] = picture.table[cell, 3] != 0
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
    totals = [np.where(root == each, error, lowest + _LOST).min(0).sum() for each in roots]
    return roots[int(np.argmin(totals))]
