"""Compiled loops over cells: where they come from, their scores and their labels; see `loops`."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...compiled import compiled_loop, spread, vector_at

LANES = 8
"""Scores that are worked on at a time: those of an entry are padded to a multiple. And cells that are placed."""
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


@intrinsic  # type: ignore[untyped-decorator]
def _are_equal(_context: Any, one: Any, other: Any, at: Any) -> Any:
    """Whether the pairs of LANES cells, from the cell `at` on, are the same in both arrays, bit for bit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        begin, bits = builder.shl(arguments[2], ir.IntType(64)(1)), ir.VectorType(ir.IntType(32), 2 * LANES)
        pairs = [
            builder.bitcast(builder.load(place, align=4), bits)
            for place in (
                vector_at(context, builder, signature.args[k], arguments[k], begin, 2 * LANES) for k in (0, 1)
            )
        ]
        unlike = builder.icmp_unsigned("!=", *pairs)
        return builder.icmp_unsigned("==", builder.bitcast(unlike, ir.IntType(2 * LANES)), ir.IntType(2 * LANES)(0))

    return types.boolean(one, other, at), generate


@intrinsic  # type: ignore[untyped-decorator]
def _find(
    _context: Any,
    displacement: Any,
    at: Any,
    i: Any,
    j: Any,
    columns: Any,
    stride: Any,
    last_x: Any,
    last_y: Any,
    is_rounded: Any,
    numbers: Any,
    shares: Any,
    changed: Any,
    cells: Any,
) -> Any:
    """Write where LANES cells of a row `i`, from column `j` on, which are the cells from `at` on, come from; see
    `find_places`. `columns` is an int32, `cells` how many there are."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        displacement, at, i, j, columns, stride, last_x, last_y, is_rounded, numbers, shares, changed, cells = arguments
        floats, ints = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)
        kinds = signature.args

        def rounded(way: str, value: Any) -> Any:
            function = ir.FunctionType(floats, [floats])
            name = f"llvm.{way}.v{LANES}f32"
            return builder.call(cgutils.get_or_insert_function(builder.module, function, name), [value])

        def place(kind: int, array: Any, index: Any) -> Any:
            return vector_at(context, builder, kinds[kind], array, index, LANES)

        def position(which: int, first: Any, last: Any) -> Any:
            """Of all cells, along one axis, in cells."""
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [2 * k + which for k in range(LANES)])
            value = builder.fdiv(builder.shuffle_vector(pairs, pairs, lanes), spread(builder, stride, LANES))
            value = builder.fadd(value, first)
            fine = builder.fmul(rounded("rint", builder.fmul(value, floats([32.0] * LANES))), floats([1 / 32] * LANES))
            value = builder.select(builder.trunc(is_rounded, ir.IntType(1)), fine, value)
            nothing, last = floats([0.0] * LANES), spread(builder, last, LANES)
            value = builder.select(builder.fcmp_ordered("<", value, nothing), nothing, value)
            return builder.select(builder.fcmp_ordered(">", value, last), last, value)

        begin = builder.shl(at, ir.IntType(64)(1))
        pairs = builder.load(vector_at(context, builder, kinds[0], displacement, begin, 2 * LANES), align=4)
        own_x = builder.add(spread(builder, builder.trunc(j, ir.IntType(32)), LANES), ints(list(range(LANES))))
        own_y = spread(builder, builder.trunc(i, ir.IntType(32)), LANES)
        x, y = (
            position(k, builder.sitofp(own, floats), last) for k, own, last in ((0, own_x, last_x), (1, own_y, last_y))
        )
        column, row = rounded("floor", x), rounded("floor", y)
        found = (builder.fsub(x, column), builder.fsub(y, row))
        in_row = spread(builder, columns, LANES)
        entry = builder.add(builder.mul(builder.fptosi(row, ints), in_row), builder.fptosi(column, ints))
        quad_row, quad_column = (builder.fptosi(rounded("ceil", each), ints) for each in (y, x))
        in_row = builder.add(in_row, ints([1] * LANES))
        quad = builder.add(builder.mul(quad_row, in_row), quad_column)
        places = place(9, numbers, at), *(place(10, shares, index) for index in (at, builder.add(at, cells)))
        is_other = builder.icmp_unsigned("!=", builder.load(places[0], align=4), entry)
        for where, share in zip(places[1:], found, strict=True):
            unlike = builder.fcmp_unordered("!=", builder.load(where, align=4), share)
            is_other = builder.or_(is_other, unlike)
            builder.store(share, where, align=4)
        builder.store(entry, places[0], align=4)
        builder.store(quad, place(9, numbers, builder.add(at, cells)), align=4)
        where = place(11, changed, at)
        builder.store(builder.zext(is_other, where.type.pointee), where, align=1)
        return context.get_dummy_value()

    given = displacement, at, i, j, columns, stride, last_x, last_y, is_rounded, numbers, shares, changed, cells
    return types.void(*given), generate


@compiled_loop(
    "void(float32[:, :, ::1], float32[:, :, ::1], float32, boolean, int32[:, ::1], float32[:, ::1], boolean[::1])"
)
def find_places(
    displacement: NDArray[np.float32],
    before: NDArray[np.float32],
    stride: float,
    is_rounded: bool,
    numbers: NDArray[np.int32],
    shares: NDArray[np.float32],
    changed: NDArray[np.bool_],
) -> None:
    """Write where motion (h, w, 2) in pixels leads from each cell of `stride` pixels, to 32nds of a cell if it
    `is_rounded`: `numbers` (2, h * w) of the entry left of and above it, and of the quad about it, of (h + 1, w + 1),
    and `shares` (2, h * w), how far to the right and down from that entry, 0 to 1; and which have `changed` from what
    was there. The motion `before` (h, w, 2) led to what is there, or is empty."""
    rows, columns, _ = displacement.shape
    fine, nothing, cells = np.float32(32), np.float32(0), np.uint64(rows * columns)
    last_x, last_y = np.float32(columns - 1), np.float32(rows - 1)
    for i in range(rows):
        begin = np.uint64(i * columns)
        for group in range(columns // LANES):
            j = group * LANES
            at = begin + np.uint64(j)
            if before.size and _are_equal(displacement, before, at):
                for lane in range(LANES):
                    changed[at + np.uint64(lane)] = False
                continue
            _find(
                displacement, at, i, j, np.int32(columns), stride, last_x, last_y, is_rounded, numbers, shares, changed,
                cells,
            )  # fmt: skip
        for j in range(columns // LANES * LANES, columns):
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
