"""PSPNet-18 as AR-Seg uses it on Cityscapes (Zhao et al., CVPR 2017), in the layout of the semseg code base.

A dilated ResNet-18 with a named stem, pyramid pooling, and a head at stride 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ..network import class_names
from ..resize import resize_aligned
from .normalised import IMAGENET, NormalisedNetwork, initialise_convolutions, size_of
from .resnet import Dilations, residual_stage


class PyramidPooling(nn.Module):
    """Averages over grids of 1, 2, 3 and 6, projected by conv1x1-BN-ReLU, upsampled and put after the input."""

    def __init__(self, in_channels: int, level_channels: int) -> None:
        super().__init__()
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(grid),
                nn.Conv2d(in_channels, level_channels, 1, bias=False),
                nn.BatchNorm2d(level_channels),
                nn.ReLU(),
            )
            for grid in (1, 2, 3, 6)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to (N, in + 4 level, h, w)."""
        return torch.cat([x, *(resize_aligned(level(x), size_of(x)) for level in self.features)], 1)


def head(in_channels: int, channels: int, classes: int) -> nn.Sequential:
    """conv3x3-BN-ReLU, dropout, and a linear classifier as its last module."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Dropout2d(0.1),
        nn.Conv2d(channels, classes, 1),
    )


class SemsegPSPNet(NormalisedNetwork):
    """PSPNet-18, semseg flavour; 16,764,262 parameters at 19 classes, with the auxiliary head.

    `classes` is the number of classes or their names. `p` has 512 channels at stride 8, before the linear classifier.
    The auxiliary head is the published one, on the third stage's map.
    """

    feature_channels = 512
    feature_stride = 8
    linear_classifier = True
    encoder = ("layer",)
    dilations: tuple[Dilations, Dilations] = (((1, 2), (2, 2)), ((1, 4), (4, 4)))
    published_aliases = MappingProxyType({"final_conv.": "cls.4."})

    def __init__(self, classes: int | Sequence[str] = 19) -> None:
        super().__init__(IMAGENET)
        self.classes = class_names(classes)
        self.layer0 = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)
        )
        self.layer1 = residual_stage(64, 64, 1)
        self.layer2 = residual_stage(64, 128, 2)
        self.layer3 = residual_stage(128, 256, 1, self.dilations[0])
        self.layer4 = residual_stage(256, 512, 1, self.dilations[1])
        self.ppm = PyramidPooling(512, 128)
        self.cls = head(1024, self.feature_channels, len(self.classes))
        self.aux = head(256, 256, len(self.classes))
        initialise_convolutions(self)

    def third(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to the third stage's map, (N, 256, ceil(H / 8), ceil(W / 8))."""
        x: Tensor = self.layer3(self.layer2(self.layer1(self.layer0(images))))
        return x

    def decode(self, third: Tensor) -> Tensor:
        """The third stage's map to `p`, (N, 512, h, w)."""
        p: Tensor = self.cls[:-1](self.ppm(self.layer4(third)))
        return p

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 512, ceil(H / 8), ceil(W / 8))."""
        return self.decode(self.third(images))

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """Normalised RGB to `p`, and the third stage's map (N, 256, ceil(H / 8), ceil(W / 8))."""
        third = self.third(images)
        return self.decode(third), (third,)

    def auxiliary(self) -> nn.ModuleList:
        """The published head."""
        return nn.ModuleList([self.aux])

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 512, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.cls[-1](p)
        return logits

    def published_outputs(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the published network returns: logits and auxiliary logits of the picture's size, and `p`."""
        p, (third,) = self.features_and_maps(images)
        size = size_of(images)
        return resize_aligned(self.classify(p), size), resize_aligned(self.aux(third), size), p

    def published_scores(self, p: Tensor) -> Tensor:
        """What the published network returns for fused features: logits of their size."""
        return self.classify(p)
