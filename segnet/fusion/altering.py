"""AR-Seg's altering resolution (Hu et al., CVPR 2023): an LR branch whose output is fused with a warped keyframe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from ..network import SegmentationNetwork
from ..parameters import ParameterGroup, grouped
from ..warp import motion_on_grid, warp_features
from .low_resolution import LowResolution


@dataclass(frozen=True)
class Motion:
    """What motion tells of N frames, on their feature grid.

    `displacement` (N, h, w, 2) is the composed backward map to the keyframe in pixels, x first; `unreferenced`
    (N, h, w) in 0..1 marks cells that motion cannot explain; `distance` (N,) counts frames since the keyframe.
    """

    displacement: Tensor
    unreferenced: Tensor
    distance: Tensor


Carried = tuple[Tensor, ...]
"""What a fusion keeps of keyframes: maps (N, K, h, w) on grids that span the picture, not yet warped."""


class Fusion(nn.Module, ABC):
    """How an LR frame and a keyframe become one: what of the keyframe is carried along, and what is made of it."""

    @abstractmethod
    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Carried:
        """What is to be warped of keyframes: from their normalised RGB (N, 3, H, W), features and logits."""

    @abstractmethod
    def forward(self, low: LowResolution, small: Tensor, low_p: Tensor, warped: Carried, motion: Motion) -> Tensor:
        """Logits (N, C, h, w) from the shrunken frames (normalised RGB), their LR features, and the warped carry."""

    def features(self, low_p: Tensor, warped: Carried) -> Tensor | None:  # noqa: ARG002
        """The fused features (N, K, h, w), which the network's classifier takes; None where logits are fused."""
        return None


class AlteringResolution(nn.Module):
    """The LR branch and the fusion of AR-Seg; the HR network is a `SegmentationNetwork` of its own.

    On a keyframe: `logits, carried = ar.keyframe(hr, images)`. On every other frame:
    `logits = ar(images, carried, motion)`, with `carried` of that frame's keyframe. All frames normalised RGB
    (N, 3, H, W); logits (N, classes, ceil(H / s), ceil(W / s)). `compat` warps as the published code does.
    """

    def __init__(self, low: LowResolution, fusion: Fusion, *, compat: bool = False) -> None:
        super().__init__()
        self.low, self.fusion, self.compat = low, fusion, compat

    def parameter_groups(self) -> list[ParameterGroup]:
        """Those of the "low branch" and of the "fusion"."""
        parts = [("low branch", self.low, "low"), ("fusion", self.fusion, "fusion")]
        return [group for name, part, key in parts for group in grouped(name, part.named_parameters(key))]

    def keyframe(self, hr: SegmentationNetwork, images: Tensor) -> tuple[Tensor, Carried]:
        """Keyframes' logits, and what of them is carried to the frames that follow."""
        p = hr.features(images)
        logits = hr.classify(p)
        return logits, self.fusion.carry(hr, images, p, logits)

    def forward(self, images: Tensor, carried: Carried, motion: Motion) -> Tensor:
        """Logits of frames between keyframes."""
        small = self.low.shrink(images)
        picture_hw = (images.shape[-2], images.shape[-1])
        return self.fuse(small, self.low.network.features(small), carried, motion, picture_hw)

    def fuse(
        self, small: Tensor, low_p: Tensor, carried: Carried, motion: Motion, picture_hw: tuple[int, int]
    ) -> Tensor:
        """`forward` from the shrunken frames (N, 3, h', w') and their LR features; `picture_hw` is the full size.

        `carried[0]` is on the HR network's own grid: whole cells of its stride, or, for networks whose features come
        out larger than that, a grid that spans the picture.
        """
        logits: Tensor = self.fusion(self.low, small, low_p, self.warp(carried, motion, picture_hw), motion)
        return logits

    def spanned(self, carried: Carried, picture_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width in pixels of what the grid of `carried[0]` spans; see `fuse`."""
        stride = self.low.feature_stride
        rows, columns = (
            side if cells != -(-side // stride) else cells * stride
            for cells, side in zip(carried[0].shape[-2:], picture_hw, strict=True)
        )
        return rows, columns

    def warp(self, carried: Carried, motion: Motion, picture_hw: tuple[int, int]) -> Carried:
        """What keyframes gave, where it lies in the frames; see `fuse`."""
        spanned = self.spanned(carried, picture_hw)

        def warped(x: Tensor) -> Tensor:
            grid = (x.shape[-2], x.shape[-1])
            flow = motion_on_grid(motion.displacement, spanned, grid, compat=self.compat)
            return warp_features(x, flow, compat=self.compat)

        return tuple(warped(x) for x in carried)
