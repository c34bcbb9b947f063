"""AR-Seg (Hu et al., CVPR 2023, arXiv 2303.07224) written down plainly, for speed only: its weights are anything.

Every frame is decoded to RGB; motion is chained for each pixel, in whole pixels; the keyframe's features are warped at
their own resolution; CReFF is attention over 7x7 pixels whose neighbourhoods are laid out in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from ....errors import GopsegError
from ....segnet import SegmentationNetwork, local_attention_by_definition

WINDOW, LR_SCALE = 7, 0.5
MOST_BYTES = 6 << 30
"""What the neighbourhoods of keys and values may take."""

Clock = Callable[[str], AbstractContextManager[None]]


class NaiveARSeg:
    """`network` as the HR branch, which sees keyframes, and as the LR branch, which sees the others at half the size.
    `begin` before each keyframe."""

    def __init__(self, network: SegmentationNetwork, device: str) -> None:
        self._network, self._device = network.eval().to(device), device
        channels = network.feature_channels
        torch.manual_seed(0)
        self._convolutions = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, groups=channels) for _ in "qkv")
        self._convolutions.to(device).eval()
        self._key: Tensor | None = None
        self._ends: NDArray[np.int32] | None = None

    def begin(self) -> None:
        """The next frame is a keyframe."""
        self._key = self._ends = None

    def label(self, picture: av.VideoFrame, clock: Clock) -> Tensor:
        """The classes (H, W) of the next frame. GopsegError where the attention's memory is out of the question."""
        with clock("rgb"):
            image = picture.to_ndarray(format="rgb24")
        with clock("network"):
            images = self._network.normalise(torch.from_numpy(image).to(self._device)[None])
        if self._key is None:
            with clock("network"):
                p = self._key = self._network.features(images)
        else:
            with clock("motion"):
                self._ends = chained(vectors_of(picture), self._ends)
            with clock("network"):
                low = self._network.features(interpolate(images, scale_factor=LR_SCALE, mode="bilinear"))
            with clock("warp"):
                warped = warp(self._key, self._ends)
            with clock("fusion"):
                p = self._fused(warped, low)
        with clock("network"):
            logits = self._network.classify(p)
        with clock("labels"):
            whole = interpolate(logits, image.shape[:2], mode="bilinear", align_corners=True)
            return whole.softmax(1).argmax(1)[0].to(torch.uint8).cpu()

    def _fused(self, warped: Tensor, low: Tensor) -> Tensor:
        """CReFF: the LR features, enlarged, and what attention finds for them in the warped ones."""
        size = 2 * warped.nbytes * WINDOW**2
        if size > MOST_BYTES:
            raise GopsegError(f"its attention takes {size / 2**30:.0f} GiB")
        to_query, to_key, to_value = self._convolutions
        up = interpolate(low, warped.shape[-2:], mode="bilinear", align_corners=True)
        attended = local_attention_by_definition(to_query(up), to_key(warped), to_value(warped), WINDOW)
        return up + attended


def vectors_of(picture: av.VideoFrame) -> NDArray[np.int32]:
    """A frame's motion to the one before it in whole pixels, (H, W, 2), x first; 0 where there is none."""
    dense = np.zeros((picture.height, picture.width, 2), np.int32)
    data = picture.side_data.get("MOTION_VECTORS")
    for block in [] if data is None else data.to_ndarray():
        left, top = block["dst_x"] - block["w"] // 2, block["dst_y"] - block["h"] // 2
        place = dense[max(0, top) : top + block["h"], max(0, left) : left + block["w"]]
        scale = max(1, block["motion_scale"])
        place[...] = np.rint(block["motion_x"] / scale), np.rint(block["motion_y"] / scale)
    return dense


def chained(step: NDArray[np.int32], before: NDArray[np.int32] | None) -> NDArray[np.int32]:
    """Where each pixel lies in the keyframe, (H, W, 2), by its step to the frame before and that frame's own places."""
    height, width = step.shape[:2]
    x = np.clip(np.arange(width) + step[..., 0], 0, width - 1)
    y = np.clip(np.arange(height)[:, None] + step[..., 1], 0, height - 1)
    return np.stack([x, y], -1).astype(np.int32) if before is None else before[y, x]


def warp(features: Tensor, places: NDArray[np.int32]) -> Tensor:
    """Features (1, C, h, w) from where the pixels (H, W, 2) lie."""
    height, width = places.shape[:2]
    wanted = torch.from_numpy(places.astype(np.float64)).permute(2, 0, 1)[None].to(features.device)
    small = interpolate(wanted, features.shape[-2:], mode="bilinear", align_corners=True)[0].permute(1, 2, 0)
    grid = small / torch.tensor([width - 1, height - 1], device=small.device) * 2 - 1
    return grid_sample(features, grid[None].to(features.dtype), align_corners=True)
