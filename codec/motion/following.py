"""Positions on their way back through fields of motion, in whole quarter pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...compiled import for_loops
from .field import BLOCK, LOOPS, MotionField

UNIT = 4  # positions are whole quarter pixels from the picture's corner, which is how the codecs write their vectors
_CHUNK = 1 << 16  # positions followed at a time, so that what they touch stays in the cache
_WIDTH = 256  # of single positions that are followed together: OpenCV takes no rows longer than 32767
_X_BITS = 16  # of a packed position
_HIGHEST_PACKED, _WIDEST_PACKED = 4095, 8191
_MOST_MOVING = 0.5  # of all cells: following some positions takes longer for each


Positions = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Where positions came to: displacement (rows, cols, 2) in pixels, and which are lost (rows, cols)."""


@dataclass(frozen=True, eq=False)
class GridPositions:
    """Where the positions of a grid start: flat int32 quarter pixels from the picture's corner."""

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    grid_hw: tuple[int, int]
    cell: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Step:
    """A field as a `Follower` takes it: its `table`, and by which power of two quarter pixels become cells.
    The rest is for one follower to know: where the table lies in memory, and whether it has each row twice."""

    table: Any
    shift: int
    address: int = 0
    has_rows_twice: bool = False


class Follower(ABC):
    """Follows positions through fields of pictures of one size.

    A position goes by the vector of the cell that it lies in; where it leaves the picture it stays on the border, whose
    pixels the codecs repeat outwards (H.264, 8.4.2.2). A follower is for one thread.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw

    @abstractmethod
    def step(self, displacement: NDArray[np.float32], lost: NDArray[np.bool_], side: int) -> Step:
        """A step by `displacement` (rows, cols, 2) in pixels, x before y, on cells of `side` pixels (a power of two),
        of which some are `lost` (rows, cols)."""

    @abstractmethod
    def follow(
        self,
        start: GridPositions,
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
        rows: slice = slice(None),
    ) -> None:
        """Write where the positions in some `rows` of a grid are after `steps`, taken in this order.

        `displacement` (rows, cols, 2) is in pixels, and `lost` (rows, cols) marks those that met a lost cell, or a
        step of which nothing is known (None).
        """

    @abstractmethod
    def follow_some(
        self,
        start: GridPositions,
        at: NDArray[np.intp],
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
    ) -> None:
        """As `follow`, of the positions `at` (n,), flat indices; the other values stay as they are."""

    def trail(self, start: GridPositions) -> Trail:
        """What leads a grid's positions along one way after the other."""
        return Trail(self, start)

    def checkpoint(self, start: GridPositions, side: int, steps: Sequence[Step | None]) -> Checkpoint:
        """What makes `steps` one, on a grid of cells of `side` pixels."""
        return Checkpoint(self, start, side, steps)


class Trail:
    """A grid's positions, led along one way after the other."""

    def __init__(self, follower: Follower, start: GridPositions) -> None:
        self.start, self._follower = start, follower
        row, column = start.y // (UNIT * BLOCK), start.x // (UNIT * BLOCK)
        columns = -(-follower.size_hw[1] // BLOCK)
        self._cells = (row * columns + column).astype(np.intp)  # in which they lie
        self._last: Positions | None = None

    def follow(self, steps: Sequence[Step | None], since: MotionField | None) -> Positions:
        """Displacement and losses as by `Follower.follow`, in new arrays. If the steps are those of the last call after
        a new first one, `since` is the field of that, else None: what it does not move comes to where it came then."""
        if since is not None and self._last is not None:
            moves = (since.displacement[..., 0] != 0) | (since.displacement[..., 1] != 0)
            if np.count_nonzero(moves) <= _MOST_MOVING * moves.size:
                moved = np.flatnonzero(moves.reshape(-1).take(self._cells))
                displacement, lost = self._last[0].copy(), self._last[1].copy()
                lost |= since.unreferenced.reshape(-1).take(self._cells).reshape(lost.shape)
                self._follower.follow_some(self.start, moved, steps, displacement, lost)
                self._last = displacement, lost
                return self._last
        self._last = self._room()
        self._follower.follow(self.start, steps, *self._last)
        return self._last

    def _room(self) -> Positions:
        return np.empty((*self.start.grid_hw, 2), np.float32), np.empty(self.start.grid_hw, np.bool_)


class Checkpoint:
    """Steps that become one, composed for some rows of a grid after the others."""

    def __init__(self, follower: Follower, start: GridPositions, side: int, steps: Sequence[Step | None]) -> None:
        self.rows = start.grid_hw[0]
        self._follower, self._start, self._side, self._steps = follower, start, side, steps
        self._displacement = np.empty((*start.grid_hw, 2), np.float32)
        self._lost = np.empty(start.grid_hw, np.bool_)

    def compose(self, rows: slice) -> None:
        """Go on with these rows."""
        self._follower.follow(self._start, self._steps, self._displacement[rows], self._lost[rows], rows)

    def step(self) -> Step:
        """The step that they make, once all rows are composed."""
        return self._follower.step(self._displacement, self._lost, self._side)


def follower(size_hw: tuple[int, int]) -> Follower:
    """What follows positions in pictures of this size fastest."""
    fits = size_hw[0] <= _HIGHEST_PACKED and size_hw[1] <= _WIDEST_PACKED
    return PackedFollower(size_hw) if fits else PlainFollower(size_hw)


class PackedFollower(Follower):
    """Follower for pictures of at most 8191x4095 pixels, whose positions fit 16 bits.

    A step is one look-up (OpenCV's nearest `remap`) of four bytes a position: int16 `dx` in quarter pixels, then int16
    `dy` in eighths, whose lowest bit is free to say that a cell is lost. Positions are kept in the same units, so that
    an addition moves them. Tables for OpenCV have each row twice, so that cells are as many units high as wide.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        super().__init__(size_hw)
        self._starts: dict[int, tuple[GridPositions, NDArray[np.int16]]] = {}
        self._walk = _Walk(size_hw)

    def step(self, displacement: NDArray[np.float32], lost: NDArray[np.bool_], side: int) -> Step:
        """See `Follower`."""
        rows, cols = lost.shape
        height, width = self.size_hw
        loops = LOOPS.get()
        if loops is not None:
            table = np.empty((rows, cols, 2), np.int16)
            loops.fill_table(for_loops(displacement, np.float32), for_loops(lost, np.bool_), height, width, table)
            return _packed_step(table, side)
        twice = np.empty((rows, 2, cols, 2), np.int16)
        once = twice[:, 0]
        once[..., 0] = _quarters(displacement[..., 0], width)
        np.bitwise_or(_quarters(displacement[..., 1], height) << 1, lost, out=once[..., 1], casting="unsafe")
        twice[:, 1] = once
        return _packed_step(twice.reshape(2 * rows, cols, 2), side, has_rows_twice=True)

    def trail(self, start: GridPositions) -> Trail:
        """See `Follower`."""
        return _PackedTrail(self, start)

    def checkpoint(self, start: GridPositions, side: int, steps: Sequence[Step | None]) -> Checkpoint:
        """See `Follower`."""
        loops = LOOPS.get()
        if loops is None:
            return Checkpoint(self, start, side, steps)
        return _CompiledCheckpoint(_CompiledWalk(loops, self, start), start, side, steps)

    def follow(
        self,
        start: GridPositions,
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
        rows: slice = slice(None),
    ) -> None:
        """See `Follower`."""
        positions = self.packed(start)[rows]
        band = max(1, _CHUNK // positions.shape[1])
        for top in range(0, len(positions), band):
            part = slice(top, top + band)
            self._walk.go(positions[part], steps, displacement[part], lost[part])

    def follow_some(
        self,
        start: GridPositions,
        at: NDArray[np.intp],
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
    ) -> None:
        """See `Follower`."""
        positions = self.packed(start).reshape(-1, 2)
        flat, flat_lost = displacement.reshape(-1, 2), lost.reshape(-1)
        for first in range(0, len(at), _CHUNK):
            part = at[first : first + _CHUNK]
            padded = np.resize(part, (-(-len(part) // _WIDTH), _WIDTH))
            some = np.empty((*padded.shape, 2), np.float32), np.empty(padded.shape, np.bool_)
            self._walk.go(positions.take(padded, axis=0), steps, *some)
            flat[part], flat_lost[part] = some[0].reshape(-1, 2)[: len(part)], some[1].reshape(-1)[: len(part)]

    def packed(self, start: GridPositions) -> NDArray[np.int16]:
        """Positions (rows, cols, 2) in the units of a step."""
        if id(start) not in self._starts:
            packed = np.stack([start.x, 2 * start.y], 1).astype(np.int16).reshape(*start.grid_hw, 2)
            self._starts[id(start)] = start, packed  # which keeps its id
        return self._starts[id(start)][1]


class _Walk:
    """Room for what is computed on the way of up to _CHUNK positions: fresh pages cost more than that."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        low, high = (UNIT // 2, UNIT), (UNIT * size_hw[1] - UNIT // 2, 2 * UNIT * size_hw[0] - UNIT)
        self._low, self._high = (np.tile(np.array(edge, np.int16), _CHUNK) for edge in (low, high))
        self._pixels = np.tile(np.array([1 / UNIT, 0.5 / UNIT], np.float32), _CHUNK)
        self._at, self._cells = np.empty(2 * _CHUNK, np.int16), np.empty(2 * _CHUNK, np.int16)
        self._moved, self._met = np.empty(_CHUNK, np.float32), np.empty(_CHUNK, np.uint32)
        self._lost_bit = np.array([0, 1], np.int16).view(np.uint32)[0]

    def go(
        self,
        start: NDArray[np.int16],
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
    ) -> None:
        """Follow positions (rows, cols, 2) and write where they went; see `Follower.follow`."""
        shape, count = start.shape, start.shape[0] * start.shape[1]
        at, cells, low, high, pixels = (
            each[: 2 * count].reshape(shape) for each in (self._at, self._cells, self._low, self._high, self._pixels)
        )
        moved, met = (each[:count].reshape(shape[:2]) for each in (self._moved, self._met))
        bits, step_xy, kept = moved.view(np.uint32), moved.view(np.int16).reshape(shape), ~self._lost_bit
        at[:], met[:] = start, 0
        for step in steps:
            if step is None:
                met[:] = self._lost_bit
                continue
            np.right_shift(at, step.shift, out=cells)
            table = step.table if step.has_rows_twice else np.repeat(step.table, 2, axis=0)
            cv2.remap(table, cells, None, cv2.INTER_NEAREST, dst=moved, borderMode=cv2.BORDER_REPLICATE)
            np.bitwise_or(met, bits, out=met)
            np.bitwise_and(bits, kept, out=bits)
            cv2.add(at, step_xy, dst=at)  # saturates
            np.maximum(at, low, out=at)
            np.minimum(at, high, out=at)
        np.subtract(at, start, out=cells)
        np.multiply(cells, pixels, out=displacement)
        np.bitwise_and(met, self._lost_bit, out=met)
        np.not_equal(met, 0, out=lost)


def _packed_step(table: NDArray[np.int16], side: int, *, has_rows_twice: bool = False) -> Step:
    """The step of a `PackedFollower` by a table (rows, columns, 2)."""
    return Step(table.view(np.float32)[..., 0], (side * UNIT).bit_length() - 1, table.ctypes.data, has_rows_twice)


class _CompiledWalk:
    """A grid's positions, led by compiled `loops`: `starts` and `ends` are in the units of a step, an end's lowest bit
    of y says that the position is lost."""

    def __init__(self, loops: Any, follower: PackedFollower, start: GridPositions) -> None:
        self.loops = loops
        starts = follower.packed(start).reshape(-1).view(np.uint32)
        self.starts = np.pad(starts, (0, -starts.size % loops.LANES), "edge")
        self.ends = np.empty_like(self.starts)
        height, width = follower.size_hw
        self._low = _pair(UNIT // 2, UNIT)
        self._high = _pair(UNIT * width - UNIT // 2, 2 * UNIT * height - UNIT)
        self._moved = np.empty(self.starts.size // loops.LANES, np.int64)
        self._room = np.empty(2 * loops.LANES * loops.TOGETHER, np.uint32)

    def lead(self, steps: Sequence[Step | None], *, goes_on: bool = False, part: slice = slice(None)) -> None:
        """Set the ends of some `part` of the positions, at least. Where the way `goes_on`, `steps` are those of the
        last call after a new first one, and what that does not move stays."""
        known = [step for step in steps if step is not None]
        places = np.array([step.address for step in known], np.uint64)
        cells = np.empty((3, len(known)), np.int32)
        cells[0] = [step.table.shape[1] for step in known]
        cells[1] = [step.shift for step in known]
        cells[2] = [step.shift + _X_BITS + (not step.has_rows_twice) for step in known]
        first, last, _ = part.indices(self.starts.size)
        lanes = self.loops.LANES
        self.loops.follow(
            self.starts, first // lanes, -(-last // lanes), places, cells, len(known) < len(steps),
            self._low, self._high, goes_on, self._moved, self._room, self.ends,
        )  # fmt: skip


class _PackedTrail(Trail):
    """The trail of a `PackedFollower`, by compiled loops where they are there."""

    def __init__(self, follower: PackedFollower, start: GridPositions) -> None:
        super().__init__(follower, start)
        self._packed, self._is_led = follower, False
        self._walk: _CompiledWalk | None = None

    def follow(self, steps: Sequence[Step | None], since: MotionField | None) -> Positions:
        """See `Trail`."""
        loops, was_led = LOOPS.get(), self._is_led
        self._is_led = loops is not None
        if loops is None:
            return super().follow(steps, None if was_led else since)
        walk = self._walk = self._walk or _CompiledWalk(loops, self._packed, self.start)
        walk.lead(steps, goes_on=was_led and since is not None)
        displacement, lost = self._room()
        loops.write_displacement(walk.ends, walk.starts, lost.size, displacement.reshape(-1), lost.reshape(-1))
        return displacement, lost


class _CompiledCheckpoint(Checkpoint):
    """The checkpoint of a `PackedFollower` by compiled loops, which goes straight into the table of its step."""

    def __init__(self, walk: _CompiledWalk, start: GridPositions, side: int, steps: Sequence[Step | None]) -> None:
        self.rows, columns = start.grid_hw
        self._walk, self._side, self._steps = walk, side, steps
        self._table = np.empty((self.rows, columns, 2), np.int16)

    def compose(self, rows: slice) -> None:
        """See `Checkpoint`."""
        walk, columns = self._walk, self._table.shape[1]
        first, last = (row * columns for row in rows.indices(self.rows)[:2])
        walk.lead(self._steps, part=slice(first, last))
        walk.loops.write_table(walk.ends, walk.starts, first, last, self._table.reshape(-1).view(np.uint32))

    def step(self) -> Step:
        """See `Checkpoint`."""
        return _packed_step(self._table, self._side)


def _pair(x: int, y: int) -> np.int32:
    """Two numbers of 16 bits as one of 32, as they lie in memory."""
    return np.int32(np.array([x, y], np.int16).view(np.int32)[0])


class PlainFollower(Follower):
    """Follower for pictures of any size, in 32 bits."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        super().__init__(size_hw)
        self._scratch = np.empty((6, _CHUNK), np.int32)
        self._where = np.empty(_CHUNK, np.intp)

    def step(self, displacement: NDArray[np.float32], lost: NDArray[np.bool_], side: int) -> Step:
        """See `Follower`."""
        height, width = self.size_hw
        # the mask rides along in the lowest bit: one look-up less for each step
        dx_and_mask = (_quarters(displacement[..., 0], width) << 1) | lost
        table = dx_and_mask.ravel(), _quarters(displacement[..., 1], height).ravel(), lost.shape[1]
        return Step(table, (side * UNIT).bit_length() - 1)

    def follow(
        self,
        start: GridPositions,
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
        rows: slice = slice(None),
    ) -> None:
        """See `Follower`."""
        first, last, _ = rows.indices(start.grid_hw[0])
        cols = start.grid_hw[1]
        band = max(1, _CHUNK // cols)
        for top in range(first, last, band):
            bottom = min(last, top + band)
            here, there = slice(top * cols, bottom * cols), slice(top - first, bottom - first)
            self._go(steps, start.x[here], start.y[here], displacement[there].reshape(-1, 2), lost[there].reshape(-1))

    def follow_some(
        self,
        start: GridPositions,
        at: NDArray[np.intp],
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
    ) -> None:
        """See `Follower`."""
        for first in range(0, len(at), _CHUNK):
            part = at[first : first + _CHUNK]
            some = np.empty((len(part), 2), np.float32), np.empty(len(part), np.bool_)
            self._go(steps, start.x[part], start.y[part], *some)
            displacement.reshape(-1, 2)[part], lost.reshape(-1)[part] = some

    def _go(
        self,
        steps: Sequence[Step | None],
        x0: NDArray[np.int32],
        y0: NDArray[np.int32],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
    ) -> None:
        if len(x0) > _CHUNK:  # a row of more positions than fit
            half = len(x0) // 2
            for part in (slice(half), slice(half, None)):
                self._go(steps, x0[part], y0[part], displacement[part], lost[part])
            return
        low = UNIT // 2
        high_y, high_x = (size * UNIT - low for size in self.size_hw)
        x, y, index, dx, dy, met = (row[: len(x0)] for row in self._scratch)
        where = self._where[: len(x0)]
        x[:], y[:], met[:] = x0, y0, 0
        for step in steps:
            if step is None:
                met[:] = 1
                continue
            dx_and_mask, table_y, cols = step.table
            np.right_shift(y, step.shift, out=index)
            np.multiply(index, cols, out=index)
            np.right_shift(x, step.shift, out=dx)
            np.add(index, dx, out=where)
            dx_and_mask.take(where, out=dx, mode="wrap")
            table_y.take(where, out=dy, mode="wrap")
            np.bitwise_or(met, dx, out=met)
            np.right_shift(dx, 1, out=dx)
            np.add(x, dx, out=x)
            np.add(y, dy, out=y)
            np.clip(x, low, high_x, out=x)
            np.clip(y, low, high_y, out=y)
        displacement[:, 0], displacement[:, 1] = x - x0, y - y0
        displacement *= np.float32(1 / UNIT)
        lost[:] = met & 1


def _quarters(displacement: NDArray[np.float32], most: int) -> NDArray[np.int32]:
    """Whole quarter pixels, of displacements in pixels that are cut off beyond +-`most`, further than any way leads."""
    quarters = np.rint(displacement * np.float32(UNIT))
    whole: NDArray[np.int32] = np.clip(quarters, -UNIT * most, UNIT * most, out=quarters).astype(np.int32)
    return whole
