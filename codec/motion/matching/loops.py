"""Compiled loops of matching: half-pixel planes, predictions of cells, and which hypothesis fits each block.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....compiled import compiled_loop

_PAD, _REACH, _BLOCK = 24, 16, 8  # as in `prediction`


@compiled_loop("int32(int32, int32, int32, int32, int32, int32)")
def _tap(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """H.264's filter (8.4.2.2.1), in 32nds."""
    return a + f - np.int32(5) * (b + e) + np.int32(20) * (c + d)


@compiled_loop("uint8(int32)")
def _clipped(value: Any) -> Any:
    return np.uint8(min(max(value, np.int32(0)), np.int32(255)))


@compiled_loop("int64(int64, int64)")
def _mirrored(at: Any, count: Any) -> Any:
    """The place that stands in for one outside, the border itself not repeated; for at least four places."""
    at = abs(at)
    return min(at, 2 * (count - 1) - at)


@compiled_loop("void(uint8[:, ::1], uint8[:, :, ::1], int32[::1])")
def filter_planes(whole: NDArray[np.uint8], planes: NDArray[np.uint8], sums: NDArray[np.int32]) -> None:
    """Write the half-pixel `planes` 1 to 3 (4, H, W) of a picture, as OpenCV's filters do: ties go up but in the last
    plane, where sums of two filters are rounded 4 / 1024 above them, half to even.

    `sums` (W + 5,) is for those down the columns of a row.
    """
    rows, columns = whole.shape
    across, down, both, one = planes[1], planes[2], planes[3], np.uint64(1)
    for i in range(rows):
        r = np.uint64(i)
        for j in range(2, columns - 3):
            k = np.uint64(j - 2)
            total = _tap(
                whole[r, k], whole[r, k + one], whole[r, k + np.uint64(2)], whole[r, k + np.uint64(3)],
                whole[r, k + np.uint64(4)], whole[r, k + np.uint64(5)],
            )  # fmt: skip
            across[r, np.uint64(j)] = _clipped((total + np.int32(16)) >> np.int32(5))
        for side in range(5):
            j = side if side < 2 else columns - 5 + side
            a, b, c = _mirrored(j - 2, columns), _mirrored(j - 1, columns), _mirrored(j + 1, columns)
            d, e = _mirrored(j + 2, columns), _mirrored(j + 3, columns)
            total = _tap(whole[i, a], whole[i, b], whole[i, j], whole[i, c], whole[i, d], whole[i, e])
            across[i, j] = _clipped((total + np.int32(16)) >> np.int32(5))
    for i in range(rows):
        r = np.uint64(i)
        a, b, c = (
            np.uint64(_mirrored(i - 2, rows)),
            np.uint64(_mirrored(i - 1, rows)),
            np.uint64(_mirrored(i + 1, rows)),
        )
        d, e = np.uint64(_mirrored(i + 2, rows)), np.uint64(_mirrored(i + 3, rows))
        for j in range(columns):
            k = np.uint64(j)
            total = _tap(whole[a, k], whole[b, k], whole[r, k], whole[c, k], whole[d, k], whole[e, k])
            sums[k + np.uint64(2)] = total
            down[r, k] = _clipped((total + np.int32(16)) >> np.int32(5))
        for side in range(5):
            j = side - 2 if side < 2 else columns - 2 + side
            sums[j + 2] = sums[_mirrored(j, columns) + 2]
        for j in range(columns):
            k = np.uint64(j)
            total = _tap(
                sums[k], sums[k + one], sums[k + np.uint64(2)], sums[k + np.uint64(3)], sums[k + np.uint64(4)],
                sums[k + np.uint64(5)],
            ) + np.int32(4)  # fmt: skip
            odd = (total >> np.int32(10)) & np.int32(1)
            both[r, k] = _clipped((total + np.int32(511) + odd) >> np.int32(10))


@compiled_loop("int64(int64, int64)")
def _inside(at: Any, size: Any) -> Any:
    """The first of eight pixels in a padded picture, never further outside than all that is seen is the border."""
    return min(max(at, -_REACH), size + _REACH - _BLOCK) + _PAD


@compiled_loop(
    "void(int32[:, ::1], int32[::1], int32[:, ::1], uint8[::1], int64, int64, int64[:, :, ::1], uint8[:, ::1])"
)
def predict(
    corners: NDArray[np.int32],
    vector_of: NDArray[np.int32],
    vectors: NDArray[np.int32],
    planes: NDArray[np.uint8],
    height: int,
    width: int,
    samples: NDArray[np.int64],
    found: NDArray[np.uint8],
) -> None:
    """Write the prediction (m, 32) of the cells that start at `corners` (m, 2) from a reference's `planes`, by those of
    some `vectors` (n, 2) in quarter pixels whose numbers are `vector_of` (m,), -1 for none; see `Sampler`.

    `samples` are SAMPLES."""
    stride = width + 2 * _PAD
    plane = stride * (height + 2 * _PAD)
    for i in range(corners.shape[0]):
        m = np.uint64(i)
        if vector_of[m] < 0:
            continue
        v = np.uint64(vector_of[m])
        dx, dy = np.int64(vectors[v, 0]), np.int64(vectors[v, 1])
        x, y = _inside(corners[m, 0] + (dx >> 2), width), _inside(corners[m, 1] + (dy >> 2), height)
        part = np.uint64((dy & 3) * 4 + (dx & 3))
        at = y * stride + x
        first = np.uint64(at + samples[0, part, 0] * plane + samples[0, part, 1] + samples[0, part, 2] * stride)
        second = np.uint64(at + samples[1, part, 0] * plane + samples[1, part, 1] + samples[1, part, 2] * stride)
        for row in range(4):
            down, to = np.uint64(2 * row * stride), np.uint64(8 * row)
            for k in range(8):
                j = np.uint64(k)
                a, b = np.int32(planes[first + down + j]), np.int32(planes[second + down + j])
                found[m, to + j] = np.uint8((a + b + np.int32(1)) >> np.int32(1))


@compiled_loop("int32(uint8[:, ::1], uint8[:, ::1], uint64)")
def _sum_of_differences(first: NDArray[np.uint8], second: NDArray[np.uint8], m: Any) -> Any:
    total = np.int32(0)
    for k in range(32):
        j = np.uint64(k)
        total += abs(np.int32(first[m, j]) - np.int32(second[m, j]))
    return total


@compiled_loop("void(uint8[:, ::1], uint8[:, ::1], float32[::1])")
def compare(first: NDArray[np.uint8], second: NDArray[np.uint8], found: NDArray[np.float32]) -> None:
    """Write the mean absolute difference of m cells (m, 32)."""
    for i in range(found.size):
        m = np.uint64(i)
        found[m] = np.float32(_sum_of_differences(first, second, m)) / np.float32(32)


@compiled_loop(
    "void(int32[:, ::1], boolean[::1], int32[:, ::1], int32[::1], boolean[:, ::1], boolean[:, ::1], int64[::1])"
)
def sort_blocks(
    blocks: NDArray[np.int32],
    is_part: NDArray[np.bool_],
    vectors: NDArray[np.int32],
    second: NDArray[np.int32],
    has: NDArray[np.bool_],
    may: NDArray[np.bool_],
    area: NDArray[np.int64],
) -> None:
    """Write of each block, which goes by its first vector: its `second` one, -1 for none, which lists it `has`, and
    `may` use alone (2, n), and its `area` in cells, all of which are given as if there were none.

    `blocks` (2, cells) are the vectors of each cell, and `is_part` (n,) tells which are of less than a macroblock.
    """
    for i in range(blocks.shape[1]):
        k = np.uint64(i)
        block = blocks[0, k] if blocks[0, k] >= 0 else blocks[1, k]
        if block < 0:
            continue
        b = np.uint64(block)
        area[b] += 1
        has[0, b] |= blocks[0, k] >= 0
        if blocks[1, k] >= 0:
            has[1, b], second[b] = True, blocks[1, k]
    for i in range(second.size):
        b = np.uint64(i)
        other = np.uint64(second[b] if second[b] >= 0 else second.size - 1)
        may[0, b] = has[0, b] and (not has[1, b] or (is_part[b] and vectors[other, 0] == 0 and vectors[other, 1] == 0))
        may[1, b] = has[1, b] and (not has[0, b] or (is_part[b] and vectors[b, 0] == 0 and vectors[b, 1] == 0))


@compiled_loop("void(int32[:, ::1], int64, uint8[:, ::1], uint8[:, ::1], int64[::1], int64[::1], float32[::1])")
def judge(
    blocks: NDArray[np.int32],
    which: int,
    prediction: NDArray[np.uint8],
    luma: NDArray[np.uint8],
    area: NDArray[np.int64],
    sums: NDArray[np.int64],
    cost: NDArray[np.float32],
) -> None:
    """Write the mean absolute difference between `luma` and its `prediction` (cells, 32) of all blocks with a vector of
    list 0 or 1, or where `which` is 2, of both; `sums` (n,) is for sums."""
    sums[:] = 0
    for turn in range(2):
        for i in range(blocks.shape[1]):
            k = np.uint64(i)
            first, second = blocks[0, k], blocks[1, k]
            if (which != 1 and first < 0) or (which != 0 and second < 0):
                continue
            b = np.uint64(first if first >= 0 else second)
            if turn == 0:
                sums[b] += _sum_of_differences(prediction, luma, k)
            else:
                cost[b] = np.float32(np.float64(sums[b]) / np.float64(32) / np.float64(area[b]))


@compiled_loop(
    "void(float32[:, ::1], boolean[:, ::1], int64[::1], int32[:, ::1], int32[::1], boolean[:, ::1], float32, "
    "int32[::1], float32[::1], float32[::1])"
)
def decide(
    costs: NDArray[np.float32],
    may: NDArray[np.bool_],
    group: NDArray[np.int64],
    pictures: NDArray[np.int32],
    second: NDArray[np.int32],
    has: NDArray[np.bool_],
    equivalent: Any,
    picture: NDArray[np.int32],
    confidence: NDArray[np.float32],
    error: NDArray[np.float32],
) -> None:
    """Write the pictures, confidences and errors of `Matches`, by the `costs` (hypotheses, n) of all blocks; `pictures`
    (hypotheses, 2) are those of both lists, -1 for none, and `group` tells which have the same."""
    one, half, infinite = np.float32(1), np.float32(0.5), np.float32(np.inf)
    for i in range(second.size):
        b, best, lowest = np.uint64(i), -1, infinite
        for h in range(costs.shape[0]):
            is_allowed = (pictures[h, 1] >= 0 or may[0, b]) and (pictures[h, 0] >= 0 or may[1, b])
            if is_allowed and costs[h, b] < lowest:
                best, lowest = h, costs[h, b]
        if best < 0:
            continue
        rivals, alone_0, alone_1 = infinite, infinite, infinite
        for h in range(costs.shape[0]):
            is_first, is_second = pictures[h, 1] < 0, pictures[h, 0] < 0
            if (not is_first or may[0, b]) and (not is_second or may[1, b]) and group[h] != group[best]:
                rivals = min(rivals, costs[h, b])
            if is_first and pictures[h, 0] == pictures[best, 0]:
                alone_0 = min(alone_0, costs[h, b])
            if is_second and pictures[h, 1] == pictures[best, 1]:
                alone_1 = min(alone_1, costs[h, b])
        margin = one - (lowest + half) / (rivals + half)
        same = one - (lowest + rivals) / equivalent
        sure = min(max(max(margin, same), np.float32(0)), one)
        if has[0, b] and pictures[best, 0] >= 0:
            picture[b], confidence[b], error[b] = pictures[best, 0], sure, alone_0
        other = second[b] if has[0, b] else np.int32(i)
        if other >= 0 and pictures[best, 1] >= 0:
            picture[other], confidence[other], error[other] = pictures[best, 1], sure, alone_1


@compiled_loop("void(int16[:, ::1], int32[:, ::1], int64, int64, int64, int32[:, :, ::1], int32[:, ::1], boolean[::1])")
def place_blocks(
    records: NDArray[np.int16],
    words: NDArray[np.int32],
    origin_x: int,
    origin_y: int,
    margin: int,
    grid: NDArray[np.int32],
    quarters: NDArray[np.int32],
    is_part: NDArray[np.bool_],
) -> None:
    """Write the `grid` (2, rows, cols), with a `margin` of cells all around, of `block_grid`, the `quarters` (n, 2) of
    `quarter_pixels`, and which blocks are less than a macroblock; from vectors as 16-bit (n, 20) and 32-bit (n, 10)
    words."""
    _, rows, cols = grid.shape
    for turn in range(4):
        down, right = turn >> 1, turn & 1
        for i in range(words.shape[0]):
            n = np.uint64(i)
            block_w, block_h = np.int64(records[n, 2] & 255), np.int64((records[n, 2] >> 8) & 255)
            if turn == 0:
                scale = np.int32(max(int(records[n, 16]) & 0xFFFF, 1))
                quarters[n, 0] = np.int32(words[n, 6] * np.int32(4)) // scale
                quarters[n, 1] = np.int32(words[n, 7] * np.int32(4)) // scale
                is_part[n] = block_w < 16 or block_h < 16
            if block_h <= _BLOCK * down or block_w <= _BLOCK * right:
                continue
            row = ((np.int64(records[n, 6]) - (block_h >> 1) - origin_y) >> 3) + margin
            col = ((np.int64(records[n, 5]) - (block_w >> 1) - origin_x) >> 3) + margin
            if row < 0 or col < 0 or row > rows - margin or col > cols - margin:
                continue
            grid[np.int64(words[n, 0] > 0), row + down, col + right] = np.int32(i)
