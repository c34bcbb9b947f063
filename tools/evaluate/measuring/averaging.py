"""Test-time averaging: one network on a picture mirrored and at several sizes, probabilities averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ....pipelines import NetworkRunner
from ....segnet import resize_logits


@dataclass(frozen=True)
class Views:
    """The sizes, relative to the picture's, at which a network sees it, and whether it sees each mirrored too."""

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    @property
    def name(self) -> str:
        """'still', with 'flip' and the scales where there are any."""
        words = ["still", *(["flip"] if self.flip else [])]
        return " ".join([*words, *([",".join(f"{scale:g}" for scale in self.scales)] if self.scales != (1.0,) else [])])


def separate_views(scales: Sequence[float], flip: bool) -> list[Views]:
    """The plain picture, then each kind of averaging that is asked for on its own, then both together."""
    found = [Views()]
    found += [Views(flip=True)] if flip else []
    found += [Views(tuple(scales))] if tuple(scales) != (1.0,) else []
    found += [Views(tuple(scales), True)] if flip and len(found) == 3 else []
    return found


def averaged_labels(runner: NetworkRunner, image: NDArray[np.uint8], views: Views) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB to (H, W) uint8 labels: the argmax of the probabilities' mean over the views."""
    size_hw = (image.shape[0], image.shape[1])
    total = sum(_probabilities(runner, view, mirrored, size_hw) for view, mirrored in _seen(image, views))
    assert isinstance(total, Tensor)
    return np.asarray(total.argmax(1)[0].to(torch.uint8).numpy(), np.uint8)


def _seen(image: NDArray[np.uint8], views: Views) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    for scale in views.scales:
        size = tuple(max(1, round(side * scale)) for side in (image.shape[1], image.shape[0]))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        view = np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
        yield view, False
        if views.flip:
            yield np.ascontiguousarray(view[:, ::-1]), True


def _probabilities(runner: NetworkRunner, view: NDArray[np.uint8], mirrored: bool, size_hw: tuple[int, int]) -> Tensor:
    """Of a view, brought back to the picture: (1, classes, H, W)."""
    logits = torch.from_numpy(runner.logits(view)).permute(2, 0, 1)[None]
    rows, columns = logits.shape[-2:]
    full = resize_logits(logits, (rows * runner.stride, columns * runner.stride))
    found = full[..., : view.shape[0], : view.shape[1]].softmax(1)
    found = found.flip(3) if mirrored else found
    return functional.interpolate(found, size=size_hw, mode="bilinear", align_corners=False)
