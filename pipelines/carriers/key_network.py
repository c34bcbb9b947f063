"""`KeyNetwork`: the network on reference frames, at full size or on smaller pictures."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...segnet import to_grid
from ..motion import resize_map
from ..on_device import shrunk
from ..runner import NetworkRunner


class KeyNetwork:
    """Runs a runner's network on pictures at `scale` of their size, and brings its maps back to the cells of the
    whole."""

    def __init__(self, runner: NetworkRunner, scale: float = 1.0) -> None:
        self.runner, self.scale = runner, scale

    def logits(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB to (ceil(H / s), ceil(W / s), classes) at the network's stride s."""
        return self._on_whole(self.runner.logits(self._scaled(image)), image)

    def features_and_logits(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same, after what the network classifies, (h, w, channels)."""
        features, logits = self.runner.features_and_logits(self._scaled(image))
        return self._on_whole(features, image), self._on_whole(logits, image)

    def logit_maps(self, picture: Tensor) -> Tensor:
        """`logits` on the device, left there: (1, H, W, 3) uint8 RGB to (1, classes, ceil(H / s), ceil(W / s))."""
        return self._maps_on_whole(self.runner.logit_maps(self._scaled_picture(picture)), picture)

    def feature_and_logit_maps(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """`features_and_logits` on the device, left there; see `logit_maps`."""
        features, logits = self.runner.feature_and_logit_maps(self._scaled_picture(picture))
        return self._maps_on_whole(features, picture), self._maps_on_whole(logits, picture)

    def _scaled(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.scale == 1:
            return image
        height, width = self._size((image.shape[0], image.shape[1]))
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    def _scaled_picture(self, picture: Tensor) -> Tensor:
        return picture if self.scale == 1 else shrunk(picture, self._size((picture.shape[1], picture.shape[2])))

    def _size(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        return max(1, round(size_hw[0] * self.scale)), max(1, round(size_hw[1] * self.scale))

    def _on_whole(self, values: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.scale == 1:
            return values
        rows, columns = (-(-side // self.runner.stride) for side in image.shape[:2])
        return resize_map(values, (rows, columns))

    def _maps_on_whole(self, maps: Tensor, picture: Tensor) -> Tensor:
        if self.scale == 1:
            return maps
        rows, columns = (-(-side // self.runner.stride) for side in picture.shape[1:3])
        with torch.inference_mode():
            return to_grid(maps.float(), (rows, columns))
