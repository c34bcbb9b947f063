"""EfficientNet-Lite 0, 1 and 2 (Google, 2020; Apache 2.0): EfficientNet (Tan and Le, ICML 2019) with ReLU6 and without
squeeze-and-excitation. TensorFlow's SAME padding and batch-norm epsilon, as the published weights need.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..exportable import is_exporting

NORM_EPSILON = 1e-3
NORM_MOMENTUM = 0.01
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Stage:
    """Blocks of one kernel size and width: the first has the stride, `expansion` widens each on the inside."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""Of Lite0; the others multiply widths and depths."""

SCALING = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Width and depth multipliers by the number in the name. Lite3 and 4 scale alike, but no package has their weights."""


def scaled_stages(size: int) -> tuple[Stage, ...]:
    """The stages of EfficientNet-Lite `size`; the first and the last keep their depth, as the stem keeps its width."""
    width, depth = SCALING[size]
    last = len(STAGES) - 1
    return tuple(
        Stage(
            stage.repeats if i in (0, last) else math.ceil(depth * stage.repeats),
            stage.kernel,
            stage.stride,
            stage.expansion,
            round_channels(width * stage.channels),
        )
        for i, stage in enumerate(STAGES)
    )


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, or the one above where the nearest is more than 10 % lower."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class SameConv2d(nn.Conv2d):
    """A convolution without bias whose output has ceil(size / stride) rows and columns.

    TensorFlow's SAME pads a map of even size with one row less before it than behind it when the stride is 2, so output
    i is centred on input 2 i + 1; of odd size evenly, so it is centred on 2 i. `aligned` centres on 2 i + 1 whatever
    the size: more padding behind, the same geometry for every picture.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        aligned: bool = False,
    ) -> None:
        if stride == 1:
            padding = kernel // 2
        else:  # aligned: an output before the first, which is dropped, costs less than a padded copy of the input
            padding = (kernel - stride) // 2 + stride if aligned else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self.aligned = aligned

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        return self.convolve(x, self.weight, None)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The same with another kernel of this form, and a bias (out,)."""
        if self.kernel_size[0] == 1 and is_plain_matrix(x):
            return functional.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
        if self.stride[0] > 1 and not self.aligned:
            (top, bottom), (left, right) = (self.margins(size) for size in x.shape[-2:])
            x = functional.pad(x, (left, right, top, bottom))
        y = functional.conv2d(x, weight, bias, self.stride, self.padding, groups=self.groups)
        return y[..., 1:, 1:] if self.stride[0] > 1 and self.aligned else y

    def margins(self, size: int) -> tuple[int, int]:
        """Zeros before and behind `size` values, as TensorFlow puts them."""
        stride = self.stride[0]
        needed = (math.ceil(size / stride) - 1) * stride + self.kernel_size[0]
        before = max(0, needed - size) // 2
        return before, max(0, needed - size - before)


def is_plain_matrix(x: Tensor) -> bool:
    """Whether a 1x1 convolution of `x` had better be a product of matrices: channels-last on one CPU thread, where
    PyTorch's own convolution takes a slow path (10 % of SwiftNet-Lite's time, in training as in inference)."""
    return (
        x.device.type == "cpu"
        and torch.get_num_threads() == 1
        and not torch.compiler.is_compiling()
        and not is_exporting()
        and x.is_contiguous(memory_format=torch.channels_last)
    )


class ConvNorm(nn.Module):
    """SAME convolution and batch norm, then ReLU6 where `active`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        active: bool = True,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, out_channels, kernel, stride, groups, aligned=aligned)
        self.norm = nn.BatchNorm2d(out_channels, NORM_EPSILON, NORM_MOMENTUM)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.norm(self.conv(x)) if torch.is_grad_enabled() or self.norm.training else self.folded(x)
        dense = y.is_contiguous() or y.is_contiguous(memory_format=torch.channels_last)
        return functional.relu6(y, inplace=dense) if self.active else y

    def folded(self, x: Tensor) -> Tensor:
        """Convolution and batch norm as one convolution: the norm's running statistics are part of its kernel."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        bias = self.norm.bias - mean * scale
        return self.conv.convolve(x, self.conv.weight * scale[:, None, None, None], bias)


class InvertedResidual(nn.Module):
    """1x1 expansion (none at expansion 1), depthwise convolution, linear 1x1 projection; plus the input where it fits
    (Sandler et al., CVPR 2018)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int, *, aligned: bool = False
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand = ConvNorm(in_channels, inner, 1) if expansion > 1 else None
        self.depthwise = ConvNorm(inner, inner, kernel, stride, inner, aligned=aligned)
        self.project = ConvNorm(inner, out_channels, 1, active=False)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """The encoder: four maps at strides 4, 8, 16 and 32, `channels` deep (24, 40, 112, 320 in Lite0 and Lite1).

    `size` is 0, 1 or 2. Inputs are RGB, (x - 127) / 128 of 0..255, of any size. The maps are linear (no activation
    after the last batch norm). `aligned`: see `SameConv2d`; without it the maps equal the published network's at any
    input size, with it where all sizes on the way are even.
    """

    def __init__(self, size: int = 0, *, aligned: bool = False) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2, aligned=aligned)
        blocks: list[InvertedResidual] = []
        taps: list[int] = []
        stride, channels = 2, STEM_CHANNELS
        for stage in scaled_stages(size):
            if stage.stride > 1 and stride > 2:
                taps.append(len(blocks) - 1)
            for i in range(stage.repeats):
                step = stage.stride if i == 0 else 1
                blocks.append(
                    InvertedResidual(channels, stage.channels, stage.kernel, step, stage.expansion, aligned=aligned)
                )
                stride, channels = stride * step, stage.channels
        taps.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.taps = tuple(taps)
        self.channels = tuple(blocks[tap].project.conv.out_channels for tap in taps)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) to the maps (N, channels, ceil(H / stride), ceil(W / stride)), fine to coarse."""
        return tuple(self.maps(images))

    def maps(self, images: Tensor) -> Iterator[Tensor]:
        """The maps one by one."""
        x = self.stem(images)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                yield x


class EfficientNetLiteClassifier(nn.Module):
    """The whole published network: encoder, 1x1 convolution to 1,280 channels, mean, linear classifier."""

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(size)
        self.head = ConvNorm(self.encoder.channels[-1], HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(HEAD_CHANNELS, IMAGENET_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to logits (N, 1000) of ImageNet's classes."""
        logits: Tensor = self.classifier(self.head(self.encoder(images)[-1]).mean((2, 3)))
        return logits
