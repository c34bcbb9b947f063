"""Accuracy of label maps: the confusion matrix and what follows from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class ConfusionMatrix:
    """Pixel counts by true class (rows) and predicted class (columns), kept as int64.

    Pixels whose true label is not in [0, classes) are void and count for nothing. The usual round:
    `update` for every frame, then `iou` / `mean_iou`, `reset`.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts: NDArray[np.int64] = np.zeros((classes, classes), np.int64)

    def update(self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
        """Add one frame; both (H, W) of class indices. ValueError if the sizes differ."""
        if predicted.shape != truth.shape:
            raise ValueError(f"prediction is {predicted.shape}, truth is {truth.shape}")
        known = truth < self.classes
        pairs = truth[known].astype(np.int64) * self.classes + predicted[known]
        counts = np.bincount(pairs, minlength=self.classes**2)
        self.counts += counts.reshape(self.classes, self.classes)

    def reset(self) -> None:
        """Forget every frame."""
        self.counts[:] = 0

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union per class, (classes,); NaN for a class neither present nor predicted."""
        hit = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - np.diag(self.counts)
        iou = np.full(self.classes, np.nan)
        np.divide(hit, union, out=iou, where=union > 0)
        return iou

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that have one."""
        return float(np.nanmean(self.iou)) if self.counts.any() else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of known pixels that are right."""
        return float(np.trace(self.counts) / max(1, self.counts.sum()))
