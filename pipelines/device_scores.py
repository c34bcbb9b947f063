"""Scores that stay on an accelerator until labels are made of them there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .labels import check_cover


class DeviceScores:
    """Scores (1, classes, h, w) on a device, at the centres of cells of `stride` pixels; see `pipeline.LateScores`.

    Upsampling and the choice of the best class are done on the device, so that one byte a pixel is copied from it
    instead of all scores: at 960x720, 11 classes and a stride of 4, 0.7 MB of labels for 1.9 MB.
    """

    def __init__(self, scores: Tensor, stride: int) -> None:
        self._scores, self._stride = scores, stride

    def full(self) -> NDArray[np.float32]:
        """All of them, (h, w, classes)."""
        array: NDArray[np.float32] = self._scores[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
        return array

    def labels(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        """One label a pixel, (H, W) uint8, as `upsample_labels` makes them, up to rounding; its errors."""
        _, classes, rows, columns = self._scores.shape
        check_cover((rows, columns, classes), self._stride, size_hw)
        with torch.inference_mode():
            full = functional.interpolate(
                self._scores.float(), scale_factor=float(self._stride), mode="bilinear", align_corners=False
            )
            best = full[0, :, : size_hw[0], : size_hw[1]].argmax(0).to(torch.uint8)
            labels: NDArray[np.uint8] = best.cpu().numpy()
        return labels
