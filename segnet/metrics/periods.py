"""Accuracy of propagation over a period: average and minimum mIoU, in the conventions that papers mix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .confusion import ConfusionMatrix


class PeriodScores:
    """One confusion matrix for each distance to the keyframe, 0 to `interval`.

    `update` for every labelled frame, then read. Where a class is neither present nor predicted it has no IoU and is
    left out; with `absent_as_zero` it counts as 0, as in GSVNet's code (all 19 classes, always).

    Attributes: `distances`, list of ConfusionMatrix.
    """

    def __init__(self, classes: int, interval: int, *, absent_as_zero: bool = False) -> None:
        self.absent_as_zero = absent_as_zero
        self.distances = [ConfusionMatrix(classes) for _ in range(interval + 1)]

    def update(self, distance: int, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """Add a frame seen at this distance; both (H, W). IndexError beyond the interval."""
        if not 0 <= distance < len(self.distances):
            raise IndexError(f"distance {distance} is outside 0 to {len(self.distances) - 1}")
        self.distances[distance].update(predicted, truth)

    def reset(self) -> None:
        """Forget every frame."""
        for matrix in self.distances:
            matrix.reset()

    @property
    def by_distance(self) -> NDArray[np.float64]:
        """mIoU at each distance, (interval + 1,); NaN where nothing was seen."""
        return np.array([self._mean_iou(matrix) for matrix in self.distances])

    @property
    def mean_of_distances(self) -> float:
        """Mean of the per-distance mIoUs: Deep Feature Flow's average."""
        return float(np.nanmean(self.by_distance))

    @property
    def pooled(self) -> float:
        """mIoU of one matrix over all distances: the average of GSVNet's and SwNet-seq's tables."""
        pool = ConfusionMatrix(self.distances[0].classes)
        for matrix in self.distances:
            pool.counts += matrix.counts
        return self._mean_iou(pool)

    @property
    def at_last(self) -> float:
        """mIoU at the largest distance: what GSVNet's and SwNet-seq's tables call the minimum."""
        return self._mean_iou(self.distances[-1])

    @property
    def minimum(self) -> float:
        """The smallest of the per-distance mIoUs."""
        return float(np.nanmin(self.by_distance))

    def _mean_iou(self, matrix: ConfusionMatrix) -> float:
        if self.absent_as_zero and matrix.counts.any():
            return float(np.nan_to_num(matrix.iou).mean())
        return matrix.mean_iou
