"""Compiled loops of labels: a reference's scores carried along motion, looked at only where labels depend on them.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...compiled import compiled_loop

LANES = 8
"""Scores that are worked on at a time: those of an entry are padded to a multiple."""
_UNSURE = 255


@intrinsic  # type: ignore[untyped-decorator]
def _write_sum(_context: Any, target: Any, at: Any, source: Any, begin: Any, weights: Any) -> Any:
    """target[at : at + LANES] = the sum of `weights[k] * source[begin[k] : begin[k] + LANES]` over a tuple of k.

    Compilers do not make vectors of so short a loop by themselves.
    """
    count = len(weights)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), LANES)

        def place(number: int, index: Any) -> Any:
            array = context.make_array(signature.args[number])(context, builder, arguments[number])
            return builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())

        def spread(value: Any) -> Any:
            lane = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
            everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            return builder.shuffle_vector(lane, ir.Constant(vector, ir.Undefined), everywhere)

        total = None
        for k in range(count):
            loaded = builder.load(place(2, builder.extract_value(arguments[3], k)), align=4)
            term = builder.fmul(loaded, spread(builder.extract_value(arguments[4], k)))
            total = term if total is None else builder.fadd(total, term)
        builder.store(total, place(0, arguments[1]), align=4)
        return context.get_dummy_value()

    return types.void(target, at, source, begin, weights), generate


@compiled_loop(
    "int64(float32[:, :, ::1], int64, boolean, uint8[:, ::1], int64[::1], float32[:, ::1], uint8[::1], int64[::1])"
)
def find_places(
    displacement: NDArray[np.float32],
    stride: int,
    is_rounded: bool,
    sure: NDArray[np.uint8],
    source: NDArray[np.int64],
    places: NDArray[np.float32],
    best: NDArray[np.uint8],
    unsure: NDArray[np.int64],
) -> int:
    """Write where motion (h, w, 2) in pixels leads: `places` (2, h * w), columns and rows in cells of `stride` pixels
    from the first one's centre, to 32nds if it `is_rounded`; the `best` classes (h * w,) as far as they are `sure`
    (h + 1, w + 1) there, and which cells are `unsure` else. Returns how many.

    `source` (h * w,) are the cells that cells are mixed with, itself if with none; it is empty where none is mixed.
    """
    rows, columns, _ = displacement.shape
    side, fine, half = np.float32(stride), np.float32(32), np.float32(0.5)
    for i in range(rows):
        for j in range(columns):
            x = displacement[i, j, 0] / side + np.float32(j)
            y = displacement[i, j, 1] / side + np.float32(i)
            if is_rounded:
                x, y = np.rint(x * fine) / fine, np.rint(y * fine) / fine
            at = np.uint64(i * columns + j)
            places[0, at] = min(max(x, -half), np.float32(columns) - half)
            places[1, at] = min(max(y, -half), np.float32(rows) - half)
    for i in range(rows * columns):
        at = np.uint64(i)
        best[at] = sure[np.uint64(np.ceil(places[1, at])), np.uint64(np.ceil(places[0, at]))]
    if source.size:
        for i in range(rows * columns):
            at = np.uint64(i)
            if best[np.uint64(source[at])] != best[at]:
                best[at] = np.uint8(_UNSURE)
    count = 0
    for i in range(rows * columns):
        unsure[np.uint64(count)] = i
        count += best[np.uint64(i)] == _UNSURE
    return count


@compiled_loop("uint64(float32, int64)")
def _entry(at: Any, count: int) -> Any:
    """The entry at a whole number, the border repeated outwards."""
    number: Any = max(np.int64(at), 0)
    return np.uint64(min(number, count - 1))


@compiled_loop(
    "void(float32[::1], int64, int64, int64, float32[:, ::1], int64[::1], int64[::1], int64, int64, float32[::1], "
    "int32[::1])"
)
def sample(
    scores: NDArray[np.float32],
    rows: int,
    columns: int,
    classes: int,
    places: NDArray[np.float32],
    source: NDArray[np.int64],
    cells: NDArray[np.int64],
    begin: int,
    end: int,
    known: NDArray[np.float32],
    row_of: NDArray[np.int32],
) -> None:
    """Write the scores (classes,) of `cells[begin:end]` into the rows of `known` of the same numbers, in this order,
    and the numbers into `row_of` these cells: bilinearly between the four entries about its place, and mixed half and
    half with those of the cell's source. Both `scores` and `known` go on for LANES numbers more."""
    one, half, size = np.float32(1), np.float32(0.5), np.uint64(classes)
    for number in range(begin, end):
        cell = np.uint64(cells[number])
        row_of[cell] = number
        at = np.uint64(number) * size
        x, y = places[0, cell], places[1, cell]
        column, row = np.floor(x), np.floor(y)
        right, down = x - column, y - row
        upper, lower = _entry(row, rows) * np.uint64(columns), _entry(row + one, rows) * np.uint64(columns)
        before, after = _entry(column, columns), _entry(column + one, columns)
        a, b, c, d = (upper + before) * size, (upper + after) * size, (lower + before) * size, (lower + after) * size
        e, f, g, h = (one - down) * (one - right), (one - down) * right, down * (one - right), down * right
        other = np.uint64(source[cell]) if source.size else cell
        if other == cell:
            for k in range(0, classes, LANES):
                i = np.uint64(k)
                _write_sum(known, at + i, scores, (a + i, b + i, c + i, d + i), (e, f, g, h))
            continue
        x, y = places[0, other], places[1, other]
        column, row = np.floor(x), np.floor(y)
        right, down = x - column, y - row
        upper, lower = _entry(row, rows) * np.uint64(columns), _entry(row + one, rows) * np.uint64(columns)
        before, after = _entry(column, columns), _entry(column + one, columns)
        m, n, o, p = (upper + before) * size, (upper + after) * size, (lower + before) * size, (lower + after) * size
        q, r, s, t = (one - down) * (one - right), (one - down) * right, down * (one - right), down * right
        weights = half * e, half * f, half * g, half * h, half * q, half * r, half * s, half * t
        for k in range(0, classes, LANES):
            i = np.uint64(k)
            _write_sum(known, at + i, scores, (a + i, b + i, c + i, d + i, m + i, n + i, o + i, p + i), weights)


@compiled_loop("void(float32[::1], int64, int64[::1], int64, uint8[::1])")
def settle(
    known: NDArray[np.float32], classes: int, cells: NDArray[np.int64], count: int, best: NDArray[np.uint8]
) -> None:
    """Write the `best` classes of the first `count` of `cells`, the first of the largest of their rows."""
    for number in range(count):
        at = np.uint64(number * classes)
        most, which = known[at], np.uint8(0)
        for k in range(1, classes):
            value = known[at + np.uint64(k)]
            if value > most:
                most, which = value, np.uint8(k)
        best[np.uint64(cells[number])] = which


@compiled_loop(
    "UniTuple(int64, 2)(uint8[::1], int64, int64, int64, uint32[:, ::1], int64[::1], int32[::1], int64[::1], int64)"
)
def fill(
    best: NDArray[np.uint8],
    rows: int,
    columns: int,
    words: int,
    labels: NDArray[np.uint32],
    quads: NDArray[np.int64],
    row_of: NDArray[np.int32],
    needed: NDArray[np.int64],
    count: int,
) -> tuple[int, int]:
    """Write on `labels` ((h + 1) * 4 * words, (w + 1) * words), 4 pixels in each, the classes of quads whose corners
    agree, and the others' numbers into `quads`. Adds their corners whose rows are not known to the first `count` of
    the cells that are `needed`; returns how many quads and how many cells there are."""
    mixed = 0
    for i in range(rows + 1):
        upper, lower, row = max(i - 1, 0) * columns, min(i, rows - 1) * columns, 4 * words * i
        for j in range(columns + 1):
            one = best[np.uint64(upper + max(j - 1, 0))]
            word = np.uint32(one) * np.uint32(0x01010101)
            for k in range(words):
                labels[row, words * j + k] = word
            unlike = (one ^ best[np.uint64(upper + min(j, columns - 1))]) | (
                one ^ best[np.uint64(lower + max(j - 1, 0))]
            )
            unlike |= one ^ best[np.uint64(lower + min(j, columns - 1))]
            quads[np.uint64(mixed)] = i * (columns + 1) + j
            mixed += unlike != 0
        for y in range(row + 1, row + 4 * words):
            for x in range(labels.shape[1]):
                labels[y, x] = labels[row, x]
    for number in range(mixed):
        i, j = quads[number] // (columns + 1), quads[number] % (columns + 1)
        upper, lower = max(i - 1, 0) * columns, min(i, rows - 1) * columns
        left, right = max(j - 1, 0), min(j, columns - 1)
        for cell in (upper + left, upper + right, lower + left, lower + right):
            if row_of[np.uint64(cell)] < 0:
                row_of[np.uint64(cell)] = count
                needed[np.uint64(count)] = cell
                count += 1
    return mixed, count


@compiled_loop(
    "void(float32[::1], int64, int64, int64, uint8[::1], int32[::1], int64[::1], int64, float32, int64, "
    "uint32[:, ::1], float32[::1])"
)
def draw(
    known: NDArray[np.float32],
    rows: int,
    columns: int,
    classes: int,
    best: NDArray[np.uint8],
    row_of: NDArray[np.int32],
    quads: NDArray[np.int64],
    count: int,
    largest_sum: float,
    words: int,
    labels: NDArray[np.uint32],
    scratch: NDArray[np.float32],
) -> None:
    """Draw the first `count` of the `quads` whose corners' `best` classes differ; `largest_sum` is what scores, none
    below 0, sum to at most.

    A class that has no more than the mean of two others at each corner has no more than the better of these anywhere
    between; and none has where these two have more than two thirds of all at each corner.
    """
    most, which = scratch[:16], scratch[16:32].view(np.uint32)
    step, half = np.float32(1) / np.float32(4 * words), np.float32(0.5)
    enough = np.float32(largest_sum) * np.float32(2 / 3)
    for number in range(count):
        i, j = quads[number] // (columns + 1), quads[number] % (columns + 1)
        upper, lower = max(i - 1, 0) * columns, min(i, rows - 1) * columns
        left, right = max(j - 1, 0), min(j, columns - 1)
        one, two, three, four = upper + left, upper + right, lower + left, lower + right
        low = min(min(best[one], best[two]), min(best[three], best[four]))
        high = max(max(best[one], best[two]), max(best[three], best[four]))
        a, b = np.uint64(row_of[one]) * np.uint64(classes), np.uint64(row_of[two]) * np.uint64(classes)
        c, d = np.uint64(row_of[three]) * np.uint64(classes), np.uint64(row_of[four]) * np.uint64(classes)
        l_, h_ = np.uint64(low), np.uint64(high)
        low_a, low_b, low_c, low_d = known[a + l_], known[b + l_], known[c + l_], known[d + l_]
        high_a, high_b, high_c, high_d = known[a + h_], known[b + h_], known[c + h_], known[d + h_]
        sum_a, sum_b, sum_c, sum_d = low_a + high_a, low_b + high_b, low_c + high_c, low_d + high_d
        others = 0
        if min(min(sum_a, sum_b), min(sum_c, sum_d)) <= enough:
            sum_a, sum_b, sum_c, sum_d = half * sum_a, half * sum_b, half * sum_c, half * sum_d
            for k in range(classes):
                at = np.uint64(k)
                is_more = (known[a + at] > sum_a) | (known[b + at] > sum_b)
                is_more |= (known[c + at] > sum_c) | (known[d + at] > sum_d)
                others += is_more & (k != low) & (k != high)
        row, column = 4 * words * i, words * j
        for part in range(words * words):
            down, across = part // words, part % words
            if others == 0:
                diff_a, diff_b, diff_c, diff_d = high_a - low_a, high_b - low_b, high_c - low_c, high_d - low_d
                unlike = np.uint32(low ^ high)
                for y in range(4):
                    share = (np.float32(4 * down + y) + half) * step
                    value = diff_a + share * (diff_c - diff_a)
                    slope = diff_b + share * (diff_d - diff_b) - value
                    word = np.uint32(0)
                    for x in range(4):
                        is_high = value + (np.float32(4 * across + x) + half) * step * slope > 0
                        word |= (np.uint32(low) ^ (unlike * np.uint32(is_high))) << np.uint32(8 * x)
                    labels[row + 4 * down + y, column + across] = word
                continue
            for pixel in range(16):
                most[pixel] = np.float32(-1)
            for k in range(classes):
                at = np.uint64(k)
                at_a, at_b, at_c, at_d = known[a + at], known[b + at], known[c + at], known[d + at]
                is_more = (at_a > sum_a) | (at_b > sum_b) | (at_c > sum_c) | (at_d > sum_d)
                if is_more | (k == low) | (k == high):
                    for y in range(4):
                        share = (np.float32(4 * down + y) + half) * step
                        value = at_a + share * (at_c - at_a)
                        slope = at_b + share * (at_d - at_b) - value
                        for x in range(4):
                            pixel, mixture = 4 * y + x, value + (np.float32(4 * across + x) + half) * step * slope
                            which[pixel] = np.uint32(k) if mixture > most[pixel] else which[pixel]
                            most[pixel] = max(mixture, most[pixel])
            for y in range(4):
                word = np.uint32(0)
                for x in range(4):
                    word |= which[4 * y + x] << np.uint32(8 * x)
                labels[row + 4 * down + y, column + across] = word
