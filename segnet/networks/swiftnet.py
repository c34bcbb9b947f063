"""SwiftNet-R18, single scale (Orsic et al., "In Defense of Pre-trained ImageNet Architectures for Real-time Semantic
Segmentation of Road-driving Images", CVPR 2019), in the layout of the published weights.

ResNet-18 encoder, spatial pyramid pooling on its last map, and a light decoder that adds one lateral skip at each
resolution. Skips are taken after the ReLU, as the published single-scale weights need.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..exportable import area_means, at_least_one, is_exporting, rounded_ratio
from ..network import SegmentationNetwork, class_names
from .resnet import residual_stage

IMAGE_MEAN = (73.15, 82.90, 72.3)
IMAGE_STD = (47.67, 48.49, 47.73)


class NormReluConv(nn.Module):
    """BatchNorm, ReLU, convolution: the unit of which SwiftNet's decoder is made."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, bias: bool = False, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels, momentum=momentum)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        out: Tensor = self.conv(functional.relu(self.norm(x)))
        return out


class SpatialPyramidPooling(nn.Module):
    """Average pooling to grids of 8, 4 and 2 rows, each projected and upsampled, then fused with the input."""

    grids = (8, 4, 2)

    def __init__(self, in_channels: int, channels: int, momentum: float = 0.005) -> None:
        super().__init__()
        level = channels // len(self.grids)
        self.spp = nn.ModuleDict({"spp_bn": NormReluConv(in_channels, channels, 1, momentum=momentum)})
        for i in range(len(self.grids)):
            self.spp[f"spp{i}"] = NormReluConv(channels, level, 1, momentum=momentum)
        self.spp["spp_fuse"] = NormReluConv(channels + level * len(self.grids), channels, 1, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to (N, channels, h, w)."""
        x = self.spp["spp_bn"](x)
        height, width = x.shape[-2:]
        levels = [x]
        for i, rows in enumerate(self.grids):
            pooled = area_means(x, (rows, self.columns(rows, height, width)))
            pooled = self.spp[f"spp{i}"](pooled)
            levels.append(functional.interpolate(pooled, size=(height, width), mode="bilinear", align_corners=False))
        out: Tensor = self.spp["spp_fuse"](torch.cat(levels, 1))
        return out

    @staticmethod
    def columns(rows: int, height: int, width: int) -> int:
        """Columns of a grid of `rows` whose cells are about square, on a map of that size."""
        if is_exporting():
            columns: int = at_least_one(rounded_ratio(rows * width, height))
            return columns
        return max(1, round(rows * width / height))


class Upsample(nn.Module):
    """The coarse map resized to the skip's size, plus the projected skip, blended by a 3x3 convolution."""

    def __init__(self, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.bottleneck = NormReluConv(skip_channels, channels, 1)
        self.blend_conv = NormReluConv(channels, channels, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """`x` (N, C, h, w) and `skip` (N, skip_channels, H, W) to (N, C, H, W)."""
        skip = self.bottleneck(skip)
        x = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        out: Tensor = self.blend_conv(x + skip)
        return out


class Backbone(nn.Module):
    """A module with the image statistics of the published weights."""

    img_mean: Tensor
    img_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("img_mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1))
        self.register_buffer("img_std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1))


class SwiftNetBackbone(Backbone):
    """Encoder, pyramid pooling and decoder: everything up to `p`."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = residual_stage(64, 64, 1)
        self.layer2 = residual_stage(64, 128, 2)
        self.layer3 = residual_stage(128, 256, 2)
        self.layer4 = residual_stage(256, 512, 2)
        self.spp = SpatialPyramidPooling(512, channels)
        self.upsample = nn.ModuleList([Upsample(skip, channels) for skip in (256, 128, 64)])

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised RGB (N, 3, H, W) to maps (N, channels, ceil(H / s), ceil(W / s)) at s = 4, and s = 32, 16, 8."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 3, 2, padding=1)
        skips = []
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
            skips.append(x)
        decoded = [self.spp(self.layer4(x))]
        for unit, skip in zip(self.upsample, reversed(skips), strict=True):
            decoded.append(unit(decoded[-1], skip))
        *coarser, p = decoded
        return p, tuple(coarser)


def linear_heads(channels: int, classes: int, count: int) -> nn.ModuleList:
    """So many fresh linear classifiers of rectified maps (N, channels, h, w), for deep supervision."""
    return nn.ModuleList(nn.Sequential(nn.ReLU(), nn.Conv2d(channels, classes, 1)) for _ in range(count))


class SwiftNet(SegmentationNetwork):
    """SwiftNet-R18, single scale; 11,797,071 parameters at 19 classes.

    `classes` is the number of classes or their names. `p` has 128 channels at stride 4, before the classifier's
    BatchNorm-ReLU-conv1x1. Input of any size. Auxiliary heads are fresh linear ones on the decoder's maps at strides
    32, 16 and 8.
    """

    feature_channels = 128
    feature_stride = 4
    encoder = ("backbone.conv1.", "backbone.bn1.", "backbone.layer")

    def __init__(self, classes: int | Sequence[str] = 19) -> None:
        super().__init__()
        self.classes = class_names(classes)
        self.backbone = self.make_backbone()
        self.logits = NormReluConv(self.feature_channels, len(self.classes), 1, bias=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def make_backbone(self) -> Backbone:
        """What gives `p` and the coarser maps, untrained."""
        return SwiftNetBackbone(self.feature_channels)

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 128, ceil(H / 4), ceil(W / 4))."""
        return self.features_and_maps(images)[0]

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised RGB to `p`, and the decoder's maps (N, 128, ., .) at strides 32, 16 and 8."""
        p, maps = self.backbone(images)
        return p, maps

    def auxiliary(self) -> nn.ModuleList:
        """Fresh linear heads, three."""
        return linear_heads(self.feature_channels, len(self.classes), 3)

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 128, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.logits(p)
        return logits

    @property
    def mean(self) -> Tensor:
        """Per-channel mean of the training images, RGB, 0..255, shape (1, 3, 1, 1)."""
        return self.backbone.img_mean

    @property
    def std(self) -> Tensor:
        """Per-channel standard deviation of the training images, RGB, 0..255, shape (1, 3, 1, 1)."""
        return self.backbone.img_std
