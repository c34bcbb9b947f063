"""Labels of scores carried along motion, by compiled loops."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...codec import MotionField, nearest_known
from ...compiled import Loops

LOOPS = Loops(f"{__package__}.loops")
_WORD = 4  # pixels that are written at a time
_ROUNDING = 1e-5  # of sums of probabilities


def can_compile(stride: int) -> bool:
    """Whether the loops take cells of `stride` pixels."""
    return stride % _WORD == 0


class CompiledCells:
    """The cells of a reference frame's `scores` (h, w, classes), none below 0, on cells of `stride` pixels; `sure` is
    the label of what lies between four entries that agree, else 255, (h + 1, w + 1), and `largest_sum` the most that
    the scores of an entry sum to. For one thread."""

    def __init__(
        self, loops: Any, scores: NDArray[np.float32], sure: NDArray[np.uint8], largest_sum: float, stride: int
    ) -> None:
        rows, columns, classes = scores.shape
        cells, quads = rows * columns, (rows + 1) * (columns + 1)
        self.stride, self._loops, self._shape, self._sure = stride, loops, (rows, columns, classes), sure
        self._scores, self._known = (np.zeros(cells * classes + loops.LANES, np.float32) for _ in range(2))
        self._scores[: cells * classes] = scores.reshape(-1)
        self._largest_sum = np.float32(largest_sum + _ROUNDING)
        self._places, self._best = np.empty((2, cells), np.float32), np.empty(cells, np.uint8)
        self._needed, self._row_of = np.empty(cells + 1, np.int64), np.empty(cells, np.int32)
        self._quads, self._scratch = np.empty(quads + 1, np.int64), np.empty(32, np.float32)
        self._labels = np.empty(((rows + 1) * stride, (columns + 1) * (stride // _WORD)), np.uint32)

    def labels(self, field: MotionField, size_hw: tuple[int, int], *, mix_lost: bool) -> NDArray[np.uint8]:
        """One label a pixel (H, W) where `field` says that each cell was; see `WarpedScores`."""
        loops, (rows, columns, classes), words = self._loops, self._shape, self.stride // _WORD
        lost = field.unreferenced
        is_mixed = mix_lost and 0 < int(np.count_nonzero(lost)) < lost.size
        source = nearest_known(lost) if is_mixed else np.empty(0, np.intp)
        where = self._scores, rows, columns, classes, self._places, source, self._needed
        unsure = loops.find_places(
            np.ascontiguousarray(field.displacement), self.stride, _is_rounded(classes), self._sure, source,
            self._places, self._best, self._needed,
        )  # fmt: skip
        self._row_of.fill(-1)
        loops.sample(*where, 0, unsure, self._known, self._row_of)
        loops.settle(self._known, classes, self._needed, unsure, self._best)
        mixed, needed = loops.fill(
            self._best, rows, columns, words, self._labels, self._quads, self._row_of, self._needed, unsure
        )
        loops.sample(*where, unsure, needed, self._known, self._row_of)
        loops.draw(
            self._known, rows, columns, classes, self._best, self._row_of, self._quads, mixed, self._largest_sum,
            words, self._labels, self._scratch,
        )  # fmt: skip
        half = self.stride // 2
        return np.ascontiguousarray(self._labels.view(np.uint8)[half : half + size_hw[0], half : half + size_hw[1]])


@lru_cache(maxsize=16)
def _is_rounded(channels: int) -> bool:
    """Whether OpenCV rounds the places at which it samples maps of so many channels to 32nds."""
    ramp = np.repeat(np.arange(2, dtype=np.float32), channels).reshape(1, 2, channels)
    sampled = cv2.remap(ramp, np.array([[[1 / 128, 0]]], np.float32), None, cv2.INTER_LINEAR)
    return float(np.asarray(sampled).reshape(-1)[0]) == 0
