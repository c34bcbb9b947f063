"""BiSeNet with a ResNet-18 context path, as GSVNet's keyframe network (Lee et al., ICME 2021, after Yu et al.,
"BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", ECCV 2018), in the layout of the
published weights.

Every resize inside is bilinear with `align_corners=True`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..network import class_names
from ..resize import resize_aligned
from .bisenet import ConvUnit
from .normalised import IMAGENET, NormalisedNetwork, initialise_convolutions, size_of
from .resnet import ResNet18


class SpatialPath(nn.Module):
    """Three strided convolutions and a projection: detail at stride 8."""

    def __init__(self, channels: int, inner: int = 64) -> None:
        super().__init__()
        self.conv_7x7 = ConvUnit(3, inner, 7, 2)
        self.conv_3x3_1 = ConvUnit(inner, inner, 3, 2)
        self.conv_3x3_2 = ConvUnit(inner, inner, 3, 2)
        self.conv_1x1 = ConvUnit(inner, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, channels, ceil(H / 8), ceil(W / 8))."""
        detail: Tensor = self.conv_1x1(self.conv_3x3_2(self.conv_3x3_1(self.conv_7x7(images))))
        return detail


class AttentionRefinement(nn.Module):
    """A 3x3 convolution whose channels are gated by what the whole map says."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_3x3 = ConvUnit(in_channels, channels, 3)
        self.channel_attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Sequential(OrderedDict(conv=_gate(channels), bn=nn.BatchNorm2d(channels))),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to (N, channels, h, w)."""
        x = self.conv_3x3(x)
        gated: Tensor = x * self.channel_attention(x)
        return gated


class FeatureFusion(nn.Module):
    """Detail and context concatenated, projected and gated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1x1 = ConvUnit(channels, channels, 1)
        self.channel_attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Sequential(OrderedDict(conv=_gate(channels), relu=nn.ReLU())),
            nn.Sequential(OrderedDict(conv=_gate(channels))),
            nn.Sigmoid(),
        )

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Two maps of equal size to (N, channels, h, w)."""
        x = self.conv_1x1(torch.cat([detail, context], 1))
        fused: Tensor = x + x * self.channel_attention(x)
        return fused


class Head(nn.Module):
    """A 3x3 unit and a linear classifier."""

    def __init__(self, in_channels: int, channels: int, classes: int) -> None:
        super().__init__()
        self.conv_3x3 = ConvUnit(in_channels, channels, 3)
        self.conv_1x1 = nn.Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.conv_1x1(self.conv_3x3(x))
        return logits


class BiSeNetGSVNet(NormalisedNetwork):
    """GSVNet's BiSeNet-R18; 13,494,777 parameters at 19 classes, two auxiliary heads included.

    `classes` is the number of classes or their names. `p` has 64 channels at stride 8: the main head's 3x3 map. Input
    of any size. Unlike the other networks' logits, the published ones are read with `align_corners=True`. The auxiliary
    heads are the published ones, on the refined context at strides 16 and 8.
    """

    feature_channels = 64
    feature_stride = 8
    encoder = ("context_path.",)

    def __init__(self, classes: int | Sequence[str] = 19) -> None:
        super().__init__(IMAGENET)
        self.classes = class_names(classes)
        channels, count = 128, len(self.classes)
        self.spatial_path = SpatialPath(channels)
        self.context_path = ResNet18()
        self.global_context = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvUnit(512, channels, 1))
        self.arms = nn.ModuleList([AttentionRefinement(512, channels), AttentionRefinement(256, channels)])
        self.refines = nn.ModuleList([ConvUnit(channels, channels, 3), ConvUnit(channels, channels, 3)])
        self.ffm = FeatureFusion(2 * channels)
        self.heads = nn.ModuleList(
            [
                Head(channels, 2 * channels, count),
                Head(channels, 2 * channels, count),
                Head(2 * channels, self.feature_channels, count),
            ]
        )
        initialise_convolutions(self)

    def context(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Refined context (N, 128, ., .) at strides 16 and 8: what the auxiliary heads classify."""
        eighth, sixteenth, deepest = self.context_path(images)
        x = resize_aligned(self.global_context(deepest), size_of(deepest))
        coarse = self.refines[0](resize_aligned(self.arms[0](deepest) + x, size_of(sixteenth)))
        fine = self.refines[1](resize_aligned(self.arms[1](sixteenth) + coarse, size_of(eighth)))
        return coarse, fine

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 64, ceil(H / 8), ceil(W / 8))."""
        return self.features_and_maps(images)[0]

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Normalised RGB to `p`, and the refined context at strides 16 and 8."""
        coarse, fine = self.context(images)
        return self._main.conv_3x3(self.ffm(self.spatial_path(images), fine)), (coarse, fine)

    def auxiliary(self) -> nn.ModuleList:
        """The published heads, two."""
        return self.heads[:2]

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 64, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self._main.conv_1x1(p)
        return logits

    @property
    def _main(self) -> Head:
        return cast(Head, self.heads[2])


def _gate(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 1, bias=False)
