"""Labels of scores carried along motion, by compiled loops."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import MotionField, nearest_known
from ...compiled import for_loops
from ..labels import ROUNDING, WORD

_LINE = 16  # numbers of 4 bytes in a line of the cache


class CompiledCells:
    """The cells of a reference frame's `scores` (h, w, classes), none below 0, on cells of `stride` pixels; `sure` is
    the label of what lies between four entries that agree, else 255, (h + 1, w + 1), and `largest_sum` the most that
    the scores of an entry sum to. For one thread.

    What is known of a cell is kept from frame to frame while it comes from the same place, and is mixed with the same
    cell that comes from the same place."""

    def __init__(
        self, loops: Any, scores: NDArray[np.float32], sure: NDArray[np.uint8], largest_sum: float, stride: int
    ) -> None:
        rows, columns, classes = scores.shape
        cells, quads = rows * columns, (rows + 1) * (columns + 1)
        self.stride, self._loops, self._shape, self._sure = stride, loops, scores.shape, sure.reshape(-1)
        self._scores = np.zeros((cells + columns + 1) * classes + loops.LANES, np.float32)
        self._scores[: cells * classes] = scores.reshape(-1)
        self._largest_sum = np.float32(largest_sum + ROUNDING)
        self._numbers, self._shares = np.full((2, cells), -1, np.int32), np.empty((2, cells), np.float32)
        self._source = np.arange(cells)
        self._before = np.empty((0, 0, 2), np.float32)  # motion
        self._best, self._changed = np.empty(cells, np.uint8), np.empty(cells, np.bool_)
        self._depth = -(-classes // loops.LANES) * loops.LANES
        self._known, self._is_known = _aligned(cells * self._depth), np.zeros(cells, np.bool_)
        self._listed, self._quads = np.empty(cells + 1, np.int64), np.empty(quads + 1, np.int64)
        words = stride // WORD
        self._line, self._drawn = (
            np.empty((columns + 1) * words, np.uint32),
            np.empty(quads * stride * words, np.uint32),
        )
        self._scratch = np.empty(classes + 1, np.uint64), np.empty(16, np.float32), np.zeros(4, np.uint32)

    def labels(self, field: MotionField, size_hw: tuple[int, int], *, mix_lost: bool) -> NDArray[np.uint8]:
        """One label a pixel (H, W) where `field` says that each cell was; see `WarpedScores`."""
        loops, (rows, columns, classes), words = self._loops, self._shape, self.stride // WORD
        lost = field.unreferenced
        is_mixed = mix_lost and 0 < int(np.count_nonzero(lost)) < lost.size
        mixed_with = nearest_known(lost) if is_mixed else np.empty(0, np.intp)
        displacement = for_loops(field.displacement, np.float32)
        is_rounded = _is_rounded(classes)
        loops.find_places(
            displacement, self._before, np.float32(self.stride), is_rounded, self._numbers, self._shares, self._changed
        )
        self._before = displacement
        unsure = loops.look_up(
            self._numbers, self._sure, mixed_with, self._source, self._changed, self._best, self._is_known, self._listed
        )
        self._sample(unsure)
        loops.settle(self._known, self._depth, classes, self._listed, unsure, self._best)
        labels = np.empty(size_hw, np.uint8)
        mixed = loops.fill(self._best, rows, columns, words, self._line, labels, self._quads)
        anew, needed = loops.keep(
            self._changed, rows, columns, words, self._drawn, labels, self._quads, mixed, self._is_known,
            self._listed,
        )  # fmt: skip
        self._sample(needed)
        loops.draw(
            self._known, rows, columns, self._depth, classes, self._best, self._quads, anew, self._largest_sum, words,
            labels, self._drawn, *self._scratch,
        )  # fmt: skip
        return labels

    def mixed(
        self, field: MotionField, mix_lost: bool, later: CompiledCells, back: MotionField, part: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Scores (h, w, classes) where `field` says that each cell was, with the `part` (h, w) of a `later` frame's,
        where `back` says that; see `Probabilities.carry_mixed`. In any thread."""
        rows, columns, classes = self._shape
        lost = field.unreferenced
        is_mixed = mix_lost and 0 < int(np.count_nonzero(lost)) < lost.size
        source = nearest_known(lost) if is_mixed else np.empty(0, np.intp)
        found = np.empty(rows * columns * classes + self._loops.LANES, np.float32)
        self._loops.mix(
            self._scores, *self._places(field), source, later._scores, *self._places(back),
            for_loops(part, np.float32).reshape(-1), columns, classes, found,
        )  # fmt: skip
        return found[: rows * columns * classes].reshape(rows, columns, classes)

    def _places(self, field: MotionField) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Numbers and shares, by `find_places`."""
        cells = field.unreferenced.size
        numbers, shares = np.full((2, cells), -1, np.int32), np.empty((2, cells), np.float32)
        displacement, is_rounded = for_loops(field.displacement, np.float32), _is_rounded(self._shape[2])
        changed = np.empty(cells, np.bool_)
        nothing = np.empty((0, 0, 2), np.float32)
        self._loops.find_places(displacement, nothing, np.float32(self.stride), is_rounded, numbers, shares, changed)
        return numbers, shares

    def _sample(self, count: int) -> None:
        """Have the scores of the first `count` listed cells known."""
        self._loops.sample(
            self._scores,
            *self._shape[1:],
            self._numbers,
            self._shares,
            self._source,
            self._listed,
            count,
            self._known,
            self._is_known,
        )


def _aligned(count: int) -> NDArray[np.float32]:
    """So many numbers from the beginning of a line of the cache on."""
    room = np.empty(count + _LINE, np.float32)
    first = -(room.ctypes.data // room.itemsize) % _LINE
    return room[first : first + count]


@lru_cache(maxsize=16)
def _is_rounded(channels: int) -> bool:
    """Whether OpenCV rounds the places at which it samples maps of so many channels to 32nds."""
    ramp = np.repeat(np.arange(2, dtype=np.float32), channels).reshape(1, 2, channels)
    sampled = cv2.remap(ramp, np.array([[[1 / 128, 0]]], np.float32), None, cv2.INTER_LINEAR)
    return float(np.asarray(sampled).reshape(-1)[0]) == 0
