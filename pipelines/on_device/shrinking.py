"""Pictures made smaller by the means of areas, on the CPU by OpenCV and on an accelerator as OpenCV does it."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from .transfers import sent


def shrunk(pictures: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Pictures (N, H, W, 3) uint8 at `size_hw`, which is no larger: (N, h, w, 3) uint8, on their device.

    Each pixel is the mean of the area that it covers, rounded (OpenCV's INTER_AREA; on an accelerator up to rounding).
    """
    if tuple(pictures.shape[1:3]) == tuple(size_hw):
        return pictures
    if pictures.device.type == "cpu":
        resized = [cv2.resize(one, size_hw[::-1], interpolation=cv2.INTER_AREA) for one in pictures.numpy()]
        return torch.from_numpy(np.stack(resized))
    return area_means(pictures, size_hw)


def area_means(pictures: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """`shrunk` in torch."""
    sides = list(zip(pictures.shape[1:3], size_hw, strict=True))
    with torch.inference_mode():
        down, across = (_shares(before, after, pictures.device) for before, after in sides)
        means = down @ (pictures.permute(0, 3, 1, 2).float() @ across.T)
        # OpenCV adds a half and cuts off where both sides are halved; elsewhere halves go to the even number
        is_half = all(before == 2 * after for before, after in sides)
        rounded = (means + 0.5).floor() if is_half else means.round()
        return rounded.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


@lru_cache(maxsize=16)
def _shares(before: int, after: int, device: torch.device) -> Tensor:
    """What each of `before` pixels in a row counts in each of `after` that cover the same, (after, before) float32."""
    edges = np.arange(after + 1) * (before / after)
    first, last = edges[:-1, None], edges[1:, None]
    pixels = np.arange(before)
    covered = (np.minimum(last, pixels + 1) - np.maximum(first, pixels)).clip(0)
    return sent((covered / covered.sum(1, keepdims=True)).astype(np.float32), device)
