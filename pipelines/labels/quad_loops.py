"""Compiled loops over quads, between the centres of four cells: the labels of their pixels; see `loops`."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...compiled import compiled_loop, spread, vector_at

_BYTES = 8  # cells that are compared at a time


@intrinsic  # type: ignore[untyped-decorator]
def _where_more(_context: Any, value: Any, slope: Any, share: Any, step: Any, most: Any, at: Any, is_first: Any) -> Any:
    """Which of 4 pixels, of which each is a `step` further from the first one's `share`, have more than most[at : at +
    4]: a word whose bytes are 255 there. Most is as much at least, then. What `is_first` has more everywhere."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, slope, share, step = (spread(builder, each, 4) for each in arguments[:4])
        numbers = ir.Constant(ir.VectorType(ir.FloatType(), 4), [0.0, 1.0, 2.0, 3.0])
        found = builder.fadd(value, builder.fmul(builder.fadd(share, builder.fmul(numbers, step)), slope))
        place = vector_at(context, builder, signature.args[4], arguments[4], arguments[5], 4)
        before = builder.load(place, align=4)
        nothing = ir.Constant(before.type, [float("-inf")] * 4)
        before = builder.select(builder.trunc(arguments[6], ir.IntType(1)), nothing, before)
        is_more = builder.fcmp_ordered(">", found, before)
        builder.store(builder.select(is_more, found, before), place, align=4)
        return builder.bitcast(builder.sext(is_more, ir.VectorType(ir.IntType(8), 4)), ir.IntType(32))

    return types.uint32(value, slope, share, step, most, at, is_first), generate


@compiled_loop("UniTuple(uint64, 4)(int64, int64, int64, int64)")
def _corners(i: int, j: int, rows: int, columns: int) -> Any:
    """The cells (rows * columns,) at the corners of quad (i, j) of (rows + 1, columns + 1): upper left and right, lower
    left and right; at the border a cell is several of them."""
    upper, lower = max(i - 1, 0) * columns, min(i, rows - 1) * columns
    left, right = max(j - 1, 0), min(j, columns - 1)
    return np.uint64(upper + left), np.uint64(upper + right), np.uint64(lower + left), np.uint64(lower + right)


@intrinsic  # type: ignore[untyped-decorator]
def _unlike(_context: Any, best: Any, upper: Any, lower: Any) -> Any:
    """Of 8 quads that follow one another, a byte each, 0 where all corners have the same class: the left ones are
    best[upper] and best[lower] and what follows, and the right ones those after them."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def corners(index: Any) -> Any:
            place = vector_at(context, builder, signature.args[0], arguments[0], index, _BYTES)
            return builder.bitcast(builder.load(place, align=1), ir.IntType(64))

        _, upper, lower = arguments
        one, first = ir.IntType(64)(1), corners(upper)
        others = [builder.add(upper, one), lower, builder.add(lower, one)]
        unlike = [builder.xor(first, corners(other)) for other in others]
        return builder.or_(builder.or_(unlike[0], unlike[1]), unlike[2])

    return types.uint64(best, upper, lower), generate


@compiled_loop("int64(uint8[::1], int64, int64, int64, uint32[::1], uint8[:, ::1], int64[::1])")
def fill(
    best: NDArray[np.uint8],
    rows: int,
    columns: int,
    words: int,
    line: NDArray[np.uint32],
    labels: NDArray[np.uint8],
    quads: NDArray[np.int64],
) -> int:
    """Fill all `labels` (H, W) with quads of the class of their upper left corner, and write of those whose corners
    differ rows and columns into `quads` (32 bits each); returns how many. `line` ((columns + 1) * words,) is
    scratch."""
    count, side, half, pixels = 0, 4 * words, 2 * words, line.view(np.uint8)
    height, width = labels.shape
    for i in range(rows + 1):
        upper, lower = max(i - 1, 0) * columns, min(i, rows - 1) * columns
        for k in range(words):
            line[k] = np.uint32(best[np.uint64(upper)]) * np.uint32(0x01010101)
        for j in range(columns):
            word = np.uint32(best[np.uint64(upper + j)]) * np.uint32(0x01010101)
            for k in range(words):
                line[np.uint64(words * (j + 1) + k)] = word
        for y in range(max(side * i - half, 0), min(side * i + half, height)):
            for x in range(width):
                labels[y, x] = pixels[np.uint64(half + x)]
        j = 0
        while j <= columns:
            if 0 < j <= columns - _BYTES:
                unlike = _unlike(best, np.uint64(upper + j - 1), np.uint64(lower + j - 1))
                for k in range(_BYTES if unlike else 0):
                    quads[np.uint64(count)] = i << 32 | j + k
                    count += (unlike >> np.uint64(8 * k) & np.uint64(0xFF)) != 0
                j += _BYTES
                continue
            left, right = max(j - 1, 0), min(j, columns - 1)
            one = best[np.uint64(upper + left)]
            is_unlike = (one ^ best[np.uint64(upper + right)]) | (one ^ best[np.uint64(lower + left)])
            quads[np.uint64(count)] = i << 32 | j
            count += (is_unlike | (one ^ best[np.uint64(lower + right)])) != 0
            j += 1
    return count


@intrinsic  # type: ignore[untyped-decorator]
def _store(_context: Any, labels: Any, at: Any, word: Any) -> Any:
    """Write 4 pixels of labels (H, W) from a flat place on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = vector_at(context, builder, signature.args[0], arguments[0], arguments[1], 4)
        builder.store(builder.bitcast(arguments[2], place.type.pointee), place, align=1)
        return context.get_dummy_value()

    return types.void(labels, at, word), generate


@compiled_loop("void(uint32[::1], int64, int64, int64, int64, uint8[:, ::1])")
def _put(drawn: NDArray[np.uint32], quad: int, i: int, j: int, words: int, labels: NDArray[np.uint8]) -> None:
    """Put a quad, of which all words are `drawn`, in its row i and column j on labels (H, W)."""
    (height, width), side = labels.shape, 4 * words
    at, top, left = np.uint64(quad * side * words), side * i - 2 * words, side * j - 2 * words
    if top >= 0 and left >= 0 and top + side <= height and left + side <= width:
        for y in range(top, top + side):
            for x in range(left, left + side, 4):
                _store(labels, np.uint64(y * width + x), drawn[at])
                at += np.uint64(1)
        return
    for y in range(top, top + side):
        for x in range(left, left + side):
            if 0 <= y < height and 0 <= x < width:
                labels[y, x] = drawn[at + np.uint64(x - left >> 2)] >> np.uint32(8 * (x - left & 3)) & np.uint32(0xFF)
        at += np.uint64(words)


@compiled_loop(
    "UniTuple(int64, 2)(boolean[::1], int64, int64, int64, uint32[::1], uint8[:, ::1], int64[::1], int64, "
    "boolean[::1], int64[::1])"
)
def keep(
    changed: NDArray[np.bool_],
    rows: int,
    columns: int,
    words: int,
    drawn: NDArray[np.uint32],
    labels: NDArray[np.uint8],
    quads: NDArray[np.int64],
    count: int,
    is_known: NDArray[np.bool_],
    needed: NDArray[np.int64],
) -> tuple[int, int]:
    """Put the first `count` of `quads` on `labels` as they were `drawn` before, if no corner has `changed` since. The
    others come first in `quads` then, and their corners of which nothing `is_known` are `needed`; returns how many
    quads and how many cells."""
    anew, missing = 0, 0
    for number in range(count):
        quad = quads[np.uint64(number)]
        i, j = quad >> 32, quad & 0xFFFFFFFF
        a, b, c, d = _corners(i, j, rows, columns)
        if changed[a] | changed[b] | changed[c] | changed[d]:
            quads[np.uint64(anew)] = quad
            anew += 1
            for cell in (a, b, c, d):
                if not is_known[cell]:
                    is_known[cell] = True
                    needed[np.uint64(missing)] = cell
                    missing += 1
            continue
        _put(drawn, i * (columns + 1) + j, i, j, words, labels)
    return anew, missing


@compiled_loop(
    "void(float32[::1], int64, int64, int64, int64, uint8[::1], int64[::1], int64, float32, int64, "
    "uint8[:, ::1], uint32[::1], uint64[::1], float32[::1], uint32[::1])"
)
def draw(
    known: NDArray[np.float32],
    rows: int,
    columns: int,
    depth: int,
    classes: int,
    best: NDArray[np.uint8],
    quads: NDArray[np.int64],
    count: int,
    largest_sum: float,
    words: int,
    labels: NDArray[np.uint8],
    drawn: NDArray[np.uint32],
    candidates: NDArray[np.uint64],
    most: NDArray[np.float32],
    words_of: NDArray[np.uint32],
) -> None:
    """Draw the first `count` of the `quads` whose corners' `best` classes differ, on `labels` (H, W) and on `drawn`,
    where each has 4 * words * words; `largest_sum` is what scores, none below 0, sum to at
    most, infinite for others. `known` are the rows of all cells, of `depth` numbers each.

    A class that has no more than the mean of two others at each corner has no more than the better of these anywhere
    between; and none has where these two have more than two thirds of all at each corner.
    """
    step, half = np.float32(1) / np.float32(4 * words), np.float32(0.5)
    enough, row = np.float32(largest_sum) * np.float32(2 / 3), np.uint64(depth)
    for number in range(count):
        quad = quads[np.uint64(number)]
        i, j = quad >> 32, quad & 0xFFFFFFFF
        a, b, c, d = _corners(i, j, rows, columns)
        low = np.uint64(min(min(best[a], best[b]), min(best[c], best[d])))
        high = np.uint64(max(max(best[a], best[b]), max(best[c], best[d])))
        a, b, c, d = a * row, b * row, c * row, d * row
        mean_a, mean_b = half * (known[a + low] + known[a + high]), half * (known[b + low] + known[b + high])
        mean_c, mean_d = half * (known[c + low] + known[c + high]), half * (known[d + low] + known[d + high])
        few = 2
        candidates[0], candidates[1] = low, high
        if min(min(mean_a, mean_b), min(mean_c, mean_d)) <= half * enough:
            few = 0
            for k in range(classes):
                at = np.uint64(k)
                is_more = (known[a + at] > mean_a) | (known[b + at] > mean_b)
                is_more |= (known[c + at] > mean_c) | (known[d + at] > mean_d)
                candidates[np.uint64(few)] = at
                few += is_more | (at == low) | (at == high)
        begin = np.uint64(4 * words * words * (i * (columns + 1) + j))
        for down in range(words):
            for across in range(words):
                share_x = (np.float32(4 * across) + half) * step
                for which in range(few):
                    at = candidates[np.uint64(which)]
                    label = np.uint32(at) * np.uint32(0x01010101)
                    at_a, at_b, at_c, at_d = known[a + at], known[b + at], known[c + at], known[d + at]
                    for y in range(4):
                        share = (np.float32(4 * down + y) + half) * step
                        value = at_a + share * (at_c - at_a)
                        slope = at_b + share * (at_d - at_b) - value
                        mask = _where_more(value, slope, share_x, step, most, np.uint64(4 * y), which == 0)
                        line = np.uint64(y)
                        words_of[line] = (words_of[line] & ~mask) | (label & mask)
                for y in range(4):
                    drawn[begin + np.uint64((4 * down + y) * words + across)] = words_of[np.uint64(y)]
        _put(drawn, i * (columns + 1) + j, i, j, words, labels)
