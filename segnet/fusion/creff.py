"""Cross Resolution Feature Fusion of AR-Seg (Hu et al., CVPR 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks import size_of
from ..resize import resize_aligned
from .attention import local_attention


class CReFF(nn.Module):
    """Fuses a frame's low-resolution features with the warped features of its keyframe.

    `window` is the side of the neighbourhood that each position attends to. Parameters carry the published names;
    30 values a channel. Convolutions start Kaiming-normal, biases at 0. `compat` resizes LR features as the published
    code does, with `align_corners=True`, which shifts them by up to half a cell of the small picture towards the
    picture's edges; otherwise they are resized by half-pixel centres, as the warped features lie.
    """

    def __init__(self, channels: int, window: int = 7, *, compat: bool = True) -> None:
        super().__init__()
        self.window, self.compat = window, compat
        self.lr_query_conv = depthwise(channels)
        self.hr_key_conv = depthwise(channels)
        self.hr_value_conv = depthwise(channels)

    def forward(self, warped: Tensor, low: Tensor) -> Tensor:
        """`warped` keyframe features (N, C, H, W) and `low` (N, C, h, w) of the frame itself to fused (N, C, H, W).

        `low` is resized to H x W (bilinear; geometry as of `compat`), queries the neighbourhoods of `warped`, and is
        added to what it finds.
        """
        low, query, key, value = self.prepare(warped, low)
        return low + local_attention(query, key, value, self.window)

    def classified(self, warped: Tensor, low: Tensor, classify: Callable[[Tensor], Tensor]) -> Tensor:
        """`classify(self(warped, low))` for less, where `classify` is linear and takes each position by itself.

        It then commutes with the resize and with the weighted sum, so the values are as few as the classes.
        """
        enlarged, query, key, value = self.prepare(warped, low)
        own = self.enlarge(classify(low), size_of(enlarged))
        nothing = classify(low.new_zeros(1, low.shape[1], 1, 1))
        return own + local_attention(query, key, (classify(value) - nothing).to(key.dtype), self.window)

    def prepare(self, warped: Tensor, low: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`low` resized, query, key and value, all (N, C, H, W), channels-last, which the attention reads fastest."""
        warped, low = (x.contiguous(memory_format=torch.channels_last) for x in (warped, low))
        low = self.enlarge(low, size_of(warped))
        return low, self.lr_query_conv(low), self.hr_key_conv(warped), self.hr_value_conv(warped)

    def enlarge(self, x: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """A map of the small picture (N, C, h, w) at the keyframe's grid."""
        if self.compat:
            return resize_aligned(x, size_hw)
        return functional.interpolate(x, size=size_hw, mode="bilinear", align_corners=False)

    def silence(self) -> None:
        """Let the value path start at zero: fused features are the LR branch's until training says otherwise."""
        nn.init.zeros_(self.hr_value_conv.weight)
        if self.hr_value_conv.bias is not None:
            nn.init.zeros_(self.hr_value_conv.bias)


def depthwise(channels: int) -> nn.Conv2d:
    """A 3x3 convolution of each channel by itself, with bias."""
    conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    nn.init.kaiming_normal_(conv.weight, a=1)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
