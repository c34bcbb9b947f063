"""Compiled loops of motion: cells filled, positions followed through one field after the other.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...compiled import compiled_loop


@compiled_loop("void(float32[:, :, ::1], boolean[:, ::1], int64, int64, int16[:, :, :, ::1])")
def fill_table(
    displacement: NDArray[np.float32],
    lost: NDArray[np.bool_],
    height: int,
    width: int,
    table: NDArray[np.int16],
) -> None:
    """Write the `table` (rows, 2, columns, 2) of a `PackedFollower`'s step, each row twice."""
    rows, columns = lost.shape
    most_x, most_y, four = np.float32(4 * width), np.float32(4 * height), np.float32(4)
    for row in range(rows):
        for column in range(columns):
            x = np.rint(displacement[row, column, 0] * four)
            y = np.rint(displacement[row, column, 1] * four)
            right = np.int16(min(max(x, -most_x), most_x))
            down = np.int16(2 * np.int32(min(max(y, -most_y), most_y)) + np.int32(lost[row, column]))
            table[row, 0, column, 0] = table[row, 1, column, 0] = right
            table[row, 0, column, 1] = table[row, 1, column, 1] = down


@compiled_loop("void(uint32[::1], int64, uint32[::1], int64, int64, uint32[::1], int16[::1], int16[::1], int16[::1])")
def follow_step(
    positions: NDArray[np.uint32],
    count: int,
    table: NDArray[np.uint32],
    columns: int,
    shift: int,
    scratch: NDArray[np.uint32],
    low: NDArray[np.int16],
    high: NDArray[np.int16],
    kept: NDArray[np.int16],
) -> None:
    """Move the first `count` of some `positions` by a `PackedFollower`'s `table` (rows * 2 * columns,), in place.

    A position is lost once it met a lost cell, and says so in its lowest bit of y, as cells do. `scratch` says how many
    are moved at a time; `low` and `high` are the least and most of that many pairs, and `kept` masks their lost bits.
    """
    pairs, moves = positions.view(np.int16), scratch.view(np.int16)
    by_row, by_column, in_row = np.uint32(17 + shift), np.uint32(shift), np.uint32(2 * columns)
    lower_half = np.uint32(0xFFFF)
    for first in range(0, count, scratch.size):
        some = min(scratch.size, count - first)
        begin = np.uintp(first)
        for i in range(some):
            at = positions[begin + np.uintp(i)]
            scratch[np.uintp(i)] = np.uint32((at >> by_row) * in_row) + np.uint32((at & lower_half) >> by_column)
        for i in range(some):
            scratch[np.uintp(i)] = table[np.uintp(scratch[np.uintp(i)])]
        begin = np.uintp(2 * first)
        for i in range(2 * some):
            k = np.uintp(i)
            at_, move = pairs[begin + k], moves[k]
            lost = np.int16((at_ | move) & ~kept[k])
            clean = np.int16(at_ & kept[k])
            ahead = np.int16(high[k] - clean)  # no sum leaves 16 bits
            clean = np.int16(clean + min(np.int16(move & kept[k]), ahead))
            pairs[begin + k] = max(clean, low[k]) | lost


@compiled_loop("void(uint32, uint32, uint64, float32[::1], boolean[::1])")
def _write(position: Any, start: Any, place: Any, displacement: NDArray[np.float32], lost: NDArray[np.bool_]) -> None:
    """Write at `place` how far a position is from its `start`, in pixels, and whether it is lost."""
    upper, lower = np.uint32(16), np.uint32(0xFFFF)
    x, begin_x = np.int32(position & lower), np.int32(start & lower)
    y, begin_y = np.int32(position >> upper), np.int32(start >> upper)
    at = place << np.uint64(1)
    displacement[at] = np.float32(x - begin_x) * np.float32(0.25)
    displacement[at + np.uint64(1)] = np.float32((y & ~1) - begin_y) * np.float32(0.125)
    lost[place] = (y & 1) != 0


@compiled_loop("void(uint32[::1], uint32[::1], int64, float32[::1], boolean[::1])")
def write_displacement(
    positions: NDArray[np.uint32],
    start: NDArray[np.uint32],
    count: int,
    displacement: NDArray[np.float32],
    lost: NDArray[np.bool_],
) -> None:
    """Write how far the first `count` positions are from their `start`, in pixels, and which are lost."""
    for i in range(count):
        place = np.uint64(i)
        _write(positions[place], start[place], place, displacement, lost)


@compiled_loop("void(uint32[::1], uint32[::1], int64[::1], float32[::1], boolean[::1])")
def write_some(
    positions: NDArray[np.uint32],
    start: NDArray[np.uint32],
    at: NDArray[np.int64],
    displacement: NDArray[np.float32],
    lost: NDArray[np.bool_],
) -> None:
    """The same, of the positions whose places are `at`; the others' values stay as they are."""
    for i in range(at.size):
        place = np.uint64(at[i])
        _write(positions[np.uint64(i)], start[place], place, displacement, lost)


@compiled_loop("void(int16[:, ::1], int64, int16[:, ::1], int64, int64, int64, int64)")
def follow_references(
    at: NDArray[np.int16],
    gone: int,
    table: NDArray[np.int16],
    columns: int,
    shift: int,
    high_x: int,
    high_y: int,
) -> None:
    """Move those positions (n, 4) that have `gone` so many pictures back by a `TracedPicture`'s `table`, in place."""
    low, right, bottom = np.int16(2), np.int16(high_x), np.int16(high_y)
    for i in range(at.shape[0]):
        k = np.uint64(i)
        if at[k, 2] == gone:
            x, y = at[k, 0], at[k, 1]
            cell = np.uint64((y >> shift) * columns + (x >> shift))
            x, y = np.int16(x + table[cell, 0]), np.int16(y + table[cell, 1])
            at[k, 0], at[k, 1] = min(max(x, low), right), min(max(y, low), bottom)
            at[k, 2] += table[cell, 2]
            at[k, 3] += table[cell, 3]


@compiled_loop("uint64(uint64, uint64, uint64)")
def _nearer(one: Any, other: Any, further: Any) -> Any:
    """The nearer one by the upper half, the `other` being so much `further` away; the first if both are as near."""
    there = other + further
    return there if there >> np.uint64(32) < one >> np.uint64(32) else one


@compiled_loop("void(boolean[:, ::1], uint64[:, ::1], int64[::1])")
def find_nearest(unknown: NDArray[np.bool_], near: Any, nearest: NDArray[np.int64]) -> None:
    """Write the nearest known cell of each, (rows * cols,), as OpenCV finds it: `distanceTransformWithLabels` with
    DIST_L2 and DIST_MASK_5, after Borgefors (1986). `near` (rows + 4, cols + 4) is for distances in 65536ths of a cell,
    in the upper half, and the numbers of cells."""
    rows, columns = unknown.shape
    far, beside = np.uint64(0x1FFFFFFF) << np.uint64(32), np.uint64(65536) << np.uint64(32)
    corner, knight = np.uint64(91750) << np.uint64(32), np.uint64(143976) << np.uint64(32)
    one, two = np.uint64(1), np.uint64(2)
    for margin in range(2):
        for column in range(columns + 4):
            near[margin, column] = near[rows + 2 + margin, column] = far
    for i in range(rows):
        y = np.uint64(i + 2)
        near[y, np.uint64(0)] = near[y, one] = near[y, np.uint64(columns + 2)] = near[y, np.uint64(columns + 3)] = far
        for j in range(columns):
            x = np.uint64(j + 2)
            if not unknown[i, j]:
                near[y, x] = np.uint64(i * columns + j)
                continue
            found = _nearer(far, near[y - two, x - one], knight)
            found = _nearer(found, near[y - two, x + one], knight)
            found = _nearer(found, near[y - one, x - two], knight)
            found = _nearer(found, near[y - one, x - one], corner)
            found = _nearer(found, near[y - one, x], beside)
            found = _nearer(found, near[y - one, x + one], corner)
            found = _nearer(found, near[y - one, x + two], knight)
            near[y, x] = _nearer(found, near[y, x - one], beside)
    for i in range(rows - 1, -1, -1):
        y = np.uint64(i + 2)
        for j in range(columns - 1, -1, -1):
            x = np.uint64(j + 2)
            found = near[y, x]
            if found > beside | np.uint64(0xFFFFFFFF):
                found = _nearer(found, near[y + two, x + one], knight)
                found = _nearer(found, near[y + two, x - one], knight)
                found = _nearer(found, near[y + one, x + two], knight)
                found = _nearer(found, near[y + one, x + one], corner)
                found = _nearer(found, near[y + one, x], beside)
                found = _nearer(found, near[y + one, x - one], corner)
                found = _nearer(found, near[y + one, x - two], knight)
                found = near[y, x] = _nearer(found, near[y, x + one], beside)
            nearest[np.uint64(i * columns + j)] = np.int64(found & np.uint64(0xFFFFFFFF))
