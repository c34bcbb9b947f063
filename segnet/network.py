"""`SegmentationNetwork`: the interface that every per-frame network here has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn


class SegmentationNetwork(nn.Module, ABC):
    """A network split at `p`, so that features or logits can be carried between frames and fused.

    `forward(images)` is `classify(features(images))`: images (N, 3, H, W), normalised RGB (see `normalise`), to logits
    (N, classes, ceil(H / s), ceil(W / s)) with s = `feature_stride`; nothing is upsampled. Logit (i, j) sits at the
    centre of the s x s pixel cell (i, j), so `align_corners=False` resizing puts it back in its place.

    Attributes: `feature_channels`, `feature_stride` (pixels), `classes` (names in the order of the logits),
    `weights_file` (where its weights were loaded from, None for a network that was not loaded), `published_aliases`
    (beginnings of second names that published checkpoints have for some tensors, and those of our names for them),
    `linear_classifier` (whether `classify` is linear, so that it commutes with weighted sums over positions).
    """

    feature_channels: int
    feature_stride: int
    classes: tuple[str, ...]
    weights_file: Path | None = None
    published_aliases: Mapping[str, str] = MappingProxyType({})
    linear_classifier = False

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, feature_channels, ceil(H / s), ceil(W / s))."""

    @abstractmethod
    def classify(self, p: Tensor) -> Tensor:
        """Features `p` to logits (N, len(classes), h, w), position by position."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to logits at stride `feature_stride`."""
        return self.classify(self.features(images))

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Per-channel mean of the training images, RGB, 0..255, shape (1, 3, 1, 1)."""

    @property
    @abstractmethod
    def std(self) -> Tensor:
        """Per-channel standard deviation of the training images, RGB, 0..255, shape (1, 3, 1, 1)."""

    def normalise(self, images: Tensor) -> Tensor:
        """RGB images (N, H, W, 3) in 0..255, uint8 or float, to the network's input (N, 3, H, W), channels-last."""
        return (images.to(self.mean.device).permute(0, 3, 1, 2).float() - self.mean) / self.std


def class_names(classes: int | Sequence[str]) -> tuple[str, ...]:
    """Names as given, or 'class 0', 'class 1', ... for a number."""
    if isinstance(classes, int):
        return tuple(f"class {index}" for index in range(classes))
    return tuple(classes)


def parameter_count(module: nn.Module) -> int:
    """Number of trainable values, buffers not counted."""
    return sum(p.numel() for p in module.parameters())


def resize_logits(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear resize of (N, C, h, w) to (N, C, H, W), `align_corners=False`, in float32."""
    return torch.nn.functional.interpolate(logits.float(), size=size_hw, mode="bilinear", align_corners=False)
