"""Fusions of an LR frame with a warped keyframe: AR-Seg's CReFF on features, and ours on logits with evidence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..exportable import area_means, is_exporting
from ..network import SegmentationNetwork
from .altering import Carried, Fusion, Motion
from .creff import CReFF
from .low_resolution import LowResolution, to_grid

PARTS = 4
"""Each coarse cell's picture is compared in PARTS x PARTS places."""
FIRST_WEIGHT = -2.0
"""The LR branch starts with sigmoid(FIRST_WEIGHT) of the say, 12 %: at small distances the keyframe is nearly right."""
FARTHEST = 12
"""Frames from the keyframe beyond which all distances are one to `EvidenceFusion`."""


class FeatureFusion(Fusion):
    """CReFF on features: the keyframe's `p` is carried, the fused `p` goes to the shared classifier.

    `compat` is the published geometry, otherwise half-pixel centres throughout; see `CReFF`. Its value path starts at
    zero, so that training begins at the LR branch.
    """

    def __init__(self, feature_channels: int, window: int = 7, *, compat: bool = False) -> None:
        super().__init__()
        self.creff = CReFF(feature_channels, window, compat=compat)
        self.creff.silence()

    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Carried:  # noqa: ARG002
        """The features, (N, feature_channels, h, w), in float32."""
        return (p.float(),)

    def forward(self, low: LowResolution, small: Tensor, low_p: Tensor, warped: Carried, motion: Motion) -> Tensor:  # noqa: ARG002
        """See `Fusion`."""
        if low.network.linear_classifier:
            return self.creff.classified(warped[0], low_p, low.classify)
        return low.classify(self.creff(warped[0], low_p))

    def features(self, low_p: Tensor, warped: Carried) -> Tensor:
        """See `Fusion`."""
        fused: Tensor = self.creff(warped[0], low_p)
        return fused


class WarpOnly(Fusion):
    """No CReFF: the keyframe's warped logits and the LR branch's, averaged; the ablation of the attention."""

    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Carried:  # noqa: ARG002
        """The logits, in float32."""
        return (logits.float(),)

    def forward(self, low: LowResolution, small: Tensor, low_p: Tensor, warped: Carried, motion: Motion) -> Tensor:  # noqa: ARG002
        """See `Fusion`."""
        own = to_grid(low.classify(low_p).float(), (warped[0].shape[-2], warped[0].shape[-1]))
        return (own.softmax(1) + warped[0].softmax(1)).log()


class EvidenceFusion(Fusion):
    """A say for what the codec and the pixels tell about the motion, in the space of logits; in place of CReFF.

    A small head weighs, in every cell, two opinions (the LR branch's logits and the keyframe's warped logits) and
    corrects their sum. It works on the grid of twice the network's stride, four finer cells at a time, and sees both
    opinions as probabilities, projections of the LR features and of the keyframe's features to `channels`, how the
    frame's picture differs from the warped keyframe's (in each of PARTS x PARTS parts of a cell, and in colour), the
    cells that motion could not explain, and the distance. The correction starts at zero, and the keyframe with most of
    the say (FIRST_WEIGHT). Unlike CReFF (Hu et al., CVPR 2023) it does not attend to cells around: attention over the
    warped logits, 7 x 7 of these cells wide, was tried, and was not worth a fifth of the branch's time. `light` makes
    both of its 3x3 convolutions depthwise ones with a 1x1 convolution after each: a quarter of the operations, for
    networks that are light themselves. Distances beyond FARTHEST frames count as that many: no GOP is longer to it than
    those it learned from.
    """

    def __init__(
        self, feature_channels: int, classes: int, channels: int = 32, hidden: int = 64, *, light: bool = False
    ) -> None:
        super().__init__()
        self.classes, self.channels = classes, channels
        self.query = nn.Conv2d(feature_channels, channels, 1)
        self.key = nn.Conv2d(feature_channels, channels, 1)
        self.reduce = nn.Conv2d(4 * 2 * classes + 2 * channels + PARTS**2 + 3 + 2, hidden, 1)
        self.blend = nn.Sequential(
            around(hidden, 1, light=light),
            nn.ReLU(),
            around(hidden, 2, light=light),
        )
        self.weigh = nn.Conv2d(hidden, 4 * (2 + classes), 1)
        self.key.load_state_dict(self.query.state_dict())  # LR features imitate HR features, so alike is the best start
        nn.init.zeros_(self.weigh.weight)
        assert self.weigh.bias is not None
        nn.init.zeros_(self.weigh.bias)
        with torch.no_grad():
            self.weigh.bias[:4] = FIRST_WEIGHT  # of the LR branch in each of the four finer cells

    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Carried:  # noqa: ARG002
        """The logits on their own grid, the keys on that of twice the stride, the picture PARTS times as fine."""
        coarse = coarse_grid(logits)
        keys = area_means(self.key(p).float(), coarse)
        return logits.float(), keys, pictures_on_grid(images, (PARTS * coarse[0], PARTS * coarse[1]))

    def forward(self, low: LowResolution, small: Tensor, low_p: Tensor, warped: Carried, motion: Motion) -> Tensor:
        """See `Fusion`."""
        there, key, picture = warped
        fine, coarse = (there.shape[-2], there.shape[-1]), (key.shape[-2], key.shape[-1])
        key = nn.functional.normalize(key, dim=1)
        query = nn.functional.normalize(to_grid(self.query(low_p).float(), coarse), dim=1)
        here = to_grid(low.classify(low_p).float(), fine)
        opinions = torch.stack([quarters(here), quarters(there)], 1).reshape(here.shape[0], 2, self.classes, 4, *coarse)
        change = pictures_on_grid(small, (picture.shape[-2], picture.shape[-1])) - picture
        colour = nn.functional.avg_pool2d(change, PARTS).abs().clamp(max=3)
        detail = nn.functional.pixel_unshuffle(change.abs().mean(1, keepdim=True).clamp(max=3), PARTS)
        lost = to_grid(motion.unreferenced[:, None], coarse)
        age = (motion.distance / FARTHEST).clamp(max=1)[:, None, None, None].expand_as(lost)
        seen = torch.cat([opinions.softmax(2).flatten(1, 3), query, key, detail, colour, lost, age], 1)
        hidden = torch.relu(self.reduce(seen))
        hidden = torch.relu(hidden + self.blend(hidden))
        verdict: Tensor = self.weigh(hidden).float()
        verdict = verdict.reshape(verdict.shape[0], 2 + self.classes, 4, *coarse)
        weights, correction = torch.split(verdict, [2, self.classes], 1)
        first, second = opinions.unbind(1)
        fused = torch.lerp(second, first, (weights[:, :1] - weights[:, 1:]).sigmoid()) + correction
        whole = nn.functional.pixel_shuffle(fused.flatten(1, 2), 2)
        return whole[..., : fine[0], : fine[1]]


def around(channels: int, dilation: int, *, light: bool) -> nn.Module:
    """A 3x3 convolution, or a depthwise one and a 1x1 convolution."""
    if not light:
        return nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
    depthwise = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(channels, channels, 1))


def coarse_grid(fine: Tensor) -> tuple[int, int]:
    """The grid of cells of 2 x 2 cells of (N, C, h, w)."""
    return (fine.shape[-2] + 1) // 2, (fine.shape[-1] + 1) // 2  # no -(-n // 2): exporters round it towards 0


def pictures_on_grid(images: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Pictures (N, 3, H, W) averaged over the cells of a grid, float32."""
    if not is_exporting() and (images.shape[-2], images.shape[-1]) == grid_hw:
        return images.float()
    return area_means(images, grid_hw).float()


def quarters(x: Tensor) -> Tensor:
    """(N, C, h, w) to (N, 4 C, ceil(h / 2), ceil(w / 2)): each cell's four, the border repeated where a side is odd."""
    if is_exporting():  # which fixes a branch on what the example's sides are
        x = doubled_border(x)
        return nn.functional.pixel_unshuffle(x, 2)
    down, across = x.shape[-2] % 2, x.shape[-1] % 2
    if down or across:
        x = nn.functional.pad(x, (0, across, 0, down), mode="replicate")
    return nn.functional.pixel_unshuffle(x, 2)


def doubled_border(x: Tensor) -> Tensor:
    """(N, C, h, w) with its last row and column once more where there is an odd number of them."""
    (rows, height), (columns, width) = ((side + side % 2, side) for side in x.shape[-2:])
    down = torch.arange(rows, device=x.device).clamp(max=height - 1)
    across = torch.arange(columns, device=x.device).clamp(max=width - 1)
    return x.index_select(2, down).index_select(3, across)
