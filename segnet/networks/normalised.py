"""The published networks' image statistics, and a base class that holds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..network import SegmentationNetwork


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of training images, RGB, as fractions of 255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAMVID = Normalisation((0.39068785, 0.40521392, 0.41434407), (0.29652068, 0.30514979, 0.30080369))
CITYSCAPES = Normalisation((0.3257, 0.3690, 0.3223), (0.2112, 0.2148, 0.2115))


class NormalisedNetwork(SegmentationNetwork):
    """A network whose normalisation belongs to its architecture and is not part of its state dict."""

    images_mean: Tensor
    images_std: Tensor

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        for name, values in (("images_mean", normalisation.mean), ("images_std", normalisation.std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @property
    def mean(self) -> Tensor:
        """Per-channel mean of the training images, RGB, 0..255, shape (1, 3, 1, 1)."""
        return self.images_mean

    @property
    def std(self) -> Tensor:
        """Per-channel standard deviation of the training images, RGB, 0..255, shape (1, 3, 1, 1)."""
        return self.images_std


def initialise_convolutions(module: nn.Module) -> None:
    """Kaiming-normal weights by fan-out, biases at 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def size_of(x: Tensor) -> tuple[int, int]:
    """(H, W) of a map (N, C, H, W)."""
    return x.shape[-2], x.shape[-1]
