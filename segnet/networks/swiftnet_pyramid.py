"""SwiftNet-R18, pyramid form (Orsic et al., CVPR 2019), in the layout of the published weights.

One ResNet-18 runs on the image and on its halves and quarters, with BatchNorms of its own for each of the three sizes.
Maps of equal stride are summed over the levels, and a decoder goes from stride 128 to stride 4. Skips are taken before
the ReLU, unlike the single-scale form's.
"""

from __future__ import annotations

import re

from torch import Tensor, nn
from torch.nn import functional

from .swiftnet import Backbone, NormReluConv, SwiftNet

LEVELS = 3
STAGES = (64, 128, 256, 512)


def without_levels(key: str) -> str:
    """The name in ResNet-18 of a tensor that each level has its own of: `bn1.2.weight` is `bn1.weight`."""
    return re.sub(r"(\bbn\d)\.\d\.", r"\1.", key)


class LevelNorm(nn.ModuleList):
    """One BatchNorm for each level of the image pyramid."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.BatchNorm2d(channels) for _ in range(LEVELS))


class LevelBlock(nn.Module):
    """ResNet's basic block with a BatchNorm for each level; the projection's BatchNorm is shared."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = LevelNorm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = LevelNorm(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor, level: int) -> Tensor:
        """(N, in, H, W) of one level to (N, out, ceil(H / stride), ceil(W / stride)), before the last ReLU."""
        y = functional.relu(self.bn1[level](self.conv1(x)))
        y = self.bn2[level](self.conv2(y))
        out: Tensor = y + (x if self.downsample is None else self.downsample(x))
        return out


class Blend(nn.Module):
    """The coarse map resized to the finer bucket's size, plus that bucket, blended by a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blend_conv = NormReluConv(channels, channels, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """`x` (N, C, h, w) and `skip` (N, C, H, W) to (N, C, H, W)."""
        x = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        out: Tensor = self.blend_conv(x + skip)
        return out


class PyramidBackbone(Backbone):
    """Encoder on three image sizes and decoder: everything up to `p`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = LevelNorm(64)
        for number, (before, width) in enumerate(zip((64, *STAGES), STAGES, strict=False), 1):
            blocks = [LevelBlock(before, width, 1 if number == 1 else 2), LevelBlock(width, width, 1)]
            self.add_module(f"layer{number}", nn.ModuleList(blocks))
        self.upsample_bottlenecks = nn.ModuleList(
            nn.Conv2d(width, channels, 1, bias=False) for width in reversed(STAGES)
        )
        self.upsample_blends = nn.ModuleList(Blend(channels) for _ in range(LEVELS + len(STAGES) - 2))

    def skips(self, images: Tensor, level: int) -> list[Tensor]:
        """Projected stage outputs of one level, (N, channels, ., .) at strides 4, 8, 16, 32 of its own image."""
        x = functional.max_pool2d(functional.relu(self.bn1[level](self.conv1(images))), 3, 2, padding=1)
        projected = []
        for number, project in enumerate(reversed(self.upsample_bottlenecks), 1):
            for block in self.get_submodule(f"layer{number}").children():
                before_relu = block(x, level)
                x = functional.relu(before_relu)
            projected.append(project(before_relu))
        return projected

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised RGB (N, 3, H, W) to maps (N, channels, ceil(H / s), ceil(W / s)) at s = 4, and s = 32, 16, 8."""
        buckets: list[Tensor | None] = [None] * (LEVELS + len(STAGES) - 1)
        for level in range(LEVELS):
            size = [(side + 2**level - 1) // 2**level for side in images.shape[-2:]]
            scaled = images if level == 0 else functional.interpolate(images, size=size, mode="bicubic")
            for at, skip in enumerate(self.skips(scaled, level), level):
                held = buckets[at]
                buckets[at] = skip if held is None else held + skip
        x, *finer = [bucket for bucket in reversed(buckets) if bucket is not None]
        decoded = [x]
        for blend, skip in zip(self.upsample_blends, finer, strict=True):
            decoded.append(blend(decoded[-1], skip))
        return decoded[-1], tuple(decoded[-4:-1])


class SwiftNetPyramid(SwiftNet):
    """SwiftNet-R18 on an image pyramid; 12,056,275 parameters at 19 classes.

    All but the backbone is as in `SwiftNet`. The published model normalises its input itself; here `normalise` does.
    """

    def make_backbone(self) -> PyramidBackbone:
        """See `SwiftNet`."""
        return PyramidBackbone(self.feature_channels)
