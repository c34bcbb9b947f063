"""Temporal consistency as two published code bases measure it: to reproduce their numbers, defects included.

Both warp the next frame's labels back onto a frame, along the flow from this frame to the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .confusion import ConfusionMatrix

Labels = NDArray[np.uint8]


class PublishedConsistency(ABC):
    """IoU of labels with the next frame's, warped, summed over all pairs; the usual round."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.pairs = 0
        self._confusion = ConfusionMatrix(classes)

    def update(self, labels: Labels, following: Labels, displacement: NDArray[np.float32]) -> None:
        """Add one pair: (H, W) labels of a frame and the next, and the flow (H, W, 2) in pixels, x before y.

        What is at (x, y) in the frame is at (x + dx, y + dy) in the next. ValueError if the sizes differ.
        """
        if not labels.shape == following.shape == displacement.shape[:2]:
            raise ValueError(
                f"labels are {labels.shape} and {following.shape}, the flow {displacement.shape[:2]}; "
                "they must be equal"
            )
        self._confusion.update(self._warp(following, displacement), labels)
        self.pairs += 1

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """`tc` (mean IoU), `iou` per class, `pairs`; fractions of 1."""

    def reset(self) -> None:
        """Forget every pair."""
        self._confusion.reset()
        self.pairs = 0

    @staticmethod
    @abstractmethod
    def _warp(following: Labels, displacement: NDArray[np.float32]) -> Labels: ...


class LegacyTemporalConsistency(PublishedConsistency):
    """tc_legacy: ETC's script (Liu et al., ECCV 2020). Class indices are interpolated and truncated.

    A border between classes 0 and 13 so turns into any of those between, and sums just below a whole number fall to the
    class before; nothing is left out, and the mean is over all classes, those that never occur counting 0.
    """

    def compute(self) -> dict[str, Any]:
        """`tc`, `iou` per class, `pairs`; NaN where there was no pair."""
        iou = np.nan_to_num(self._confusion.iou)
        return {
            "tc": float(iou.mean()) if self.pairs else float("nan"),
            "iou": iou.tolist(),
            "pairs": self.pairs,
        }

    @staticmethod
    def _warp(following: Labels, displacement: NDArray[np.float32]) -> Labels:
        """Bilinear, corners clamped to the picture; weights in double, sums in single precision, as its kernel."""
        height, width = following.shape
        x = displacement[..., 0] + np.arange(width, dtype=np.float32)
        y = displacement[..., 1] + np.arange(height, dtype=np.float32)[:, None]
        left, top = np.floor(x), np.floor(y)
        across, down = (x - left).astype(np.float64), (y - top).astype(np.float64)
        columns = [np.clip(left + i, 0, width - 1).astype(np.intp) for i in (0, 1)]
        rows = [np.clip(top + i, 0, height - 1).astype(np.intp) for i in (0, 1)]
        total = np.zeros(following.shape, np.float32)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = (down if i else 1 - down) * (across if j else 1 - across)
            total = (total + weight * following[rows[i], columns[j]]).astype(np.float32)
        return total.astype(np.uint8)


class VSPWTemporalConsistency(PublishedConsistency):
    """tc_vspw: the script of the VSPW benchmark (Miao et al., CVPR 2021), which scores the first 100 videos of val.

    Nearest sampling at x W / (W - 1) - 0.5, because coordinates are normalised for aligned corners and sampled without;
    what lies outside becomes class 0. The mean is over the classes that occur in the frames' own labels. Positions on
    the picture's very edge count as inside.
    """

    def compute(self) -> dict[str, Any]:
        """`tc`, `iou` per class (NaN for those that do not occur in the frames), `pairs`."""
        present = self._confusion.counts.sum(1) > 0
        iou = np.where(present, self._confusion.iou, np.nan)
        return {
            "tc": float(iou[present].mean()) if present.any() else float("nan"),
            "iou": iou.tolist(),
            "pairs": self.pairs,
        }

    @staticmethod
    def _warp(following: Labels, displacement: NDArray[np.float32]) -> Labels:
        height, width = following.shape
        x = (displacement[..., 0] + np.arange(width)) * width / max(1, width - 1) - 0.5
        y = (displacement[..., 1] + np.arange(height)[:, None]) * height / max(1, height - 1) - 0.5
        inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
        columns, rows = (np.clip(np.rint(at), 0, size - 1).astype(np.intp) for at, size in ((x, width), (y, height)))
        return np.where(inside, following[rows, columns], np.uint8(0))
