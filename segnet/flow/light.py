"""GSVNet's light flow network (Lee et al., "GSVNet: Guided Spatially-Varying Convolution for Fast Semantic Segmentation
on Video", ICME 2021), in the layout of the published weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_unit(in_channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution with bias, BatchNorm; the LeakyReLU that follows has no parameters."""
    return nn.Sequential(
        nn.Conv2d(
            in_channels, out_channels, kernel, stride, padding=dilation * (kernel // 2), dilation=dilation, bias=True
        ),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.1),
    )


class LightFlowNet(nn.Module):
    """Backward flow between two small frames; 186,402 parameters.

    Two strided convolutions, four dilated ones (1, 2, 4, 8) summed hierarchically, and a linear read-out.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.conv1 = conv_unit(6, channels // 2, 3, 2)
        self.conv2 = conv_unit(channels // 2, channels, 3, 2)
        self.conv_dilate_1 = conv_unit(channels, channels, 3)
        self.conv_dilate_2 = conv_unit(channels, channels, 3, dilation=2)
        self.conv_dilate_3 = conv_unit(channels, channels, 3, dilation=4)
        self.conv_dilate_4 = conv_unit(channels, channels, 3, dilation=8)
        self.conv_merge = conv_unit(4 * channels, channels, 1)
        self.toflow = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, pair: Tensor) -> Tensor:
        """Current and previous frame, (N, 6, h, w), to flow (N, 2, ceil(h / 4), ceil(w / 4)).

        x before y, backward, in quarter cells of the input's grid: `x_previous = x + flow / 4`.
        """
        x = self.conv2(self.conv1(pair))
        total = self.conv_dilate_1(x)
        sums = [total]
        for dilated in (self.conv_dilate_2, self.conv_dilate_3, self.conv_dilate_4):
            total = total + dilated(x)
            sums.append(total)
        flow: Tensor = self.toflow(x + self.conv_merge(torch.cat(sums, 1)))
        return flow
