"""PSPNet-18 as AR-Seg uses it on CamVid (Zhao et al., CVPR 2017; Hu et al., CVPR 2023), in its published layout.

A dilated ResNet-18, pyramid pooling, and three upsampling convolutions back to the picture's resolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..network import class_names
from ..resize import resize_aligned
from .normalised import CAMVID, NormalisedNetwork, initialise_convolutions, size_of
from .resnet import ResNet18


class PyramidPooling(nn.Module):
    """Averages over grids of 1, 2, 3 and 6, projected, upsampled and put before the input; then a linear bottleneck."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(grid), nn.Conv2d(in_channels, in_channels, 1, bias=False))
            for grid in (1, 2, 3, 6)
        )
        self.bottleneck = nn.Conv2d(5 * in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to (N, out, h, w)."""
        levels = [
            functional.interpolate(stage(x), size=size_of(x), mode="bilinear", align_corners=False)
            for stage in self.stages
        ]
        return functional.relu(self.bottleneck(torch.cat([*levels, x], 1)))


class Upsample(nn.Module):
    """Twice the size, then conv3x3, BatchNorm and a PReLU of one slope."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.PReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) to (N, out, 2 h, 2 w)."""
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        out: Tensor = self.conv(x)
        return out


class GlobalMaximum(nn.Module):
    """The largest value of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C)."""
        return x.amax((2, 3))


class PSPNet(NormalisedNetwork):
    """PSPNet-18, CamVid flavour; 17,461,979 parameters at 12 classes.

    `classes` is the number of classes or their names. `p` has 64 channels at stride 1, before the linear classifier;
    where the picture's sides are no multiples of 8 it is larger than the picture, 8 ceil(H / 8) x 8 ceil(W / 8).
    The auxiliary head says which classes are there at all.
    """

    feature_channels = 64
    feature_stride = 1
    linear_classifier = True
    encoder = ("feats.",)

    def __init__(self, classes: int | Sequence[str] = 12) -> None:
        super().__init__(CAMVID)
        self.classes = class_names(classes)
        self.feats = ResNet18((((1, 1), (2, 2)), ((1, 1), (4, 4))))
        self.psp = PyramidPooling(512, 1024)
        self.up_1, self.up_2, self.up_3 = Upsample(1024, 256), Upsample(256, 64), Upsample(64, self.feature_channels)
        self.final_conv = nn.Conv2d(self.feature_channels, len(self.classes), 1)
        self.classifier = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, len(self.classes)))
        self.drop_pyramid, self.drop = nn.Dropout2d(0.3), nn.Dropout2d(0.15)
        initialise_convolutions(self)

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, 64, 8 ceil(H / 8), 8 ceil(W / 8))."""
        return self.decode(self.feats(images)[2])

    def decode(self, deepest: Tensor) -> Tensor:
        """The encoder's last map (N, 512, h, w) to `p`, (N, 64, 8 h, 8 w)."""
        p: Tensor = self.drop_pyramid(self.psp(deepest))
        for up in (self.up_1, self.up_2, self.up_3):
            p = self.drop(up(p))
        return p

    def classify(self, p: Tensor) -> Tensor:
        """Features (N, 64, h, w) to logits (N, classes, h, w)."""
        logits: Tensor = self.final_conv(p)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to logits of that size."""
        return resize_aligned(self.classify(self.features(images)), size_of(images))

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor]]:
        """Normalised RGB to `p`, and the encoder's third map (N, 256, ceil(H / 8), ceil(W / 8))."""
        _, third, deepest = self.feats(images)
        return self.decode(deepest), (third,)

    def auxiliary(self) -> nn.ModuleList:
        """The published image-level head: scores (N, classes), logits of each class being in the picture."""
        return nn.ModuleList([nn.Sequential(GlobalMaximum(), self.classifier)])

    def published_outputs(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the published network returns: log-probabilities (N, classes, H, W), image-level scores, and `p`."""
        p, (third,) = self.features_and_maps(images)
        logits = resize_aligned(self.classify(p), size_of(images))
        return logits.log_softmax(1), self.auxiliary()[0](third), p

    def published_scores(self, p: Tensor) -> Tensor:
        """What the published network returns for fused features: log-probabilities of their size."""
        return self.classify(p).log_softmax(1)
