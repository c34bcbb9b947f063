"""BiSeNetV1-18 (Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", ECCV 2018) as
AR-Seg uses it (Hu et al., CVPR 2023), in its published layout.

A shallow spatial path for detail, a ResNet-18 for context, and their fusion at stride 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..exportable import is_exporting
from ..network import class_names
from ..resize import resize_aligned
from .normalised import CAMVID, CITYSCAPES, Normalisation, NormalisedNetwork, initialise_convolutions, size_of
from .resnet import ResNet18


class ConvUnit(nn.Module):
    """Convolution without bias, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        return functional.relu(self.bn(self.conv(x)))


class AttentionRefinement(nn.Module):
    """A 3x3 unit whose channels are gated by what the whole map says."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = ConvUnit(in_channels, channels, 3)
        self.conv_atten = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to (N, channels, h, w)."""
        x = self.conv(x)
        gate = self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True)))
        refined: Tensor = x * gate.sigmoid()
        return refined


class ContextPath(nn.Module):
    """ResNet-18, refined from coarse to fine; both upsamplings repeat the nearest entry."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.resnet = ResNet18()
        self.arm16 = AttentionRefinement(256, channels)
        self.arm32 = AttentionRefinement(512, channels)
        self.conv_head32 = ConvUnit(channels, channels, 3)
        self.conv_head16 = ConvUnit(channels, channels, 3)
        self.conv_avg = ConvUnit(512, channels, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) to context of 128 channels on grids of 2 ceil(H / 16) and of ceil(H / 16) rows, fine first."""
        _, sixteenth, deepest = self.resnet(images)
        context = self.arm32(deepest) + self.conv_avg(deepest.mean((2, 3), keepdim=True))
        coarse = self.conv_head32(resize_aligned(twice(context), size_of(sixteenth)))
        fine: Tensor = self.conv_head16(twice(self.arm16(sixteenth) + coarse))
        return fine, coarse


def twice(x: Tensor) -> Tensor:
    """(N, C, h, w) to (N, C, 2 h, 2 w), each entry repeated."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class SpatialPath(nn.Module):
    """Three strided convolutions and a projection: detail at stride 8."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.conv1 = ConvUnit(3, 64, 7, 2)
        self.conv2 = ConvUnit(64, 64, 3, 2)
        self.conv3 = ConvUnit(64, 64, 3, 2)
        self.conv_out = ConvUnit(64, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, channels, ceil(H / 8), ceil(W / 8))."""
        detail: Tensor = self.conv_out(self.conv3(self.conv2(self.conv1(images))))
        return detail


class FeatureFusion(nn.Module):
    """Detail and context concatenated, projected, and strengthened by a gate."""

    def __init__(self, channels: int = 256) -> None:
        super().__init__()
        self.convblk = ConvUnit(channels, channels, 1)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Two maps of equal size to (N, channels, h, w)."""
        x = self.convblk(torch.cat([detail, context], 1))
        gate = self.bn(self.conv(x.mean((2, 3), keepdim=True)))
        fused: Tensor = x + x * gate.sigmoid()
        return fused


class Head(nn.Module):
    """A 3x3 unit and a linear classifier."""

    def __init__(self, in_channels: int, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvUnit(in_channels, channels, 3)
        self.conv_out = nn.Conv2d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.conv_out(self.conv(x))
        return logits


class BiSeNet(NormalisedNetwork):
    """BiSeNetV1-18; 13,425,721 parameters at 19 classes, with two auxiliary heads.

    `classes` is the number of classes or their names. `p` has 256 channels at stride 8, before the linear classifier,
    on a grid of 2 ceil(H / 16) x 2 ceil(W / 16) that spans the picture: one row or column more than ceil(H / 8) for
    some sizes. The auxiliary heads are the published ones, on the context at strides 8 and 16.
    """

    feature_channels = 256
    feature_stride = 8
    linear_classifier = True
    encoder = ("cp.resnet.",)
    published_aliases = MappingProxyType({"feat_conv_out.": "conv_out.conv.", "final_conv.": "conv_out.conv_out."})

    def __init__(self, classes: int | Sequence[str] = 19, normalisation: Normalisation = CITYSCAPES) -> None:
        super().__init__(normalisation)
        self.classes = class_names(classes)
        self.cp = ContextPath()
        self.sp = SpatialPath()
        self.ffm = FeatureFusion(self.feature_channels)
        self.conv_out = Head(self.feature_channels, self.feature_channels, len(self.classes))
        self.conv_out16 = Head(128, 64, len(self.classes))
        self.conv_out32 = Head(128, 64, len(self.classes))
        initialise_convolutions(self)

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 256, 2 ceil(H / 16), 2 ceil(W / 16))."""
        return self.decode(images, self.cp(images)[0])

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Normalised RGB to `p`, and the context (N, 128, ., .) at strides 8 and 16."""
        fine, coarse = self.cp(images)
        return self.decode(images, fine), (fine, coarse)

    def auxiliary(self) -> nn.ModuleList:
        """The published heads, two."""
        return nn.ModuleList([self.conv_out16, self.conv_out32])

    def decode(self, images: Tensor, context: Tensor) -> Tensor:
        """The picture and its context at stride 8 to `p`."""
        detail = resize_aligned(self.sp(images), size_of(context))
        p: Tensor = self.conv_out.conv(self.ffm(detail, context))
        return p

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 256, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.conv_out.conv_out(p)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to logits on the grid ceil(H / 8) x ceil(W / 8)."""
        logits = self.classify(self.features(images))
        grid = ((images.shape[-2] + 7) // 8, (images.shape[-1] + 7) // 8)  # exporters round -(-n // 8) towards 0
        if not is_exporting() and size_of(logits) == grid:
            return logits
        return functional.interpolate(logits, size=grid, mode="bilinear", align_corners=False)

    def published_outputs(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the published network returns: logits, auxiliary logits of the fine and the coarse context, and `p`.

        Logits are upsampled 8, 8 and 16 times: of the picture's size, or slightly larger.
        """
        p, (fine, coarse) = self.features_and_maps(images)
        auxiliary = enlarged(self.conv_out16(fine), 8), enlarged(self.conv_out32(coarse), 16)
        return self.published_scores(p), *auxiliary, p

    def published_scores(self, p: Tensor) -> Tensor:
        """What the published network returns for features, fused ones too: logits of 8 times their size."""
        return enlarged(self.classify(p), 8)


def camvid_bisenet(classes: int | Sequence[str] = 12) -> BiSeNet:
    """The network with the image statistics of CamVid."""
    return BiSeNet(classes, CAMVID)


def enlarged(logits: Tensor, factor: int) -> Tensor:
    """Bilinear, `align_corners=False`."""
    return functional.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=False)
