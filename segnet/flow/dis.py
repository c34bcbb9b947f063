"""Dense inverse search: optical flow without a network (Kroeger et al., ECCV 2016), by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

PRESET = cv2.DISOPTICAL_FLOW_PRESET_FAST


def dense_inverse_search(current: Tensor, previous: Tensor) -> Tensor:
    """Grey pictures (N, H, W), uint8, to the backward flow (N, 2, H, W) in pixels, x before y, float32.

    Pixel (x, y) of `current` was at (x + dx, y + dy) in `previous`. Sides of at least 16 pixels; ValueError below.
    """
    if min(current.shape[-2:]) < 16:
        raise ValueError(f"pictures of {tuple(current.shape[-2:])} pixels are too small for dense inverse search")
    search = cv2.DISOpticalFlow.create(PRESET)
    flows = [
        search.calc(np.ascontiguousarray(now.cpu().numpy()), np.ascontiguousarray(before.cpu().numpy()), None)
        for now, before in zip(current, previous, strict=True)
    ]
    return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(current.device)
