"""Scores carried along motion, worked out only where labels depend on them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import MotionField, mix_with_nearest, nearest_known
from ..labels import argmax_of_planes, check_cover, corner_entries, disagreeing_quads, labels_between, upsample_labels
from ..motion import MOST_CHANNELS, positions_in_cells, warp_map

Map = NDArray[np.float32]
_UNSURE = 255
_WIDTH = 256  # of the maps by which single cells are sampled: OpenCV takes no higher ones than 32767


class ScoreMap:
    """A reference frame's scores (h, w, classes), and what is known of them before they are carried anywhere."""

    def __init__(self, scores: Map) -> None:
        self.scores = scores
        first, mixed = disagreeing_quads(argmax_of_planes(np.ascontiguousarray(scores.transpose(2, 0, 1))))
        first[mixed] = _UNSURE
        self.sure = first
        """(h + 1, w + 1) uint8: the label of everything between four entries that agree, else _UNSURE."""
        self.room = np.empty((2 * scores.shape[0] * scores.shape[1], scores.shape[2]), np.float32)
        """For carried scores of single cells, mixed ones and those before; used by one frame after the other."""


class WarpedScores:
    """A reference's scores where `field`, on the same cells of `stride` pixels, says that each cell was.

    Between four entries that agree on a class every mixture has that class too, so most cells' labels are known without
    their scores. These are worked out (bilinearly, as by `warp_map`) only at boundaries: `labels` are those of
    `upsample_labels(full(), ...)`, up to rounding between equal scores. With `mix_lost`, a cell whose way is lost is
    mixed half and half with the nearest cell whose way is not.
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
        cells = _Cells(self._from, self._field, self._stride, mix_lost=self._mix_lost)
        return labels_between(cells.best.reshape(rows, columns), cells.corners, self._stride, size_hw)


class _Cells:
    """The cells of one frame: the `best` class of each (flat), and scores of those that were asked for."""

    def __init__(self, carried: ScoreMap, field: MotionField, stride: int, *, mix_lost: bool) -> None:
        self._from, self._grid_hw = carried, field.unreferenced.shape
        self._x, self._y = positions_in_cells(field.displacement, stride)
        # quad (i, j) lies before entry (i, j); a position on the line between two quads lies in both
        sure = cv2.remap(
            carried.sure, self._x + np.float32(0.5), self._y + np.float32(0.5), cv2.INTER_NEAREST, None,
            cv2.BORDER_REPLICATE,
        )  # fmt: skip
        self.best: NDArray[np.uint8] = np.asarray(sure, np.uint8).reshape(-1)
        self._rows, self._used = carried.room, 0
        self._row_of = np.full(self.best.size, -1, np.intp)
        unsure = np.flatnonzero(self.best == _UNSURE)
        self.best[unsure] = self._fetch(unsure).argmax(1)
        self._source: NDArray[np.intp] | None = None
        lost = field.unreferenced
        if mix_lost and 0 < np.count_nonzero(lost) < lost.size:
            self._mix(*nearest_known(lost))

    def corners(self, y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
        """See `labels.Corners`."""
        at = corner_entries(y, x, self._grid_hw)
        needed = np.zeros(self.best.size, np.bool_)
        needed[at] = True
        self._need(np.flatnonzero(needed & (self._row_of < 0)))
        scores = self._rows.take(self._row_of.take(at), axis=0, mode="clip")
        return np.ascontiguousarray(scores.transpose(2, 0, 1))

    def _mix(self, lost: NDArray[np.intp], nearest: NDArray[np.intp]) -> None:
        """Mix cells `lost` with their `nearest`, where that may change what is best."""
        self._source = np.full(self.best.size, -1, np.intp)
        self._source[lost] = nearest
        self._row_of[lost] = -1  # their own scores are not what is asked for
        apart = lost[self.best[lost] != self.best[nearest]]
        self.best[apart] = self._need(apart).argmax(1)

    def _need(self, at: NDArray[np.intp]) -> Map:
        """Work out the scores (n, classes) of cells `at`, of which none are there."""
        scores = self._fetch(at)
        if self._source is None:
            return scores
        source = self._source[at]
        mixed = np.flatnonzero(source >= 0)
        source = source[mixed]
        missing = np.zeros(self.best.size, np.bool_)
        missing[source] = True
        self._fetch(np.flatnonzero(missing & (self._row_of < 0)))
        own = scores[mixed]
        scores[mixed] = own + np.float32(0.5) * (self._rows.take(self._row_of[source], axis=0) - own)
        return scores

    def _fetch(self, at: NDArray[np.intp]) -> Map:
        """The carried scores (n, classes) of single cells, unmixed; they are there from now on."""
        if not len(at):
            return np.empty((0, self._rows.shape[1]), np.float32)
        padded = np.resize(at, (-(-len(at) // _WIDTH), _WIDTH))
        x, y = (axis.reshape(-1)[padded] for axis in (self._x, self._y))
        values = cv2.remap(self._from.scores, x, y, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        first, self._used = self._used, self._used + len(at)
        rows: Map = self._rows[first : self._used]
        rows[:] = np.asarray(values, np.float32).reshape(padded.size, -1)[: len(at)]
        self._row_of[at] = np.arange(first, self._used)
        return rows
