"""`Supervised`: a network in training, with the heads of its deep supervision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .network import SegmentationNetwork
from .parameters import ParameterGroup, head_groups


class Supervised(nn.Module):
    """A network with its auxiliary heads: one module for an optimiser and for data-parallel wrapping.

    `network` is a submodule, so that its average and its weights can be kept without the heads that are no part of it.
    Without `deep` there are no heads, and those that are the network's own are frozen.
    """

    def __init__(self, network: SegmentationNetwork, *, deep: bool = True) -> None:
        super().__init__()
        self.network, self.deep = network, deep
        self.heads = network.auxiliary() if deep else nn.ModuleList()
        if not deep:
            with torch.random.fork_rng([]):  # fresh heads are drawn only to be dropped
                network.auxiliary().requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Normalised RGB (N, 3, H, W) to the network's `p`, and logits: its own first, then those of each head."""
        if not self.deep:
            p = self.network.features(images)
            return p, [self.network.classify(p)]
        p, maps = self.network.features_and_maps(images)
        return p, [self.network.classify(p), *(head(x) for head, x in zip(self.heads, maps, strict=True))]

    def parameter_groups(self) -> list[ParameterGroup]:
        """Those of the network, and "auxiliary" for heads that are no part of it."""
        groups = [group.within("network") for group in self.network.parameter_groups()]
        return groups + head_groups(self.heads, self.network)
