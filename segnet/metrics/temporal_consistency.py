"""How steady label maps are over time: IoU between one frame's labels and its neighbour's, carried along motion."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .confusion import ConfusionMatrix

UNMATCHED = -1
"""The entry of a match where a pixel has no counterpart."""


class TemporalConsistency:
    """Temporal consistency (tc): the mean IoU between labels and a neighbouring frame's, taken where motion leads.

    The reference metric of ETC (Liu et al., ECCV 2020) without its defects: labels are looked up at the nearest pixel,
    never interpolated; pixels without counterpart (out of the picture, occluded) are left out; intersections and unions
    are summed over all pairs, and the mean is over the classes that occur. Values are not comparable with the published
    ones, whose warp mixes class indices. The usual round: `update` for every pair, then `compute`, `reset`; `end_clip`
    after each clip for values of clips. Along the motion vectors of the codec the metric is called tc_mv.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.pairs = 0
        self._confusion, self._clip = ConfusionMatrix(classes), ConfusionMatrix(classes)
        self._clips: list[float] = []
        self._pixels = 0

    def update(self, labels: NDArray[np.uint8], other: NDArray[np.uint8], match: NDArray[np.int32]) -> None:
        """Add one pair: (H, W) labels of both frames and the match from pixels of the first to the second.

        `match` is (H, W) flat indices into `other`, UNMATCHED where there is none; see `match_pixels`. ValueError if
        the sizes differ.
        """
        if not labels.shape == other.shape == match.shape:
            raise ValueError(
                f"labels are {labels.shape} and {other.shape}, the match {match.shape}; they must be equal"
            )
        matched = match != UNMATCHED
        self._clip.update(other.ravel()[match[matched]], labels[matched])
        self._pixels += labels.size
        self.pairs += 1

    def end_clip(self) -> None:
        """The pairs since the last call are a clip."""
        self._clips += self._open_clip()
        self._confusion.counts += self._clip.counts
        self._clip.reset()

    def _open_clip(self) -> list[float]:
        return [self._clip.mean_iou] if self._clip.counts.any() else []

    def compute(self) -> dict[str, Any]:
        """`tc` (mean IoU), `iou` per class (NaN for classes that do not occur), `pixel_agreement` (share of matched
        pixels with equal labels), `coverage` (share of pixels that are matched), `pairs`, `clips` (the mean IoU of
        each clip with matched pixels); fractions of 1. Pairs since the last `end_clip` are one more clip."""
        total = ConfusionMatrix(self.classes)
        total.counts += self._confusion.counts + self._clip.counts
        return {
            "tc": total.mean_iou,
            "iou": total.iou.tolist(),
            "pixel_agreement": total.pixel_accuracy,
            "coverage": float(total.counts.sum() / max(1, self._pixels)),
            "pairs": self.pairs,
            "clips": self._clips + self._open_clip(),
        }

    def reset(self) -> None:
        """Forget every pair."""
        self._confusion.reset()
        self._clip.reset()
        self._clips.clear()
        self.pairs = self._pixels = 0


def match_pixels(displacement: NDArray[np.float32], known: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    """Each pixel's counterpart in another frame as a flat index, (H, W) int32, UNMATCHED where there is none.

    `displacement` is (H, W, 2) in pixels, x before y: pixel (x, y) has its counterpart at (x + dx, y + dy), rounded to
    the nearest pixel. Without counterpart are pixels that lead out of the picture, and those not in `known` (H, W).
    """
    height, width = displacement.shape[:2]
    x = np.rint(displacement[..., 0]).astype(np.int32) + np.arange(width, dtype=np.int32)
    y = np.rint(displacement[..., 1]).astype(np.int32) + np.arange(height, dtype=np.int32)[:, None]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if known is not None:
        inside &= known
    return np.where(inside, y * np.int32(width) + x, np.int32(UNMATCHED))


def not_occluded(forward: NDArray[np.float32], backward: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where there and back again leads to the start, (H, W): |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5.

    `forward` is (H, W, 2), `backward` the other frame's displacement, sampled at the nearest pixel. The bound is that
    of Sundaram, Brox and Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical flow" (ECCV
    2010). False where `forward` leads out of the picture.
    """
    match = match_pixels(forward)
    back = backward.reshape(-1, 2)[np.maximum(match, 0)]
    gap = ((forward + back) ** 2).sum(-1)
    bound = 0.01 * ((forward**2).sum(-1) + (back**2).sum(-1)) + 0.5
    return np.asarray((match != UNMATCHED) & (gap < bound))
