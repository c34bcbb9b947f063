"""ResNet-18, with torchvision's parameter names (He et al., CVPR 2016), plain or dilated."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

Dilations = tuple[tuple[int, int], tuple[int, int]]
"""Of a stage: its two blocks' two convolutions."""

PLAIN: Dilations = ((1, 1), (1, 1))


class BasicBlock(nn.Module):
    """conv3x3-BN-ReLU-conv3x3-BN, plus the input (or its strided 1x1 projection), ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=first, dilation=first, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride)), after the last ReLU."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


def residual_stage(in_channels: int, out_channels: int, stride: int, dilations: Dilations = PLAIN) -> nn.Sequential:
    """Two basic blocks, the first with the stride: one of ResNet-18's four stages."""
    return nn.Sequential(
        BasicBlock(in_channels, out_channels, stride, dilations[0]),
        BasicBlock(out_channels, out_channels, 1, dilations[1]),
    )


class ResNet18(nn.Module):
    """The encoder without its classifier: maps at strides 8, 16 and 32.

    `dilated` gives the dilations of the last two stages, which then keep stride 8 instead.
    """

    def __init__(self, dilated: tuple[Dilations, Dilations] | None = None) -> None:
        super().__init__()
        stride, (third, fourth) = (2, (PLAIN, PLAIN)) if dilated is None else (1, dilated)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = residual_stage(64, 64, 1)
        self.layer2 = residual_stage(64, 128, 2)
        self.layer3 = residual_stage(128, 256, stride, third)
        self.layer4 = residual_stage(256, 512, stride, fourth)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) to the outputs of the last three stages: 128, 256 and 512 channels."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(images))), 3, 2, padding=1)
        second = self.layer2(self.layer1(x))
        third = self.layer3(second)
        return second, third, self.layer4(third)
