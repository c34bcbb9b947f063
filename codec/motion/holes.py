"""Cells without a reference of their own: they move like the neighbour whose motion fits them best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .field import BLOCK
from .filling import mix_with_nearest
from .prediction import Sampler, SubpixelPlanes, cells_of, differences


def best_neighbours(
    known: NDArray[np.bool_],
    shift: NDArray[np.integer],
    picture: NDArray[np.integer],
    luma: NDArray[np.uint8],
    references: Mapping[int, SubpixelPlanes],
) -> NDArray[np.intp]:
    """For each cell of a grid, flat, the index of the known cell whose motion it shares: its own where it is known.

    `known` is (rows, cols), of 8x8 pixels from the picture's corner; `shift` (cells, 2) in quarter pixels and `picture`
    (cells,) say how known cells move, `luma` is the frame and `references` are the pictures by decoding order. A cell
    that is not known tries the motion of the nearest known cell, and of the nearest in its row and column to each side,
    and takes the one that predicts it best. Cells stay their own where none is known.
    """
    nearest = _nearest(known)
    holes = np.flatnonzero(~known)
    if len(holes) in (0, known.size):
        return nearest
    cols = known.shape[1]
    corners = np.stack([holes % cols, holes // cols], 1) * BLOCK
    own = cells_of(luma, (0, 0), known.shape)[holes]
    best, lowest = nearest[holes], np.full(len(holes), np.inf, np.float32)
    candidates = np.concatenate([nearest[None], _nearest_in_lines(known)])[:, holes]
    for index in np.unique(picture[candidates[candidates >= 0]]):
        if int(index) not in references:
            continue
        which, at = np.nonzero((candidates >= 0) & (picture[candidates] == index))
        chosen = candidates[which, at]
        error = np.full(candidates.shape, np.inf, np.float32)
        prediction = Sampler(corners[at], shift[chosen], luma.shape).predict(references[int(index)])
        error[which, at] = differences(prediction, own[at])
        first = error.argmin(0)
        better = error.min(0) < lowest
        best[better] = candidates[first[better], better]
        lowest = np.minimum(lowest, error.min(0))
    nearest[holes] = best
    return nearest


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
