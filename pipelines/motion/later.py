"""Motion from frames to one that is shown after them: where what is seen there was before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import BLOCK, Frame, MotionField, grid_positions, nearest_known
from ...compiled import Loops, for_loops
from .codec_sources import last_step
from .map_warp import positions_in_cells
from .source import index_in_stream

LOOPS = Loops(f"{__package__}.loops")
REACH = 12
"""Pixels over which a cell whose way is not known goes like the nearest one whose way is."""

ENOUGH = 0.1
"""Share of unknown cells at which no further way is looked for."""

_DETOURS = 2  # reference pictures by way of which a frame is led on, at most


def ways_to_later(frames: Sequence[Frame], cell: int) -> Iterator[tuple[Frame, MotionField]]:
    """For the frames before the last of `frames`, last first: each with its motion to that last frame.

    `frames` follow one another, without a keyframe among them. Motion is on cells of `cell` pixels; `unreferenced` are
    those of which it is not known, which are further than REACH from any of which it is. Frames of which nothing is
    known are left out.
    """
    ways = _by_vectors if frames[-1].references is None else _by_references
    for frame, way in ways(frames, cell):
        yield frame, spread(way, REACH)


def _by_vectors(frames: Sequence[Frame], cell: int) -> Iterator[tuple[Frame, MotionField]]:
    """The last frame's cells are followed back by the vectors, which mean the frame before, and that is turned
    round."""
    size_hw = frames[-1].size_hw
    start = grid_positions(size_hw, cell)
    (height, width), across = size_hw, -(-size_hw[1] // BLOCK)
    x, y, is_lost = start.x.copy(), start.y.copy(), np.zeros(start.x.shape, np.bool_)
    loops = LOOPS.get()
    for place in range(len(frames) - 1, 0, -1):
        if frames[place].motion is None:
            return
        step = last_step(frames[place])
        if loops is not None:
            field = for_loops(step.displacement, np.float32).reshape(-1, 2)
            loops.step_back(x, y, is_lost, field, for_loops(step.unreferenced, np.bool_).ravel(), across, height, width)
            way = _in_pixels(x - start.x, y - start.y, start.grid_hw)
            yield frames[place - 1], turned_round(MotionField(way, is_lost.reshape(start.grid_hw), size_hw, start.cell))
            continue
        where = (y >> 5) * across + (x >> 5)
        moved = np.rint(4 * step.displacement.reshape(-1, 2)[where]).astype(np.int32)
        x, y = x + moved[:, 0], y + moved[:, 1]
        is_lost |= step.unreferenced.ravel()[where] | (x < 0) | (y < 0) | (x >= 4 * width) | (y >= 4 * height)
        x, y = x.clip(2, 4 * width - 2), y.clip(2, 4 * height - 2)
        way = _in_pixels(x - start.x, y - start.y, start.grid_hw)
        yield frames[place - 1], turned_round(MotionField(way, is_lost.reshape(start.grid_hw), size_hw, start.cell))


def _in_pixels(x: NDArray[np.int32], y: NDArray[np.int32], grid_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Flat shifts in quarter pixels as (h, w, 2) in pixels."""
    way = np.empty((*grid_hw, 2), np.float32)
    for axis, moved in enumerate((x, y)):
        np.multiply(moved, np.float32(0.25), out=way.reshape(-1, 2)[:, axis], casting="unsafe")
    return way


def _by_references(frames: Sequence[Frame], cell: int) -> Iterator[tuple[Frame, MotionField]]:
    """A frame's own way to the last frame, the last frame's way to it turned round, and where both know nothing its way
    to another picture and on from there."""
    last = frames[-1]
    first = next((place for place in range(len(frames), 0, -1) if frames[place - 1].references is None), 0)
    earlier = frames[first:-1]
    pictures: dict[int, tuple[Frame, MotionField]] = {}
    found: dict[int, tuple[Frame, MotionField]] = {}
    # what others lead on by comes first, the last of it first
    for frame in sorted(earlier, key=lambda one: (not is_reference(one), -one.index)):
        near = sorted(pictures.values(), key=lambda one: abs(one[0].index - frame.index))[:_DETOURS]
        onward = merged(_direct_and_by_way_of(frame, last, near, cell))
        if onward is not None:
            found[frame.index] = frame, onward
            if is_reference(frame):
                pictures[frame.index] = frame, onward
    for index in sorted(found, reverse=True):
        yield found[index]


def is_reference(frame: Frame) -> bool:
    """Whether other frames may refer to this one, as far as its stream says."""
    return frame.references is not None and frame.references.is_reference


def _direct_and_by_way_of(
    frame: Frame, last: Frame, pictures: Sequence[tuple[Frame, MotionField]], cell: int
) -> Iterator[MotionField]:
    """All ways from a frame to the last one: directly, and by way of `pictures` whose motion to the last is given."""
    yield from _between(frame, last, cell)
    for picture, onward in pictures:
        for way in _between(frame, picture, cell):
            yield joined(way, onward)


def _between(frame: Frame, other: Frame, cell: int) -> Iterator[MotionField]:
    """What is known of a frame's motion to another: its own way, and the other's way to it, turned round."""
    own = way_between(frame, other, cell)
    if own is not None:
        yield own
    if is_reference(frame):
        back = way_between(other, frame, cell)
        if back is not None:
            yield turned_round(back)


def way_between(frame: Frame, to: Frame, cell: int) -> MotionField | None:
    """The motion from a frame to another by the pictures that its blocks refer to, None where none leads there."""
    assert frame.references is not None
    try:
        found = frame.references.compose(cell, to=index_in_stream(to))
    except ValueError:  # it was decoded later, or nothing refers to it
        return None
    return None if found.unreferenced.all() else found


def turned_round(field: MotionField) -> MotionField:
    """Motion from one picture to another as motion from the other to the one, on the same square cells.

    A cell takes the way of the last cell that arrives in it; where none arrives it is `unreferenced`.
    """
    loops = LOOPS.get()
    if loops is not None:
        turned, unknown = np.empty(field.displacement.shape, np.float32), np.empty(field.unreferenced.shape, np.bool_)
        loops.turn_round(*_for_loops(field), np.float32(round(field.cell[0])), turned, unknown)
        return MotionField(turned, unknown, field.size_hw, field.cell)
    known = np.flatnonzero(~field.unreferenced)
    places = np.rint(positions_in_cells(field.displacement, round(field.cell[0]))).astype(np.intp)
    rows, columns = field.unreferenced.shape
    to = (places[..., 1].clip(0, rows - 1) * columns + places[..., 0].clip(0, columns - 1)).reshape(-1).take(known)
    unreferenced = np.ones(rows * columns, np.bool_)
    unreferenced[to] = False
    moved = np.zeros(rows * columns, np.complex64)  # x and y in one
    moved[to] = -np.ascontiguousarray(field.displacement).view(np.complex64).reshape(-1).take(known)
    displacement = moved.view(np.float32).reshape(rows, columns, 2)
    return MotionField(displacement, unreferenced.reshape(rows, columns), field.size_hw, field.cell)


def merged(ways: Iterable[MotionField], enough: float = ENOUGH) -> MotionField | None:
    """Each cell by the first of the `ways`, on the same cells, that knows it; None if there are none.

    No further ones are asked for where no more than the share `enough` of the cells is unknown.
    """
    result: MotionField | None = None
    loops = LOOPS.get()
    for way in ways:
        if result is None:
            result = way
        elif loops is not None:
            both = [
                each.reshape(-1, 2) if each.ndim == 3 else each.ravel()
                for one in (result, way)
                for each in _for_loops(one)
            ]
            found, unknown = np.empty(way.displacement.shape, np.float32), np.empty(way.unreferenced.shape, np.bool_)
            loops.merge(*both, found.reshape(-1, 2), unknown.ravel())
            result = MotionField(found, unknown, way.size_hw, way.cell)
        else:
            missing = result.unreferenced & ~way.unreferenced
            displacement = np.where(missing[..., None], way.displacement, result.displacement)
            result = MotionField(displacement, result.unreferenced & ~missing, way.size_hw, way.cell)
        if np.count_nonzero(result.unreferenced) <= enough * result.unreferenced.size:
            break
    return result


def spread(field: MotionField, reach: float) -> MotionField:
    """A field whose unknown cells move like the nearest that is known, if that is not further than `reach` pixels."""
    unknown = field.unreferenced
    if not unknown.any() or unknown.all():
        return field
    away = cv2.distanceTransform(unknown.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    loops = LOOPS.get()
    if loops is not None:
        displacement, mask = _for_loops(field)
        found, left = np.empty(displacement.shape, np.float32), np.empty(mask.shape, np.bool_)
        loops.spread_near(
            displacement.reshape(-1, 2), mask.ravel(), for_loops(away, np.float32).ravel(), np.float32(max(field.cell)),
            np.float32(reach), nearest_known(unknown), found.reshape(-1, 2), left.ravel(),
        )  # fmt: skip
        return MotionField(found, left, field.size_hw, field.cell)
    reached = unknown & (away * max(field.cell) <= reach)
    at = np.flatnonzero(reached)
    displacement = field.displacement.reshape(-1, 2).copy()
    displacement[at] = displacement[nearest_known(unknown)[at]]
    return MotionField(displacement.reshape(field.displacement.shape), unknown & ~reached, field.size_hw, field.cell)


def joined(first: MotionField, onward: MotionField) -> MotionField:
    """Motion along `first` and then along `onward`, on the same square cells; `unreferenced` where either is."""
    loops = LOOPS.get()
    if loops is not None:
        whole, gone = np.empty(first.displacement.shape, np.float32), np.empty(first.unreferenced.shape, np.bool_)
        loops.join(*_for_loops(first), *_for_loops(onward), np.float32(round(first.cell[0])), whole, gone)
        return MotionField(whole, gone, first.size_hw, first.cell)
    places = positions_in_cells(first.displacement, round(first.cell[0]))
    edge = cv2.BORDER_REPLICATE
    moved = cv2.remap(onward.displacement, places, None, cv2.INTER_NEAREST, borderMode=edge)
    lost = cv2.remap(onward.unreferenced.view(np.uint8), places, None, cv2.INTER_NEAREST, borderMode=edge)
    displacement = np.asarray(first.displacement + moved, np.float32)
    return MotionField(displacement, first.unreferenced | (lost != 0), first.size_hw, first.cell)


def _for_loops(field: MotionField) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    return for_loops(field.displacement, np.float32), for_loops(field.unreferenced, np.bool_)
