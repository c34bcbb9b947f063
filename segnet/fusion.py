"""Fusions of an LR frame with a warped keyframe: AR-Seg's CReFF on features, and ours on logits with evidence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .altering import Fusion, Motion
from .attention import local_attention
from .creff import CReFF
from .low_resolution import LowResolution, to_grid
from .network import SegmentationNetwork


class FeatureFusion(Fusion):
    """CReFF on features, as published: the keyframe's `p` is carried, the fused `p` goes to the shared classifier."""

    def __init__(self, feature_channels: int, window: int = 7) -> None:
        super().__init__()
        self.creff = CReFF(feature_channels, window)

    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """The features, (N, feature_channels, h, w), in float32."""
        return p.float()

    def forward(self, low: LowResolution, images: Tensor, low_p: Tensor, warped: Tensor, motion: Motion) -> Tensor:  # noqa: ARG002
        """See `Fusion`."""
        logits: Tensor = low.classify(self.creff(warped, low_p))
        return logits


class WarpOnly(Fusion):
    """No CReFF: the keyframe's warped logits and the LR branch's, averaged; the ablation of the attention."""

    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """The logits, in float32."""
        return logits.float()

    def forward(self, low: LowResolution, images: Tensor, low_p: Tensor, warped: Tensor, motion: Motion) -> Tensor:  # noqa: ARG002
        """See `Fusion`."""
        own = to_grid(low.classify(low_p).float(), (warped.shape[-2], warped.shape[-1]))
        return (own.softmax(1) + warped.softmax(1)).log()


def small_pictures(images: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Pictures (N, 3, H, W) averaged over the cells of a grid."""
    return nn.functional.interpolate(images, size=grid_hw, mode="area")


class EvidenceFusion(Fusion):
    """CReFF in the space of logits, with a say for what the codec and the pixels tell about the motion.

    As in CReFF (section 3.2 of the paper) each cell of the LR frame attends to the 7x7 cells of the warped keyframe
    around it; but query and key are projections to `channels`, compared by cosine, and the values are the keyframe's
    logits, which costs a fifth. A small head then weighs three opinions cell by cell (the LR branch's logits, the
    warped logits, the attended logits) and corrects their sum. It sees the three as probabilities, query and key, the
    difference between the frame and the warped keyframe's picture, the cells that motion could not explain, and the
    distance. Weights start equal and the correction at zero.
    """

    window = 7

    def __init__(self, feature_channels: int, classes: int, channels: int = 32, hidden: int = 32) -> None:
        super().__init__()
        self.classes, self.channels = classes, channels
        self.query = nn.Conv2d(feature_channels, channels, 1)
        self.key = nn.Conv2d(feature_channels, channels, 1)
        self.sharpness = nn.Parameter(torch.tensor(2.5))
        evidence = 3 * classes + 2 * channels + 3 + 2
        self.reduce = nn.Conv2d(evidence, hidden, 1)
        self.blend = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.weigh = nn.Conv2d(hidden, 3 + classes, 1)
        self.key.load_state_dict(self.query.state_dict())  # LR features imitate HR features, so alike is the best start
        nn.init.zeros_(self.weigh.weight)
        assert self.weigh.bias is not None
        nn.init.zeros_(self.weigh.bias)

    def carry(self, network: SegmentationNetwork, images: Tensor, p: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """Keys, logits and the picture itself, (N, channels + classes + 3, h, w), in float32."""
        small = small_pictures(images, (p.shape[-2], p.shape[-1]))
        return torch.cat([self.key(p).float(), logits.float(), small.float()], 1)

    def forward(self, low: LowResolution, images: Tensor, low_p: Tensor, warped: Tensor, motion: Motion) -> Tensor:
        """See `Fusion`."""
        grid = (warped.shape[-2], warped.shape[-1])
        key, there, picture = torch.split(warped, [self.channels, self.classes, 3], 1)
        own = to_grid(torch.cat([self.query(low_p), low.classify(low_p)], 1).float(), grid)
        query, here = torch.split(own, [self.channels, self.classes], 1)
        query, key = nn.functional.normalize(query, dim=1), nn.functional.normalize(key, dim=1)
        attended = local_attention(query * self.sharpness.exp(), key, there, self.window)
        change = (small_pictures(images, grid) - picture).abs().clamp(max=3)
        age = (motion.distance / 12)[:, None, None].expand_as(motion.unreferenced)
        signs = torch.stack([motion.unreferenced, age], 1)
        opinions = torch.stack([here, there, attended], 1)
        seen = torch.cat([opinions.softmax(2).flatten(1, 2), query, key, change, signs], 1)
        hidden = torch.relu(self.blend(torch.relu(self.reduce(seen))))
        weights, correction = torch.split(self.weigh(hidden).float(), [3, self.classes], 1)
        fused: Tensor = (weights.softmax(1)[:, :, None] * opinions).sum(1) + correction
        return fused
