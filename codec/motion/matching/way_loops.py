"""Compiled loops of tracing: the ways of cells, and what they cost by those of their neighbours.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones. Nothing
is shared with other modules of loops: Numba would not notice that it changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....compiled import compiled_loop

_PAD, _REACH, _BLOCK = 24, 16, 8  # as in `prediction`


@compiled_loop("int64(int64, int64)")
def _inside(at: Any, size: Any) -> Any:
    """The first of eight pixels in a padded picture, never further outside than all that is seen is the border."""
    return min(max(at, -_REACH), size + _REACH - _BLOCK) + _PAD


@compiled_loop("int64(uint8[::1], uint8[:, ::1], int64, int64, int64, int64, int64[:, :, ::1])")
def _difference(
    planes: NDArray[np.uint8], luma: NDArray[np.uint8], column: Any, row: Any, dx: Any, dy: Any, samples: Any
) -> Any:
    """The sum of absolute differences between a cell of a picture and its prediction, of every second row."""
    height, width = luma.shape
    stride = width + 2 * _PAD
    plane = stride * (height + 2 * _PAD)
    left, top = column * _BLOCK, row * _BLOCK
    at = _inside(top + (dy >> 2), height) * stride + _inside(left + (dx >> 2), width)
    part = np.uint64((dy & 3) * 4 + (dx & 3))
    first = np.uint64(at + samples[0, part, 0] * plane + samples[0, part, 1] + samples[0, part, 2] * stride)
    second = np.uint64(at + samples[1, part, 0] * plane + samples[1, part, 1] + samples[1, part, 2] * stride)
    total = np.int32(0)
    if left + _BLOCK <= width and top + _BLOCK <= height:
        for i in range(4):
            down, r = np.uint64(2 * i * stride), np.uint64(top + 2 * i)
            for k in range(8):
                j = np.uint64(k)
                a, b = np.int32(planes[first + down + j]), np.int32(planes[second + down + j])
                total += abs(((a + b + np.int32(1)) >> np.int32(1)) - np.int32(luma[r, np.uint64(left) + j]))
        return np.int64(total)
    for i in range(4):
        down, r = np.uint64(2 * i * stride), min(top + 2 * i, height - 1)
        for k in range(8):
            j = np.uint64(k)
            a, b = np.int32(planes[first + down + j]), np.int32(planes[second + down + j])
            total += abs(((a + b + np.int32(1)) >> np.int32(1)) - np.int32(luma[r, min(left + k, width - 1)]))
    return np.int64(total)


@compiled_loop("int64(int64, int64, int64, int64, int64, int64)")
def _cell_ahead(cell: Any, columns: Any, dx: Any, dy: Any, height: Any, width: Any) -> Any:
    """The cell in which a cell's centre lies where it moves by so many quarter pixels."""
    half = _BLOCK // 2
    x = min(max(cell % columns * _BLOCK + half + (dx >> 2), 0), width - 1) // _BLOCK
    y = min(max(cell // columns * _BLOCK + half + (dy >> 2), 0), height - 1) // _BLOCK
    return y * columns + x


@compiled_loop(
    "void(int32[:, ::1], int32[::1], int32[:, ::1], float32[::1], int64, int64, int32[:, ::1], int32[:, :, ::1], "
    "float32[:, ::1])"
)
def take_vectors(
    vectors: NDArray[np.int32],
    picture: NDArray[np.int32],
    quarters: NDArray[np.int32],
    error: NDArray[np.float32],
    decode_index: int,
    farthest: int,
    back: NDArray[np.int32],
    shift: NDArray[np.int32],
    own: NDArray[np.float32],
) -> None:
    """Write, for the `vectors` (2, n) of each cell, -1 for none: how many pictures they go `back`, 0 for none, their
    `shift` (2, n, 2), and their `own` error; for none those of the last vector, as NumPy indexes."""
    for which in range(2):
        for i in range(vectors.shape[1]):
            k, v = np.uint64(i), np.int64(vectors[which, i])
            at = np.uint64(v if v >= 0 else picture.size - 1)
            gone = decode_index - np.int64(picture[at])
            is_known = v >= 0 and picture[at] >= 0 and gone <= farthest
            back[which, k] = np.int32(gone) if is_known else np.int32(0)
            shift[which, k, 0], shift[which, k, 1] = quarters[at, 0], quarters[at, 1]
            own[which, k] = error[at]


@compiled_loop(
    "void(int32[::1], int32[:, ::1], int64, int64, int64, int64, float32[::1], int32[::1], int16[:, ::1], int64, "
    "float32[::1], int32[::1], boolean[::1])"
)
def look_up(
    back: NDArray[np.int32],
    shift: NDArray[np.int32],
    step: int,
    columns: int,
    height: int,
    width: int,
    error_there: NDArray[np.float32],
    root_there: NDArray[np.int32],
    table_there: NDArray[np.int16],
    end: int,
    error: NDArray[np.float32],
    root: NDArray[np.int32],
    is_lost: NDArray[np.bool_],
) -> None:
    """Write what lies ahead of the cells that go `back` by one `step`; where `end` is no -1, ways end at that picture,
    and what is there is not looked at."""
    for i in range(back.size):
        k = np.uint64(i)
        if back[k] != step:
            continue
        if end >= 0:
            root[k] = np.int32(end)
            continue
        there = np.uint64(_cell_ahead(i, columns, np.int64(shift[k, 0]), np.int64(shift[k, 1]), height, width))
        error[k], root[k], is_lost[k] = error_there[there], root_there[there], table_there[there, 3] != 0


@compiled_loop("int64(int32[:, ::1], float32[:, ::1], float32[:, ::1], int32[:, ::1])")
def add_up(back: Any, own: NDArray[np.float32], ahead: NDArray[np.float32], root: NDArray[np.int32]) -> Any:
    """Have `own` (2, n) be the errors of whole ways, infinite for none; the only `root` (2, n) that there is, -1 where
    there is none, -2 where there are several."""
    only = np.int64(-1)
    for which in range(2):
        for i in range(own.shape[1]):
            k = np.uint64(i)
            own[which, k] = own[which, k] + ahead[which, k] if back[which, k] != 0 else np.float32(np.inf)
            if root[which, k] >= 0 and root[which, k] != only:
                only = np.int64(root[which, k]) if only == -1 else np.int64(-2)
    return only


@compiled_loop(
    "int64(float32[:, ::1], int32[:, ::1], int64, float32, int32[:, ::1], int32[:, :, ::1], boolean[:, ::1], "
    "uint8[::1], int32[:, ::1], int32[::1], float32[::1], boolean[::1], boolean[::1])"
)
def choose(
    error: NDArray[np.float32],
    root: NDArray[np.int32],
    key: int,
    lost: Any,
    back: NDArray[np.int32],
    shift: NDArray[np.int32],
    is_lost: NDArray[np.bool_],
    best: NDArray[np.uint8],
    moved: NDArray[np.int32],
    behind: NDArray[np.int32],
    cost: NDArray[np.float32],
    has_way: NDArray[np.bool_],
    known: NDArray[np.bool_],
) -> Any:
    """Write which of two vectors each cell goes by, and what that means; the number of `known` cells."""
    count = 0
    for i in range(best.size):
        k = np.uint64(i)
        first = error[0, k] + (np.float32(0) if root[0, k] == key else lost)
        second = error[1, k] + (np.float32(0) if root[1, k] == key else lost)
        b = np.uint64(1) if second < first else np.uint64(0)
        best[k], behind[k] = b, back[b, k]
        moved[k, 0], moved[k, 1] = shift[b, k, 0], shift[b, k, 1]
        has_way[k] = back[b, k] != 0 and root[b, k] == key
        known[k] = has_way[k] and not is_lost[b, k]
        cost[k] = error[b, k] if has_way[k] else np.float32(np.inf)
        count += known[k]
    return count


@compiled_loop("void(boolean[:, ::1], int64[::1], int64[:, ::1])")
def find_candidates(known: NDArray[np.bool_], nearest: NDArray[np.int64], found: NDArray[np.int64]) -> None:
    """Write the nearest known cell left of, right of, above and below each cell into `found` (5, cells) after the
    `nearest`, -1 where there is none."""
    rows, columns = known.shape
    for i in range(nearest.size):
        found[0, np.uint64(i)] = nearest[np.uint64(i)]
    for i in range(rows):
        last = np.int64(-1)
        for j in range(columns):
            k = np.uint64(i * columns + j)
            last = np.int64(k) if known[i, np.uint64(j)] else last
            above = found[3, k - np.uint64(columns)] if i else np.int64(-1)
            found[1, k], found[3, k] = last, np.int64(k) if known[i, np.uint64(j)] else above
    for i in range(rows - 1, -1, -1):
        last = np.int64(-1)
        for j in range(columns - 1, -1, -1):
            k = np.uint64(i * columns + j)
            last = np.int64(k) if known[i, np.uint64(j)] else last
            below = found[4, k + np.uint64(columns)] if i < rows - 1 else np.int64(-1)
            found[2, k], found[4, k] = last, np.int64(k) if known[i, np.uint64(j)] else below


@compiled_loop(
    "void(boolean[::1], int64[:, ::1], int32[:, ::1], int32[::1], int64, uint8[::1], uint8[:, ::1], int64[:, :, ::1], "
    "float32[::1], int32[::1], int64, int64, float32, float32[:, ::1])"
)
def weigh_neighbours(
    known: NDArray[np.bool_],
    candidates: NDArray[np.int64],
    shift: NDArray[np.int32],
    back: NDArray[np.int32],
    step: int,
    planes: NDArray[np.uint8],
    luma: NDArray[np.uint8],
    samples: NDArray[np.int64],
    error_there: NDArray[np.float32],
    root_there: NDArray[np.int32],
    end: int,
    key: int,
    lost: Any,
    costs: NDArray[np.float32],
) -> None:
    """Write what the ways of cells that are not known cost by those of their `candidates` (5, cells) that go `back` by
    one `step`, to a picture with these `planes`; where `end` is no -1 ways end there, -2 where nothing is known."""
    height, width = luma.shape
    columns = (width + _BLOCK - 1) // _BLOCK
    for i in range(known.size):
        k = np.uint64(i)
        if known[k]:
            continue
        for which in range(5):
            candidate = candidates[which, k]
            if candidate < 0 or back[candidate] != step:
                continue
            dx, dy, before = np.int64(shift[candidate, 0]), np.int64(shift[candidate, 1]), -1
            for other in range(which):
                at = candidates[other, k]
                if at >= 0 and back[at] == step and shift[at, 0] == dx and shift[at, 1] == dy:
                    before = other
                    break
            if before >= 0:
                costs[which, k] = costs[before, k]
                continue
            total = _difference(planes, luma, i % columns, i // columns, dx, dy, samples)
            ahead, root = np.float32(0), np.int64(end)
            if end == -1:
                there = np.uint64(_cell_ahead(i, columns, dx, dy, height, width))
                ahead, root = error_there[there], np.int64(root_there[there])
            elif end == -2:
                root = np.int64(-1)
            ahead += np.float32(0) if root == key else lost
            costs[which, k] = np.float32(total) / np.float32(32) + ahead


@compiled_loop("void(boolean[::1], int64[:, ::1], float32[:, ::1], float32[::1], int64[::1])")
def take_best(
    known: NDArray[np.bool_],
    candidates: NDArray[np.int64],
    costs: NDArray[np.float32],
    total: NDArray[np.float32],
    like: NDArray[np.int64],
) -> None:
    """Have the cells that are not known be `like` the candidate that costs least, unless their own way, whose `total`
    is given, costs no more."""
    for i in range(known.size):
        k = np.uint64(i)
        if known[k]:
            continue
        best = np.uint64(0)
        for which in range(1, 5):
            if costs[which, k] < costs[best, k]:
                best = np.uint64(which)
        if costs[best, k] < total[k] or np.isinf(total[k]):
            like[k], total[k] = candidates[best, k], costs[best, k]


@compiled_loop(
    "void(int64[::1], boolean[::1], uint8[::1], int32[:, ::1], float32[::1], int32[:, ::1], int32[::1], "
    "int32[:, ::1], int32[::1], int16[:, ::1], uint8[::1])"
)
def settle(
    like: NDArray[np.int64],
    has_way: NDArray[np.bool_],
    best: NDArray[np.uint8],
    vectors: NDArray[np.int32],
    confidence: NDArray[np.float32],
    shift: NDArray[np.int32],
    back: NDArray[np.int32],
    moved: NDArray[np.int32],
    behind: NDArray[np.int32],
    table: NDArray[np.int16],
    sure: NDArray[np.uint8],
) -> None:
    """Write how cells move in the end, like others or by their own way, and how sure their own is, in 255ths."""
    for i in range(like.size):
        k, at = np.uint64(i), np.uint64(like[i])
        moved[k, 0], moved[k, 1], behind[k] = shift[at, 0], shift[at, 1], back[at]
        is_lost = not has_way[k] or like[k] != i
        table[k, 0], table[k, 1] = np.int16(moved[k, 0]), np.int16(moved[k, 1])
        table[k, 2], table[k, 3] = np.int16(behind[k]), np.int16(is_lost)
        vector = np.int64(vectors[best[k], k])
        v = np.uint64(vector if vector >= 0 else confidence.size - 1)
        sure[k] = np.uint8(0) if is_lost else np.uint8(np.int32(np.rint(np.float32(255) * confidence[v])))


@compiled_loop("void(int32[::1], int32[::1], int16[:, ::1])")
def set_out(x: NDArray[np.int32], y: NDArray[np.int32], at: NDArray[np.int16]) -> None:
    """Have positions (n, 4) be where they start."""
    for i in range(x.size):
        k = np.uint64(i)
        at[k, 0], at[k, 1], at[k, 2], at[k, 3] = np.int16(x[k]), np.int16(y[k]), np.int16(0), np.int16(0)


@compiled_loop("void(int16[:, ::1], int32[::1], int32[::1], int64, float32[:, ::1], boolean[::1])")
def arrive(
    at: NDArray[np.int16],
    x: NDArray[np.int32],
    y: NDArray[np.int32],
    gone: int,
    displacement: NDArray[np.float32],
    lost: NDArray[np.bool_],
) -> None:
    """Write how far positions (n, 4) are from where they started, in pixels, and which were lost or have not `gone` as
    far back as they were to."""
    for i in range(x.size):
        k = np.uint64(i)
        displacement[k, 0] = np.float32(np.int32(at[k, 0]) - x[k]) * np.float32(0.25)
        displacement[k, 1] = np.float32(np.int32(at[k, 1]) - y[k]) * np.float32(0.25)
        lost[k] = at[k, 2] != gone or at[k, 3] != 0
