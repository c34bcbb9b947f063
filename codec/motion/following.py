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
from .field import LOOPS

UNIT = 4  # positions are whole quarter pixels from the picture's corner, which is how the codecs write their vectors
_CHUNK = 1 << 16  # positions followed at a time, so that what they touch stays in the cache
_WIDTH = 256  # of single positions that are followed together: OpenCV takes no rows longer than 32767
_HIGHEST_PACKED, _WIDEST_PACKED = 4095, 8191
_AT_ONCE = 1 << 11  # positions that a compiled loop moves at a time


@dataclass(frozen=True, eq=False)
class GridPositions:
    """Where the positions of a grid start: flat int32 quarter pixels from the picture's corner."""

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    grid_hw: tuple[int, int]
    cell: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Step:
    """A field as a `Follower` takes it: its `table`, and by which power of two quarter pixels become cells."""

    table: Any
    shift: int


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


def follower(size_hw: tuple[int, int]) -> Follower:
    """What follows positions in pictures of this size fastest."""
    fits = size_hw[0] <= _HIGHEST_PACKED and size_hw[1] <= _WIDEST_PACKED
    return PackedFollower(size_hw) if fits else PlainFollower(size_hw)


class PackedFollower(Follower):
    """Follower for pictures of at most 8191x4095 pixels, whose positions fit 16 bits.

    A step is one look-up (OpenCV's nearest `remap`) of four bytes a position: int16 `dx` in quarter pixels, then int16
    `dy` in eighths, whose lowest bit is free to say that a cell is lost. Positions are kept in the same units, so that
    an addition moves them. Tables have each row twice, so that cells are as many units high as wide.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        super().__init__(size_hw)
        self._starts: dict[int, tuple[GridPositions, NDArray[np.int16]]] = {}
        self._walk = _Walk(size_hw)

    def step(self, displacement: NDArray[np.float32], lost: NDArray[np.bool_], side: int) -> Step:
        """See `Follower`."""
        rows, cols = lost.shape
        height, width = self.size_hw
        table, loops = np.empty((rows, 2, cols, 2), np.int16), LOOPS.get()
        if loops is not None:
            loops.fill_table(for_loops(displacement, np.float32), for_loops(lost, np.bool_), height, width, table)
        else:
            once = table[:, 0]
            once[..., 0] = _quarters(displacement[..., 0], width)
            np.bitwise_or(_quarters(displacement[..., 1], height) << 1, lost, out=once[..., 1], casting="unsafe")
            table[:, 1] = once
        return Step(table.reshape(2 * rows, cols * 2).view(np.float32), (side * UNIT).bit_length() - 1)

    def follow(
        self,
        start: GridPositions,
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
        rows: slice = slice(None),
    ) -> None:
        """See `Follower`."""
        loops, positions = LOOPS.get(), self._packed(start)[rows]
        band = max(1, _CHUNK // positions.shape[1])
        for top in range(0, len(positions), band):
            part = slice(top, top + band)
            if loops is None:
                self._walk.go(positions[part], steps, displacement[part], lost[part])
            else:
                self._walk.go_compiled(loops, positions[part], None, steps, displacement[part], lost[part])

    def follow_some(
        self,
        start: GridPositions,
        at: NDArray[np.intp],
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
    ) -> None:
        """See `Follower`."""
        loops, positions = LOOPS.get(), self._packed(start).reshape(-1, 2)
        flat, flat_lost = displacement.reshape(-1, 2), lost.reshape(-1)
        for first in range(0, len(at), _CHUNK):
            part = at[first : first + _CHUNK]
            if loops is not None:
                self._walk.go_compiled(loops, positions, part, steps, flat, flat_lost)
                continue
            padded = np.resize(part, (-(-len(part) // _WIDTH), _WIDTH))
            some = np.empty((*padded.shape, 2), np.float32), np.empty(padded.shape, np.bool_)
            self._walk.go(positions.take(padded, axis=0), steps, *some)
            flat[part], flat_lost[part] = some[0].reshape(-1, 2)[: len(part)], some[1].reshape(-1)[: len(part)]

    def _packed(self, start: GridPositions) -> NDArray[np.int16]:
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
        self._kept = np.tile(np.array([-1, -2], np.int16), _AT_ONCE)

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
            cv2.remap(step.table, cells, None, cv2.INTER_NEAREST, dst=moved, borderMode=cv2.BORDER_REPLICATE)
            np.bitwise_or(met, bits, out=met)
            np.bitwise_and(bits, kept, out=bits)
            cv2.add(at, step_xy, dst=at)  # saturates
            np.maximum(at, low, out=at)
            np.minimum(at, high, out=at)
        np.subtract(at, start, out=cells)
        np.multiply(cells, pixels, out=displacement)
        np.bitwise_and(met, self._lost_bit, out=met)
        np.not_equal(met, 0, out=lost)

    def go_compiled(
        self,
        loops: Any,
        start: NDArray[np.int16],
        at: NDArray[np.intp] | None,
        steps: Sequence[Step | None],
        displacement: NDArray[np.float32],
        lost: NDArray[np.bool_],
    ) -> None:
        """The same by compiled loops, of positions (..., 2), or only of those `at` (n,) flat places of all arrays."""
        begin, pairs, scratch = start.reshape(-1).view(np.uint32), self._at, self._met[:_AT_ONCE]
        positions, count = pairs.view(np.uint32), len(begin) if at is None else len(at)
        if at is None:
            positions[:count] = begin
        else:
            np.take(begin, at, out=positions[:count], mode="clip")
        for step in steps:
            if step is None:
                pairs[1 : 2 * count : 2] |= 1
                continue
            columns, table = step.table.shape[1], step.table.view(np.uint32).reshape(-1)
            loops.follow_step(positions, count, table, columns, step.shift, scratch, self._low, self._high, self._kept)
        if at is None:
            loops.write_displacement(positions, begin, count, displacement.reshape(-1), lost.reshape(-1))
        else:
            loops.write_some(positions, begin, at, displacement.reshape(-1), lost.reshape(-1))


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
