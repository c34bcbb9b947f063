"""Compiled loops of motion: cells filled, positions followed through one field after the other.

Import it through `Loops`. Numbers are unsigned where they index, for Numba would else look for negative ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...compiled import compiled_loop, spread, vector_at

LANES, TOGETHER = 8, 256
"""Positions in a vector, and vectors that are moved at a time."""
_HALF, _WORD, _ADDRESS = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_PAIRS, _WORDS = ir.VectorType(_HALF, 2 * LANES), ir.VectorType(_WORD, LANES)
_LOST = 1 << 16  # the lowest bit of y
_BESIDE, _CORNER, _KNIGHT, _FAR = 65536, 91750, 143976, 0x1FFFFFFF  # 65536ths of a cell


@compiled_loop(
    "void(Array(int16, 2, 'C', readonly=True), int64, int64, float32[:, :, ::1], boolean[:, ::1], "
    "float32[:, :, ::1], boolean[:, ::1])"
)
def rasterise(
    records: Any,
    height: int,
    width: int,
    lattice: NDArray[np.float32],
    free: NDArray[np.bool_],
    displacement: NDArray[np.float32],
    unreferenced: NDArray[np.bool_],
) -> None:
    """`MotionField.from_vectors` of FFmpeg's records (n, 20): its `displacement` (rows, cols, 2) and what is
    `unreferenced` (rows, cols). The `lattice` (rows + 4, cols + 4, 2) is all zeros, and all of it is `free`."""
    rows, columns = unreferenced.shape
    flat, flat_lattice = displacement.reshape(rows, 2 * columns), lattice.reshape(rows + 4, 2 * columns + 8)
    off_x, off_y, quarters = -1, -1, np.float64(4)
    margin: Any = 16
    for part in range(4):
        down, right = part >> 1, part & 1
        for number in range(records.shape[0]):
            record = records[number]
            if record[1] >= 0:  # the upper half of `source`
                continue
            block_width, block_height = np.int64(record[2]) & 0xFF, np.int64(record[2]) >> 8 & 0xFF
            left, top = record[5] - (block_width >> 1), record[6] - (block_height >> 1)
            if off_x < 0:
                off_x, off_y = left & 7, top & 7
            row, column = (top + margin - off_y) >> 3, (left + margin - off_x) >> 3
            if row < 0 or column < 0 or row >= rows + 3 or column >= columns + 3:
                continue
            if part and (block_height <= 8 * down or block_width <= 8 * right):
                continue
            stated: Any = np.int64(record[16]) & 0xFFFF
            scale = np.float64(max(stated, 1))
            x = np.int64(record[13]) << 16 | np.int64(record[12]) & 0xFFFF
            y = np.int64(record[15]) << 16 | np.int64(record[14]) & 0xFFFF
            to_y, to_x = np.uint64(row + down), np.uint64(column + right)
            if scale == quarters:  # the same without the division
                vector_x, vector_y = np.float32(x) * np.float32(0.25), np.float32(y) * np.float32(0.25)
            else:
                vector_x, vector_y = np.float32(x / scale), np.float32(y / scale)
            lattice[to_y, to_x, 0], lattice[to_y, to_x, 1] = vector_x, vector_y
            free[to_y, to_x] = False
    for i in range(rows):
        at_y = np.uint64((min(8 * i + 4, height - 1) + margin - max(off_y, 0)) >> 3)
        if off_x <= 0:
            for k in range(2 * columns):
                flat[i, k] = flat_lattice[at_y, k + 4]
            for j in range(columns):
                unreferenced[i, j] = free[at_y, j + 2]
            continue
        for j in range(columns):
            at_x = np.uint64((min(8 * j + 4, width - 1) + margin - max(off_x, 0)) >> 3)
            displacement[i, j, 0], displacement[i, j, 1] = lattice[at_y, at_x, 0], lattice[at_y, at_x, 1]
            unreferenced[i, j] = free[at_y, at_x]


@compiled_loop("void(float32[:, :, ::1], boolean[:, ::1], int64, int64, int16[:, :, ::1])")
def fill_table(
    displacement: NDArray[np.float32],
    lost: NDArray[np.bool_],
    height: int,
    width: int,
    table: NDArray[np.int16],
) -> None:
    """Write the `table` (rows, columns, 2) of a `PackedFollower`'s step."""
    rows, columns = lost.shape
    most_x, most_y, four = np.float32(4 * width), np.float32(4 * height), np.float32(4)
    for row in range(rows):
        for column in range(columns):
            x = np.rint(displacement[row, column, 0] * four)
            y = np.rint(displacement[row, column, 1] * four)
            right = np.int16(min(max(x, -most_x), most_x))
            down = np.int16(2 * np.int32(min(max(y, -most_y), most_y)) + np.int32(lost[row, column]))
            table[row, column, 0], table[row, column, 1] = right, down


def _gathered(builder: Any, positions: Any, table: Any, columns: Any, right: Any, down: Any) -> Any:
    """What a table says of the cells in which LANES positions lie; see `follow`."""
    column = builder.lshr(builder.and_(positions, _WORDS([0xFFFF] * LANES)), spread(builder, right, LANES))
    row = builder.lshr(positions, spread(builder, down, LANES))
    index = builder.add(builder.mul(row, spread(builder, columns, LANES)), column)
    begin, found = builder.inttoptr(table, _WORD.as_pointer()), _WORDS(ir.Undefined)
    for lane in range(LANES):  # faster than AVX2's own gathering
        at = builder.zext(builder.extract_element(index, _WORD(lane)), _ADDRESS)
        found = builder.insert_element(found, builder.load(builder.gep(begin, [at]), align=4), _WORD(lane))
    return found


@intrinsic  # type: ignore[untyped-decorator]
def _are_moved(_context: Any, starts: Any, at: Any, table: Any, columns: Any, right: Any, down: Any, ends: Any) -> Any:
    """Whether a step moves any of starts[at : at + LANES]; where they are lost by it, their ends are."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        starts, at, *step, ends = arguments
        place = vector_at(context, builder, signature.args[0], starts, at, LANES)
        found = _gathered(builder, builder.load(place, align=4), *step)
        place = vector_at(context, builder, signature.args[6], ends, at, LANES)
        lost = builder.and_(found, _WORDS([_LOST] * LANES))
        builder.store(builder.or_(builder.load(place, align=4), lost), place, align=4)
        moves = builder.icmp_unsigned("!=", lost, found)
        return builder.icmp_unsigned("!=", builder.bitcast(moves, ir.IntType(LANES)), ir.IntType(LANES)(0))

    return types.boolean(starts, at, table, columns, right, down, ends), generate


@intrinsic  # type: ignore[untyped-decorator]
def _move(
    _context: Any, room: Any, at: Any, table: Any, columns: Any, right: Any, down: Any, low: Any, high: Any
) -> Any:
    """Move room[at : at + LANES] by a step, not beyond `low` and `high`; what the step says is added to the bits of as
    many numbers TOGETHER vectors further on, of which that of losses counts."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        room, at, *step = arguments[:6]
        low, high = (builder.bitcast(spread(builder, edge, LANES), _PAIRS) for edge in arguments[6:])
        place = vector_at(context, builder, signature.args[0], room, at, LANES)
        met = builder.gep(place, [_ADDRESS(TOGETHER)])
        before = builder.load(place, align=4)
        found = _gathered(builder, before, *step)
        builder.store(builder.or_(builder.load(met, align=4), found), met, align=4)
        move = builder.bitcast(builder.and_(found, _WORDS([~_LOST & 0xFFFFFFFF] * LANES)), _PAIRS)
        add = ir.FunctionType(_PAIRS, [_PAIRS, _PAIRS])
        add = cgutils.get_or_insert_function(builder.module, add, f"llvm.sadd.sat.v{2 * LANES}i16")
        after = builder.call(add, [builder.bitcast(before, _PAIRS), move])
        after = builder.select(builder.icmp_signed("<", after, low), low, after)
        after = builder.select(builder.icmp_signed(">", after, high), high, after)
        builder.store(builder.bitcast(after, _WORDS), place, align=4)
        return context.get_dummy_value()

    return types.void(room, at, table, columns, right, down, low, high), generate


@compiled_loop(
    "void(uint32[::1], int64, int64, uint64[::1], int32[:, ::1], boolean, int32, int32, boolean, int64[::1], "
    "uint32[::1], uint32[::1])"
)
def follow(
    starts: NDArray[np.uint32],
    first: int,
    last: int,
    tables: NDArray[np.uint64],
    cells: NDArray[np.int32],
    is_lost: bool,
    low: int,
    high: int,
    goes_on: bool,
    moved: NDArray[np.int64],
    room: NDArray[np.uint32],
    ends: NDArray[np.uint32],
) -> None:
    """Set the `ends` of positions whose `starts` are in the `first` up to the `last` vector of LANES, by the `tables`,
    given by their addresses, of a `PackedFollower`'s steps. In `cells` (3, tables) are the columns of each, and the
    powers of two by which an x becomes a column and a pair becomes a row.

    A position is lost, and says so in its end's lowest bit of y, if it meets a cell that is, or if all are. `low` and
    `high` are the least and most that pairs may be. Where the way `goes_on`, ends are those by all tables but the first
    one, and stay where that moves none of a vector. `moved` (vectors + TOGETHER,) and `room` are scratch.
    """
    count = 0
    for vector in range(first, last):
        at = np.uint64(vector * LANES)
        if not goes_on or _are_moved(starts, at, tables[0], cells[0, 0], cells[1, 0], cells[2, 0], ends):
            moved[np.uint64(count)] = vector * LANES
            count += 1
    lost = np.uint32(_LOST if is_lost else 0)
    for number in range(0, count, TOGETHER):
        some = min(TOGETHER, count - number)
        for which in range(some):
            begin, to = np.uint64(moved[np.uint64(number + which)]), np.uint64(which * LANES)
            for lane in range(LANES):
                room[to + np.uint64(lane)] = starts[begin + np.uint64(lane)]
                room[to + np.uint64(lane + TOGETHER * LANES)] = lost
        for i in range(tables.size):
            step = np.uint64(i)
            table, columns, right, down = tables[step], cells[0, step], cells[1, step], cells[2, step]
            for which in range(some):
                _move(room, np.uint64(which * LANES), table, columns, right, down, low, high)
        for which in range(some):
            begin, to = np.uint64(moved[np.uint64(number + which)]), np.uint64(which * LANES)
            for lane in range(LANES):
                met = room[to + np.uint64(lane + TOGETHER * LANES)] & np.uint32(_LOST)
                ends[begin + np.uint64(lane)] = room[to + np.uint64(lane)] | met


@compiled_loop("void(uint32[::1], uint32[::1], int64, float32[::1], boolean[::1])")
def write_displacement(
    ends: NDArray[np.uint32],
    starts: NDArray[np.uint32],
    count: int,
    displacement: NDArray[np.float32],
    lost: NDArray[np.bool_],
) -> None:
    """Write how far the first `count` ends are from their starts, in pixels, and which are lost."""
    lower, upper = np.uint32(0xFFFF), np.uint32(16)
    for i in range(count):
        at = np.uint64(i)
        lost[at] = (ends[at] & np.uint32(_LOST)) != 0
    for i in range(count):
        at = np.uint64(i)
        end, start = ends[at] & ~np.uint32(_LOST), starts[at]
        right, down = np.int32(end & lower) - np.int32(start & lower), np.int32(end >> upper) - np.int32(start >> upper)
        displacement[np.uint64(2 * i)] = np.float32(right) * np.float32(0.25)
        displacement[np.uint64(2 * i + 1)] = np.float32(down) * np.float32(0.125)


@compiled_loop("void(uint32[::1], uint32[::1], int64, int64, uint32[::1])")
def write_table(
    ends: NDArray[np.uint32], starts: NDArray[np.uint32], first: int, last: int, table: NDArray[np.uint32]
) -> None:
    """Write some of the table of the step that leads from starts to ends."""
    lower, upper = np.uint32(0xFFFF), np.uint32(16)
    for i in range(first, last):
        at = np.uint64(i)
        down = (ends[at] >> upper) - (starts[at] >> upper)
        table[at] = down << upper | (ends[at] - starts[at]) & lower


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


@compiled_loop("void(float32[:, ::1], boolean[::1], int64[::1], float32, float32[:, ::1])")
def mix_nearest(
    values: NDArray[np.float32],
    unknown: NDArray[np.bool_],
    nearest: NDArray[np.int64],
    share: float,
    mixed: NDArray[np.float32],
) -> None:
    """Write `values` (cells, channels) of cells that are `unknown`, with a share of the nearest known ones'."""
    for i in range(unknown.size):
        cell = np.uint64(i)
        if unknown[cell]:
            other = np.uint64(nearest[cell])
            for channel in range(values.shape[1]):
                k = np.uint64(channel)
                mixed[cell, k] = values[cell, k] + share * (values[other, k] - values[cell, k])


@intrinsic  # type: ignore[untyped-decorator]
def _come_nearer(_context: Any, distances: Any, cells: Any, at: Any, pitch: Any, left: Any, is_back: Any) -> Any:
    """Give LANES cells from `at` on the nearest known cells of their neighbours, if those are nearer than their own:
    of the two rows above and on the left, or where it `is_back`, below and on the right. What is not `left` of the end
    of the row stays far."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at, pitch, left = arguments[2:5]
        planes = [vector_at(context, builder, signature.args[k], arguments[k], at, LANES) for k in (0, 1)]
        sign = -1 if not is_back.literal_value else 1
        numbers = list(range(LANES))

        def beside(by: Any, rows: int) -> list[Any]:
            """What cells have so many rows and columns further."""
            offset = builder.add(builder.mul(pitch, _ADDRESS(sign * rows)), _ADDRESS(sign * by))
            index = builder.add(at, offset)
            there = (vector_at(context, builder, signature.args[k], arguments[k], index, LANES) for k in (0, 1))
            return [builder.load(place, align=4) for place in there]

        def nearer(own: list[Any], other: list[Any], further: list[int]) -> list[Any]:
            distance = builder.add(other[0], _WORDS(further))
            is_nearer = builder.icmp_signed("<", distance, own[0])
            pairs = zip((distance, other[1]), own, strict=True)
            return [builder.select(is_nearer, theirs, ours) for theirs, ours in pairs]

        def moved(values: list[Any], by: int) -> list[Any]:
            """Each lane what another has so many lanes before it, which the first ones are far from."""
            lanes = [k + sign * by for k in numbers]
            lanes = [k if 0 <= k < LANES else LANES for k in lanes]
            mask = ir.Constant(_WORDS, lanes)
            return [builder.shuffle_vector(value, _WORDS([_FAR] * LANES), mask) for value in values]

        own = [builder.load(place, align=4) for place in planes]
        for rows, by, further in (
            (2, 1, _KNIGHT), (2, -1, _KNIGHT), (1, 2, _KNIGHT), (1, 1, _CORNER), (1, 0, _BESIDE), (1, -1, _CORNER),
            (1, -2, _KNIGHT),
        ):  # fmt: skip
            own = nearer(own, beside(by, rows), [further] * LANES)
        for by in (1, 2, 4):  # all that lie in the row before, the nearest first
            own = nearer(own, moved(own, by), [by * _BESIDE] * LANES)
        last = builder.add(at, _ADDRESS(LANES if sign > 0 else -1))
        before = []
        for k in (0, 1):
            place = vector_at(context, builder, signature.args[k], arguments[k], last, 1)
            before.append(spread(builder, builder.extract_element(builder.load(place, align=4), _WORD(0)), LANES))
        steps = [k + 1 if sign < 0 else LANES - k for k in numbers]
        own = nearer(own, before, [step * _BESIDE for step in steps])
        is_inside = builder.icmp_signed("<", ir.Constant(_WORDS, numbers), spread(builder, left, LANES))
        own[0] = builder.select(is_inside, own[0], _WORDS([_FAR] * LANES))
        for value, place in zip(own, planes, strict=True):
            builder.store(value, place, align=4)
        return context.get_dummy_value()

    if not isinstance(is_back, types.Literal):
        return None
    return types.void(distances, cells, at, pitch, left, is_back), generate


@intrinsic  # type: ignore[untyped-decorator]
def _begin(_context: Any, unknown: Any, cell: Any, distances: Any, cells: Any, at: Any) -> Any:
    """Set LANES cells, from one of (rows, cols) on, at their place on both planes: known ones are there, others are far
    from all; whether there are others."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        unknown, cell, distances, cells, at = arguments
        bits = builder.load(vector_at(context, builder, signature.args[0], unknown, cell, LANES), align=1)
        is_far = builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, [0] * LANES))
        number = builder.add(spread(builder, builder.trunc(cell, _WORD), LANES), _WORDS(list(range(LANES))))
        nothing = _WORDS([0] * LANES)
        values = builder.select(is_far, _WORDS([_FAR] * LANES), nothing), builder.select(is_far, nothing, number)
        for which, plane, value in zip((2, 3), (distances, cells), values, strict=True):
            builder.store(value, vector_at(context, builder, signature.args[which], plane, at, LANES), align=4)
        return builder.icmp_unsigned("!=", builder.bitcast(is_far, ir.IntType(LANES)), ir.IntType(LANES)(0))

    return types.boolean(unknown, cell, distances, cells, at), generate


@intrinsic  # type: ignore[untyped-decorator]
def _are_far(_context: Any, distances: Any, at: Any) -> Any:
    """Whether any of LANES cells has no known one beside it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        there = builder.load(vector_at(context, builder, signature.args[0], arguments[0], arguments[1], LANES), align=4)
        is_far = builder.bitcast(builder.icmp_signed(">", there, _WORDS([_BESIDE] * LANES)), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", is_far, ir.IntType(LANES)(0))

    return types.boolean(distances, at), generate


@compiled_loop("void(boolean[:, ::1], int32[:, ::1], int32[:, ::1], int64[:, ::1])")
def find_nearest(
    unknown: NDArray[np.bool_], distances: NDArray[np.int32], cells: NDArray[np.int32], nearest: NDArray[np.int64]
) -> None:
    """Write the nearest known cell of each, (rows, cols), as OpenCV finds it: `distanceTransformWithLabels` with
    DIST_L2 and DIST_MASK_5, after Borgefors (1986). `distances` in 65536ths of a cell and the numbers of `cells` are
    scratch, (rows + 4, 2 * LANES and columns up to a multiple of LANES)."""
    rows, columns = unknown.shape
    pitch, far, whole = distances.shape[1], np.int32(_FAR), columns // LANES * LANES
    for i in range(rows + 4):
        is_outside = i < 2 or i >= rows + 2
        for x in range(pitch if is_outside else LANES):
            distances[i, x], cells[i, x] = far, 0
        for x in range(LANES + whole, pitch):
            distances[i, x], cells[i, x] = far, 0
    for i in range(rows):
        begin = (i + 2) * pitch + LANES
        for j in range(whole, columns):
            if not unknown[i, j]:
                distances[i + 2, LANES + j], cells[i + 2, LANES + j] = 0, i * columns + j
        for j in range(0, whole, LANES):
            if _begin(unknown, i * columns + j, distances, cells, begin + j):
                _come_nearer(distances, cells, begin + j, pitch, np.int32(LANES), 0)
        if whole < columns:
            _come_nearer(distances, cells, begin + whole, pitch, np.int32(columns - whole), 0)
    for i in range(rows - 1, -1, -1):
        begin = (i + 2) * pitch + LANES
        if whole < columns:
            _come_nearer(distances, cells, begin + whole, pitch, np.int32(columns - whole), 1)
        for j in range(whole - LANES, -1, -LANES):
            if _are_far(distances, begin + j):
                _come_nearer(distances, cells, begin + j, pitch, np.int32(LANES), 1)
        for j in range(columns):
            nearest[i, j] = cells[i + 2, j + LANES]
