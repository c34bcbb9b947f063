"""How restless a network's labels are by themselves: the ceiling of what a mode can agree with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....codec import Frame, MotionField
from ....segnet import UNMATCHED, match_pixels
from .correspondence import Match, match_by_codec

_CELL = 4


class Flicker:
    """The share of pixels whose label differs from the frame before's, looked up where the codec's motion leads.

    Pixels whose motion to the frame before is not known are left out: keyframes, intra-coded blocks, and blocks of
    streams with B-frames or several references that refer to other pictures only. The usual round: `update` for every
    frame in display order, then `compute`. Keeps the labels of one frame.
    """

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._changed = self._matched = self._pixels = self._pairs = 0

    def update(self, frame: Frame, labels: NDArray[np.uint8]) -> None:
        """Add a frame with its labels (H, W)."""
        before, self._before = self._before, labels
        if before is None or before.shape != labels.shape:
            return
        self._pixels += labels.size
        match = match_to_previous(frame)
        if match is None:
            return
        known = match != UNMATCHED
        self._changed += int(np.count_nonzero(before.ravel()[match[known]] != labels[known]))
        self._matched += int(np.count_nonzero(known))
        self._pairs += 1

    def compute(self) -> dict[str, Any]:
        """`share` of the followed pixels that changed (NaN where none could be followed), `coverage` (the share of all
        pixels but the first frame's that could be), `pairs` of frames; fractions of 1."""
        return {
            "share": self._changed / self._matched if self._matched else float("nan"),
            "coverage": self._matched / max(1, self._pixels),
            "pairs": self._pairs,
        }


def match_to_previous(frame: Frame) -> Match | None:
    """The frame's pixels' counterparts in the frame shown before it by the codec's motion, (H, W); None where unknown.

    By recovered references where the frame has them, else by its own vectors.
    """
    if frame.references is None:
        return match_by_codec(frame)
    try:
        field = frame.references.compose(_CELL, to=frame.references.index - 1)
    except ValueError:  # the frame before was decoded later, or is beyond a keyframe
        return None
    return match_pixels(*_dense(field, frame.size_hw))


def _dense(field: MotionField, size_hw: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A field's displacement for every pixel, (H, W, 2), and where it is known, (H, W)."""
    known = ~field.unreferenced
    wide = [
        np.repeat(np.repeat(each, _CELL, 0), _CELL, 1)[: size_hw[0], : size_hw[1]]
        for each in (field.displacement, known)
    ]
    return np.ascontiguousarray(wide[0], np.float32), np.asarray(wide[1], np.bool_)
