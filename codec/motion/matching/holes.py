"""Cells without a way of their own: they move like the neighbour whose motion fits them best."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..field import BLOCK
from ..filling import mix_with_nearest
from .prediction import Sampler, SubpixelPlanes, cells_of, differences

CostAhead = Callable[[NDArray[np.intp], NDArray[np.integer], NDArray[np.integer]], NDArray[np.float32]]
"""What the rest of the way costs, (n,), for n cells, if they move by (n, 2) quarter pixels to (n,) pictures."""


def best_neighbours(
    known: NDArray[np.bool_],
    cost: NDArray[np.float32],
    shift: NDArray[np.integer],
    picture: NDArray[np.integer],
    luma: NDArray[np.uint8],
    references: Mapping[int, SubpixelPlanes],
    cost_ahead: CostAhead,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """For each cell of a grid, flat, the index of the cell whose motion it takes, its own or a neighbour's, and the
    cost of its way then.

    `known` is (rows, cols), of 8x8 pixels from the picture's corner; these cells keep their own. `cost` (cells,) is
    what each cell's own way costs: the sum of mean absolute differences in grey levels of all steps, infinite where
    there is none. `shift` (cells, 2) in quarter pixels and `picture` (cells,) say how cells move, `luma` is the frame
    and `references` are the pictures by decoding order. A cell that is not known tries the motion of the nearest known
    cell, and of the nearest in its row and column to each side, and takes the one whose whole way costs least, unless
    its own costs no more. The cost stays infinite where no way can be compared: then the nearest cell's motion is
    taken. Cells stay their own where none is known.
    """
    like, total = np.arange(known.size), cost.copy()
    holes = np.flatnonzero(~known)
    if len(holes) in (0, known.size):
        return like, total
    cols = known.shape[1]
    corners = np.stack([holes % cols, holes // cols], 1) * BLOCK
    own = cells_of(luma, (0, 0), known.shape)[holes]
    candidates = np.concatenate([_nearest(known)[None], _nearest_in_lines(known)])[:, holes]
    costs = np.full(candidates.shape, np.inf, np.float32)
    for index in np.unique(picture[candidates[candidates >= 0]]):
        if int(index) not in references:
            continue
        which, at = np.nonzero((candidates >= 0) & (picture[candidates] == index))
        moved = shift[candidates[which, at]]
        prediction = Sampler(corners[at], moved, luma.shape).predict(references[int(index)])
        ahead = cost_ahead(holes[at], moved, np.full(len(at), index))
        costs[which, at] = differences(prediction, own[at]) + ahead
    first, lowest = costs.argmin(0), costs.min(0)
    takes = (lowest < cost[holes]) | np.isinf(cost[holes])
    like[holes[takes]] = candidates[first, np.arange(len(holes))][takes]
    total[holes[takes]] = lowest[takes]
    return like, total


def _nearest(known: NDArray[np.bool_]) -> NDArray[np.intp]:
    index = np.arange(known.size, dtype=np.float32).reshape(*known.shape, 1)
    return mix_with_nearest(index, ~known, 1.0).ravel().astype(np.intp)


def _nearest_in_lines(known: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The nearest known cell left of, right of, above and below each cell, (4, cells), -1 where there is none."""
    rows, cols = known.shape
    index = np.arange(rows * cols).reshape(rows, cols)
    forward = np.where(known, index, -1)
    backward = np.where(known, index, rows * cols)
    sides = [
        np.maximum.accumulate(forward, 1),
        np.minimum.accumulate(backward[:, ::-1], 1)[:, ::-1],
        np.maximum.accumulate(forward, 0),
        np.minimum.accumulate(backward[::-1], 0)[::-1],
    ]
    result = np.stack(sides).reshape(4, -1)
    result[result == rows * cols] = -1
    return result
