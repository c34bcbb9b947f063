"""VSPW's metrics: how constant labels are where the scene is, and IoU as its authors average it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .confusion import ConfusionMatrix

_LEGACY_SHORTEST = 16
"""The authors' script leaves out videos of this many frames or fewer, whatever the window."""


class VideoConsistency:
    """Video consistency VC_n (Miao et al., CVPR 2021) for several window lengths n, in memory of one frame.

    Of the pixels whose true label stays the same for n frames, the share whose predicted label does too; the mean over
    all windows of all videos in which there are such pixels. It need not be the right label: a constant wrong one gives
    1. Void counts as a label. The usual round: `update` for every frame, `end_video` after each video, then `compute`,
    `reset`.
    """

    def __init__(self, windows: Sequence[int] = (8, 16)) -> None:
        if min(windows) < 1:
            raise ValueError(f"windows {tuple(windows)}: each must be at least one frame")
        self.windows = tuple(windows)
        self._before: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget every video."""
        self._scores: dict[int, list[float]] = {n: [] for n in self.windows}
        self._strict: dict[int, list[float]] = {n: [] for n in self.windows}
        self._legacy: dict[int, list[float]] = {n: [] for n in self.windows}
        self._begin()

    def update(self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8], void: int = 255) -> None:
        """Add the next frame of a video, (H, W) class indices; ValueError if sizes differ or change."""
        if predicted.shape != truth.shape or (self._before is not None and self._before[0].shape != truth.shape):
            raise ValueError(f"prediction is {predicted.shape}, truth is {truth.shape}; they must be equal in a video")
        if self._before is None:
            self._runs = np.ones((2, *truth.shape), np.int32)
        else:
            for run, now, before in zip(self._runs, (predicted, truth), self._before, strict=True):
                run *= now == before
                run += 1
        self._before = predicted.copy(), truth.copy()
        self._frames += 1
        for n in self.windows:
            if self._frames >= n:
                steady, both = self._runs[1] >= n, self._runs.min(0) >= n
                known = steady & (truth != void)
                self._video[n].append((share(both, steady), share(both & (predicted == truth), known)))

    def end_video(self) -> None:
        """Count the video's windows; the next frame begins another video."""
        for n, scores in self._video.items():
            self._scores[n] += [score for score, _ in scores]
            self._strict[n] += [strict for _, strict in scores]
            if self._frames > _LEGACY_SHORTEST:
                self._legacy[n] += [score for score, _ in scores[:-1]]
        self._begin()

    def compute(self) -> dict[str, float]:
        """For each window length n `vcN`; `vcN_legacy`, as the authors' script has it: without the last window of each
        video, and without videos of up to 16 frames; and `vcN_strict`, where the label must be right too and void
        counts for nothing. Fractions of 1, NaN where there is no window."""
        made = (("", self._scores), ("_legacy", self._legacy), ("_strict", self._strict))
        return {f"vc{n}{name}": mean_of_known(scores[n]) for n in self.windows for name, scores in made}

    def _begin(self) -> None:
        self._frames = 0
        self._before = None
        self._runs = np.zeros((2, 0, 0), np.int32)  # frames for which each prediction and each true label has held
        self._video: dict[int, list[tuple[float, float]]] = {n: [] for n in self.windows}


def share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    """|part and whole| / |whole|, NaN where `whole` is empty."""
    count = np.count_nonzero(whole)
    return float(np.count_nonzero(part & whole) / count) if count else float("nan")


def mean_of_known(values: Sequence[float]) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")


def present_mean_iou(confusion: ConfusionMatrix) -> float:
    """Mean IoU over the classes that occur in the ground truth, as VSPW's script has it: a class that is predicted
    somewhere but never there is left out. NaN where nothing is known."""
    present = confusion.counts.sum(1) > 0
    return float(confusion.iou[present].mean()) if present.any() else float("nan")


def weighted_iou(confusion: ConfusionMatrix) -> float:
    """IoU weighted by each class's share of the known pixels; NaN where nothing is known."""
    pixels = confusion.counts.sum(1)
    if not pixels.any():
        return float("nan")
    return float((pixels[pixels > 0] * confusion.iou[pixels > 0]).sum() / pixels.sum())
