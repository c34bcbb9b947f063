"""GSVNet's propagation parts: ideal-delay bank, intra network, guiding network, guided dynamic filtering.

Lee et al., "GSVNet: Guided Spatially-Varying Convolution for Fast Semantic Segmentation on Video", ICME 2021, sections
III-B and III-C, with the parameter names of the published weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..resize import resize_aligned

DELAYS = 8
"""One-cell shifts, in raster order of the eight neighbours."""

KERNEL_EPSILON = 1e-9


class IdealDelays(nn.Module):
    """The frozen kernels that shift a map by one cell to each side.

    `filter_copy_s` is (8, 1, 1, 3, 3): kernel k is 1 where its neighbour is, so that it answers with that neighbour's
    value. With `dead_map` a ninth kernel of zeros follows, as in the published weights.
    """

    filter_copy_s: Tensor

    def __init__(self, *, dead_map: bool) -> None:
        super().__init__()
        kernels = torch.eye(9)[[0, 1, 2, 3, 5, 6, 7, 8]]
        if dead_map:
            kernels = torch.cat([kernels, torch.zeros(1, 9)])
        self.register_buffer("filter_copy_s", kernels.view(-1, 1, 1, 3, 3))

    @property
    def taps(self) -> Tensor:
        """(1 + kernels, 9): each map's 3x3 kernel, the unshifted map's first."""
        return torch.cat([torch.eye(9, device=self.filter_copy_s.device)[4:5], self.filter_copy_s.flatten(1)])


class IntraNetwork(nn.Module):
    """Crude class scores from the current frame alone: three 3x3 convolutions; 15,763 parameters at width 32, 19."""

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.intra_net = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, classes, 3, padding=1),
        )

    def forward(self, frame: Tensor) -> Tensor:
        """The reduced frame (N, 3, h, w) to scores (N, classes, h, w)."""
        scores: Tensor = self.intra_net(frame)
        return scores


class GuidingNetwork(nn.Module):
    """From intra scores and guides (edges, validity) to one raw weight for each map and cell.

    An hourglass of two levels: `width` channels at the input's size, twice and four times as many at halves and
    quarters; any size, since each decoder map takes the matching encoder map's. 194,241 parameters at 20 inputs, 11
    maps, width 32. Sums the first map to the last, then a 3x3 unit reads the weights out: with ReLU (`rectified`) in
    the published form, without where a softmax follows.
    """

    def __init__(self, in_channels: int, maps: int, width: int = 32, *, rectified: bool = True) -> None:
        super().__init__()
        self.guide_conv = nn.Sequential(*_unit(in_channels, width))
        self.guide_conv_feat = nn.Sequential(*_unit(width, 2 * width, 2), *_unit(2 * width, 4 * width, 2))
        self.guide_deconv = nn.ModuleList(
            [nn.Identity(), *_unit(4 * width, 2 * width), nn.Identity(), *_unit(2 * width, width)]
        )
        self.guide_decoder = nn.Sequential(*_unit(width, maps)[: 3 if rectified else 2])

    def forward(self, guides: Tensor) -> Tensor:
        """(N, in, h, w) to (N, maps, h, w)."""
        full: Tensor = self.guide_conv(guides)
        half: Tensor = self.guide_conv_feat[:3](full)
        x: Tensor = self.guide_conv_feat[3:](half)
        for like, first in ((half, 1), (full, 5)):
            x = resize_aligned(x, (like.shape[-2], like.shape[-1]))
            for layer in list(self.guide_deconv)[first : first + 3]:
                x = layer(x)
        weights: Tensor = self.guide_decoder(x + full)
        return weights


def _unit(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, stride, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU()]


def normalise_kernels(weights: Tensor, *, softmax: bool) -> Tensor:
    """Raw weights (N, maps, h, w) to shares that sum to 1 in each cell.

    Published form: `k / (sum k + 1e-9)` of non-negative weights, all zero where every weight is 0. With `softmax` no
    cell is ever without a share.
    """
    if softmax:
        return weights.softmax(1)
    return weights / (weights.sum(1, keepdim=True) + KERNEL_EPSILON)


def guided_filter(scores: Tensor, intra: Tensor, shares: Tensor, taps: Tensor, *, pad_mode: str) -> Tensor:
    """Guided dynamic filtering: the spatially-varying convolution of `scores`, plus the share of `intra`.

    `scores` and `intra` (N, C, h, w); `shares` (N, maps + 1, h, w), of which the last is `intra`'s and the others weigh
    the 3x3 kernels `taps` (maps, 9). All classes share them. Equal to the weighted sum of the bank's maps and `intra`,
    without writing the bank's maps out. `pad_mode` is `functional.pad`'s: "constant" (zeros) or "replicate".
    """
    height, width = scores.shape[-2:]
    kernels = torch.einsum("nkhw,kt->nthw", shares[:, :-1], taps.to(shares.dtype))
    padded = functional.pad(scores, (1, 1, 1, 1), mode=pad_mode)
    out = shares[:, -1:] * intra
    for tap in range(9):
        row, column = divmod(tap, 3)
        out = out + kernels[:, tap : tap + 1] * padded[..., row : row + height, column : column + width]
    return out
