"""Motion from frames to one that is shown after them: where what is seen there was before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...codec import BLOCK, Frame, MotionField, grid_positions
from .codec_sources import last_step
from .source import index_in_stream


def ways_to_later(frames: Sequence[Frame], cell: int) -> Iterator[tuple[Frame, MotionField]]:
    """For the frames before the last of `frames`, last first: each with its motion to that last frame.

    `frames` follow one another, without a keyframe among them. Motion is on cells of `cell` pixels; `unreferenced` are
    those of which it is not known. Frames of which nothing is known are left out.
    """
    if frames[-1].references is None:
        return _by_vectors(frames, cell)
    return _by_references(frames, cell)


def _by_vectors(frames: Sequence[Frame], cell: int) -> Iterator[tuple[Frame, MotionField]]:
    """The last frame's cells are followed back by the vectors, which mean the frame before, and that is turned
    round."""
    size_hw = frames[-1].size_hw
    start = grid_positions(size_hw, cell)
    (height, width), across = size_hw, -(-size_hw[1] // BLOCK)
    x, y, is_lost = start.x.copy(), start.y.copy(), np.zeros(start.x.shape, np.bool_)
    for place in range(len(frames) - 1, 0, -1):
        if frames[place].motion is None:
            return
        step = last_step(frames[place])
        where = (y >> 5) * across + (x >> 5)
        moved = np.rint(4 * step.displacement.reshape(-1, 2)[where]).astype(np.int32)
        x, y = x + moved[:, 0], y + moved[:, 1]
        is_lost |= step.unreferenced.ravel()[where] | (x < 0) | (y < 0) | (x >= 4 * width) | (y >= 4 * height)
        x, y = x.clip(2, 4 * width - 2), y.clip(2, 4 * height - 2)
        way = np.stack([x - start.x, y - start.y], 1).reshape(*start.grid_hw, 2) * np.float32(0.25)
        yield frames[place - 1], turned_round(MotionField(way, is_lost.reshape(start.grid_hw), size_hw, start.cell))


def _by_references(frames: Sequence[Frame], cell: int) -> Iterator[tuple[Frame, MotionField]]:
    """A frame's own way to the last frame, the last frame's way to it turned round, or its way to one between and on
    from there, whichever there is."""
    last = frames[-1]
    between: list[tuple[Frame, MotionField]] = []
    for frame in reversed(frames[:-1]):
        if frame.references is None:
            return
        way = _way(frame, last, cell)
        if way is None:
            back = _way(last, frame, cell)
            way = None if back is None else turned_round(back)
        if way is None:
            ways = ((_way(frame, other, cell), onward) for other, onward in reversed(between))
            way = next((joined(first, onward) for first, onward in ways if first is not None), None)
        if way is None:
            continue
        if frame.references.is_reference:
            between.append((frame, way))
        yield frame, way


def _way(frame: Frame, to: Frame, cell: int) -> MotionField | None:
    """The motion from a frame to another by the pictures that its blocks refer to, None where none leads there."""
    assert frame.references is not None
    try:
        found = frame.references.compose(cell, to=index_in_stream(to))
    except ValueError:  # it was decoded later, or nothing refers to it
        return None
    return None if found.unreferenced.all() else found


def turned_round(field: MotionField) -> MotionField:
    """Motion from one picture to another as motion from the other to the one, on the same cells.

    A cell takes the way of the last cell that arrives in it; where none arrives it is `unreferenced`.
    """
    rows, columns = field.unreferenced.shape
    to, at = _arrivals(field)
    displacement, unreferenced = np.zeros((rows * columns, 2), np.float32), np.ones(rows * columns, np.bool_)
    displacement[to] = -field.displacement.reshape(-1, 2)[at]
    unreferenced[to] = False
    return MotionField(
        displacement.reshape(rows, columns, 2), unreferenced.reshape(rows, columns), field.size_hw, field.cell
    )


def joined(first: MotionField, onward: MotionField) -> MotionField:
    """Motion along `first` and then along `onward`, on the same cells; `unreferenced` where either is."""
    rows, columns = first.unreferenced.shape
    to, at = _arrivals(first)
    displacement, unreferenced = np.zeros((rows * columns, 2), np.float32), np.ones(rows * columns, np.bool_)
    displacement[at] = first.displacement.reshape(-1, 2)[at] + onward.displacement.reshape(-1, 2)[to]
    unreferenced[at] = onward.unreferenced.ravel()[to]
    return MotionField(
        displacement.reshape(rows, columns, 2), unreferenced.reshape(rows, columns), first.size_hw, first.cell
    )


def _arrivals(field: MotionField) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cells in which the cells whose way is known arrive, and those cells: flat indices, (n,) each."""
    rows, columns = field.unreferenced.shape
    at = np.flatnonzero(~field.unreferenced)
    moved = field.displacement.reshape(-1, 2)[at]
    x = np.floor(at % columns + 0.5 + moved[:, 0] / np.float32(field.cell[1])).astype(np.intp)
    y = np.floor(at // columns + 0.5 + moved[:, 1] / np.float32(field.cell[0])).astype(np.intp)
    return y.clip(0, rows - 1) * columns + x.clip(0, columns - 1), at
