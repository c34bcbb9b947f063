"""`SegmentationNetwork`: the interface that every per-frame network here has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from .errors import ModelError
from .parameters import ParameterGroup, grouped

MOST_CLASSES = 255
"""Labels are 8 bits, and 255 is void."""


class SegmentationNetwork(nn.Module, ABC):
    """A network split at `p`, so that features or logits can be carried between frames and fused.

    `forward(images)` is `classify(features(images))`: images (N, 3, H, W), normalised RGB (see `normalise`), to logits
    (N, classes, ceil(H / s), ceil(W / s)) with s = `feature_stride`; nothing is upsampled. Logit (i, j) sits at the
    centre of the s x s pixel cell (i, j), so `align_corners=False` resizing puts it back in its place.

    Attributes: `feature_channels`, `feature_stride` (pixels), `classes` (names in the order of the logits),
    `weights_file` (where its weights were loaded from, None for a network that was not loaded), `architecture` (the
    name by which `build_network` made it, empty for a network that it cannot make), `published_aliases` (beginnings of
    second names that published checkpoints have for some tensors, and those of our names for them),
    `linear_classifier` (whether `classify` is linear, so that it commutes with weighted sums over positions),
    `encoder` (beginnings of the names of the parameters that ImageNet weights initialise).

    Training asks for two things more: `auxiliary` with `features_and_maps` (deep supervision), and `parameter_groups`.
    """

    feature_channels: int
    feature_stride: int
    classes: tuple[str, ...]
    weights_file: Path | None = None
    architecture: str = ""
    published_aliases: Mapping[str, str] = MappingProxyType({})
    linear_classifier = False
    encoder: tuple[str, ...] = ()

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to `p`, (N, feature_channels, ceil(H / s), ceil(W / s))."""

    @abstractmethod
    def classify(self, p: Tensor) -> Tensor:
        """Features `p` to logits (N, len(classes), h, w), position by position."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to logits at stride `feature_stride`."""
        return self.classify(self.features(images))

    def auxiliary(self) -> nn.ModuleList:
        """Heads for deep supervision, which training asks for and inference never runs; none by default.

        Head i takes the i-th map of `features_and_maps`. It gives logits (N, classes, h, w) on a grid that spans the
        picture, or scores (N, classes): logits of each class being anywhere in the picture. Heads that published
        weights have are the network's own, and their tensors are in its state dict; where there are none, the heads are
        fresh and belong to the caller, who trains them and throws them away. For a training step see `Supervised`, for
        the loss `head_loss`.
        """
        return nn.ModuleList()

    def features_and_maps(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Normalised RGB (N, 3, H, W) to `p`, as of `features`, and the inner maps that the auxiliary heads take."""
        return self.features(images), ()

    def parameter_groups(self) -> list[ParameterGroup]:
        """Every parameter in one group of those that are trained alike: "encoder" and "decoder", decayed and not.

        A network's own auxiliary heads are part of its decoder.
        """
        parts: dict[str, list[tuple[str, nn.Parameter]]] = {"encoder": [], "decoder": []}
        for name, parameter in self.named_parameters():
            parts["encoder" if name.startswith(self.encoder) else "decoder"].append((name, parameter))
        return [group for name, part in parts.items() for group in grouped(name, part)]

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
    """Names as given, or 'class 0', 'class 1', ... for a number; ModelError above 255 classes and below 1.

    Labels are 8 bits everywhere, and 255 is void.
    """
    names = tuple(f"class {index}" for index in range(classes)) if isinstance(classes, int) else tuple(classes)
    if not 1 <= len(names) <= MOST_CLASSES:
        raise ModelError(f"a network of {len(names)} classes cannot be used: labels hold 1 to {MOST_CLASSES}")
    return names


def parameter_count(module: nn.Module) -> int:
    """Number of trainable values, buffers not counted."""
    return sum(p.numel() for p in module.parameters())


def resize_logits(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Bilinear resize of (N, C, h, w) to (N, C, H, W), `align_corners=False`, in float32."""
    return torch.nn.functional.interpolate(logits.float(), size=size_hw, mode="bilinear", align_corners=False)
