"""Motion through pictures that refer to several others: positions followed from reference to reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...compiled import for_loops
from .chain import SEGMENT, Grid, grid_positions
from .field import BLOCK, LOOPS, MotionField
from .following import GridPositions
from .matching import WAY_LOOPS, TracedPicture

_CHUNK = 1 << 16  # positions followed at a time, so that what they touch stays in the cache
_SHIFT = 5  # quarter pixels -> cells of 8 pixels
_FEW_PIXELS = 420_000  # of pictures for whose checkpoints each pixel is followed, else cells of 2x2
_CHECKPOINTS = 4  # that a way may end at: blocks that refer to pictures far back may miss some
_TARGETS = 3  # pictures that are composed to, between which motion may go to and fro


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
        loops = WAY_LOOPS.get() if at.dtype == np.int16 else None
        if loops is not None:
            lost = np.empty(start.grid_hw, np.bool_)
            loops.arrive(at, start.x, start.y, gone, displacement.reshape(-1, 2), lost.reshape(-1))
            return MotionField(displacement, lost, target.size_hw, start.cell)
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
        kind = _kind(target.size_hw, gone)
        loops = WAY_LOOPS.get() if kind is np.int16 else None
        if loops is not None:
            at = np.empty((part.stop - part.start, 4), kind)
            loops.set_out(start.x[part], start.y[part], at)
        else:
            at = np.zeros((part.stop - part.start, 4), kind)
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
