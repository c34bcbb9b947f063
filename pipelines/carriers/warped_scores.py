"""Scores carried along motion, worked out only where labels depend on them and anew only where they change."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import MotionField, mix_with_nearest, nearest_known
from ..labels import (
    LOOPS,
    LabelMap,
    best_of_entries,
    can_compile,
    check_cover,
    largest_sum,
    range_of_quads,
    upsample_labels,
)
from ..motion import MOST_CHANNELS, positions_in_cells, warp_map
from .compiled_cells import CompiledCells

Map = NDArray[np.float32]
_UNSURE = 255
_WIDTH = 256  # of the maps by which single cells are sampled: OpenCV takes no higher ones than 32767


class ScoreMap:
    """A reference frame's scores (h, w, classes), probabilities, and what is known of them before they are carried
    anywhere. It serves one frame after the other, and remembers where it was carried last."""

    def __init__(self, scores: Map) -> None:
        self.scores = scores
        entries = np.ascontiguousarray(scores).reshape(-1, scores.shape[2])
        best = best_of_entries(entries).reshape(scores.shape[:2])
        self.most = largest_sum(entries)
        """What the probabilities of an entry sum to: 1, about."""
        low, high = range_of_quads(best)
        low[low != high] = _UNSURE
        self.sure = low
        """(h + 1, w + 1) uint8: the label of everything between four entries that agree, else _UNSURE."""
        self._cells: _Cells | None = None
        self._compiled: CompiledCells | None = None

    def cells(self, stride: int) -> _Cells:
        """What is carried, on cells of `stride` pixels."""
        if self._cells is None or self._cells.stride != stride:
            self._cells = _Cells(self, stride)
        return self._cells

    def compiled_cells(self, loops: Any, stride: int) -> CompiledCells:
        """The same, by compiled `loops`."""
        if self._compiled is None or self._compiled.stride != stride:
            self._compiled = CompiledCells(loops, self.scores, self.sure, self.most, stride)
        return self._compiled


class WarpedScores:
    """A reference's scores where `field`, on the same cells of `stride` pixels, says that each cell was.

    Between four entries that agree on a class every mixture has that class too, so most cells' labels are known without
    their scores. These are worked out (bilinearly, as by `warp_map`) only at boundaries: `labels` are those of
    `upsample_labels(full(), ...)`, up to rounding between equal scores; compiled loops make them where they are there.
    With `mix_lost`, a cell whose way is lost is mixed half and half with the nearest cell whose way is not.
    """

    def __init__(self, carried: ScoreMap, field: MotionField, stride: int, *, mix_lost: bool) -> None:
        self._from, self._field, self._stride, self._mix_lost = carried, field, stride, mix_lost

    def full(self) -> Map:
        """All of them, (h, w, classes)."""
        moved = warp_map(self._from.scores, self._field.displacement, self._stride)
        return mix_with_nearest(moved, self._field.unreferenced, 0.5) if self._mix_lost else moved

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """One label a pixel, (H, W) uint8; the errors of `upsample_labels`."""
        rows, columns, classes = self._from.scores.shape
        check_cover((rows, columns, classes), self._stride, size_hw)
        if self._stride == 1 or classes > min(_UNSURE, MOST_CHANNELS):
            return upsample_labels(self.full(), self._stride, size_hw)
        loops = LOOPS.get() if can_compile(self._stride) else None
        if loops is not None:
            compiled = self._from.compiled_cells(loops, self._stride)
            return compiled.labels(self._field, size_hw, mix_lost=self._mix_lost)
        cells = self._from.cells(self._stride)
        cells.move(self._field, mix_lost=self._mix_lost)
        return cells.labels.cropped(size_hw)


class _Cells:
    """The cells of the frame that scores were carried to last: the best class of each, the scores of those whose scores
    were needed, and the picture's `labels`.

    A cell is as it was where it comes from the same place, and where it is mixed, with the same cell that comes from
    the same place. What is known of such cells is kept from frame to frame: of what does not move, nothing is done
    again.
    """

    def __init__(self, carried: ScoreMap, stride: int) -> None:
        self._from, self.stride = carried, stride
        rows, columns, classes = carried.scores.shape
        self._grid_hw, count = (rows, columns), rows * columns
        self.labels = LabelMap(self._grid_hw, stride)
        self._own = np.arange(count)
        self._at: Map | None = None
        self._source = self._own  # of each cell: what it is mixed with, itself if with nothing
        self._best = np.empty(count, np.uint8)
        self._scores, self._used = np.empty((2 * (count + _WIDTH), classes), np.float32), 0
        self._row_of = np.full(count, -1, np.intp)  # of a cell's scores, mixed where they are to be; -1: none

    def move(self, field: MotionField, *, mix_lost: bool) -> None:
        """Carry everything along `field`."""
        at = positions_in_cells(field.displacement, self.stride)
        lost = field.unreferenced
        is_mixed = mix_lost and 0 < int(np.count_nonzero(lost)) < lost.size
        source = nearest_known(lost) if is_mixed else self._own
        changed = self._changed(at, source)
        self._at, self._source = at, source
        # quad (i, j) lies before entry (i, j); a position on the line between two quads lies in both
        sure = cv2.remap(
            self._from.sure, at + np.float32(0.5), None, cv2.INTER_NEAREST, None, cv2.BORDER_REPLICATE
        )  # fmt: skip
        likely = np.asarray(sure, np.uint8).reshape(-1)
        if is_mixed:
            likely = np.where(likely == likely.take(source), likely, np.uint8(_UNSURE))
        unsure = likely == _UNSURE
        needed = self._near(likely) | unsure
        if changed is None:
            self._row_of[:] = -1
            self._used = 0
            self._best[:] = likely
        else:
            self._row_of[changed] = -1
            unsure &= changed
            np.copyto(self._best, likely, where=changed)
        self._need(needed, is_mixed=is_mixed)
        at_unsure = np.flatnonzero(unsure)
        self._best[at_unsure] = best_of_entries(self._scores.take(self._row_of.take(at_unsure), axis=0))
        where = None if changed is None else changed.reshape(self._grid_hw)
        best = self._best.reshape(self._grid_hw)
        self.labels.update(best, self._scores, self._row_of, where, most=self._from.most)

    def _changed(self, at: Map, source: NDArray[np.intp]) -> NDArray[np.bool_] | None:
        """Which cells are not as they were, (cells,); None for all."""
        if self._at is None:
            return None
        moved: NDArray[np.bool_] = (at.view(np.uint64) != self._at.view(np.uint64)).reshape(-1)
        if source is self._own and self._source is self._own:
            return moved
        changed: NDArray[np.bool_] = moved | (source != self._source) | moved.take(source)
        return changed

    def _near(self, labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Where labels (cells,) differ from a neighbour's."""
        grid, window = labels.reshape(self._grid_hw), np.ones((3, 3), np.uint8)
        near: NDArray[np.bool_] = (cv2.dilate(grid, window) != cv2.erode(grid, window)).reshape(-1)
        return near

    def _need(self, needed: NDArray[np.bool_], *, is_mixed: bool) -> None:
        """Work out the scores of cells that are `needed` and not there."""
        missing = needed & (self._row_of < 0)
        mixed = np.flatnonzero(missing & (self._source != self._own)) if is_mixed else self._own[:0]
        source = self._source[mixed]
        missing[source[self._row_of[source] < 0]] = True
        missing[mixed] = False
        at = np.concatenate([mixed, np.flatnonzero(missing)])
        padded = np.resize(at, -(-len(at) // _WIDTH) * _WIDTH)
        if self._used + len(padded) > len(self._scores):  # of frames before: all is forgotten, and there is room
            self._row_of[:] = -1
            self._used = 0
            self._need(needed, is_mixed=is_mixed)
        elif len(at):
            rows = self._fetch(padded)
            self._row_of[at] = np.arange(self._used - len(padded), self._used - len(padded) + len(at))
            other = self._scores.take(self._row_of[source], axis=0)
            other -= rows[: len(mixed)]
            rows[: len(mixed)] += np.float32(0.5) * other

    def _fetch(self, at: NDArray[np.intp]) -> Map:
        """Sample the scores of single cells, unmixed, into as many rows that follow one another; returns these."""
        assert self._at is not None
        first, self._used = self._used, self._used + len(at)
        places = self._at.reshape(-1, 2).take(at, axis=0).reshape(-1, _WIDTH, 2)
        rows: Map = self._scores[first : self._used]
        room = rows.reshape(*places.shape[:2], -1)
        cv2.remap(self._from.scores, places, None, cv2.INTER_LINEAR, room, cv2.BORDER_REPLICATE)
        return rows
