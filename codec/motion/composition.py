"""Motion through pictures that refer to several others: positions followed from reference to reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...compiled import for_loops
from ..frame import Frame
from .chain import SEGMENT, Grid, grid_positions
from .field import BLOCK, LOOPS, MotionField
from .following import GridPositions
from .holes import best_neighbours
from .prediction import SubpixelPlanes
from .reference_matching import BlockGrid, Matches, quarter_pixels

_CHUNK = 1 << 16  # positions followed at a time, so that what they touch stays in the cache
_SHIFT = 5  # quarter pixels -> cells of 8 pixels
_LOST = 40.0  # grey levels: what a cell counts whose way does not lead where those of the others do
_FARTHEST = 32767  # pictures between a picture and its reference
_FEW_PIXELS = 420_000  # of pictures for whose checkpoints each pixel is followed, else cells of 2x2
_CHECKPOINTS = 4  # that a way may end at: blocks that refer to pictures far back may miss some
_TARGETS = 3  # pictures that are composed to, between which motion may go to and fro


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
    table = np.concatenate([moved, behind[:, None], is_lost[:, None]], 1).astype(np.int16)
    return TracedPicture(frame.index, decode_index, size_hw, key, table, there.root, total, sure)


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
    totals = [np.where(root == each, error, lowest + np.float32(_LOST)).min(0).sum() for each in roots]
    return roots[int(np.argmin(totals))]


class Ways:
    """Follows positions through the pictures of one stream, for pictures of one size.

    Each position goes by the vector of the 8x8 cell that it lies in to that cell's reference, and on from there, in
    quarter pixels; where it leaves the picture it stays on the border.

    However long the way, time and memory are bounded. Of the reference pictures after a target every SEGMENT-th is
    a checkpoint, whose motion to the target is composed on cells of 2x2 pixels (each pixel up to 480p), a part with
    each of the next reference pictures. A way that comes to a checkpoint at least SEGMENT reference pictures back,
    one of the last few, goes on by what was composed there for the cell that it lies in. Up to 2 * SEGMENT - 1
    reference pictures the result is that of following every field; it is never a matter of which frames were
    composed before. `bounded=False` follows every field, to compare.
    """

    def __init__(self, *, bounded: bool = True) -> None:
        self._is_bounded = bounded
        self._grids: dict[Grid, GridPositions] = {}
        self._targets: dict[int, _Target] = {}

    def compose(self, pictures: Sequence[TracedPicture], target: TracedPicture, grid: Grid) -> MotionField:
        """The motion from the last of `pictures`, which are in decoding order, to `target`, one of them.

        `unreferenced` are positions that met a block without reference, and those whose way does not lead over
        `target`.
        """
        after = [picture for picture in pictures if picture.decode_index > target.decode_index]
        checkpoints = self._checkpoints(after, target) if self._is_bounded else {}
        start = self._start(target.size_hw, grid)
        at = self._follow(start, after, target, checkpoints, slice(0, start.x.size))
        gone = after[-1].decode_index - target.decode_index if after else 0
        displacement = np.empty((*start.grid_hw, 2), np.float32)
        for axis, begin in enumerate((start.x, start.y)):
            np.multiply(at[:, axis] - begin, np.float32(0.25), out=displacement.reshape(-1, 2)[:, axis])
        is_lost = (at[:, 2] != gone) | (at[:, 3] != 0)
        return MotionField(displacement, is_lost.reshape(start.grid_hw), target.size_hw, start.cell)

    def _checkpoints(self, after: list[TracedPicture], target: TracedPicture) -> dict[int, _Checkpoint]:
        """Those of `target` that count for the last picture `after` it, whole, by their place in decoding order.

        The next one is begun or gone on with where this target was composed to before, so that it need not be composed
        all at once when its time comes.
        """
        own = len(after) - 1  # reference pictures between the target and the last
        known = self._targets.pop(target.decode_index, None)
        made = _Target() if known is None else known
        self._targets = dict([*self._targets.items(), (target.decode_index, made)][-_TARGETS:])
        whole = range(SEGMENT, own - SEGMENT + 1, SEGMENT)[-_CHECKPOINTS:]
        for number in whole:
            self._extend(made, number, after, target, SEGMENT)
        if known is not None and own >= SEGMENT:
            number = own // SEGMENT * SEGMENT
            self._extend(made, number, after, target, own - number + 1)
        for number in [number for number in made.checkpoints if whole and number < whole[0]]:
            del made.checkpoints[number]
        return {after[number - 1].decode_index: made.checkpoints[number] for number in whole}

    def _extend(
        self, made: _Target, number: int, after: list[TracedPicture], target: TracedPicture, parts: int
    ) -> None:
        """Have at least so many of a checkpoint's SEGMENT parts composed; `number` counts reference pictures."""
        start = self._start(target.size_hw, _side(target.size_hw))
        checkpoint = made.checkpoints.get(number)
        if checkpoint is None:
            gone = after[number - 1].decode_index - target.decode_index
            checkpoint = made.checkpoints[number] = _Checkpoint(start, _kind(target.size_hw, gone))
        if checkpoint.done >= parts:
            return
        earlier = range(SEGMENT, number - SEGMENT + 1, SEGMENT)[-_CHECKPOINTS:]
        for each in earlier:
            self._extend(made, each, after, target, SEGMENT)
        found = {after[each - 1].decode_index: made.checkpoints[each] for each in earlier}
        first, last = (start.x.size * part // SEGMENT for part in (checkpoint.done, parts))
        at = self._follow(start, after[:number], target, found, slice(first, last))
        table, gone = checkpoint.table[first:last], after[number - 1].decode_index - target.decode_index
        table[:, 0], table[:, 1] = at[:, 0] - start.x[first:last], at[:, 1] - start.y[first:last]
        table[:, 2], table[:, 3] = gone, (at[:, 2] != gone) | (at[:, 3] != 0)
        checkpoint.done = parts

    def _follow(
        self,
        start: GridPositions,
        after: Sequence[TracedPicture],
        target: TracedPicture,
        checkpoints: Mapping[int, _Checkpoint],
        part: slice,
    ) -> NDArray[np.integer]:
        """Where the positions in some `part` of a grid come to, (n, 4): x, y, by how many places in decoding order they
        went back from the last picture `after` a target, and how often they were lost."""
        gone = after[-1].decode_index - target.decode_index if after else 0
        at = np.zeros((part.stop - part.start, 4), _kind(target.size_hw, gone))
        at[:, 0], at[:, 1] = start.x[part], start.y[part]
        for first in range(0, len(at) if after else 0, _CHUNK):
            _walk(at[first : first + _CHUNK], after, len(after), target, checkpoints)
        return at

    def _start(self, size_hw: tuple[int, int], grid: Grid) -> GridPositions:
        if grid not in self._grids:
            self._grids[grid] = grid_positions(size_hw, grid)
        return self._grids[grid]


class _Checkpoint:
    """The motion of a picture to a target on a grid, of which some parts are `done`: `table` (cells, 4), as that of a
    `TracedPicture` whose every cell refers to the target."""

    def __init__(self, start: GridPositions, kind: type[np.integer]) -> None:
        self.table = np.zeros((start.x.size, 4), kind)
        self.columns = start.grid_hw[1]
        self.done = 0


class _Target:
    """What was composed to one picture: checkpoints by the number of reference pictures after it."""

    def __init__(self) -> None:
        self.checkpoints: dict[int, _Checkpoint] = {}


def _side(size_hw: tuple[int, int]) -> int:
    """Pixels of the cells, 1 or 2, of checkpoints of pictures of a size."""
    return 1 if size_hw[0] * size_hw[1] <= _FEW_PIXELS else 2


def _kind(size_hw: tuple[int, int], gone: int) -> type[np.integer]:
    """What holds positions of pictures of a size in quarter pixels, and how many pictures they may have gone back."""
    return np.int16 if max(4 * size_hw[0], 4 * size_hw[1], gone) <= np.iinfo(np.int16).max else np.int32


def _walk(
    at: NDArray[np.integer],
    after: Sequence[TracedPicture],
    number: int,
    target: TracedPicture,
    checkpoints: Mapping[int, _Checkpoint],
) -> None:
    """Have positions (n, 4) go on to `target` from those of the first `number` pictures `after` it on which they are;
    see `Ways._follow`."""
    last, columns = after[-1].decode_index, -(-target.size_hw[1] // BLOCK)
    loops = LOOPS.get() if at.dtype == np.int16 else None
    for picture in reversed(after[:number]):
        number -= 1
        checkpoint = checkpoints.get(picture.decode_index)
        if checkpoint is not None:
            table, shift, width = checkpoint.table, _side(target.size_hw) + 1, checkpoint.columns
        elif picture.table is not None:
            table, shift, width = picture.table, _SHIFT, columns
        else:
            continue
        gone = last - picture.decode_index
        if loops is not None:
            high_y, high_x = (4 * size - 2 for size in target.size_hw)
            loops.follow_references(at, gone, for_loops(table, np.int16), width, shift, high_x, high_y)
        else:
            _step(at, np.flatnonzero(at[:, 2] == gone), table, width, shift, target.size_hw)
        if checkpoint is not None:
            missed = np.flatnonzero(at[:, 2] < last - target.decode_index)
            few = at.take(missed, axis=0)
            if len(few):
                _walk(few, after, number, target, checkpoints)
                at[missed] = few
            return


def _step(
    at: NDArray[np.integer],
    there: NDArray[np.intp],
    table: NDArray[np.integer],
    columns: int,
    shift: int,
    size_hw: tuple[int, int],
) -> None:
    """Move those positions (n, 4) that are `there` by a picture's table, in place."""
    low, high = _edges(size_hw, at.dtype.char)
    own = at if len(there) == len(at) else at.take(there, axis=0)
    cells = (own[:, 1] >> shift).astype(np.intp) * columns + (own[:, 0] >> shift)
    own += table.take(cells, axis=0)
    np.maximum(own, low[: len(own)], out=own)
    np.minimum(own, high[: len(own)], out=own)
    if own is not at:
        record = np.int64 if at.itemsize == 2 else np.complex128  # a row at a time
        at.view(record)[there] = own.view(record)


@lru_cache(maxsize=4)
def _edges(size_hw: tuple[int, int], kind: str) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The least and the most that positions of pictures of a size may be, (_CHUNK, 4)."""
    any_ = np.iinfo(kind)
    low = np.array([2, 2, any_.min, any_.min], kind)
    high = np.array([size_hw[1] * 4 - 2, size_hw[0] * 4 - 2, any_.max, any_.max], kind)
    return np.tile(low, (_CHUNK, 1)), np.tile(high, (_CHUNK, 1))
