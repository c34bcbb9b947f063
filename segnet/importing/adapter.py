"""`as_segmentation_network`: any torch module that returns logits, as a keyframe network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ModelError
from ..network import SegmentationNetwork, class_names

BACKGROUND, FOREGROUND = "background", "foreground"

InputSize = tuple[int, int] | int | None
"""Size (H, W) of the pictures that a module is given; one number is the shorter side's; None: as they are."""


def as_segmentation_network(
    module: nn.Module,
    *,
    classes: int | Sequence[str],
    mean: Sequence[float] = (123.675, 116.28, 103.53),
    std: Sequence[float] = (58.395, 57.12, 57.375),
    stride: int = 4,
    divisor: int = 1,
    input_size: InputSize = None,
    bgr: bool = False,
) -> SegmentationNetwork:
    """`module` as a network that every mode which carries logits runs on (`frame`, `motion`, `flow`, `guided`).

    Args:
        module: takes normalised pictures (N, 3, H, W); returns logits (N, classes, h, w) at any stride, as a tensor, a
            mapping with "logits" or "out" (torchvision's), an object with `logits` (transformers'), or a sequence whose
            first item is one of these.
        classes: their names in the order of the logits, or their number. A module of one class tells it from what is
            none by a sigmoid at 0.5: the network has two, ("background", name), with logits 0 and the module's.
        mean, std: of the module's training images, RGB, 0..255; the default is ImageNet's.
        stride: side in pixels of the cells on which logits are kept and carried: 1 or even. Finer logits are averaged
            over cells, coarser ones interpolated.
        divisor: a whole number that the sides of the module's pictures must be multiples of; they are padded with their
            borders.
        input_size: the size that pictures are resized to for the module, bilinearly with antialiasing; then nothing is
            padded.
        bgr: the module takes channels in the order blue, green, red.

    Raises ModelError where an argument cannot work; the network raises it where the module returns something else.
    """
    return AdaptedNetwork(module, classes, mean, std, stride, divisor, input_size, bgr)


class AdaptedNetwork(SegmentationNetwork):
    """What `as_segmentation_network` makes. Its features are the logits themselves, and `classify` is the identity."""

    linear_classifier = True
    image_mean: Tensor
    image_std: Tensor

    def __init__(
        self,
        module: nn.Module,
        classes: int | Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        stride: int,
        divisor: int,
        input_size: InputSize,
        bgr: bool,
    ) -> None:
        super().__init__()
        self.classes = names = class_names(classes)
        self.outputs = len(names)
        if self.outputs == 1:
            self.classes = (BACKGROUND, FOREGROUND if isinstance(classes, int) else names[0])
        if stride < 1 or (stride > 1 and stride % 2) or divisor < 1:
            raise ModelError(f"stride {stride}, divisor {divisor}: a stride is 1 or even, a divisor positive")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ModelError(f"mean {tuple(mean)}, std {tuple(std)}: give three numbers each, RGB, std above 0")
        self.module = module
        self.feature_channels, self.feature_stride = len(self.classes), stride
        self.divisor, self.input_size, self.bgr = divisor, input_size, bgr
        self.register_buffer("image_mean", torch.tensor([*mean]).float().view(1, 3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor([*std]).float().view(1, 3, 1, 1), persistent=False)

    @property
    def mean(self) -> Tensor:
        """As given."""
        return self.image_mean

    @property
    def std(self) -> Tensor:
        """As given."""
        return self.image_std

    def features(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) to logits (N, len(self.classes), ceil(H / s), ceil(W / s))."""
        stride = self.feature_stride
        rows, columns = (-(-side // stride) for side in images.shape[-2:])
        prepared = self.prepare(images)
        logits = self.logits_of(prepared)
        if self.input_size is None:
            grid_hw = prepared.shape[-2] // stride, prepared.shape[-1] // stride
        else:
            grid_hw = rows, columns
        resized = _resize(logits, grid_hw)[..., :rows, :columns]
        return resized if self.outputs > 1 else torch.cat([torch.zeros_like(resized), resized], 1)

    def classify(self, p: Tensor) -> Tensor:
        """The identity."""
        return p

    def prepare(self, images: Tensor) -> Tensor:
        """Normalised RGB (N, 3, H, W) as the module takes it: channels swapped, padded or resized."""
        images = images.flip(1) if self.bgr else images
        height, width = images.shape[-2:]
        if self.input_size is None:
            multiple = math.lcm(self.feature_stride, self.divisor)
            return functional.pad(images, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        size = self.input_size
        if isinstance(size, int):
            size = round(height * size / min(height, width)), round(width * size / min(height, width))
        return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)

    def logits_of(self, prepared: Tensor) -> Tensor:
        """The module's logits (N, C, h, w) of prepared pictures; ModelError where it returns none of these classes."""
        output: Any = self.module(prepared)
        found = output[0] if isinstance(output, Sequence) and output else output
        if isinstance(found, Mapping):
            found = found.get("logits", found.get("out"))
        found = getattr(found, "logits", found)
        what = tuple(found.shape) if isinstance(found, Tensor) else type(output).__name__
        if not isinstance(found, Tensor) or found.ndim != 4 or found.shape[1] != self.outputs:
            raise ModelError(
                f"{type(self.module).__name__} returned {what} where logits (N, {self.outputs}, h, w) are needed; "
                "give the number of its classes, or wrap it so that it returns its logits"
            )
        return found


def _resize(logits: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Logits (N, C, ., .) on a grid that spans the same picture: means of cells to a coarser, bilinear to a finer."""
    if logits.shape[-2] >= grid_hw[0] and logits.shape[-1] >= grid_hw[1]:
        return functional.interpolate(logits, size=grid_hw, mode="area")
    return functional.interpolate(logits, size=grid_hw, mode="bilinear", align_corners=False)
