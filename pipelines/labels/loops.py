"""Compiled loops of labels: scores, carried along motion or not, are looked at only where labels depend on them.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...compiled import compiled_loop, spread, vector_at

LANES = 8
"""Scores that are worked on at a time: those of an entry are padded to a multiple."""
_UNSURE = 255


@intrinsic  # type: ignore[untyped-decorator]
def _write_sum(_context: Any, target: Any, at: Any, source: Any, begin: Any, weights: Any, times: Any) -> Any:
    """target[at : at + LANES] = the sum of `weights[k] * source[begin[k] : begin[k] + LANES]` over a tuple of k, added
    to `times` what is there, 0 or 1.

    Compilers do not make vectors of so short a loop by themselves.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total = None
        for k in range(len(weights)):
            index, weight = (builder.extract_value(arguments[which], k) for which in (3, 4))
            place = vector_at(context, builder, signature.args[2], arguments[2], index, LANES)
            term = builder.fmul(builder.load(place, align=4), spread(builder, weight, LANES))
            total = term if total is None else builder.fadd(total, term)
        place = vector_at(context, builder, signature.args[0], arguments[0], arguments[1], LANES)
        if times.literal_value:
            total = builder.fadd(builder.load(place, align=4), total)
        builder.store(total, place, align=4)
        return context.get_dummy_value()

    if not isinstance(times, types.Literal):
        return None
    return types.void(target, at, source, begin, weights, times), generate


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


@compiled_loop("UniTuple(float32, 4)(float32, float32, float32)")
def _weights(right: Any, down: Any, whole: Any) -> Any:
    """Bilinear weights, which sum to `whole`, of the entries above a place and below it, left and right."""
    one = np.float32(1)
    above, below = whole * (one - down), whole * down
    return above * (one - right), above * right, below * (one - right), below * right


@compiled_loop("UniTuple(uint64, 4)(uint64, uint64, uint64)")
def _entries(first: Any, size: Any, line: Any) -> Any:
    """Where the four entries about a place begin, of `size` numbers each, `line` of them in a row of entries."""
    return first, first + size, first + line, first + line + size


@compiled_loop("void(float32[:, :, ::1], float32, boolean, int32[:, ::1], float32[:, ::1], boolean[::1])")
def find_places(
    displacement: NDArray[np.float32],
    stride: float,
    is_rounded: bool,
    numbers: NDArray[np.int32],
    shares: NDArray[np.float32],
    changed: NDArray[np.bool_],
) -> None:
    """Write where motion (h, w, 2) in pixels leads from each cell of `stride` pixels, to 32nds of a cell if it
    `is_rounded`: `numbers` (2, h * w) of the entry left of and above it, and of the quad about it, of (h + 1, w + 1),
    and `shares` (2, h * w), how far to the right and down from that entry, 0 to 1; and which have `changed` from what
    was there."""
    rows, columns, _ = displacement.shape
    fine, nothing = np.float32(32), np.float32(0)
    last_x, last_y = np.float32(columns - 1), np.float32(rows - 1)
    for i in range(rows):
        begin = np.uint64(i * columns)
        for j in range(columns):
            x = displacement[i, j, 0] / stride + np.float32(j)
            y = displacement[i, j, 1] / stride + np.float32(i)
            if is_rounded:
                x, y = np.rint(x * fine) / fine, np.rint(y * fine) / fine
            x, y = min(max(x, nothing), last_x), min(max(y, nothing), last_y)  # the border is repeated outwards
            column, row = np.floor(x), np.floor(y)
            entry = np.int32(row) * np.int32(columns) + np.int32(column)
            at, right, down = begin + np.uint64(j), x - column, y - row
            changed[at] = (numbers[0, at] != entry) | (shares[0, at] != right) | (shares[1, at] != down)
            numbers[0, at], shares[0, at], shares[1, at] = entry, right, down
            numbers[1, at] = np.int32(np.ceil(y)) * np.int32(columns + 1) + np.int32(np.ceil(x))


@compiled_loop(
    "int64(int32[:, ::1], uint8[::1], int64[::1], int64[::1], boolean[::1], uint8[::1], boolean[::1], int64[::1])"
)
def look_up(
    numbers: NDArray[np.int32],
    sure: NDArray[np.uint8],
    mixed_with: NDArray[np.int64],
    source: NDArray[np.int64],
    changed: NDArray[np.bool_],
    best: NDArray[np.uint8],
    is_known: NDArray[np.bool_],
    unsure: NDArray[np.int64],
) -> int:
    """Write the `best` classes (h * w,) of cells that have `changed`, as far as what is `sure` of the quads says them,
    and which are `unsure` else; returns how many. Nothing of them `is_known` then.

    `mixed_with` are the cells that cells are mixed with, itself if with none, or empty where none is mixed; it replaces
    `source`, what they were mixed with before. They have changed, too, if that is another one, or has changed.
    """
    count = 0
    for i in range(best.size):
        cell = np.uint64(i)
        other = mixed_with[cell] if mixed_with.size else i
        is_changed = changed[cell] | (source[cell] != other) | changed[np.uint64(other)]
        source[cell], changed[cell] = other, is_changed
        if is_changed:
            is_known[cell] = False
            label = sure[np.uint64(numbers[1, cell])]
            if label != sure[np.uint64(numbers[1, np.uint64(other)])]:
                label = np.uint8(_UNSURE)
            best[cell] = label
            unsure[np.uint64(count)] = i
            count += label == _UNSURE
    return count


@compiled_loop(
    "void(float32[::1], int64, int64, int32[:, ::1], float32[:, ::1], int64[::1], int64[::1], int64, float32[::1], "
    "boolean[::1])"
)
def sample(
    scores: NDArray[np.float32],
    columns: int,
    classes: int,
    numbers: NDArray[np.int32],
    shares: NDArray[np.float32],
    source: NDArray[np.int64],
    cells: NDArray[np.int64],
    count: int,
    known: NDArray[np.float32],
    is_known: NDArray[np.bool_],
) -> None:
    """Write the scores of the first `count` of `cells` into their rows of `known`: bilinearly between the four entries
    about its place, and mixed half and half with those of the cell's source. Rows have a multiple of LANES numbers;
    after the last of `scores` come a row of cells, one more, and LANES numbers."""
    one, half, size = np.float32(1), np.float32(0.5), np.uint64(classes)
    depth = np.uint64((classes + LANES - 1) // LANES * LANES)
    line = np.uint64(columns) * size
    for number in range(count):
        cell = np.uint64(cells[np.uint64(number)])
        is_known[cell] = True
        other, at = np.uint64(source[cell]), cell * depth
        own = np.uint64(numbers[0, cell]) * size
        if other == cell:
            weights = _weights(shares[0, cell], shares[1, cell], one)
            for k in range(0, classes, LANES):
                i = np.uint64(k)
                _write_sum(known, at + i, scores, _entries(own + i, size, line), weights, 0)
            continue
        theirs = np.uint64(numbers[0, other]) * size
        first = _weights(shares[0, cell], shares[1, cell], half)
        both = first + _weights(shares[0, other], shares[1, other], half)
        for k in range(0, classes, LANES):
            i = np.uint64(k)
            begin = _entries(own + i, size, line) + _entries(theirs + i, size, line)
            _write_sum(known, at + i, scores, begin, both, 0)


@compiled_loop(
    "void(float32[::1], int32[:, ::1], float32[:, ::1], int64[::1], float32[::1], int32[:, ::1], float32[:, ::1], "
    "float32[::1], int64, int64, float32[::1])"
)
def mix(
    scores: NDArray[np.float32],
    numbers: NDArray[np.int32],
    shares: NDArray[np.float32],
    source: NDArray[np.int64],
    later: NDArray[np.float32],
    later_numbers: NDArray[np.int32],
    later_shares: NDArray[np.float32],
    part: NDArray[np.float32],
    columns: int,
    classes: int,
    mixed: NDArray[np.float32],
) -> None:
    """Write the `scores` of all cells as `sample` does, with the `part` (h * w,) of `later` scores at other places;
    `source` is empty where none is mixed with another cell. `mixed` (h * w * classes,) goes on for LANES numbers."""
    one, half, size = np.float32(1), np.float32(0.5), np.uint64(classes)
    line = np.uint64(columns) * size
    for number in range(part.size):
        cell = np.uint64(number)
        at, rest = cell * size, one - part[cell]
        other = np.uint64(source[cell]) if source.size else cell
        rest = rest if other == cell else half * rest
        then, now = np.uint64(later_numbers[0, cell]) * size, np.uint64(numbers[0, cell]) * size
        weights_then = _weights(later_shares[0, cell], later_shares[1, cell], part[cell])
        weights_now = _weights(shares[0, cell], shares[1, cell], rest)
        for k in range(0, classes, LANES):
            i = np.uint64(k)
            _write_sum(mixed, at + i, later, _entries(then + i, size, line), weights_then, 0)
            _write_sum(mixed, at + i, scores, _entries(now + i, size, line), weights_now, 1)
        if other != cell:
            theirs = np.uint64(numbers[0, other]) * size
            weights_theirs = _weights(shares[0, other], shares[1, other], rest)
            for k in range(0, classes, LANES):
                i = np.uint64(k)
                _write_sum(mixed, at + i, scores, _entries(theirs + i, size, line), weights_theirs, 1)


@compiled_loop("void(float32[::1], int64, int64, int64[::1], int64, uint8[::1])")
def settle(
    known: NDArray[np.float32], depth: int, classes: int, cells: NDArray[np.int64], count: int, best: NDArray[np.uint8]
) -> None:
    """Write the `best` classes of the first `count` of `cells`, the first of the largest of their rows, of `depth`
    numbers each."""
    for number in range(count):
        cell = np.uint64(cells[np.uint64(number)])
        at = cell * np.uint64(depth)
        most, which = known[at], np.uint8(0)
        for k in range(1, classes):
            value = known[at + np.uint64(k)]
            if value > most:
                most, which = value, np.uint8(k)
        best[cell] = which


@compiled_loop("int64(uint8[::1], int64, int64, int64, uint32[:, ::1], int64[::1])")
def fill(
    best: NDArray[np.uint8],
    rows: int,
    columns: int,
    words: int,
    labels: NDArray[np.uint32],
    quads: NDArray[np.int64],
) -> int:
    """Write on `labels` ((h + 1) * 4 * words, (w + 1) * words), 4 pixels in each, quads of the class of their upper
    left corner, and of those whose corners differ, rows and columns into `quads` (32 bits each); returns how many."""
    count = 0
    for i in range(rows + 1):
        upper, lower, row = max(i - 1, 0) * columns, min(i, rows - 1) * columns, 4 * words * i
        for j in range(columns + 1):
            left, right = max(j - 1, 0), min(j, columns - 1)
            one = best[np.uint64(upper + left)]
            for k in range(words):
                labels[row, words * j + k] = np.uint32(one) * np.uint32(0x01010101)
            unlike = (one ^ best[np.uint64(upper + right)]) | (one ^ best[np.uint64(lower + left)])
            quads[np.uint64(count)] = i << 32 | j
            count += (unlike | (one ^ best[np.uint64(lower + right)])) != 0
        for y in range(row + 1, row + 4 * words):
            for x in range(labels.shape[1]):
                labels[y, x] = labels[row, x]
    return count


@compiled_loop(
    "UniTuple(int64, 2)(boolean[::1], int64, int64, int64, uint32[::1], uint32[:, ::1], int64[::1], int64, "
    "boolean[::1], int64[::1])"
)
def keep(
    changed: NDArray[np.bool_],
    rows: int,
    columns: int,
    words: int,
    drawn: NDArray[np.uint32],
    labels: NDArray[np.uint32],
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
        at, row, column = np.uint64(4 * words * words * (i * (columns + 1) + j)), 4 * words * i, words * j
        for y in range(4 * words):
            for x in range(words):
                labels[row + y, column + x] = drawn[at]
                at += np.uint64(1)
    return anew, missing


@compiled_loop(
    "void(float32[::1], int64, int64, int64, int64, uint8[::1], int64[::1], int64, float32, int64, "
    "uint32[:, ::1], uint32[::1], uint64[::1], float32[::1], uint32[::1])"
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
    labels: NDArray[np.uint32],
    drawn: NDArray[np.uint32],
    candidates: NDArray[np.uint64],
    most: NDArray[np.float32],
    words_of: NDArray[np.uint32],
) -> None:
    """Draw the first `count` of the `quads` whose corners' `best` classes differ, on `labels` and on `drawn`, where
    each has as many words as it has there; `largest_sum` is what scores, none below 0, sum to at
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
                    word = words_of[np.uint64(y)]
                    labels[4 * words * i + 4 * down + y, words * j + across] = word
                    drawn[begin + np.uint64((4 * down + y) * words + across)] = word
