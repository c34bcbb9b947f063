"""`LowResolution`: a network that looks at a shrunken picture, with its output on the full picture's grid."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..network import SegmentationNetwork
from ..parameters import ParameterGroup
from ..resize import resize_aligned


class LowResolution(SegmentationNetwork):
    """`network` on pictures shrunk to `scale` of their sides: the LR branch of AR-Seg (Hu et al., CVPR 2023).

    It is a `SegmentationNetwork` on the same grid as `network` itself at full size: its features and logits are resized
    bilinearly (`align_corners=False`) from the small grid to (ceil(H / s), ceil(W / s)). The small picture's sides are
    those of `low_size`; shrinking averages areas, so nothing aliases. `compat` is the published AR-Seg instead: sides
    cut to whole pixels, and bilinear resizes with `align_corners=True`. Raises ValueError for a scale outside (0, 1).
    """

    def __init__(self, network: SegmentationNetwork, scale: float, *, compat: bool = False) -> None:
        super().__init__()
        if not 0 < scale < 1:
            raise ValueError(f"scale {scale} of an LR branch must lie between 0 and 1, as in 0.5")
        self.network, self.scale, self.compat = network, scale, compat
        self.classes, self.architecture = network.classes, network.architecture
        self.feature_channels, self.feature_stride = network.feature_channels, network.feature_stride
        self._frozen: list[nn.Module] = []

    def freeze_classifier(self) -> None:
        """Keep the classifier as it is in training, statistics included, so that features stay in its space."""
        probe = torch.zeros(1, self.feature_channels, 1, 1, device=self.mean.device)
        was_training = self.training
        scores = self.network.eval().classify(probe).sum()
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        used = torch.autograd.grad(scores, parameters, allow_unused=True)
        frozen = {id(p) for p, gradient in zip(parameters, used, strict=True) if gradient is not None}
        self._frozen = [m for m in self.network.modules() if any(id(p) in frozen for p in m.parameters(recurse=False))]
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(was_training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but a frozen classifier."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def low_size(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The small picture's (h, w): `scale` times the sides, rounded to whole cells of the network's stride."""
        if self.compat:
            return int(size_hw[0] * self.scale), int(size_hw[1] * self.scale)
        s = self.feature_stride
        return max(s, round(size_hw[0] * self.scale / s) * s), max(s, round(size_hw[1] * self.scale / s) * s)

    def grid(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """The full picture's feature grid (ceil(H / s), ceil(W / s))."""
        return -(-size_hw[0] // self.feature_stride), -(-size_hw[1] // self.feature_stride)

    def shrink(self, images: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) at `low_size`."""
        size = self.low_size((images.shape[-2], images.shape[-1]))
        return resize_aligned(images, size) if self.compat else functional.interpolate(images, size=size, mode="area")

    def enlarge(self, x: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """A map of the small picture on the grid of the full one, whose size is given."""
        grid = self.grid(size_hw)
        return resize_aligned(x, grid) if self.compat else to_grid(x, grid)

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to features on the full picture's grid."""
        return self.enlarge(self.network.features(self.shrink(images)), (images.shape[-2], images.shape[-1]))

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """`features`, and the maps of the small picture that the network's auxiliary heads take."""
        p, maps = self.network.features_and_maps(self.shrink(images))
        return self.enlarge(p, (images.shape[-2], images.shape[-1])), maps

    def auxiliary(self) -> nn.ModuleList:
        """The network's."""
        return self.network.auxiliary()

    def parameter_groups(self) -> list[ParameterGroup]:
        """The network's."""
        return [group.within("network") for group in self.network.parameter_groups()]

    def classify(self, p: Tensor) -> Tensor:
        """The network's own classifier."""
        return self.network.classify(p)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, classified on the small grid and then resized, which is cheaper than `classify(features(...))`."""
        return self.enlarge(self.network(self.shrink(images)), (images.shape[-2], images.shape[-1]))

    @property
    def mean(self) -> Tensor:
        """Of the network."""
        return self.network.mean

    @property
    def std(self) -> Tensor:
        """Of the network."""
        return self.network.std


def to_grid(x: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Bilinear resize of (N, C, h, w) to a grid that spans the same picture, `align_corners=False`."""
    return functional.interpolate(x, size=grid_hw, mode="bilinear", align_corners=False)
