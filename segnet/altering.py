"""AR-Seg's altering resolution (Hu et al., CVPR 2023): an LR branch whose output is fused with a warped keyframe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from .low_resolution import LowResolution
from .network import SegmentationNetwork
from .warp import warp_features


@dataclass(frozen=True)
class Motion:
    """What motion tells of N frames, on their feature grid.

    `displacement` (N, h, w, 2) is the composed backward map to the keyframe in pixels, x first; `unreferenced`
    (N, h, w) in 0..1 marks cells that motion cannot explain; `distance` (N,) counts frames since the keyframe.
    """

    displacement: Tensor
    unreferenced: Tensor
    distance: Tensor


class Fusion(nn.Module, ABC):
    """How an LR frame and a keyframe become one: what of the keyframe is carried along, and what is made of it."""

    @abstractmethod
    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Tensor:
        """What is to be warped of keyframes, (N, K, h, w): from their normalised RGB, features and logits."""

    @abstractmethod
    def forward(self, low: LowResolution, images: Tensor, low_p: Tensor, warped: Tensor, motion: Motion) -> Tensor:
        """Logits (N, C, h, w) from the frames' normalised RGB, LR features on the small grid, and the warped carry."""


class AlteringResolution(nn.Module):
    """The LR branch and the fusion of AR-Seg; the HR network is a `SegmentationNetwork` of its own.

    On a keyframe: `logits, carried = ar.keyframe(hr, images)`. On every other frame:
    `logits = ar(images, carried, motion)`, with `carried` of that frame's keyframe. All frames normalised RGB
    (N, 3, H, W); logits (N, classes, ceil(H / s), ceil(W / s)).
    """

    def __init__(self, low: LowResolution, fusion: Fusion, *, compat: bool = False) -> None:
        super().__init__()
        self.low, self.fusion, self.compat = low, fusion, compat

    def keyframe(self, hr: SegmentationNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
        """Keyframes' logits, and what of them is carried to the frames that follow."""
        p = hr.features(images)
        logits = hr.classify(p)
        return logits, self.fusion.carry(hr, images, p, logits)

    def forward(self, images: Tensor, carried: Tensor, motion: Motion) -> Tensor:
        """Logits of frames between keyframes; `carried` (N, K, h, w) is not yet warped."""
        return self.fuse(images, self.low.low_features(images), carried, motion)

    def fuse(self, images: Tensor, low_p: Tensor, carried: Tensor, motion: Motion) -> Tensor:
        """`forward` with the LR features at hand."""
        cell = images.shape[-2] / carried.shape[-2]
        warped = warp_features(carried, motion.displacement / cell, compat=self.compat)
        logits: Tensor = self.fusion(self.low, images, low_p, warped, motion)
        return logits
